"""Whether what was found can be what it seems: signs that names must not be trusted.

Each check is here because an input that it catches was named with confidence without it: volumes whose
orientation tags exchange head and feet or front and back, two people in one field of view, and CT
numbers that are none. What is caught is still shown, as a hypothesis with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt

from models.anatomy import Level, Region
from models.vertebrae.inference import Compute, run_coarse
from models.vertebrae.names.decode import CoarseMaps, Decoded
from models.vertebrae.names.levels import expected_spacing, left_out
from models.vertebrae.network import COARSE_SPACING, CoarseNetwork
from models.volume.grid import Floats

POSE_CROP = (80, 48, 32)
"""Coarse voxels around the spine that are shown in four poses: 24 × 14 × 10 cm."""
IN_FRONT = 16
"""Coarse voxels of the crop that lie in front of the spine."""
WRONG_POSE = 1.05
"""How much better the network must know another pose. On five CTs and 16 parts of them, each also
with its tags exchanged, the best other pose had 0.24 to 0.90 of the score where the tags were right;
where they were not, 1.11 to 5.5 times, and once 1.0 in a part of six thoracic vertebrae."""
WRONG_POSE_OF_FEW = ((3, 3.0), (5, 1.5), (8, 1.15))
"""How much better it must know another pose where no more than so many vertebrae were found: beside them a pelvis or
a rib cage that the border cuts weighs as much. Rightly tagged parts of the shared CTs had 1.22 with three vertebrae,
1.01 with four, 1.20 with five and 0.99 with eight."""
POSES = {
    (): "",
    (0,): "head and feet exchanged",
    (1,): "front and back exchanged",
    (0, 1): "head and feet, and front and back, exchanged",
}
BESIDE = 60.0
"""Distance in mm to the side from which body voxels cannot belong to the same spine."""
SECOND_SPINE = 0.4
"""Body voxels beside the spine, as a share of its own, from which they are a second one."""
BONE = 100.0
"""HU that the densest twentieth of a spine has at least, averaged over voxels of 3 mm: cortex has it in any bone."""
TISSUE = (-150.0, 150.0)
"""HU of fat, muscle, organs and blood."""
LEAST_TISSUE = 0.25
"""Least share of tissue among what is not air. Chest CT with little but lung around the spine has 0.5."""
ROOM_FOR_ONE = 1.6
"""Distance between neighbours, relative to what is usual in this spine, from which one may lie between them."""
NO_ROOM = 0.7
"""Distance between two whose names leave one out, relative to what the names need, up to which none is missing."""
ROOM_FOR_TWO = 2.7
"""Sum of two such distances from which the vertebra between them may be two: three vertebrae have 3, two have 2."""
GOES_ON = 1.2
"""Distance of an outermost vertebra from the border, relative to what one vertebra usually takes, from which the border
cuts neither it nor has a piece of the next one drawn it off."""
LEAST_COUNTED = 4
"""Fewest vertebrae whose distances say what is usual in this spine."""
MOST_MISSING = 0.01
"""Share of voxels that are no numbers from which it is said."""


def doubts(hu: Floats, maps: CoarseMaps, decoded: Decoded) -> tuple[str, ...]:
    """Reasons beside the orientation not to trust the names, as sentences; empty when there are none.

    Args:
        hu: What the coarse network was shown, HU at 3 mm ``(z, y, x)``.
        maps: What it said.
        decoded: What was made of it, with at least one vertebra.
    """
    centres = np.array([vertebra.centre for vertebra in decoded.vertebrae])
    found = (
        _second_spine(maps, centres),
        _no_tissue(hu),
        miscounted([(vertebra.name.level, vertebra.centre) for vertebra in decoded.vertebrae], _in_view(hu)),
        "Only one structure like a vertebra was found: it may be none." if len(centres) == 1 else "",
    )
    return tuple(sentence for sentence in found if sentence)


def missing_values(array: npt.NDArray[np.generic]) -> str:
    """What to say of voxels that are no numbers."""
    if array.dtype.kind != "f":
        return ""
    # Slice by slice: a long scan has half a billion voxels.
    count = sum(int(np.count_nonzero(~np.isfinite(plane))) for plane in array)
    share = count / array.size
    return f"{share:.0%} of the voxels are no numbers and were read as air." if share > MOST_MISSING else ""


def wrong_pose(network: CoarseNetwork, hu: Floats, decoded: Decoded, compute: Compute) -> str | None:
    """Say that the network knows the spine better in another pose than the one the tags say; None if it does not.

    Left and right are not asked for: a spine does not tell them.

    Args:
        network: The coarse network.
        hu: What it was shown, HU at 3 mm ``(z, y, x)``.
        decoded: What was made of it, with at least one vertebra.
        compute: Where, and how precisely.
    """
    centres = np.array([vertebra.centre for vertebra in decoded.vertebrae])
    crop = hu[_crop(hu.shape, centres, network.stride)]
    scores = {}
    for head, front in product((False, True), repeat=2):
        pose = (0,) * head + (1,) * front
        maps = run_coarse(network, np.ascontiguousarray(np.flip(crop, pose)), compute)
        bone = maps.classes[Region.BODY] + maps.classes[Region.POSTERIOR_ELEMENTS] > 0.5
        body = (maps.classes[Region.BODY] > 0.5)[::2, ::2, ::2]
        named = float(maps.levels.max(axis=0)[body].astype(np.float32).mean()) if body.any() else 0.0
        scores[pose] = named * float(maps.classes.max(axis=0)[bone].astype(np.float32).sum())
    best = max(scores, key=lambda pose: scores[pose])
    limit = next((limit for most, limit in WRONG_POSE_OF_FEW if len(centres) <= most), WRONG_POSE)
    if scores[best] <= limit * scores[()]:
        return None
    return f"The orientation of the volume seems wrong: the spine is known better with {POSES[best]}."


def _crop(shape: tuple[int, ...], centres: Floats, stride: int) -> tuple[slice, slice, slice]:
    middle = 0.5 * (centres.min(axis=0) + centres.max(axis=0))
    nearest = centres[np.abs(centres[:, 0] - middle[0]).argmin()]
    before = (POSE_CROP[0] // 2, IN_FRONT, POSE_CROP[2] // 2)
    spans = []
    for axis, (whole, wanted) in enumerate(zip(shape, POSE_CROP, strict=True)):
        size = min(wanted, whole // stride * stride)
        low = int(np.clip(round(float(nearest[axis])) - before[axis], 0, whole - size))
        spans.append(slice(low, low + size))
    return spans[0], spans[1], spans[2]


def _second_spine(maps: CoarseMaps, centres: Floats) -> str:
    order = np.argsort(centres[:, 0])
    rows = np.arange(maps.offset.shape[0])
    across = np.interp(rows, centres[order, 0], centres[order, 2])
    within = (rows >= centres[:, 0].min() - 6) & (rows <= centres[:, 0].max() + 6)
    places = np.argwhere((maps.classes[Region.BODY] > 0.5) & within[:, None, None])
    beside = np.abs(places[:, 2] - across[places[:, 0]]) * COARSE_SPACING > BESIDE
    if np.count_nonzero(beside) <= SECOND_SPINE * np.count_nonzero(~beside):
        return ""
    return "Two spines lie beside each other: it is not certain whose vertebrae these are."


def _in_view(hu: Floats) -> tuple[int, int]:
    """First and last slice that are more than air."""
    filled = np.flatnonzero((hu > -500.0).any(axis=(1, 2)))
    return int(filled[0]), int(filled[-1])


def miscounted(vertebrae: Sequence[tuple[Level, Floats]], view: tuple[int, int] | None = None) -> str:
    """What to say where successive names have room for a vertebra between them, or names that leave one out have none.

    A pair that the network has merged leaves such room on both of its sides, one that it has not seen on one.

    Args:
        vertebrae: Names and centres in voxels of 3 mm, from head to feet.
        view: First and last slice of the body. An outermost vertebra is judged where the view goes on beyond it; where
            it is not given, none is.
    """
    if len(vertebrae) < LEAST_COUNTED:
        return ""
    ratios = []
    for (upper, first), (lower, second) in pairwise(vertebrae):
        steps = [level.rank for level in (upper, *left_out(upper, lower))]
        usual = float(expected_spacing(np.array(steps)).sum())
        ratios.append(float(np.linalg.norm(second - first)) * COARSE_SPACING / usual)
    # Not the median: of four distances two may be wrong.
    relative = np.array(ratios) / np.percentile(ratios, 35)
    for (upper, lower), room in zip(pairwise(level for level, _ in vertebrae), relative, strict=True):
        if left_out(upper, lower) and room < NO_ROOM:
            return (
                f"Between {upper} and {lower} there is no room for what their names leave out: the count may be wrong."
            )
    # Outermost vertebrae that the border cuts have their centres anywhere.
    top, bottom = (_goes_on(vertebrae, end, view) for end in (0, -1))
    start = 0 if top else 1
    inner = relative[start : len(relative) if bottom else -1]
    single = start + int(inner.argmax())
    if relative[single] > ROOM_FOR_ONE:
        upper, lower = vertebrae[single][0], vertebrae[single + 1][0]
        return f"Between {upper} and {lower} there is room for one more vertebra: the count may be wrong."
    pairs = inner[1:] + inner[:-1]
    if pairs.size and pairs.max() > ROOM_FOR_TWO:
        return f"{vertebrae[start + 1 + int(pairs.argmax())][0]} has room for two vertebrae: the count may be wrong."
    return ""


def _goes_on(vertebrae: Sequence[tuple[Level, Floats]], end: int, view: tuple[int, int] | None) -> bool:
    """Whether more than one vertebra would have its place between an outermost one and the border."""
    if view is None:
        return False
    level, centre = vertebrae[end]
    away = min(float(centre[0]) - view[0], view[1] - float(centre[0])) * COARSE_SPACING
    return away > GOES_ON * float(expected_spacing(np.array([level.rank])).sum())


def no_bone(hu: Floats, decoded: Decoded) -> str:
    """What to say where the network has seen a spine in something without bone; empty where there is bone.

    Args:
        hu: HU at 3 mm ``(z, y, x)``.
        decoded: What was made of it, with at least one vertebra.
    """
    spine = hu[decoded.owner >= 0]
    if spine.size and float(np.percentile(spine, 95)) >= BONE:
        return ""
    return "No vertebra was found: what had the shape of a spine holds no bone."


def _no_tissue(hu: Floats) -> str:
    solid = hu > -500.0
    tissue = (hu > TISSUE[0]) & (hu < TISSUE[1])
    if np.count_nonzero(tissue) >= LEAST_TISSUE * np.count_nonzero(solid):
        return ""
    return "The CT numbers are not those of a person: hardly any voxel has the value of fat or soft tissue."
