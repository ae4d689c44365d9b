"""What counts as found and named when an engine is judged."""

from __future__ import annotations

import highdicom as hd
import numpy as np

from models.anatomy import Level
from models.engine import Numbering, SpineSegmentation, VertebraInstance
from models.vertebrae.evaluation.evaluate import Row, match
from models.vertebrae.evaluation.references import Reference

VOLUME = hd.Volume(np.zeros((4, 4, 4), np.int16), np.eye(4), coordinate_system="PATIENT")
TRUTH = Reference("made up", VOLUME, {Level.T5: (0.0, 0.0, 22.0), Level.T6: (0.0, 0.0, 0.0)}, {}, None)


def answer(*vertebrae: tuple[Level, float]) -> SpineSegmentation:
    """Instances by name and height in mm."""
    nothing = VOLUME.with_array(np.zeros((4, 4, 4), np.uint8))
    instances = tuple(
        VertebraInstance(i + 1, level, 0.9, True, (0.0, 0.0, height)) for i, (level, height) in enumerate(vertebrae)
    )
    return SpineSegmentation(nothing, nothing, instances, Numbering.ANCHORED)


def judged(*vertebrae: tuple[Level, float]) -> Row:
    row = Row("made up")
    match(TRUTH, answer(*vertebrae), row)
    return row


def test_right_names_at_right_places_are_found_and_named() -> None:
    row = judged((Level.T5, 21.0), (Level.T6, 1.0))
    assert (row.wanted, row.found, row.named, row.wrong, row.extra) == (2, 2, 2, [], [])
    assert row.error_mm == 1.0


def test_what_lies_between_two_vertebrae_is_one_of_them_at_most() -> None:
    row = judged((Level.T5, 11.5))
    assert (row.found, row.named, row.wrong) == (1, 1, [])


def test_a_name_one_level_off_is_wrong_and_a_far_instance_belongs_to_nothing() -> None:
    row = judged((Level.T4, 22.0), (Level.T5, 1.0), (Level.T6, -23.0))
    assert sorted(row.wrong) == ["T5→T4", "T6→T5"]
    assert row.extra == ["T6"]
    assert row.named == 0
