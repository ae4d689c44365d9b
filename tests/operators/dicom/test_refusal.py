"""The report on a study that could not be read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from operators.dicom.refusal import refusal_reports
from operators.reading.document_reference import DocumentReference
from operators.reading.errors import PermanentError, Refusal
from operators.reading.job import Job
from operators.reading.options import Kind, ReadingOptions
from operators.reading.provenance import Provenance
from operators.study.receive import receive_study
from tests.operators import ct_files
from tests.operators import small_case as small
from tests.operators.complaints import complaints
from tests.operators.small_case import save
from tests.operators.sr_tree import answers, groups, items, texts, walk
from tests.peers.validators import dcentvfy, dciodvfy, dcmqi_measurements, dsrdump

BY = Provenance(pipeline="0.1.0", engine="osteon", engine_version="1.2", engine_digest="cd" * 32)
WHY = PermanentError(Refusal.UNREADABLE_PIXELS, "slice 3 of 12 cannot be decoded (ValueError): send the study again")


def job(folder: Path, **changes: object) -> Job:
    given = {"study": folder, "out": folder / "out", "at": datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)} | changes
    return Job(**given)  # type: ignore[arg-type]  # the values are those of the fields


def reports(asked: Job, why: PermanentError = WHY) -> dict[Kind, Dataset]:
    return refusal_reports(receive_study(asked.study), why, asked, BY)


def refused(folder: Path, **changes: object) -> Dataset:
    """The report, as another program reads it."""
    buffer = BytesIO()
    reports(job(folder, **changes))[Kind.REPORT].save_as(buffer, enforce_file_format=True)
    return dcmread(BytesIO(buffer.getvalue()))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return ct_files.write(tmp_path / "study", [*ct_files.series(12), *ct_files.series(2, number=2)])


def test_it_says_that_nothing_was_read_and_why(study: Path) -> None:
    sr = refused(study)
    (evaluations,) = items(sr, "C0034375")
    assert answers(evaluations) == {"111017": "111245", "REFUSAL": "REF-PIXELS"}
    assert "slice 3 of 12 cannot be decoded (ValueError): send the study again (unreadable-pixels)" in texts(sr)
    assert [item.TextValue for item in items(evaluations, "SERIES-NOT-READ")] == [
        "Series 1 (CT, 12 instances)",
        "Series 2 (CT, 2 instances)",
    ]
    assert "Research use only" in texts(evaluations)
    assert (sr.CompletionFlag, sr.VerificationFlag, sr.PreliminaryFlag) == ("PARTIAL", "UNVERIFIED", "PRELIMINARY")
    assert answers(groups(sr)["Spine summary"])["42942008"] == "373068000"


def test_it_is_filed_where_the_study_is(study: Path) -> None:
    sr = refused(study)
    assert sr.StudyInstanceUID == ct_files.STUDY
    assert (sr.PatientID, str(sr.PatientName), sr.PatientSex) == ("P1", "SECRET^NAME", "F")
    assert (sr.StudyDate, sr.PatientBirthDate, sr.AccessionNumber) == ("20260102", "19560101", "")
    (drawing,) = [item for item in walk(sr) if item.ValueType == "SCOORD"]
    image = items(drawing)[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    (evidence,) = sr.CurrentRequestedProcedureEvidenceSequence
    assert evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == image


def test_the_same_study_and_reason_give_the_same_report_and_others_another(study: Path, tmp_path: Path) -> None:
    other = PermanentError(Refusal.UNREADABLE_PIXELS, "slice 4 of 12 cannot be decoded")
    uids = {str(reports(job(study), error)[Kind.REPORT].SOPInstanceUID) for error in (WHY, WHY, other)}
    fewer = ct_files.write(tmp_path / "fewer", ct_files.series(12))
    uids.add(str(refused(fewer).SOPInstanceUID))
    assert len(uids) == 3


def test_a_revision_names_the_report_before_it(study: Path) -> None:
    before = DocumentReference(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
        sop_instance_uid="2.25.7",
        series_uid="2.25.8",
        study_uid="2.25.9",
    )
    sr = refused(study, previous=(before,))
    (item,) = sr.PredecessorDocumentsSequence
    assert item.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "2.25.7"
    assert sr.SOPInstanceUID != refused(study).SOPInstanceUID


def test_both_forms_where_both_are_wanted(study: Path) -> None:
    made = reports(job(study, options=ReadingOptions(kinds=(Kind.REPORT, Kind.REPORT_2D))))
    assert {kind: str(made[kind].SOPClassUID) for kind in made} == {
        Kind.REPORT: "1.2.840.10008.5.1.4.1.1.88.34",
        Kind.REPORT_2D: "1.2.840.10008.5.1.4.1.1.88.33",
    }


def _as_document(dataset: Dataset, index: int) -> None:
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.104.1"
    dataset.Modality = "DOC"
    for keyword in ("Rows", "Columns", "PixelData"):
        del dataset[keyword]


def _as_unknown_class(dataset: Dataset, index: int) -> None:
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.3.4.5"


def _bare(dataset: Dataset, index: int) -> None:
    for keyword in ("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "Modality", "SeriesNumber"):
        del dataset[keyword]


@pytest.mark.peer
@pytest.mark.parametrize("change", [None, _as_document, _as_unknown_class, _bare])
@pytest.mark.parametrize("kind", [Kind.REPORT, Kind.REPORT_2D])
def test_validators_find_nothing_and_readers_read(change: ct_files.Change | None, kind: Kind, tmp_path: Path) -> None:
    folder = ct_files.write(tmp_path / "study", ct_files.series(4, change=change))
    made = reports(job(folder, options=ReadingOptions(kinds=(kind,))))[kind]
    path = save(made, tmp_path / "sr.dcm")
    assert complaints(dciodvfy(path)) == ()
    assert "Reason why the study was not read" in dsrdump(path)
    if change not in (_as_document, _as_unknown_class):
        (group,) = dcmqi_measurements(path, tmp_path)
        assert group["TrackingIdentifier"] == "Spine summary"


@pytest.mark.peer
def test_it_agrees_with_the_study_on_patient_and_study(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    paths = [save(header, tmp_path / f"study/{index:02}.dcm") for index, header in enumerate(small.ct_slices()[:5])]
    path = tmp_path / "sr.dcm"
    refused(tmp_path / "study").save_as(path)
    assert complaints(dcentvfy([*paths, path])) == ()


def test_no_name_reaches_a_log(study: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    refused(study)
    assert "SECRET" not in caplog.text


def _damage(keyword: str, value: object) -> Callable[[Dataset, int], None]:
    def change(dataset: Dataset, index: int) -> None:
        setattr(dataset, keyword, value)

    return change


def test_a_sentence_that_ascii_cannot_hold_is_spelled_out(tmp_path: Path) -> None:
    folder = ct_files.write(
        tmp_path / "study", ct_files.series(4, change=_damage("SpecificCharacterSet", "ISO_IR 100"))
    )
    error = PermanentError("some-code", "12 µm – too thin")
    sr = reports(job(folder), error)[Kind.REPORT]
    assert "12 um - too thin (some-code)" in texts(sr)
    assert answers(items(sr, "C0034375")[0])["REFUSAL"] == "REF-OTHER"
