from __future__ import annotations

from pathlib import Path

import pytest

from node.receiving.dataset import stored_values
from node.settings import SettlingSettings
from node.work.settling import PLACE, Rule, Waiting, count_missing_slices, settled_by
from tests.node.slices import write_series

SETTINGS = SettlingSettings(quiet_seconds=30, gap_seconds=120, longest_wait_seconds=600)


@pytest.mark.parametrize(
    ("first", "last", "sending", "missing", "now", "expected"),
    [
        # first instance, last instance, association open, slices missing, now (s)
        (0, 10, False, 0, 39, None),
        (0, 10, False, 0, 40, Rule.QUIET),
        (0, 10, True, 0, 300, None),  # somebody still sends, however slowly
        (0, 10, False, 2, 40, None),  # slices are missing: wait longer
        (0, 10, False, 2, 129, None),
        (0, 10, False, 2, 130, Rule.QUIET_WITH_GAPS),
        (0, 599, True, 5, 600, Rule.LONGEST_WAIT),  # a sender that never ends
        (0, 599, False, 0, 600, Rule.LONGEST_WAIT),
        (0, 10, False, 0, -3600, None),  # the clock was put back
    ],
)
def test_the_rule_that_decides(
    first: float, last: float, sending: bool, missing: int, now: float, expected: Rule | None
) -> None:
    assert settled_by(Waiting(first, last, sending), now, SETTINGS, lambda: missing) is expected


@pytest.mark.parametrize(
    ("kept", "missing"),
    [
        (range(1, 11), 0),
        ([1, 2, 3, 5, 6, 7, 8], 1),
        ([1, 2, 3, 4, 8, 9, 12, 13, 14], 5),
        ([3, 1, 2], 0),
        ([1, 9], 0),  # two positions tell no usual step
    ],
)
def test_missing_slices_are_counted_by_position(tmp_path: Path, kept: list[int], missing: int) -> None:
    files = write_series(tmp_path, 14)
    assert count_missing_slices(stored_values(files[number - 1], PLACE) for number in kept) == missing


@pytest.mark.parametrize("position", ["", "0\\0", "0\\0\\up", "0\\0\\nan", "0\\0\\1e308", "0\\0\\inf"])
def test_what_has_no_place_in_a_scanner_does_not_count(tmp_path: Path, position: str) -> None:
    heads = [stored_values(file, PLACE) for file in write_series(tmp_path, 5)]
    assert count_missing_slices([*heads, {**heads[0], 0x00200032: position}, {}]) == 0
