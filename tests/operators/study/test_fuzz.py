"""A fixed share of what ``python -m evidence.fuzz_reading`` does with 100,000 studies."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from evidence.fuzz_reading import mutated, outcome

SHARES = 6
PER_SHARE = 25
FOUND = (2, 10, 208, 7011)
"""Studies that once raised another error: a sequence that breaks off, an Instance Number of ``100²``, a thickness of
``NAN``."""


@pytest.mark.parametrize("share", range(SHARES))
def test_a_mutated_study_is_a_reading_or_a_named_refusal(tmp_path: Path, share: int) -> None:
    outcomes = Counter(
        outcome(number, tmp_path / "study") for number in range(PER_SHARE * share, PER_SHARE * (share + 1))
    )

    assert outcomes.total() == PER_SHARE
    assert all(name.replace("-", "").isalpha() for name in outcomes)


@pytest.mark.parametrize("number", FOUND)
def test_what_was_found_once_stays_mended(tmp_path: Path, number: int) -> None:
    assert outcome(number, tmp_path / "study")


def test_a_case_is_its_number_alone() -> None:
    assert mutated(7) == mutated(7)
    assert mutated(7) != mutated(8)
