"""The study on its way through the graph: the files, the volume, the masks, and the reading so far."""

from __future__ import annotations

from dataclasses import dataclass

import highdicom as hd
from pydicom import Dataset

from models.engine import SpineSegmentation
from operators.reading.job import Job
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
        density_regions: uint8 map of the density regions: the vertebra's number inside its region.
        reading: What is known so far.
    """

    job: Job
    slices: tuple[Dataset, ...]
    volume: hd.Volume
    reading: SpineReading
    segmentation: SpineSegmentation | None = None
    density_regions: hd.Volume | None = None
