from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from operators.reading.errors import PermanentError, Refusal
from operators.study.receive import receive_study
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
