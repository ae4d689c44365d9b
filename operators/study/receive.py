"""First step: the files of a folder as one study.

Reads headers only. A file that is no DICOM, or that breaks off, is counted and named by its kind; it
never stops the rest of the study.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, MediaStorageDirectoryStorage

from operators.reading.errors import PermanentError, Refusal, RetriableError

_BROKEN = (
    InvalidDicomError,
    BytesLengthException,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""Exceptions of pydicom on bytes that are no DICOM, or no longer; none of them is the machine's fault."""


@dataclass(frozen=True)
class Instance:
    """One DICOM file of a study.

    Attributes:
        path: Where it lies.
        header: Its data set without pixel data.
        truncated: True where the file is shorter than its own header says.
    """

    path: Path
    header: Dataset
    truncated: bool

    @property
    def transfer_syntax(self) -> str:
        """Transfer Syntax UID, empty where the file does not say."""
        meta = getattr(self.header, "file_meta", None)
        return str(meta.get("TransferSyntaxUID", "")) if meta is not None else ""


@dataclass(frozen=True)
class Study:
    """The instances of one study.

    Attributes:
        study_uid: Study Instance UID.
        instances: In the order of their SOP Instance UIDs, each UID once.
        remarks: Sentences on files that were left out.
    """

    study_uid: str
    instances: tuple[Instance, ...]
    remarks: tuple[str, ...]


def receive_study(folder: Path) -> Study:
    """Read the headers of all files below ``folder``.

    Args:
        folder: Any folder or single file; subfolders are looked into.

    Returns:
        The study.

    Raises:
        PermanentError: There is no file, no DICOM file, more than one study or more than one patient.
    """
    if not folder.exists():
        raise PermanentError(Refusal.NO_FILES, "the study folder does not exist: check the path")
    instances: dict[str, Instance] = {}
    left_out: Counter[str] = Counter()
    for path in _files(folder):
        found = _read_header(path)
        if isinstance(found, str):
            left_out[found] += 1
        else:
            instances.setdefault(str(found.header.SOPInstanceUID), found)
    remarks = tuple(f"{count} file(s) left out: {why}" for why, count in sorted(left_out.items()))
    if not instances and not left_out:
        raise PermanentError(Refusal.NO_FILES, "the study folder holds no file: send or copy the study again")
    if not instances:
        raise PermanentError(Refusal.NO_DICOM, f"none of the files is a usable DICOM instance ({'; '.join(remarks)})")
    ordered = tuple(instances[uid] for uid in sorted(instances))
    return Study(_one_study(ordered), ordered, remarks)


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_file():
        yield folder
        return
    yield from sorted(path for path in folder.rglob("*") if path.is_file())


def _read_header(path: Path) -> Instance | str:
    """Instance in a file, or the reason why the file holds none."""
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            # Its warnings may quote values, and what is wrong with a file is said here by its kind.
            warnings.simplefilter("ignore")
            # Some archives export data sets without the 128-byte preamble: try those too.
            header = dcmread(file, stop_before_pixels=True, force=True)
            left = path.stat().st_size - file.tell()
            _drop_undecodable(header)
        _restore_from_meta(header)
        if str(header.get("SOPClassUID", "")) == MediaStorageDirectoryStorage:
            return "a DICOMDIR, not an image"
        if not all(header.get(key) for key in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")):
            known = header.get("Modality") or header.get("SOPClassUID")
            return "DICOM without study, series or instance UID (removed by an anonymiser?)" if known else "not DICOM"
        return Instance(path, header, _is_truncated(header, left))
    except OSError as error:
        raise RetriableError("study-storage", f"a file of the study cannot be read: {error.strerror}") from error
    except _BROKEN:
        return "broken DICOM header"


def _drop_undecodable(dataset: Dataset) -> None:
    """Remove elements whose bytes do not fit their VR, so that later steps may trust the rest."""
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
            for item in element.value or [] if element.VR == "SQ" else []:
                _drop_undecodable(item)
        except _BROKEN:
            del dataset[tag]


def _restore_from_meta(header: Dataset) -> None:
    """Take class and instance UID from the file meta information where an anonymiser blanked them."""
    meta = getattr(header, "file_meta", None)
    if meta is None:
        return
    for keyword in ("SOPClassUID", "SOPInstanceUID"):
        if header.get(keyword) in (None, ""):
            setattr(header, keyword, meta.get(f"MediaStorage{keyword}", ""))


def _is_truncated(header: Dataset, left: int) -> bool:
    """Whether a file holds fewer bytes than its pixels need; known for uncompressed pixels only."""
    meta = getattr(header, "file_meta", None)
    syntax = UID(str(meta.get("TransferSyntaxUID", ""))) if meta is not None else UID("")
    if syntax not in (ExplicitVRLittleEndian, ImplicitVRLittleEndian) and syntax:
        return False
    if "Rows" not in header or "Columns" not in header:
        return False
    bits = int(header.get("BitsAllocated", 16)) * int(header.get("SamplesPerPixel", 1))
    frames = int(header.get("NumberOfFrames", 1) or 1)
    tag_and_length = 12 if syntax == ExplicitVRLittleEndian else 8
    return left - tag_and_length < int(header.Rows) * int(header.Columns) * frames * bits // 8


def _one_study(instances: tuple[Instance, ...]) -> str:
    studies = {str(instance.header.StudyInstanceUID) for instance in instances}
    if len(studies) > 1:
        raise PermanentError(
            Refusal.MIXED_STUDIES, f"the folder holds {len(studies)} studies: give the folder of one study"
        )
    patients = {
        (str(instance.header.get("PatientID", "")), str(instance.header.get("IssuerOfPatientID", "")))
        for instance in instances
    }
    if len(patients) > 1:
        raise PermanentError(
            Refusal.MIXED_PATIENTS,
            f"the study has instances of {len(patients)} different patient IDs under one Study Instance UID: "
            "correct the study in the PACS and send it again",
        )
    return studies.pop()
