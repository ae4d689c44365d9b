"""The study on its way through the graph: the files, the volume, the masks, and the reading so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import highdicom as hd
from pydicom import Dataset

from models.engine import SpineSegmentation
from operators.reading.job import Job
from operators.reading.once import Once
from operators.reading.reading import SpineReading


@dataclass(frozen=True)
class Case:
    """One study between two operators.

    Attributes:
        job: What was asked.
        slices: Data sets of the chosen series, without pixel data, sorted along the slice normal
            in the order of the volume's first axis (one multi-frame data set for an enhanced CT).
        volume: HU, float32, shape (slices, rows, columns), affine in mm (LPS).
        segmentation: Instance and region maps on the same grid.
        reading: What is known so far.
        masks: Regions that biomarkers measured in, by name: uint8 maps on the same grid, the vertebra's number
            inside its region.
        once: Memory of what was worked out of the parts above; it goes on with every later form of the case.
    """

    job: Job
    slices: tuple[Dataset, ...]
    volume: hd.Volume
    reading: SpineReading
    segmentation: SpineSegmentation | None = None
    masks: Mapping[str, hd.Volume] = field(default_factory=dict)
    once: Once = field(default_factory=Once, compare=False, repr=False)

    def with_mask(self, name: str, mask: hd.Volume) -> Self:
        """The same with one mask more."""
        return replace(self, masks={**self.masks, name: mask})
