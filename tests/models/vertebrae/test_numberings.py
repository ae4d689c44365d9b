"""All evidence together: each kind moves the posterior as far as it should, and doubt stays where it belongs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from models.anatomy import Level
from models.vertebrae.names.landmarks import Landmarks
from models.vertebrae.names.levels import LEVELS, TRAINED, Candidate, Link
from models.vertebrae.names.numberings import Factor, Posterior, Seen, hypotheses, number
from models.vertebrae.names.rows import Row, rows_beside
from models.vertebrae.names.shape import Shape, ShapePrior

FAR = float("inf")
LOINS = [Level.T11, Level.T12, Level.L1, Level.L2, Level.L3, Level.L4, Level.L5]


def blind(count: int) -> np.ndarray:
    """A network that knows nothing."""
    return np.full((count, len(TRAINED)), 1.0 / len(TRAINED))


def sure(names: Sequence[Level], share: float = 0.9) -> np.ndarray:
    levels = np.full((len(names), len(TRAINED)), (1.0 - share) / (len(TRAINED) - 1))
    for place, name in enumerate(names):
        levels[place, TRAINED.index(name)] = share
    return levels


def shaped(names: Sequence[Level]) -> Shape:
    """The mean shape of some levels."""
    prior = ShapePrior.load()
    places = [prior.levels.index(name) for name in names]
    values = prior.mean.reshape(-1, 3)[places].copy()
    values[:, 1] += prior.width_bias[places]
    values[-1, [0, 2]] = np.nan
    return Shape(values)


def formless(count: int) -> Shape:
    return Shape(np.full((count, 3), np.nan))


def believed(levels: np.ndarray, landmarks: Sequence[Landmarks], shape: Shape) -> Posterior:
    count = len(levels)
    kept = tuple(range(count))
    candidates = [Candidate(30.0 * i, 1.0, np.zeros(len(LEVELS)), float(i)) for i in range(count)]
    row = Row(kept, (1,) * (count - 1), 0.0)
    return number(hypotheses(Seen(candidates, landmarks, levels, {kept: shape}), [row], ShapePrior.load()))


def nothing(count: int) -> list[Landmarks]:
    return [Landmarks(None, FAR)] * count


def test_without_evidence_no_name_is_likely() -> None:
    found = believed(blind(3), nothing(3), formless(3))
    assert max(vertebra.probability for vertebra in found.vertebrae) < 0.1


def test_the_network_alone_is_never_sure() -> None:
    """It errs by one level for whole rows, so that all its certainty leaves a fifth or more to other numberings."""
    found = believed(sure(LOINS, 0.999), nothing(7), formless(7))
    assert [vertebra.level for vertebra in found.vertebrae] == LOINS
    assert all(0.5 < vertebra.probability < 0.85 for vertebra in found.vertebrae)


def test_shape_and_network_together_are_surer_than_each() -> None:
    parts = [
        believed(levels, nothing(7), shape).vertebrae[3].probability
        for levels, shape in ((sure(LOINS), formless(7)), (blind(7), shaped(LOINS)), (sure(LOINS), shaped(LOINS)))
    ]
    assert parts[2] > max(parts[:2])
    assert parts[2] > 0.9


@pytest.mark.parametrize("moved", [-1, 1])
def test_shape_ribs_and_sacrum_overrule_a_network_that_is_one_level_off(moved: int) -> None:
    seen = [TRAINED[TRAINED.index(name) + moved] for name in LOINS]
    landmarks = [Landmarks(i < 2, 21.0 + 33.0 * (6 - i)) for i in range(7)]
    found = believed(sure(seen), landmarks, shaped(LOINS))
    assert [vertebra.level for vertebra in found.vertebrae] == LOINS
    assert found.vertebrae[0].probability > 0.9
    assert {Factor.SHAPE, Factor.RIBS, Factor.SACRUM} & set(found.decided)


def test_six_below_the_last_ribs_are_a_sixth_lumbar_or_missing_ribs_and_both_are_said() -> None:
    """The names from the ribs down to the sacrum are one of several, and none of them is sure."""
    landmarks = [Landmarks(i < 3, 21.0 + 33.0 * (8 - i)) for i in range(9)]
    found = believed(blind(9), landmarks, formless(9))
    assert min(vertebra.probability for vertebra in found.vertebrae) < 0.9
    lowest = found.vertebrae[-1]
    assert {lowest.level, lowest.alternative} <= {Level.L5, Level.L6, Level.L4}


def test_the_margin_is_a_number_even_where_only_one_row_of_names_fits() -> None:
    whole = list(TRAINED)
    found = believed(sure(whole), nothing(25), formless(25))
    assert [vertebra.level for vertebra in found.vertebrae] == whole
    assert np.isfinite(found.margin)


def test_numberings_that_agree_on_a_vertebra_leave_it_sure() -> None:
    """Whether a candidate above is one vertebra or none moves only the names beyond it."""
    names = [Level.L1, Level.L2, Level.L3, Level.L4, Level.L5]
    landmarks = [Landmarks(False, 21.0 + 33.0 * (5 - i)) for i in range(6)]
    candidates = [Candidate(33.0 * i, 1.0 if i != 1 else 0.38, np.zeros(len(LEVELS)), float(i)) for i in range(6)]
    with_it, without = (0, 1, 2, 3, 4, 5), (0, 2, 3, 4, 5)
    shapes = {with_it: formless(6), without: formless(5)}
    rows = [Row(with_it, (1, 1, 1, 1, 1), 0.0), Row(without, (1, 1, 1, 1), 0.0)]
    levels = sure([Level.T12, *names])
    found = number(hypotheses(Seen(candidates, landmarks, levels, shapes), rows, ShapePrior.load()))
    by_index = {vertebra.index: vertebra for vertebra in found.vertebrae}
    assert by_index[0].probability < 0.9
    assert by_index[5].level is Level.L5
    assert by_index[5].probability > by_index[0].probability


def test_rows_beside_the_best_one_leave_out_a_weak_candidate_or_add_one_that_was_left_out() -> None:
    strengths, turns = [1.0, 1.0, 0.4, 1.0, 1.0], [0.0, 1.0, 1.5, 2.0, 3.0]
    candidates = [
        Candidate(30.0 * turn, strength, np.zeros(len(LEVELS)), turn)
        for strength, turn in zip(strengths, turns, strict=True)
    ]
    chain = [Link(i, level) for i, level in zip((0, 1, 3, 4), TRAINED[19:23], strict=True)]
    rows = rows_beside(candidates, chain)
    assert rows[0] == Row((0, 1, 3, 4), (1, 1, 1), rows[0].log_odds)
    assert (0, 1, 2, 3, 4) in {row.kept for row in rows}
    assert all(row.log_odds <= rows[0].log_odds for row in rows)
    assert len({(row.kept, row.steps) for row in rows}) == len(rows)


def test_a_row_that_is_longer_than_a_spine_has_no_names() -> None:
    kept = tuple(range(30))
    candidates = [Candidate(30.0 * i, 1.0, np.zeros(len(LEVELS)), float(i)) for i in kept]
    seen = Seen(candidates, nothing(30), blind(30), {kept: formless(30)})
    assert hypotheses(seen, [Row(kept, (1,) * 29, 0.0)], ShapePrior.load()) == []
