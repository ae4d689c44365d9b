"""Label maps of VerSe: their ids, the cord that they lack, what they do not know, and the body painted around them."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest
import torch

from models.anatomy import Level, Region
from models.vertebrae.evaluation.references import read_reference, trained_on
from models.vertebrae.names.levels import TRAINED
from models.vertebrae.network import CLASS_COUNT, LEVEL_COUNT, CoarseOutput
from models.vertebrae.training.atlas import canonical, verse_atlas
from models.vertebrae.training.losses import CoarseBatch, coarse_losses, soft_dice_loss
from models.vertebrae.training.surroundings import with_surroundings
from models.vertebrae.training.targets import (
    CORD_ID,
    HIGHEST_ID,
    NO_LEVEL,
    NO_OFFSET,
    NO_PHASE,
    RIB_IDS,
    UNKNOWN,
    NoSpineError,
    make_targets,
)
from models.vertebrae.training.verse import MAPS, VerseError, from_verse_ids, unknown_bone, with_cord
from tests.models import built

Array = npt.NDArray[np.uint8]


def vertebrae_alone() -> Array:
    """The built spine as people draw one: vertebrae, and nothing else, with a closed ring around the canal."""
    labels = built.label_map()
    y, x = np.mgrid[:80, :80]
    radius = (y - 47) ** 2 + (x - built.MIDDLE_X) ** 2
    ring = (radius <= 100) & (radius > 49)
    for index in range(built.COUNT):
        middle = built.PITCH * (built.COUNT - index)
        labels[middle - 6 : middle + 3][:, ring] = built.TOP_ID - index
    return np.where((labels > 26) & (labels <= HIGHEST_ID), labels, 0).astype(np.uint8)


def test_ids_of_verse_become_the_levels_that_they_name() -> None:
    """VerSe counts C1 = 1 … C7 = 7, T1 = 8 … T12 = 19, L1 = 20 … L5 = 24."""
    truth = {1: Level.C1, 4: Level.C4, 7: Level.C7, 8: Level.T1, 19: Level.T12, 20: Level.L1, 24: Level.L5}
    given = from_verse_ids(np.array([0, *truth]))
    assert given[0] == 0
    assert [TRAINED[HIGHEST_ID - value] for value in given[1:].tolist()] == list(truth.values())


@pytest.mark.parametrize("foreign", [25, 28, 2.5])
def test_ids_that_are_no_usual_vertebra_are_refused_by_name(foreign: float) -> None:
    with pytest.raises(VerseError, match=rf"ids \[{float(foreign)}\] are no usual vertebra of VerSe .*remove them"):
        from_verse_ids(np.array([[0.0, 3.0, foreign]]))


def test_a_neck_by_people_is_read_with_its_voxels(shared_data: Path) -> None:
    """Sizes as nibabel tells them on the file's own grid; at 1.5 mm the same volume but for whole voxels."""
    path = shared_data / "labels_verse" / f"{MAPS['gl003']}.nii.gz"
    own = from_verse_ids(canonical(path, 0))
    voxel_mm3 = float(np.prod(nib.load(path).header.get_zooms()))  # type: ignore[attr-defined]
    counts = {Level.C1: 138777, Level.C2: 178444, Level.C4: 125267, Level.C7: 182036, Level.T5: 274639}
    for level, count in counts.items():
        volume = np.count_nonzero(own == HIGHEST_ID - TRAINED.index(level)) * 1.5**3
        assert volume == pytest.approx(count * voxel_mm3, rel=0.03), level
    heights = [np.argwhere(own == HIGHEST_ID - rank)[:, 0].mean() for rank in range(12)]
    assert heights == sorted(heights, reverse=True)


def test_c1_and_c2_have_a_centre_each_and_no_disc_between_them(shared_data: Path) -> None:
    """Distances of neighbours in 67 necks named by people (spine_keypoints.json.gz): 17.5 ± 2.4, then 24.7 ± 2.7 mm."""
    atlas = verse_atlas(shared_data, "gl003")
    assert atlas.levels_present.tolist() == list(range(12))
    body = np.isin(atlas.regions, (Region.BODY,))
    centres = [np.argwhere(body & (atlas.levels == level)).mean(axis=0) * 1.5 for level in range(4)]
    gaps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    assert 10.0 < gaps[0] < 22.0
    assert 17.0 < gaps[1] < 30.0
    assert 13.0 < gaps[2] < 22.0
    # The front of C1 is bone that stands before the dens, never behind the cord.
    cord = np.argwhere(atlas.labels == CORD_ID)
    arch = np.argwhere(body & (atlas.levels == 0))
    assert arch[:, 1].max() <= cord[np.isin(cord[:, 0], arch[:, 0]), 1].max()
    between = (atlas.regions == Region.DISC) & (atlas.levels == 0)
    assert not between.any()
    below = (atlas.regions == Region.DISC) & np.isin(atlas.levels, (1, 2))
    assert np.count_nonzero(below) > 100


def test_the_cord_runs_in_the_hole_of_the_vertebrae() -> None:
    labels = vertebrae_alone()
    given = with_cord(labels, built.SPACING)
    cord = np.argwhere(given == CORD_ID)
    assert np.allclose(cord[:, 1:].mean(axis=0), (47, built.MIDDLE_X), atol=0.7)
    assert set(cord[:, 0]) == set(np.flatnonzero(labels.any(axis=(1, 2))))
    assert np.array_equal(np.where(given == CORD_ID, 0, given), labels)
    with pytest.raises(NoSpineError):
        with_cord(np.where(labels == built.TOP_ID, 0, labels)[:, :40], built.SPACING)


def test_bodies_are_those_that_the_true_cord_gives() -> None:
    truth = make_targets(built.label_map(), built.SPACING).regions == Region.BODY
    given = make_targets(with_cord(vertebrae_alone(), built.SPACING), built.SPACING).regions == Region.BODY
    overlap = 2.0 * np.count_nonzero(truth & given) / (np.count_nonzero(truth) + np.count_nonzero(given))
    assert overlap > 0.97


def test_bone_without_a_label_is_unknown_and_soft_tissue_is_not() -> None:
    labels = with_cord(vertebrae_alone(), built.SPACING)
    hu = np.where(labels > 26, 300.0, 40.0)
    hu[labels == CORD_ID] = 30.0
    sacrum = (slice(0, 8), slice(20, 50), slice(25, 55))
    assert not labels[sacrum][:, :, :5].any()
    hu[sacrum] = 250.0
    # The blurred edge of a vertebra is not unknown: people drew where it ends.
    top = built.PITCH * built.COUNT + built.HALF_BODY
    hu[top + 1, 25:35, 35:45] = 200.0
    unknown = unknown_bone(labels, hu, built.SPACING)
    assert unknown[0:8, 22:48, 27:53][labels[0:8, 22:48, 27:53] == 0].all()
    assert not unknown[top + 1, 26:34, 36:44].any()
    assert not unknown[labels > 0].any()
    assert np.count_nonzero(unknown[10:]) == 0


def _batch(regions: torch.Tensor) -> CoarseBatch:
    shape = regions.shape
    return CoarseBatch(
        torch.zeros(1, 1, *shape[1:]),
        regions,
        torch.full(shape, NO_LEVEL, dtype=torch.long),
        torch.full(shape, NO_PHASE, dtype=torch.long),
        torch.full(shape, float(NO_OFFSET)),
    )


def _answer(seed: int) -> CoarseOutput:
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randn((1, CLASS_COUNT, 8, 8, 8), generator=generator, requires_grad=True)
    return CoarseOutput(
        classes, torch.zeros(1, 2, 8, 8, 8), torch.zeros(1, 1, 8, 8, 8), torch.zeros(1, LEVEL_COUNT, 4, 4, 4)
    )


def test_nothing_is_learnt_where_the_truth_is_unknown() -> None:
    regions = torch.zeros((1, 8, 8, 8), dtype=torch.long)
    regions[:, 2:6] = int(Region.BODY)
    regions[:, 6:] = UNKNOWN
    output = _answer(1)
    losses = coarse_losses(output, _batch(regions))
    torch.stack([losses["classes"], losses["dice"]]).sum().backward()  # type: ignore[no-untyped-call]
    slope = output.classes.grad
    assert slope is not None
    assert not slope[:, :, 6:].any()
    assert slope[:, :, :6].abs().min() > 0
    # What is known counts as if the rest were not there.
    part = soft_dice_loss(output.classes[:, :, :6], regions[:, :6])
    assert torch.allclose(losses["dice"], part, rtol=1e-6)


def test_a_crop_of_which_nothing_is_known_does_no_harm() -> None:
    losses = coarse_losses(_answer(2), _batch(torch.full((1, 8, 8, 8), UNKNOWN)))
    assert not torch.stack(list(losses.values())).any()


def test_a_body_is_painted_around_vertebrae_that_stay_as_they_are() -> None:
    labels = vertebrae_alone()
    thoracic = np.where(labels > 0, labels + 4, 0).astype(np.uint8)  # T9 … T12
    given = with_surroundings(with_cord(thoracic, built.SPACING), built.SPACING, np.random.default_rng(3))
    for level_id in np.unique(thoracic)[1:].tolist():
        assert np.count_nonzero(given == level_id) == np.count_nonzero(thoracic == level_id)
        ribs = [RIB_IDS[0] + 43 - level_id, RIB_IDS[12] + 43 - level_id]
        middle = np.argwhere(given == CORD_ID)[:, 2].mean()
        left, right = (np.argwhere(given == rib)[:, 2].mean() for rib in ribs)
        assert left > middle + 15 > middle - 15 > right
    # Nobody knows what lay beyond the outermost vertebrae: the map ends there.
    drawn = np.flatnonzero((thoracic > 0).any(axis=(1, 2)))
    assert len(given) == drawn[-1] - drawn[0] + 1
    around = given[(given != CORD_ID) & ((given < 27) | (given > HIGHEST_ID))]
    assert np.count_nonzero(around == 120) > 0.2 * given.size


def test_a_ct_by_people_is_a_reference(shared_data: Path) -> None:
    """Voxels as counted with nibabel; the experts named L1 to L5."""
    reference = read_reference(shared_data, "verse005")
    counts = {Level.L1: 52223, Level.L2: 58288, Level.L3: 64116, Level.L4: 68394, Level.L5: 68134}
    assert {level: int(mask.sum()) for level, mask in reference.labels.items()} == counts
    assert reference.bodies is not None
    for mask in reference.labels.values():
        assert 0.45 < np.count_nonzero(mask & reference.bodies) / np.count_nonzero(mask) < 0.8


def test_weights_say_which_bodies_of_verse_they_saw(tmp_path: Path) -> None:
    files = '{"labels_verse/sub-gl003_dir-ax_seg-vert_msk.nii.gz": "1", "ct/verse005/ct.nii.gz": "2"}'
    (tmp_path / "data.json").write_text(files)
    assert trained_on(tmp_path) == ("gl003", "verse005")
