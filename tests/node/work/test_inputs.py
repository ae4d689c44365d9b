from __future__ import annotations

import os
from pathlib import Path

import pytest

from node.work.inputs import FrozenInputs


@pytest.fixture
def inputs(tmp_path: Path) -> FrozenInputs:
    return FrozenInputs(tmp_path / "inputs", tmp_path / "work")


def slices(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(name.encode())
    return [folder / name for name in names]


def test_a_frozen_study_does_not_grow_with_the_inbox(inputs: FrozenInputs, tmp_path: Path) -> None:
    files = slices(tmp_path / "inbox", "1.dcm", "2.dcm")
    folder = inputs.freeze("r", files)
    later = slices(tmp_path / "inbox", "3.dcm")
    assert inputs.freeze("r", files + later) == folder
    assert sorted(path.name for path in folder.iterdir()) == ["1.dcm", "2.dcm"]
    assert (folder / "1.dcm").samefile(tmp_path / "inbox" / "1.dcm")  # no second copy of the pixels


def test_a_study_that_cannot_be_frozen_whole_leaves_nothing(inputs: FrozenInputs, tmp_path: Path) -> None:
    files = slices(tmp_path / "inbox", "1.dcm")
    with pytest.raises(FileNotFoundError):
        inputs.freeze("r", [*files, tmp_path / "inbox" / "gone.dcm"])
    assert list((tmp_path / "inputs").iterdir()) == []


def test_releasing_keeps_the_inbox(inputs: FrozenInputs, tmp_path: Path) -> None:
    files = slices(tmp_path / "inbox", "1.dcm")
    inputs.freeze("r", files)
    inputs.release("r")
    assert not inputs.of("r").exists()
    assert files[0].exists()


def test_what_an_older_node_has_frozen_is_taken_over_and_its_remains_go(tmp_path: Path) -> None:
    """The layout of commit 8a1deb4: ``work/<reading>/study/`` beside attempts, and notes in ``work/settled/``."""
    slices(tmp_path / "work" / "r" / "study", "1.dcm", "2.dcm")
    slices(tmp_path / "work" / "r" / "attempt-1", "seg.dcm")
    (tmp_path / "work" / "settled").mkdir()
    (tmp_path / "work" / "settled" / "1.2.json").write_text("{}")
    slices(tmp_path / "work" / ".half", "1.dcm")
    os.utime(tmp_path / "work" / ".half", (0, 0))
    for _ in range(2):  # every start does it
        inputs = FrozenInputs(tmp_path / "inputs", tmp_path / "work")
    assert sorted(path.name for path in inputs.of("r").iterdir()) == ["1.dcm", "2.dcm"]
    assert not (tmp_path / "work" / "r" / "study").exists()
    assert not (tmp_path / "work" / ".half").exists()
    assert (tmp_path / "work" / "settled" / "1.2.json").exists()
