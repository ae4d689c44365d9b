"""Asking the networks: tiles for long volumes, bfloat16 where the processor has it."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as nnf
from torch import Tensor

from models.vertebrae.decode import CoarseMaps
from models.vertebrae.network import OFFSET_SCALE as MM_PER_UNIT
from models.vertebrae.network import CoarseNetwork, FineNetwork, normalise_hu

Floats = npt.NDArray[np.float32]

TILE = 160
"""Most slices (3 mm) that the coarse network sees at once: 48 cm."""
OVERLAP = 48
"""Slices that neighbouring tiles share; half of them at each end are not used."""
LARGEST_PLANE = 192 * 160
"""Most voxels of one slice (3 mm) that the coarse network sees at once: 58 × 48 cm."""


def fast_precision() -> bool:
    """Whether bfloat16 is computed by the processor itself rather than emulated."""
    capable = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(capable and capable())


def _device(network: torch.nn.Module) -> torch.device:
    return next(network.parameters()).device


def run_coarse(network: CoarseNetwork, hu: Floats, fast: bool) -> CoarseMaps:
    """Ask the coarse network for a whole volume.

    Args:
        network: With its weights.
        hu: HU at 3 mm ``(z, y, x)``, every side a multiple of the network's stride.
        fast: Compute in bfloat16.

    Returns:
        Maps on the same grid.
    """
    depth = hu.shape[0]
    shape = hu.shape
    maps = CoarseMaps(
        np.zeros((7, *shape), np.float16),
        np.zeros((2, *shape), np.float16),
        np.zeros(shape, np.float32),
        np.zeros((26, *(n // 2 for n in shape)), np.float16),
    )
    for start, low, high in tile_ranges(depth, TILE, OVERLAP):
        part = _coarse_tile(network, hu[start : start + TILE], fast)
        inner, outer = slice(low - start, high - start), slice(low, high)
        half_inner, half_outer = slice(inner.start // 2, inner.stop // 2), slice(low // 2, high // 2)
        maps.classes[:, outer] = part.classes[:, inner]
        maps.phase[:, outer] = part.phase[:, inner]
        maps.offset[outer] = part.offset[inner]
        maps.levels[:, half_outer] = part.levels[:, half_inner]
    return maps


def tile_ranges(depth: int, tile: int, overlap: int) -> list[tuple[int, int, int]]:
    """Start of every tile, and the range of slices that it answers for."""
    if depth <= tile:
        return [(0, 0, depth)]
    count = math.ceil((depth - overlap) / (tile - overlap))
    starts = [min(i * (tile - overlap), depth - tile) for i in range(count)]
    edges = [0] + [(a + tile + b) // 4 * 2 for a, b in pairwise(starts)] + [depth]
    return [(start, edges[i], edges[i + 1]) for i, start in enumerate(starts)]


def _coarse_tile(network: CoarseNetwork, hu: Floats, fast: bool) -> CoarseMaps:
    device = _device(network)
    image = normalise_hu(torch.from_numpy(np.ascontiguousarray(hu)).to(device))[None, None]
    image = image.contiguous(memory_format=torch.channels_last_3d)
    with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast):
        output = network(image)
    return CoarseMaps(
        _numpy(output.classes.float().softmax(dim=1)[0]),
        _numpy(output.phase[0]),
        _numpy(output.offset[0, 0]) * MM_PER_UNIT,
        _numpy(output.levels.float().softmax(dim=1)[0]),
    )


def _numpy(values: Tensor) -> Floats:
    return np.asarray(values.float().cpu().contiguous().numpy())


def run_fine(network: FineNetwork, crop: Floats, centre_spot: Floats, fast: bool) -> Floats:
    """Ask the fine network for one vertebra.

    Args:
        network: With its weights.
        crop: HU at 1.5 mm ``(z, y, x)``, every side a multiple of the network's stride.
        centre_spot: Spot at the vertebra's centre, the same shape.
        fast: Compute in bfloat16.

    Returns:
        Probabilities ``(4, z, y, x)``: background, body, posterior elements, adjoining discs.
    """
    device = _device(network)
    image = normalise_hu(torch.from_numpy(crop).to(device))
    stacked = torch.stack([image, torch.from_numpy(centre_spot).to(device)])[None]
    stacked = stacked.contiguous(memory_format=torch.channels_last_3d)
    with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast):
        logits = network(stacked)
    return _numpy(nnf.softmax(logits.float(), dim=1)[0])
