"""What every registered biomarker owes: all it finds reaches every encoding, and everything it says is explained."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from node.table import reading_text
from operators.biomarker import Biomarker, Finding, Sentence, Statement, measured
from operators.density.biomarker import BONE_DENSITY
from operators.dicom.text_report import write_text_report
from operators.fractures.biomarker import FRACTURES
from operators.messages.fhir import write_fhir
from operators.messages.hl7 import write_hl7
from operators.reading.case import Case
from operators.reading.quantity import Frozen, Measured, Withheld
from operators.reading.reasons import Reason
from operators.reading.slots import Slot
from operators.registered import BIOMARKERS, BiomarkerError, checked, parse_reading
from operators.results.walk import findings
from operators.terms.term import Term
from tests.operators import small_case as small
from tests.operators.full_reading import full_reading
from tests.operators.sr_tree import report, walk

DOCS = Path(__file__).parents[2] / "docs"
CASES = {"everything measured": full_reading, "withheld": small.withheld_reading, "fractured": small.fractured_reading}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return small.case(CASES[request.param]())


def statements(case: Case) -> Iterator[tuple[Finding, Statement]]:
    for finding in findings(case.reading):
        for statement in finding.statements:
            yield finding, statement


def concepts(sr: Dataset) -> set[str]:
    return {str(item.ConceptNameCodeSequence[0].CodeValue) for item in walk(sr) if "ConceptNameCodeSequence" in item}


def test_every_statement_is_in_the_sr_or_its_reason_is(case: Case) -> None:
    sr = report(case)
    said = concepts(sr)
    texts = " ".join(str(item.TextValue) for item in walk(sr) if item.ValueType == "TEXT")
    for finding, statement in statements(case):
        if isinstance(statement.answer, Withheld):
            assert statement.subject is not None, (finding.topic.name, statement.question)
            assert statement.subject.question.value in said
            assert statement.answer.reason in texts
        else:
            assert statement.question.value in said, (finding.topic.name, statement.question)


def test_every_statement_is_in_fhir_and_hl7(case: Case) -> None:
    bundle: Any = json.loads(write_fhir(case, {}))
    observations = [
        entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "Observation"
    ]
    fhir = {
        part["code"]["coding"][0]["code"]
        for observation in observations
        for part in (observation, *observation.get("component", ()))
    }
    segments = write_hl7(case, {}).decode().split("\r")
    hl7 = {segment.split("|")[3].split("^")[0] for segment in segments if segment.startswith("OBX")}
    for finding, statement in statements(case):
        if not finding.topic.is_digest:
            assert statement.question.value in fhir
            assert statement.question.value in hl7


def test_no_question_stands_twice_at_a_level_in_hl7(case: Case) -> None:
    segments = [s.split("|") for s in write_hl7(case, {}).decode().split("\r") if s.startswith("OBX")]
    repeatable = {"VFX-MIMIC"}  # a shape may have several explanations
    asked = [(s[3], s[4]) for s in segments if s[3].split("^")[0] not in repeatable and s[4]]
    assert len(asked) == len(set(asked)), {key for key in asked if asked.count(key) > 1}


def test_every_statement_is_in_the_text_report_and_on_the_terminal(case: Case) -> None:
    written = " ".join(
        str(item.TextValue) for item in walk(small.decode(write_text_report(case))) if "TextValue" in item
    )
    terminal = reading_text(case.reading, details=True)
    for _, statement in statements(case):
        assert statement.question.meaning in written
        assert statement.question.meaning in terminal


@pytest.mark.parametrize("biomarker", BIOMARKERS, ids=lambda one: one.name)
def test_everything_that_it_says_is_explained(biomarker: Biomarker) -> None:
    page = DOCS / f"{biomarker.name}.md"
    assert page.is_file(), f"write docs/{biomarker.name}.md: definition, units, sources, limits, evidence"
    assert all(term.definition for term in biomarker.terms)
    conformance = (DOCS / "conformance_statement.md").read_text()
    assert [term.value for term in biomarker.terms if f"`{term.value}`" not in conformance] == []


@pytest.mark.parametrize("reason", Reason, ids=str)
def test_every_reason_is_described(reason: Reason) -> None:
    assert len(reason.meaning) > 15
    assert f"| `{reason}` | {reason.meaning} |" in (DOCS / "reason_codes.md").read_text()


@pytest.mark.parametrize(
    ("biomarkers", "named"),
    [
        ((FRACTURES, replace(BONE_DENSITY, name="fractures", after=())), "fractures"),
        ((FRACTURES, replace(BONE_DENSITY, vertebra_slots=(Slot("heights", Frozen),))), "heights"),
        ((FRACTURES, replace(BONE_DENSITY, units=("furlong",))), "furlong"),
        ((FRACTURES, replace(BONE_DENSITY, terms=(Term("NEW", "99OSTEON", "New"),))), "NEW"),
        ((FRACTURES, replace(BONE_DENSITY, terms=FRACTURES.terms[:1])), "VBH-ANT"),
        ((BONE_DENSITY, FRACTURES), "fractures"),
    ],
    ids=["one name", "one slot", "no UCUM unit", "no definition", "one code", "before what it asks"],
)
def test_a_list_that_contradicts_itself_is_refused_by_name(biomarkers: tuple[Biomarker, ...], named: str) -> None:
    with pytest.raises(BiomarkerError, match=named):
        checked(*biomarkers)


class Length(Frozen):
    """A result of a biomarker that is made up here."""

    value: Measured


LENGTH = Slot("length", Length)


def _raises(case: Case) -> Case:
    name = str(case.slices[0].PatientName)
    msg = f"quoting {name}"
    raise ZeroDivisionError(msg)


def _said(_: object) -> tuple[Sentence, ...]:
    return ()


def test_a_biomarker_that_raises_costs_only_itself_and_quotes_nobody() -> None:
    broken = Biomarker("length", "Length", "MeasureLength", _raises, _said, _said, vertebra_slots=(LENGTH,))
    case = small.case()
    done = measured(case, broken)
    for before, after in zip(case.reading.vertebrae, done.reading.vertebrae, strict=True):
        withheld = after.of(LENGTH)
        assert isinstance(withheld, Withheld)
        assert withheld.code is Reason.FAILED
        assert "ZeroDivisionError in test_contract.py" in withheld.reason
        assert after.with_result(LENGTH, None) == before
    (remark,) = set(done.reading.remarks) - set(case.reading.remarks)
    assert remark.startswith("Length could not be measured")
    assert str(case.slices[0].PatientName) not in done.reading.model_dump_json()


def test_a_reading_is_the_same_after_a_file() -> None:
    reading = full_reading()
    assert parse_reading(reading.model_dump_json()) == reading


def test_a_result_of_another_version_is_withheld_and_the_others_are_read() -> None:
    content = json.loads(full_reading().model_dump_json())
    content["vertebrae"][0]["results"]["density"] = {"mean": "another shape"}
    content["results"]["unheard-of"] = {"value": 1}
    read = parse_reading(json.dumps(content))
    density = read.vertebrae[0].of(BONE_DENSITY.vertebra_slots[0])
    assert isinstance(density, Withheld)
    assert density.code is Reason.OTHER_VERSION
    assert read.vertebrae[0].of(FRACTURES.vertebra_slots[0]) == full_reading().vertebrae[0].of(
        FRACTURES.vertebra_slots[0]
    )
