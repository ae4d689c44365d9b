"""The SR of a reading in which everything has been measured, walked by pydicom alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydicom import Dataset

from operators.dicom.report import REPORT_2D, write_report
from operators.reading.document_reference import DocumentReference
from operators.reading.options import Kind, ReadingOptions
from tests.operators import small_case as small
from tests.operators.full_reading import full_reading, transitional_reading
from tests.operators.small_case import decode
from tests.operators.sr_tree import answers, groups, items, numbers, parse, report, segmentations, texts, walk, written

COMPREHENSIVE_3D, COMPREHENSIVE = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.88.33"


@pytest.fixture(scope="module")
def sr() -> Dataset:
    return report(small.case(full_reading()))


def test_the_groups_come_in_the_order_of_their_importance(sr: Dataset) -> None:
    assert list(groups(sr)) == [
        "Spine summary",
        "L1 vertebral fracture",
        "bone density",
        "figure of another method",
        "T12 vertebra",
        "T12 trabecular ROI",
        "T12 trabecular ROI, further",
        "L1 vertebra",
        "L1 vertebral body shape",
        "L1 endplates",
        "L1 change since the prior reading",
        "L2 vertebra",
        "L2 endplates",
        "L2 trabecular ROI",
    ]


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        (
            "L1 vertebral fracture",
            {"GENANT-NUM": (2, "{grade}"), "VBH-LOSS": (34.2, "%"), "VBA-LOSS": (21.5, "%"), "VFX-PROB": (93.0, "%")},
        ),
        (
            "L1 vertebral body shape",
            {
                "GENANT-NUM": (2, "{grade}"),
                "VBA-LOSS": (21.5, "%"),
                "VFX-PROB": (93.0, "%"),
                "VFX-PROB-NET": (87.0, "%"),
            },
        ),
        (
            "L1 endplates",
            {
                "EP-SUP-DEPTH": (6.2, "mm"),
                "EP-INF-DEPTH": (2.4, "mm"),
                "EP-INF-FOCAL": (3.3, "mm"),
                "EP-INF-WIDTH": (7.5, "mm"),
            },
        ),
        (
            "L1 change since the prior reading",
            {
                "VBH-ANT-CHG": (-4.1, "mm"),
                "VBH-MID-CHG": (-6.5, "mm"),
                "VBH-POST-CHG": (-0.3, "mm"),
                "GENANT-PRIOR": (0, "{grade}"),
            },
        ),
        (
            "T12 trabecular ROI",
            {
                "112181": (88.2, "[hnsf'U]"),
                "VBMD": (91.4, "mg/cm3"),
                "112183": (31.0, "[hnsf'U]"),
                "112182": (86.0, "[hnsf'U]"),
            },
        ),
        ("T12 trabecular ROI, further", {"118565006": (3.4, "cm3")}),
        ("bone density", {"112181": (90.5, "[hnsf'U]"), "VBMD": (90.1, "mg/cm3")}),
        ("figure of another method", {"CMP-HU": (140.0, "[hnsf'U]"), "CMP-ABMD": (0.92, "g/cm2")}),
        (
            "Spine summary",
            {
                "VFX-EVAL": (3, "{vertebrae}"),
                "VFX-COUNT": (1, "{vertebrae}"),
                "VFX-MILD": (0, "{vertebrae}"),
                "SDI-MIN": (2, "{score}"),
            },
        ),
    ],
)
def test_every_measured_number_comes_back(sr: Dataset, group: str, expected: dict[str, tuple[float, str]]) -> None:
    assert numbers(groups(sr)[group]) == expected


def test_the_shape_of_a_fracture_is_coded(sr: Dataset) -> None:
    found = groups(sr)
    fracture = answers(found["L1 vertebral fracture"])
    assert fracture["VFX-MIMIC"] == "MIMIC-SCHMORL"
    assert answers(found["L1 change since the prior reading"])["VFX-COURSE"] == "COURSE-NEW"
    shape = answers(found["L1 endplates"])
    assert (shape["EP-SUP-FORM"], shape["EP-INF-FORM"], shape["EP-DEPRESSED"]) == (
        "EP-CONCAVE",
        "EP-FOCAL",
        "52101004",
    )
    told = texts(found["L1 vertebral fracture"])
    assert "Dent of 3.3 mm in the inferior endplate." in told
    assert "Within the 95 % interval of the height loss the grade is 1 to 2." in told
    assert "each alone: 61 to 97 %" in told
    assert "Grade 2 now, 0 then." in texts(found["L1 change since the prior reading"])


def test_what_is_withheld_of_the_shape_is_a_coded_reason(sr: Dataset) -> None:
    group = groups(sr)["L2 endplates"]
    assert numbers(group) == {"EP-INF-DEPTH": (1.9, "mm")}
    assert answers(group)["EXCL-SHAPE"] == "EXCL-METAL"
    assert answers(groups(sr)["T12 vertebra"])["EXCL-CHANGE"] == "EXCL-QC"


def test_mineral_density_names_its_calibration_and_its_phantom_material(sr: Dataset) -> None:
    for name in ("T12 trabecular ROI", "bone density"):
        group = groups(sr)[name]
        (value,) = items(group, "VBMD")
        assert items(value, "370129005")[0].ConceptCodeSequence[0].CodeValue == "CAL-ASYNC"
        assert answers(group)["CAL-PHANTOM"] == "CAL-HA"
        assert "mg/cm3 of HA; density = 0.82 x HU -3.5; R2 0.9991; phantom QRM-BDC 3" in texts(group)
    assert answers(groups(sr)["T12 trabecular ROI"])["LOW-ATT"] == "52101004"
    assert "LOW-ATT" not in answers(groups(sr)["L2 trabecular ROI"])
    assert answers(groups(sr)["figure of another method"])["CMP-BELOW"] == "272519000"


def test_the_prior_is_named(sr: Dataset) -> None:
    summary = groups(sr)["Spine summary"]
    assert [item.UID for item in items(summary, "110180")] == ["2.25.77"]
    told = texts(summary)
    assert "Compared with the prior study 2.25.77: new vertebral fracture: L1; 1 of 2 compared levels" in told
    assert "cannot be determined" not in told


def test_transitional_levels_are_generic_vertebrae_with_a_modifier() -> None:
    found = groups(report(small.case(transitional_reading())))
    for level in ("T13", "L6"):
        for name in (f"{level} vertebra", f"{level} trabecular ROI"):
            (site,) = items(found[name], "363698007")
            assert site.ConceptCodeSequence[0].CodeValue == "51282000"
            assert items(site, "106233006")[0].ConceptCodeSequence[0].CodeValue == f"VERT-{level}"


def test_the_2d_report_says_the_same() -> None:
    made = written("normal")
    whole, flat = parse(made.report), parse(made.report_2d)
    assert (whole.SOPClassUID, flat.SOPClassUID) == (COMPREHENSIVE_3D, COMPREHENSIVE)
    assert flat.ContentSequence == whole.ContentSequence
    assert flat.SeriesInstanceUID != whole.SeriesInstanceUID
    assert flat.SOPInstanceUID != whole.SOPInstanceUID


def _reference(sop_class: str, number: int) -> DocumentReference:
    return DocumentReference(
        sop_class_uid=sop_class, sop_instance_uid=f"2.25.{number}", series_uid="2.25.8", study_uid=small.STUDY
    )


@pytest.mark.parametrize(
    ("classes", "expected"),
    [([COMPREHENSIVE_3D, COMPREHENSIVE], ["2.25.1"]), ([COMPREHENSIVE], ["2.25.0"]), ([], [])],
)
def test_a_revision_names_the_report_before_it(classes: list[str], expected: list[str]) -> None:
    """The one of its own class where there is one: each form of the report has its own chain."""
    before = tuple(_reference(sop_class, number) for number, sop_class in enumerate(reversed(classes)))
    case = small.case()
    revision = decode(write_report(replace(case, job=case.job.model_copy(update={"previous": before}))))
    named = [
        instance.ReferencedSOPInstanceUID
        for study in revision.get("PredecessorDocumentsSequence", [])
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    ]
    assert named == expected
    assert (revision.SOPInstanceUID == report(case).SOPInstanceUID) is (not classes)


def test_a_report_that_refers_to_other_objects_is_another_report() -> None:
    case = small.case()
    less = replace(
        case, job=case.job.model_copy(update={"options": ReadingOptions(kinds=(Kind.SEGMENTATION, Kind.REPORT))})
    )
    more = replace(case, job=case.job.model_copy(update={"options": ReadingOptions(kinds=tuple(Kind))}))
    assert write_report(less).SOPInstanceUID != write_report(case).SOPInstanceUID
    assert write_report(more).SOPInstanceUID == write_report(case).SOPInstanceUID
    assert write_report(case, form=REPORT_2D).SOPInstanceUID != write_report(case).SOPInstanceUID


def test_the_order_of_the_ct_is_repeated() -> None:
    slices = small.ct_slices()
    request, code, half = Dataset(), Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "CTABD", "99KLINIK", "CT Abdomen Übersicht"
    half.CodeValue = "X"
    request.RequestedProcedureID, request.RequestedProcedureDescription = "R-1", "CT Abdomen für Müller"
    request.RequestedProcedureCodeSequence = [code, half]
    slices[0].RequestAttributesSequence = [request, Dataset()]
    slices[0].ProcedureCodeSequence = [half, code]
    case = small.case(slices=slices)
    sr = report(case)
    (item,) = sr.ReferencedRequestSequence
    assert item.StudyInstanceUID == small.STUDY
    assert (item.AccessionNumber, item.RequestedProcedureID) == ("A123", "R-1")
    assert item.RequestedProcedureDescription == "CT Abdomen für Müller"
    assert [one.CodeValue for one in item.RequestedProcedureCodeSequence] == ["CTABD"]
    assert items(sr, "121058")[0].ConceptCodeSequence[0].CodeMeaning == "CT Abdomen Übersicht"
    assert "ReferencedRequestSequence" not in report(small.case())


def test_without_the_segmentations_every_group_is_still_drawn() -> None:
    case = small.case(full_reading())
    alone = groups(decode(write_report(case)))
    beside = groups(decode(write_report(case, segmentations(case))))
    assert list(alone) == list(beside)
    for group in alone.values():
        assert any(item.ValueType == "SCOORD" for item in walk(group))
        assert not items(group, "121191")
