"""Last step: the finished objects as files in the job's output folder, where delivery looks for them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from PIL.Image import Image
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from operators.reading.case import Case
from operators.reading.errors import PermanentError, Refusal
from operators.reading.job import ReadResult, SentObject
from operators.reading.messages import Message
from operators.reading.options import Kind
from operators.reading.reading import SpineReading

READING_FILE = "reading.json"
PICTURE_FILE = "overview.png"
_NO_MESSAGES: Mapping[Message, bytes] = MappingProxyType({})


def send_results(
    case: Case,
    objects: Mapping[Kind, Dataset],
    picture: Image | None,
    messages: Mapping[Message, bytes] = _NO_MESSAGES,
) -> ReadResult:
    """Write the results into the job's output folder; each file is whole or absent.

    Args:
        case: The finished case.
        objects: DICOM objects by kind.
        picture: The picture for people.
        messages: What information systems get; written beside the objects under the messages' names.

    Returns:
        Where everything lies.
    """
    out = case.job.out
    sent = _write_objects(out, objects)
    picture_path = None
    if picture is not None:
        picture_path = out / PICTURE_FILE
        with _whole_file(picture_path) as file:
            picture.save(file, format="PNG")
    for name, content in messages.items():
        with _whole_file(out / name) as file:
            file.write(content)
    reading_path = out / READING_FILE
    with _whole_file(reading_path) as file:
        file.write(case.reading.model_dump_json(indent=1).encode() + b"\n")
    return ReadResult(
        objects=sent,
        reading_path=reading_path,
        picture_path=picture_path,
        refusal=_refusal(case.reading),
        reading=case.reading,
    )


def send_refusal(out: Path, objects: Mapping[Kind, Dataset], refusal: PermanentError) -> ReadResult:
    """Write the reports of a study that could not be read.

    Args:
        out: The job's output folder.
        objects: Reports by kind.
        refusal: Why.

    Returns:
        Where they lie.
    """
    return ReadResult(objects=_write_objects(out, objects), refusal=refusal)


def _refusal(reading: SpineReading) -> PermanentError | None:
    if reading.vertebrae:
        return None
    remarks = "; ".join(reading.remarks) or "the images show no spine, or too little of it"
    return PermanentError(Refusal.NO_SPINE, f"no vertebra was found in the series that was read ({remarks})")


def _write_objects(out: Path, objects: Mapping[Kind, Dataset]) -> tuple[SentObject, ...]:
    out.mkdir(parents=True, exist_ok=True)
    return tuple(_write_object(out, kind, dataset) for kind, dataset in objects.items())


def _write_object(out: Path, kind: Kind, dataset: Dataset) -> SentObject:
    path = out / f"{kind}.dcm"
    with _whole_file(path) as file:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.save_as(file, enforce_file_format=True)
    return SentObject(
        kind=kind,
        path=path,
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
    )


@contextmanager
def _whole_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file aside, flush it to the disk and rename it: nobody ever sees half a file."""
    aside = path.with_name(f".{path.name}.part")
    with aside.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
