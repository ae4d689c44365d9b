"""The benchmarks' own yardsticks, on boxes whose heights are known without them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evidence.evidence import RowFile, write_section
from evidence.fractures.anatomies import Anatomy, Stand
from evidence.fractures.collapse import Bent, Collapse, Hinge, true_heights
from evidence.fractures.rescan import Scan, scanned
from evidence.fractures.rival import least_ratios, ratio
from evidence.fractures.roc import Scores, area, auc
from models.anatomy import Level, Region
from models.vertebrae.names.levels import TRAINED
from operators.fractures.results import Shape

HEIGHT, DEPTH, WIDTH = 24.0, 32.0, 40.0
CENTRE = np.array([60.0, 60.0, 60.0])


def box() -> Anatomy:
    """One vertebral body, a box of known size in the middle of 120 mm of fat."""
    z, y, x = np.meshgrid(*(np.arange(0.0, 121.0, 1.5),) * 3, indexing="ij")
    sides = [np.abs(v - c) - half for v, c, half in zip((x, y, z), CENTRE, (20.0, 16.0, 12.0), strict=True)]
    depth = -np.maximum(np.maximum(sides[0], sides[1]), sides[2]).astype(np.float32)
    number = np.full(depth.shape, TRAINED.index(Level.L2) + 1, np.uint8)
    stand = Stand(Level.L2, CENTRE, np.eye(3), (12.0, 0.0), (-12.0, 0.0), -16.0, 16.0)
    return Anatomy(
        name="box",
        spacing=np.full(3, 1.5),
        hu=np.full(depth.shape, -90.0, np.float32),
        numbers=number,
        body=np.full(depth.shape, Region.BODY, np.uint8),
        depth=depth,
        stands={Level.L2: stand},
        drawn=True,
    )


def losses(collapse: Collapse) -> np.ndarray:
    """Loss of Ha, Hm, Hp as the benchmark finds it."""
    anatomy = box()
    bent = Bent(np.eye(3), np.zeros(3), (), collapse)
    before = true_heights(anatomy, collapse.stand)
    after = true_heights(anatomy, collapse.stand, bent.broken_only)
    assert before is not None
    assert after is not None
    return 1 - np.array(after) / np.array(before)


def test_true_heights_of_a_box_are_its_height() -> None:
    heights = true_heights(box(), box().stands[Level.L2])
    assert heights == pytest.approx((HEIGHT, HEIGHT, HEIGHT), abs=0.05)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (Shape.WEDGE, (0.30, 0.16, 0.0)),
        # At the rims' stations a hollow is a third as deep as in the middle.
        (Shape.BICONCAVE, (0.10, 0.30, 0.10)),
        (Shape.CRUSH, (0.30, 0.29, 0.28)),
    ],
)
def test_a_simulated_fracture_loses_the_height_that_it_aims_at(shape: Shape, expected: tuple[float, ...]) -> None:
    found = losses(Collapse(box().stands[Level.L2], shape, 0.30))
    assert found == pytest.approx(expected, abs=0.04)


def test_an_intact_body_keeps_its_heights_when_the_disc_below_it_bends() -> None:
    anatomy = box()
    hinge = Hinge(CENTRE - [0.0, 0.0, 17.0], np.eye(3), 6.0, (8.0, -5.0, 3.0))
    bent = Bent(np.eye(3), np.zeros(3), (hinge,))
    middle = bent.placed(CENTRE[None])[0]
    turned = bent.placed(CENTRE + np.eye(3)) - middle
    stand = replace(anatomy.stands[Level.L2], origin=middle, axes=turned)
    assert np.linalg.norm(middle - CENTRE) > 1.0
    assert true_heights(anatomy, stand, bent.applied) == pytest.approx((HEIGHT, HEIGHT, HEIGHT), abs=0.05)


def test_a_scan_shows_the_body_where_the_map_puts_it() -> None:
    anatomy = box()
    bent = Bent(np.eye(3), CENTRE)
    spine = scanned(anatomy, bent, (Level.L2,), Scan(2.0, 2.0, 0.0, 0.0, 1))
    (vertebra,) = spine.segmentation.vertebrae
    assert vertebra.centroid == pytest.approx((0.0, 0.0, 0.0), abs=1e-6)
    mask = spine.segmentation.labels.array > 0
    assert mask.sum() * 8.0 == pytest.approx(HEIGHT * DEPTH * WIDTH, rel=0.1)
    assert spine.volume.array[mask].mean() > 60
    assert np.median(spine.volume.array[~mask]) == pytest.approx(-90, abs=1)


def test_the_rival_flags_a_wedge_by_its_chords() -> None:
    bodies = np.zeros((40, 60, 60), np.uint8)
    y = np.arange(60)
    # 12 voxels high in front (y = 20), 18 behind (y = 41): 18 mm to 27 mm.
    tall = np.clip(12 + (y - 20) * 6 / 21, 12, 18)
    for row in range(20, 42):
        bodies[8:32, row, 20 : 20 + round(tall[row])] = 1
    chords = least_ratios(bodies, {1: Level.L1})[Level.L1]
    assert ratio(chords) == pytest.approx(0.76, abs=0.04)
    bodies[8:32, 20:42, 20:38] = 1
    assert ratio(least_ratios(bodies, {1: Level.L1})[Level.L1]) > 0.95


def test_area_under_the_curve_counts_ties_half() -> None:
    assert auc(np.array([0.9, 0.8]), np.array([0.1, 0.2])) == 1.0
    assert auc(np.array([0.5, 0.9]), np.array([0.5, 0.1])) == pytest.approx(0.875)
    scores = Scores(np.array([0.9, 0.8]), np.array([0.1, 0.2]), ["a", "b"], ["c", "c"])
    assert area(scores) == "1.000 (1.000–1.000)"


def test_rows_of_other_code_are_measured_again(tmp_path: Path) -> None:
    RowFile(tmp_path / "rows.jsonl", "old").add({"seed": 1})
    new = RowFile(tmp_path / "rows.jsonl", "new")
    assert new.rows() == []
    new.add({"seed": 1})
    assert [row["seed"] for row in new.rows()] == [1]


def test_a_section_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    document = tmp_path / "evidence.md"
    write_section("simulated", "Second", "two", "old", document)
    write_section("phantoms", "First", "one", "kept", document)
    write_section("simulated", "Second", "two", "new", document)
    text = document.read_text()
    assert text.index("kept") < text.index("new")
    assert "old" not in text
