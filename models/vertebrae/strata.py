"""The same CT as a worse scanner would have given it: thick slices, noise, a narrow field of view.

Only the centres of the vertebrae are known in all of them; outlines are judged on the CT as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import highdicom as hd
import numpy as np

from models.vertebrae.references import Reference

THICK = 5.0
"""Slice thickness in mm."""
NOISE = 40.0
"""Standard deviation of the noise that is added, HU."""
NARROW = 130.0
"""Width and depth of the narrow field of view, mm."""


def thick_slices(reference: Reference) -> Reference:
    """Neighbouring axial slices averaged until one is 5 mm or a little less."""
    turned = reference.volume.to_patient_orientation("HPL")
    count = max(1, int(THICK // turned.spacing[0]))
    slices = turned.spatial_shape[0] // count
    data = np.asarray(turned.array[: slices * count], dtype=np.float32)
    means = data.reshape(slices, count, *data.shape[1:]).mean(axis=1)
    affine = turned.affine.copy()
    affine[:3, 3] += 0.5 * (count - 1) * affine[:3, 0]
    affine[:3, 0] *= count
    thick = hd.Volume(np.round(means).astype(np.int16), affine, coordinate_system="PATIENT")
    return _centres_only(reference, thick)


def noisy(reference: Reference) -> Reference:
    """Noise of 40 HU on every voxel, the same at every call."""
    rng = np.random.default_rng(0)
    data = np.asarray(reference.volume.array, dtype=np.float32)
    data = data + rng.normal(0.0, NOISE, data.shape).astype(np.float32)
    return _centres_only(reference, reference.volume.with_array(np.clip(np.round(data), -1024, 3071).astype(np.int16)))


def narrow_view(reference: Reference) -> Reference:
    """A field of view of 130 mm around the spine, as a spine protocol reconstructs it."""
    turned = reference.volume.to_patient_orientation("HPL")
    centres = np.array(list(reference.centres.values()))
    places = (turned.inverse_affine @ np.column_stack([centres, np.ones(len(centres))]).T).T[:, :3]
    boxes: list[slice] = []
    for axis, behind in ((1, 20.0), (2, 0.0)):
        half = 0.5 * NARROW / turned.spacing[axis]
        middle = np.median(places[:, axis]) + behind / turned.spacing[axis]
        low = int(np.clip(middle - half, 0, turned.spatial_shape[axis] - 1))
        boxes.append(slice(low, int(np.clip(middle + half, low + 1, turned.spatial_shape[axis]))))
    cut: Any = turned  # highdicom's types know no tuple of slices
    return _centres_only(reference, cut[:, boxes[0], boxes[1]])


def _centres_only(reference: Reference, volume: hd.Volume) -> Reference:
    return replace(reference, volume=volume, labels={}, bodies=None, bones=None)


STRATA: Mapping[str, Callable[[Reference], Reference]] = MappingProxyType(
    {"5 mm slices": thick_slices, "noise +40 HU": noisy, "130 mm field of view": narrow_view}
)
"""What a CT can be turned into, by the name in the table."""
