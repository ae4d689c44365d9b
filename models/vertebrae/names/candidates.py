"""From what the coarse network says of voxels to candidates for vertebrae, and to all that speaks for their names.

The spine's curve is drawn through the bodies. Along it, every body voxel votes for the centre of its
vertebra; where votes meet is a candidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, signal

from models.anatomy import Region
from models.vertebrae.maps import CoarseMaps
from models.vertebrae.names.curve import SpineCurve
from models.vertebrae.names.landmarks import find_landmarks
from models.vertebrae.names.levels import TRAINED, Candidate, Link, best_chain, expected_spacing, spread_evidence
from models.vertebrae.names.numberings import LEAST_LEVEL, Seen
from models.vertebrae.names.rows import Row, rows_beside
from models.vertebrae.names.shape import Shape, measure_shape
from models.vertebrae.names.spine_parts import continued
from models.vertebrae.network import COARSE_SPACING

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]

S1_INDEX = 24
EVIDENCE_WEIGHT = 4.0
"""How many independent looks the voxels of one vertebra are worth to the chain that finds the row."""
CUT_END = 4.0
"""Distance in mm between the middle of an outermost vertebra's voxels and the centre that they vote for, from which the
border cuts it. The project's own."""
WITNESSES = 3
"""Vertebrae up to which the evidence of each counts in full."""
SMALLEST_SPINE = 60
"""Fewest body voxels (3 mm) that are taken for a spine: about a fifth of a thoracic body."""


@dataclass(frozen=True)
class SpineVoxels:
    """Body voxels of the spine.

    Attributes:
        places: ``(n, 3)`` voxel indices.
        weights: Probability of each to be body.
    """

    places: npt.NDArray[np.int64]
    weights: Floats


@dataclass(frozen=True)
class Gathered:
    """What the maps hold before anything is named.

    Attributes:
        spine: Body voxels.
        curve: Through the bodies.
        votes: For every body voxel where on the curve the centre of its vertebra is, mm.
        centres: Of the candidates on the curve, mm.
        seen: What is known of them.
        rows: Which of them may stand in the row.
        middles: Middles of the voxels of each row's vertebrae, voxels ``(z, y, x)``, by the candidates that it keeps.
    """

    spine: SpineVoxels
    curve: SpineCurve
    votes: Floats
    centres: Floats
    seen: Seen
    rows: tuple[Row, ...]
    middles: dict[tuple[int, ...], list[Floats]]


def gather(maps: CoarseMaps, remarks: list[str]) -> Gathered | None:
    """Find the candidates and all that speaks for their names; None where there are none, ``remarks`` say why."""
    spine = _spine_voxels(maps, remarks)
    if spine is None:
        return None
    curve = SpineCurve.through(spine.places, spine.weights)
    position = curve.along(spine.places * COARSE_SPACING)
    votes = position + maps.offset[tuple(spine.places.T)]
    turning = _Turning.along(maps, spine, position)
    centres, strengths = _centres(votes, spine.weights, turning)
    if not len(centres):
        remarks.append("Bone like a spine was found, but no vertebra could be told apart in it.")
        return None
    owner = np.abs(votes[:, None] - centres[None, :]).argmin(axis=1)
    turns = turning.turns(centres)
    landmarks = find_landmarks(maps.classes, [middle_of(spine, owner == i) for i in range(len(centres))])
    levels = np.array([_levels(maps, spine, owner == i) for i in range(len(centres))])
    # The level head errs for whole chains at once, so many vertebrae are not many witnesses.
    shared = min(1.0, (WITNESSES / len(centres)) ** 0.5)
    evidence = EVIDENCE_WEIGHT * shared * np.log(np.maximum(levels, LEAST_LEVEL) * len(TRAINED))
    candidates = [
        Candidate(float(centres[i]), float(strengths[i]), spread_evidence(evidence[i]), float(turns[i]))
        for i in range(len(centres))
    ]
    # Twice: only named gaps tell how large this spine is.
    chain = best_chain(candidates, _size(candidates, best_chain(candidates)))
    rows = rows_beside(candidates, chain)
    middles, shapes = {}, {}
    for row in rows:
        middles[row.kept] = _middles(spine, votes, centres[list(row.kept)])
        shapes[row.kept] = _shape(maps, curve, centres[list(row.kept)], middles[row.kept])
    return Gathered(spine, curve, votes, centres, Seen(candidates, landmarks, levels, shapes), tuple(rows), middles)


def _middles(spine: SpineVoxels, votes: Floats, kept: Floats) -> list[Floats]:
    """Middles of the voxels that vote for each of some centres."""
    owner = np.abs(votes[:, None] - kept[None, :]).argmin(axis=1)
    return [middle_of(spine, owner == place) for place in range(len(kept))]


def _shape(maps: CoarseMaps, curve: SpineCurve, kept: Floats, middles: list[Floats]) -> Shape:
    """The shape of a row, its ends where the votes are if the border cuts them."""
    shape = measure_shape(maps, middles)
    away = np.abs(kept - curve.along(np.array(middles) * COARSE_SPACING))
    cut = [away[0] > CUT_END, away[-1] > CUT_END]
    if not any(cut):
        return shape
    voted = measure_shape(maps, [curve.at(float(position)) / COARSE_SPACING for position in kept])
    return shape.with_ends(voted, cut[0], cut[1])


def vertebral(maps: CoarseMaps) -> Array:
    """Probability of every voxel to be vertebral body, the first sacral one included."""
    first_sacral = maps.levels[S1_INDEX].repeat(2, 0).repeat(2, 1).repeat(2, 2)
    return np.asarray(maps.classes[Region.BODY] + maps.classes[Region.SACRUM] * (first_sacral > 0.5))


def _spine_voxels(maps: CoarseMaps, remarks: list[str]) -> SpineVoxels | None:
    probability = vertebral(maps)
    joined = ndimage.binary_dilation(probability + maps.classes[Region.DISC] > 0.45, iterations=2)
    parts, count = ndimage.label(joined)
    if count == 0:
        remarks.append("No vertebra was found.")
        return None
    sizes = ndimage.sum_labels(probability > 0.5, parts, np.arange(1, count + 1))
    largest = int(np.argmax(sizes))
    if sizes[largest] < SMALLEST_SPINE:
        remarks.append("No vertebra was found.")
        return None
    bodies = np.where(probability > 0.5, parts, 0)
    pieces = {int(i) + 1: np.argwhere(bodies == i + 1) for i in np.flatnonzero(sizes >= SMALLEST_SPINE)}
    kept = continued(pieces, largest + 1)
    if len(kept) > 1:
        remarks.append("The spine was found in parts with a gap between: what lies in the gap was not read.")
    left = [len(piece) for number, piece in pieces.items() if number not in kept]
    if left and max(left) > 0.4 * sizes[largest]:
        remarks.append("A second structure like a spine was found and left out.")
    places = np.argwhere(np.isin(parts, list(kept)) & (probability > 0.3))
    return SpineVoxels(places, probability[tuple(places.T)].astype(np.float64))


@dataclass(frozen=True)
class _Turning:
    """The phase along the spine, averaged over the bodies' cross-section and unwound.

    Attributes:
        low: Position of the first millimetre.
        angle: Angle in turns at every millimetre; a centre lies at a half.
    """

    low: float
    angle: Floats

    @staticmethod
    def along(maps: CoarseMaps, spine: SpineVoxels, position: Floats) -> _Turning:
        low = float(position.min())
        index = np.round(position - low).astype(int)
        voxels = tuple(spine.places.T)
        parts = [np.bincount(index, spine.weights * maps.phase[channel][voxels]) for channel in (0, 1)]
        cosine, sine = (ndimage.gaussian_filter1d(part, 2.0) for part in parts)
        return _Turning(low, np.unwrap(np.arctan2(sine, cosine)) / (2.0 * np.pi))

    def turns(self, positions: Floats) -> Floats:
        """Turns from the head to some positions."""
        return np.asarray(np.interp(positions - self.low, np.arange(self.angle.size), self.angle))

    def halves(self) -> Floats:
        """Where the phase says that a centre is: half a turn after every whole one."""
        rising = np.maximum.accumulate(self.angle)
        wanted = np.arange(np.ceil(rising[0] - 0.5), np.floor(rising[-1] - 0.5) + 1) + 0.5
        return np.asarray(self.low + np.searchsorted(rising, wanted).astype(float))


def _centres(votes: Floats, weights: Floats, turning: _Turning) -> tuple[Floats, Floats]:
    """Possible centres in mm along the spine, and how strong each is (1 = as its neighbours).

    They are where votes meet, and where the phase has a centre although no votes meet near it.
    """
    low = votes.min() - 20.0
    bins = np.pad(np.bincount(np.round(votes - low).astype(int), weights), (0, 20))
    density = ndimage.gaussian_filter1d(bins, 2.0)
    typical = np.percentile(density[density > 0.02 * density.max()], 90)
    places, _ = signal.find_peaks(density, height=0.12 * typical, distance=9, prominence=0.05 * typical)
    extra = [
        place
        for place in np.round(turning.halves() - low).astype(int)
        if 0 < place < len(density) and density[place] > 0.12 * typical and _apart(place, places, 9)
    ]
    places = np.sort(np.concatenate([places, np.array(extra, dtype=places.dtype)]))
    if not places.size:
        return np.zeros(0), np.zeros(0)
    mass = np.array([bins[max(0, p - 8) : p + 9].sum() for p in places])
    # Bodies grow towards the feet, so strength is relative to the neighbours.
    local = np.array([np.median(mass[max(0, i - 2) : i + 3]) for i in range(len(mass))])
    return places + low, mass / np.maximum(local, 1e-6)


def _apart(place: int, others: Array, distance: int) -> bool:
    return not others.size or int(np.abs(others - place).min()) >= distance


def _levels(maps: CoarseMaps, spine: SpineVoxels, own: npt.NDArray[np.bool_]) -> Floats:
    """Mean probability of every trained level over the voxels of one candidate."""
    half = np.minimum(spine.places[own] // 2, np.array(maps.levels.shape[1:]) - 1)
    weights = spine.weights[own]
    if not weights.size:
        return np.full(len(TRAINED), 1.0 / len(TRAINED))
    probability = maps.levels[:, half[:, 0], half[:, 1], half[:, 2]].astype(np.float64)
    return np.asarray((probability * weights).sum(axis=1) / weights.sum())[: len(TRAINED)]


def _size(candidates: list[Candidate], chain: Sequence[Link]) -> float:
    """Size of this spine relative to the usual one, from the gaps between vertebrae that follow each other."""
    ratios = []
    for upper, lower in pairwise(chain):
        if lower.level.rank - upper.level.rank == 1:
            usual = float(expected_spacing(np.array([upper.level.rank]))[0])
            ratios.append((candidates[lower.index].position - candidates[upper.index].position) / usual)
    return float(np.clip(np.median(ratios), 0.75, 1.3)) if ratios else 1.0


def middle_of(spine: SpineVoxels, own: npt.NDArray[np.bool_]) -> Floats:
    """Centre of a candidate's voxels."""
    weights = spine.weights[own] if own.any() else spine.weights
    places = spine.places[own] if own.any() else spine.places
    return np.asarray((places * weights[:, None]).sum(axis=0) / weights.sum())
