"""What is said of vertebral fractures, in the words that reporting standards ask for.

Royal College of Radiologists / Royal Osteoporosis Society (docs/science.md §3.9 [V]): use the words "vertebral
fracture", give level and grade, say what to do next, and comment on the bones when there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from operators.fractures.expectation import GRADED
from operators.reading.reading import (
    Agreement,
    Deformity,
    DeformityIndex,
    HeightChange,
    Measured,
    MimicCode,
    Shape,
    Vertebra,
    Withheld,
)

SEVERITY = {1: "mild", 2: "moderate", 3: "severe"}
"""Names of the Genant grades (RadElement RDES150; docs/science.md §3.1 [V])."""

LESIONS = (MimicCode.LYTIC, MimicCode.SCLEROTIC)
MEN_SINGLE_LOSS = 40.0
"""Below this loss, in %, a single fracture of an older man may not be osteoporotic (ESSR 2024,
docs/science.md §3.5 [V])."""
OLDER_YEARS = 50.0


def fracture_sentences(
    vertebrae: Sequence[Vertebra], sex: Literal["M", "F", "O"] | None = None, age: float | None = None
) -> tuple[str, ...]:
    """Sentences for the report on the fractures of one spine, without patient data.

    Args:
        vertebrae: After grading, from head to feet.
        sex: Of the patient, where it is known: what a single fracture means depends on it.
        age: In years, where it is known.

    Returns:
        The finding with level, grade and shape, or that none was found among the graded levels; then
        mild losses, levels that could not be judged, other explanations, and the advice where there is
        something to advise.
    """
    graded = [
        (v, v.deformity) for v in vertebrae if isinstance(v.deformity, Deformity) and v.deformity.grade is not None
    ]
    flagged = [(v, d) for v, d in graded if (d.grade or 0) >= 2]
    sentences = []
    if flagged:
        sentences.append(_finding(flagged))
        sentences.extend(_meaning(flagged, sex, age))
    elif graded:
        sentences.append(
            f"No moderate or severe vertebral fracture found in {len(graded)} graded vertebrae "
            f"({graded[0][0].level} to {graded[-1][0].level})."
        )
    sentences.extend(_mild([(v, d) for v, d in graded if d.grade == 1], bool(flagged)))
    sentences.extend(
        f"Possible vertebral fracture, to be looked at: {v.level}. {v.deformity.reason}"
        for v in vertebrae
        if isinstance(v.deformity, Withheld) and v.deformity.code == "possible-collapse" and v.level in GRADED
    )
    sentences.extend(second_opinion_sentences(vertebrae))
    open_question = [v.level.value for v, d in graded if d.indeterminate]
    if open_question:
        sentences.append(f"Between the grades, to be looked at: {', '.join(open_question)}.")
    unjudged = [v.level.value for v in vertebrae if v.level in GRADED and not _is_graded(v)]
    if unjudged:
        sentences.append(f"Not judged for fractures: {', '.join(unjudged)}.")
    sentences.extend(_explanations(vertebrae))
    return tuple(sentences)


def second_opinion_sentences(vertebrae: Sequence[Vertebra]) -> list[str]:
    """Where the learned second opinion agrees with the height loss and where it does not (docs/science.md §18.2)."""
    beside: dict[Agreement | None, list[tuple[Vertebra, Deformity]]] = {}
    for vertebra in vertebrae:
        if isinstance(vertebra.deformity, Deformity):
            beside.setdefault(vertebra.deformity.agreement, []).append((vertebra, vertebra.deformity))
    agreeing = beside.get(Agreement.AGREEING, [])
    full = [v.level.value for v, d in agreeing if (d.grade or 0) >= 2]
    mild = [v.level.value for v, d in agreeing if d.grade == 1]
    alone = [f"{v.level} ({_chance(d)})" for v, d in beside.get(Agreement.ONLY_SECOND, [])]
    doubted = [f"{v.level} ({_chance(d)})" for v, d in beside.get(Agreement.ONLY_MORPHOMETRY, [])]
    told = (
        ("A learned second opinion agrees at {}.", full),
        (
            "Vertebral fracture by height loss and learned second opinion together, mild by the one and moderate or "
            "severe by the other: {}.",
            mild,
        ),
        (
            "Possible moderate or severe vertebral fracture by the learned second opinion alone, to be reviewed: {}.",
            alone,
        ),
        ("The learned second opinion sees no moderate or severe fracture, to be reviewed: {}.", doubted),
    )
    return [sentence.format(", ".join(levels)) for sentence, levels in told if levels]


def _chance(deformity: Deformity) -> str:
    opinion = deformity.second_opinion
    return "no opinion" if opinion is None else f"{100 * opinion.probability:.0f} %"


def deformity_index(vertebrae: Sequence[Vertebra]) -> DeformityIndex | None:
    """Spinal Deformity Index: the sum of the Genant grades T4–L4, 0…39; None if nothing was graded."""
    grades = {v.level: v.deformity.grade for v in vertebrae if isinstance(v.deformity, Deformity)}
    known = {level: grade for level, grade in grades.items() if grade is not None}
    return DeformityIndex(value=sum(known.values()), levels=tuple(known)) if known else None


def _finding(flagged: Sequence[tuple[Vertebra, Deformity]]) -> str:
    which = "; ".join(_named(v, d) for v, d in flagged)
    title = "Vertebral fracture" if len(flagged) == 1 else "Vertebral fractures"
    # The plate of a wedge sinks in front, where its own ring is the yardstick: nothing can be concluded there.
    even = [(v, d) for v, d in flagged if d.is_endplate_depressed is False and d.shape is not Shape.WEDGE]
    uncertain = [v.level.value for v, d in even if d.grade == 2]
    doubt = (
        f" No endplate is seen to be depressed at {', '.join(uncertain)}: to be looked at for another cause."
        if uncertain
        else ""
    )
    # Its age is known where the same level was measured before.
    ages = [v.change for v, _ in flagged]
    age = "" if all(isinstance(a, HeightChange) for a in ages) else "New or old cannot be determined from this CT. "
    return (
        f"{title}: {which}. {age}"
        "If not already known, assess bone health or refer to a fracture liaison service. "
        f"Automated output, to be confirmed by a radiologist.{doubt}"
    )


def _meaning(
    flagged: Sequence[tuple[Vertebra, Deformity]], sex: Literal["M", "F", "O"] | None, age: float | None
) -> list[str]:
    """What the number and loss of fractures mean by sex (ESSR consensus 2024, docs/science.md §3.5 [V])."""
    losses = [d.height_loss.value for _, d in flagged if isinstance(d.height_loss, Measured)]
    has_lesion = any(m.code in LESIONS for _, d in flagged for m in d.mimics)
    if has_lesion:
        return ["A fracture through a lesion is possible: further imaging before it is called osteoporotic."]
    if age is None or age < OLDER_YEARS or sex not in ("M", "F") or not losses:
        return []
    if sex == "F":
        return ["In an older woman a fracture with 25 % of height loss or more suggests osteoporosis (ESSR 2024)."]
    if len(flagged) == 1 and losses[0] < MEN_SINGLE_LOSS:
        return ["In a man a single fracture with less than 40 % of height loss need not be osteoporotic (ESSR 2024)."]
    return []


def _mild(mild: Sequence[tuple[Vertebra, Deformity]], has_flagged: bool) -> list[str]:
    sunk = [_named(v, d) for v, d in mild if d.is_endplate_depressed]
    even = [_named(v, d) for v, d in mild if not d.is_endplate_depressed]
    sentences = []
    if sunk:
        sentences.append(f"Possible mild vertebral fracture, an endplate is depressed: {'; '.join(sunk)}.")
    if even:
        sentences.append(f"Mild height loss, not flagged as a fracture: {'; '.join(even)}.")
    if len(mild) >= 2 and not has_flagged:
        sentences.append("Two or more mild losses without a moderate one: further imaging may be useful.")
    return sentences


def _explanations(vertebrae: Sequence[Vertebra]) -> list[str]:
    """Mimics, each sentence once with the levels that it is said of, where there is something to explain."""
    levels: dict[str, list[str]] = {}
    for vertebra in vertebrae:
        if not isinstance(vertebra.deformity, Deformity):
            continue
        for mimic in vertebra.deformity.mimics:
            levels.setdefault(mimic.sentence, []).append(vertebra.level.value)
    return [f"{', '.join(names)}: {sentence}" for sentence, names in levels.items()]


def _is_graded(vertebra: Vertebra) -> bool:
    deformity = vertebra.deformity
    return deformity is None or (isinstance(deformity, Deformity) and deformity.grade is not None)


def _named(vertebra: Vertebra, deformity: Deformity) -> str:
    grade = deformity.grade or 0
    shape = f", {deformity.shape.value}" if deformity.shape else ""
    return f"{vertebra.level} {SEVERITY.get(grade, 'none')} (Genant {grade}{shape})"
