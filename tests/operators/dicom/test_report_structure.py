"""The SR: how it says it, and what DCMTK, dcmqi and dicom3tools make of it."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from operators.dicom.report import write_report
from operators.dicom.segmentation import write_segmentation
from operators.reading.options import Kind
from operators.results.identity import ResultIdentity
from operators.terms.term import OSTEON_SCHEME
from tests.operators import small_case as small
from tests.operators.complaints import complaints
from tests.operators.small_case import decode, encode, save
from tests.operators.sr_tree import (
    CASES,
    EVERY_CASE,
    answers,
    filled,
    groups,
    items,
    name,
    numbers,
    parse,
    report,
    segmentations,
    texts,
    walk,
    write,
    written,
)
from tests.peers.validators import dcentvfy, dciodvfy, dcmqi_measurements, dsrdump


@EVERY_CASE
def test_every_group_has_a_drawing_few_numbers_and_a_tracking_uid_of_its_own(of: str) -> None:
    """What OHIF needs to show a report at all (OHIF/Viewers#3390) and to keep its groups apart."""
    case = written(of).case
    images = {str(header.SOPInstanceUID) for header in case.slices}
    found = groups(parse(written(of).report))
    tracking = set()
    for group in found.values():
        drawings = items(group, value_type="SCOORD")
        assert drawings
        assert len(items(group, value_type="NUM")) <= 4
        for drawing in drawings:
            points = np.array(drawing.GraphicData, dtype=float).reshape(-1, 2)
            assert drawing.GraphicType == "POLYLINE"
            assert np.array_equal(points[0], points[-1])
            assert (points >= 0).all()
            assert (points <= [small.SHAPE[2], small.SHAPE[1]]).all()
            (image,) = items(drawing, value_type="IMAGE")
            assert image.RelationshipType == "SELECTED FROM"
            assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID in images
        first_uid = items(group, value_type="UIDREF")[0]
        assert name(first_uid) == "112040"
        tracking.add(str(first_uid.UID))
    assert len(tracking) == len(found)


@EVERY_CASE
def test_no_unit_is_one_and_no_text_is_empty(of: str) -> None:
    for item in walk(parse(written(of).report)):
        if item.ValueType == "NUM":
            (value,) = item.MeasuredValueSequence
            assert value.MeasurementUnitsCodeSequence[0].CodeValue != "1"
            assert math.isfinite(float(value.NumericValue))
            assert value.NumericValue.original_string != "-0.0"
        if item.ValueType == "TEXT":
            assert item.TextValue.strip()
            assert item.TextValue.isascii()


def test_a_vertebra_refers_to_its_segment_and_is_drawn_on_the_slice_of_its_centroid() -> None:
    case = small.case()
    seg = write_segmentation(case)
    assert seg is not None
    found = groups(decode(write_report(case, segmentations(case))))
    labels = {item.SegmentLabel: item.SegmentNumber for item in seg.SegmentSequence}
    for number, level in enumerate(("T12", "L1", "L2"), start=1):
        group = found[f"{level} vertebra"]
        assert group.ContentTemplateSequence[0].TemplateIdentifier == "1411"
        (reference,) = items(group, "121191")[0].ReferencedSOPSequence
        assert reference.ReferencedSOPInstanceUID == seg.SOPInstanceUID
        assert reference.ReferencedSegmentNumber == labels[level]
        assert items(group, "121232")[0].UID == small.SERIES
        (drawing,) = items(group, "121200")
        image = items(drawing)[0].ReferencedSOPSequence[0]
        centre = small.CENTRES[number - 1]
        assert image.ReferencedSOPInstanceUID == f"{small.SERIES}.{centre + 1}"
        assert np.array_equal(filled(drawing), small.labels()[centre] == number)


def _places(drawings: list[Dataset]) -> list[int]:
    images = (items(drawing)[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID for drawing in drawings)
    return [int(str(image).rsplit(".", 1)[1]) - 1 for image in images]


def test_a_density_region_refers_to_its_segment_and_is_drawn_on_its_largest_slice() -> None:
    case = small.case()
    made = segmentations(case)
    group = groups(decode(write_report(case, made)))["L1 trabecular ROI"]
    (reference,) = items(group, "121191")[0].ReferencedSOPSequence
    seg = made[Kind.DENSITY_REGIONS]
    assert reference.ReferencedSOPInstanceUID == seg.SOPInstanceUID
    segment = seg.SegmentSequence[reference.ReferencedSegmentNumber - 1]
    assert segment.TrackingUID == items(group, "112040")[0].UID
    assert segment.TrackingID == items(group, "112039")[0].TextValue
    (drawing,) = items(group, "121200")
    (place,) = _places([drawing])
    assert np.array_equal(filled(drawing), small.density_regions()[place] == 2)


def test_without_its_segments_a_density_region_is_outlined_on_all_its_slices() -> None:
    case = small.case()
    made = segmentations(case)
    del made[Kind.DENSITY_REGIONS]
    drawings = items(groups(decode(write_report(case, made)))["L1 trabecular ROI"], "111030")
    assert sorted(_places(drawings)) == [10, 11, 12]
    for drawing, place in zip(drawings, _places(drawings), strict=True):
        assert np.array_equal(filled(drawing), small.density_regions()[place] == 2)


def test_drawings_on_an_enhanced_ct_name_the_frame() -> None:
    case = small.enhanced_case()
    (drawing,) = items(groups(report(case))["L2 vertebra"], "121200")
    (image,) = items(drawing)[0].ReferencedSOPSequence
    assert image.ReferencedSOPInstanceUID == case.slices[0].SOPInstanceUID
    assert small.SHUFFLED[image.ReferencedFrameNumber - 1] == small.CENTRES[2]


def test_without_a_segmentation_a_vertebra_is_a_region_on_an_image() -> None:
    group = groups(decode(write_report(small.case())))["L1 vertebra"]
    assert group.ContentTemplateSequence[0].TemplateIdentifier == "1410"
    assert not items(group, "121191")
    assert items(group, "111030")


def test_a_vertebra_without_voxels_is_a_point() -> None:
    case = small.case()
    assert case.segmentation is not None
    labels = small.labels()
    labels[labels == 2] = 0
    case = replace(case, segmentation=replace(case.segmentation, labels=small.volume(labels)))
    (drawing,) = items(groups(report(case))["L1 vertebra"], "111030")
    assert drawing.GraphicType == "POINT"
    assert [float(v) for v in drawing.GraphicData] == pytest.approx([32.5, 22.5], abs=1e-3)


def test_the_document_says_what_made_it_and_describes_its_private_codes() -> None:
    sr = report(small.case())
    identity = ResultIdentity.of(small.reading())
    assert sr.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"
    assert sr.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert (sr.SeriesNumber, sr.SeriesDescription) == (1004, "AI spine report (research)")
    assert sr.SeriesInstanceUID == identity.series_uid(Kind.REPORT)
    assert identity.device_uid == items(sr, "121012")[0].UID
    assert items(sr, "121049")[0].ConceptCodeSequence[0].CodeValue == "en-US"
    assert items(sr, "121058")[0].ConceptCodeSequence[0].CodeValue == "25045-6"
    (scheme,) = sr.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99OSTEON"
    assert scheme.CodingSchemeUID == OSTEON_SCHEME.uid
    for group in groups(sr).values():
        told = {name(item): str(item.get("TextValue")) for item in items(group, value_type="TEXT")}
        assert (told["111001"], told["111003"]) == ("osteon", "1.2")
        assert "cd" * 32 in texts(group)


def test_the_library_names_every_image_once() -> None:
    (library,) = items(report(small.case()), "111028")
    (group,) = items(library, "126200")
    images = [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in items(group, value_type="IMAGE")]
    assert images == [f"{small.SERIES}.{index + 1}" for index in range(24)]
    assert numbers(group)["112226"] == (2.5, "mm")
    assert numbers(group)["113733"] == (120, "kV")
    assert items(group, "CT-KERNEL")[0].TextValue == "B30f"
    assert not items(group, "122086")


@EVERY_CASE
def test_the_same_case_gives_the_same_bytes(of: str) -> None:
    again = write(CASES[of]())
    assert again.report == written(of).report
    assert again.segmentation == written(of).segmentation


@pytest.mark.parametrize(
    ("charset", "patient"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 192", "山田^太郎"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        (None, "Smith^John"),
    ],
)
def test_names_in_any_script_come_back(charset: str | list[str] | None, patient: str, tmp_path: Path) -> None:
    slices = small.ct_slices()
    for header in slices:
        header.SpecificCharacterSet = charset
        header.PatientName = patient
        header.InstitutionName = "Klinik"
        if charset is None:
            del header.SpecificCharacterSet
    case = small.case(slices=tuple(decode(header) for header in slices))
    seg = write_segmentation(case)
    for result in (decode(seg), decode(write_report(case, segmentations(case)))):
        assert str(result.PatientName) == patient
        assert result.get("SpecificCharacterSet") == charset or list(result.SpecificCharacterSet) == charset


_SHARED = [
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientAge",
    "PatientWeight",
    "StudyDescription",
    "StudyID",
    "AccessionNumber",
    "InstitutionName",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
]


def test_patient_and_study_are_those_of_the_ct() -> None:
    case = small.case()
    for result in (report(case), decode(write_segmentation(case))):
        for keyword in _SHARED:
            assert result[keyword].value == small.ct_slices()[0][keyword].value
        assert result.SeriesInstanceUID != small.SERIES
    assert "BodyPartExamined" not in report(case)


@pytest.mark.peer
@EVERY_CASE
def test_validators_find_nothing_and_readers_read(of: str, tmp_path: Path) -> None:
    path = tmp_path / "sr.dcm"
    path.write_bytes(written(of).report)
    assert complaints(dciodvfy(path)) == ()
    text = dsrdump(path)
    assert "Comprehensive 3D SR Document" in text
    assert text.count('"Measurement Group"') == len(groups(parse(written(of).report)))


@pytest.mark.peer
@EVERY_CASE
def test_dcmqi_reads_the_same_measurements_and_segments(of: str, tmp_path: Path) -> None:
    path = tmp_path / "sr.dcm"
    path.write_bytes(written(of).report)
    read = dcmqi_measurements(path, tmp_path)
    ours = groups(parse(written(of).report))
    assert [group["TrackingIdentifier"] for group in read] == list(ours)
    for group in read:
        values = {
            item["quantity"]["CodeValue"]: (float(item["value"]), item["units"]["CodeValue"])
            for item in group["measurementItems"]
        }
        own = ours[group["TrackingIdentifier"]]
        assert values == numbers(own)
        segment = [item.ReferencedSOPSequence[0].ReferencedSegmentNumber for item in items(own, "121191")]
        assert group.get("ReferencedSegment") == (segment[0] if segment else None)
        assert group["FindingSite"]["CodeValue"] == answers(own)["363698007"]


@pytest.mark.peer
def test_ct_segmentation_and_report_agree_on_patient_and_study(tmp_path: Path) -> None:
    case = small.case()
    seg = write_segmentation(case)
    paths = [save(header, tmp_path / f"ct{index:02}.dcm") for index, header in enumerate(small.ct_slices())]
    paths += [save(seg, tmp_path / "seg.dcm"), save(write_report(case, segmentations(case)), tmp_path / "sr.dcm")]
    assert complaints(dcentvfy(paths)) == ()


def test_no_name_reaches_a_log_or_a_warning(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    caplog.set_level("DEBUG")
    slices = small.ct_slices()
    for header in slices:
        header.PatientName, header.PatientID = "SECRETNAME", "SECRETID"
        with warnings.catch_warnings(action="ignore"):
            header.PatientBirthDate = "SECRETDATE"
    made = write(small.case(slices=slices))
    told = caplog.text + "".join(capfd.readouterr()) + "".join(str(warning.message) for warning in recwarn)
    assert "SECRET" not in told
    assert b"SECRETNAME" in made.report


def test_what_would_make_a_result_invalid_is_left_empty_and_the_case_is_left_alone() -> None:
    slices = small.ct_slices()
    slices[0].PatientSex = "U"
    with warnings.catch_warnings(action="ignore"):
        slices[0].PatientBirthDate = "1955-13-07"
        slices[0].StudyTime = "8:15"
    slices[0].ReferencedStudySequence = [Dataset()]
    case = small.case(slices=slices)
    before = encode(case.slices[0])
    made = parse(write(case).report)
    assert [made.PatientSex, made.PatientBirthDate, made.StudyTime] == ["", "", ""]
    assert "ReferencedStudySequence" not in made
    assert str(made.PatientName) == "Müller^Jörg"
    assert encode(case.slices[0]) == before


def test_making_results_does_not_change_the_enhanced_header() -> None:
    case = small.enhanced_case()
    before = encode(case.slices[0])
    write(case)
    assert encode(case.slices[0]) == before


def test_a_remark_that_ascii_cannot_hold_leaves_no_empty_text() -> None:
    (evaluations,) = items(report(small.case(small.reading(remarks=("脊椎",)))), "C0034375")
    assert items(evaluations, "121106")[-1].TextValue == "(no text)"
