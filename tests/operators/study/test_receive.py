from __future__ import annotations

import contextlib
import logging
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGLSLossless

from operators.reading.errors import PermanentError, Refusal
from operators.study.receive import CONFLICT, read_dataset, receive_study
from operators.study.select import select_series
from tests.operators import ct_files


def test_every_instance_once_whatever_the_folders(tmp_path: Path) -> None:
    slices = ct_files.series(12)
    ct_files.write(tmp_path / "a" / "deep", slices[:8])
    ct_files.write(tmp_path / "b", slices[4:])

    study = receive_study(tmp_path)

    assert study.study_uid == ct_files.STUDY
    assert sorted(str(i.header.SOPInstanceUID) for i in study.instances) == sorted(s.SOPInstanceUID for s in slices)
    assert all("PixelData" not in instance.header for instance in study.instances)


def test_missing_and_empty_folders_are_named(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(PermanentError) as caught:
            receive_study(folder)
        assert caught.value.code == Refusal.NO_FILES


def test_text_named_dcm_is_left_out_and_the_rest_is_read(tmp_path: Path) -> None:
    ct_files.write(tmp_path, ct_files.series(12))
    (tmp_path / "note.dcm").write_text("not an image at all, " * 50)

    study = receive_study(tmp_path)

    assert len(study.instances) == 12
    assert study.remarks == ("1 file(s) left out: not DICOM",)


def test_only_text_is_refused_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "note.dcm").write_text("not an image at all, " * 50)

    with pytest.raises(PermanentError, match="not DICOM") as caught:
        receive_study(tmp_path)

    assert caught.value.code == Refusal.NO_DICOM


def test_two_patients_under_one_study_are_refused_without_naming_them(tmp_path: Path) -> None:
    slices = ct_files.series(12)
    slices[3].PatientID = "OTHER-PERSON"
    ct_files.write(tmp_path, slices)

    with pytest.raises(PermanentError) as caught:
        receive_study(tmp_path)

    assert caught.value.code == Refusal.MIXED_PATIENTS
    assert "OTHER-PERSON" not in str(caught.value)
    assert "P1" not in str(caught.value)


def test_two_studies_are_refused(tmp_path: Path) -> None:
    slices = ct_files.series(12)
    slices[0].StudyInstanceUID = "2.25.2000"
    ct_files.write(tmp_path, slices)

    with pytest.raises(PermanentError) as caught:
        receive_study(tmp_path)

    assert caught.value.code == Refusal.MIXED_STUDIES


def test_a_file_that_breaks_off_is_known_as_truncated(tmp_path: Path) -> None:
    ct_files.write(tmp_path, ct_files.series(12))
    broken = sorted(tmp_path.iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:-200])

    study = receive_study(tmp_path)

    assert [i.path for i in study.instances if i.truncated] == [broken]


def test_blanked_instance_uids_are_taken_from_the_file_meta_information(tmp_path: Path) -> None:
    def blank(dataset: ct_files.Dataset, index: int) -> None:
        uid = dataset.SOPInstanceUID
        dataset.SOPClassUID = dataset.SOPInstanceUID = ""
        dataset.file_meta.MediaStorageSOPInstanceUID = uid

    slices = ct_files.series(12)
    expected = sorted(s.SOPInstanceUID for s in slices)
    for number, dataset in enumerate(slices):
        blank(dataset, number)
        dataset.save_as(tmp_path / f"{number}.dcm")

    study = receive_study(tmp_path)

    assert [str(i.header.SOPInstanceUID) for i in study.instances] == expected


def test_a_value_that_breaks_its_vr_is_not_quoted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    slices = ct_files.series(12)
    for dataset in slices:
        dataset.PatientName = "SECRET^NAME" * 20
        dataset.PatientBirthDate = "born in may"
    ct_files.write(tmp_path, slices)

    with caplog.at_level(logging.DEBUG):
        receive_study(tmp_path)

    assert "SECRET" not in caplog.text
    assert not [w for w in recwarn if "SECRET" in str(w.message)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_hostile_bytes_never_escape_as_another_error(tmp_path: Path, seed: int) -> None:
    generator = np.random.default_rng(seed)
    path = tmp_path / "fuzzed.dcm"
    ct_files.plain_slice(0).save_as(path, enforce_file_format=True)
    content = bytearray(path.read_bytes())
    for position in generator.integers(132, len(content) - 520, size=int(generator.integers(1, 12))):
        content[position] = generator.integers(0, 256)
    path.write_bytes(content[: int(generator.integers(140, len(content)))])

    with contextlib.suppress(PermanentError):
        receive_study(path)


def twin_of(index: int, **other: object) -> ct_files.Dataset:
    twin = ct_files.plain_slice(index)
    for keyword, value in other.items():
        setattr(twin, keyword, value)
    return twin


def written_twice(folder: Path, *twins: ct_files.Dataset) -> Path:
    ct_files.write(folder / "first", ct_files.series(30))
    return ct_files.write(folder / "again", list(twins)).parent


def test_the_same_instance_twice_is_one_without_a_word(tmp_path: Path) -> None:
    study = receive_study(written_twice(tmp_path, twin_of(3), twin_of(4)))

    assert len(study.instances) == 30
    assert study.remarks == ()


@pytest.mark.parametrize(
    "other",
    [{"PixelData": bytes(512)}, {"ImagePositionPatient": [-8.0, -8.0, 300.0]}],
    ids=["other pixels", "another place"],
)
def test_one_uid_on_two_images_is_neither_of_them(tmp_path: Path, other: dict[str, object]) -> None:
    study = receive_study(written_twice(tmp_path, twin_of(3, **other)))

    uid = ct_files.plain_slice(3).SOPInstanceUID
    assert [str(i.header.SOPInstanceUID) for i in study.instances if i.problem is CONFLICT] == [uid]
    assert study.remarks == ("1 file(s) carry the SOP Instance UID of another file with other pixels",)
    selection = select_series(study)
    assert uid not in {str(i.header.SOPInstanceUID) for i in selection.stack.instances}
    assert "1 slice is missing" in " ".join(selection.remarks)


def test_a_study_of_conflicts_is_refused_by_its_own_code(tmp_path: Path) -> None:
    folder = written_twice(tmp_path, *(twin_of(index, PixelData=bytes(512)) for index in range(30)))

    with pytest.raises(PermanentError, match=r"30 file\(s\) carry the SOP Instance UID of another file") as caught:
        select_series(receive_study(folder))

    assert caught.value.code == Refusal.CONFLICTING_INSTANCES
    assert "mm" not in caught.value.sentence


def test_a_whole_copy_stands_for_one_that_breaks_off(tmp_path: Path) -> None:
    folder = written_twice(tmp_path, twin_of(3))
    broken = next(path for path in (folder / "first").iterdir() if _uid(path) == twin_of(3).SOPInstanceUID)
    broken.write_bytes(broken.read_bytes()[:-200])

    study = receive_study(folder)

    assert not [i for i in study.instances if i.problem]
    assert study.remarks == ()


def _uid(path: Path) -> str:
    return str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)


@pytest.mark.parametrize(("implicit", "little"), [(True, True), (False, True), (False, False)])
def test_files_without_preamble_and_meta_information_are_read_to_the_pixels(
    tmp_path: Path, implicit: bool, little: bool
) -> None:
    for index in range(30):
        dataset = ct_files.plain_slice(index)
        if not little:
            pixels = np.frombuffer(dataset.PixelData, "<u2").astype(">u2")
            dataset.add_new("PixelData", "OW", pixels.tobytes())
        del dataset.file_meta
        dataset.save_as(tmp_path / f"{index}", implicit_vr=implicit, little_endian=little)

    study = receive_study(tmp_path)
    chosen = select_series(study).stack.instances

    assert [int(read_dataset(i.path).pixel_array[0, 0]) for i in chosen] == [1000 + n for n in range(29, -1, -1)]


def test_a_deflated_bomb_is_a_broken_file(tmp_path: Path) -> None:
    """A megabyte of zeros in a private element is a kilobyte deflated; this one would be a gigabyte."""
    path = tmp_path / "bomb.dcm"
    dataset = ct_files.plain_slice(0)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    content = path.read_bytes()
    (length,) = struct.unpack("<L", content[140:144])
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    plain = zlib.decompress(content[144 + length :], -zlib.MAX_WBITS)
    header = struct.pack("<HH2sHL", 0x7FE1, 0x1010, b"OB", 0, 1 << 30)
    parts = [squeeze.compress(plain + header), *(squeeze.compress(bytes(1 << 20)) for _ in range(1 << 10))]
    path.write_bytes(content[: 144 + length] + b"".join([*parts, squeeze.flush()]))

    with pytest.raises(PermanentError, match="broken DICOM header"):
        receive_study(tmp_path)


def test_a_compressed_file_that_breaks_off_is_known_without_decoding(tmp_path: Path) -> None:
    slices = ct_files.series(12)
    for dataset in slices:
        dataset.compress(JPEGLSLossless, generate_instance_uid=False)
    ct_files.write(tmp_path, slices)
    broken = sorted(tmp_path.iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:-20])

    study = receive_study(tmp_path)

    assert [i.path for i in study.instances if i.truncated] == [broken]
