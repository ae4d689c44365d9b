"""What is said of vertebral fractures, in the words that reporting standards ask for.

Royal College of Radiologists / Royal Osteoporosis Society (docs/science.md §3.9 [V]): use the words "vertebral
fracture", give level and grade, say what to do next, and comment on the bones when there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from operators.biomarker import Sentence, Weight
from operators.change.results import HEIGHT_CHANGE, HeightChange
from operators.fractures.results import (
    DEFORMITY,
    DEFORMITY_INDEX,
    Agreement,
    Deformity,
    DeformityIndex,
    MimicCode,
    Shape,
)
from operators.fractures.verdict import FRACTURE_GRADE, SEVERITY, deformity_of, grade_of, may_have_collapsed
from operators.reading.quantity import Measured, Withheld
from operators.reading.reading import SpineReading
from operators.reading.vertebra import Vertebra
from operators.terms.levels import GRADED

LESIONS = (MimicCode.LYTIC, MimicCode.SCLEROTIC)
MEN_SINGLE_LOSS = 40.0
"""Below this loss, in %, a single fracture of an older man may not be osteoporotic (ESSR 2024, docs/science.md §3.5
[V])."""
OLDER_YEARS = 50.0
UNJUDGED = "Vertebral fractures could not be judged on these images."

Sex = Literal["M", "F", "O"]
Graded = tuple[Vertebra, Deformity]


def sentences(reading: SpineReading) -> Iterator[Sentence]:
    """Everything that is said of fractures, a negative included, and the deformity index."""
    if not reading.vertebrae:
        return
    yield from fracture_sentences(reading.vertebrae, reading.source.sex, reading.source.age_years)
    index = reading.of(DEFORMITY_INDEX)
    if isinstance(index, DeformityIndex) and index.value:
        least = "at least " if index.is_lower_bound else ""
        yield Sentence(
            f"Spinal deformity index: {least}{index.value} (sum of the Genant grades, "
            f"{len(index.levels)} levels graded)."
        )


def fracture_sentences(
    vertebrae: Sequence[Vertebra], sex: Sex | None = None, age: float | None = None
) -> Iterator[Sentence]:
    """Sentences for the report on the fractures of one spine, without patient data.

    Args:
        vertebrae: After grading, from head to feet.
        sex: Of the patient, where it is known: what a single fracture means depends on it.
        age: In years, where it is known.

    Yields:
        The finding with level, grade and shape, or that none was found among the graded levels; then
        mild losses, levels that could not be judged, other explanations, and the advice where there is
        something to advise.
    """
    judged = [(v, deformity) for v in vertebrae if (deformity := deformity_of(v)) is not None]
    if vertebrae and not judged:
        yield Sentence(UNJUDGED, Weight.REVIEW)
    graded = [(v, d) for v, d in judged if d.grade is not None]
    flagged = [(v, d) for v, d in graded if (d.grade or 0) >= FRACTURE_GRADE]
    if flagged:
        yield from _finding(flagged)
        yield from _meaning(flagged, sex, age)
    elif graded:
        yield Sentence(
            f"No moderate or severe vertebral fracture found in {len(graded)} graded vertebrae "
            f"({graded[0][0].level} to {graded[-1][0].level})."
        )
    yield from _mild([(v, d) for v, d in graded if d.grade == 1], bool(flagged))
    for vertebra in filter(may_have_collapsed, vertebrae):
        withheld = vertebra.of(DEFORMITY)
        why = withheld.reason if isinstance(withheld, Withheld) else ""
        yield Sentence(f"Possible vertebral fracture, to be looked at: {vertebra.level}. {why}", Weight.REVIEW)
    yield from _second_opinions(judged)
    if open_question := [v for v, d in graded if d.indeterminate]:
        yield Sentence(f"Between the grades, to be looked at: {_names(open_question)}.", Weight.REVIEW)
    asked = [v for v in vertebrae if v.level in GRADED and v.of(DEFORMITY) is not None]
    if unjudged := [v for v in asked if grade_of(v) is None]:
        yield Sentence(f"Not judged for fractures: {_names(unjudged)}.")
    yield from _explanations(judged)


def _finding(flagged: Sequence[Graded]) -> Iterator[Sentence]:
    which = "; ".join(deformity_phrase(v, d) for v, d in flagged)
    title = "Vertebral fracture" if len(flagged) == 1 else "Vertebral fractures"
    yield Sentence(f"{title}: {which}.", Weight.FINDING)
    # Its age is known where the same level was measured before.
    if not all(isinstance(v.of(HEIGHT_CHANGE), HeightChange) for v, _ in flagged):
        yield Sentence("New or old cannot be determined from this CT.")
    yield Sentence("If not already known, assess bone health or refer to a fracture liaison service.")
    yield Sentence("Automated output, to be confirmed by a radiologist.")
    # The plate of a wedge sinks in front, where its own ring is the yardstick: nothing can be concluded there.
    even = [(v, d) for v, d in flagged if d.is_endplate_depressed is False and d.shape is not Shape.WEDGE]
    if uncertain := [v for v, d in even if d.grade == FRACTURE_GRADE]:
        text = f"No endplate is seen to be depressed at {_names(uncertain)}: to be looked at for another cause."
        yield Sentence(text, Weight.REVIEW)


def _meaning(flagged: Sequence[Graded], sex: Sex | None, age: float | None) -> Iterator[Sentence]:
    """What the number and loss of fractures mean by sex (ESSR consensus 2024, docs/science.md §3.5 [V])."""
    losses = [d.height_loss.value for _, d in flagged if isinstance(d.height_loss, Measured)]
    if any(m.code in LESIONS for _, d in flagged for m in d.mimics):
        text = "A fracture through a lesion is possible: further imaging before it is called osteoporotic."
        yield Sentence(text, Weight.REVIEW)
    elif age is None or age < OLDER_YEARS or not losses:
        return
    elif sex == "F":
        yield Sentence(
            "In an older woman a fracture with 25 % of height loss or more suggests osteoporosis (ESSR 2024)."
        )
    elif sex == "M" and len(flagged) == 1 and losses[0] < MEN_SINGLE_LOSS:
        yield Sentence(
            "In a man a single fracture with less than 40 % of height loss need not be osteoporotic (ESSR 2024)."
        )


def _mild(mild: Sequence[Graded], has_flagged: bool) -> Iterator[Sentence]:
    sunk = [deformity_phrase(v, d) for v, d in mild if d.is_endplate_depressed]
    even = [deformity_phrase(v, d) for v, d in mild if not d.is_endplate_depressed]
    if sunk:
        text = f"Possible mild vertebral fracture, an endplate is depressed: {'; '.join(sunk)}."
        yield Sentence(text, Weight.REVIEW)
    if even:
        yield Sentence(f"Mild height loss, not flagged as a fracture: {'; '.join(even)}.", Weight.REVIEW)
    if len(mild) >= 2 and not has_flagged:
        text = "Two or more mild losses without a moderate one: further imaging may be useful."
        yield Sentence(text, Weight.REVIEW)


def _second_opinions(judged: Sequence[Graded]) -> Iterator[Sentence]:
    """Where the learned second opinion agrees with the height loss and where it does not (docs/science.md §18.2)."""
    agreeing = [(v, d) for v, d in judged if d.agreement is Agreement.AGREEING]
    full = [v.level.value for v, d in agreeing if (d.grade or 0) >= FRACTURE_GRADE]
    mild = [v.level.value for v, d in agreeing if d.grade == 1]
    alone = [_with_chance(v, d) for v, d in judged if d.agreement is Agreement.ONLY_SECOND]
    doubted = [_with_chance(v, d) for v, d in judged if d.agreement is Agreement.ONLY_MORPHOMETRY]
    told = (
        ("A learned second opinion agrees at {}.", full, Weight.PLAIN),
        (
            "Vertebral fracture by height loss and learned second opinion together, mild by the one and moderate or "
            "severe by the other: {}.",
            mild,
            Weight.FINDING,
        ),
        (
            "Possible moderate or severe vertebral fracture by the learned second opinion alone, to be reviewed: {}.",
            alone,
            Weight.REVIEW,
        ),
        (
            "The learned second opinion sees no moderate or severe fracture, to be reviewed: {}.",
            doubted,
            Weight.REVIEW,
        ),
    )
    for sentence, levels, weight in told:
        if levels:
            yield Sentence(sentence.format(", ".join(levels)), weight)


def _with_chance(vertebra: Vertebra, deformity: Deformity) -> str:
    opinion = deformity.second_opinion
    return (
        f"{vertebra.level} (no opinion)" if opinion is None else f"{vertebra.level} ({100 * opinion.probability:.0f} %)"
    )


def _explanations(judged: Sequence[Graded]) -> Iterator[Sentence]:
    """Mimics, each sentence once with the levels that it is said of, where there is something to explain."""
    levels: dict[str, list[str]] = {}
    for vertebra, deformity in judged:
        for mimic in deformity.mimics:
            levels.setdefault(mimic.sentence, []).append(vertebra.level.value)
    for sentence, names in levels.items():
        yield Sentence(f"{', '.join(names)}: {sentence}")


def deformity_phrase(vertebra: Vertebra, deformity: Deformity) -> str:
    """Level, severity, grade and shape of one deformity, as in ``T12 severe (Genant 3, wedge)``."""
    grade = deformity.grade or 0
    shape = f", {deformity.shape.value}" if deformity.shape else ""
    return f"{vertebra.level} {SEVERITY.get(grade, 'none')} (Genant {grade}{shape})"


def _names(vertebrae: Sequence[Vertebra]) -> str:
    return ", ".join(vertebra.level.value for vertebra in vertebrae)
