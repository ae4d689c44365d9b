"""What a case remembers, and that it never remembers the wrong thing."""

from __future__ import annotations

import numpy as np

from operators.reading.once import Once


def test_a_value_is_worked_out_once_for_the_very_same_parts() -> None:
    asked: list[tuple[object, float]] = []

    def work(part: np.ndarray, factor: float) -> float:
        asked.append((part, factor))
        return float(part.sum()) * factor

    once = Once()
    part = np.ones(3)

    assert [once(work, part, 2.0), once(work, part, 2.0)] == [6.0, 6.0]
    assert len(asked) == 1


def test_another_object_another_number_or_another_function_is_another_value() -> None:
    once = Once()

    def total(part: np.ndarray, factor: float | None) -> float:
        return float(part.sum()) * (factor or 0.0)

    def least(part: np.ndarray, factor: float | None) -> float:
        return float(part.min()) * (factor or 0.0)

    part = np.ones(3)
    assert once(total, part, 2.0) == 6.0
    assert once(total, part, 3.0) == 9.0
    assert once(total, part, None) == 0.0
    assert once(least, part, 2.0) == 2.0
    assert once(total, 2 * np.ones(3), 2.0) == 12.0


def test_the_parts_are_kept_so_that_no_later_object_takes_their_identity() -> None:
    once = Once()
    found = [once(lambda part: float(part.sum()), np.full(3, float(value))) for value in range(50)]

    assert found == [3.0 * value for value in range(50)]

    def total(part: np.ndarray) -> float:
        return float(part.sum())

    assert [once(total, np.full(3, float(value))) for value in range(50)] == [3.0 * value for value in range(50)]
