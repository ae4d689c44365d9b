"""What a site's settings say of the engines that it brings itself.

Light to import: the whole node reads settings, and only its reader needs networks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from models.engines.structures import ALLOWED, structure_of

_OPPOSITE = ({"R", "L"}, {"A", "P"}, {"S", "I"})
Edge = Annotated[float, Field(gt=0.2, le=10.0)]
Side = Annotated[int, Field(ge=8, le=512)]
Class = Annotated[int, Field(ge=0, le=254)]


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TotalSegmentatorSpec(_Spec):
    """TotalSegmentator's weights in a folder of the site's choice."""

    kind: Literal["totalsegmentator"]
    folder: Path | None = None
    """Where ``Dataset292_…`` lies; None means where TotalSegmentator puts it."""
    fast: bool = False
    """The 3 mm model rather than the 1.5 mm one."""


class NetworkSpec(_Spec):
    """What has to be known of any network."""

    spacing: tuple[Edge, Edge, Edge]
    """Voxel edges in mm that the network was trained on, one for each axis of its input."""
    orientation: str = "RAS"
    """Directions of the axes of its input, as NIfTI and MONAI write them."""
    window: tuple[Side, Side, Side] = (128, 128, 128)
    """Voxels that it sees at once."""
    clip: tuple[float, float] = (-1024.0, 3071.0)
    """HU outside are set to these ends."""
    shift: float = 0.0
    scale: Annotated[float, Field(gt=0)] = 1.0
    """The network sees ``(HU − shift) / scale``."""
    labels: dict[Class, str]
    """Class to what it is; classes that are not named are background."""

    @field_validator("orientation")
    @classmethod
    def _three_directions(cls, value: str) -> str:
        letters = value.upper()
        if len(letters) != 3 or any(len(set(letters) & pair) != 1 for pair in _OPPOSITE):
            msg = f"must name three directions like RAS, one of each of R/L, A/P and S/I, not {value!r}"
            raise ValueError(msg)
        return letters

    @field_validator("labels")
    @classmethod
    def _known_structures(cls, value: dict[int, str]) -> dict[int, str]:
        for number, name in value.items():
            if name != "background" and structure_of(name) is None:
                msg = f"{number} = {name!r} is no structure of the spine; allowed: {ALLOWED}"
                raise ValueError(msg)
        return value


class TorchScriptSpec(NetworkSpec):
    """A network as TorchScript, from ``(1, 1, a, b, c)`` to one score per class."""

    kind: Literal["torchscript"]
    file: Path


class MonaiBundleSpec(NetworkSpec):
    """A MONAI bundle that holds its network as TorchScript (``models/model.ts``)."""

    kind: Literal["monai-bundle"]
    folder: Path
    labels: dict[Class, str] = Field(default_factory=dict)
    """None means those of ``configs/metadata.json`` (``channel_def``), as far as they are of the spine."""


AnySpec = TotalSegmentatorSpec | TorchScriptSpec | MonaiBundleSpec
EngineSpec = Annotated[AnySpec, Field(discriminator="kind")]
"""What the settings say of one engine."""
