"""Gates at both sides of each limit of docs/science.md §11.1, and on damaged phantoms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import highdicom as hd
import numpy as np
import pytest

from models.anatomy import Level
from models.engine import Numbering, SpineSegmentation, VertebraInstance
from operators.quality.ct_numbers import ambient_attenuation, attenuation_gate, height_noise_gate, noise_gate
from operators.quality.gates import (
    age_gate,
    assess_quality,
    attenuation_correction_gates,
    coverage_gate,
    gap_gate,
    kernel_gate,
    orientation_gate,
    slice_gate,
    tube_voltage_gate,
)
from operators.reading.case import Case
from operators.reading.gate import Gate, Outcome
from operators.reading.source import SeriesVerdict, SourceSeries
from tests.operators.measured_case import phantom_case
from tests.phantoms.spine import SpinePhantom

PASS, WARN, WITHHOLD = Outcome.PASS, Outcome.WARN, Outcome.WITHHOLD


def source(**changes: Any) -> SourceSeries:
    known: dict[str, Any] = {
        "study_uid": "1",
        "series_uid": "2",
        "frame_of_reference_uid": None,
        "content_digest": "0",
        "slices": 9,
        "rows": 9,
        "columns": 9,
        "pixel_spacing": (1.0, 1.0),
        "slice_spacing": 1.0,
        "slice_thickness": 1.0,
    }
    return SourceSeries(**{**known, **changes})


@pytest.mark.parametrize(
    ("kvp", "outcome"), [(120.0, PASS), (100.0, WITHHOLD), (140.0, WITHHOLD), (80.0, WITHHOLD), (None, WITHHOLD)]
)
def test_only_120_kv_gives_a_category_but_hu_are_always_shown(kvp: float | None, outcome: Outcome) -> None:
    gate = tube_voltage_gate(source(kvp=kvp))
    assert (gate.outcome, gate.applies_to) == (outcome, "category")


@pytest.mark.parametrize(("thickness", "outcome"), [(1.5, PASS), (3.0, WARN), (5.0, WARN), (5.1, WITHHOLD)])
def test_slice_thickness(thickness: float, outcome: Outcome) -> None:
    assert slice_gate(source(slice_thickness=thickness)).outcome is outcome


def test_spacing_counts_where_the_thickness_is_missing() -> None:
    assert slice_gate(source(slice_thickness=None, slice_spacing=7.0)).outcome is WITHHOLD


@pytest.mark.parametrize(("spacing", "outcome"), [(0.5, PASS), (1.0, PASS), (1.3, WARN), (1.6, WITHHOLD)])
def test_gaps_between_slices(spacing: float, outcome: Outcome) -> None:
    assert gap_gate(source(slice_spacing=spacing)).outcome is outcome


@pytest.mark.parametrize(
    ("kernel", "outcome"),
    [
        ("B30f", PASS),
        ("Br40d\\3", PASS),
        ("STANDARD", PASS),
        (None, PASS),
        ("B70f", WARN),
        ("BONE", WARN),
        ("LUNG", WARN),
    ],
)
def test_kernel(kernel: str | None, outcome: Outcome) -> None:
    assert kernel_gate(kernel).outcome is outcome


@pytest.mark.parametrize(
    ("age", "outcome", "applies_to"),
    [(50.0, PASS, "category"), (49.9, WITHHOLD, "category"), (17.9, WITHHOLD, "all"), (None, WITHHOLD, "category")],
)
def test_age(age: float | None, outcome: Outcome, applies_to: str) -> None:
    gate = age_gate(age)
    assert (gate.outcome, gate.applies_to) == (outcome, applies_to)


def built(**parameters: Any) -> Case:
    return phantom_case(SpinePhantom(levels=(Level.T12, Level.L2), **parameters).build(2.0, 3.0))


@pytest.fixture(scope="module")
def native() -> Case:
    return built()


def gates(case: Case) -> dict[str, Gate]:
    return {gate.code: gate for gate in assess_quality(case).reading.gates}


def shifted(case: Case, hu: float) -> Case:
    return replace(case, volume=case.volume.with_array(case.volume.array + np.float32(hu)))


def test_a_good_scan_passes(native: Case) -> None:
    found = gates(native)
    bad = {code: gate.reason for code, gate in found.items() if gate.outcome is not PASS}
    assert set(bad) <= {"slice-thickness"}, bad


@pytest.mark.parametrize("offset", [1000.0, 1024.0, -1000.0])
def test_an_offset_of_1000_withholds_density(native: Case, offset: float) -> None:
    gate = gates(shifted(native, offset))["hu-validity"]
    assert (gate.outcome, gate.applies_to) == (WITHHOLD, "density")


def test_an_enhanced_aorta_is_seen_without_any_tag() -> None:
    assert gates(built(aorta_hu=250.0))["contrast"].outcome is WARN


def test_metal_is_counted(native: Case) -> None:
    array = native.volume.array.copy()
    array[5:8, 20:24, 20:24] = 3000.0
    assert gates(replace(native, volume=native.volume.with_array(array)))["metal"].outcome is WARN


def test_noise_withholds_the_category(native: Case) -> None:
    rng = np.random.default_rng(1)
    noisy = native.volume.array + rng.normal(0, 150, native.volume.shape).astype(np.float32)
    gate = gates(replace(native, volume=native.volume.with_array(noisy)))["noise"]
    assert (gate.outcome, gate.applies_to) == (WITHHOLD, "category")


def test_a_case_without_segmentation_still_has_every_gate(native: Case) -> None:
    assert set(gates(replace(native, segmentation=None))) == set(gates(native))


def test_assessing_twice_does_not_double_the_gates(native: Case) -> None:
    once = assess_quality(native)
    assert assess_quality(once).reading.gates == once.reading.gates


def spine_of(*levels: Level, whole: bool = True) -> SpineSegmentation:
    """A segmentation in name only: the gate of coverage asks for no voxel."""
    empty = hd.Volume(np.zeros((1, 1, 1), np.uint8), np.eye(4), coordinate_system="PATIENT")
    found = tuple(
        VertebraInstance(number, level, 1.0, whole, (0.0, 0.0, 0.0)) for number, level in enumerate(levels, start=1)
    )
    return SpineSegmentation(labels=empty, regions=empty, vertebrae=found, numbering=Numbering.ANCHORED)


@pytest.mark.parametrize(
    ("spine", "outcome"),
    [
        (spine_of(Level.L1, Level.L2, Level.L3), PASS),
        (spine_of(Level.T10, Level.T11, Level.T12), PASS),
        (spine_of(Level.T4, Level.T5, Level.T6), WARN),
        (spine_of(Level.L1, Level.L2), WARN),
        (spine_of(Level.L5), WITHHOLD),
        (spine_of(Level.L1, Level.L2, Level.L3, whole=False), WITHHOLD),
        (None, WITHHOLD),
    ],
)
def test_coverage(spine: SpineSegmentation | None, outcome: Outcome) -> None:
    gate = coverage_gate(spine)
    assert (gate.outcome, gate.applies_to) == (outcome, "all")


@pytest.mark.parametrize(
    ("gas", "fat", "outcome"),
    [
        (-1000.0, -100.0, PASS),
        (-900.0, -100.0, WARN),
        (-1000.0, -60.0, WITHHOLD),
        (-900.0, -60.0, WITHHOLD),
        (-900.0, None, WITHHOLD),
        (None, -100.0, PASS),
        (None, None, WARN),
    ],
)
def test_fat_off_withholds_and_gas_off_warns(gas: float | None, fat: float | None, outcome: Outcome) -> None:
    """Bowel gas and emphysema have -900 HU where no air outside of the body is in view."""
    rng = np.random.default_rng(0)
    values = [(50.0, 0.5), (gas, 0.2), (fat, 0.3)]
    voxels = [rng.normal(hu, 8.0, int(60**3 * share)) for hu, share in values if hu is not None]
    # A few voxels of padding, which are no air.
    array = np.resize(np.concatenate([*voxels, np.full(50, -1024.0)]), (60, 60, 60)).astype(np.float32)
    gate = attenuation_gate(hd.Volume(array, np.eye(4), coordinate_system="PATIENT"), None)
    assert gate.outcome is outcome, gate.reason


def test_a_pet_in_the_study_is_said() -> None:
    verdict = SeriesVerdict(
        series_uid="1", series_number=1, modality="PT", instances=9, taken=False, code="not-ct", reason="not CT"
    )
    (gate,) = attenuation_correction_gates([verdict])
    assert gate.outcome is WARN
    assert attenuation_correction_gates([verdict.model_copy(update={"modality": "CT"})]) == []


def body(noise: float) -> hd.Volume:
    """Soft tissue with fat in it and air all round, -1000 HU."""
    rng = np.random.default_rng(1)
    array = np.full((20, 60, 60), -1000.0, np.float32)
    array[:, 10:50, 10:50] = 40.0
    array[:, 10:20, 10:50] = -100.0
    return hd.Volume((array + rng.normal(0, noise, array.shape)).astype(np.float32), np.eye(4), "PATIENT")


@pytest.mark.parametrize("noise", [5.0, 40.0])
@pytest.mark.parametrize(
    ("scale", "offset", "outcome"),
    [(1.0, 0.0, PASS), (0.75, 60.0, WITHHOLD), (0.9, 0.0, WITHHOLD), (1.0, 60.0, WITHHOLD), (1.0, -100.0, WITHHOLD)],
)
def test_air_round_the_whole_body_shows_another_scale(
    scale: float, offset: float, outcome: Outcome, noise: float
) -> None:
    volume = body(noise)
    assert attenuation_gate(volume.with_array(volume.array * scale + offset), None).outcome is outcome


def test_lung_at_one_edge_of_a_small_field_is_not_taken_for_air() -> None:
    volume = body(5.0)
    small = volume.array[:, 12:48, 12:48].copy()
    small[:, -8:, :8] = -800.0
    assert ambient_attenuation(hd.Volume(small, np.eye(4), "PATIENT")) is None


@pytest.mark.parametrize(
    ("deviation", "density", "heights"),
    [(None, WARN, PASS), (40.0, PASS, PASS), (80.0, WARN, PASS), (104.0, WITHHOLD, WITHHOLD)],
)
def test_what_noise_leaves(deviation: float | None, density: Outcome, heights: Outcome) -> None:
    assert noise_gate(deviation).outcome is density
    gate = height_noise_gate(deviation)
    assert (gate.outcome, gate.applies_to) == (heights, "heights")
    assert ("varies by 104 HU" in gate.reason) is (heights is WITHHOLD)


def test_a_spine_that_lies_otherwise_than_the_header_says_is_withheld_whole() -> None:
    spine = replace(spine_of(Level.L1), misoriented="head and feet exchanged")
    gate = orientation_gate(spine)
    assert (gate.outcome, gate.applies_to) == (WITHHOLD, "all")
    assert "head and feet exchanged" in gate.reason
    assert [orientation_gate(found).outcome for found in (spine_of(Level.L1), None)] == [PASS, PASS]


def test_an_age_that_is_not_believed_opens_no_limit() -> None:
    gate = age_gate(None, "birth date and Patient's Age contradict each other")
    assert (gate.outcome, gate.applies_to) == (WITHHOLD, "category")
    assert "contradict each other" in gate.reason
