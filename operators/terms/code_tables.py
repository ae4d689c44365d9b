"""The tables of the codes, for documents: the private scheme with its definitions, and the vertebral levels.

The code and the conformance statement share them, so that neither can say something that the other does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pydicom.sr.coding import Code

from models.anatomy import Level
from models.engine import Numbering
from operators.reading.errors import Refusal
from operators.reading.reading import Course, EndplateForm, MimicCode, Outcome, PhantomMaterial, Shape
from operators.terms import codes
from operators.terms import finding_codes as terms


class PrivateTerm(NamedTuple):
    """One row of the private scheme."""

    code: Code
    definition: str


_DEFINITIONS: Mapping[Code, str] = {
    codes.HEIGHT_ANTERIOR: "Distance in mm between superior and inferior endplate along the body's own cranio-caudal"
    " axis in its mid-sagittal plane, at the anterior wall",
    codes.HEIGHT_MIDDLE: "As VBH-ANT, in the middle of the body",
    codes.HEIGHT_POSTERIOR: "As VBH-ANT, at the posterior wall",
    codes.HEIGHT_LOSS: "Largest loss of height against the expected height of the same vertebra, in %",
    codes.GENANT: "Question: semiquantitative grade by height loss (Genant 1993)",
    codes.GENANT_GRADES[0]: "Height loss below 20 %",
    codes.GENANT_GRADES[1]: "Height loss from 20 to 25 %",
    codes.GENANT_GRADES[2]: "Height loss above 25 and up to 40 %",
    codes.GENANT_GRADES[3]: "Height loss above 40 %",
    codes.GENANT_NUMBER: "GENANT as a number, for viewers that drop coded items; written for grades from 1",
    codes.MORPHOLOGY: "Question: which height is reduced most",
    codes.SHAPES[Shape.WEDGE]: "The anterior height is reduced most",
    codes.SHAPES[Shape.BICONCAVE]: "The middle height is reduced most",
    codes.SHAPES[Shape.CRUSH]: "The posterior height, or all heights, are reduced",
    codes.FRACTURE_COUNT: "Number of evaluated vertebrae of Genant grade 2 or 3",
    codes.MILD_COUNT: "Number of evaluated vertebrae of Genant grade 1: listed, not counted as fractures",
    codes.EVALUATED_COUNT: "Number of vertebrae that have a Genant grade",
    codes.DEFORMITY_INDEX: "Sum of the Genant grades of T4 to L4; given only where all of them have one",
    codes.LOW_ATTENUATION: "Question: whether mean trabecular attenuation lies below the limit of the rule named"
    " beside it",
    codes.TRABECULAR: "The part of the vertebral body inside its cortical shell",
    codes.KERNEL: "Convolution Kernel (0018,1210) of the source images",
    codes.VERTEBRA_L6: "Sixth lumbar-type vertebra",
    codes.VERTEBRA_T13: "Thirteenth thoracic-type vertebra",
    codes.ALTERNATIVE_LEVEL: "Question: the level under the second-best numbering",
    codes.EXCLUDED: "Question: why a whole vertebra was not measured",
    codes.EXCLUDED_HEIGHTS: "Question: why one or more heights of this vertebra are not given",
    codes.EXCLUDED_GRADE: "Question: why height loss or grade of this vertebra is not given",
    codes.EXCLUDED_DENSITY: "Question: why the attenuation of this vertebra is not given",
    codes.EXCLUDED_CATEGORY: "Question: why attenuation is not classified",
    codes.EXCLUSIONS["metal"]: "Implants or their artefacts",
    codes.EXCLUSIONS["incomplete"]: "The border of the image volume cuts the vertebra or the region",
    codes.EXCLUSIONS["cement"]: "Vertebroplasty or kyphoplasty",
    codes.EXCLUSIONS["lesion"]: "A focal lesion inside the region",
    codes.EXCLUSIONS["contrast"]: "Contrast medium raises the attenuation of bone",
    codes.EXCLUSIONS["fractured"]: "Attenuation of a fractured vertebra does not represent the trabecular bone",
    codes.EXCLUSIONS["numbering"]: "The value depends on a level that is not certain",
    codes.OTHER_EXCLUSION: "Any other reason, given as text",
    codes.GATE: "Question: outcome of one check of the images before a number is published; the text names the check",
    codes.GATE_OUTCOMES[Outcome.PASS]: "The check found nothing",
    codes.GATE_OUTCOMES[Outcome.WARN]: "The number is given with a reservation",
    codes.GATE_OUTCOMES[Outcome.WITHHOLD]: "The number is not given",
    codes.NUMBERING: "Question: what the names of the vertebrae rest on",
    codes.NUMBERINGS[Numbering.ANCHORED]: "Sacrum, lowest rib or C2 in the field of view fixes the names",
    codes.NUMBERINGS[Numbering.RELATIVE]: "No anchor in view, but the shapes of the vertebrae are clear evidence",
    codes.NUMBERINGS[Numbering.AMBIGUOUS]: "The names are a hypothesis",
    codes.NUMBERINGS[Numbering.NONE]: "No vertebra was found",
    codes.SERIES_READ: "Which series of the study was read, and why",
    codes.SERIES_NOT_READ: "A series of the study that was not read, and why",
    terms.AREA_LOSS: "Loss of the body's area in its mid-sagittal plane against the area that its expected heights"
    " enclose, in %",
    terms.SECOND_OPINION: "Probability in % that the grade is 2 or 3, by a network that looks at the image of the"
    " vertebra beside the heights; trained on simulated fractures, not calibrated on patients",
    terms.FRACTURE_PROBABILITY: "Probability in % that the grade is 2 or 3, given the uncertainty of the heights and"
    " the spread of intact vertebrae; a model's figure, not calibrated on patients",
    terms.SUPERIOR_DEPTH: "Deepest place of the plate below the line between its anterior and posterior part, in mm",
    terms.INFERIOR_DEPTH: "As EP-SUP-DEPTH, of the inferior endplate",
    terms.SUPERIOR_FOCAL_DEPTH: "Deepest place of the plate below its own smooth curve, in mm",
    terms.INFERIOR_FOCAL_DEPTH: "As EP-SUP-FOCAL, of the inferior endplate",
    terms.SUPERIOR_FOCAL_WIDTH: "Extent of the narrow dent of EP-SUP-FOCAL, in mm",
    terms.INFERIOR_FOCAL_WIDTH: "Extent of the narrow dent of EP-INF-FOCAL, in mm",
    terms.SUPERIOR_FORM: "Question: how the superior endplate is bent",
    terms.INFERIOR_FORM: "Question: how the inferior endplate is bent",
    terms.ENDPLATE_FORMS[EndplateForm.EVEN]: "No deeper than the patient's other endplates",
    terms.ENDPLATE_FORMS[EndplateForm.CONCAVE]: "Depressed as a whole, as in a biconcave fracture",
    terms.ENDPLATE_FORMS[EndplateForm.FOCAL]: "A narrow dent in a plate that is otherwise in place",
    terms.ENDPLATE_DEPRESSED: "Question: whether an endplate is depressed as a whole, as the algorithm-based"
    " qualitative method requires of a fracture",
    terms.MIMIC: "Question: what else the shape may come from; the text says what was seen",
    terms.MIMICS[MimicCode.SCHMORL]: "A narrow dent of an endplate, as a herniation of the disc leaves it",
    terms.MIMICS[MimicCode.SCHEUERMANN]: "Several neighbouring wedged vertebrae with uneven endplates",
    terms.MIMICS[MimicCode.DEGENERATIVE]: "Low anterior height of neighbouring vertebrae beside worn discs",
    terms.MIMICS[MimicCode.SHORT]: "All heights low without a depressed endplate",
    terms.MIMICS[MimicCode.LYTIC]: "A region of low attenuation that bone loss does not explain",
    terms.MIMICS[MimicCode.SCLEROTIC]: "A region of high attenuation inside the body",
    terms.MIMICS[MimicCode.HARDWARE]: "Metal at this vertebra or a neighbour",
    terms.MIMICS[MimicCode.CEMENT_NEARBY]: "Cement in a neighbouring vertebra",
    terms.MIMICS[MimicCode.FUSED]: "No disc space towards a neighbour",
    terms.INDEX_LOWER_BOUND: "Sum of the Genant grades of those of T4 to L4 that have one, where some have none",
    terms.COURSE: "Question: what became of a vertebra since an earlier reading of the same patient",
    terms.COURSES[Course.NEW]: "Grade 2 or 3 now, no fracture then",
    terms.COURSES[Course.WORSENED]: "A grade more than then, or a height lower by 20 % and 4 mm",
    terms.COURSES[Course.STABLE]: "Neither new nor worsened",
    terms.ANTERIOR_CHANGE: "VBH-ANT now minus VBH-ANT then, in mm; negative where it is lower",
    terms.MIDDLE_CHANGE: "VBH-MID now minus VBH-MID then, in mm",
    terms.POSTERIOR_CHANGE: "VBH-POST now minus VBH-POST then, in mm",
    terms.PRIOR_GRADE: "GENANT of the earlier reading as a number",
    terms.MINERAL_DENSITY: "Mineral density of the region in mg/cm3 of the phantom material that stands beside it",
    terms.CALIBRATIONS["asynchronous-phantom"]: "Against a phantom scanned at another time on the same scanner",
    terms.CALIBRATIONS["internal"]: "Against the patient's own tissues; experimental",
    terms.PHANTOM: "Question: the material of which a density in mg/cm3 is a density",
    terms.MATERIALS[PhantomMaterial.HYDROXYAPATITE]: "mg of calcium hydroxyapatite per cm3",
    terms.MATERIALS[PhantomMaterial.POTASSIUM_PHOSPHATE]: "mg of dipotassium phosphate per cm3",
    terms.RESCALED_ATTENUATION: "Mean of whole vertebrae after two-point rescaling, for comparison only",
    terms.ESTIMATED_AREAL_DENSITY: "What the published constants of another method make of CMP-HU, in g/cm2; not DXA",
    terms.BELOW_OTHER_LIMIT: "Question: whether CMP-HU lies below the limit of the method named beside it",
    terms.EXCLUDED_SHAPE: "Question: why area loss or the depth of an endplate is not given",
    terms.EXCLUDED_CHANGE: "Question: why a vertebra or a reading is not compared with an earlier one",
    terms.EXCLUDED_CALIBRATION: "Question: why there is no density in mg/cm3",
    terms.EXCLUDED_MEAN: "Question: why there is no mean over several levels",
    terms.EXCLUDED_COMPARATOR: "Question: why the method given for comparison has no figure",
    terms.REFUSAL: "Question: why a whole study was not read; the text says what to do about it",
    terms.REFUSALS[Refusal.NO_FILES]: "Nothing was received",
    terms.REFUSALS[Refusal.NO_DICOM]: "Nothing that was received is a usable DICOM instance",
    terms.REFUSALS[Refusal.NO_CT]: "The study has no CT image",
    terms.REFUSALS[Refusal.NO_SUITABLE_SERIES]: "No CT series fulfils what a reading needs; the text says what lacks",
    terms.REFUSALS[Refusal.MIXED_PATIENTS]: "One Study Instance UID, several patients",
    terms.REFUSALS[Refusal.MIXED_STUDIES]: "Several Study Instance UIDs where one was expected",
    terms.REFUSALS[Refusal.CONFLICTING_INSTANCES]: "SOP Instance UIDs stand on several images with other pixels",
    terms.REFUSALS[Refusal.UNREADABLE_PIXELS]: "The pixels of a slice cannot be decoded",
    terms.REFUSALS[Refusal.IRREGULAR_GEOMETRY]: "Results cannot be placed on the slices",
    terms.REFUSALS[Refusal.NOT_HOUNSFIELD]: "The pixels are not Hounsfield units",
    terms.REFUSALS[Refusal.NO_SPINE]: "The series that was read shows no vertebra",
    terms.REFUSALS[Refusal.READER_KEEPS_FAILING]: "The program ended before its time in every attempt",
    terms.OTHER_REFUSAL: "A reason that has no code of its own, given as text",
}

PRIVATE_TERMS: tuple[PrivateTerm, ...] = tuple(PrivateTerm(*row) for row in _DEFINITIONS.items())
"""The whole private scheme, for code and documents."""


def private_scheme_markdown() -> str:
    """The private scheme as Markdown: a line on the scheme itself, then code, meaning and definition of every term."""
    scheme = codes.OSTEON_SCHEME
    head = f"{scheme.name}: designator `{scheme.designator}`, UID `{scheme.uid}`, version {scheme.version}."
    rows = [(f"`{term.code.value}`", term.code.meaning, term.definition) for term in PRIVATE_TERMS]
    return f"{head}\n\n{_table(('Code', 'Meaning', 'Definition'), rows)}"


def levels_markdown() -> str:
    """How every vertebral level is coded, as Markdown."""
    rows = [(str(level), *_level_row(codes.LEVELS[level])) for level in Level]
    return _table(("Level", "Code", "Meaning", "Region", "Modifier"), rows)


def _level_row(coding: codes.LevelCoding) -> Sequence[str]:
    return (
        f"`{coding.structure.value}` {coding.structure.scheme_designator}",
        coding.structure.meaning,
        "" if coding.region is None else f"`{coding.region.value}` {coding.region.meaning}",
        "" if coding.modifier is None else f"`{coding.modifier.value}` {coding.modifier.meaning}",
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines) + "\n"
