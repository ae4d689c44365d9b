"""Phantoms with the sacrum as a vertebra, and the angles that they were built with."""

from __future__ import annotations

from dataclasses import replace

import highdicom as hd
import numpy as np

from models.anatomy import Level, Region
from models.engine import SpineSegmentation, VertebraInstance
from operators.reading.case import Case
from tests.operators.measured_case import case_of
from tests.phantoms.spine import SpinePhantom
from tests.phantoms.truth import Phantom, VertebraTruth

FIELD = (130.0, 240.0)
UPRIGHT = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
"""Left, posterior and superior axis of a patient who lies straight."""


def built(phantom: SpinePhantom, pixel: float = 1.5, slices: float = 1.5) -> Phantom:
    """A phantom on a field of view around its spine."""
    plain = replace(phantom, ribs=False, table=False)
    return plain.build(pixel_spacing=pixel, slice_spacing=slices, field_of_view=FIELD)


def with_sacrum(phantom: Phantom) -> SpineSegmentation:
    """The true segmentation with S1 as a vertebra, as the engines give it: its body in front of the canal."""
    found, sacrum = phantom.segmentation(), phantom.sacrum
    if sacrum is None:
        return found
    index = np.argwhere(phantom.regions.array == Region.SACRUM)
    local = sacrum.frame.to_local(index @ phantom.labels.affine[:3, :3].T + phantom.labels.affine[:3, 3])
    u, v, w = local.astype(np.float32).T
    own = index[sacrum.body.distance(u, v, w) < 0]
    number = len(found.vertebrae) + 1
    labels = phantom.labels.array.copy()
    labels[tuple(own.T)] = number
    s1 = VertebraInstance(number, Level.S1, 1.0, complete=True, centroid=sacrum.centroid)
    return replace(found, labels=phantom.labels.with_array(labels), vertebrae=(*found.vertebrae, s1))


def case_with_sacrum(phantom: Phantom) -> Case:
    return case_of(phantom.volume, with_sacrum(phantom), slice_thickness=phantom.slice_thickness)


def true_normal(vertebra: VertebraTruth, superior: bool) -> np.ndarray:
    """Cranial normal of an endplate as it was built, without its dish, LPS."""
    # The flat endplate is w = ± (height / 2 + v · slope / 2), v towards the front.
    rise = vertebra.body.slope / 2 * (1 if superior else -1)
    local = np.array([0.0, -rise, 1.0])
    normal: np.ndarray = local / np.linalg.norm(local) @ vertebra.frame.axes
    return normal


def forward(vertebra: VertebraTruth, superior: bool, axes: np.ndarray = UPRIGHT) -> float:
    """How far an endplate leans forward, degrees."""
    _, back, up = axes @ true_normal(vertebra, superior)
    return float(np.degrees(np.arctan2(-back, up)))


def leftward(vertebra: VertebraTruth, superior: bool, axes: np.ndarray = UPRIGHT) -> float:
    """How far an endplate leans to the left, degrees."""
    left, _, up = axes @ true_normal(vertebra, superior)
    return float(np.degrees(np.arctan2(left, up)))


def true_angles(phantom: Phantom, axes: np.ndarray = UPRIGHT) -> dict[str, float]:
    """The angles that the phantom was built with, by the name of the field; those whose ends are in view."""
    wanted = {
        "kyphosis": (1, Level.T4, Level.T12, False),
        "kyphosis_from_t5": (1, Level.T5, Level.T12, False),
        "thoracolumbar": (1, Level.T10, Level.L2, False),
        "lordosis": (-1, Level.L1, Level.S1, True),
    }
    angles = {}
    for name, (sign, upper, lower, to_superior) in wanted.items():
        first, last = phantom.vertebra(upper), phantom.vertebra(lower)
        angles[name] = sign * (forward(first, True, axes) - forward(last, to_superior, axes))
    return angles


def turned(volume: hd.Volume, matrix: np.ndarray) -> hd.Volume:
    """The same voxels, turned in space about the origin."""
    affine = volume.affine.copy()
    affine[:3] = matrix @ affine[:3]
    return hd.Volume(volume.array, affine, coordinate_system="PATIENT")
