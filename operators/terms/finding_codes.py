"""Private terms for what is measured beyond heights and attenuation: shape, course, calibration, and refusals.

Beside :mod:`operators.terms.codes`, which holds all others; defined in :mod:`operators.terms.code_tables` like those.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from pydicom.sr.coding import Code

from operators.reading.errors import Refusal
from operators.reading.reading import Course, EndplateForm, MimicCode, PhantomMaterial
from operators.terms.codes import private

# --- shape of a vertebral body --------------------------------------------------------------------------

AREA_LOSS = private("VBA-LOSS", "Vertebral body area loss")
FRACTURE_PROBABILITY = private("VFX-PROB", "Probability of Genant grade 2 or 3")
SECOND_OPINION = private("VFX-PROB-NET", "Probability of Genant grade 2 or 3 by a network")
SUPERIOR_DEPTH = private("EP-SUP-DEPTH", "Superior endplate depth")
INFERIOR_DEPTH = private("EP-INF-DEPTH", "Inferior endplate depth")
SUPERIOR_FOCAL_DEPTH = private("EP-SUP-FOCAL", "Superior endplate focal depth")
INFERIOR_FOCAL_DEPTH = private("EP-INF-FOCAL", "Inferior endplate focal depth")
SUPERIOR_FOCAL_WIDTH = private("EP-SUP-WIDTH", "Superior endplate dent width")
INFERIOR_FOCAL_WIDTH = private("EP-INF-WIDTH", "Inferior endplate dent width")
SUPERIOR_FORM = private("EP-SUP-FORM", "Form of the superior endplate")
INFERIOR_FORM = private("EP-INF-FORM", "Form of the inferior endplate")
ENDPLATE_FORMS: Mapping[EndplateForm, Code] = MappingProxyType(
    {
        EndplateForm.EVEN: private("EP-EVEN", "Even endplate"),
        EndplateForm.CONCAVE: private("EP-CONCAVE", "Endplate depressed as a whole"),
        EndplateForm.FOCAL: private("EP-FOCAL", "Endplate with a narrow dent"),
    }
)
ENDPLATE_DEPRESSED = private("EP-DEPRESSED", "Endplate depression of the whole plate")
MIMIC = private("VFX-MIMIC", "Other explanation of the shape")
MIMICS: Mapping[MimicCode, Code] = MappingProxyType(
    {
        MimicCode.SCHMORL: private("MIMIC-SCHMORL", "Schmorl node"),
        MimicCode.SCHEUERMANN: private("MIMIC-SCHEUERM", "Scheuermann changes"),
        MimicCode.DEGENERATIVE: private("MIMIC-DEGEN", "Degenerative remodelling"),
        MimicCode.SHORT: private("MIMIC-SHORT", "Short vertebra"),
        MimicCode.LYTIC: private("MIMIC-LYTIC", "Lytic lesion"),
        MimicCode.SCLEROTIC: private("MIMIC-SCLEROTIC", "Sclerotic lesion"),
        MimicCode.HARDWARE: private("MIMIC-HARDWARE", "Hardware nearby"),
        MimicCode.CEMENT_NEARBY: private("MIMIC-CEMENT", "Bone cement nearby"),
        MimicCode.FUSED: private("MIMIC-FUSED", "Fused vertebrae"),
    }
)
INDEX_LOWER_BOUND = private("SDI-MIN", "Spinal deformity index, lower bound")

# --- course since an earlier reading --------------------------------------------------------------------

COURSE = private("VFX-COURSE", "Course since the prior reading")
COURSES: Mapping[Course, Code] = MappingProxyType(
    {
        Course.NEW: private("COURSE-NEW", "New fracture"),
        Course.WORSENED: private("COURSE-WORSE", "Worsened"),
        Course.STABLE: private("COURSE-STABLE", "No change"),
    }
)
ANTERIOR_CHANGE = private("VBH-ANT-CHG", "Change of anterior vertebral body height")
MIDDLE_CHANGE = private("VBH-MID-CHG", "Change of middle vertebral body height")
POSTERIOR_CHANGE = private("VBH-POST-CHG", "Change of posterior vertebral body height")
PRIOR_GRADE = private("GENANT-PRIOR", "Genant grade in the prior reading")

# --- density ------------------------------------------------------------------------------------------------

MINERAL_DENSITY = private("VBMD", "Volumetric trabecular bone mineral density (CT)")
CALIBRATIONS: Mapping[Literal["asynchronous-phantom", "internal"], Code] = MappingProxyType(
    {
        "asynchronous-phantom": private("CAL-ASYNC", "Asynchronous phantom calibration"),
        "internal": private("CAL-INTERNAL", "Internal calibration"),
    }
)
PHANTOM = private("CAL-PHANTOM", "Phantom material of the calibration")
MATERIALS: Mapping[PhantomMaterial, Code] = MappingProxyType(
    {
        PhantomMaterial.HYDROXYAPATITE: private("CAL-HA", "Calcium hydroxyapatite"),
        PhantomMaterial.POTASSIUM_PHOSPHATE: private("CAL-K2HPO4", "Dipotassium phosphate"),
    }
)
RESCALED_ATTENUATION = private("CMP-HU", "Rescaled attenuation of whole vertebrae")
ESTIMATED_AREAL_DENSITY = private("CMP-ABMD", "Areal bone density estimate of another method")
BELOW_OTHER_LIMIT = private("CMP-BELOW", "Below the limit of another method")

# --- why something is not given -----------------------------------------------------------------------------

EXCLUDED_SHAPE = private("EXCL-SHAPE", "Reason why area loss or endplates are withheld")
EXCLUDED_CHANGE = private("EXCL-CHANGE", "Reason why there is no comparison with a prior")
EXCLUDED_CALIBRATION = private("EXCL-CALIB", "Reason why there is no calibrated density")
EXCLUDED_MEAN = private("EXCL-MEAN", "Reason why there is no mean over levels")
EXCLUDED_COMPARATOR = private("EXCL-CMP", "Reason why another method gives no figure")

REFUSAL = private("REFUSAL", "Reason why the study was not read")
REFUSALS: Mapping[Refusal, Code] = MappingProxyType(
    {
        Refusal.NO_FILES: private("REF-NO-FILES", "No files"),
        Refusal.NO_DICOM: private("REF-NO-DICOM", "No DICOM instance"),
        Refusal.NO_CT: private("REF-NO-CT", "No CT image in the study"),
        Refusal.NO_SUITABLE_SERIES: private("REF-NO-SERIES", "No suitable series"),
        Refusal.MIXED_PATIENTS: private("REF-PATIENTS", "Several patients in one study"),
        Refusal.MIXED_STUDIES: private("REF-STUDIES", "Several studies at once"),
        Refusal.CONFLICTING_INSTANCES: private("REF-CONFLICT", "One SOP Instance UID on several images"),
        Refusal.UNREADABLE_PIXELS: private("REF-PIXELS", "Pixel data cannot be decoded"),
        Refusal.IRREGULAR_GEOMETRY: private("REF-GEOMETRY", "Slices not regular"),
        Refusal.NOT_HOUNSFIELD: private("REF-NOT-HU", "Pixels are not Hounsfield units"),
        Refusal.NO_SPINE: private("REF-NO-SPINE", "No vertebra found"),
        Refusal.READER_KEEPS_FAILING: private("REF-READER", "The reader keeps failing"),
    }
)
OTHER_REFUSAL = private("REF-OTHER", "Any other reason")
