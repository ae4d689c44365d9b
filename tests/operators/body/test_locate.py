"""Bodies and surfaces are those of the case, whichever step asks, and no longer than its volume and masks are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.anatomy import Level
from operators.body.frame import Body
from operators.body.locate import bodies_of, surfaces_of
from operators.density.measure import measure_bone_density
from operators.density.results import DENSITY, Density
from operators.fractures.detect import detect_fractures
from operators.reading.case import Case
from tests.operators.measured_case import phantom_case
from tests.phantoms.spine import SpinePhantom


@pytest.fixture(scope="module")
def case() -> Case:
    spine = SpinePhantom(levels=(Level.L1, Level.L2))
    return phantom_case(spine.build(pixel_spacing=1.0, slice_spacing=2.0, field_of_view=(140, 140)))


def test_what_is_measured_of_a_body_goes_on_with_the_case(case: Case) -> None:
    body = next(body for body in bodies_of(case).values() if isinstance(body, Body))

    later = detect_fractures(case)

    assert bodies_of(later) is bodies_of(case)
    assert surfaces_of(later, body) is surfaces_of(case, body)


def test_density_is_the_same_whether_heights_were_measured_before_it_or_not(case: Case) -> None:
    alone = measure_bone_density(replace(case, once=type(case.once)()))
    after = measure_bone_density(detect_fractures(case))

    assert any(isinstance(vertebra.of(DENSITY), Density) for vertebra in alone.reading.vertebrae)
    assert [v.of(DENSITY) for v in after.reading.vertebrae] == [v.of(DENSITY) for v in alone.reading.vertebrae]


def test_other_masks_have_other_bodies(case: Case) -> None:
    masks = case.segmentation
    assert masks is not None
    first = masks.vertebrae[0].number
    fewer = replace(masks, labels=masks.labels.with_array(np.where(masks.labels.array == first, 0, masks.labels.array)))

    assert isinstance(bodies_of(case)[first], Body)
    assert not isinstance(bodies_of(replace(case, segmentation=fewer))[first], Body)
