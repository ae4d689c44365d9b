"""The reading as an HL7 v2.5.1 ORU^R01 message, preliminary, UTF-8.

One OBX per number (NM) or coded answer (CWE), its sub-id the vertebral level, and one that points at the DICOM
report (RP). What is withheld is an OBX whose status is X, "results cannot be obtained", with the reason in an
NTE. Message control id and filler order number follow from the reading, so that a receiver knows a repeat.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from pydicom import Dataset
from pydicom.sr.coding import Code

from operators.biomarker import SPINE_SUMMARY, Count, Finding, Statement, Uid
from operators.reading.case import Case
from operators.reading.options import Kind
from operators.reading.quantity import Measured, Withheld
from operators.results import technique
from operators.results.identity import ResultIdentity
from operators.results.origin import local_time
from operators.results.request import procedure_reported
from operators.results.research import RESEARCH_MARK
from operators.results.statement_text import published
from operators.results.study_header import StudyHeader, study_header
from operators.results.walk import findings, sentence_texts
from operators.terms import codes

ENCODING = "utf-8"
APPLICATION = "OSTEON"
REPORT = Code("126000", "DCM", "Imaging Measurement Report")
_SEPARATORS = "^~\\&"
_TERMINATOR = "\r"
_ESCAPES = MappingProxyType(
    str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "\n": "\\.br\\"})
)
"""2.5.1, section 2.7.1."""
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_SYSTEMS: Mapping[str, str] = MappingProxyType({"LN": "LN", "SCT": "SCT", "DCM": "DCM", "UCUM": "UCUM", "UMLS": "UML"})
"""Of HL7 table 0396, by coding scheme designator; ``L`` stands for any other, the private scheme keeps its name."""
_UNNAMED = "^^^^^^U"
"""In a required field, for what the CT does not say."""
_PRELIMINARY, _CANNOT_BE_OBTAINED = "P", "X"


def write_hl7(case: Case, objects: Mapping[Kind, Dataset]) -> bytes | None:
    """Encode the reading as one message.

    Args:
        case: The finished case.
        objects: The DICOM objects that were made of it, by kind; the report is pointed at.

    Returns:
        The message in UTF-8, segments ended by a carriage return; the same bytes for the same case. The
        fields that name the receiver (MSH-4 to MSH-6) are empty. None where the study has no patient ID: a
        message about nobody is not sent.
    """
    if not study_header(case).patient_id:
        return None
    header, at = study_header(case), _time(local_time(case))
    report = str(
        objects[Kind.REPORT].SOPInstanceUID
        if Kind.REPORT in objects
        else ResultIdentity.of(case.reading).instance_uid(Kind.REPORT)
    )
    segments = [
        _message_header(report, at),
        _patient(header),
        "PV1|1|U",
        _order("ORC|RE", header, report),
        _request(case, header, report, at),
        *_comments([*sentence_texts(case.reading), RESEARCH_MARK]),
        *_results(case, objects, report),
    ]
    return "".join(segment + _TERMINATOR for segment in segments).encode(ENCODING)


def escaped(text: str) -> str:
    """Text as a component holds it: separators escaped, line breaks as ``.br``, no other control character."""
    return _CONTROL.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n")).translate(_ESCAPES)


def _message_header(report: str, at: str) -> str:
    control = hashlib.sha256(report.encode()).hexdigest()[:20]
    fields = [APPLICATION, "", "", "", at, "", "ORU^R01^ORU_R01", control, "P", "2.5.1", *[""] * 5, "UNICODE UTF-8"]
    return f"MSH|{_SEPARATORS}|" + "|".join(fields)


def _patient(header: StudyHeader) -> str:
    authority = escaped(header.issuer)
    if header.issuer_oid:
        authority += f"&{header.issuer_oid}&ISO"
    identifier = f"{escaped(header.patient_id)}^^^{authority}^MR"
    names = [_name(name, form) for name, form in zip(header.names, "AIP", strict=True) if name]
    fields = ["1", "", identifier, "", "~".join(names) or _UNNAMED, "", header.birth_date, header.sex]
    return "PID|" + "|".join(fields).rstrip("|")


def _name(name: str, form: str) -> str:
    """A DICOM name as XPN: there the suffix comes before the prefix; component 8 names the representation."""
    family, given, middle, prefix, suffix = [*map(escaped, name.split("^")), *[""] * 5][:5]
    return f"{family}^{given}^{middle}^{suffix}^{prefix}^^L^{form}"


def _order(begin: str, header: StudyHeader, report: str) -> str:
    return f"{begin}|{escaped(header.placer_order)}|{_filler(header, report)}"


def _filler(header: StudyHeader, report: str) -> str:
    """Filler order number: the accession number, or what stands for it where the CT has none."""
    return escaped(header.accession) or f"{report}^{APPLICATION}"


def _request(case: Case, header: StudyHeader, report: str, at: str) -> str:
    fields = [""] * 26
    fields[1], fields[2], fields[3] = "1", escaped(header.placer_order), _filler(header, report)
    fields[4] = _coded(procedure_reported(case.slices[0]))
    fields[7] = f"{header.study_date}{header.study_time}{header.zone}" if header.study_date else ""
    fields[18] = escaped(header.accession)
    fields[22], fields[24], fields[25] = at, "RAD", _PRELIMINARY
    return "OBR|" + "|".join(fields[1:])


def _results(case: Case, objects: Mapping[Kind, Dataset], report: str) -> Iterator[str]:
    at = _time(local_time(case))
    number = 0
    for finding in findings(case.reading):
        if finding.topic.is_digest:  # repeats what others say; a question may stand once at a level
            continue
        notes = [*finding.notes, *(technique.checks(case.reading) if finding.topic == SPINE_SUMMARY else ())]
        for place, statement in enumerate(finding.statements):
            number += 1
            yield _observation(number, finding, statement, at)
            yield from _comments([*_remarks(statement), *(notes if place == len(finding.statements) - 1 else ())])
    if Kind.REPORT in objects:
        value = f"{report}^{APPLICATION}^AP^DICOM"
        yield _result(number + 1, "RP", REPORT, "", value, "", _PRELIMINARY, at, "")


def _observation(number: int, finding: Finding, statement: Statement, at: str) -> str:
    answer, method = statement.answer, "" if statement.method is None else _coded(statement.method)
    level = "" if finding.vertebra is None else str(finding.vertebra.level)
    if isinstance(answer, Withheld):
        # Without a value there is no value type either (2.5.1, 7.4.2.2).
        return _result(number, "", statement.question, level, "", "", _CANNOT_BE_OBTAINED, at, method)
    if isinstance(answer, Measured):
        unit = _coded(codes.UNITS[answer.unit])
        value = f"{published(answer).value:.10g}"
        return _result(number, "NM", statement.question, level, value, unit, _PRELIMINARY, at, method)
    if isinstance(answer, Count):
        unit = _coded(codes.UNITS[answer.unit])
        return _result(number, "NM", statement.question, level, str(answer.value), unit, _PRELIMINARY, at, method)
    if isinstance(answer, Uid):
        return _result(number, "ST", statement.question, level, answer.value, "", _PRELIMINARY, at, method)
    return _result(number, "CWE", statement.question, level, _coded(answer), "", _PRELIMINARY, at, method)


def _result(
    number: int, kind: str, question: Code, level: str, value: str, unit: str, status: str, at: str, method: str
) -> str:
    fields = [""] * 18
    fields[1], fields[2], fields[3], fields[4] = str(number), kind, _coded(question), level
    fields[5], fields[6], fields[11], fields[14], fields[17] = value, unit, status, at, method
    return ("OBX|" + "|".join(fields[1:])).rstrip("|")


def _remarks(statement: Statement) -> list[str]:
    answer = statement.answer
    remarks = [f"{answer.reason} ({answer.code})"] if isinstance(answer, Withheld) else []
    if isinstance(answer, Measured) and answer.uncertainty is not None:
        remarks.append(
            f"± {published(answer).uncertainty:g} {codes.UNITS[answer.unit].meaning}, half of the 95 % interval"
        )
    return [*remarks, *([statement.note] if statement.note else [])]


def _comments(texts: Sequence[str]) -> Iterator[str]:
    for number, text in enumerate(texts, 1):
        yield f"NTE|{number}||{escaped(text)}"


def _coded(code: Code) -> str:
    scheme = code.scheme_designator
    system = _SYSTEMS.get(scheme, scheme if scheme.startswith("99") else "L")
    return f"{escaped(code.value)}^{escaped(code.meaning)}^{system}"


def _time(at: datetime) -> str:
    return at.strftime("%Y%m%d%H%M%S")
