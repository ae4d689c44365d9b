"""Labels from a teacher: its outlines, never its names."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest

from models.anatomy import Level
from models.engine import Numbering, SpineSegmentation, VertebraInstance
from models.label_ids import CORD_ID, S1_ID, SACRUM_ID
from models.vertebrae.evaluation.references import Point, read_reference
from models.vertebrae.training.teacher import TeachingError, taught, true_names
from models.vertebrae.weights import FOLDER

PLACES: tuple[Point, ...] = ((0.0, 0.0, 120.0), (0.0, 0.0, 90.0), (0.0, 0.0, 60.0), (0.0, 0.0, 30.0))


def answer(places: tuple[Point, ...]) -> SpineSegmentation:
    """A teacher that is one level off."""
    empty = hd.Volume(np.zeros((2, 2, 2), np.uint8), np.eye(4), coordinate_system="PATIENT")
    names = (Level.T10, Level.T11, Level.T12, Level.L1)
    found = tuple(VertebraInstance(i + 1, names[i], 0.9, True, place) for i, place in enumerate(places))
    return SpineSegmentation(empty, empty, found, Numbering.RELATIVE)


def test_names_come_from_the_known_centres_and_reach_beyond_them() -> None:
    centres = {Level.T12: (3.0, 2.0, 91.0), Level.L1: (-2.0, 0.0, 58.0)}
    assert true_names("a", answer(PLACES), centres) == [Level.T11, Level.T12, Level.L1, Level.L2]


@pytest.mark.parametrize(
    ("places", "centres", "reason"),
    [
        (PLACES[:1] + PLACES[2:], {Level.T11: PLACES[0], Level.L1: PLACES[2]}, "missed, or found twice"),
        (PLACES, {Level.T11: PLACES[0], Level.T12: PLACES[2]}, "missed, or found twice"),
        (PLACES, {Level.T11: (0.0, 0.0, 150.0)}, "no vertebra was found near T11"),
        ((), {Level.T11: PLACES[0]}, "no vertebra was found near T11"),
        (PLACES, {Level.C1: PLACES[1]}, "more vertebrae were found"),
        (PLACES, {Level.S1: PLACES[1]}, "more vertebrae were found"),
    ],
)
def test_a_teacher_that_does_not_fit_the_known_centres_is_refused(
    places: tuple[Point, ...], centres: dict[Level, Point], reason: str
) -> None:
    with pytest.raises(TeachingError, match=rf"chest cannot be taught: .*{reason}.*; use a teacher"):
        true_names("chest", answer(places), centres)


@pytest.mark.data
def test_labels_of_a_real_ct_are_those_of_its_own_reference(shared_data: Path) -> None:
    """lumbar_3mm has label maps of another model, which the teacher does not see."""
    labels, hu = taught(shared_data, "lumbar_3mm", FOLDER)
    reference = read_reference(shared_data, "lumbar_3mm").volume.to_patient_orientation("HPL")
    assert labels.shape == hu.shape == tuple(2 * n for n in reference.spatial_shape)
    thick = hu.reshape(reference.spatial_shape[0], 2, reference.spatial_shape[1], 2, -1, 2).mean(axis=(1, 3, 5))
    assert np.corrcoef(thick.ravel(), np.asarray(reference.array, np.float32).ravel())[0, 1] > 0.98
    known = read_reference(shared_data, "lumbar_3mm")
    for number, level in enumerate((Level.L5, Level.L4, Level.L3, Level.L2, Level.L1), start=S1_ID + 1):
        mask = known.volume.with_array(known.labels[level].astype(np.uint8)).to_patient_orientation("HPL").array
        fine = mask.repeat(2, 0).repeat(2, 1).repeat(2, 2) > 0
        own = labels == number
        assert 2.0 * np.count_nonzero(own & fine) / (np.count_nonzero(own) + np.count_nonzero(fine)) > 0.88, level
    assert {SACRUM_ID, S1_ID, CORD_ID} <= set(np.unique(labels).tolist())
    bone = hu[labels == S1_ID].mean()
    assert bone > hu[labels == CORD_ID].mean() + 50.0
