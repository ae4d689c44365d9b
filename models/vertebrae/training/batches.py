"""From pool files to batches: crops, mirror images and small changes that cost nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from models.vertebrae.fine_input import centre_map
from models.vertebrae.network import COARSE_BUDGET, normalise_hu
from models.vertebrae.training.losses import CoarseBatch
from models.vertebrae.training.pool import COARSE_KEYS, read_sample
from models.vertebrae.training.targets import NO_LEVEL, NO_OFFSET, NO_PHASE
from models.vertebrae.training.turning import TURNED_SHARE, Turn, nearest
from models.volume.sampling import between

SIDE_STEP = 16
SHORT_SHARE = 0.45
"""Share of crops that are cut short along the body; naming is hardest there."""
SMALLEST_SIDE = 32
"""Below this the deepest features are one voxel thin and say nothing of neighbours."""
EMPTY = {"hu": -1024, "regions": 0, "levels": NO_LEVEL, "phase": NO_PHASE, "offset": NO_OFFSET}


def _crop_box(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[slice, ...]:
    """A random box within the budget; nearly half of the boxes are short along the body."""
    size = list(shape)
    if rng.random() < SHORT_SHARE:
        size[0] = min(size[0], SIDE_STEP * int(rng.integers(1, 5)))
    while np.prod(size) > COARSE_BUDGET:
        # Width goes first: the spine needs length, and its neighbours are near.
        weights = np.array([0.6 * size[0], size[1], size[2]])
        size[int(np.argmax(weights))] -= SIDE_STEP
    box = []
    for whole, part in zip(shape, size, strict=True):
        start = int(rng.integers(0, whole - part + 1))
        box.append(slice(start, start + part))
    return tuple(box)


def _filled_up(part: Tensor, value: int) -> Tensor:
    """Pad every side to ``SMALLEST_SIDE`` with air or with nothing to learn."""
    missing = [max(0, SMALLEST_SIDE - n) for n in part.shape]
    pad = [0, missing[2], 0, missing[1], 0, missing[0]]
    return nnf.pad(part, pad, value=value) if any(missing) else part


def _vary(image: Tensor, rng: np.random.Generator) -> Tensor:
    gain, shift, noise = rng.normal(1.0, 0.05), rng.normal(0.0, 8.0), abs(rng.normal(0.0, 10.0))
    return image * float(gain) + float(shift) + torch.randn(image.shape) * float(noise)


def _turned(arrays: dict[str, Tensor], box: tuple[slice, ...], turn: Turn) -> dict[str, Tensor]:
    """A box of a volume, turned about its middle."""
    shape = (box[0].stop - box[0].start, box[1].stop - box[1].start, box[2].stop - box[2].start)
    middle = [0.5 * (side.start + side.stop - 1) for side in box]
    places = turn.places(shape, (middle[0], middle[1], middle[2]))
    parts = {key: nearest(arrays[key], places, EMPTY[key]) for key in COARSE_KEYS if key != "hu"}
    parts["hu"] = between(arrays["hu"].float(), places, EMPTY["hu"])
    known = parts["offset"] != NO_OFFSET
    longer = (parts["offset"].float() * turn.scale).round().clamp(-127, 127)
    parts["offset"] = torch.where(known, longer, parts["offset"].float())
    return parts


def coarse_batch(path: Path, rng: np.random.Generator) -> CoarseBatch:
    """One crop of one pool file."""
    arrays = read_sample(path).coarse
    box = _crop_box(arrays["hu"].shape, rng)
    if rng.random() < TURNED_SHARE:
        parts = _turned({key: torch.from_numpy(arrays[key]) for key in COARSE_KEYS}, box, Turn.random(rng))
    else:
        parts = {key: torch.from_numpy(np.ascontiguousarray(arrays[key][box])) for key in COARSE_KEYS}
    parts = {key: _filled_up(part, EMPTY[key]) for key, part in parts.items()}
    if rng.random() < 0.5:
        parts = {key: part.flip(2) for key, part in parts.items()}
    image = normalise_hu(_vary(parts["hu"].float(), rng))
    return CoarseBatch(
        image[None, None],
        parts["regions"].long()[None],
        parts["levels"].long()[None],
        parts["phase"].long()[None],
        parts["offset"].float()[None],
    )


def _turned_crop(image: Tensor, classes: Tensor, spot: Tensor, turn: Turn) -> tuple[Tensor, Tensor, Tensor]:
    """A crop around a vertebra, its classes and the centre of its body, turned about the middle."""
    shape = (image.shape[0], image.shape[1], image.shape[2])
    middle = (0.5 * (shape[0] - 1), 0.5 * (shape[1] - 1), 0.5 * (shape[2] - 1))
    places = turn.places(shape, middle)
    air, nothing = EMPTY["hu"], EMPTY["regions"]
    return between(image, places, air), nearest(classes, places, nothing), turn.moved(spot, shape, middle)


def fine_batch(paths: list[Path], rng: np.random.Generator) -> tuple[Tensor, Tensor] | None:
    """Crops of several pool files: input ``(n, 2, z, y, x)`` and classes ``(n, z, y, x)``.

    None where the files hold no crop.
    """
    inputs, targets = [], []
    for path in paths:
        sample = read_sample(path)
        for hu, classes, centre in zip(sample.fine_hu, sample.fine_classes, sample.fine_centres, strict=True):
            image, wanted, spot = torch.from_numpy(hu).float(), torch.from_numpy(classes), torch.from_numpy(centre)
            shape = (image.shape[0], image.shape[1], image.shape[2])
            if rng.random() < TURNED_SHARE:
                image, wanted, spot = _turned_crop(image, wanted, spot, Turn.random(rng))
            image = normalise_hu(_vary(image, rng))
            place = spot.numpy() + rng.normal(0.0, 1.3, 3)
            marked = torch.stack([image, centre_map(shape, (float(place[0]), float(place[1]), float(place[2])))])
            wanted = wanted.long()
            if rng.random() < 0.5:
                marked, wanted = marked.flip(3), wanted.flip(2)
            inputs.append(marked)
            targets.append(wanted)
    return (torch.stack(inputs), torch.stack(targets)) if inputs else None
