"""From what the coarse network says of voxels to vertebrae in order, with names and their posteriors.

Candidates come from ``models.vertebrae.names.candidates``. The chain of ``models.vertebrae.names.levels`` decides which
candidates are vertebrae and what they are called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from models.anatomy import Anchor, Region, left_out
from models.engine import Numbering
from models.vertebrae.maps import CoarseMaps
from models.vertebrae.names.candidates import SpineVoxels, gather, vertebral
from models.vertebrae.names.curve import SpineCurve
from models.vertebrae.names.landmarks import Landmarks, contradictions, counted_from_below, find_anchors
from models.vertebrae.names.levels import Candidate, expected_spacing
from models.vertebrae.names.numberings import Named, Posterior, hypotheses, number
from models.vertebrae.names.shape import ShapePrior
from models.vertebrae.network import COARSE_SPACING

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class FoundVertebra:
    """One vertebra on the 3 mm grid.

    Attributes:
        name: Its name with its posterior and the alternative.
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
        numbering: Ambiguous where something is wrong with the whole row; whether any name is likely enough to stand is
            for the engine to say, which knows what a posterior is worth.
        anchors: What fixes them.
        margin: Logarithm of the odds of the best numbering over the best one that names most vertebrae otherwise.
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
    gathered = gather(maps, remarks)
    if gathered is None:
        return _nothing(maps, remarks)
    every = hypotheses(gathered.seen, gathered.rows, ShapePrior.load())
    if not every:
        remarks.append("More structures like vertebrae were found in a row than a spine has.")
        return _nothing(maps, remarks)
    posterior = number(every)
    kept = gathered.centres[list(posterior.best.row.kept)]
    owner = np.abs(gathered.votes[:, None] - kept[None, :]).argmin(axis=1)
    found = _collect(gathered.spine, owner, posterior.vertebrae, gathered.seen.candidates, kept)
    return _judged(found, _owners(maps, gathered.curve, kept), posterior, gathered.seen.landmarks, remarks)


def _nothing(maps: CoarseMaps, remarks: list[str]) -> Decoded:
    return Decoded((), np.full(maps.offset.shape, -1, np.int16), Numbering.NONE, (), 0.0, tuple(remarks))


def _judged(
    found: tuple[FoundVertebra, ...],
    owner: npt.NDArray[np.int16],
    posterior: Posterior,
    landmarks: Sequence[Landmarks],
    remarks: list[str],
) -> Decoded:
    """The vertebrae with how sure their names are as a whole, and what is to be said of them."""
    beside = [(vertebra.name.level, landmarks[vertebra.name.index]) for vertebra in found]
    anchors = find_anchors(beside)
    for (upper, _), (lower, _) in pairwise(beside):
        if unseen := left_out(upper, lower):
            remarks.append(f"Not found between {upper} and {lower}: {', '.join(unseen)}.")
    remarks.extend(contradictions(beside))
    against: list[str] = []
    if above := counted_from_below(beside):
        # That needs something below to count from.
        (remarks if anchors else against).append(above)
    if rare := posterior.best.rare:
        against.append(rare)
    remarks.extend(against)
    numbering = Numbering.ANCHORED if anchors else Numbering.RELATIVE
    if against:
        numbering = Numbering.AMBIGUOUS
    if posterior.decided:
        remarks.append(f"The names rest on {_listed(posterior.decided)}.")
    return Decoded(found, owner, numbering, anchors, posterior.margin, tuple(remarks))


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _collect(
    spine: SpineVoxels,
    owner: npt.NDArray[np.int64],
    names: Sequence[Named],
    candidates: Sequence[Candidate],
    kept: Floats,
) -> tuple[FoundVertebra, ...]:
    gaps = np.diff(kept)
    found = []
    for place, named in enumerate(names):
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


def _owners(maps: CoarseMaps, curve: SpineCurve, kept: Floats) -> npt.NDArray[np.int16]:
    """Which vertebra every bone voxel near the spine belongs to."""
    owner = np.full(maps.offset.shape, -1, np.int16)
    if not kept.size:
        return owner
    bone = vertebral(maps) + maps.classes[Region.POSTERIOR_ELEMENTS] > 0.2
    places = np.argwhere(bone)
    points = places * COARSE_SPACING
    votes = curve.along(points) + maps.offset[bone]
    distance = np.abs(votes[:, None] - kept[None, :])
    nearest = distance.argmin(axis=1)
    near = (distance.min(axis=1) < 26.0) & (curve.distance(points) < 75.0)
    owner[tuple(places[near].T)] = nearest[near]
    return owner
