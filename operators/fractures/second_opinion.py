"""A learned second opinion on every vertebral body, beside the morphometry and never instead of it.

The network of :mod:`models.fractures` looks at a straightened crop about the body, in the frame that the body's mask
gives, so that it can be asked also where no endplate is seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import highdicom as hd
import numpy as np
import torch
from numpy.typing import NDArray

from models.anatomy import Region
from models.engine import SpineSegmentation
from models.fractures.network import BOUNDS, COLUMNS, FIELDS, PLANES_MM, ROWS, FractureNetwork, ask
from models.fractures.weights import FILE, load
from models.weights import WeightsError, digest
from operators.body.frame import Body, BodyFrame
from operators.body.resampling import Array, Sampler
from operators.fractures.results import SecondOpinion

Crop = dict[str, NDArray[np.int16] | NDArray[np.uint8]]
OUTSIDE_HU = -1024.0


def second_opinions(
    volume: hd.Volume, segmentation: SpineSegmentation, bodies: Sequence[Body], network: FractureNetwork | None = None
) -> Mapping[int, SecondOpinion]:
    """What the network says of every given body, by number.

    Args:
        volume: HU, shape ``(k, i, j)``, affine in mm (LPS).
        segmentation: On the same grid.
        bodies: Those to be judged.
        network: The shipped one without.
    """
    if not bodies:
        return {}
    crops = [straightened_crop(volume, segmentation.labels, segmentation.regions, body.frame) for body in bodies]
    parts = [torch.from_numpy(np.stack([crop[name] for crop in crops])) for name in FIELDS]
    found = ask(network or _shipped(), parts[0], parts[1], parts[2])
    chances = torch.sigmoid(found[:, : len(BOUNDS)]).tolist()
    return {body.frame.number: _opinion(three) for body, three in zip(bodies, chances, strict=True)}


def straightened_crop(volume: hd.Volume, labels: hd.Volume, regions: hd.Volume, frame: BodyFrame) -> Crop:
    """Five parasagittal planes about a vertebral body, with its neighbours.

    Args:
        volume: HU.
        labels: Instance map on the same grid.
        regions: Regions on the same grid.
        frame: Of the vertebra's body.

    Returns:
        ``hu`` (int16, −1024 outside of the scan), ``own`` and ``others`` (uint8, 255 inside the own body, inside
        other vertebrae's bodies), each ``(planes, rows, columns)``: towards left, feet and back, in steps of 4, 1
        and 1 mm.
    """
    u, w, v = np.meshgrid(
        PLANES_MM, (ROWS - 1) / 2 - np.arange(ROWS), np.arange(COLUMNS) - (COLUMNS - 1) / 2, indexing="ij"
    )
    points = frame.to_patient(np.stack([u, v, w], axis=-1))
    around = points.reshape(-1, 3)
    hu = np.nan_to_num(Sampler(volume, around, 4.0, order=1).at(points), nan=OUTSIDE_HU)
    crop: Crop = {"hu": np.clip(hu, -1024, 3071).round().astype(np.int16)}
    near = _box(labels, around)
    labels, regions = labels[near], regions[near]  # type: ignore[index]
    body = regions.array == Region.BODY
    own = labels.array == frame.number
    for name, mask in (("own", body & own), ("others", body & ~own & (labels.array > 0))):
        share = Sampler(labels.with_array(mask.astype(np.uint8)), around, 4.0, order=1).at(points)
        crop[name] = (255 * np.nan_to_num(share)).astype(np.uint8)
    return crop


def _box(grid: hd.Volume, around: Array) -> tuple[slice, ...]:
    """The part of a grid that holds the points, with two voxels more on every side; never empty."""
    index = (around - grid.affine[:3, 3]) @ np.linalg.inv(grid.affine[:3, :3]).T
    last = np.array(grid.spatial_shape) - 1
    low = np.clip(np.floor(index.min(axis=0)) - 2, 0, last).astype(int)
    high = np.clip(np.ceil(index.max(axis=0)) + 2, 0, last).astype(int) + 1
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


@cache
def second_opinion_digest() -> str:
    """SHA-256 of the shipped weights, hex.

    Raises:
        WeightsError: There are none.
    """
    if not FILE.exists():
        raise WeightsError(FILE, "the file is missing")
    return digest(FILE)


@cache
def _shipped() -> FractureNetwork:
    return load()


def _opinion(chances: Sequence[float]) -> SecondOpinion:
    # Ordinal: a higher grade is never likelier than a lower one.
    ordered = np.minimum.accumulate(chances)
    return SecondOpinion(probability=round(float(ordered[1]), 3), grade=int((ordered >= 0.5).sum()))
