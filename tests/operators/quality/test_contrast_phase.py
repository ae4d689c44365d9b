"""Phases of built bodies beside lumbar and thoracic vertebrae; limits of docs/science.md §2.10."""

from __future__ import annotations

import pytest

from models.anatomy import Level
from operators.quality.contrast_phase import Phase, contrast_phase
from tests.phantoms.spine import SpinePhantom

ABDOMEN, CHEST = (Level.T12, Level.L2), (Level.T5, Level.T8)


@pytest.mark.parametrize(
    ("levels", "aorta", "phase"),
    [
        (ABDOMEN, 40.0, Phase.NATIVE),
        (ABDOMEN, 140.0, Phase.VENOUS),
        (ABDOMEN, 300.0, Phase.ARTERIAL),
        (CHEST, 40.0, Phase.NATIVE),
        (CHEST, 140.0, Phase.VENOUS),
    ],
)
def test_phase_follows_the_aorta(levels: tuple[Level, Level], aorta: float, phase: Phase) -> None:
    phantom = SpinePhantom(levels=levels, aorta_hu=aorta).build(2.0, 4.0)
    found = contrast_phase(phantom.volume, phantom.segmentation())
    assert found.phase is phase
    if phase.enhanced:
        assert found.vessel == pytest.approx(aorta, abs=6.0)


def test_a_field_of_view_without_vessels_tells_nothing() -> None:
    narrow = SpinePhantom(levels=ABDOMEN).build(2.0, 4.0, field_of_view=(56, 60))
    assert contrast_phase(narrow.volume, narrow.segmentation()).phase is Phase.UNKNOWN
