"""No validator finds an error in any object of any reading, and what it warns of is allowed with a reason."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydicom import dcmread

from models.anatomy import Level
from operators.reading.options import Kind
from tests.conftest import ROOT
from tests.validators.checks import CHECKS, DOCUMENTS, Check, PixelMed, applies, entities
from tests.validators.readings import RECIPES, Made, Readings
from tests.validators.report_tree import tree_of

pytestmark = pytest.mark.peer

EXPECTED = {
    "no spine": {Kind.REPORT, Kind.REPORT_2D, Kind.TEXT_REPORT},
    "unreadable": {Kind.REPORT, Kind.REPORT_2D},
}
"""The least that readings without a vertebra give; the others give every kind, regions where density was measured."""


@pytest.fixture(scope="module")
def pixelmed(readings: Readings) -> Iterator[PixelMed]:
    validator = PixelMed(readings)
    validator.start()
    yield validator
    validator.end()


@pytest.fixture(params=RECIPES)
def made(request: pytest.FixtureRequest, readings: Readings) -> Made:
    return readings[request.param]


def test_the_set_shows_what_it_is_named_after(readings: Readings) -> None:
    kinds = {name: set(made.objects) for name, made in readings.items()}
    assert all(kinds[name] >= EXPECTED.get(name, set(Kind) - {Kind.DENSITY_REGIONS}) for name in RECIPES)
    assert Kind.DENSITY_REGIONS in kinds["normal"] - kinds["withheld"]
    assert Level.L6 in [v.level for v in readings["L6"].vertebrae]
    assert readings["unreadable"].refusal is not None
    revised, revision = (dcmread(readings[name].objects[Kind.REPORT]) for name in ("normal", "revision"))
    (predecessor,) = revision.PredecessorDocumentsSequence
    (named,) = predecessor.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert named.ReferencedSOPInstanceUID == revised.SOPInstanceUID != revision.SOPInstanceUID
    assert str(dcmread(readings["other script"].objects[Kind.REPORT]).PatientName).startswith("Yamada^Tarou=山田^太郎")
    longest = dcmread(readings["ragged"].objects[Kind.SEGMENTATION])
    assert len(longest.StudyInstanceUID) == 64


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_no_validator_finds_an_error(check: Check, made: Made, pixelmed: PixelMed) -> None:
    found = {kind: check.run(made, kind) for kind in made.objects if applies(check, made, kind)}

    assert {kind: said.errors + said.warnings for kind, said in found.items() if said.errors + said.warnings} == {}


def test_all_objects_of_a_reading_agree_on_patient_and_study(made: Made) -> None:
    said = entities(made)

    assert said.errors + said.warnings == ()


def test_the_2d_report_says_what_the_3d_report_says(made: Made) -> None:
    flat, solid = (dcmread(made.objects[kind]) for kind in (Kind.REPORT_2D, Kind.REPORT))

    assert tree_of(flat) == tree_of(solid)
    assert (flat.SOPClassUID.name, solid.SOPClassUID.name) == (
        "Comprehensive SR Storage",
        "Comprehensive 3D SR Storage",
    )


def test_reports_keep_to_their_templates(made: Made, pixelmed: PixelMed) -> None:
    found = {kind: pixelmed.findings(made, kind) for kind in made.objects if kind in DOCUMENTS}

    told = {kind: said.errors + said.warnings for kind, said in found.items() if said is not None}
    assert Kind.REPORT in told
    assert {kind: lines for kind, lines in told.items() if lines} == {}


def test_the_page_of_the_table_lists_every_object(readings: Readings) -> None:
    page = (ROOT / "docs" / "validation.md").read_text()

    rows = {f"| {name} | `{kind}` |" for name, made in readings.items() for kind in made.objects}
    assert {row for row in rows if row not in page} == set(), "python -m tests.validators.table writes it anew"
    assert ", 0 errors" in page
