"""Which bodies a training sees, and that it is written beside its samples."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.vertebrae.training.pool import LABEL_MAPS, PAIRS, TAUGHT, data_digests, fill_pool, keep_digests
from models.vertebrae.training.verse import MAPS as VERSE_MAPS
from models.vertebrae.training.verse import PAIRS as VERSE_PAIRS

COARSE_PT_SHA256 = "f22cb52941a4a1e1e13b77a8e99072a8ac9e5ca94e95cb4722292eb72cfa6086"


@pytest.mark.parametrize("without", [("chest",), (*LABEL_MAPS, *PAIRS, *VERSE_MAPS, *VERSE_PAIRS)])
def test_a_body_that_cannot_be_left_out_is_named_before_anything_is_read(tmp_path: Path, without: tuple[str]) -> None:
    with pytest.raises(ValueError, match=r"cannot leave out (chest|all bodies): there are .*chest_2p5mm"):
        fill_pool(tmp_path / "no-data", tmp_path / "pool", 1.0, 0, 1, without=without)
    assert not (tmp_path / "pool").exists()


def test_the_list_of_a_pool_names_all_that_decides_its_samples(tmp_path: Path) -> None:
    data, teacher = tmp_path / "data", tmp_path / "teacher"
    bodies = [name for name in (*PAIRS, *TAUGHT) if name != "s0029"]
    files = [f"labels/{name}_labels.nii.gz" for name in LABEL_MAPS] + [f"ct/{name}/ct.nii.gz" for name in bodies]
    files += [f"ct/{name}/labels.nii.gz" for name in PAIRS] + ["truth_centroids.json"]
    files += [f"labels_verse/{file}.nii.gz" for name, file in VERSE_MAPS.items() if name != "gl108"]
    files += ["ct/verse008/ct.nii.gz", "ct/verse008/vertebrae_verse_ids.nii.gz"]
    for path in [*(data / name for name in files), teacher / "coarse.pt", teacher / "fine.pt"]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    known = data_digests(data, without=("s0029", "gl108", "verse005"), teacher=teacher)
    assert set(known) == {*files, "teacher/coarse.pt", "teacher/fine.pt"}
    # `printf coarse.pt | sha256sum`
    assert known["teacher/coarse.pt"] == COARSE_PT_SHA256
    alone = data_digests(data, without=("s0029", "gl108", "verse005"))
    assert not [name for name in alone if name.startswith(("teacher", "truth")) or "s0015" in name]


def test_a_pool_is_not_continued_with_other_bodies(tmp_path: Path) -> None:
    """Its list would deny a body that its samples show."""
    file = tmp_path / "pool" / "data.json"
    keep_digests(file, {"labels/a_labels.nii.gz": "1", "ct/chest_2p5mm/ct.nii.gz": "2"})
    keep_digests(file, {"ct/chest_2p5mm/ct.nii.gz": "2", "labels/a_labels.nii.gz": "1"})
    with pytest.raises(
        ValueError, match=r"pool was begun with other data \(ct/chest_2p5mm/ct\.nii\.gz\): take another"
    ):
        keep_digests(file, {"labels/a_labels.nii.gz": "1"})
    assert "chest_2p5mm" in file.read_text()
