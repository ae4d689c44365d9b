"""Quality gates: what a scan must fulfil before a number from it is published.

Limits are those of docs/science.md §11.1, §2. A gate never drops a number silently: it
passes, warns, or withholds what it guards, and says why in a sentence without patient data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import MappingProxyType

import highdicom as hd
import numpy as np

from models.anatomy import Level
from models.engine import Numbering, SpineSegmentation
from operators.body.resampling import Array
from operators.quality.contrast_phase import Phase, contrast_phase
from operators.quality.ct_numbers import attenuation_gate, noise_gates
from operators.reading.case import Case
from operators.reading.gate import Gate, Outcome
from operators.reading.options import TubeVoltageFactor
from operators.reading.reasons import Reason
from operators.reading.source import SeriesVerdict, SourceSeries, Spectrum
from operators.terms.levels import GRADED

METAL_HU = 2500.0
"""CT number of metal: the middle of the 2000–3000 HU of docs/science.md §2.4."""
METAL_CM3 = 0.1
"""Least volume of metal; less is noise, a clip's edge or a calcification."""
METAL_NEARBY_MM = 30.0
"""Distance within which metal spoils attenuation, and is worth a word beside a grade (docs/science.md §2.4)."""

MONO_KEV = (65.0, 75.0)
"""Energies at which a virtual mono-energetic image may be read like 120 kV (docs/science.md §2.5)."""
LEAST_KVP = 90.0
"""Tube voltage below which no factor carries attenuation over to 120 kV (docs/science.md §11.1)."""

_NO_ATTENUATION = MappingProxyType(
    {
        Spectrum.MATERIAL_MAP: "The series is a material map: its numbers are not attenuation.",
        Spectrum.SUBTRACTION: "The series is a subtraction of two images: its numbers are not attenuation.",
    }
)
"""Why nothing is measured from a spectrum."""
_OTHER_ATTENUATION = MappingProxyType(
    {
        Spectrum.VIRTUAL_NON_CONTRAST: (
            "Virtual non-contrast images take much of the bone's attenuation away; no density from them."
        ),
        Spectrum.CALCIUM_SUPPRESSED: "The images are calcium-suppressed, and bone is calcium: no density from them.",
        Spectrum.ELECTRON_DENSITY: (
            "The numbers are relative electron density, in which bone reads lower than in HU: no density from them."
        ),
        Spectrum.CONE_BEAM: "The numbers of cone-beam CT are not calibrated: no density from them.",
        Spectrum.UNKNOWN: (
            "The images are derived in a way, or rescaled to a unit, that is not known as attenuation: "
            "no density from them."
        ),
    }
)
"""Why no density is measured from a spectrum whose heights hold."""

_PASS, _WARN, _WITHHOLD = Outcome.PASS, Outcome.WARN, Outcome.WITHHOLD


def assess_quality(case: Case) -> Case:
    """Run all quality gates and write them into the reading.

    Args:
        case: With a volume; gates that need a segmentation say so where there is none.

    Returns:
        The case with the gates of this module in place of any earlier ones of the same code.
    """
    source, segmentation = case.reading.source, case.segmentation
    gates = [
        orientation_gate(segmentation),
        spectrum_gate(source),
        tube_voltage_gate(source, case.job.options.tube_voltage_factors),
        slice_gate(source),
        gap_gate(source),
        kernel_gate(source.kernel),
        age_gate(source.age_years, source.age_doubt),
        attenuation_gate(case.volume, segmentation),
        contrast_gate(case.volume, segmentation, source.contrast_recorded),
        coverage_gate(segmentation),
        numbering_gate(segmentation),
        metal_gate(case.volume, segmentation),
        *noise_gates(case.volume, segmentation),
        *attenuation_correction_gates(case.reading.series),
    ]
    codes = {gate.code for gate in gates}
    kept = tuple(gate for gate in case.reading.gates if gate.code not in codes)
    return replace(case, reading=case.reading.model_copy(update={"gates": kept + tuple(gates)}))


def orientation_gate(segmentation: SpineSegmentation | None) -> Gate:
    """Gate on a spine that lies otherwise than the header says: levels and sides would be wrong."""
    code = Reason.ORIENTATION
    if segmentation is None or not segmentation.misoriented:
        reason = "Nothing speaks against the orientation that the header gives; left and right cannot be checked."
        return Gate(code=code, outcome=_PASS, reason=reason, applies_to="all")
    reason = (
        f"The orientation of the volume seems wrong: the spine is known better with {segmentation.misoriented}; "
        "nothing is measured. Check the patient's position in the header."
    )
    return Gate(code=code, outcome=_WITHHOLD, reason=reason, applies_to="all")


def spectrum_gate(source: SourceSeries) -> Gate:
    """Gate on the kind of CT image: limits of density hold for conventional ones (docs/science.md §2.5, §2.6, §11.1).

    Virtual non-contrast images halve bone density (docs/science.md §2.6 [V]), so that not even their HU are shown;
    material maps are no attenuation at all. Near 70 keV a virtual mono-energetic image stands for 120 kV.
    """
    kind, energy = source.spectrum, source.mono_energy
    if kind is Spectrum.CONVENTIONAL:
        return Gate(
            code=Reason.SPECTRUM, outcome=_PASS, reason="Nothing but conventional CT is recorded.", applies_to="all"
        )
    if kind in _NO_ATTENUATION:
        return Gate(code=Reason.SPECTRUM, outcome=_WITHHOLD, reason=_NO_ATTENUATION[kind], applies_to="all")
    if kind in _OTHER_ATTENUATION:
        return Gate(code=Reason.SPECTRUM, outcome=_WITHHOLD, reason=_OTHER_ATTENUATION[kind], applies_to="density")
    if kind is Spectrum.MONO_ENERGETIC and energy is not None and MONO_KEV[0] <= energy <= MONO_KEV[1]:
        reason = f"Virtual mono-energetic at {energy:g} keV, near the mean energy of 120 kV."
        return Gate(code=Reason.SPECTRUM, outcome=_WARN, reason=reason, applies_to="category")
    said = f" at {energy:g} keV" if energy is not None else ""
    reason = f"The images are {kind}{said}: attenuation limits do not hold, values are not put into a category."
    return Gate(code=Reason.SPECTRUM, outcome=_WITHHOLD, reason=reason, applies_to="category")


def tube_voltage_gate(source: SourceSeries, factors: Sequence[TubeVoltageFactor] = ()) -> Gate:
    """Gate on the tube voltage: limits in HU hold at 120 kVp only, the HU are still shown (docs/science.md §2.5).

    Another voltage gives a category where the site has measured its own factor; below 90 kV none does.
    """
    kvp = source.kvp
    if source.spectrum is Spectrum.MONO_ENERGETIC:
        reason = "Virtual mono-energetic images have no tube voltage of their own."
        return Gate(code=Reason.KVP, outcome=_PASS, reason=reason, applies_to="category")
    if kvp is None:
        reason = "The tube voltage is not recorded; density is not put into a category."
        return Gate(code=Reason.KVP, outcome=_WITHHOLD, reason=reason, applies_to="category")
    if abs(kvp - 120) < 0.5:
        return Gate(code=Reason.KVP, outcome=_PASS, reason="Tube voltage 120 kV.", applies_to="category")
    factor = next((f.factor for f in factors if abs(f.kvp - kvp) < 0.5), None)
    if factor is not None and kvp >= LEAST_KVP:
        reason = f"Tube voltage {kvp:g} kV: the site's factor of {factor:g} carries attenuation over to 120 kV."
        return Gate(code=Reason.KVP, outcome=_WARN, reason=reason, applies_to="category")
    reason = (
        f"Tube voltage {kvp:g} kV: attenuation limits hold at 120 kV only, so the values are shown "
        "but not put into a category."
    )
    return Gate(code=Reason.KVP, outcome=_WITHHOLD, reason=reason, applies_to="category")


def slice_gate(source: SourceSeries) -> Gate:
    """Gate on the slices: up to 1.5 mm is good for heights, up to 5 mm bearable (docs/science.md §2.11, §11.1)."""
    thickness = max(source.slice_thickness or 0.0, source.slice_spacing)
    said = f"Slices of {thickness:.2g} mm"
    if thickness <= 1.5:
        outcome, reason = _PASS, f"{said}."
    elif thickness <= 5.0:
        outcome, reason = _WARN, f"{said}: heights are less certain than with 1.5 mm or less."
    else:
        outcome, reason = _WITHHOLD, f"{said} are too thick to measure heights; 5 mm is the limit."
    return Gate(code=Reason.SLICE_THICKNESS, outcome=outcome, reason=reason, applies_to="heights")


def gap_gate(source: SourceSeries) -> Gate:
    """Gate on gaps: slices 1.5 times their thickness apart leave bone unseen (docs/science.md §11.1)."""
    if source.slice_thickness is None or source.slice_thickness <= 0:
        reason = "The slice thickness is not recorded; gaps between slices cannot be ruled out."
        return Gate(code=Reason.GAPS, outcome=_WARN, reason=reason, applies_to="heights")
    ratio = source.slice_spacing / source.slice_thickness
    if ratio > 1.5:
        reason = (
            f"Slices of {source.slice_thickness:.2g} mm lie {source.slice_spacing:.2g} mm apart: "
            "endplates may fall into the gaps."
        )
        return Gate(code=Reason.GAPS, outcome=_WITHHOLD, reason=reason, applies_to="heights")
    if ratio > 1.05:
        reason = f"Slices lie {ratio:.2f} times their thickness apart."
        return Gate(code=Reason.GAPS, outcome=_WARN, reason=reason, applies_to="heights")
    return Gate(code=Reason.GAPS, outcome=_PASS, reason="No gaps between slices.", applies_to="heights")


def kernel_gate(kernel: str | None) -> Gate:
    """Gate on the kernel: a sharp one is noisy, but keeps mean HU and heights (docs/science.md §2.11 [V], §11.1)."""
    if not kernel:
        reason = "The reconstruction kernel is not recorded; mean attenuation hardly depends on it."
        return Gate(code=Reason.KERNEL, outcome=_PASS, reason=reason, applies_to="density")
    name = kernel.upper()
    numbered = re.match(r"(?:B|H|I|Q|BR|HR|BL|BV|QR|BF)(\d\d)", name)
    words = any(word in name for word in ("BONE", "LUNG", "EDGE", "SHARP", "DETAIL", "ULTRA"))
    if words or (numbered and int(numbered.group(1)) >= 50):
        reason = f"Sharp kernel {kernel[:16]}: mean attenuation and heights hold, single voxels are noisy."
        return Gate(code=Reason.KERNEL, outcome=_WARN, reason=reason, applies_to="density")
    return Gate(code=Reason.KERNEL, outcome=_PASS, reason=f"Kernel {kernel[:16]}.", applies_to="density")


def age_gate(age: float | None, doubt: str | None = None) -> Gate:
    """Gate on the age: no category below 50 years, nothing at all below 18 (docs/science.md §11.1)."""
    if age is None:
        why = f"is not known: {doubt}" if doubt else "is not recorded"
        reason = f"The age {why}; density is not put into a category."
        return Gate(code=Reason.AGE, outcome=_WITHHOLD, reason=reason, applies_to="category")
    if age < 18:
        reason = "Under 18 years: neither grades nor density limits apply to a growing spine."
        return Gate(code=Reason.AGE, outcome=_WITHHOLD, reason=reason, applies_to="all")
    if age < 50:
        reason = "Under 50 years: density is shown but not put into a category."
        return Gate(code=Reason.AGE, outcome=_WITHHOLD, reason=reason, applies_to="category")
    return Gate(code=Reason.AGE, outcome=_PASS, reason="Age 50 years or more.", applies_to="category")


def contrast_gate(volume: hd.Volume, segmentation: SpineSegmentation | None, recorded: bool) -> Gate:
    """Contrast raises trabecular HU by 11–21 % (docs/science.md §2.6 [V]); only a low value then means much."""
    code = Reason.CONTRAST
    if segmentation is None:
        reason = "Contrast could not be judged without a spine."
        return Gate(code=code, outcome=_WITHHOLD, reason=reason, applies_to="category")
    found = contrast_phase(volume, segmentation)
    if found.phase is Phase.UNKNOWN:
        reason = "Whether contrast was given cannot be told from the image; no density category."
        return Gate(code=code, outcome=_WITHHOLD, reason=reason, applies_to="category")
    if found.phase.enhanced:
        reason = (
            f"Contrast-enhanced ({found.phase.value}, vessel {found.vessel:.0f} HU): bone reads too high, "
            "so a low value counts and a high one does not."
        )
        return Gate(code=code, outcome=_WARN, reason=reason, applies_to="category")
    if recorded:
        reason = (
            f"The file names a contrast agent, but no vessel is enhanced ({found.vessel:.0f} HU): "
            "it may have been oral or given later."
        )
        return Gate(code=code, outcome=_WARN, reason=reason, applies_to="category")
    reason = f"No contrast: the brightest vessel has {found.vessel:.0f} HU."
    return Gate(code=code, outcome=_PASS, reason=reason, applies_to="category")


def coverage_gate(segmentation: SpineSegmentation | None) -> Gate:
    """Gate on coverage: L1 or a neighbour and three levels of T4–L4 should be complete, one of T4–L4 must be.

    docs/science.md §11.1: pass, warn for a part, reject for none.
    """
    whole = [v.level for v in segmentation.vertebrae if v.complete] if segmentation else []
    graded = sum(level in GRADED for level in whole)
    if graded == 0:
        reason = "No vertebra from T4 to L4 is completely in view: neither heights nor density are given."
        return Gate(code=Reason.COVERAGE, outcome=_WITHHOLD, reason=reason, applies_to="all")
    deciding = [level for level in (Level.L1, Level.T12, Level.L2) if level in whole]
    if graded >= 3 and deciding:
        reason = f"{graded} vertebrae from T4 to L4 are completely in view, {deciding[0]} among them."
        return Gate(code=Reason.COVERAGE, outcome=_PASS, reason=reason, applies_to="all")
    missing = "" if deciding else "; neither L1 nor T12 nor L2 is among them, so density gets no category"
    reason = f"{graded} of 13 vertebrae from T4 to L4 are completely in view{missing}."
    return Gate(code=Reason.COVERAGE, outcome=_WARN, reason=reason, applies_to="all")


def attenuation_correction_gates(series: Iterable[SeriesVerdict]) -> list[Gate]:
    """Gate on a PET in the study: its CT may be one of low dose, for attenuation correction.

    Source: docs/science.md §18.1.
    """
    if not any(verdict.modality == "PT" for verdict in series):
        return []
    reason = "The study has a PET series: its CT may be of low dose, for attenuation correction only."
    return [Gate(code=Reason.PET, outcome=_WARN, reason=reason, applies_to="density")]


def numbering_gate(segmentation: SpineSegmentation | None) -> Gate:
    """How far the names can be trusted: an off-by-one level is dangerous for follow-up (docs/science.md §4.4)."""
    numbering = segmentation.numbering if segmentation else Numbering.NONE
    anchors = " and ".join(anchor.value for anchor in segmentation.anchors) if segmentation else ""
    outcome, reason = {
        Numbering.ANCHORED: (_PASS, f"The names agree with the {anchors or 'anchor'} in view."),
        Numbering.RELATIVE: (
            _WARN,
            "No sacrum or lowest rib settles the names: levels rest on the vertebrae alone.",
        ),
        Numbering.AMBIGUOUS: (
            _WARN,
            "No numbering is likely enough to stand: the names are ambiguous, see the alternative ones.",
        ),
        Numbering.NONE: (_WITHHOLD, "No vertebra was found that could be named."),
    }[numbering]
    doubted = [str(one.level) for one in segmentation.vertebrae if one.alternative is not None] if segmentation else []
    if doubted and numbering in (Numbering.ANCHORED, Numbering.RELATIVE):
        outcome, reason = _WARN, f"{reason} In doubt: {', '.join(doubted)}; see the alternative names."
    return Gate(code=Reason.NUMBERING, outcome=outcome, reason=reason, applies_to="all")


def metal_gate(volume: hd.Volume, segmentation: SpineSegmentation | None) -> Gate:
    """Gate on metal in view; levels near it are withheld one by one (docs/science.md §2.4, §11.1)."""
    cubic_mm = float(np.abs(np.linalg.det(volume.affine[:3, :3])))
    # Slice by slice: a mask of the whole body takes longer to lay out than to fill.
    amount = float(sum(np.count_nonzero(plane > METAL_HU) for plane in volume.array)) * cubic_mm / 1000
    if amount < METAL_CM3:
        return Gate(code=Reason.METAL, outcome=_PASS, reason="No metal in view.")
    reason = f"{amount:.1f} cm3 of metal in view; levels within 3 cm of it are withheld."
    return Gate(code=Reason.METAL, outcome=_WARN, reason=reason)


def metal_within(volume: hd.Volume, points: Array, margin: float = 0.0) -> float:
    """Volume of metal inside the bounding box of ``points`` (LPS mm) widened by ``margin`` mm, cm3."""
    inverse = np.linalg.inv(volume.affine)
    spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)
    index = points @ inverse[:3, :3].T + inverse[:3, 3]
    low = np.clip(np.floor(index.min(axis=0) - margin / spacing), 0, None).astype(int)
    high = np.ceil(index.max(axis=0) + margin / spacing).astype(int) + 1
    box = volume.array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return float(np.count_nonzero(box > METAL_HU) * spacing.prod() / 1000)
