"""Coded terms on the shape of a vertebral body and its fractures."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from operators.fractures.results import EndplateForm, MimicCode, Shape
from operators.terms.term import Term, private

HEIGHT_ANTERIOR = private(
    "VBH-ANT",
    "Anterior vertebral body height",
    "Distance in mm between superior and inferior endplate along the body's own cranio-caudal "
    "axis in its mid-sagittal plane, at the anterior wall",
)
HEIGHT_MIDDLE = private(
    "VBH-MID",
    "Middle vertebral body height",
    "As VBH-ANT, in the middle of the body",
)
HEIGHT_POSTERIOR = private(
    "VBH-POST",
    "Posterior vertebral body height",
    "As VBH-ANT, at the posterior wall",
)
HEIGHT_LOSS = private(
    "VBH-LOSS",
    "Vertebral body height loss",
    "Largest loss of height against the expected height of the same vertebra, in %",
)
GENANT = private(
    "GENANT",
    "Genant semiquantitative grade",
    "Question: semiquantitative grade by height loss (Genant 1993)",
)
GENANT_GRADES = (
    private("GENANT-0", "Genant grade 0 (normal)", "Height loss below 20 %"),
    private(
        "GENANT-1",
        "Genant grade 1 (mild)",
        "Height loss of 20 % or more and below 25 %",
    ),
    private(
        "GENANT-2",
        "Genant grade 2 (moderate)",
        "Height loss of 25 % or more and below 40 %",
    ),
    private(
        "GENANT-3",
        "Genant grade 3 (severe)",
        "Height loss of 40 % or more",
    ),
)
GENANT_NUMBER = private(
    "GENANT-NUM",
    "Genant grade (numeric)",
    "GENANT as a number, for viewers that drop coded items; written for grades from 1",
)
MORPHOLOGY = private(
    "VFX-MORPH",
    "Vertebral deformity morphology",
    "Question: which height is reduced most",
)
SHAPES: Mapping[Shape, Term] = MappingProxyType(
    {
        Shape.WEDGE: private(
            "VFX-WEDGE",
            "Wedge deformity",
            "The anterior height is reduced most",
        ),
        Shape.BICONCAVE: private(
            "VFX-BICONC",
            "Biconcave deformity",
            "The middle height is reduced most",
        ),
        Shape.CRUSH: private(
            "VFX-CRUSH",
            "Crush deformity",
            "The posterior height, or all heights, are reduced",
        ),
    }
)
FRACTURE_COUNT = private(
    "VFX-COUNT",
    "Vertebrae with compression fracture",
    "Number of evaluated vertebrae of Genant grade 2 or 3",
)
MILD_COUNT = private(
    "VFX-MILD",
    "Vertebrae with mild deformity",
    "Number of evaluated vertebrae of Genant grade 1: listed, not counted as fractures",
)
DEFORMITY_INDEX = private(
    "SDI",
    "Spinal deformity index",
    "Sum of the Genant grades of T4 to L4; given only where all of them have one",
)
AREA_LOSS = private(
    "VBA-LOSS",
    "Vertebral body area loss",
    "Loss of the body's area in its mid-sagittal plane against the area that its expected heights enclose, in %",
)
FRACTURE_PROBABILITY = private(
    "VFX-PROB",
    "Probability of Genant grade 2 or 3",
    "Probability in % that the grade is 2 or 3, given the uncertainty of the heights and the "
    "spread of intact vertebrae; a model's figure, not calibrated on patients",
)
SECOND_OPINION = private(
    "VFX-PROB-NET",
    "Probability of Genant grade 2 or 3 by a network",
    "Probability in % that the grade is 2 or 3, by a network that looks at the image of the "
    "vertebra beside the heights; trained on simulated fractures, not calibrated on patients",
)
SUPERIOR_DEPTH = private(
    "EP-SUP-DEPTH",
    "Superior endplate depth",
    "Deepest place of the plate below the line between its anterior and posterior part, in mm",
)
INFERIOR_DEPTH = private(
    "EP-INF-DEPTH",
    "Inferior endplate depth",
    "As EP-SUP-DEPTH, of the inferior endplate",
)
SUPERIOR_FOCAL_DEPTH = private(
    "EP-SUP-FOCAL",
    "Superior endplate focal depth",
    "Deepest place of the plate below its own smooth curve, in mm",
)
INFERIOR_FOCAL_DEPTH = private(
    "EP-INF-FOCAL",
    "Inferior endplate focal depth",
    "As EP-SUP-FOCAL, of the inferior endplate",
)
SUPERIOR_FOCAL_WIDTH = private(
    "EP-SUP-WIDTH",
    "Superior endplate dent width",
    "Extent of the narrow dent of EP-SUP-FOCAL, in mm",
)
INFERIOR_FOCAL_WIDTH = private(
    "EP-INF-WIDTH",
    "Inferior endplate dent width",
    "Extent of the narrow dent of EP-INF-FOCAL, in mm",
)
SUPERIOR_FORM = private(
    "EP-SUP-FORM",
    "Form of the superior endplate",
    "Question: how the superior endplate is bent",
)
INFERIOR_FORM = private(
    "EP-INF-FORM",
    "Form of the inferior endplate",
    "Question: how the inferior endplate is bent",
)
ENDPLATE_FORMS: Mapping[EndplateForm, Term] = MappingProxyType(
    {
        EndplateForm.EVEN: private(
            "EP-EVEN",
            "Even endplate",
            "No deeper than the patient's other endplates",
        ),
        EndplateForm.CONCAVE: private(
            "EP-CONCAVE",
            "Endplate depressed as a whole",
            "Depressed as a whole, as in a biconcave fracture",
        ),
        EndplateForm.FOCAL: private(
            "EP-FOCAL",
            "Endplate with a narrow dent",
            "A narrow dent in a plate that is otherwise in place",
        ),
    }
)
ENDPLATE_DEPRESSED = private(
    "EP-DEPRESSED",
    "Endplate depression of the whole plate",
    "Question: whether an endplate is depressed as a whole, as the algorithm-based qualitative "
    "method requires of a fracture",
)
MIMIC = private(
    "VFX-MIMIC",
    "Other explanation of the shape",
    "Question: what else the shape may come from; the text says what was seen",
)
MIMICS: Mapping[MimicCode, Term] = MappingProxyType(
    {
        MimicCode.SCHMORL: private(
            "MIMIC-SCHMORL",
            "Schmorl node",
            "A narrow dent of an endplate, as a herniation of the disc leaves it",
        ),
        MimicCode.SCHEUERMANN: private(
            "MIMIC-SCHEUERM",
            "Scheuermann changes",
            "Several neighbouring wedged vertebrae with uneven endplates",
        ),
        MimicCode.DEGENERATIVE: private(
            "MIMIC-DEGEN",
            "Degenerative remodelling",
            "Low anterior height of neighbouring vertebrae beside worn discs",
        ),
        MimicCode.SHORT: private(
            "MIMIC-SHORT",
            "Short vertebra",
            "All heights low without a depressed endplate",
        ),
        MimicCode.LYTIC: private(
            "MIMIC-LYTIC",
            "Lytic lesion",
            "A region of low attenuation that bone loss does not explain",
        ),
        MimicCode.SCLEROTIC: private(
            "MIMIC-SCLEROTIC",
            "Sclerotic lesion",
            "A region of high attenuation inside the body",
        ),
        MimicCode.HARDWARE: private(
            "MIMIC-HARDWARE",
            "Hardware nearby",
            "Metal at this vertebra or a neighbour",
        ),
        MimicCode.CEMENT_NEARBY: private(
            "MIMIC-CEMENT",
            "Bone cement nearby",
            "Cement in a neighbouring vertebra",
        ),
        MimicCode.FUSED: private(
            "MIMIC-FUSED",
            "Fused vertebrae",
            "No disc space towards a neighbour",
        ),
    }
)
INDEX_LOWER_BOUND = private(
    "SDI-MIN",
    "Spinal deformity index, lower bound",
    "Sum of the Genant grades of those of T4 to L4 that have one, where some have none",
)

EXCLUDED_HEIGHTS = private(
    "EXCL-HEIGHTS",
    "Reason why heights are withheld",
    "Question: why one or more heights of this vertebra are not given",
)
EXCLUDED_GRADE = private(
    "EXCL-GRADE",
    "Reason why height loss or grade is withheld",
    "Question: why height loss or grade of this vertebra is not given",
)
EXCLUDED_SHAPE = private(
    "EXCL-SHAPE",
    "Reason why area loss or endplates are withheld",
    "Question: why area loss or the depth of an endplate is not given",
)
