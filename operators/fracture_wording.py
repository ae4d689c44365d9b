"""What is said of vertebral fractures, in the words that reporting standards ask for.

Royal College of Radiologists / Royal Osteoporosis Society (science.md §3.9 [V]): use the words "vertebral
fracture", give level and grade, say what to do next, and comment on the bones when there is none.
"""

from __future__ import annotations

from collections.abc import Sequence

from operators.height_expectation import GRADED
from operators.reading import Deformity, Vertebra, Withheld

SEVERITY = {1: "mild", 2: "moderate", 3: "severe"}
"""Names of the Genant grades (RadElement RDES150; science.md §3.1 [V])."""


def fracture_sentences(vertebrae: Sequence[Vertebra]) -> tuple[str, ...]:
    """Sentences for the report on the fractures of one spine, without patient data.

    Args:
        vertebrae: After grading, from head to feet.

    Returns:
        The finding with level, grade and shape, or that none was found among the graded levels; then
        mild losses, levels that could not be judged, and the advice where there is something to advise.
    """
    graded = [(v, v.deformity) for v in vertebrae if isinstance(v.deformity, Deformity)]
    flagged = [_named(v, d) for v, d in graded if (d.grade or 0) >= 2]
    mild = [_named(v, d) for v, d in graded if d.grade == 1]
    open_question = [v.level.value for v, d in graded if d.indeterminate]
    unjudged = [v.level.value for v in vertebrae if isinstance(v.deformity, Withheld) and v.level in GRADED]
    sentences = []
    if flagged:
        sentences.append(
            f"Vertebral fracture: {'; '.join(flagged)}. New or old cannot be determined from this CT. "
            "If not already known, assess bone health or refer to a fracture liaison service. "
            "Automated output, to be confirmed by a radiologist."
        )
    elif graded:
        sentences.append(
            f"No moderate or severe vertebral fracture found in {len(graded)} graded vertebrae "
            f"({graded[0][0].level} to {graded[-1][0].level})."
        )
    if mild:
        sentences.append(f"Mild height loss, not flagged as a fracture: {'; '.join(mild)}.")
    if open_question:
        sentences.append(f"Between the grades, to be looked at: {', '.join(open_question)}.")
    if unjudged:
        sentences.append(f"Not judged for fractures: {', '.join(unjudged)}.")
    return tuple(sentences)


def deformity_index(vertebrae: Sequence[Vertebra]) -> int | None:
    """Spinal Deformity Index: the sum of the Genant grades T4–L4, 0…39; None if nothing was graded."""
    grades = [v.deformity.grade for v in vertebrae if isinstance(v.deformity, Deformity)]
    known = [grade for grade in grades if grade is not None]
    return sum(known) if known else None


def _named(vertebra: Vertebra, deformity: Deformity) -> str:
    grade = deformity.grade or 0
    shape = f", {deformity.shape.value}" if deformity.shape else ""
    return f"{vertebra.level} {SEVERITY.get(grade, 'none')} (Genant {grade}{shape})"
