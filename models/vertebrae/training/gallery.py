"""Pictures of what the generator draws: one sheet of sagittal and axial views, with the labels beside.

python -m models.vertebrae.training.gallery DATA CACHE SHEET.png --seeds 0 1 2 3
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.anatomy import Region
from models.vertebrae.training.atlas import Atlas, prepare_atlases
from models.vertebrae.training.pool import LABEL_MAPS
from models.vertebrae.training.synthesis import CoarseSample, Synthesiser

COLOURS = np.array(
    [[0, 0, 0], [230, 160, 0], [0, 115, 180], [240, 230, 65], [200, 120, 170], [0, 160, 115], [210, 95, 0]],
    np.float64,
)
"""One for each :class:`models.anatomy.Region`, told apart by colour-blind eyes too (Okabe and Ito)."""
TILE = 220
"""Height and width of one view in pixels."""


def _view(hu: npt.NDArray[np.int16], regions: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    grey = np.clip((hu.astype(np.float64) + 200.0) / 900.0 * 255.0, 0, 255)
    plain = np.repeat(grey[..., None], 3, axis=-1)
    marked = np.where((regions > Region.BACKGROUND)[..., None], 0.5 * plain + 0.5 * COLOURS[regions], plain)
    both = np.concatenate([plain, marked], axis=1).astype(np.uint8)
    picture = Image.fromarray(both).resize((2 * TILE, TILE))
    return np.asarray(picture)


def sheet_row(sample: CoarseSample) -> npt.NDArray[np.uint8]:
    """A sagittal and an axial view through the middle of the spine, each plain and with its regions."""
    hu, regions = sample.hu.numpy(), sample.regions.numpy()
    bodies = np.argwhere(regions == Region.BODY)
    middle = np.median(bodies, axis=0).astype(int) if len(bodies) else np.array(hu.shape) // 2
    sagittal = _view(hu[::-1, :, middle[2]], regions[::-1, :, middle[2]])
    axial = _view(hu[middle[0]], regions[middle[0]])
    return np.concatenate([sagittal, axial], axis=1)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(8)))
    arguments = parser.parse_args()
    paths = prepare_atlases(arguments.data, arguments.cache, LABEL_MAPS, ())
    makers = [Synthesiser(Atlas.load(path)) for path in paths]
    rows = [sheet_row(makers[seed % len(makers)].draw(seed, fine_crops=0)[0]) for seed in arguments.seeds]
    Image.fromarray(np.concatenate(rows)).save(arguments.sheet)


if __name__ == "__main__":
    main()
