"""A reading in sentences for people: what the picture, the PDF and the text report say beside the table.

Findings in the words that reporting standards ask for (:mod:`operators.fractures.wording`); then bone density,
doubts, checks of the images, what was not read, and what made the result. No patient data.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from models.engine import Numbering
from operators.fractures.wording import fracture_sentences
from operators.reading.reading import (
    Deformity,
    DensityCategory,
    Gate,
    LevelMean,
    Outcome,
    PriorComparison,
    SeriesVerdict,
    SpineReading,
    Withheld,
)
from operators.results.table import FLAGGED_GRADE, FRACTURE_SIGN, REVIEW_SIGN

RESEARCH_MARK = "RESEARCH USE ONLY – automatic, unverified, not for diagnosis"
NO_VERTEBRA = (
    "No vertebra was found in the series that was read: nothing can be said of vertebral fractures or bone density."
)
UNJUDGED = "Vertebral fractures could not be judged on these images."
AMBIGUOUS = (
    "The names of the vertebrae are a hypothesis: two numberings are nearly as likely. "
    "Count the levels before using a result."
)
UNANCHORED = "The vertebrae were named by their shape alone: no rib, sacrum or neck in view fixes the names."
NOT_DENSITOMETRY = "Trabecular attenuation on a scan not acquired for densitometry; not a DXA T-score."
"""docs/science.md §18.4."""

OUTCOME_WORDS = {Outcome.PASS: "passed", Outcome.WARN: "warning", Outcome.WITHHOLD: "withheld"}
OUTCOME_SIGNS = {Outcome.PASS: "●", Outcome.WARN: REVIEW_SIGN, Outcome.WITHHOLD: "■"}
_FOR_REVIEW = ("Possible", "Mild", "Between", "Two or more", "A fracture through a lesion")
"""How sentences on fractures begin that ask for a look."""
_ON_THE_PRIOR = ("Compared with the prior study", "No comparison with a prior study")
"""How the remarks of :mod:`operators.change.compare` begin."""
_INDEX_LEVELS = 13
"""T4 to L4."""
_SUBJECTS = {"density": "density", "heights": "heights", "category": "category", "all": "all"}


class Weight(Enum):
    """How much a sentence should strike the eye."""

    FINDING = "finding"
    REVIEW = "review"
    PLAIN = "plain"


@dataclass(frozen=True)
class Sentence:
    """One sentence of the report, or a few that belong together."""

    text: str
    weight: Weight = Weight.PLAIN


def findings(reading: SpineReading) -> tuple[Sentence, ...]:
    """What is said of fractures, a negative included, and of the change since an earlier reading."""
    if not reading.vertebrae:
        return (Sentence(NO_VERTEBRA, Weight.REVIEW),)
    said = [Sentence(AMBIGUOUS, Weight.REVIEW)] if reading.numbering is Numbering.AMBIGUOUS else []
    if not any(isinstance(v.deformity, Deformity) for v in reading.vertebrae):
        said.append(Sentence(UNJUDGED, Weight.REVIEW))
    for text in _on_fractures(reading):
        if text.startswith("Vertebral fracture"):
            # What was found strikes the eye, the advice that follows it does not have to.
            found, stop, advice = text.partition(". ")
            said += [Sentence(found + stop.strip(), Weight.FINDING), *([Sentence(advice)] if advice else [])]
        else:
            said.append(Sentence(text, Weight.REVIEW if text.startswith(_FOR_REVIEW) else Weight.PLAIN))
    return (*said, *_index(reading), *_change(reading))


def _index(reading: SpineReading) -> tuple[Sentence, ...]:
    index = reading.deformity_index
    if index is None or not index.value:
        return ()
    least = "at least " if len(index.levels) < _INDEX_LEVELS else ""
    text = (
        f"Spinal deformity index: {least}{index.value} (sum of the Genant grades, {len(index.levels)} levels graded)."
    )
    return (Sentence(text),)


def _change(reading: SpineReading) -> tuple[Sentence, ...]:
    """What the comparison with an earlier reading has left among the remarks."""
    change = reading.change
    is_worse = isinstance(change, PriorComparison) and bool(change.new or change.worsened)
    weight = Weight.FINDING if is_worse else Weight.PLAIN
    return tuple(Sentence(remark, weight) for remark in reading.remarks if remark.startswith(_ON_THE_PRIOR))


def _on_fractures(reading: SpineReading) -> tuple[str, ...]:
    return fracture_sentences(reading.vertebrae, reading.source.sex, reading.source.age_years)


def density(reading: SpineReading) -> tuple[Sentence, ...]:
    """What is said of bone density in the whole study."""
    if not reading.vertebrae:
        return ()
    said = []
    category = reading.density_category
    if isinstance(category, DensityCategory):
        near = ", near the limit of the rule" if category.near_limit else ""
        text = (
            f"Trabecular attenuation of {category.level}: {category.value.value:.0f} HU – {category.category}{near} "
            f"(rule {category.rule})."
        )
        low = category.category == "osteoporosis likely"
        said.append(Sentence(text, Weight.REVIEW if low else Weight.PLAIN))
        note = (category.note or "").replace(NOT_DENSITOMETRY, "").strip()
        said += [Sentence(note)] if note else []
    elif isinstance(category, Withheld):
        said.append(Sentence(f"No density category: {category.reason}"))
    else:
        said.append(Sentence("Bone density was not measured."))
    if isinstance(reading.attenuation, LevelMean):
        said.append(Sentence(f"Mean of {_names(reading.attenuation)}: {reading.attenuation.value.value:.0f} HU."))
    said.extend(_calibrated(reading))
    return (*said, Sentence(NOT_DENSITOMETRY))


def _calibrated(reading: SpineReading) -> tuple[Sentence, ...]:
    mean, use = reading.calibrated, reading.calibration
    if isinstance(use, Withheld):
        return (Sentence(f"No calibrated density: {use.reason}"),)
    if not isinstance(mean, LevelMean) or use is None:
        return ()
    doubt = "; experimental" if use.experimental else ""
    text = (
        f"Mean of {_names(mean)}: {mean.value.value:.0f} mg/cm3 ({use.material.value}, {use.kind} calibration{doubt})."
    )
    return (Sentence(f"{text} {use.note or ''}".strip()),)


def _names(mean: LevelMean) -> str:
    return ", ".join(map(str, mean.levels))


def remarks(reading: SpineReading) -> tuple[str, ...]:
    """What else is to be said of the whole study: doubt about the names, files left out and the like."""
    found = _on_fractures(reading)
    rest = tuple(text for text in reading.remarks if text not in found and not text.startswith(_ON_THE_PRIOR))
    return (UNANCHORED, *rest) if reading.numbering is Numbering.RELATIVE else rest


def scan(reading: SpineReading) -> str:
    """The series that was read, in one line of technique."""
    source = reading.source
    thickness = f", {source.slice_thickness:g} mm thick" if source.slice_thickness is not None else ""
    kvp = f"{source.kvp:g} kV" if source.kvp is not None else "tube voltage not recorded"
    kernel = f", kernel {source.kernel}" if source.kernel else ""
    row, column = source.pixel_spacing
    return (
        f"{source.slices} slices every {source.slice_spacing:.2f} mm{thickness}, "
        f"pixels {row:.2f} × {column:.2f} mm; {kvp}{kernel}"
    )


def ordered_gates(reading: SpineReading) -> tuple[Gate, ...]:
    """The checks of the images, those that withhold first and those that passed last."""
    order = [Outcome.WITHHOLD, Outcome.WARN, Outcome.PASS]
    return tuple(sorted(reading.gates, key=lambda gate: order.index(gate.outcome)))


def gate_word(gate: Gate) -> str:
    """The outcome with its sign, and what it holds for."""
    word = f"{OUTCOME_SIGNS[gate.outcome]} {OUTCOME_WORDS[gate.outcome]}"
    return word if gate.outcome is Outcome.PASS else f"{word}: {_SUBJECTS[gate.applies_to]}"


def series_sentence(verdict: SeriesVerdict) -> str:
    """One series of the study and why it was or was not read."""
    number = "without number" if verdict.series_number is None else str(verdict.series_number)
    return f"Series {number} ({verdict.modality or 'no modality'}, {verdict.instances} images): {verdict.reason}"


def not_read(reading: SpineReading) -> tuple[str, ...]:
    """The series that were not read, each with its reason."""
    return tuple(series_sentence(verdict) for verdict in reading.series if not verdict.taken)


def provenance(reading: SpineReading) -> tuple[tuple[str, str], ...]:
    """What made the result, as pairs of a name and a value."""
    by, source = reading.provenance, reading.source
    taken = next((verdict for verdict in reading.series if verdict.taken), None)
    number = "" if taken is None or taken.series_number is None else f"{taken.series_number}, "
    pairs = [
        ("Software", f"Osteon {by.pipeline}; engine {by.engine} {by.engine_version}"),
        ("Weights (SHA-256)", by.engine_digest),
        ("Series read", f"{number}{source.series_uid}; study {source.study_uid}"),
        ("Input (SHA-256)", source.content_digest),
    ]
    if by.options:
        pairs.append(("Site options (SHA-256)", by.options))
    return tuple(pairs)


LEGEND = (
    f"{FRACTURE_SIGN} vertebral fracture (Genant {FLAGGED_GRADE} or 3). {REVIEW_SIGN} to be looked at. "
    "Sure: probability in % that this is one whole vertebra of this name. Ha, Hm, Hp: anterior, middle and posterior "
    "height. Loss: against the height expected from the vertebra itself, its neighbours and norms. "
    "Grade: Genant, T4 to L4 only. HU and SD: of the trabecular middle of the body."
)
PICTURE_LEGEND = (
    "Sagittal view bent through every vertebral body; anterior on the left. Solid lines: the three heights. "
    "Dashed: region of the CT numbers."
)
