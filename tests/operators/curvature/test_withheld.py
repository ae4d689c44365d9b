"""What cannot be measured is withheld with its reason; the case stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from models.anatomy import Level, Region
from models.engine import Numbering
from operators.curvature.measure import measure
from operators.curvature.results import CurvatureReading, NoCurve, Posture, SagittalAngle
from operators.fractures.results import DEFORMITY, Deformity
from operators.reading.case import Case
from operators.reading.gate import Gate, Outcome
from operators.reading.quantity import Measured, Withheld
from operators.reading.vertebra import Vertebra
from tests.operators.curvature.spines import built, case_with_sacrum
from tests.phantoms.spine import SpinePhantom

ANGLES = ("kyphosis", "kyphosis_from_t5", "lordosis", "thoracolumbar")


@pytest.fixture(scope="module")
def case() -> Case:
    return case_with_sacrum(built(SpinePhantom(levels=(Level.T10, Level.S1)), pixel=2.0, slices=2.0))


def changed(case: Case, **changes: Any) -> Case:
    return replace(case, reading=case.reading.model_copy(update=changes))


def changed_vertebra(case: Case, level: Level, **changes: Any) -> Case:
    vertebrae = tuple(v.model_copy(update=changes) if v.level is level else v for v in case.reading.vertebrae)
    return changed(case, vertebrae=vertebrae)


def codes(reading: CurvatureReading) -> dict[str, str | None]:
    said = {name: getattr(reading, name).angle for name in ANGLES} | {"coronal": reading.coronal}
    return {name: value.code if isinstance(value, Withheld) else None for name, value in said.items()}


def of(reading: CurvatureReading, level: Level) -> Any:
    return next(v for v in reading.vertebrae if v.level is level)


def test_what_is_in_view_is_given_and_the_rest_names_what_is_missing(case: Case) -> None:
    before = case.reading.model_dump_json()
    labels = case.segmentation.labels.array.copy() if case.segmentation else None
    reading = measure(case)
    assert codes(reading) == {
        "kyphosis": "no-level",
        "kyphosis_from_t5": "no-level",
        "lordosis": None,
        "thoracolumbar": None,
        "coronal": None,
    }
    assert isinstance(reading.kyphosis.angle, Withheld)
    assert reading.kyphosis.angle.reason == "T4 is not in view."
    assert (reading.lordosis.upper, reading.lordosis.lower, reading.lordosis.fallback) == (Level.L1, Level.S1, False)
    assert isinstance(reading.coronal, NoCurve)
    assert [v.level for v in reading.vertebrae] == [v.level for v in case.reading.vertebrae]
    assert of(reading, Level.S1).body.code == "level-not-measured"
    assert case.reading.model_dump_json() == before
    assert case.segmentation is not None
    assert np.array_equal(case.segmentation.labels.array, labels)


def test_thick_slices_show_no_direction_of_an_endplate(case: Case) -> None:
    source = case.reading.source.model_copy(update={"slice_thickness": 5.0})
    reading = measure(changed(case, source=source))
    assert set(codes(reading).values()) == {"slice-thickness"}
    assert {v.body.code for v in reading.vertebrae if isinstance(v.body, Withheld)} == {"slice-thickness"}
    assert not any(not isinstance(v.body, Withheld) for v in reading.vertebrae)


@pytest.mark.parametrize("numbering", [Numbering.AMBIGUOUS, Numbering.NONE])
def test_names_in_doubt_withhold_the_angles_and_not_the_sizes(case: Case, numbering: Numbering) -> None:
    reading = measure(changed(case, numbering=numbering))
    assert set(codes(reading).values()) == {"numbering"}
    assert not isinstance(of(reading, Level.L3).body, Withheld)


def test_numbering_without_an_anchor_is_said(case: Case) -> None:
    reading = measure(changed(case, numbering=Numbering.RELATIVE))
    assert isinstance(reading.lordosis.angle, Measured)
    assert reading.lordosis.note is not None
    assert "Nothing in view fixes the numbering" in reading.lordosis.note


def test_end_whose_own_name_is_in_doubt_withholds_its_angles(case: Case) -> None:
    reading = measure(changed_vertebra(case, Level.L1, alternative=Level.T12))
    assert codes(reading)["lordosis"] == "numbering"
    assert codes(reading)["thoracolumbar"] is None


CUT: list[tuple[dict[str, Any], str]] = [
    ({"complete": False}, "incomplete"),
    ({"confidence": 0.3, "outline": 0.3}, "low-confidence"),
]


@pytest.mark.parametrize(("fault", "code"), CUT)
def test_end_that_cannot_be_relied_on(case: Case, fault: dict[str, Any], code: str) -> None:
    reading = measure(changed_vertebra(case, Level.L2, **fault))
    assert codes(reading)["thoracolumbar"] == code
    assert codes(reading)["lordosis"] is None
    assert isinstance(reading.thoracolumbar.angle, Withheld)
    assert reading.thoracolumbar.angle.reason.startswith("L2: ")
    assert of(reading, Level.L2).body.code == code
    assert reading.thoracolumbar.lines == ()


def _without_s1(case: Case) -> Case:
    kept = tuple(v for v in case.reading.vertebrae if v.level is not Level.S1)
    return changed(case, vertebrae=kept)


def _s1_cut(case: Case) -> Case:
    return changed_vertebra(case, Level.S1, complete=False)


@pytest.mark.parametrize(
    ("without", "said"), [(_without_s1, "S1 is not in view"), (_s1_cut, "S1: The vertebra is cut")]
)
def test_lordosis_without_s1_is_measured_to_l5_and_says_so(
    case: Case, without: Callable[[Case], Case], said: str
) -> None:
    usual, reading = measure(case).lordosis, measure(without(case)).lordosis
    assert isinstance(reading.angle, Measured)
    assert isinstance(usual.angle, Measured)
    assert (reading.lower, reading.lower_plate.value, reading.fallback) == (Level.L5, "inferior", True)
    assert reading.angle.value < usual.angle.value - 5
    assert reading.note is not None
    assert said in reading.note
    assert "L5 instead" in reading.note


def test_fractured_end_is_named(case: Case) -> None:
    broken = Deformity(height_loss=Measured(value=30.0, unit="%"), grade=2)
    vertebrae = [v.with_result(DEFORMITY, broken) if v.level is Level.L2 else v for v in case.reading.vertebrae]
    reading = measure(changed(case, vertebrae=tuple(vertebrae)))
    assert reading.thoracolumbar.note is not None
    assert "L2, an end of this angle, is fractured (grade 2)" in reading.thoracolumbar.note
    assert reading.lordosis.note is None


def test_gate_that_withholds_heights_withholds_the_shape_too(case: Case) -> None:
    gate = Gate(code="gaps", outcome=Outcome.WITHHOLD, reason="Slices lie apart.", applies_to="heights")
    assert set(codes(measure(changed(case, gates=(gate,)))).values()) == {"gaps"}


def test_without_a_segmentation_everything_is_withheld(case: Case) -> None:
    reading = measure(replace(changed(case, vertebrae=()), segmentation=None))
    assert set(codes(reading).values()) == {"no-spine"}
    assert reading.vertebrae == ()


def test_endplate_that_is_no_plane_has_no_direction(case: Case) -> None:
    """Half of L2's mask is cut down by 9 mm, and the image shows no edge there either."""
    assert case.segmentation is not None
    number = next(v.number for v in case.reading.vertebrae if v.level is Level.L2)
    labels, regions = case.segmentation.labels, case.segmentation.regions
    own = np.argwhere((labels.array == number) & (regions.array == Region.BODY))
    middle = np.median(own, axis=0)
    gone = own[(own[:, 0] > own[:, 0].max() - 6) & (own[:, 2] > middle[2])]
    parts = regions.array.copy()
    parts[tuple(gone.T)] = Region.BACKGROUND
    cut = replace(case.segmentation, regions=regions.with_array(parts))
    empty = case.volume.with_array(np.where(labels.array > 0, 300.0, 40.0).astype(np.float32))
    reading = measure(replace(case, volume=empty, segmentation=cut), masks_only=True)
    assert codes(reading)["thoracolumbar"] == "poor-fit"


def test_too_few_vertebrae_for_a_coronal_curve(case: Case) -> None:
    kept = tuple(v for v in case.reading.vertebrae if v.level in (Level.L1, Level.L2, Level.L3, Level.L4))
    reading = measure(changed(case, vertebrae=kept))
    assert isinstance(reading.coronal, Withheld)
    assert reading.coronal.code == "coverage"
    assert "4 could be measured" in reading.coronal.reason


@pytest.mark.parametrize(
    ("position", "posture", "said"),
    [
        ("HFS", Posture.SUPINE, "Measured supine, not standing"),
        ("FFP", Posture.PRONE, "Measured prone, not standing"),
        ("HFDL", Posture.ON_THE_SIDE, "Measured lying on the side, not standing"),
        (None, Posture.LYING, "Measured lying, not standing"),
    ],
)
def test_posture_is_said(case: Case, position: str | None, posture: Posture, said: str) -> None:
    header = Dataset()
    header.PatientPosition = position
    reading = measure(replace(changed(case, vertebrae=()), slices=(header,), segmentation=None))
    assert reading.posture is posture
    assert reading.note.startswith(said)


def test_result_survives_json(case: Case) -> None:
    reading = measure(case)
    assert CurvatureReading.model_validate_json(reading.model_dump_json()) == reading
    assert isinstance(reading.lordosis, SagittalAngle)
    assert isinstance(case.reading.vertebrae[0], Vertebra)
