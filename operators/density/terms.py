"""Coded terms on attenuation and bone mineral density."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from operators.reading.calibration_entry import PhantomMaterial
from operators.terms.term import Term, private

TRABECULAR = private(
    "TRAB",
    "Trabecular compartment",
    "The part of the vertebral body inside its cortical shell",
)
LOW_ATTENUATION = private(
    "LOW-ATT",
    "Attenuation below opportunistic threshold",
    "Question: whether mean trabecular attenuation lies below the limit of the rule named beside it",
)
MINERAL_DENSITY = private(
    "VBMD",
    "Volumetric trabecular bone mineral density (CT)",
    "Mineral density of the region in mg/cm3 of the phantom material that stands beside it",
)
CALIBRATIONS: Mapping[Literal["asynchronous-phantom", "internal"], Term] = MappingProxyType(
    {
        "asynchronous-phantom": private(
            "CAL-ASYNC",
            "Asynchronous phantom calibration",
            "Against a phantom scanned at another time on the same scanner",
        ),
        "internal": private(
            "CAL-INTERNAL",
            "Internal calibration",
            "Against the patient's own tissues; experimental",
        ),
    }
)
PHANTOM = private(
    "CAL-PHANTOM",
    "Phantom material of the calibration",
    "Question: the material of which a density in mg/cm3 is a density",
)
MATERIALS: Mapping[PhantomMaterial, Term] = MappingProxyType(
    {
        PhantomMaterial.HYDROXYAPATITE: private(
            "CAL-HA",
            "Calcium hydroxyapatite",
            "mg of calcium hydroxyapatite per cm3",
        ),
        PhantomMaterial.POTASSIUM_PHOSPHATE: private(
            "CAL-K2HPO4",
            "Dipotassium phosphate",
            "mg of dipotassium phosphate per cm3",
        ),
    }
)
RESCALED_ATTENUATION = private(
    "CMP-HU",
    "Rescaled attenuation of whole vertebrae",
    "Mean of whole vertebrae after two-point rescaling, for comparison only",
)
ESTIMATED_AREAL_DENSITY = private(
    "CMP-ABMD",
    "Areal bone density estimate of another method",
    "What the published constants of another method make of CMP-HU, in g/cm2; not DXA",
)
BELOW_OTHER_LIMIT = private(
    "CMP-BELOW",
    "Below the limit of another method",
    "Question: whether CMP-HU lies below the limit of the method named beside it",
)

EXCLUDED_DENSITY = private(
    "EXCL-DENSITY",
    "Reason why density is withheld",
    "Question: why the attenuation of this vertebra is not given",
)
EXCLUDED_CATEGORY = private(
    "EXCL-CATEGORY",
    "Reason why the density category is withheld",
    "Question: why attenuation is not classified",
)
EXCLUDED_CALIBRATION = private(
    "EXCL-CALIB",
    "Reason why there is no calibrated density",
    "Question: why there is no density in mg/cm3",
)
EXCLUDED_MEAN = private(
    "EXCL-MEAN",
    "Reason why there is no mean over levels",
    "Question: why there is no mean over several levels",
)
EXCLUDED_COMPARATOR = private(
    "EXCL-CMP",
    "Reason why another method gives no figure",
    "Question: why the method given for comparison has no figure",
)
