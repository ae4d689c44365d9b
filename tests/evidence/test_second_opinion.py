"""What the second opinion is trained on and how it is joined, on a box whose size is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from evidence.fractures.anatomies import LABEL_MAPS, WITH_CT
from evidence.fractures.collapse import Bent
from evidence.fractures.crops import Node
from evidence.fractures.rescan import Scan, scanned
from evidence.fractures.second_opinion import FOLDS, asked, joined
from models.anatomy import Level
from models.fractures.network import COLUMNS, PLANES_MM, ROWS, FractureNetwork, network_input
from models.fractures.training.train import Crops, spoiled, varied
from operators.body.frame import BodyFrame
from operators.fractures.second_opinion import straightened_crop
from tests.evidence.test_simulation import CENTRE, DEPTH, HEIGHT, box


def box_crop() -> dict[str, np.ndarray]:
    spine = scanned(box(), Bent(np.eye(3), CENTRE), (Level.L2,), Scan(1.0, 1.0, 0.0, 0.0, 1))
    frame = BodyFrame(spine.segmentation.vertebrae[0].number, np.zeros(3), np.eye(3), (40.0, DEPTH, HEIGHT))
    return straightened_crop(spine.volume, spine.segmentation.labels, spine.segmentation.regions, frame)


def box_crops(copies: int = 2) -> Crops:
    parts = [torch.from_numpy(np.stack([box_crop()[key]] * copies)) for key in ("hu", "own", "others")]
    return Crops(*parts, {"name": np.array(["s0004"] * copies)})


def test_a_crop_shows_the_body_upright_in_its_middle() -> None:
    crop = box_crop()
    own = crop["own"][2] > 127
    assert crop["hu"].shape == (len(PLANES_MM), ROWS, COLUMNS)
    assert own[:, COLUMNS // 2].sum() == pytest.approx(HEIGHT, abs=1)
    assert own[ROWS // 2].sum() == pytest.approx(DEPTH, abs=1)
    assert np.argwhere(own).mean(axis=0) == pytest.approx(((ROWS - 1) / 2, (COLUMNS - 1) / 2), abs=1.0)
    assert crop["others"].max() == 0
    assert (crop["hu"][2, ROWS // 2, COLUMNS // 2]) > 60
    assert (crop["hu"][:, 0] == -1024).all()


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_node_dents_its_plate_and_nothing_else(side: float) -> None:
    node = Node(box().stands[Level.L2], (2.0, -3.0), 5.0, side * 4.0, 0.0)
    half = HEIGHT / 2

    def shown(left: float, back: float, up: float) -> list[float]:
        moved = node.applied(CENTRE + np.array([[left, back, side * up]])) - CENTRE
        return [float(v) for v in moved[0] * [1, 1, side]]

    assert shown(2, -3, half - 4) == pytest.approx([2, -3, half])
    assert shown(2, -3, half - 13) == pytest.approx([2, -3, half - 13])
    assert shown(8, -3, half) == pytest.approx([8, -3, half])
    assert shown(2, -3, -half) == pytest.approx([2, -3, -half])
    heights = [shown(2, -3, up)[2] for up in np.arange(-half, half + 8, 0.25)]
    assert (np.diff(heights) > 0).all()


def test_every_body_is_left_out_once() -> None:
    assert sorted(name for group in FOLDS for name in group) == sorted((*LABEL_MAPS, *WITH_CT))


def test_both_opinions_count_alike_and_one_stands_alone() -> None:
    assert joined(0.9, 0.1) == pytest.approx(0.5)
    assert joined(0.8, 0.8) == pytest.approx(0.8)
    assert joined(None, 0.3) == pytest.approx(0.3)
    assert joined(0.3, None) == pytest.approx(0.3)
    assert joined(None, None) is None


def test_what_the_network_says_does_not_depend_on_the_side() -> None:
    torch.manual_seed(0)
    network = FractureNetwork().eval()
    crops = box_crops()
    crops.hu[:, 0] += 300
    mirrored = Crops(crops.hu.flip(1), crops.own.flip(1), crops.others.flip(1), crops.facts)
    assert asked(network, crops) == pytest.approx(asked(network, mirrored), abs=1e-5)


def test_masks_tell_the_network_no_height_to_the_millimetre() -> None:
    crops = box_crops()
    given = network_input(crops.hu, crops.own, crops.others)
    own = given[0, len(PLANES_MM) + 2, :, COLUMNS // 2]
    assert ((own > 0.05) & (own < 0.95)).sum() >= 4
    wrong = spoiled(box_crops(16)).own[:, 2, :, COLUMNS // 2] > 127
    heights = wrong.sum(dim=1).float()
    assert heights.min() < HEIGHT - 1
    assert heights.max() > HEIGHT + 1


def test_varied_crops_still_show_the_body_in_the_middle() -> None:
    crops = box_crops(8)
    given = varied(crops.hu, crops.own, crops.others, torch.Generator().manual_seed(1))
    assert given.shape == (8, 3 * len(PLANES_MM), ROWS, COLUMNS)
    bone = given[:, 2, ROWS // 2 - 4 : ROWS // 2 + 4, COLUMNS // 2 - 6 : COLUMNS // 2 + 6].mean(dim=(1, 2))
    assert (bone > given[:, 2, 2:6].mean(dim=(1, 2))).all()
