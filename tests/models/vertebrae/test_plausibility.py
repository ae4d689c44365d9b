"""A count is doubted where the distances of the centres say so; distances are those of usual spines, in mm."""

from __future__ import annotations

import numpy as np
import pytest

from models.anatomy import Level
from models.engine import Numbering
from models.vertebrae.names.decode import Decoded
from models.vertebrae.names.plausibility import miscounted, no_bone

HEIGHTS = {Level.T2: 20.0, Level.T3: 21.0, Level.T4: 21.5, Level.T5: 22.0, Level.T6: 23.0, Level.T7: 23.0}
"""Distance in mm from the centre of each vertebra to that of the next one below."""


def spine(scale: float = 1.0) -> list[tuple[Level, np.ndarray]]:
    depth, found = 0.0, []
    for level, height in HEIGHTS.items():
        found.append((level, np.array([100.0 - depth / 3.0, 40.0, 40.0])))
        depth += scale * height
    return found


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.25])
def test_a_spine_of_any_size_is_counted_right(scale: float) -> None:
    assert miscounted(spine(scale)) == ""


def test_a_fractured_and_a_tall_vertebra_are_no_miscount() -> None:
    moved = [(level, centre + np.array([1.5 if level is Level.T4 else 0.0, 0.0, 0.0])) for level, centre in spine()]
    assert miscounted(moved) == ""


def test_two_vertebrae_taken_for_one_are_noticed() -> None:
    """T4 and T5 are one candidate in their middle; those above bear the name one too low."""
    true = spine()
    merged = (Level.T5, (true[2][1] + true[3][1]) / 2)
    given = [(Level.T3, true[0][1]), (Level.T4, true[1][1]), merged, *true[4:]]
    assert "room for two" in miscounted(given)


def test_a_vertebra_that_was_not_seen_is_noticed() -> None:
    true = spine()
    given = [(Level.T3, true[0][1]), (Level.T4, true[1][1]), *true[3:]]
    assert miscounted(given) == "Between T4 and T5 there is room for one more vertebra: the count may be wrong."


def test_a_vertebra_that_the_border_cuts_is_no_miscount() -> None:
    """The centre of what is left of it may lie half a vertebra away from its own."""
    true = spine()
    assert miscounted([(true[0][0], true[0][1] + np.array([4.5, 0.0, 0.0])), *true[1:]]) == ""


def test_a_vertebra_missing_beside_the_outermost_is_noticed_where_the_view_goes_on() -> None:
    """T3 was not seen, and T2 bears its name: at the border that may be a cut vertebra, in a longer view it is not."""
    true = spine()
    above = [(Level.T3, true[0][1]), *true[2:]]
    top, bottom = int(true[0][1][0]), int(true[-1][1][0])
    assert miscounted(above, (bottom - 20, top + 4)) == ""
    assert "Between T3 and T4 there is room for one more" in miscounted(above, (bottom - 20, top + 12))
    below = [*true[:-2], (Level.T6, true[-1][1])]
    assert miscounted(below, (bottom - 4, top + 20)) == ""
    assert "Between T5 and T6 there is room for one more" in miscounted(below, (bottom - 12, top + 20))
    assert miscounted(true, (bottom - 20, top + 20)) == ""


def test_a_gap_that_the_names_already_leave_is_no_miscount() -> None:
    true = spine()
    assert miscounted([*true[:2], *true[3:]]) == ""


FULL = {
    "T8": 25.0, "T9": 26.0, "T10": 27.0, "T11": 28.0, "T12": 30.0, "L1": 32.0, "L2": 33.0, "L3": 34.0, "L4": 35.0,
    "L5": 33.0, "S1": 30.0,
}  # fmt: skip
"""Distance in mm from each centre to the next one below in a spine of usual size."""


def lower_spine() -> list[tuple[Level, np.ndarray]]:
    depth, found = 0.0, []
    for name, height in FULL.items():
        found.append((Level(name), np.array([150.0 - depth / 3.0, 40.0, 40.0])))
        depth += height
    return found


def test_the_lower_spine_is_counted_right_across_the_regions() -> None:
    assert miscounted(lower_spine()) == ""


@pytest.mark.parametrize("unseen", ["T10", "T11", "T12", "L1", "L2", "L3", "L4"])
def test_an_unseen_vertebra_is_noticed_wherever_the_names_above_slip(unseen: str) -> None:
    true = lower_spine()
    at = [str(level) for level, _ in true].index(unseen)
    # Those above the gap bear the name of the next one below.
    given = [(true[i + 1][0], true[i][1]) for i in range(at)] + true[at + 1 :]
    assert "room for one more" in miscounted(given)


@pytest.mark.parametrize("upper", ["T10", "T11", "T12", "L1", "L2", "L3"])
def test_two_taken_for_one_are_noticed_in_every_region(upper: str) -> None:
    true = lower_spine()
    at = [str(level) for level, _ in true].index(upper)
    merged = (true[at + 1][0], (true[at][1] + true[at + 1][1]) / 2)
    given = [(true[i + 1][0], true[i][1]) for i in range(at)] + [merged, *true[at + 2 :]]
    assert "room for" in miscounted(given)


def test_names_that_leave_out_a_vertebra_without_room_for_it_are_doubted() -> None:
    """Four lumbar vertebrae under the names L1, L3, L4 and L5."""
    true = lower_spine()
    at = [str(level) for level, _ in true].index("L2")
    shift = true[at + 1][1] - true[at][1]
    given = [(level, centre + shift) for level, centre in true[:at]] + true[at + 1 :]
    assert "Between L1 and L3 there is no room" in miscounted(given)


def test_a_destroyed_vertebra_leaves_its_room() -> None:
    true = lower_spine()
    at = [str(level) for level, _ in true].index("L2")
    assert miscounted(true[:at] + true[at + 1 :]) == ""


@pytest.mark.parametrize(("cortex", "said"), [(300.0, False), (60.0, True)])
def test_a_spine_has_bone(cortex: float, said: bool) -> None:
    """Soft spongiosa is bone when a cortex lies around it; even tissue is none, whatever shape was seen in it."""
    owner = np.full((20, 20, 20), -1, np.int16)
    owner[5:15, 5:15, 5:15] = 0
    hu = np.where(owner >= 0, 30.0, 40.0).astype(np.float32)
    hu[5:15, 5:15, 5] = cortex
    decoded = Decoded((), owner, Numbering.AMBIGUOUS, (), 0.0, ())
    assert bool(no_bone(hu, decoded)) is said
