"""Spines and scans that cannot be measured like any other: a number with its reason, or none with its reason.

The truth is the phantom's construction; nothing may raise, and nothing may be a silent zero.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from models.anatomy import Level
from models.engine import SpineSegmentation, VertebraInstance
from operators.fractures.detect import detect_fractures
from operators.fractures.results import DEFORMITY, HEIGHTS, Deformity, Heights, MimicCode, Shape
from operators.quality.gates import assess_quality
from operators.reading.case import Case
from operators.reading.quantity import Measured, Withheld
from operators.reading.vertebra import Vertebra
from operators.results.walk import sentence_texts
from tests.operators.measured_case import case_of, phantom_case
from tests.phantoms.anatomy.column import Curves
from tests.phantoms.damage import with_cement, with_screws
from tests.phantoms.lookalikes import with_bone_bridge, with_metastasis, with_schmorl_node
from tests.phantoms.spine import Fracture, SpinePhantom
from tests.phantoms.truth import Phantom


@pytest.fixture(scope="module")
def plain() -> Phantom:
    return SpinePhantom(levels=(Level.T11, Level.L3), table=False).build(1.2, 1.5, field_of_view=(120, 150))


def read(phantom: Phantom, **source: object) -> dict[Level, Vertebra]:
    return vertebrae(phantom_case(phantom, **source))


def vertebrae(case: Case) -> dict[Level, Vertebra]:
    return {v.level: v for v in detect_fractures(case).reading.vertebrae}


def deformity(vertebra: Vertebra) -> Deformity:
    assert isinstance(vertebra.of(DEFORMITY), Deformity), vertebra.of(DEFORMITY)
    return vertebra.of(DEFORMITY)


def code(vertebra: Vertebra) -> str | None:
    return vertebra.of(HEIGHTS).code if isinstance(vertebra.of(HEIGHTS), Withheld) else None


def mimics(vertebra: Vertebra) -> set[MimicCode]:
    return {mimic.code for mimic in deformity(vertebra).mimics}


def errors(phantom: Phantom, vertebra: Vertebra) -> np.ndarray:
    """Differences of Ha, Hm and Hp to the construction, mm."""
    truth = phantom.vertebra(vertebra.level)
    assert isinstance(vertebra.of(HEIGHTS), Heights), vertebra.of(HEIGHTS)
    three = (vertebra.of(HEIGHTS).anterior, vertebra.of(HEIGHTS).middle, vertebra.of(HEIGHTS).posterior)
    values = [quantity.value for quantity in three if isinstance(quantity, Measured)]
    return np.subtract(values, (truth.anterior, truth.middle, truth.posterior))


def test_an_intact_spine_has_neither_grades_nor_mimics(plain: Phantom) -> None:
    found = read(plain)
    for level in (Level.T11, Level.T12, Level.L1, Level.L2, Level.L3):
        assert deformity(found[level]).grade == 0
        assert mimics(found[level]) == set()
        assert deformity(found[level]).is_endplate_depressed is False


def test_cement_is_a_treated_level_with_heights_and_no_grade(plain: Phantom) -> None:
    found = read(with_cement(plain, Level.L1))
    assert isinstance(found[Level.L1].of(HEIGHTS), Heights)
    assert isinstance(found[Level.L1].of(DEFORMITY), Withheld)
    assert found[Level.L1].of(DEFORMITY).code == "cement"
    assert MimicCode.CEMENT_NEARBY in mimics(found[Level.L2])
    assert deformity(found[Level.L2]).grade == 0


def test_screws_withhold_their_level_and_are_named_beside_it(plain: Phantom) -> None:
    found = read(with_screws(plain, [Level.L2]))
    assert code(found[Level.L2]) == "metal"
    assert MimicCode.HARDWARE in mimics(found[Level.L1])


@pytest.mark.parametrize(("hu", "mimic"), [(-20.0, MimicCode.LYTIC), (500.0, MimicCode.SCLEROTIC)])
def test_a_metastasis_is_named(plain: Phantom, hu: float, mimic: MimicCode) -> None:
    found = read(with_metastasis(plain, Level.L1, hu))
    assert mimics(found[Level.L1]) == {mimic}
    assert mimics(found[Level.T12]) == set()


def test_bone_in_front_of_a_disc_is_named_and_heights_stay(plain: Phantom) -> None:
    found = read(with_bone_bridge(plain, Level.T12, Level.L1))
    for level in (Level.T12, Level.L1):
        assert mimics(found[level]) == {MimicCode.FUSED}
        assert np.abs(errors(plain, found[level])).max() < 1.0
    assert mimics(found[Level.L2]) == set()


def test_a_disc_that_is_bone_withholds_the_heights_beside_it(plain: Phantom) -> None:
    found = read(with_bone_bridge(plain, Level.T12, Level.L1, whole_disc=True))
    assert [code(found[level]) for level in (Level.T12, Level.L1, Level.L2)] == ["fused", "fused", None]


def test_a_narrow_schmorl_node_is_no_fracture(plain: Phantom) -> None:
    found = read(with_schmorl_node(plain, Level.L1))
    assert deformity(found[Level.L1]).grade == 0


def split(segmentation: SpineSegmentation, level: Level) -> SpineSegmentation:
    """The vertebra of a level as two instances, upper and lower half."""
    whole = next(v for v in segmentation.vertebrae if v.level is level)
    labels = segmentation.labels.array.copy()
    row = round(float(segmentation.labels.map_reference_to_indices(np.array([whole.centroid]))[0][0]))
    number = max(v.number for v in segmentation.vertebrae) + 1
    labels[row:][labels[row:] == whole.number] = number
    extra = VertebraInstance(number, Level.L6, 0.9, True, whole.centroid)
    place = segmentation.vertebrae.index(whole) + 1
    instances = (*segmentation.vertebrae[:place], extra, *segmentation.vertebrae[place:])
    return replace(segmentation, labels=segmentation.labels.with_array(labels), vertebrae=instances)


def test_one_vertebra_split_in_two_is_withheld(plain: Phantom) -> None:
    found = vertebrae(case_of(plain.volume, split(plain.segmentation(), Level.L1)))
    assert code(found[Level.L1]) == "split-vertebra"
    assert code(found[Level.L6]) == "split-vertebra"
    assert code(found[Level.L2]) is None


def test_two_thoracic_levels_in_one_mask_are_withheld() -> None:
    """Together they are 44 mm high, which a single lumbar vertebra could almost be: the neighbours tell."""
    phantom = SpinePhantom(levels=(Level.T6, Level.T10), table=False).build(1.2, 2.0, field_of_view=(110, 140))
    segmentation = phantom.segmentation()
    upper, lower = (phantom.vertebra(level) for level in (Level.T7, Level.T8))
    labels = segmentation.labels.array.copy()
    regions = segmentation.regions.array.copy()
    labels[labels == lower.number] = upper.number
    low, high = (
        segmentation.labels.map_reference_to_indices(np.array([v.centroid]))[0].astype(int) for v in (lower, upper)
    )
    bridge = (slice(high[0], low[0]), slice(low[1] - 4, low[1] + 4), slice(low[2] - 4, low[2] + 4))
    labels[bridge], regions[bridge] = upper.number, 1
    broken = replace(
        segmentation,
        labels=segmentation.labels.with_array(labels),
        regions=segmentation.regions.with_array(regions),
    )
    found = vertebrae(case_of(phantom.volume, broken))
    assert code(found[Level.T7]) == "merged-levels"
    assert code(found[Level.T8]) == "no-body"
    assert code(found[Level.T9]) is None


def test_severe_scoliosis_is_measured_in_the_vertebras_own_frame() -> None:
    phantom = SpinePhantom(
        levels=(Level.T12, Level.L3), curves=Curves(scoliosis=40.0, rotation=10.0), table=False
    ).build(1.0, 1.5, field_of_view=(150, 170))
    found = read(phantom)
    for level in (Level.T12, Level.L1, Level.L2, Level.L3):
        assert np.abs(errors(phantom, found[level])).max() < 1.2
        assert deformity(found[level]).grade == 0


def test_slices_of_5_mm_point_at_a_severe_fracture_and_say_what_they_cannot_support() -> None:
    phantom = SpinePhantom(
        levels=(Level.T6, Level.T10), fractures={Level.T8: Fracture(Shape.CRUSH, 0.6)}, table=False
    ).build(0.9, 5.0, field_of_view=(110, 140))
    case = detect_fractures(phantom_case(phantom))
    found = {v.level: v for v in case.reading.vertebrae}
    assert code(found[Level.T8]) == "possible-collapse"
    assert any("Possible vertebral fracture, to be looked at: T8" in text for text in sentence_texts(case.reading))
    for level in (Level.T7, Level.T9):
        if code(found[level]) is not None:
            assert code(found[level]) == "edges-unseen"
            continue
        mild = deformity(found[level])
        assert mild.grade in (None, 0)
        if mild.grade is None:
            assert mild.indeterminate
            assert "neither shown nor excluded" in (mild.note or "")
        assert np.abs(errors(phantom, found[level])).max() < 4.5


@pytest.mark.parametrize("orientation", [("L", "F", "P"), ("P", "F", "R")])
def test_a_sagittal_acquisition_gives_the_same_heights(plain: Phantom, orientation: tuple[str, str, str]) -> None:
    axial = vertebrae(phantom_case(plain))
    truth = plain.segmentation()
    sagittal = replace(
        truth,
        labels=truth.labels.to_patient_orientation(orientation),
        regions=truth.regions.to_patient_orientation(orientation),
    )
    found = vertebrae(
        case_of(plain.volume.to_patient_orientation(orientation), sagittal, slice_thickness=plain.slice_thickness)
    )
    for level in (Level.L1, Level.L2):
        assert errors(plain, found[level]) == pytest.approx(errors(plain, axial[level]), abs=0.1)


def test_voxels_of_a_third_of_a_millimetre(plain: Phantom) -> None:
    """One vertebra, interpolated to voxels of 0.3 mm: the heights are those of the coarser voxels."""
    number = plain.vertebra(Level.L1).number
    box = ndimage.find_objects(plain.labels.array)[number - 1]
    wide = tuple(slice(max(0, s.start - 8), s.stop + 8) for s in box)
    volume, labels, regions = (grid[wide] for grid in (plain.volume, plain.labels, plain.regions))
    factors = np.array(volume.spacing) / 0.3
    affine = volume.affine.copy()
    affine[:3, :3] /= factors
    fine = [
        type(volume)(ndimage.zoom(grid.array, factors, order=order, grid_mode=True, mode="nearest"), affine, "PATIENT")
        for grid, order in ((volume, 1), (labels, 0), (regions, 0))
    ]
    truth = plain.segmentation()
    one = tuple(v for v in truth.vertebrae if v.level is Level.L1)
    segmentation = replace(truth, labels=fine[1], regions=fine[2], vertebrae=one)
    (vertebra,) = vertebrae(case_of(fine[0], segmentation)).values()
    assert np.abs(errors(plain, vertebra)).max() < 1.0
    assert "neighbours" in (deformity(vertebra).note or "")


def test_a_child_of_ten_is_not_graded(plain: Phantom) -> None:
    case = assess_quality(phantom_case(plain, age_years=10.0))
    assert {code(v) for v in vertebrae(case).values()} == {"age"}


def test_half_a_vertebra_at_the_border_is_withheld(plain: Phantom) -> None:
    """The slices end in the middle of L3, and the engine does not notice."""
    place = plain.volume.map_reference_to_indices(np.array([plain.vertebra(Level.L3).centroid]))[0]
    rows = slice(0, round(float(place[0])))
    truth = plain.segmentation()
    cut = replace(
        truth,
        labels=truth.labels[rows],
        regions=truth.regions[rows],
        vertebrae=tuple(replace(v, complete=v.level is not Level.L3) for v in truth.vertebrae if v.level.rank <= 23),
    )
    found = vertebrae(case_of(plain.volume[rows], cut))
    assert code(found[Level.L3]) == "incomplete"
    assert deformity(found[Level.L2]).grade == 0
