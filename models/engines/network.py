"""An engine around any network that answers one score per class and voxel, with a table of what the classes are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
import numpy.typing as npt
from torch import nn

from models.compute import Compute
from models.engine import EngineUnavailableError, SpineSegmentation
from models.engines.labelmap import LabelMap, read_label_map
from models.engines.sliding import Shape, ask
from models.volume.grid import Axis, Grid, resample
from models.volume.missing import missing_values
from models.volume.orientation import ANATOMICAL, Oriented, nothing_found

Bytes = npt.NDArray[np.uint8]

AIR = -1024.0
BODY_ABOVE = -500.0
"""HU from which a voxel counts as body when the volume is cropped to the patient."""
SMALLEST_BODY = 10_000.0
"""Volume in mm³ of what counts as body, below which there is nothing to read."""


class EngineFileError(EngineUnavailableError):
    """The file of an engine is missing or is not what it should be."""


@dataclass(frozen=True)
class Recipe:
    """How a network wants its input and what its output means.

    Attributes:
        orientation: Directions of the input's axes, DICOM's letters.
        spacing: Voxel edges in mm, one for each axis.
        window: Voxels that it sees at once.
        clip: HU outside this range are set to its ends.
        shift, scale: What the network sees is ``(HU − shift) / scale``.
        structures: Class to an id of :mod:`models.engines.structures`; others are background.
        class_count: Classes in all, background included; None where the network's answer tells.
    """

    orientation: str
    spacing: tuple[float, float, float]
    window: Shape
    clip: tuple[float, float]
    shift: float
    scale: float
    structures: Mapping[int, int]
    class_count: int | None


@dataclass(frozen=True)
class NetworkEngine:
    """Finds vertebrae with a network of others.

    Attributes:
        name, version, digest: As :class:`models.engine.VertebraEngine` has them.
        network: On its device, ready to be asked.
        recipe: How.
        compute: Where, and how precisely.
    """

    name: str
    version: str
    digest: str
    network: nn.Module
    recipe: Recipe
    compute: Compute

    def segment(self, volume: hd.Volume) -> SpineSegmentation:
        """Find the vertebrae.

        Args:
            volume: CT numbers in HU, three axes in any orientation, affine in mm (LPS).

        Raises:
            models.engines.sliding.NetworkOutputError: The network does not answer as the recipe says.
        """
        recipe = self.recipe
        turned = Oriented.of(volume, recipe.orientation)
        covered = (a.covered(s, 1, 1) for a, s in zip(turned.grid.axes, recipe.spacing, strict=True))
        whole = Grid(*covered)
        hu = resample(turned.volume.array, turned.grid, whole, averaging=False)
        body = hu > BODY_ABOVE
        missing = missing_values(volume.array)
        remarks = (missing,) if missing else ()
        if np.count_nonzero(body) * float(np.prod(recipe.spacing)) < SMALLEST_BODY:
            empty = "The volume holds no body: nearly all of it is air or not a number."
            return nothing_found(volume, (*remarks, empty))
        box = _bounds(body)
        image = (np.clip(hu[box], *recipe.clip) - recipe.shift) / recipe.scale
        answer = ask(self.network, image.astype(np.float32), recipe.window, recipe.class_count, self.compute)
        table = np.zeros(256, np.uint8)
        for number, structure in recipe.structures.items():
            table[number] = structure
        axes = [axis.part(span.start, span.stop) for axis, span in zip(whole.axes, box, strict=True)]
        anatomical = Oriented.of(volume, ANATOMICAL)
        labels = _anatomical(table[answer.classes], answer.certainty, axes, turned, anatomical)
        return read_label_map(volume, anatomical, labels, remarks)


def _bounds(body: npt.NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    spans = []
    for axis in range(3):
        solid = np.flatnonzero(body.any(axis=tuple(a for a in range(3) if a != axis)))
        spans.append(slice(int(solid[0]), int(solid[-1]) + 1))
    return spans[0], spans[1], spans[2]


def _anatomical(labels: Bytes, certainty: Bytes, axes: list[Axis], turned: Oriented, wanted: Oriented) -> LabelMap:
    """The answer on axes towards head, back and left, with one spacing for all of them."""
    spacing = min(axis.spacing for axis in axes)
    # Which of the network's axes is which of the patient's, and whether it runs the other way.
    step = wanted.volume.inverse_affine[:3, :3] @ turned.volume.affine[:3, :3]
    order = [int(np.abs(step[axis]).argmax()) for axis in range(3)]
    places, result = [], []
    for axis, source in enumerate(order):
        own, native = axes[source], wanted.grid.axes[axis]
        first, last = own.start, own.positions[-1]
        if step[axis, source] < 0:
            length = (native.count - 1) * native.spacing
            first, last = length - last, length - first
        count = max(1, round((last - first) / spacing) + 1)
        index = np.clip(np.round(np.arange(count) * spacing / own.spacing).astype(int), 0, own.count - 1)
        places.append(own.count - 1 - index if step[axis, source] < 0 else index)
        result.append(Axis(first, spacing, count))
    grid = Grid(result[0], result[1], result[2])
    chosen = np.ix_(*places)
    return LabelMap(labels.transpose(order)[chosen], certainty.transpose(order)[chosen], grid)


def file_digest(*files: Path, also: str = "") -> str:
    """SHA-256 over files and over what else decides the result, in hex."""
    total = hashlib.sha256(also.encode())
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                total.update(block)
    return total.hexdigest()
