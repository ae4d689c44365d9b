from __future__ import annotations

import numpy as np
import pytest

from models.anatomy import Level, left_out
from models.vertebrae.names.levels import LEVELS, TRAINED, Candidate, best_chain, spread_evidence


def evidence(level: Level, clear: float) -> np.ndarray:
    """Evidence for one level, and half of it for its neighbours."""
    trained = np.full(len(TRAINED), -clear)
    place = TRAINED.index(level)
    for distance, share in ((0, 1.0), (1, 0.5)):
        for index in {place - distance, place + distance}:
            if 0 <= index < len(TRAINED):
                trained[index] = clear * share
    return spread_evidence(trained)


def chain(levels: list[Level], clear: float = 4.0, pitch: float = 30.0) -> list[Candidate]:
    return [Candidate(pitch * i, 1.0, evidence(level, clear), float(i)) for i, level in enumerate(levels)]


def test_clear_evidence_is_read_off() -> None:
    levels = [Level.T11, Level.T12, Level.L1, Level.L2, Level.L3]
    named = best_chain(chain(levels))
    assert [n.level for n in named] == levels


def test_one_misread_vertebra_is_outvoted_by_its_neighbours() -> None:
    seen = [Level.T11, Level.T12, Level.L2, Level.L2, Level.L3]
    assert [n.level for n in best_chain(chain(seen))] == [Level.T11, Level.T12, Level.L1, Level.L2, Level.L3]


def test_weak_candidate_between_two_vertebrae_is_left_out() -> None:
    levels = [Level.L1, Level.L2, Level.L3]
    candidates = chain(levels, pitch=34.0)
    ghost = Candidate(50.0, 0.15, np.zeros(len(LEVELS)), 1.4)
    named = best_chain([candidates[0], candidates[1], ghost, candidates[2]])
    assert [n.index for n in named] == [0, 1, 3]
    assert [n.level for n in named] == levels


def test_vertebra_that_nobody_saw_leaves_a_gap_in_the_names() -> None:
    seen = [Level.T10, Level.T11, Level.L1, Level.L2]
    places, turns = [0.0, 27.0, 83.0, 114.0], [0.0, 1.0, 3.0, 4.0]
    candidates = [
        Candidate(place, 1.0, evidence(level, 4.0), turn)
        for level, place, turn in zip(seen, places, turns, strict=True)
    ]
    assert [n.level for n in best_chain(candidates)] == seen


def test_sixth_lumbar_vertebra_is_taken_only_when_both_ends_are_sure() -> None:
    seen = [Level.T12, Level.L1, Level.L2, Level.L3, Level.L4, Level.L5, Level.L5, Level.S1]
    named = best_chain(chain(seen, clear=8.0, pitch=33.0))
    assert [n.level for n in named] == [*seen[:6], Level.L6, Level.S1]


def test_no_candidate_no_names() -> None:
    assert best_chain([]) == []


@pytest.mark.parametrize(("level", "like"), [(Level.T13, (Level.T12, Level.L1)), (Level.L6, (Level.L5,))])
def test_rare_levels_share_the_evidence_of_their_neighbours_and_pay(level: Level, like: tuple[Level, ...]) -> None:
    evidence = np.random.default_rng(3).normal(size=len(TRAINED))
    spread = spread_evidence(evidence)
    assert len(spread) == len(LEVELS)
    best = max(evidence[TRAINED.index(one)] for one in like)
    assert spread[level.rank] == pytest.approx(best - 9.0)
    assert spread[Level.T12.rank] == evidence[TRAINED.index(Level.T12)]


@pytest.mark.parametrize(
    ("upper", "lower", "between"),
    [("L1", "L3", ["L2"]), ("T12", "L1", []), ("L5", "S1", []), ("T11", "L2", ["T12", "L1"]), ("T13", "L1", [])],
)
def test_what_everybody_has_between_two_names(upper: str, lower: str, between: list[str]) -> None:
    assert left_out(Level(upper), Level(lower)) == between
