"""A tilted sheet whose place is known, averaged over slices: the edge must come out where it was put."""

from __future__ import annotations

import highdicom as hd
import numpy as np
import pytest

from operators.body.bone_edges import Blur, Sight, find_edge, look
from operators.body.frame import BodyFrame
from operators.body.resampling import Sampler

MARROW, CORTEX, DISC = 150.0, 850.0, 85.0
PIXEL = 1.0
SLOPE = 0.25
"""Rise of the sheet from front to back. Endplates are never parallel to the slices throughout; where one is,
its place between two samples shifts the edge by a few tenths of a slice, whichever method is used."""


def stack(spacing: float, edge: float, sheet: float) -> hd.Volume:
    """Slices of ``spacing`` mm, each the exact mean over its thickness; bone lies below z = ``edge + SLOPE * y``."""
    count = round(40.0 / spacing)
    centres = (np.arange(count) - count / 2) * spacing
    fine = (np.arange(400) + 0.5) / 400 - 0.5
    z = centres[:, None] + fine * spacing
    above = z[:, :, None] - edge - SLOPE * (np.arange(31) * PIXEL - 15)
    profile = np.where(above > 0, DISC, np.where(above > -sheet, CORTEX, MARROW)).mean(axis=1)
    array = np.broadcast_to(profile[:, :, None], (count, 31, 31)).astype(np.float32)
    affine = np.eye(4)
    affine[:3, 0] = (0, 0, spacing)
    affine[:3, 1] = (0, PIXEL, 0)
    affine[:3, 2] = (PIXEL, 0, 0)
    affine[:3, 3] = (-15, -15, centres[0])
    return hd.Volume(np.ascontiguousarray(array), affine, coordinate_system="PATIENT")


def found(volume: hd.Volume, mask_edge: float, spacing: float) -> float:
    """Median height of the edge over y = 0, guided by a mask that ends at ``mask_edge`` there."""
    z = volume.affine[2, 3] + np.arange(volume.shape[0]) * spacing
    rise = SLOPE * (np.arange(31) * PIXEL - 15)
    inside = (z[:, None] - rise < mask_edge) & (z[:, None] > -12.0)
    inside = np.broadcast_to(inside[:, :, None], volume.shape).astype(np.uint8)
    body = volume.with_array(np.ascontiguousarray(inside))
    points = np.array([[-10.0, -10, -15], [10, 10, 15]])
    sight = Sight(
        image=Sampler(volume, points, 8.0),
        body=Sampler(body, points, 8.0, order=1),
        others=Sampler(volume.with_array(np.zeros_like(inside)), points, 8.0, order=1),
    )
    frame = BodyFrame(1, np.zeros(3), np.eye(3), (20.0, 20.0, 24.0))
    grid = np.stack(np.meshgrid(np.arange(-4.0, 5.0, 2), np.arange(-6.0, 7.0), [0.0], indexing="ij"), -1)[:, :, 0]
    up = np.array([0.0, 0.0, 1.0])
    edge = find_edge(look(sight, frame, grid, up, 18.0), Blur(volume, spacing).along(up), DISC)
    heights = (edge.position - SLOPE * grid[..., 1])[np.isfinite(edge.position)]
    return float(np.median(heights)) if heights.size else np.nan


@pytest.mark.parametrize(("spacing", "tolerance"), [(0.7, 0.12), (1.0, 0.12), (1.5, 0.15), (2.0, 0.3), (3.0, 0.35)])
@pytest.mark.parametrize("edge", [11.3, 12.0, 12.65])
@pytest.mark.parametrize("sheet", [0.6, 1.0])
def test_edge_is_where_it_was_put(spacing: float, tolerance: float, edge: float, sheet: float) -> None:
    assert found(stack(spacing, edge, sheet), 12.0, spacing) == pytest.approx(edge, abs=tolerance)


@pytest.mark.parametrize("mask_edge", [10.5, 13.5])
def test_a_mask_that_is_off_does_not_move_the_edge(mask_edge: float) -> None:
    assert found(stack(1.0, 12.0, 0.8), mask_edge, 1.0) == pytest.approx(12.0, abs=0.15)


def test_an_image_without_an_edge_has_none() -> None:
    volume = stack(1.0, 12.0, 0.8)
    assert np.isnan(found(volume.with_array(np.full_like(volume.array, 40.0)), 12.0, 1.0))
