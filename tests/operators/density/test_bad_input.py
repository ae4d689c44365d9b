"""Scans and masks that cannot carry a density: a number with its gate, or a reason; never an exception."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import highdicom as hd
import numpy as np
import pytest

from models.anatomy import Level, Region
from operators.density.measure import measure_bone_density
from operators.density.results import ATTENUATION, CATEGORY, DENSITY, Density, DensityCategory
from operators.quality.gates import assess_quality
from operators.reading.case import Case
from operators.reading.gate import Outcome
from operators.reading.quantity import Measured, Withheld
from operators.reading.reading import SpineReading
from operators.reading.source import Spectrum
from tests.operators.measured_case import phantom_case
from tests.phantoms.anatomy.column import Curves
from tests.phantoms.damage import at_kvp, shifted
from tests.phantoms.spine import SpinePhantom
from tests.phantoms.truth import Phantom

SHOWN = (Level.L1, Level.L2)


@pytest.fixture(scope="module")
def sound() -> Phantom:
    return SpinePhantom(levels=SHOWN, noise=10.0, texture=0.0).build(1.2, 2.0, field_of_view=(180, 200))


def read(case: Case) -> SpineReading:
    return measure_bone_density(assess_quality(case)).reading


def code_of(reading: SpineReading, level: Level) -> str:
    density = next(v.of(DENSITY) for v in reading.vertebrae if v.level is level)
    assert density is not None
    return density.code if isinstance(density, Withheld) else "measured"


def mean_of(reading: SpineReading, level: Level) -> float:
    density = next(v.of(DENSITY) for v in reading.vertebrae if v.level is level)
    assert isinstance(density, Density), density
    assert isinstance(density.mean, Measured)
    return density.mean.value


def outcome(reading: SpineReading, code: str) -> Outcome:
    return next(gate.outcome for gate in reading.gates if gate.code == code)


@pytest.mark.parametrize("offset", [1000.0, -1000.0, 1024.0])
def test_an_offset_of_1000_withholds_every_level_and_the_category(sound: Phantom, offset: float) -> None:
    reading = read(phantom_case(shifted(sound, offset)))
    assert {code_of(reading, level) for level in SHOWN} == {"hu-validity"}
    assert isinstance(reading.of(CATEGORY), Withheld)
    assert isinstance(reading.of(ATTENUATION), Withheld)


def test_80_kv_shows_hu_and_no_category(sound: Phantom) -> None:
    reading = read(phantom_case(at_kvp(sound, 80)))
    assert mean_of(reading, Level.L1) > sound.vertebra(Level.L1).trabecular_hu + 20
    assert isinstance(reading.of(CATEGORY), Withheld)
    assert reading.of(CATEGORY).code == "kvp"


@pytest.mark.parametrize(
    ("source", "code", "level_code"),
    [
        ({"age_years": 10.0}, "age", "age"),
        ({"age_years": None}, "age", "measured"),
        ({"age_years": 35.0}, "age", "measured"),
        ({"spectrum": Spectrum.VIRTUAL_NON_CONTRAST}, "spectrum", "spectrum"),
        ({"spectrum": Spectrum.MATERIAL_MAP}, "spectrum", "spectrum"),
        ({"spectrum": Spectrum.TIN_FILTERED}, "spectrum", "measured"),
        ({"spectrum": Spectrum.PHOTON_COUNTING}, "spectrum", "measured"),
        ({"spectrum": Spectrum.MONO_ENERGETIC, "mono_energy": 40.0}, "spectrum", "measured"),
    ],
)
def test_what_the_header_says_withholds_the_category_and_where_need_be_the_numbers(
    sound: Phantom, source: dict[str, Any], code: str, level_code: str
) -> None:
    reading = read(phantom_case(sound, **source))
    assert isinstance(reading.of(CATEGORY), Withheld)
    assert reading.of(CATEGORY).code == code
    assert code_of(reading, Level.L1) == level_code


def test_slices_of_5_mm_still_give_the_mean() -> None:
    thick = SpinePhantom(levels=SHOWN, noise=10.0, texture=0.0).build(1.2, 5.0, field_of_view=(140, 160))
    reading = read(phantom_case(thick))
    for level in SHOWN:
        assert code_of(reading, level) in ("measured", "small-region")
        if code_of(reading, level) == "measured":
            assert mean_of(reading, level) == pytest.approx(thick.vertebra(level).trabecular_hu, abs=3.0)


def test_voxels_of_a_third_of_a_millimetre() -> None:
    fine = SpinePhantom(levels=(Level.L1, Level.L1), noise=10.0, texture=0.0).build(
        0.33, 1.0, field_of_view=(64, 64), margin=2.0
    )
    assert mean_of(read(phantom_case(fine)), Level.L1) == pytest.approx(fine.vertebra(Level.L1).trabecular_hu, abs=2.0)


def test_a_sagittal_stack_gives_the_same_numbers(sound: Phantom) -> None:
    case = phantom_case(sound)
    assert case.segmentation is not None
    turned = replace(
        case,
        volume=sagittal(case.volume),
        segmentation=replace(
            case.segmentation,
            labels=sagittal(case.segmentation.labels),
            regions=sagittal(case.segmentation.regions),
        ),
    )
    straight, other = read(case), read(turned)
    for level in SHOWN:
        assert mean_of(other, level) == pytest.approx(mean_of(straight, level), abs=1.5)


def sagittal(volume: hd.Volume) -> hd.Volume:
    """The same voxels with slices from left to right."""
    affine = volume.affine[:, [2, 0, 1, 3]]
    return hd.Volume(np.ascontiguousarray(volume.array.transpose(2, 0, 1)), affine, coordinate_system="PATIENT")


def test_severe_scoliosis_is_measured_in_the_vertebras_own_frame() -> None:
    bent = SpinePhantom(
        levels=SHOWN, noise=10.0, texture=0.0, curves=Curves(scoliosis=45.0, apex=Level.L1, rotation=15.0)
    ).build(1.2, 2.0, field_of_view=(140, 160))
    reading = read(phantom_case(bent))
    for level in SHOWN:
        assert mean_of(reading, level) == pytest.approx(bent.vertebra(level).trabecular_hu, abs=2.0)


def with_maps(case: Case, change: Callable[[np.ndarray, np.ndarray], None]) -> Case:
    assert case.segmentation is not None
    labels, regions = case.segmentation.labels.array.copy(), case.segmentation.regions.array.copy()
    change(labels, regions)
    return replace(
        case,
        segmentation=replace(
            case.segmentation,
            labels=case.segmentation.labels.with_array(labels),
            regions=case.segmentation.regions.with_array(regions),
        ),
    )


def _empty(labels: np.ndarray, regions: np.ndarray) -> None:
    labels[:] = 0


def _everything(labels: np.ndarray, regions: np.ndarray) -> None:
    labels[:], regions[:] = 1, Region.BODY


def _one_voxel(labels: np.ndarray, regions: np.ndarray) -> None:
    keep = tuple(np.argwhere(labels == 1)[0])
    labels[labels == 1] = 0
    labels[keep], regions[keep] = 1, Region.BODY


def _merged(labels: np.ndarray, regions: np.ndarray) -> None:
    labels[labels == 2] = 1


def _split(labels: np.ndarray, regions: np.ndarray) -> None:
    slices = np.argwhere(labels == 1)[:, 0]
    labels[: int(np.median(slices))][labels[: int(np.median(slices))] == 1] = 2


def _dust(labels: np.ndarray, regions: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    labels[:] = rng.integers(0, 3, labels.shape)
    regions[:] = rng.integers(0, 4, labels.shape)


@pytest.mark.parametrize("change", [_empty, _everything, _one_voxel, _merged, _split, _dust])
def test_an_absurd_mask_is_a_reason_at_the_level_and_never_an_exception(
    sound: Phantom, change: Callable[[np.ndarray, np.ndarray], None]
) -> None:
    reading = read(with_maps(phantom_case(sound), change))
    assert code_of(reading, Level.L1) != "measured"
    for vertebra in reading.vertebrae:
        if isinstance(vertebra.of(DENSITY), Density):
            assert isinstance(vertebra.of(DENSITY).mean, Measured)
            assert 100 < vertebra.of(DENSITY).mean.value < 200


def test_an_enhanced_scan_never_calls_a_spine_normal() -> None:
    dense = dict.fromkeys((Level.T12, Level.L1, Level.L2), 190.0)
    enhanced = SpinePhantom(levels=SHOWN, aorta_hu=130.0, trabecular=dense).build(2.0, 3.0)
    reading = read(phantom_case(enhanced))
    assert outcome(reading, "contrast") is not Outcome.PASS
    assert not isinstance(reading.of(CATEGORY), DensityCategory)


def test_a_scan_without_any_whole_graded_vertebra_gives_nothing(sound: Phantom) -> None:
    case = phantom_case(sound)
    assert case.segmentation is not None
    cut = tuple(replace(v, complete=False) for v in case.segmentation.vertebrae)
    reading = read(replace(case, segmentation=replace(case.segmentation, vertebrae=cut)))
    assert outcome(reading, "coverage") is Outcome.WITHHOLD
    assert code_of(reading, Level.L1) == "coverage"
