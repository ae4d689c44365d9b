"""Engines that a site brings itself: what its settings say of them, and the engine made of that.

TorchScript is read rather than imported: the file holds the network and no Python code that would run
on loading, but it is a program all the same, so use files whose origin you know.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator

from models.engine import VertebraEngine, register_engine
from models.engines.network import EngineFileError, NetworkEngine, Recipe, file_digest
from models.engines.structures import ALLOWED, structure_of
from models.engines.totalsegmentator import load_totalsegmentator
from models.vertebrae.inference import Compute

_NIFTI_TO_DICOM = {"R": "R", "L": "L", "A": "A", "P": "P", "S": "H", "I": "F"}
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


class _NetworkSpec(_Spec):
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


class TorchScriptSpec(_NetworkSpec):
    """A network as TorchScript, from ``(1, 1, a, b, c)`` to one score per class."""

    kind: Literal["torchscript"]
    file: Path


class MonaiBundleSpec(_NetworkSpec):
    """A MONAI bundle that holds its network as TorchScript (``models/model.ts``)."""

    kind: Literal["monai-bundle"]
    folder: Path
    labels: dict[Class, str] = Field(default_factory=dict)
    """None means those of ``configs/metadata.json`` (``channel_def``), as far as they are of the spine."""


EngineSpec = Annotated[TotalSegmentatorSpec | TorchScriptSpec | MonaiBundleSpec, Field(discriminator="kind")]
"""What the settings say of one engine."""


@dataclass(frozen=True)
class _Factory:
    """Makes the engine of a specification; equal for equal ones, so that weights stay loaded."""

    name: str
    spec: TotalSegmentatorSpec | TorchScriptSpec | MonaiBundleSpec

    def __call__(self) -> VertebraEngine:
        return load_engine(self.name, self.spec)


def register_engines(specs: Mapping[str, TotalSegmentatorSpec | TorchScriptSpec | MonaiBundleSpec]) -> None:
    """Make a site's engines known under their names. Those that have not changed keep their weights."""
    for name, spec in specs.items():
        register_engine(name, _Factory(name, spec))


def load_engine(
    name: str, spec: TotalSegmentatorSpec | TorchScriptSpec | MonaiBundleSpec, compute: Compute | None = None
) -> VertebraEngine:
    """The engine of a specification.

    Args:
        name: What the site calls it.
        spec: What the site says of it.
        compute: Where, and how precisely; by default the fastest that this machine has.

    Raises:
        EngineFileError: A file is missing or is not what it should be.
    """
    if isinstance(spec, TotalSegmentatorSpec):
        return load_totalsegmentator(spec.folder, spec.fast, compute)
    if isinstance(spec, TorchScriptSpec):
        return _load_script(name, spec, spec.file, f"engines.{name}.file", dict(spec.labels), compute)
    file = spec.folder / "models" / "model.ts"
    labels = dict(spec.labels) or _bundle_labels(spec.folder / "configs" / "metadata.json", name)
    return _load_script(name, spec, file, f"engines.{name}.folder", labels, compute)


def _load_script(
    name: str, spec: _NetworkSpec, file: Path, key: str, labels: dict[int, str], compute: Compute | None
) -> NetworkEngine:
    if not file.is_file():
        hint = "; make it with `python -m monai.bundle ckpt_export`" if isinstance(spec, MonaiBundleSpec) else ""
        msg = f"{file} does not exist; set {key}{hint}"
        raise EngineFileError(msg)
    compute = Compute.here() if compute is None else compute
    try:
        with warnings.catch_warnings():
            # PyTorch recommends torch.export for new files; the files of bundles are TorchScript.
            warnings.simplefilter("ignore", DeprecationWarning)
            network = torch.jit.load(str(file), map_location=compute.device)  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        msg = f"{file} is no TorchScript; set {key} to a file written by torch.jit.save"
        raise EngineFileError(msg) from error
    network.eval()
    found = {number: structure_of(label) for number, label in labels.items()}
    recipe = Recipe(
        orientation="".join(_NIFTI_TO_DICOM[letter] for letter in spec.orientation),
        spacing=spec.spacing,
        window=spec.window,
        clip=spec.clip,
        shift=spec.shift,
        scale=spec.scale,
        structures={number: structure for number, structure in found.items() if structure is not None},
        class_count=None,
    )
    deciding = spec.model_dump_json(exclude={"file", "folder"})
    return NetworkEngine(name[:64], "1", file_digest(file, also=deciding), network, recipe, compute)


def _bundle_labels(file: Path, name: str) -> dict[int, str]:
    """The label table of a bundle, as far as it is of the spine."""
    remedy = f"set engines.{name}.labels"
    try:
        metadata: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        table: dict[str, str] = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
        labels = {int(number): label for number, label in table.items() if structure_of(label) is not None}
    except FileNotFoundError as error:
        msg = f"{file} does not exist; {remedy} or set engines.{name}.folder to a MONAI bundle"
        raise EngineFileError(msg) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{file} has no table of classes (network_data_format.outputs.pred.channel_def); {remedy}"
        raise EngineFileError(msg) from error
    if not labels:
        msg = f"{file} names no structure of the spine; {remedy} (allowed: {ALLOWED})"
        raise EngineFileError(msg)
    return labels
