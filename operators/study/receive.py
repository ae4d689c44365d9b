"""First step: what lies in a folder, as one study.

Reads headers only. A file that is no DICOM, or that breaks off, is counted and named by its kind; it
never stops the rest of the study. What a file is, is decided here once: :func:`read_dataset` reads headers
and pixels by the same opinion.
"""

from __future__ import annotations

import hashlib
import struct
import warnings
import zlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from operators.reading.errors import PermanentError, Refusal, RetriableError
from operators.reading.reasons import Reason
from operators.study.broken import BROKEN
from operators.study.header_values import make_valid, settle_character_set
from operators.study.problem import Problem

TRUNCATED = Problem(Reason.TRUNCATED, "its files break off before the end of the pixels: send it again")
UNDECODABLE = Problem(Reason.UNDECODABLE, "its pixels cannot be decoded: send it again")
CONFLICT = Problem(Reason.CONFLICTING_INSTANCES, "they carry the SOP Instance UID of another file with other pixels")
_NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
_MOST_INFLATED = 1 << 29
"""Bytes that a deflated file may unpack to: the largest enhanced CT with 1,000 frames. A bomb unpacks to more."""
_MOST_PIXELS = 4096 * 4096
"""Pixels of one image: no scanner writes as many, and a compressed file of a few bytes may claim more."""
_ITEM, _SEQUENCE_END = 0xE000, 0xE0DD


@dataclass(frozen=True)
class Instance:
    """One DICOM file of a study.

    Attributes:
        path: Where it lies.
        header: Its data set without pixel data, its values made valid.
        problem: Why its pixels cannot be used; None where nothing is known against them.
    """

    path: Path
    header: Dataset
    problem: Problem | None = None

    @property
    def truncated(self) -> bool:
        """Whether the file is shorter than its own header says."""
        return self.problem is TRUNCATED

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

    def without_pixels_of(self, broken: Collection[Instance]) -> Study:
        """The study in which it is known that some instances cannot be decoded."""
        known = {instance.path for instance in broken}
        marked = (replace(i, problem=UNDECODABLE) if i.path in known else i for i in self.instances)
        return replace(self, instances=tuple(marked))


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
    instances: dict[str, list[Instance]] = defaultdict(list)
    left_out: Counter[str] = Counter()
    for path in _files(folder):
        found = _read_header(path)
        if isinstance(found, str):
            left_out[found] += 1
        else:
            instances[str(found.header.SOPInstanceUID)].append(found)
    single = {uid: _one_of(copies) for uid, copies in instances.items()}
    remarks = [f"{count} file(s) left out: {why}" for why, count in sorted(left_out.items())]
    if not instances and not left_out:
        raise PermanentError(Refusal.NO_FILES, "the study folder holds no file: send or copy the study again")
    if not instances:
        raise PermanentError(Refusal.NO_DICOM, f"none of the files is a usable DICOM instance ({'; '.join(remarks)})")
    if conflicts := sum(len(instances[uid]) - 1 for uid, one in single.items() if one.problem is CONFLICT):
        remarks.append(f"{conflicts} file(s) carry the SOP Instance UID of another file with other pixels")
    ordered = tuple(single[uid] for uid in sorted(single))
    return Study(_one_study(ordered), ordered, tuple(remarks))


def read_dataset(path: Path, *, pixels: bool = True) -> Dataset:
    """Read a file, with or without preamble and meta information.

    Args:
        path: The file.
        pixels: False to stop before the pixel data.

    Returns:
        The data set; its Transfer Syntax UID is that by which it was read, where the file names none.
    """
    with path.open("rb") as file:
        return _read(file, pixels=pixels)


def _read(file: BinaryIO, *, pixels: bool) -> Dataset:
    _refuse_bomb(file)
    # Some archives export data sets without the 128-byte preamble: try those too.
    try:
        dataset = dcmread(file, stop_before_pixels=not pixels, force=True)
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(*error.args) from error  # pydicom's own, on a sequence that breaks off
    meta = getattr(dataset, "file_meta", None)
    if meta is None:
        meta = dataset.file_meta = FileMetaDataset()
    if not meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        native = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else native
    return dataset


def _refuse_bomb(file: BinaryIO) -> None:
    """Refuse a deflated file that unpacks to more than an instance can have.

    Raises:
        ValueError: It does.
    """
    head = file.read(4096)
    name = str(DeflatedExplicitVRLittleEndian).encode()
    if head[128:132] == b"DICM" and name in head:
        (length,) = struct.unpack("<L", head[140:144])
        file.seek(144 + length)
        inflate, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while piece := inflate.unconsumed_tail or file.read(1 << 16):
            size += len(inflate.decompress(piece, 1 << 24))
            if size > _MOST_INFLATED:
                msg = "it unpacks to more than an instance can have"
                raise ValueError(msg)
    file.seek(0)


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_file():
        yield folder
        return
    yield from sorted(path for path in folder.rglob("*") if path.is_file())


def _read_header(path: Path) -> Instance | str:
    """The instance in a file, or why the file is none."""
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            # Its warnings may quote values, and what is wrong with a file is said here by its kind.
            warnings.simplefilter("ignore")
            header = _read(file, pixels=False)
            settle_character_set(header)
            _drop_undecodable(header)
            make_valid(header)
            _restore_from_meta(header)
            if str(header.get("SOPClassUID", "")) == MediaStorageDirectoryStorage:
                return "a DICOMDIR, not an image"
            if not all(header.get(key) for key in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")):
                known = header.get("Modality") or header.get("SOPClassUID")
                return (
                    "DICOM without study, series or instance UID (removed by an anonymiser?)" if known else "not DICOM"
                )
            return Instance(path, header, _pixel_problem(header, file, path.stat().st_size))
    except OSError as error:
        raise RetriableError("study-storage", f"a file of the study cannot be read: {error.strerror}") from error
    except BROKEN:
        return "broken DICOM header"


def _drop_undecodable(dataset: Dataset) -> None:
    """Remove the elements whose bytes do not fit their VR: as good as absent, and later steps may trust the rest."""
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
            for item in element.value or [] if element.VR == "SQ" else []:
                _drop_undecodable(item)
        except (*BROKEN, OSError):  # nothing is read from the disk any more: pydicom's own again
            del dataset[tag]


def _restore_from_meta(header: Dataset) -> None:
    """Take class and instance UID from the file meta information where an anonymiser blanked them."""
    for keyword in ("SOPClassUID", "SOPInstanceUID"):
        if header.get(keyword) in (None, ""):
            setattr(header, keyword, header.file_meta.get(f"MediaStorage{keyword}", ""))


def _pixel_problem(header: Dataset, file: BinaryIO, size: int) -> Problem | None:
    """What is known against the pixels, without decoding them; ``file`` stands where they begin."""
    if "Rows" not in header or "Columns" not in header:
        return None
    pixels = int(header.Rows or 0) * int(header.Columns or 0)
    if pixels > _MOST_PIXELS:
        return Problem(Reason.TOO_LARGE, f"its images claim {header.Rows} x {header.Columns} pixels")
    syntax = UID(str(header.file_meta.TransferSyntaxUID))
    if syntax == DeflatedExplicitVRLittleEndian:
        return None
    if syntax in _NATIVE:
        bits = int(header.get("BitsAllocated") or 16) * int(header.get("SamplesPerPixel") or 1)
        tag_and_length = 8 if syntax == ImplicitVRLittleEndian else 12
        needed = tag_and_length + pixels * int(header.get("NumberOfFrames") or 1) * bits // 8
        return TRUNCATED if size - file.tell() < needed else None
    return None if _is_whole(file, size) else TRUNCATED


def _is_whole(file: BinaryIO, size: int) -> bool:
    """Whether encapsulated pixel data reach the end of the last fragment that they announce (PS3.5 A.4)."""
    file.seek(12, 1)  # tag, VR and undefined length of Pixel Data
    while file.tell() < size:
        item = file.read(8)
        if len(item) < 8:
            return False
        group, element, length = struct.unpack("<HHL", item)
        if (group, element) == (0xFFFE, _SEQUENCE_END):
            return True
        if (group, element) != (0xFFFE, _ITEM):
            return True  # not understood; the decoder will tell
        if file.tell() + length > size:
            return False
        file.seek(length, 1)
    return file.tell() == size


def _one_of(copies: Sequence[Instance]) -> Instance:
    """One of the files with the same SOP Instance UID, a whole one if there is any; a conflict if they differ."""
    whole = [copy for copy in copies if copy.problem is None] or copies[:1]
    if len(whole) > 1 and len({(_position(copy), pixel_digest(copy)) for copy in whole}) > 1:
        return replace(whole[0], problem=CONFLICT)
    return whole[0]


def _position(instance: Instance) -> str:
    return str(instance.header.get("ImagePositionPatient", ""))


def pixel_digest(instance: Instance) -> bytes:
    """SHA-256 over the pixels of an instance, decoded where they are compressed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = read_dataset(instance.path)
            if UID(instance.transfer_syntax).is_compressed:
                return hashlib.sha256(dataset.pixel_array.tobytes()).digest()
            return hashlib.sha256(dataset.get("PixelData", b"")).digest()
        except (*BROKEN, RuntimeError):  # no two files that cannot be decoded are taken for the same
            return hashlib.sha256(instance.path.read_bytes()).digest()


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
