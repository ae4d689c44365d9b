"""Asking the networks: tiles for long volumes, vertebrae in batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as nnf
from torch import Tensor

from models.compute import Compute
from models.vertebrae.maps import CoarseMaps
from models.vertebrae.network import OFFSET_SCALE as MM_PER_UNIT
from models.vertebrae.network import CoarseNetwork, FineNetwork, normalise_hu

Floats = npt.NDArray[np.float32]

OVERLAP = 48
"""Slices that neighbouring tiles share; half of them at each end are not used."""
LARGEST_PLANE = 192 * 160
"""Most voxels of one slice (3 mm) that the coarse network sees at once: 58 × 48 cm."""
LARGEST_TILE = 160 * LARGEST_PLANE
"""Most voxels that the coarse network sees at once. It bounds the memory; a person of usual width is
then read in one piece up to 90 cm."""


def run_coarse(network: CoarseNetwork, hu: Floats, compute: Compute) -> CoarseMaps:
    """Ask the coarse network for a whole volume.

    Args:
        network: With its weights, on the device.
        hu: HU at 3 mm ``(z, y, x)``, every side a multiple of the network's stride.
        compute: Where and how.

    Returns:
        Maps on the same grid.
    """
    shape = hu.shape
    maps = CoarseMaps(
        np.zeros((7, *shape), np.float16),
        np.zeros((2, *shape), np.float16),
        np.zeros(shape, np.float32),
        np.zeros((26, *(n // 2 for n in shape)), np.float16),
    )
    tile = tile_size(shape[0], shape[1] * shape[2], network.stride)
    for start, low, high in tile_ranges(shape[0], tile, OVERLAP):
        inner, outer = slice(low - start, high - start), slice(low, high)
        half_inner, half_outer = slice(inner.start // 2, inner.stop // 2), slice(low // 2, high // 2)
        with torch.inference_mode(), compute.autocast():
            output = network(_coarse_input(hu[start : start + tile], compute.device))
            _write(maps.classes[:, outer], output.classes[0].float().softmax(dim=0)[:, inner])
            _write(maps.phase[:, outer], output.phase[0, :, inner])
            _write(maps.offset[outer], output.offset[0, 0, inner].float() * MM_PER_UNIT)
            _write(maps.levels[:, half_outer], output.levels[0].float().softmax(dim=0)[:, half_inner])
    return maps


def tile_size(depth: int, plane: int, multiple: int) -> int:
    """Slices of one tile: as few tiles as the memory allows, all of one size.

    Args:
        depth: Slices in all.
        plane: Voxels of one slice.
        multiple: What the size must be a multiple of, as ``depth`` is.
    """
    most = max(LARGEST_TILE // plane // multiple * multiple, 2 * OVERLAP)
    if depth <= most:
        return depth
    count = math.ceil((depth - OVERLAP) / (most - OVERLAP))
    return math.ceil((depth + (count - 1) * OVERLAP) / count / multiple) * multiple


def tile_ranges(depth: int, tile: int, overlap: int) -> list[tuple[int, int, int]]:
    """Start of every tile, and the range of slices that it answers for."""
    if depth <= tile:
        return [(0, 0, depth)]
    count = math.ceil((depth - overlap) / (tile - overlap))
    starts = [min(i * (tile - overlap), depth - tile) for i in range(count)]
    edges = [0] + [(a + tile + b) // 4 * 2 for a, b in pairwise(starts)] + [depth]
    return [(start, edges[i], edges[i + 1]) for i, start in enumerate(starts)]


def _coarse_input(hu: Floats, device: torch.device) -> Tensor:
    image = normalise_hu(torch.from_numpy(np.ascontiguousarray(hu)).to(device))[None, None]
    return image.contiguous(memory_format=torch.channels_last_3d)


def _write(target: npt.NDArray[np.floating], values: Tensor) -> None:
    """Copy from the device into an array, changing the number type on the way."""
    torch.from_numpy(target).copy_(values)


def run_fine(network: FineNetwork, crops: Sequence[Floats], spots: Sequence[Floats], compute: Compute) -> list[Floats]:
    """Ask the fine network for some vertebrae.

    Args:
        network: With its weights, on the device.
        crops: Of each vertebra the HU at 1.5 mm ``(z, y, x)``, all of one shape whose sides are
            multiples of the network's stride.
        spots: Of each a spot at its centre, the same shape.
        compute: Where and how.

    Returns:
        Of each the probabilities ``(4, z, y, x)``: background, body, posterior elements, adjoining
        discs.
    """
    results: list[Floats] = []
    for low in range(0, len(crops), compute.batch):
        image = normalise_hu(torch.from_numpy(np.stack(crops[low : low + compute.batch])).to(compute.device))
        spot = torch.from_numpy(np.stack(spots[low : low + compute.batch])).to(compute.device)
        stacked = torch.stack([image, spot], dim=1).contiguous(memory_format=torch.channels_last_3d)
        with torch.inference_mode(), compute.autocast():
            shares = nnf.softmax(network(stacked).float(), dim=1)
        results.extend(np.asarray(share) for share in shares.cpu().contiguous().numpy())
    return results
