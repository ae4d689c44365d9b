"""Which source image, or which frame of it, each slice of the volume is.

Never by list position alone: a mask on the wrong slice is an error that no validator finds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from operators.reading.case import Case
from operators.reading.errors import PermanentError, Refusal


@dataclass(frozen=True)
class SourceFrame:
    """The image that one slice of the volume was read from.

    Attributes:
        sop_class_uid, sop_instance_uid: Of the source instance.
        frame: Frame number from 1 in a multi-frame instance, else None.
        place: Position from 0 among the source frames in their own order (files of ``case.slices``, or
            frames of the one instance).
    """

    sop_class_uid: str
    sop_instance_uid: str
    frame: int | None
    place: int

    @property
    def key(self) -> tuple[str, int | None]:
        """Instance and frame number: how other objects refer to it."""
        return self.sop_instance_uid, self.frame


def source_frames(case: Case) -> tuple[SourceFrame, ...]:
    """The source frame of every slice along the first axis of the volume.

    Raises:
        PermanentError: The volume's slices do not lie where the source images lie, one on each.
    """
    first = case.slices[0]
    multi_frame = "NumberOfFrames" in first
    positions = _frame_positions(first) if multi_frame else _slice_positions(case.slices)
    affine = case.volume.affine
    count = case.volume.spatial_shape[0]
    planes = affine[:3, 3] + np.arange(count)[:, None] * affine[:3, 0]
    if len(positions) != count:
        _refuse(f"the volume has {count} slices, its source {len(positions)} images")
    distances = np.linalg.norm(planes[:, None, :] - positions[None, :, :], axis=2)
    nearest = distances.argmin(axis=1)
    tolerance = np.linalg.norm(affine[:3, 0]) / 2
    if len(set(nearest.tolist())) != count or distances.min(axis=1).max() > tolerance:
        _refuse("the slices of the volume do not lie on its source images")
    return tuple(
        SourceFrame(
            sop_class_uid=str((first if multi_frame else case.slices[place]).SOPClassUID),
            sop_instance_uid=str((first if multi_frame else case.slices[place]).SOPInstanceUID),
            frame=place + 1 if multi_frame else None,
            place=place,
        )
        for place in nearest.tolist()
    )


def _refuse(sentence: str) -> None:
    raise PermanentError(
        Refusal.IRREGULAR_GEOMETRY,
        f"{sentence}: results cannot be placed on this series; send a series with regular slices",
    )


def _slice_positions(slices: tuple[Dataset, ...]) -> NDArray[np.float64]:
    return np.array([[float(v) for v in dataset.ImagePositionPatient] for dataset in slices])


def _frame_positions(dataset: Dataset) -> NDArray[np.float64]:
    shared = dataset.SharedFunctionalGroupsSequence[0]
    positions = []
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        plane = frame if "PlanePositionSequence" in frame else shared
        positions.append([float(v) for v in plane.PlanePositionSequence[0].ImagePositionPatient])
    return np.array(positions)
