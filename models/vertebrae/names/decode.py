"""From what the coarse network says of voxels to vertebrae in order, with names and margins.

The spine's curve is drawn through the bodies. Along it, every body voxel votes for the centre of its
vertebra; where votes meet is a candidate. The chain of ``models.vertebrae.names.levels`` decides which
candidates are vertebrae and what they are called.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, signal

from models.anatomy import Anchor, Level, Region, left_out
from models.engine import Numbering
from models.vertebrae.maps import CoarseMaps
from models.vertebrae.names.curve import SpineCurve
from models.vertebrae.names.landmarks import contradictions, counted_from_below, find_anchors, find_landmarks
from models.vertebrae.names.levels import TRAINED, Candidate, Named, expected_spacing, name_chain, spread_evidence
from models.vertebrae.names.spine_parts import continued
from models.vertebrae.network import COARSE_SPACING

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]

S1_INDEX = 24
EVIDENCE_WEIGHT = 4.0
"""How many independent looks the voxels of one vertebra are worth."""
AMBIGUOUS_BELOW = 4.0
"""Margin under which names are a hypothesis although an anchor is in view."""
RELATIVE_FROM = 20.0
"""Margin from which names stand without an anchor. With weights that had seen no real CT a chain of twelve was one
level off with a margin of 13.7 (model card), so that a margin of that size proves nothing."""
LONG_VIEW = 10
"""Fewest vertebrae in view from which names can stand without an anchor. In short views of the
development CTs the margin did not tell right chains from wrong ones, so they are always withheld."""
WITNESSES = 3
"""Vertebrae up to which the evidence of each counts in full."""
WELL_SEEN = 0.7
"""Strength from which a vertebra's margin counts for the whole spine."""
HALF_SEEN = 0.5
"""Strength from which a candidate that the chain leaves out may be a vertebra, such as a crushed one."""
SMALLEST_SPINE = 60
"""Fewest body voxels (3 mm) that are taken for a spine: about a fifth of a thoracic body."""


@dataclass(frozen=True)
class FoundVertebra:
    """One vertebra on the 3 mm grid.

    Attributes:
        name: Its name with margin and alternative.
        strength: Votes relative to a typical vertebra there.
        centre: Centre of its body in voxels ``(z, y, x)``.
        certainty: Mean probability of body among its body voxels.
        height: Distance in mm between the middles of its discs, as far as it is known.
    """

    name: Named
    strength: float
    centre: Floats
    certainty: float
    height: float


@dataclass(frozen=True)
class Decoded:
    """All vertebrae of a volume.

    Attributes:
        vertebrae: From head to feet.
        owner: int16 ``(z, y, x)``: index into ``vertebrae`` for voxels near a vertebra, −1 elsewhere.
        numbering: How sure the names are.
        anchors: What fixes them.
        margin: Smallest margin of the names that are well seen.
        remarks: What was noticed.
    """

    vertebrae: tuple[FoundVertebra, ...]
    owner: npt.NDArray[np.int16]
    numbering: Numbering
    anchors: tuple[Anchor, ...]
    margin: float
    remarks: tuple[str, ...]


def decode(maps: CoarseMaps) -> Decoded:
    """Find and name the vertebrae.

    Args:
        maps: The network's answer; axes towards the head, the back and the left.
    """
    remarks: list[str] = []
    spine = _spine_voxels(maps, remarks)
    if spine is None:
        nothing = np.full(maps.offset.shape, -1, np.int16)
        return Decoded((), nothing, Numbering.NONE, (), 0.0, tuple(remarks))
    curve = SpineCurve.through(spine.places, spine.weights)
    position = curve.along(spine.places * COARSE_SPACING)
    voxels = tuple(spine.places.T)
    votes = position + maps.offset[voxels]
    turning = _Turning.along(maps, spine, position)
    centres, strengths = _centres(votes, spine.weights, turning)
    if not len(centres):
        nothing = np.full(maps.offset.shape, -1, np.int16)
        remarks.append("Bone like a spine was found, but no vertebra could be told apart in it.")
        return Decoded((), nothing, Numbering.NONE, (), 0.0, tuple(remarks))
    owner = np.abs(votes[:, None] - centres[None, :]).argmin(axis=1)
    turns = turning.turns(centres)
    middles = [_middle(spine, owner == i) for i in range(len(centres))]
    landmarks = find_landmarks(maps.classes, middles)
    # The level head errs for whole chains at once, so many vertebrae are not many witnesses.
    shared = min(1.0, (WITNESSES / max(1, len(centres))) ** 0.5)
    candidates = [
        Candidate(
            float(centres[i]),
            float(strengths[i]),
            shared * spread_evidence(_evidence(maps, spine, owner == i)) + landmarks[i].evidence(),
            float(turns[i]),
        )
        for i in range(len(centres))
    ]
    # Twice: only named gaps tell how large this spine is.
    chain = name_chain(candidates, _size(candidates, name_chain(candidates)))
    kept = centres[[named.index for named in chain]]
    owner = np.abs(votes[:, None] - kept[None, :]).argmin(axis=1)
    found = _collect(maps, spine, owner, chain, candidates, kept)
    beside = [(vertebra.name.level, landmarks[vertebra.name.index]) for vertebra in found]
    anchors = find_anchors(beside)
    for (upper, _), (lower, _) in pairwise(beside):
        if unseen := left_out(upper, lower):
            remarks.append(f"Not found between {upper} and {lower}: {', '.join(unseen)}.")
    margin = _study_margin(found)
    numbering = _numbering(margin, anchors, found)
    against = contradictions(beside)
    if does_without(candidates, chain):
        # A sixth lumbar vertebra can be dropped as easily as half of a broken one.
        against.append("What may be a vertebra was left out between two others: the count may be wrong.")
    if above := counted_from_below(beside):
        # That needs something below to count from.
        (remarks if anchors else against).append(above)
    if against:
        remarks.extend(against)
        numbering = Numbering.AMBIGUOUS
    return Decoded(found, _owners(maps, curve, kept), numbering, anchors, margin, tuple(remarks))


@dataclass(frozen=True)
class SpineVoxels:
    """Body voxels of the spine.

    Attributes:
        places: ``(n, 3)`` voxel indices.
        weights: Probability of each to be body.
    """

    places: npt.NDArray[np.int64]
    weights: Floats


def _vertebral(maps: CoarseMaps) -> Array:
    """Probability of every voxel to be vertebral body, the first sacral one included."""
    first_sacral = maps.levels[S1_INDEX].repeat(2, 0).repeat(2, 1).repeat(2, 2)
    return np.asarray(maps.classes[Region.BODY] + maps.classes[Region.SACRUM] * (first_sacral > 0.5))


def _spine_voxels(maps: CoarseMaps, remarks: list[str]) -> SpineVoxels | None:
    probability = _vertebral(maps)
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


def _evidence(maps: CoarseMaps, spine: SpineVoxels, own: npt.NDArray[np.bool_]) -> Floats:
    """Log-likelihood ratio of every trained level for the voxels of one candidate."""
    half = np.minimum(spine.places[own] // 2, np.array(maps.levels.shape[1:]) - 1)
    weights = spine.weights[own]
    if not weights.size:
        return np.zeros(len(TRAINED))
    probability = maps.levels[:, half[:, 0], half[:, 1], half[:, 2]].astype(np.float64)
    mean = (probability * weights).sum(axis=1) / weights.sum()
    ratio = np.log(np.maximum(mean[: len(TRAINED)], 2e-3) * len(TRAINED))
    return np.asarray(EVIDENCE_WEIGHT * ratio)


def _size(candidates: list[Candidate], chain: list[Named]) -> float:
    """Size of this spine relative to the usual one, from the gaps between vertebrae that follow each other."""
    ratios = []
    for upper, lower in pairwise(chain):
        if lower.level.rank - upper.level.rank == 1:
            usual = float(expected_spacing(np.array([upper.level.rank]))[0])
            ratios.append((candidates[lower.index].position - candidates[upper.index].position) / usual)
    return float(np.clip(np.median(ratios), 0.75, 1.3)) if ratios else 1.0


def _middle(spine: SpineVoxels, own: npt.NDArray[np.bool_]) -> Floats:
    """Centre of a candidate's voxels."""
    weights = spine.weights[own] if own.any() else spine.weights
    places = spine.places[own] if own.any() else spine.places
    return np.asarray((places * weights[:, None]).sum(axis=0) / weights.sum())


def _collect(
    maps: CoarseMaps,
    spine: SpineVoxels,
    owner: npt.NDArray[np.int64],
    chain: list[Named],
    candidates: list[Candidate],
    kept: Floats,
) -> tuple[FoundVertebra, ...]:
    gaps = np.diff(kept)
    found = []
    for place, named in enumerate(chain):
        own = owner == place
        weights = spine.weights[own]
        if weights.sum() < 3.0:
            continue
        centre = (spine.places[own] * weights[:, None]).sum(axis=0) / weights.sum()
        near = [gaps[i] for i in (place - 1, place) if 0 <= i < len(gaps)]
        usual = float(expected_spacing(np.array([named.level.rank]))[0])
        height = float(np.clip(np.mean(near), 0.6 * usual, 1.5 * usual)) if near else usual
        certainty = float(np.average(weights, weights=weights))
        found.append(FoundVertebra(named, candidates[named.index].strength, centre, certainty, height))
    return tuple(found)


def _study_margin(found: tuple[FoundVertebra, ...]) -> float:
    """Smallest margin of the vertebrae that are well seen; one that is cut off decides for nobody."""
    margins = [v.name.margin for v in found if v.strength >= WELL_SEEN] or [v.name.margin for v in found]
    return min(margins, default=0.0)


def _numbering(margin: float, anchors: tuple[Anchor, ...], found: tuple[FoundVertebra, ...]) -> Numbering:
    levels = [vertebra.name.level for vertebra in found]
    steps = list(pairwise(levels))
    # Rare anatomy is never claimed in silence: a miscount looks the same.
    rare = any(level in (Level.T13, Level.L6) for level in levels)
    rare = rare or any(step in ((Level.T11, Level.L1), (Level.L4, Level.S1)) for step in steps)
    short = not anchors and len(found) < LONG_VIEW
    if rare or short or margin < (AMBIGUOUS_BELOW if anchors else RELATIVE_FROM):
        return Numbering.AMBIGUOUS
    return Numbering.ANCHORED if anchors else Numbering.RELATIVE


def does_without(candidates: list[Candidate], chain: list[Named]) -> bool:
    """Whether the chain does without a candidate that may be a vertebra between two that it keeps."""
    kept = {named.index for named in chain}
    inner = range(min(kept, default=0), max(kept, default=0))
    return any(candidates[index].strength >= HALF_SEEN for index in inner if index not in kept)


def _owners(maps: CoarseMaps, curve: SpineCurve, kept: Floats) -> npt.NDArray[np.int16]:
    """Which vertebra every bone voxel near the spine belongs to."""
    owner = np.full(maps.offset.shape, -1, np.int16)
    if not kept.size:
        return owner
    bone = _vertebral(maps) + maps.classes[Region.POSTERIOR_ELEMENTS] > 0.2
    places = np.argwhere(bone)
    points = places * COARSE_SPACING
    votes = curve.along(points) + maps.offset[bone]
    distance = np.abs(votes[:, None] - kept[None, :])
    nearest = distance.argmin(axis=1)
    near = (distance.min(axis=1) < 26.0) & (curve.distance(points) < 75.0)
    owner[tuple(places[near].T)] = nearest[near]
    return owner
