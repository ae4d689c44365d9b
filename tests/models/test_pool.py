"""Which bodies a training sees, and that it is written beside its samples."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.vertebrae.pool import LABEL_MAPS, PAIRS, fill_pool


@pytest.mark.parametrize("without", [("chest",), (*LABEL_MAPS, *PAIRS)])
def test_a_body_that_cannot_be_left_out_is_named_before_anything_is_read(tmp_path: Path, without: tuple[str]) -> None:
    with pytest.raises(ValueError, match=r"cannot leave out (chest|all bodies): there are .*chest_2p5mm"):
        fill_pool(tmp_path / "no-data", tmp_path / "pool", 1.0, 0, 1, without=without)
    assert not (tmp_path / "pool").exists()
