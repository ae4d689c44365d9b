"""The FHIR transaction, read by fhir.resources: an independent model of the standard.

Its R4B module stands for R4: it no longer carries 4.0.1 itself, and of the resources used here R4B changed none.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from pydicom import Dataset

from operators.dicom.report import write_report
from operators.messages.fhir import write_fhir
from operators.reading.case import Case
from operators.reading.document_reference import DocumentReference
from operators.reading.options import Kind
from tests.operators import small_case

CASES: dict[str, Callable[[], Case]] = {
    "normal": small_case.case,
    "fractured": lambda: small_case.case(small_case.fractured_reading()),
    "withheld": lambda: small_case.case(small_case.withheld_reading()),
    "no spine": small_case.no_spine_case,
    "enhanced": small_case.enhanced_case,
    "ragged": small_case.ragged_headers,
    "no header": lambda: small_case.case(slices=(Dataset(),)),
}


def resources(case: Case, objects: dict[Kind, Dataset] | None = None) -> list[dict[str, Any]]:
    bundle = json.loads(write_fhir(case, objects or {}))
    return [entry["resource"] for entry in bundle["entry"]]


def observations(case: Case) -> dict[str, dict[str, Any]]:
    found = [item for item in resources(case) if item["resourceType"] == "Observation"]
    return {item["code"]["text"]: item for item in found}


def component(observation: dict[str, Any], code: str) -> dict[str, Any]:
    (found,) = (item for item in observation["component"] if item["code"]["coding"][0]["code"] == code)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", CASES)
def test_it_is_valid_and_every_reference_in_it_can_be_followed(name: str) -> None:
    text = write_fhir(CASES[name](), {})
    bundle = Bundle.model_validate_json(text)
    assert bundle.type == "transaction"

    raw = json.loads(text)
    known = {entry["request"]["url"] for entry in raw["entry"] if entry["request"]["method"] == "PUT"}
    known |= {entry["fullUrl"] for entry in raw["entry"] if "fullUrl" in entry}
    references = set(_references(raw))
    assert references
    assert references <= known


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["reference"]] if "reference" in value else []
        return own + [found for item in value.values() for found in _references(item)]
    return [found for item in value for found in _references(item)] if isinstance(value, list) else []


def test_a_severe_fracture_of_l1_is_said_with_its_codes_and_numbers() -> None:
    found = observations(small_case.case(small_case.fractured_reading()))
    l1 = found["L1 Compression fracture of vertebral column"]
    assert l1["code"]["coding"] == [
        {
            "system": "http://snomed.info/sct",
            "code": "42942008",
            "display": "Compression fracture of vertebral column",
        }
    ]
    assert l1["valueCodeableConcept"]["coding"][0]["code"] == "52101004"  # present
    assert l1["bodySite"]["coding"][0]["code"] == "66794005"  # L1 vertebra
    assert l1["bodySite"]["text"] == "L1"
    assert component(l1, "GENANT")["valueCodeableConcept"]["coding"][0]["code"] == "GENANT-3"
    assert component(l1, "VBH-LOSS")["valueQuantity"] == {
        "value": 46.2,
        "unit": "Percent",
        "system": "http://unitsofmeasure.org",
        "code": "%",
    }
    t12 = found["T12 Mean Attenuation Coefficient"]
    assert (t12["valueQuantity"]["value"], t12["valueQuantity"]["code"]) == (141.5, "[hnsf'U]")


def test_what_is_withheld_is_said_with_its_reason_and_without_a_value() -> None:
    found = observations(small_case.case(small_case.withheld_reading()))
    t12 = found["T12 Mean Attenuation Coefficient"]
    assert "valueQuantity" not in t12
    assert t12["dataAbsentReason"]["text"] == "Tube voltage is 80 kV: attenuation cannot be compared. (kvp)"
    cut = component(found["L6 Compression fracture of vertebral column"], "VBH-ANT")
    assert cut["dataAbsentReason"]["text"] == "The border of the images cuts the vertebra. (incomplete)"


def test_nothing_in_it_is_final() -> None:
    found = resources(small_case.case(small_case.fractured_reading()))
    states = {item["status"] for item in found if item["resourceType"] in ("Observation", "DiagnosticReport")}
    assert states == {"preliminary"}
    report = found[-1]
    assert report["conclusion"].startswith("Vertebral fracture: L1 severe (Genant 3, wedge).")
    assert "Research use only" in report["conclusion"]


def test_the_patient_is_named_by_identifier_and_never_made() -> None:
    text = write_fhir(small_case.case(), {}).decode()
    assert "Müller" not in text
    assert "19550607" not in text
    assert "1955-06-07" not in text
    bundle = json.loads(text)
    assert "Patient" not in {entry["resource"]["resourceType"] for entry in bundle["entry"]}
    subject = bundle["entry"][-1]["resource"]["subject"]["identifier"]
    assert (subject["value"], subject["assigner"]["display"]) == ("P-77", "HOSPITAL")


def test_the_report_is_that_of_the_dicom_object_and_so_are_its_groups() -> None:
    case = small_case.case(small_case.fractured_reading())
    report = write_report(case)
    found = resources(case, {Kind.REPORT: report})
    assert found[-1]["identifier"][0]["value"] == f"urn:oid:{report.SOPInstanceUID}"
    measured = [item for item in found if item["resourceType"] == "Observation" and "dataAbsentReason" not in item]
    said = {item["identifier"][0]["value"] for item in measured}
    assert len(said) == 8  # the spine, three vertebrae, two grades in numbers, density of the two not fractured
    assert said <= _tracked(report)


def _tracked(item: Dataset) -> set[str]:
    found = {f"urn:oid:{item.UID}"} if "UID" in item else set()
    for child in item.get("ContentSequence", []):
        found |= _tracked(child)
    return found


def test_the_same_reading_gives_the_same_ids_and_another_gives_others_for_the_same_things() -> None:
    case = small_case.case()
    other = small_case.reading().source.model_copy(update={"content_digest": "f" * 64})
    later = small_case.case(small_case.reading(source=other))
    assert write_fhir(case, {}) == write_fhir(small_case.case(), {})
    one, two = resources(case), resources(later)
    ids = [{item["id"] for item in items if item["resourceType"] == "Observation"} for items in (one, two)]
    assert ids[0].isdisjoint(ids[1])
    tracked = [[item["identifier"] for item in items if item["resourceType"] == "Observation"] for items in (one, two)]
    assert tracked[0] == tracked[1]


def test_a_revision_names_the_report_that_it_replaces() -> None:
    earlier = DocumentReference(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
        sop_instance_uid="1.2.3.4",
        series_uid="1.2.3",
        study_uid=small_case.STUDY,
    )
    text = earlier.model_copy(update={"sop_class_uid": "1.2.840.10008.5.1.4.1.1.88.11", "sop_instance_uid": "1.2.3.9"})
    case = small_case.case()
    revised = replace(case, job=case.job.model_copy(update={"previous": (text, earlier)}))
    Bundle.model_validate_json(write_fhir(revised, {}))
    (extension,) = resources(revised)[-1]["extension"]
    assert extension["url"] == "http://hl7.org/fhir/StructureDefinition/diagnosticReport-replaces"
    assert extension["valueReference"]["identifier"]["value"] == "urn:oid:1.2.3.4"
    assert "extension" not in resources(case)[-1]


def test_the_imaging_study_is_made_only_where_there_is_none() -> None:
    bundle = json.loads(write_fhir(small_case.case(), {}))
    (entry,) = (item for item in bundle["entry"] if item["resource"]["resourceType"] == "ImagingStudy")
    assert entry["request"] == {
        "method": "POST",
        "url": "ImagingStudy",
        "ifNoneExist": f"identifier=urn:dicom:uid|urn:oid:{small_case.STUDY}",
    }
    assert {item["request"]["method"] for item in bundle["entry"] if item is not entry} == {"PUT"}


def test_a_time_without_a_zone_is_given_as_a_date() -> None:
    slices = small_case.ct_slices()
    assert resources(small_case.case(slices=slices))[-1]["effectiveDateTime"] == "2026-03-01"
    slices[0].TimezoneOffsetFromUTC = "+0100"
    assert resources(small_case.case(slices=slices))[-1]["effectiveDateTime"] == "2026-03-01T08:15:00+01:00"
