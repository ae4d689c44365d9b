"""Outlines of masks."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset

from operators.results.outlines import trace_outline
from tests.operators.sr_tree import filled


@pytest.mark.parametrize(
    "drawn",
    [
        ["#"],
        ["##", "##"],
        ["#.", ".#"],
        ["###", "#.#", "###"],
        [".##", "##.", "#.."],
        ["#####", "#...#", "#.#.#", "#...."],
    ],
)
def test_an_outline_holds_the_pixels_of_the_largest_part(drawn: list[str]) -> None:
    mask = np.array([[c == "#" for c in row] for row in drawn])
    points = trace_outline(mask)
    assert np.array_equal(points[0], points[-1])
    item = Dataset()
    item.GraphicData = points.ravel().tolist()
    inside = filled(item)[: mask.shape[0], : mask.shape[1]]
    if drawn == ["#.", ".#"]:
        assert inside.sum() == 1
    elif drawn[1:2] == ["#...#"]:
        assert inside.tolist() == [[True] * 5, [True] + [False] * 3 + [True]] * 1 + [
            [True] + [False] * 3 + [True],
            [True] + [False] * 4,
        ]
    elif drawn[1:2] == ["#.#"]:
        assert inside.all()
    else:
        assert np.array_equal(inside, mask)


def test_an_empty_mask_has_no_outline() -> None:
    with pytest.raises(ValueError, match="empty"):
        trace_outline(np.zeros((3, 3), dtype=bool))
