"""The tables of the density benchmarks, on rows that are known by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from evidence.density.damage import Outcome
from evidence.density.damage import report as damage_report
from evidence.density.phantom import RIVALS, Row, beside_the_rival
from evidence.evidence import replace_marked
from models.anatomy import Level


def row(own: float | None, cylinder: float | None, ball: float | None) -> Row:
    rivals = dict(zip(RIVALS, (cylinder, ball), strict=True))
    return Row(False, 1.0, own, level=Level.L1, rivals=rivals)


def test_rules_are_compared_on_the_levels_that_all_of_them_give() -> None:
    text = beside_the_rival([row(1.0, -2.0, 0.5), row(-1.0, 4.0, 3.0), row(None, 9.0, 9.0), row(5.0, None, 9.0)], False)
    first = text.splitlines()[2]
    assert "| 3 / 3 / 4 of 4 |" in first
    assert "| 1.00 / 1.00 / +0.00 | 3.00 / 3.90 / +1.00 | 1.75 / 2.88 / +1.75 |" in first
    assert first.endswith("| 2 / 1 of 2 |")


def test_damage_tells_what_is_withheld_as_what_and_how_far_the_rival_is_off() -> None:
    rows = [Outcome("cement", None, "cement", 600.0, None), Outcome("cement", 2.0, "", 500.0, 90.0)]
    line = damage_report(rows).splitlines()[2]
    assert line == "| cement | 1 of 2 | `cement` | +2 … +2 (1 without) | +500 … +600 | +90 … +90 (1 without) |"


def test_only_what_stands_between_the_marks_is_replaced(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("before\n<!-- it -->\nold\n<!-- /it -->\nafter\n")
    replace_marked("it", "new", document)
    replace_marked("it", "newer", document)
    assert document.read_text() == "before\n<!-- it -->\nnewer\n<!-- /it -->\nafter\n"
    with pytest.raises(ValueError, match="no marks"):
        replace_marked("other", "new", document)
