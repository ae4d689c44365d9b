"""What keeps one vertebra's attenuation from standing for its spongiosa, each with a code and a reason.

The rules are those of docs/science.md §2.4; where that section names a thing but no number, the number is derived
here and says from what. A vertebra is judged by itself first, then beside its nearest neighbours that passed.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import highdicom as hd
import numpy as np
from scipy import ndimage

from operators.body.core import CEMENT_CM3, cement_volume
from operators.body.endplates import BodySurfaces
from operators.body.frame import Body
from operators.body.resampling import Array, Sampler
from operators.density.region import ENDPLATE_MM, Region
from operators.fractures.results import DEFORMITY, Deformity
from operators.quality.gates import METAL_CM3, METAL_NEARBY_MM, metal_within
from operators.reading.quantity import Withheld
from operators.reading.reasons import Reason
from operators.reading.vertebra import Vertebra

Regions: TypeAlias = Mapping[int, Region | Withheld]

FRACTURE_GRADE = 1
"""Safest is to leave out every grade (docs/science.md §2.4)."""
LEAST_SHARE, MOST_APART_MM = 0.7, 12.0
"""The largest part of a body's mask, and the middle of it from the vertebra's centre: half of what it takes
to reach the next level."""
ISLAND_HU, ISLAND_SHARE = 300.0, 0.05
"""This share of voxels this far above the neighbours' mean is a bone island (docs/science.md §2.4)."""
ISLAND_SHIFT_HU = 10.0
"""A smaller island that moves the mean by as much as the guard band of the category's limits counts too."""
LESION_HU = 50.0
"""A level this far from both neighbours has a lesion (docs/science.md §2.4)."""
UNEVEN, UNEVEN_LEAST_HU = 2.0, 20.0
"""Standard deviation over that of the neighbours, and beyond it, that speaks for a lesion (docs/science.md §2.4)."""
BLOCK_MM, BLOCK_LEAST_HU = 4.0, 12.0
"""The same ratio on means of blocks of this size, where noise is gone: it finds smaller lesions in noisy scans."""
COLUMN_MM, STRIATION_LEAST_HU, THINNED_HU = 1.5, 15.0, 10.0
"""Cells of the axial picture, the least spread of their means, and how much lower than the neighbours'
the mean is: coarse vertical striation in a body of low density is a haemangioma (docs/science.md §2.4)."""
COARSE_MM = 1.6
"""Voxels wider than this cannot show thick trabeculae that stand a few millimetres apart."""
STRIATION_CELLS = 5
"""Cells, 7.5 mm, over which the surroundings of a vertical trabecula are averaged."""
MASK_STEP_MM = 0.5
NODE_MM2 = 12.0
"""Area of the region's ends that a Schmorl node must take: a dent of 4 mm across."""
NEIGHBOUR_REACH = 2
"""Levels above and below with whose spread a body is compared; with the mean of the nearest measured one."""


def fractured_vertebra(vertebra: Vertebra) -> Withheld | None:
    """Reason why the density of a fractured vertebra is not measured; None for any other."""
    deformity = vertebra.of(DEFORMITY)
    if isinstance(deformity, Deformity) and (deformity.grade or 0) >= FRACTURE_GRADE:
        reason = "A fractured vertebra reads falsely high; its density is not used."
        return Withheld(code=Reason.FRACTURED, reason=reason)
    return None


def implausible_mask(vertebra: Vertebra, body: Body, voxels: int) -> Withheld | None:
    """Whether a mask is not one body at its place: two levels merged, one split; None if nothing speaks for it.

    Args:
        vertebra: With its centre.
        body: Its largest connected part.
        voxels: How many voxels all parts have together.
    """
    share = len(body.mask.points) / max(voxels, 1)
    if share < LEAST_SHARE:
        return Withheld(
            code=Reason.IMPLAUSIBLE_BODY,
            reason=f"The mask of this body is in several parts, the largest only {100 * share:.0f} % of it: "
            "two levels may be merged.",
        )
    apart = float(np.linalg.norm(body.frame.origin - np.array(vertebra.centroid)))
    if apart > MOST_APART_MM:
        return Withheld(
            code=Reason.IMPLAUSIBLE_BODY,
            reason=f"The mask of this body lies {apart:.0f} mm from the centre of the vertebra.",
        )
    return None


def foreign_material(volume: hd.Volume, body: Body) -> Withheld | None:
    """Metal near a body, or cement in it; None if there is neither."""
    if metal_within(volume, body.mask.points, METAL_NEARBY_MM) > METAL_CM3:
        return Withheld(code=Reason.METAL, reason="Metal within 3 cm falsifies the attenuation of this level.")
    amount = cement_volume(volume, body)
    if amount >= CEMENT_CM3:
        return Withheld(
            code=Reason.CEMENT,
            reason=f"{amount:.1f} cm3 inside this body are denser than cortical bone: cement, or a lesion like ivory.",
        )
    return None


def beside_cement(vertebrae: Sequence[Vertebra], found: Regions) -> dict[int, Withheld]:
    """The direct neighbours of bodies with cement, which its streaks reach (docs/science.md §2.4: level ± 1)."""
    reason = Withheld(
        code=Reason.CEMENT, reason="Cement in a neighbouring vertebra falsifies the attenuation of this level."
    )
    beside: dict[int, Withheld] = {}
    for upper, lower in itertools.pairwise(vertebrae):
        for one, other in ((upper, lower), (lower, upper)):
            outcome = found.get(one.number)
            if isinstance(outcome, Withheld) and outcome.code is Reason.CEMENT:
                beside[other.number] = reason
    return beside


def schmorl_node(region: Region, body: Body) -> Withheld | None:
    """Whether a dent of an endplate reaches into the region that the rest of the plate leaves; None if not.

    Looked for in the endplates' edges and in the mask: an edge is followed for a few millimetres only, and a
    mask may run straight across a node.
    """
    surfaces = region.surfaces
    half = np.abs(region.local).max(axis=0)
    footprint = (np.abs(surfaces.planes)[:, None] <= half[0]) & (
        (surfaces.columns >= region.local[:, 1].min()) & (surfaces.columns <= region.local[:, 1].max())
    )[None, :]
    cell = _step(surfaces.planes) * _step(surfaces.columns)
    # Half a voxel beyond the clearance: a mask has stairs, and an edge in thick slices its own noise.
    limit = max(ENDPLATE_MM, surfaces.sampling) + 0.5 * surfaces.sampling
    upper, lower = _mask_plates(surfaces, body)
    plates = (
        ("superior", -1.0, surfaces.superior),
        ("superior", -1.0, upper),
        ("inferior", 1.0, surfaces.inferior),
        ("inferior", 1.0, lower),
    )
    for name, inward, plate in plates:
        depth = np.where(footprint, _dent(surfaces.planes, surfaces.columns, plate, inward), -np.inf)
        if float(np.count_nonzero(depth > limit) * cell) >= NODE_MM2:
            return Withheld(
                code=Reason.SCHMORL,
                reason=f"A Schmorl node of the {name} endplate, {depth.max():.0f} mm deep, reaches into the "
                "trabecular region.",
            )
    return None


def without_lesions(vertebrae: Sequence[Vertebra], regions: Regions) -> dict[int, Region | Withheld]:
    """The regions, with those withheld that are not spongiosa like that of their neighbours.

    A body that is ill by itself is no yardstick for the others, so that it is taken out first.
    """
    alone = {
        number: _island(region, float(np.median(region.values))) or region if isinstance(region, Region) else region
        for number, region in regions.items()
    }
    judged = dict(alone)
    for place, vertebra in enumerate(vertebrae):
        own = alone[vertebra.number]
        above = _measured(alone, vertebrae[max(0, place - NEIGHBOUR_REACH) : place][::-1])
        below = _measured(alone, vertebrae[place + 1 : place + 1 + NEIGHBOUR_REACH])
        if isinstance(own, Region) and (above or below):
            judged[vertebra.number] = _lesion(own, above, below) or own
    return judged


def block_means(region: Region, edge: float) -> tuple[Array, Array]:
    """Means over cubes of ``edge`` mm in the vertebra's frame, HU, and the number of voxels in each."""
    cell = np.floor(region.local / edge).astype(int)
    _, place, count = np.unique(cell, axis=0, return_inverse=True, return_counts=True)
    return np.bincount(place.ravel(), region.values) / count, count.astype(float)


def _island(own: Region, normal: float) -> Withheld | None:
    """Whether part of a region is far denser than ``normal`` (HU); None if not."""
    dense = own.values > normal + ISLAND_HU
    shift = float(own.values.mean() - own.values[~dense].mean()) if not dense.all() else np.inf
    if float(dense.mean()) <= ISLAND_SHARE and shift <= ISLAND_SHIFT_HU:
        return None
    return Withheld(
        code=Reason.BONE_ISLAND,
        reason="Part of this body is more than 300 HU denser than the rest or its neighbours: a bone island or "
        "another sclerotic lesion.",
    )


def _lesion(own: Region, above: Sequence[Region], below: Sequence[Region]) -> Withheld | None:
    """Why a region is not trabecular bone like that of its neighbours, nearest first; None if it is."""
    nearest = [side[0] for side in (above, below) if side]
    around = [*above, *below]
    means = [float(region.values.mean()) for region in nearest]
    normal = float(np.mean(means))
    island = _island(own, normal)
    if island is not None:
        return island
    if _is_striated(own, around) and own.values.mean() < normal - THINNED_HU:
        return Withheld(
            code=Reason.HAEMANGIOMA,
            reason="Coarse vertical striation in a body of low density: probably a haemangioma.",
        )
    if _is_uneven(own, around):
        return Withheld(
            code=Reason.LESION,
            reason="The attenuation within this body varies more than twice as much as in its neighbours: check it "
            "for a lesion or a fracture.",
        )
    apart = [float(own.values.mean()) - mean for mean in means]
    if len(apart) == 2 and min(abs(a) for a in apart) > LESION_HU and apart[0] * apart[1] > 0:
        return Withheld(
            code=Reason.LESION,
            reason=f"This body differs from both neighbours by more than {LESION_HU:.0f} HU: check it "
            "for a lesion or a fracture.",
        )
    return None


def _is_uneven(own: Region, near: Sequence[Region]) -> bool:
    rough = _exceeds(float(own.values.std()), [float(r.values.std()) for r in near], UNEVEN_LEAST_HU)
    coarse = _exceeds(_block_spread(own), [_block_spread(r) for r in near], BLOCK_LEAST_HU)
    return rough or coarse


def _is_striated(own: Region, near: Sequence[Region]) -> bool:
    return _exceeds(_striation(own), [_striation(r) for r in near], STRIATION_LEAST_HU)


def _exceeds(spread: float, others: Sequence[float], least: float) -> bool:
    usual = max(others)
    return spread > UNEVEN * usual and spread - usual > least


def _block_spread(region: Region) -> float:
    """Standard deviation of the means of well-filled blocks, HU."""
    means, count = block_means(region, max(BLOCK_MM, 2 * region.grain))
    filled = means[count >= 0.4 * count.max()]
    return float(filled.std()) if filled.size > 3 else 0.0


def _striation(region: Region) -> float:
    """Standard deviation of means along the superior axis about those around them, HU.

    What runs vertically stays in such means, and what is wider than a few millimetres, a lytic focus for
    instance, does not stand out from its surroundings.
    """
    if region.grain > COARSE_MM:
        return 0.0
    cell = np.floor(region.local[:, :2] / max(COLUMN_MM, 1.2 * region.grain)).astype(int)
    cell -= cell.min(axis=0)
    count = np.zeros(cell.max(axis=0) + 1)
    total = np.zeros(count.shape)
    np.add.at(count, tuple(cell.T), 1.0)
    np.add.at(total, tuple(cell.T), region.values)
    filled = count >= 0.6 * count.max()
    means = np.where(filled, total / np.maximum(count, 1.0), 0.0)
    share = ndimage.uniform_filter(filled.astype(float), STRIATION_CELLS, mode="constant")
    around = ndimage.uniform_filter(means, STRIATION_CELLS, mode="constant") / np.maximum(share, 1e-9)
    return float((means - around)[filled].std()) if np.count_nonzero(filled) > 8 else 0.0


def _mask_plates(surfaces: BodySurfaces, body: Body) -> tuple[Array, Array]:
    """Upper and lower end of the body's mask, shape ``(p, c)``; NaN where it has none."""
    frame = surfaces.frame
    height = np.arange(-frame.size[2], frame.size[2] + 0.1, MASK_STEP_MM)
    grid = np.stack(np.meshgrid(surfaces.planes, surfaces.columns, height, indexing="ij"), axis=-1)
    mask = Sampler(body.mask.body, body.mask.points, margin=2 * body.mask.voxel, order=1)
    inside = np.nan_to_num(mask.at(frame.to_patient(grid))) > 0.5
    missing = ~inside.any(axis=2)
    upper = height[inside.shape[2] - 1 - inside[:, :, ::-1].argmax(axis=2)]
    lower = height[inside.argmax(axis=2)]
    return np.where(missing, np.nan, upper), np.where(missing, np.nan, lower)


def _dent(planes: Array, columns: Array, plate: Array, inward: float) -> Array:
    """How far an endplate lies below its own smooth curve, mm, shape ``(p, c)``; NaN where it was not seen."""
    lateral, depth = np.meshgrid(planes / 10.0, columns / 10.0, indexing="ij")
    seen = np.isfinite(plate)
    empty = np.full(plate.shape, -np.inf)
    if seen.sum() < 24:
        return empty
    terms = np.stack([np.ones_like(depth), lateral, depth, lateral**2, lateral * depth, depth**2], axis=-1)
    design, values = terms[seen], plate[seen]
    weight = np.ones(len(values))
    for _ in range(8):
        fit = np.linalg.lstsq(design * weight[:, None], values * weight, rcond=None)[0]
        below = inward * (values - design @ fit)
        # What lies below the curve is the dent that is looked for: it must not bend the curve.
        weight = 1.0 / (1.0 + np.clip(below / 1.5, 0.0, None) ** 2)
    empty[seen] = below
    return empty


def _step(axis: Array) -> float:
    return float(axis[1] - axis[0]) if len(axis) > 1 else 2.0


def _measured(regions: Regions, candidates: Sequence[Vertebra]) -> list[Region]:
    found = (regions[vertebra.number] for vertebra in candidates)
    return [region for region in found if isinstance(region, Region)]
