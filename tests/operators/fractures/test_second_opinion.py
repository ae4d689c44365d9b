"""The second opinion on phantoms, which it was never trained on, and how it stands beside the grade."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import pytest

from models.anatomy import Level
from models.fractures.weights import FILE
from operators.body.frame import Body, locate_bodies
from operators.fractures.detect import detect_fractures
from operators.fractures.results import DEFORMITY, Agreement, Deformity, SecondOpinion, Shape
from operators.fractures.second_opinion import second_opinions
from operators.fractures.sentences import fracture_sentences
from operators.fractures.verdict import Fracture as Verdict
from operators.fractures.verdict import fracture_of
from operators.reading.case import Case
from operators.reading.quantity import Measured
from operators.reading.vertebra import Vertebra
from operators.registered import weights_digest
from operators.study.provenance import provenance_of
from tests.operators.measured_case import phantom_case
from tests.phantoms.spine import Fracture, Pose, SpinePhantom


@pytest.fixture(scope="module")
def case() -> Case:
    """T11 to L3 in a patient who lies crooked; L1 has lost half of its anterior height."""
    phantom = SpinePhantom(
        levels=(Level.T11, Level.L3),
        fractures={Level.L1: Fracture(Shape.WEDGE, 0.5)},
        pose=Pose(rotation=(6.0, -7.0, 5.0)),
        table=False,
    ).build(0.9, 1.5, field_of_view=(130, 170))
    return phantom_case(phantom)


def test_it_sees_a_severe_fracture_and_leaves_the_neighbours_alone(case: Case) -> None:
    opinions = {
        v.level: v.of(DEFORMITY).second_opinion
        for v in detect_fractures(case).reading.vertebrae
        if isinstance(v.of(DEFORMITY), Deformity)
    }
    assert set(opinions) == {Level.T11, Level.T12, Level.L1, Level.L2, Level.L3}
    called = {level for level, opinion in opinions.items() if opinion is not None and opinion.grade >= 2}
    assert called == {Level.L1}


def test_it_does_not_depend_on_how_the_slices_are_stored(case: Case) -> None:
    def asked(orientation: str) -> dict[int, float]:
        masks = case.segmentation
        assert masks is not None
        volume, labels, regions = (
            v.to_patient_orientation(tuple(orientation)) for v in (case.volume, masks.labels, masks.regions)
        )
        turned = type(masks)(labels, regions, masks.vertebrae, masks.numbering)
        bodies = [b for b in locate_bodies(case.volume, masks).values() if isinstance(b, Body)]
        return {n: o.probability for n, o in second_opinions(volume, turned, bodies).items()}

    assert asked("FPL") == pytest.approx(asked("RAH"), abs=0.02)


def vertebra(grade: int | None, second: int, probability: float) -> Vertebra:
    deformity = Deformity(
        height_loss=Measured(value=10, unit="%"),
        grade=grade,
        shape=Shape.WEDGE if grade else None,
        second_opinion=SecondOpinion(probability=probability, grade=second),
    )
    return Vertebra(
        number=1, level=Level.L1, confidence=1, complete=True, centroid=(0, 0, 0), results={"deformity": deformity}
    )


@pytest.mark.parametrize(
    ("grade", "second", "agreement", "words", "verdict"),
    [
        (2, 3, Agreement.AGREEING, "agrees at L1", Verdict.PRESENT),
        (
            1,
            2,
            Agreement.AGREEING,
            "Vertebral fracture by height loss and learned",
            Verdict.UNDETERMINED,
        ),
        (0, 2, Agreement.ONLY_SECOND, "to be reviewed: L1 (90 %)", Verdict.UNDETERMINED),
        (None, 3, Agreement.ONLY_SECOND, "to be reviewed: L1 (90 %)", Verdict.UNDETERMINED),
        (3, 1, Agreement.ONLY_MORPHOMETRY, "to be reviewed: L1 (90 %)", Verdict.PRESENT),
        (0, 1, Agreement.NEITHER, "No moderate or severe vertebral fracture found", Verdict.ABSENT),
    ],
)
def test_agreement_and_its_words(
    grade: int | None, second: int, agreement: Agreement, words: str, verdict: Verdict
) -> None:
    one = vertebra(grade, second, 0.9)
    assert isinstance(one.of(DEFORMITY), Deformity)
    assert one.of(DEFORMITY).agreement is agreement
    assert words in " ".join(sentence.text for sentence in fracture_sentences([one]))
    assert fracture_of(one) is verdict


def test_without_an_opinion_nothing_is_said_of_one() -> None:
    deformity = Deformity(height_loss=Measured(value=30, unit="%"), grade=2, shape=Shape.WEDGE)
    one = vertebra(2, 0, 0.0).with_result(DEFORMITY, deformity)
    assert deformity.agreement is None
    assert "second opinion" not in " ".join(sentence.text for sentence in fracture_sentences([one]))


def test_nothing_to_judge_loads_nothing(case: Case) -> None:
    assert case.segmentation is not None
    assert second_opinions(case.volume, case.segmentation, []) == {}


def test_results_are_named_after_its_weights() -> None:
    engine = SimpleNamespace(name="e", version="1", digest="0" * 64)
    assert (
        provenance_of(engine, second_opinion=weights_digest()).second_opinion
        == hashlib.sha256(FILE.read_bytes()).hexdigest()
    )
    assert FILE.stat().st_size < 1_500_000
