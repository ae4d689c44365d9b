"""Every fact of every reading stands in every encoding, or a table says why an encoding does not carry its kind.

``python -m tests.agreement.table`` prints the table of kinds and encodings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest

from tests.agreement.agreement import Told, kinds_in, missing
from tests.agreement.exempt import EXEMPT
from tests.agreement.facts import NO_FACTS, Fact, facts_of
from tests.agreement.kinds import KINDS
from tests.agreement.readers import READERS
from tests.agreement.said import Said, printed, stated

_EXEMPTED = {(one.encoding, one.kind): one.reason for one in EXEMPT}
CARRIED = [
    pytest.param(encoding, kind, id=f"{encoding}: {kind}")
    for kind in KINDS
    for encoding in READERS
    if (encoding, kind) not in _EXEMPTED
]


@pytest.mark.parametrize(("encoding", "kind"), CARRIED)
def test_an_encoding_carries_every_fact_of_a_kind(told: Mapping[str, Told], encoding: str, kind: str) -> None:
    assert missing(told, encoding, kind) == []


@pytest.mark.parametrize("encoding", READERS)
def test_kinds_that_are_not_listed_are_carried_too(told: Mapping[str, Told], encoding: str) -> None:
    """So that a new biomarker's facts are held to it before anybody lists them."""
    new = [kind for kind in kinds_in(told) - set(KINDS) if (encoding, kind) not in _EXEMPTED]
    assert [fact for kind in sorted(new) for fact in missing(told, encoding, kind)] == []


def test_every_kind_occurs(told: Mapping[str, Told]) -> None:
    assert set(KINDS) - kinds_in(told) == set()


def test_no_kind_is_exempted_that_is_carried_everywhere(told: Mapping[str, Told]) -> None:
    needless = [(one.encoding, one.kind) for one in EXEMPT if not missing(told, one.encoding, one.kind)]
    assert needless == []


def test_every_exemption_is_of_a_known_kind_and_says_why_in_a_sentence() -> None:
    assert {(one.encoding, one.kind) for one in EXEMPT} <= {(e, k) for e in READERS for k in KINDS}
    assert [kind for kind, count in Counter((one.encoding, one.kind) for one in EXEMPT).items() if count > 1] == []
    for reason in [*_EXEMPTED.values(), *NO_FACTS.values()]:
        assert len(reason.split()) >= 5, reason
        assert reason.endswith("."), reason


def test_a_fact_is_found_by_its_shape() -> None:
    """Also where a later version puts it, and of a biomarker that nobody has heard of."""
    height = {"kind": "measured", "value": 17.04, "unit": "mm", "uncertainty": None}
    why = {"kind": "withheld", "code": "metal", "reason": "A screw. It hides the plate."}
    vertebra = {"level": "L2", "results": {"heights": {"anterior": height}, "muscle": {"area": height, "fat": why}}}
    curve = {"lordosis": {**height, "unit": "deg"}, "L3": {"tilt": height}}
    found = facts_of({"vertebrae": [vertebra], "results": {"curve": curve}})

    assert [(fact.kind, fact.site, fact.numbers, fact.unit, fact.text) for fact in found] == [
        ("heights.anterior", "L2", (17.04,), "mm", ""),
        ("muscle.area", "L2", (17.04,), "mm", ""),
        ("fat withheld", "L2", (), "", "A screw."),
        ("fat withheld", "L2", (), "", "It hides the plate."),
        ("curve.lordosis", "", (17.04,), "deg", ""),
        ("curve.tilt", "L3", (17.04,), "mm", ""),
    ]


AREA = Fact("deformity.area_loss", "L1", (16.04,), "%", words=("area",))


@pytest.mark.parametrize(
    ("said", "is_told"),
    [
        (stated("L1", "Vertebral body area loss", 16.0, "%"), True),
        (stated("L1", "Vertebral body area loss", 16.1, "%"), False),
        (stated("L1", "Vertebral body area loss", -16.0, "%"), False),
        (stated("L2", "Vertebral body area loss", 16.0, "%"), False),
        (stated("L1", "Vertebral body area loss", 16.0, "mm"), False),
        (stated("L1", "Vertebral body height loss", 16.0, "%"), False),
        (Said("", "L1: area loss 16 %.", printed("L1: area loss 16 %.")), True),
        (Said("", "L1: area loss 17 %.", printed("L1: area loss 17 %.")), False),
        (Said("", "L1: area loss 16 mm.", printed("L1: area loss 16 mm.")), False),
        (Said("", "L1: area loss 1-16 %.", printed("L1: area loss 1-16 %.")), True),
    ],
)
def test_a_number_counts_as_told_at_its_site_in_its_unit_beside_its_name(said: Said, is_told: bool) -> None:
    assert said.says(AREA) is is_told


def test_what_one_vertebra_is_told_of_is_not_told_of_its_neighbour(told: Mapping[str, Told]) -> None:
    """The readers must be able to fail: no fact of the fractured vertebra is found at another one."""
    reading = told["fractured"]
    for encoding, said in reading.encodings.items():
        elsewhere = [fact for fact in reading.facts if fact.site == "L1" and fact.numbers and fact.unit]
        moved = [Fact(f.kind, "L2", f.numbers, f.unit, f.text, f.words) for f in elsewhere]
        own = {f.kind: f.numbers for f in reading.facts if f.site == "L2"}
        wrong = [f for f in moved if own.get(f.kind) != f.numbers and any(one.says(f) for one in said)]
        assert [f.kind for f in wrong if f.kind != "uncertainty"] == [], encoding
