"""What Osteon says of a spine: one frozen value that grows from step to step of the graph.

The types know no DICOM tag; the encoders turn a finished reading into SEG, SR, a picture or JSON.
Lengths are in mm, CT numbers in HU, volumes in cm3, points in LPS patient coordinates (mm).
A value that the input cannot support is :class:`Withheld`, with its reason, never a guess or a zero.
What the biomarkers found lies in :class:`~operators.reading.slots.Slot`, on a vertebra or on the reading.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from pydantic import model_validator

from models.anatomy import Anchor
from models.engine import Numbering
from operators.reading.gate import Gate, Outcome
from operators.reading.provenance import Provenance
from operators.reading.slots import Slot, WithResults
from operators.reading.source import SeriesVerdict, SourceSeries
from operators.reading.vertebra import Vertebra

_FORMER_VERTEBRA = ("heights", "deformity", "density", "change")
_FORMER_SPINE = (
    "density_category",
    "attenuation",
    "calibration",
    "calibrated",
    "comparator",
    "deformity_index",
    "change",
)
"""Fields of readings up to commit 8a1deb4 that are results in slots of the same names now."""


class SpineReading(WithResults):
    """Everything that was found out about one study so far.

    Attributes:
        series: Verdict on every series of the study.
        source: The series that was read.
        provenance: What read it.
        gates: Quality gates with their outcome.
        numbering: How sure the names of the vertebrae are, and by which anchors and margin.
        vertebrae: From head to feet.
        remarks: Sentences for the report that belong to the whole study and to no biomarker.
    """

    series: tuple[SeriesVerdict, ...]
    source: SourceSeries
    provenance: Provenance
    gates: tuple[Gate, ...] = ()
    numbering: Numbering = Numbering.NONE
    anchors: tuple[Anchor, ...] = ()
    margin: float = 0.0
    vertebrae: tuple[Vertebra, ...] = ()
    remarks: tuple[str, ...] = ()

    def withholding(self, *subjects: str) -> Gate | None:
        """The first gate that withholds one of ``subjects``, or everything; None if nothing does."""
        for gate in self.gates:
            if gate.outcome is Outcome.WITHHOLD and gate.applies_to in (*subjects, "all"):
                return gate
        return None

    def with_types(self, spine: Iterable[Slot[Any]], vertebra: Iterable[Slot[Any]]) -> Self:
        """The same with everything that is stored read as the types of its slots.

        Args:
            spine: Slots of the spine.
            vertebra: Slots of a vertebra; they may have the same names.
        """
        known = tuple(vertebra)
        vertebrae = tuple(one.with_slots(known) for one in self.vertebrae)
        return self.with_slots(spine).model_copy(update={"vertebrae": vertebrae})

    @model_validator(mode="before")
    @classmethod
    def _from_former_fields(cls, given: Any) -> Any:
        """A reading of an earlier release, whose results were fields of their own, can be a prior."""
        if not isinstance(given, dict) or "results" in given:
            return given
        vertebrae = [
            _moved(vertebra, _FORMER_VERTEBRA) if isinstance(vertebra, dict) and "results" not in vertebra else vertebra
            for vertebra in given.get("vertebrae", ())
        ]
        return {**_moved(given, _FORMER_SPINE), "vertebrae": vertebrae}


def _moved(given: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    kept = {name: value for name, value in given.items() if name not in names}
    results = {name: given[name] for name in names if given.get(name) is not None}
    return {**kept, "results": results} if results else kept
