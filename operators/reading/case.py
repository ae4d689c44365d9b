"""The study on its way through the graph: the files, the volume, the masks, and the reading so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import highdicom as hd
from pydicom import Dataset

from models.engine import SpineSegmentation
from operators.reading.document_reference import DocumentReference
from operators.reading.once import Once
from operators.reading.options import DEFAULT, ReadingOptions
from operators.reading.reading import SpineReading


@dataclass(frozen=True)
class Job:
    """What is asked of the graph.

    Attributes:
        study: Folder with the files of one study.
        out: Folder that the results go to; made if missing.
        at: Time that the results carry. Given, not taken from the clock, so that a repeated run
            writes the same bytes.
        engine: Name of the segmentation engine.
        options: What the site has decided.
        previous: Reports of an earlier reading of the same study that this one comes after.
        prior: ``reading.json`` of an earlier study of the same patient, to be compared with.
    """

    study: Path
    out: Path
    at: datetime
    engine: str = "osteon"
    options: ReadingOptions = DEFAULT
    previous: tuple[DocumentReference, ...] = ()
    prior: Path | None = None

    @classmethod
    def over_folder(cls, study: Path, out: Path, engine: str = "osteon", options: ReadingOptions = DEFAULT) -> Self:
        """A job whose results carry the time at which the folder was last added to.

        That time and not the clock's, so that reading a folder twice gives the same bytes twice.
        """
        files = [study] if study.is_file() else [path for path in study.rglob("*") if path.is_file()]
        newest = max((path.stat().st_mtime for path in files), default=0.0)
        at = datetime.fromtimestamp(newest, UTC).astimezone()
        return cls(study=study, out=out, at=at, engine=engine, options=options)


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
