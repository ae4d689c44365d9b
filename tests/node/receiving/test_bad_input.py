"""Studies that cannot be read, through the real graph in the real reader process: a code and a sentence each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.work.reader import Reader, reader_command
from operators.reading.errors import PermanentError, RetriableError
from operators.reading.job import Job, ReadResult
from tests.node.blind import site_folder
from tests.node.slices import PATIENT_ID, PATIENT_NAME, ct_slice, write_series
from tests.peers.small_disk import SmallDisk

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """One process for all studies: that it goes on after each of them is part of the test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(site_folder(tmp_path_factory.mktemp("python") / "site")))
        found = Reader(reader_command(), 240)
        yield found
        found.close()


def read(reader: Reader, study: Path, out: Path) -> ReadResult:
    return reader.read(Job(study=study, out=out, at=AT, engine="blind"), lambda step: None)


def refusal(reader: Reader, study: Path, out: Path) -> PermanentError:
    """Why a study was refused: with a report that says so where there is a header to put into it, else without."""
    try:
        found = read(reader, study, out).refusal
    except PermanentError as error:
        return error
    assert found is not None
    return found


def empty(folder: Path) -> None:
    """No file at all."""


def text(folder: Path) -> None:
    (folder / "slice.dcm").write_text(f"these are notes on {PATIENT_NAME}")


def truncated(folder: Path) -> None:
    for file in write_series(folder, 3):
        file.write_bytes(file.read_bytes()[:900])


def one_slice(folder: Path) -> None:
    write_series(folder, 1)


def no_ct(folder: Path) -> None:
    slice_ = ct_slice(1)
    slice_.Modality = "MR"
    slice_.SOPClassUID = slice_.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    slice_.save_as(folder / "mr.dcm", enforce_file_format=True)


def mixed_patients(folder: Path) -> None:
    for number, file in enumerate(write_series(folder, 24)):
        slice_ = ct_slice(number + 1)
        slice_.PatientID = f"{PATIENT_ID}-{number // 12}"
        slice_.PatientName = f"{PATIENT_NAME}-{number // 12}"
        slice_.save_as(file, enforce_file_format=True)


def unknown_syntax(folder: Path) -> None:
    for number, file in enumerate(write_series(folder, 24)):
        slice_ = ct_slice(number + 1)
        slice_.file_meta.TransferSyntaxUID = "1.2.3.4.5"
        slice_.save_as(file, implicit_vr=False, little_endian=True)


@pytest.mark.parametrize(
    ("damage", "code", "said"),
    [
        (empty, "no-files", "no file"),
        (text, "no-dicom", "not DICOM"),
        (truncated, "no-suitable-series", "break off before the end of the pixels"),
        (one_slice, "no-suitable-series", "1 axial slice"),
        (no_ct, "no-ct", "CT"),
        (mixed_patients, "mixed-patients", "2 different patient IDs"),
        (unknown_syntax, "no-suitable-series", "transfer syntax 1.2.3.4.5 cannot be decoded"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_it_is_refused_with_a_code_and_a_sentence(
    reader: Reader, tmp_path: Path, damage: Callable[[Path], None], code: str, said: str
) -> None:
    (tmp_path / "study").mkdir()
    damage(tmp_path / "study")
    found = refusal(reader, tmp_path / "study", tmp_path / "out")
    assert found.code == code
    assert said in found.sentence
    for secret in (PATIENT_NAME, PATIENT_ID):
        assert secret not in found.sentence


def test_the_same_study_at_the_same_time_gives_the_same_bytes(reader: Reader, tmp_path: Path) -> None:
    write_series(tmp_path / "study", 24)
    first = read(reader, tmp_path / "study", tmp_path / "one")
    second = read(reader, tmp_path / "study", tmp_path / "two")
    assert first.refusal is not None
    assert first.refusal.code == "no-spine"
    assert [item.kind for item in first.objects] == ["sr"]
    for one, other in zip(first.objects, second.objects, strict=True):
        assert one.path.read_bytes() == other.path.read_bytes()
    assert first.reading_path is not None
    assert second.reading_path is not None
    assert first.reading_path.read_bytes() == second.reading_path.read_bytes()


def test_a_full_disk_is_told_apart_from_a_study_that_cannot_be_read(reader: Reader, tmp_path: Path) -> None:
    if not SmallDisk.can_be_had(tmp_path / "probe"):
        pytest.skip("a disk that can be filled takes root")
    write_series(tmp_path / "study", 24)
    disk = SmallDisk(tmp_path / "out", 1)
    try:
        disk.fill()
        with pytest.raises(RetriableError) as caught:
            read(reader, tmp_path / "study", tmp_path / "out")
        disk.make_room()
        assert read(reader, tmp_path / "study", tmp_path / "out").objects
    finally:
        disk.unmount()
    assert caught.value.code == "outbox-not-writable"
    assert "No space left on device" in caught.value.sentence
