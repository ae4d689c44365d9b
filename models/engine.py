"""What an engine that finds vertebrae must offer, and what it answers with.

An engine takes a CT volume and returns the vertebrae in it, each with a level, a confidence and its
sub-regions, on the grid of the volume it was given. It knows no DICOM file, no network, no queue and
no settings: it works from a notebook.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import highdicom as hd

from models.anatomy import Anchor, Level


class Numbering(StrEnum):
    """How sure the names of a whole spine are."""

    ANCHORED = "anchored"
    """Names stand, and what is in the field of view (sacrum, lowest rib) agrees with them."""
    RELATIVE = "relative"
    """Names stand without an anchor: the evidence of the vertebrae themselves is clear."""
    AMBIGUOUS = "ambiguous"
    """No name is likely enough to stand, or something is wrong with the whole row: all are hypotheses and must be shown
    as such. Elsewhere a single name can be doubted, by its ``alternative``."""
    NONE = "none"
    """Nothing was found that could be numbered."""


@dataclass(frozen=True)
class VertebraInstance:
    """One vertebra that an engine found.

    Attributes:
        number: Value of this vertebra in the instance map, from 1, counted from the head.
        level: The name given to it.
        confidence: Probability in 0…1 that the name is right.
        complete: False where the vertebra is cut off by the border of the volume.
        centroid: Centre of the vertebral body, LPS patient coordinates in mm.
        alternative: The likeliest other name, where this one is doubted; else None.
        outline: How sure the outline is, 0…1, whatever the name; None where the engine does not tell.
    """

    number: int
    level: Level
    confidence: float
    complete: bool
    centroid: tuple[float, float, float]
    alternative: Level | None = None
    outline: float | None = None


@dataclass(frozen=True)
class SpineSegmentation:
    """The vertebrae of one volume.

    Attributes:
        labels: Instance map, uint8, on the grid of the input volume; 0 is background and every
            other value is the ``number`` of one instance (body and posterior elements together).
        regions: Sub-region map, uint8 values of :class:`models.anatomy.Region`, same grid.
        vertebrae: The instances, from head to feet. Empty when no spine was found.
        numbering: How sure the names are.
        anchors: What fixes them.
        margin: Logarithm of the odds of the best numbering over the best one that names most vertebrae otherwise.
        misoriented: How the volume lies other than its orientation says (``head and feet exchanged``), where that is
            beyond doubt: then every name and every side is wrong, and nothing of it should be shown. Empty otherwise.
        remarks: Sentences on what the engine noticed (no spine, half of it out of view …), without
            patient data.
    """

    labels: hd.Volume
    regions: hd.Volume
    vertebrae: tuple[VertebraInstance, ...]
    numbering: Numbering
    anchors: tuple[Anchor, ...] = ()
    margin: float = 0.0
    misoriented: str = ""
    remarks: tuple[str, ...] = field(default=())


class VertebraEngine(Protocol):
    """Finds and names the vertebrae of a CT volume."""

    @property
    def name(self) -> str:
        """Name as written into DICOM objects, at most 64 characters."""
        ...

    @property
    def version(self) -> str:
        """Version of the algorithm."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 over everything that decides the result beside the code (weights), in hex."""
        ...

    def segment(self, volume: hd.Volume) -> SpineSegmentation:
        """Find the vertebrae.

        Args:
            volume: CT numbers in HU, shape ``(k, i, j)`` in any orientation, affine in mm (LPS).

        Returns:
            The segmentation on the same grid. A volume without a spine gives an empty one with a
            remark; it is not an error.
        """
        ...


class UnknownEngineError(LookupError):
    """No engine of this name is registered.

    Attributes:
        name: The name that was asked for.
    """

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"no vertebra engine is called {name!r}; known engines: {', '.join(known) or 'none'}")
        self.name = name


class EngineUnavailableError(RuntimeError):
    """An engine's files are missing or cannot be used; the sentence says what to do."""


class EngineAnswerError(RuntimeError):
    """An engine's network does not answer as it is described; the sentence says what to check."""
