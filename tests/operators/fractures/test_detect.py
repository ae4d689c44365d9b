"""Heights against a phantom's construction, and what becomes of masks that are no vertebrae."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.anatomy import Level, Region
from operators.fractures.detect import detect_fractures
from operators.fractures.results import DEFORMITY, HEIGHTS, Deformity, Heights, Shape
from operators.reading.case import Case
from operators.reading.quantity import Measured, Withheld
from tests.operators.measured_case import case_of, phantom_case
from tests.phantoms.anatomy.column import Curves
from tests.phantoms.spine import Fracture, Pose, SpinePhantom
from tests.phantoms.truth import Phantom


def heights_of(case: Case, level: Level) -> tuple[float, float, float]:
    vertebra = next(v for v in case.reading.vertebrae if v.level is level)
    assert isinstance(vertebra.of(HEIGHTS), Heights), vertebra.of(HEIGHTS)
    three = (vertebra.of(HEIGHTS).anterior, vertebra.of(HEIGHTS).middle, vertebra.of(HEIGHTS).posterior)
    values = [quantity.value for quantity in three if isinstance(quantity, Measured)]
    assert len(values) == 3
    return values[0], values[1], values[2]


def deformity_of(case: Case, level: Level) -> Deformity:
    vertebra = next(v for v in case.reading.vertebrae if v.level is level)
    assert isinstance(vertebra.of(DEFORMITY), Deformity), vertebra.of(DEFORMITY)
    return vertebra.of(DEFORMITY)


@pytest.fixture(scope="module")
def broken() -> Phantom:
    """T11 to L4 in a patient who lies crooked, L1 a wedge of 45 %, L3 biconcave by 32 %."""
    return SpinePhantom(
        levels=(Level.T11, Level.L5),
        fractures={Level.L1: Fracture(Shape.WEDGE, 0.45), Level.L3: Fracture(Shape.BICONCAVE, 0.32)},
        pose=Pose(rotation=(7.0, 9.0, 6.0)),
        table=False,
    ).build(0.9, 1.25, field_of_view=(150, 190))


@pytest.fixture(scope="module")
def read(broken: Phantom) -> Case:
    return detect_fractures(phantom_case(broken))


@pytest.mark.parametrize("level", [Level.T11, Level.T12, Level.L1, Level.L2, Level.L3, Level.L4, Level.L5])
def test_heights_are_those_of_the_construction(broken: Phantom, read: Case, level: Level) -> None:
    truth = broken.vertebra(level)
    expected = (truth.anterior, truth.middle, truth.posterior)
    # The wall of the phantom's wedge stops short of its nominal depth, 0.5 mm of height for each mm.
    assert heights_of(read, level) == pytest.approx(expected, abs=1.1 if level is Level.L1 else 1.0)


def test_fractures_have_their_grade_and_shape(read: Case) -> None:
    wedge, biconcave = deformity_of(read, Level.L1), deformity_of(read, Level.L3)
    assert (wedge.grade, wedge.shape) == (3, Shape.WEDGE)
    assert (biconcave.grade, biconcave.shape) == (2, Shape.BICONCAVE)


@pytest.mark.parametrize("level", [Level.T11, Level.T12, Level.L2, Level.L4])
def test_intact_neighbours_of_fractures_are_grade_0(read: Case, level: Level) -> None:
    assert deformity_of(read, level).grade == 0


def test_a_view_that_ends_just_above_a_body_does_not_hide_its_plate(broken: Phantom) -> None:
    """Slices end 9 mm above the highest point of T11's mask, in a crooked pose."""
    case = phantom_case(broken)
    assert case.segmentation is not None
    number = next(v.number for v in case.reading.vertebrae if v.level is Level.T11)
    mask = (case.segmentation.labels.array == number) & (case.segmentation.regions.array == Region.BODY)
    rows = np.flatnonzero(mask.any(axis=(1, 2)))
    towards_feet = case.volume.affine[2, 0] < 0
    margin = round(9.0 / 1.25)
    part = slice(int(rows[0]) - margin, None) if towards_feet else slice(0, int(rows[-1]) + margin)
    segmentation = replace(
        case.segmentation,
        labels=case.segmentation.labels[part],
        regions=case.segmentation.regions[part],
    )
    cut = detect_fractures(case_of(case.volume[part], segmentation, slice_thickness=1.25))
    truth = broken.vertebra(Level.T11)
    assert heights_of(cut, Level.T11) == pytest.approx((truth.anterior, truth.middle, truth.posterior), abs=1.0)


def test_l5_has_heights_but_no_grade(read: Case) -> None:
    l5 = next(v for v in read.reading.vertebrae if v.level is Level.L5)
    assert isinstance(l5.of(HEIGHTS), Heights)
    assert isinstance(l5.of(DEFORMITY), Withheld)
    assert l5.of(DEFORMITY).code == "level-not-graded"


def test_height_lines_span_the_height_that_is_reported(read: Case) -> None:
    for vertebra in read.reading.vertebrae:
        if not isinstance(vertebra.of(HEIGHTS), Heights) or vertebra.of(HEIGHTS).lines is None:
            continue
        assert isinstance(vertebra.of(HEIGHTS).posterior, Measured)
        line = vertebra.of(HEIGHTS).lines[2]
        length = np.linalg.norm(np.subtract(line.superior, line.inferior))
        assert length == pytest.approx(vertebra.of(HEIGHTS).posterior.value, abs=1.0)


def test_scoliosis_does_not_shorten_heights() -> None:
    phantom = SpinePhantom(levels=(Level.T12, Level.L3), curves=Curves(scoliosis=30.0), table=False).build(
        1.0, 1.5, field_of_view=(150, 180)
    )
    case = detect_fractures(phantom_case(phantom))
    for level in (Level.L1, Level.L2):
        truth = phantom.vertebra(level)
        expected = (truth.anterior, truth.middle, truth.posterior)
        assert heights_of(case, level) == pytest.approx(expected, abs=1.2)


@pytest.fixture(scope="module")
def small() -> Case:
    phantom = SpinePhantom(levels=(Level.L2, Level.L3), table=False).build(1.2, 2.0, field_of_view=(130, 150))
    return phantom_case(phantom)


def reasons(case: Case) -> dict[Level, str | None]:
    done = detect_fractures(case).reading.vertebrae
    return {v.level: v.of(HEIGHTS).code if isinstance(v.of(HEIGHTS), Withheld) else None for v in done}


def test_cut_vertebrae_are_withheld(small: Case) -> None:
    found = reasons(small)
    assert found[Level.L2] is None
    assert {code for level, code in found.items() if level not in (Level.L2, Level.L3)} <= {"incomplete"}


def test_a_vertebra_without_a_body_is_withheld(small: Case) -> None:
    assert small.segmentation is not None
    regions = np.where(small.segmentation.regions.array == Region.BODY, 0, small.segmentation.regions.array)
    segmentation = replace(small.segmentation, regions=small.segmentation.regions.with_array(regions))
    assert reasons(replace(small, segmentation=segmentation))[Level.L2] == "no-body"


def test_two_levels_in_one_mask_are_withheld(small: Case) -> None:
    assert small.segmentation is not None
    numbers = {v.level: v.number for v in small.segmentation.vertebrae}
    labels = small.segmentation.labels.array.copy()
    regions = small.segmentation.regions.array.copy()
    labels[labels == numbers[Level.L3]] = numbers[Level.L2]
    # A bridge through the disc joins the two bodies.
    x, y, z = next(v.centroid for v in small.segmentation.vertebrae if v.level is Level.L2)
    i, j, k = small.volume.map_reference_to_indices(np.array([[x, y, z]]))[0].round().astype(int)
    labels[i : i + 20, j - 4 : j + 4, k - 4 : k + 4] = numbers[Level.L2]
    regions[i : i + 20, j - 4 : j + 4, k - 4 : k + 4] = Region.BODY
    segmentation = replace(
        small.segmentation,
        labels=small.segmentation.labels.with_array(labels),
        regions=small.segmentation.regions.with_array(regions),
    )
    found = reasons(replace(small, segmentation=segmentation))
    assert found[Level.L2] == "implausible-body"
    assert found[Level.L3] == "no-body"


@pytest.mark.parametrize("value", [0, 1, 250])
def test_absurd_masks_are_withheld(small: Case, value: int) -> None:
    """Nothing, everything, or noise as the mask."""
    assert small.segmentation is not None
    rng = np.random.default_rng(3)
    shape = small.volume.spatial_shape
    labels = (
        np.full(shape, 2, np.uint8) if value == 1 else (rng.random(shape) > 0.999).astype(np.uint8) * 2 * (value > 0)
    )
    segmentation = replace(
        small.segmentation,
        labels=small.segmentation.labels.with_array(labels.astype(np.uint8)),
        regions=small.segmentation.regions.with_array((labels > 0).astype(np.uint8)),
    )
    assert None not in reasons(replace(small, segmentation=segmentation)).values()


def test_a_featureless_volume_gives_reasons(small: Case) -> None:
    """A right mask on an image without any bone: the endplates are nowhere to be seen."""
    flat = replace(small, volume=small.volume.with_array(np.full(small.volume.shape, 40.0, np.float32)))
    assert reasons(flat)[Level.L2] == "edges-unseen"


def test_thick_slices_withhold_through_the_gate(small: Case) -> None:
    from operators.quality.gates import assess_quality

    assert small.segmentation is not None
    thick = case_of(small.volume, small.segmentation, slice_thickness=7.0)
    assert reasons(assess_quality(thick))[Level.L2] == "slice-thickness"


def test_a_case_without_segmentation_is_left_alone(small: Case) -> None:
    bare = replace(small, segmentation=None)
    assert detect_fractures(bare) is bare
