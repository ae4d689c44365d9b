"""What is asked of a reading and what comes back: the values that cross the border of the reader process.

Both are pydantic models, so that a field added here is carried across the pipe by :mod:`node.work.border` as it is.
Nothing heavy is imported: the node's main process loads this module and neither pictures nor networks.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from pydantic import Field

from operators.reading.document_reference import DocumentReference
from operators.reading.errors import PermanentError
from operators.reading.options import DEFAULT, Kind, ReadingOptions
from operators.reading.quantity import Frozen
from operators.reading.reading import SpineReading


class Job(Frozen):
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


class SentObject(Frozen):
    """One DICOM object that a reading gave.

    Attributes:
        kind: What it is.
        path: Where it lies.
        sop_class_uid, sop_instance_uid: Of the object.
    """

    kind: Kind
    path: Path
    sop_class_uid: str
    sop_instance_uid: str


class ReadResult(Frozen):
    """What one run of the graph gave.

    Attributes:
        objects: The DICOM objects.
        reading_path: The reading as JSON; None where the study could not be read.
        picture_path: The picture for people, where there was a vertebra to draw.
        refusal: Why nothing could be measured, where that is so; the report then says it.
        reading: The reading itself, in the process that made it and nowhere else: it lies at ``reading_path``.
    """

    objects: tuple[SentObject, ...]
    reading_path: Path | None = None
    picture_path: Path | None = None
    refusal: PermanentError | None = None
    reading: SpineReading | None = Field(default=None, exclude=True)
