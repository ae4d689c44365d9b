"""The reading as a FHIR R4 transaction: DiagnosticReport, Observations, ImagingStudy and Device.

After HL7's "DICOM SR to FHIR Resource Mapping": the report becomes a DiagnosticReport, each group an Observation
with its numbers as components, the observer a Device, tracking UIDs identifiers. Everything is preliminary.

The transaction can be repeated: each resource of ours is put under an id that follows from the reading, and the
ImagingStudy is created only where the server knows none for the study. The patient is named by identifier and
never created, for the server has its own. A later reading of a study makes new resources, as it makes new DICOM
objects; tracking UIDs stay.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeAlias

from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage

from operators.biomarker import SPINE_SUMMARY, Answer, Count, Finding, Uid
from operators.reading.case import Case
from operators.reading.options import Kind
from operators.reading.quantity import Measured, Withheld
from operators.results import technique
from operators.results.identity import ResultIdentity, derive_uid
from operators.results.origin import MANUFACTURER, MODEL
from operators.results.request import procedure_reported
from operators.results.research import RESEARCH_MARK
from operators.results.statement_text import published
from operators.results.study_header import StudyHeader, study_header
from operators.results.tracking import tracking_uid
from operators.results.walk import findings, sentence_texts
from operators.terms import codes
from operators.terms.term import OSTEON_SCHEME

Resource: TypeAlias = dict[str, Any]

SYSTEMS: Mapping[str, str] = MappingProxyType(
    {
        "SCT": "http://snomed.info/sct",
        "LN": "http://loinc.org",
        "DCM": "http://dicom.nema.org/resources/ontology/DCM",
        "UMLS": "http://www.nlm.nih.gov/research/umls",
        "RADLEX": "http://radlex.org",
        OSTEON_SCHEME.designator: f"urn:oid:{OSTEON_SCHEME.uid}",
    }
)
"""FHIR code systems by coding scheme designator; of PS3.16 section 8 and HL7's terminology."""
_UCUM = "http://unitsofmeasure.org"
_DICOM_UID = "urn:dicom:uid"
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_REPLACES = "http://hl7.org/fhir/StructureDefinition/diagnosticReport-replaces"
_PRELIMINARY = "preliminary"


def write_fhir(case: Case, objects: Mapping[Kind, Dataset]) -> bytes:
    """Encode the reading as a transaction Bundle.

    Args:
        case: The finished case.
        objects: The DICOM objects that were made of it, by kind; the report is identified by its own.

    Returns:
        JSON, UTF-8; the same bytes for the same case.
    """
    bundle = _Writer(case, objects).bundle()
    return json.dumps(bundle, ensure_ascii=False, indent=1).encode() + b"\n"


class _Writer:
    """The resources of one reading."""

    def __init__(self, case: Case, objects: Mapping[Kind, Dataset]) -> None:
        self._case = case
        self._objects = objects
        self._identity = ResultIdentity.of(case.reading)
        self._report_uid = str(
            objects[Kind.REPORT].SOPInstanceUID if Kind.REPORT in objects else self._identity.instance_uid(Kind.REPORT)
        )
        self._header: StudyHeader = study_header(case)
        self._study = f"urn:uuid:{_uuid(derive_uid('fhir', 'imaging-study', case.reading.source.study_uid))}"
        self._device_id = derive_uid("fhir", "device", self._identity.device_uid, self._identity.algorithm_uid)

    def bundle(self) -> Resource:
        """Everything, what is referred to first."""
        found = tuple(finding for finding in findings(self._case.reading) if not finding.topic.is_digest)
        entries = [
            _put(self._device()),
            self._imaging_study(),
            *(_put(self._observation(finding)) for finding in found),
            _put(self._report(found)),
        ]
        return {"resourceType": "Bundle", "type": "transaction", "entry": entries}

    def _id(self, name: str) -> str:
        return derive_uid("fhir", self._report_uid, name)

    def _observation_id(self, finding: Finding) -> str:
        return self._id(tracking_uid(self._case, finding.vertebra, finding.topic.name))

    def _device(self) -> Resource:
        by = self._case.reading.provenance
        return {
            "resourceType": "Device",
            "id": self._device_id,
            "identifier": [_uid_identifier(self._identity.device_uid), _uid_identifier(self._identity.algorithm_uid)],
            "manufacturer": MANUFACTURER,
            "deviceName": [{"name": MODEL, "type": "model-name"}],
            "type": _concept(codes.ARTIFICIAL_INTELLIGENCE),
            "version": [
                {"type": {"text": "software"}, "value": by.pipeline},
                {"type": {"text": f"engine {by.engine}"}, "value": by.engine_version},
                {"type": {"text": "weights, SHA-256"}, "value": by.engine_digest},
            ],
            "note": [{"text": RESEARCH_MARK}],
        }

    def _imaging_study(self) -> Resource:
        source = self._case.reading.source
        study = _uid_identifier(source.study_uid)
        series = {
            "uid": source.series_uid,
            "modality": {"system": SYSTEMS["DCM"], "code": "CT"},
            "numberOfInstances": len(self._case.slices),
        }
        resource = {
            "resourceType": "ImagingStudy",
            "identifier": [study, *self._accession()],
            "status": "available",
            "subject": self._subject(),
            **_optional("started", self._header.started),
            **_optional("description", self._header.description),
            "series": [series],
        }
        condition = f"identifier={study['system']}|{study['value']}"
        request = {"method": "POST", "url": "ImagingStudy", "ifNoneExist": condition}
        return {"fullUrl": self._study, "resource": resource, "request": request}

    def _observation(self, finding: Finding) -> Resource:
        main, *further = finding.statements
        level = "" if finding.vertebra is None else str(finding.vertebra.level)
        site = codes.SPINE if finding.vertebra is None else codes.LEVELS[finding.vertebra.level].name
        resource: Resource = {
            "resourceType": "Observation",
            "id": self._observation_id(finding),
            "identifier": [_uid_identifier(tracking_uid(self._case, finding.vertebra, finding.topic.name))],
            "status": _PRELIMINARY,
            "category": [_imaging()],
            "code": _concept(main.question, f"{level} {main.question.meaning}".strip()),
            "subject": self._subject(),
            **self._times(),
            **_answer(main.answer),
            "bodySite": _concept(site, level),
            "device": {"reference": f"Device/{self._device_id}"},
            "derivedFrom": [{"reference": self._study}],
        }
        if main.method is not None:
            resource["method"] = _concept(main.method)
        notes = list(_notes(finding))
        if finding.topic == SPINE_SUMMARY:
            notes += [{"text": check} for check in technique.checks(self._case.reading)]
        if notes:
            resource["note"] = notes
        if components := [{"code": _concept(item.question), **_answer(item.answer)} for item in further]:
            resource["component"] = components
        return resource

    def _report(self, found: tuple[Finding, ...]) -> Resource:
        return {
            "resourceType": "DiagnosticReport",
            "id": self._id("report"),
            **self._replaces(),
            "identifier": [_uid_identifier(self._report_uid)],
            **self._based_on(),
            "status": _PRELIMINARY,
            "category": [{"coding": [{"system": f"{_TERMINOLOGY}/v2-0074", "code": "RAD", "display": "Radiology"}]}],
            "code": _concept(procedure_reported(self._case.slices[0])),
            "subject": self._subject(),
            **self._times(),
            "issued": _instant(self._case.job.at),
            "result": [{"reference": f"Observation/{self._observation_id(finding)}"} for finding in found],
            "imagingStudy": [{"reference": self._study}],
            "conclusion": " ".join([*sentence_texts(self._case.reading), RESEARCH_MARK]),
        }

    def _subject(self) -> Resource:
        header = self._header
        if not header.patient_id:
            return {"type": "Patient", "display": "patient without an identifier"}
        identifier: Resource = {
            "type": {"coding": [{"system": f"{_TERMINOLOGY}/v2-0203", "code": "MR"}]},
            "value": header.patient_id,
            **_optional("system", header.issuer_oid and f"urn:oid:{header.issuer_oid}"),
        }
        if header.issuer:
            identifier["assigner"] = {"display": header.issuer}
        return {"type": "Patient", "identifier": identifier}

    def _accession(self) -> Iterator[Resource]:
        if self._header.accession:
            kind = {"coding": [{"system": f"{_TERMINOLOGY}/v2-0203", "code": "ACSN"}]}
            yield {"type": kind, "value": self._header.accession}

    def _based_on(self) -> Resource:
        orders = [{"type": "ServiceRequest", "identifier": number} for number in self._accession()]
        return {"basedOn": orders} if orders else {}

    def _replaces(self) -> Resource:
        """The report of the earlier reading, by its identifier: this server need not have got it."""
        previous = sorted(self._case.job.previous, key=lambda report: report.sop_class_uid != Comprehensive3DSRStorage)
        if not previous:
            return {}
        earlier = {"type": "DiagnosticReport", "identifier": _uid_identifier(previous[0].sop_instance_uid)}
        return {"extension": [{"url": _REPLACES, "valueReference": earlier}]}

    def _times(self) -> Resource:
        return _optional("effectiveDateTime", self._header.started)


def _put(resource: Resource) -> Resource:
    place = f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": place}}


def _answer(answer: Answer) -> Resource:
    if isinstance(answer, Measured):
        return _quantity(published(answer).value, answer.unit)
    if isinstance(answer, Count):
        return _quantity(answer.value, answer.unit)
    if isinstance(answer, Withheld):
        why = {"system": f"{_TERMINOLOGY}/data-absent-reason", "code": "not-performed", "display": "Not Performed"}
        return {"dataAbsentReason": {"coding": [why], "text": f"{answer.reason} ({answer.code})"}}
    if isinstance(answer, Uid):
        return {"valueString": answer.value}
    return {"valueCodeableConcept": _concept(answer)}


def _quantity(value: float, unit: str) -> Resource:
    spoken = codes.UNITS[unit].meaning
    return {"valueQuantity": {"value": value, "unit": spoken, "system": _UCUM, "code": unit}}


def _notes(finding: Finding) -> Iterator[Resource]:
    for place, statement in enumerate(finding.statements):
        said = [statement.method.meaning] if statement.method and place else []
        said += [f"± {_uncertainty(statement.answer)}"] if _uncertainty(statement.answer) else []
        said += [statement.note] if statement.note else []
        if said:
            yield {"text": f"{statement.question.meaning}: {'; '.join(said)}"}
    yield from ({"text": note} for note in finding.notes)


def _uncertainty(answer: Answer) -> str:
    """Half-width of the 95 % interval as text; FHIR has no element for it that receivers read."""
    if not isinstance(answer, Measured) or answer.uncertainty is None:
        return ""
    return f"{published(answer).uncertainty:g} {codes.UNITS[answer.unit].meaning}"


def _concept(code: Code, text: str | None = None) -> Resource:
    coding = {"code": code.value, "display": code.meaning}
    system = SYSTEMS.get(code.scheme_designator)
    if system is not None:
        coding = {"system": system, **coding}
    return {"coding": [coding], **_optional("text", text)}


def _imaging() -> Resource:
    system = f"{_TERMINOLOGY}/observation-category"
    return {"coding": [{"system": system, "code": "imaging", "display": "Imaging"}]}


def _uid_identifier(uid: str) -> dict[str, str]:
    return {"system": _DICOM_UID, "value": f"urn:oid:{uid}"}


def _optional(key: str, value: str | None) -> Resource:
    return {key: value} if value else {}


def _instant(at: datetime) -> str:
    zoned = at if at.tzinfo is not None else at.astimezone()
    return zoned.isoformat(timespec="milliseconds")


def _uuid(uid: str) -> uuid.UUID:
    """The UUID in a UID of the arc 2.25."""
    return uuid.UUID(int=int(uid.removeprefix("2.25.")))
