"""Coded terms against the SNOMED check digit, pydicom's dictionary (PS3.16) and the rules of PS3.3 and PS3.5."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from pydicom.sr._concepts_dict import concepts  # pydicom offers no public look-up by value
from pydicom.sr.coding import Code

from models.anatomy import Level
from node.conformance_tables import levels, private_scheme
from operators.fractures.grading import grade_of
from operators.fractures.terms import GENANT_GRADES
from operators.reading.reasons import Reason
from operators.registered import BIOMARKERS, PRIVATE_TERMS
from operators.terms import codes, frame
from operators.terms.colours import LEVEL_COLOURS, VERMILION
from operators.terms.term import OSTEON_SCHEME, Term, codes_of, private

ALL = set(codes_of(codes)) | set(codes_of(frame)) | {term for one in BIOMARKERS for term in one.terms}
ALL |= {name for coding in codes.LEVELS.values() for name in coding[:3] if name is not None}
NOT_IN_DICTIONARY = {
    "3572006": "Vertebral body: TotalSegmentator's SNOMED mapping",
    "65985001": "S1 vertebra: TotalSegmentator's SNOMED mapping",
    "42942008": "Compression fracture: two public value sets that do not depend on each other",
    "449781000": "Bone density below reference range: SNOMED CT 2026-05",
    "C0034375": "Qualitative Evaluations: PixelMed's compiled TID 1500",
    "{grade}": "UCUM annotation",
    "{score}": "UCUM annotation",
    "{vertebrae}": "UCUM annotation",
    "g/cm2": "UCUM, areal density",
    "{pixels}": "UCUM annotation, highdicom writes it",
}
_D5 = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 0, 6, 7, 8, 9, 5], [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
       [3, 4, 0, 1, 2, 8, 9, 5, 6, 7], [4, 0, 1, 2, 3, 9, 5, 6, 7, 8], [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
       [6, 5, 9, 8, 7, 1, 0, 4, 3, 2], [7, 6, 5, 9, 8, 2, 1, 0, 4, 3], [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
       [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]]  # fmt: skip
_TURN = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]


def verhoeff_holds(number: str) -> bool:
    """Verhoeff's check over the dihedral group D5 (SNOMED CT technical guide, SCTID check digit)."""
    turned, check = list(range(10)), 0
    for digit in reversed(number):
        check = _D5[check][turned[int(digit)]]
        turned = [_TURN[place] for place in turned]
    return check == 0


def test_the_check_itself_finds_a_typing_error() -> None:
    assert verhoeff_holds("66794005")
    assert not verhoeff_holds("66974005")


@pytest.mark.parametrize("code", sorted(c for c in ALL if c.scheme_designator == "SCT"), ids=str)
def test_snomed_codes_have_a_right_check_digit(code: Code) -> None:
    assert verhoeff_holds(code.value)


@pytest.mark.parametrize("code", sorted(c for c in ALL if c.scheme_designator != "99OSTEON"), ids=str)
def test_standard_codes_mean_what_the_dictionary_says(code: Code) -> None:
    meanings = {
        entry[code.value][0].lower()
        for entry in concepts[code.scheme_designator].values()
        if code.value in entry
    } if code.scheme_designator in concepts else set()  # fmt: skip
    if code.value in NOT_IN_DICTIONARY:
        assert not meanings
    else:
        words = code.meaning.lower()
        assert any(meaning == words or meaning.startswith(f"{words} (") for meaning in meanings), meanings


def test_no_two_terms_share_a_code_and_no_code_has_two_meanings() -> None:
    by_code: dict[tuple[str, str], set[str]] = {}
    for code in ALL:
        by_code.setdefault((code.scheme_designator, code.value), set()).add(code.meaning)
    assert not {key: meanings for key, meanings in by_code.items() if len(meanings) > 1}
    values = [term.value for term in PRIVATE_TERMS]
    assert len(values) == len(set(values))


def test_every_private_code_that_is_used_is_defined() -> None:
    used = {code.value for code in ALL if code.scheme_designator == "99OSTEON"}
    assert used == {term.value for term in PRIVATE_TERMS}


@pytest.mark.parametrize("term", PRIVATE_TERMS, ids=lambda term: term.value)
def test_private_terms_fit_their_attributes(term: Term) -> None:
    assert re.fullmatch(r"[A-Z0-9-]{1,16}", term.value)
    assert 0 < len(term.meaning) <= 64
    assert len(term.definition) > 10
    assert term.definition.isascii()


@pytest.mark.parametrize(
    "parts",
    [("", "A meaning", "A definition"), ("X" * 17, "A meaning", "A definition"), ("X", "A meaning", " ")],
    ids=["no value", "too long a value", "no definition"],
)
def test_a_term_that_is_none_is_refused(parts: tuple[str, str, str]) -> None:
    with pytest.raises(ValueError, match="definition"):
        private(*parts)


def test_the_scheme_is_described_as_the_standard_asks() -> None:
    assert OSTEON_SCHEME.designator.startswith("99")
    assert len(OSTEON_SCHEME.designator) <= 16
    assert re.fullmatch(r"2\.25\.[1-9][0-9]{0,38}", OSTEON_SCHEME.uid)


def test_every_level_has_a_code_and_transitional_levels_are_generic_vertebrae() -> None:
    assert set(codes.LEVELS) == set(Level)
    for level, region in ((Level.L6, "122496007"), (Level.T13, "122495006")):
        coding = codes.LEVELS[level]
        assert coding.structure.value == "51282000"
        assert coding.region is not None
        assert coding.region.value == region
        assert coding.name.value == f"VERT-{level}"
    assert codes.LEVELS[Level.L1].structure == Code("66794005", "SCT", "L1 vertebra")
    assert codes.LEVELS[Level.C7].structure == Code("87391001", "SCT", "C7 vertebra")


def test_no_unit_is_the_number_one() -> None:
    assert "1" not in codes.UNITS


def test_colours_differ_and_those_of_neighbours_differ_clearly() -> None:
    colours = [LEVEL_COLOURS[level] for level in Level]
    assert len(set(colours)) == len(Level)
    for one, other in pairwise(colours):
        assert sum(abs(a - b) for a, b in zip(one, other, strict=True)) > 100


def test_no_level_looks_like_a_fracture() -> None:
    for colour in LEVEL_COLOURS.values():
        assert sum(abs(a - b) for a, b in zip(colour, VERMILION, strict=True)) > 60


@pytest.mark.parametrize(
    ("reason", "code"),
    [("metal", "EXCL-METAL"), ("incomplete", "EXCL-FOV"), ("contrast", "EXCL-CONTRAST"), ("kvp", "EXCL-QC")],
)
def test_reasons_are_coded(reason: str, code: str) -> None:
    assert frame.exclusion_code(Reason(reason)).value == code


def test_the_tables_for_documents_hold_every_private_term_and_every_level() -> None:
    scheme = private_scheme().splitlines()
    assert "`99OSTEON`" in scheme[0]
    assert OSTEON_SCHEME.uid in scheme[0]
    assert len([line for line in scheme if line.startswith("| `")]) == len(PRIVATE_TERMS)
    assert "| `VBH-ANT` | Anterior vertebral body height | Distance in mm" in "\n".join(scheme)
    table = levels().splitlines()
    assert table[1] == "| --- | --- | --- | --- | --- |"
    assert len(table) == 2 + len(Level)
    assert "| L1 | `66794005` SCT | L1 vertebra |  |  |" in table


def test_what_is_published_of_the_grades_is_what_the_code_does() -> None:
    for loss, words in ((0.20, "20 % or more"), (0.25, "25 % or more"), (0.40, "40 % or more")):
        assert words in GENANT_GRADES[grade_of(loss)].definition
        assert words not in GENANT_GRADES[grade_of(loss - 0.001)].definition
