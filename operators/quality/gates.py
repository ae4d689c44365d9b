"""Questions put to a scan before a number from it is published; each answer is a typed gate.

Limits are those of science.md §11.1, which builds on its §2. A gate never drops a number silently: it
passes, warns, or withholds what it guards, and says why in a sentence without patient data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.anatomy import Level, Region
from models.engine import Numbering, SpineSegmentation
from operators.body.label_boxes import label_boxes
from operators.body.resampling import Array
from operators.fractures.expectation import GRADED
from operators.quality.contrast_phase import Phase, contrast_phase
from operators.reading.case import Case
from operators.reading.options import TubeVoltageFactor
from operators.reading.reading import Gate, Outcome, SeriesVerdict, SourceSeries, Spectrum

METAL_HU = 2500.0
"""Above this it is metal: the middle of the 2000–3000 HU of science.md §2.4."""
METAL_CM3 = 0.1
"""Less metal than this is noise, a clip's edge or a calcification."""

MONO_KEV = (65.0, 75.0)
"""Energies at which a virtual mono-energetic image may be read like 120 kV (science.md §2.5)."""
LEAST_KVP = 90.0
"""Below it no factor carries attenuation over to 120 kV (science.md §11.1)."""

_PASS, _WARN, _WITHHOLD = Outcome.PASS, Outcome.WARN, Outcome.WITHHOLD


def assess_quality(case: Case) -> Case:
    """Fill the gates of a reading.

    Args:
        case: With a volume; gates that need a segmentation say so where there is none.

    Returns:
        The case with the gates of this module in place of any earlier ones of the same code.
    """
    source, segmentation = case.reading.source, case.segmentation
    gates = [
        spectrum_gate(source),
        tube_voltage_gate(source, case.job.options.tube_voltage_factors),
        slice_gate(source),
        gap_gate(source),
        kernel_gate(source.kernel),
        age_gate(source.age_years),
        attenuation_gate(case.volume, segmentation),
        contrast_gate(case.volume, segmentation, source.contrast_recorded),
        coverage_gate(segmentation),
        numbering_gate(segmentation),
        metal_gate(case.volume, segmentation),
        noise_gate(case.volume, segmentation),
        *attenuation_correction_gates(case.reading.series),
    ]
    codes = {gate.code for gate in gates}
    kept = tuple(gate for gate in case.reading.gates if gate.code not in codes)
    return replace(case, reading=case.reading.model_copy(update={"gates": kept + tuple(gates)}))


def spectrum_gate(source: SourceSeries) -> Gate:
    """The limits of bone density hold for conventional images (science.md §2.5, §2.6, §11.1).

    Virtual non-contrast images halve bone density ([V], §2.6), so that not even their HU are shown; material
    maps are no attenuation at all. Near 70 keV a virtual mono-energetic image stands for 120 kV.
    """
    kind, energy = source.spectrum, source.mono_energy
    if kind is Spectrum.CONVENTIONAL:
        return Gate(code="spectrum", outcome=_PASS, reason="Nothing but conventional CT is recorded.", applies_to="all")
    if kind is Spectrum.MATERIAL_MAP:
        reason = "The series is a material map: its numbers are not attenuation."
        return Gate(code="spectrum", outcome=_WITHHOLD, reason=reason, applies_to="all")
    if kind is Spectrum.VIRTUAL_NON_CONTRAST:
        reason = "Virtual non-contrast images take much of the bone's attenuation away; no density from them."
        return Gate(code="spectrum", outcome=_WITHHOLD, reason=reason, applies_to="density")
    if kind is Spectrum.MONO_ENERGETIC and energy is not None and MONO_KEV[0] <= energy <= MONO_KEV[1]:
        reason = f"Virtual mono-energetic at {energy:g} keV, near the mean energy of 120 kV."
        return Gate(code="spectrum", outcome=_WARN, reason=reason, applies_to="category")
    said = f" at {energy:g} keV" if energy is not None else ""
    reason = f"The images are {kind}{said}: attenuation limits do not hold, values are not put into a category."
    return Gate(code="spectrum", outcome=_WITHHOLD, reason=reason, applies_to="category")


def tube_voltage_gate(source: SourceSeries, factors: Sequence[TubeVoltageFactor] = ()) -> Gate:
    """HU thresholds hold at 120 kVp only (science.md §2.5); the HU themselves are still shown.

    Another voltage gives a category where the site has measured its own factor; below 90 kV none does.
    """
    kvp = source.kvp
    if source.spectrum is Spectrum.MONO_ENERGETIC:
        reason = "Virtual mono-energetic images have no tube voltage of their own."
        return Gate(code="kvp", outcome=_PASS, reason=reason, applies_to="category")
    if kvp is None:
        reason = "The tube voltage is not recorded; density is not put into a category."
        return Gate(code="kvp", outcome=_WITHHOLD, reason=reason, applies_to="category")
    if abs(kvp - 120) < 0.5:
        return Gate(code="kvp", outcome=_PASS, reason="Tube voltage 120 kV.", applies_to="category")
    factor = next((f.factor for f in factors if abs(f.kvp - kvp) < 0.5), None)
    if factor is not None and kvp >= LEAST_KVP:
        reason = f"Tube voltage {kvp:g} kV: the site's factor of {factor:g} carries attenuation over to 120 kV."
        return Gate(code="kvp", outcome=_WARN, reason=reason, applies_to="category")
    reason = (
        f"Tube voltage {kvp:g} kV: attenuation limits hold at 120 kV only, so the values are shown "
        "but not put into a category."
    )
    return Gate(code="kvp", outcome=_WITHHOLD, reason=reason, applies_to="category")


def slice_gate(source: SourceSeries) -> Gate:
    """Up to 1.5 mm is good for heights, up to 5 mm bearable (science.md §2.11, §11.1)."""
    thickness = max(source.slice_thickness or 0.0, source.slice_spacing)
    said = f"Slices of {thickness:.2g} mm"
    if thickness <= 1.5:
        outcome, reason = _PASS, f"{said}."
    elif thickness <= 5.0:
        outcome, reason = _WARN, f"{said}: heights are less certain than with 1.5 mm or less."
    else:
        outcome, reason = _WITHHOLD, f"{said} are too thick to measure heights; 5 mm is the limit."
    return Gate(code="slice-thickness", outcome=outcome, reason=reason, applies_to="heights")


def gap_gate(source: SourceSeries) -> Gate:
    """Slices further apart than 1.5 times their thickness leave bone unseen (science.md §11.1)."""
    if source.slice_thickness is None or source.slice_thickness <= 0:
        reason = "The slice thickness is not recorded; gaps between slices cannot be ruled out."
        return Gate(code="gaps", outcome=_WARN, reason=reason, applies_to="heights")
    ratio = source.slice_spacing / source.slice_thickness
    if ratio > 1.5:
        reason = (
            f"Slices of {source.slice_thickness:.2g} mm lie {source.slice_spacing:.2g} mm apart: "
            "endplates may fall into the gaps."
        )
        return Gate(code="gaps", outcome=_WITHHOLD, reason=reason, applies_to="heights")
    if ratio > 1.05:
        reason = f"Slices lie {ratio:.2f} times their thickness apart."
        return Gate(code="gaps", outcome=_WARN, reason=reason, applies_to="heights")
    return Gate(code="gaps", outcome=_PASS, reason="No gaps between slices.", applies_to="heights")


def kernel_gate(kernel: str | None) -> Gate:
    """A sharp kernel leaves mean HU and heights usable, but is noisy (science.md §2.11 [V], §11.1)."""
    if not kernel:
        reason = "The reconstruction kernel is not recorded; mean attenuation hardly depends on it."
        return Gate(code="kernel", outcome=_PASS, reason=reason, applies_to="density")
    name = kernel.upper()
    numbered = re.match(r"(?:B|H|I|Q|BR|HR|BL|BV|QR|BF)(\d\d)", name)
    words = any(word in name for word in ("BONE", "LUNG", "EDGE", "SHARP", "DETAIL", "ULTRA"))
    if words or (numbered and int(numbered.group(1)) >= 50):
        reason = f"Sharp kernel {kernel[:16]}: mean attenuation and heights hold, single voxels are noisy."
        return Gate(code="kernel", outcome=_WARN, reason=reason, applies_to="density")
    return Gate(code="kernel", outcome=_PASS, reason=f"Kernel {kernel[:16]}.", applies_to="density")


def age_gate(age: float | None) -> Gate:
    """Full text from 50 years, no category below, nothing at all below 18 (science.md §11.1)."""
    if age is None:
        reason = "The age is not recorded; density is not put into a category."
        return Gate(code="age", outcome=_WITHHOLD, reason=reason, applies_to="category")
    if age < 18:
        reason = "Under 18 years: neither grades nor density limits apply to a growing spine."
        return Gate(code="age", outcome=_WITHHOLD, reason=reason, applies_to="all")
    if age < 50:
        reason = "Under 50 years: density is shown but not put into a category."
        return Gate(code="age", outcome=_WITHHOLD, reason=reason, applies_to="category")
    return Gate(code="age", outcome=_PASS, reason="Age 50 years or more.", applies_to="category")


def attenuation_gate(volume: hd.Volume, segmentation: SpineSegmentation | None) -> Gate:
    """Air must be at -1000 ± 50 HU, fat at -100 ± 30 HU, bone where bone is (science.md §11.1).

    One of them off is a warning, both off, or bone where none can be, withholds.
    """
    code = "hu-validity"
    air, fat = air_attenuation(volume), fat_attenuation(volume)
    bone = _body_median(volume, segmentation)
    if bone is not None and not -150.0 <= bone <= 700.0:
        reason = f"Vertebral bodies have {bone:.0f} HU: the CT numbers of this series are not calibrated."
        return Gate(code=code, outcome=_WITHHOLD, reason=reason, applies_to="density")
    if air is not None and abs(air + 1000) > 50:
        if fat is not None and abs(fat + 100) <= 30:
            # Gas in the bowel and emphysema are no ambient air; a small field of view shows nothing else.
            reason = f"Gas has {air:.0f} HU instead of -1000, but fat {fat:.0f} HU: perhaps no air outside of the body."
            return Gate(code=code, outcome=_WARN, reason=reason, applies_to="density")
        reason = f"Air has {air:.0f} HU instead of -1000: the CT numbers of this series are not calibrated."
        return Gate(code=code, outcome=_WITHHOLD, reason=reason, applies_to="density")
    if fat is not None and abs(fat + 100) > 30:
        reason = f"Fat has {fat:.0f} HU, which is outside of -100 ± 30: attenuation may be shifted."
        return Gate(code=code, outcome=_WARN, reason=reason, applies_to="density")
    if air is None and fat is None:
        reason = "Neither air nor fat is in view: the calibration of the CT numbers could not be checked."
        return Gate(code=code, outcome=_WARN, reason=reason, applies_to="density")
    seen = [f"air {air:.0f} HU" if air is not None else "", f"fat {fat:.0f} HU" if fat is not None else ""]
    reason = f"CT numbers are in order: {', '.join(part for part in seen if part)}."
    return Gate(code=code, outcome=_PASS, reason=reason, applies_to="density")


def contrast_gate(volume: hd.Volume, segmentation: SpineSegmentation | None, recorded: bool) -> Gate:
    """Contrast raises trabecular HU by 11–21 % (science.md §2.6 [V]); only a low value then means much."""
    code = "contrast"
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
    """L1 or a neighbour and at least three levels of T4–L4 should be complete; none is no scan of a spine.

    Science.md §11.1: pass, warn for a part, reject for none.
    """
    whole = [v.level for v in segmentation.vertebrae if v.complete] if segmentation else []
    graded = sum(level in GRADED for level in whole)
    if graded == 0:
        reason = "No vertebra from T4 to L4 is completely in view: neither heights nor density are given."
        return Gate(code="coverage", outcome=_WITHHOLD, reason=reason, applies_to="all")
    deciding = [level for level in (Level.L1, Level.T12, Level.L2) if level in whole]
    if graded >= 3 and deciding:
        reason = f"{graded} vertebrae from T4 to L4 are completely in view, {deciding[0]} among them."
        return Gate(code="coverage", outcome=_PASS, reason=reason, applies_to="all")
    missing = "" if deciding else "; neither L1 nor T12 nor L2 is among them, so density gets no category"
    reason = f"{graded} of 13 vertebrae from T4 to L4 are completely in view{missing}."
    return Gate(code="coverage", outcome=_WARN, reason=reason, applies_to="all")


def attenuation_correction_gates(series: Iterable[SeriesVerdict]) -> list[Gate]:
    """A warning where the study has a PET: its CT may be one of low dose for attenuation correction (§18.1)."""
    if not any(verdict.modality == "PT" for verdict in series):
        return []
    reason = "The study has a PET series: its CT may be of low dose, for attenuation correction only."
    return [Gate(code="pet", outcome=_WARN, reason=reason, applies_to="density")]


def numbering_gate(segmentation: SpineSegmentation | None) -> Gate:
    """An off-by-one level is dangerous for follow-up (science.md §4.4)."""
    numbering = segmentation.numbering if segmentation else Numbering.NONE
    outcome, reason = {
        Numbering.ANCHORED: (_PASS, "The numbering of the vertebrae is fixed by an anchor in view."),
        Numbering.RELATIVE: (_WARN, "Nothing in view fixes the numbering; it rests on the vertebrae's shape."),
        Numbering.AMBIGUOUS: (_WARN, "Two numberings of the vertebrae are nearly as likely."),
        Numbering.NONE: (_WARN, "The vertebrae could not be numbered."),
    }[numbering]
    return Gate(code="numbering", outcome=outcome, reason=reason, applies_to="all")


def metal_gate(volume: hd.Volume, segmentation: SpineSegmentation | None) -> Gate:
    """Metal anywhere; levels with metal near them are withheld one by one (science.md §2.4, §11.1)."""
    cubic_mm = float(np.abs(np.linalg.det(volume.affine[:3, :3])))
    # Slice by slice: a mask of the whole body takes longer to lay out than to fill.
    amount = float(sum(np.count_nonzero(plane > METAL_HU) for plane in volume.array)) * cubic_mm / 1000
    if amount < METAL_CM3:
        return Gate(code="metal", outcome=_PASS, reason="No metal in view.")
    reason = f"{amount:.1f} cm3 of metal in view; levels within 3 cm of it are withheld."
    return Gate(code="metal", outcome=_WARN, reason=reason)


def noise_gate(volume: hd.Volume, segmentation: SpineSegmentation | None) -> Gate:
    """Standard deviation inside the bodies: below 60 HU good, above 100 useless (science.md §11.1)."""
    code = "noise"
    deviation = _body_deviation(volume, segmentation)
    if deviation is None:
        reason = "Noise could not be measured: no vertebral body is large enough."
        return Gate(code=code, outcome=_WARN, reason=reason, applies_to="density")
    said = f"Attenuation varies by {deviation:.0f} HU within a vertebral body"
    if deviation < 60:
        return Gate(code=code, outcome=_PASS, reason=f"{said}.", applies_to="category")
    if deviation <= 100:
        return Gate(code=code, outcome=_WARN, reason=f"{said}: a noisy scan.", applies_to="category")
    reason = f"{said}: too noisy to put density into a category."
    return Gate(code=code, outcome=_WITHHOLD, reason=reason, applies_to="category")


def metal_within(volume: hd.Volume, points: Array, margin: float = 0.0) -> float:
    """Volume of metal inside the bounding box of ``points`` (LPS mm) widened by ``margin`` mm, cm3."""
    inverse = np.linalg.inv(volume.affine)
    spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)
    index = points @ inverse[:3, :3].T + inverse[:3, 3]
    low = np.clip(np.floor(index.min(axis=0) - margin / spacing), 0, None).astype(int)
    high = np.ceil(index.max(axis=0) + margin / spacing).astype(int) + 1
    box = volume.array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return float(np.count_nonzero(box > METAL_HU) * spacing.prod() / 1000)


def _thinned(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every n-th voxel along each axis, a few million at most."""
    stride = max(1, round((array.size / 4e6) ** (1 / 3)))
    return array[::stride, ::stride, ::stride].ravel()


def air_attenuation(volume: hd.Volume) -> float | None:
    """Median of air, HU, without padding; None where less than 0.2 % of the volume is air."""
    values = _thinned(volume.array)
    # Padding is one constant, at or below the least number that a CT stores.
    values = values[values > max(float(values.min()), -2000.0) + 0.5]
    thin = values[values < -870.0]
    if thin.size < 0.002 * max(values.size, 1):
        return None
    return float(np.median(thin))


def fat_attenuation(volume: hd.Volume) -> float | None:
    """Most frequent value between -200 and -30 HU; None where there is no peak of fat."""
    values = _thinned(volume.array)
    borders = np.arange(-220.0, -9.0, 5.0)
    counts, edges = np.histogram(values[(values >= borders[0]) & (values <= borders[-1])], bins=borders)
    smooth = ndimage.gaussian_filter1d(counts.astype(float), 1.5)
    inner = smooth[4:-4]
    top = int(inner.argmax())
    if counts.sum() < 0.01 * values.size or not 0 < top < len(inner) - 1:
        return None
    before, here, after = inner[top - 1 : top + 2]
    return float(edges[4 + top] + 2.5 + 2.5 * (after - before) / max(2 * here - before - after, 1e-9))


def _body_median(volume: hd.Volume, segmentation: SpineSegmentation | None) -> float | None:
    if segmentation is None:
        return None
    regions = segmentation.regions.array
    box = label_boxes(regions).get(Region.BODY)
    inside = volume.array[:0] if box is None else volume.array[box][regions[box] == Region.BODY]
    return float(np.median(inside)) if inside.size > 100 else None


def _body_deviation(volume: hd.Volume, segmentation: SpineSegmentation | None) -> float | None:
    """Median over the vertebrae of the robust standard deviation 4 mm inside of the body, HU."""
    if segmentation is None:
        return None
    spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)
    deviations = []
    for number, box in label_boxes(segmentation.labels.array).items():
        own = segmentation.labels.array[box] == number
        whole = own & (segmentation.regions.array[box] == Region.BODY)
        # Arches make a box several times as large as the body in it, and the transform as slow.
        part = label_boxes(whole.astype(np.uint8)).get(1)
        if part is None:
            continue
        body = whole[part]
        inner = ndimage.distance_transform_edt(np.pad(body, 1), sampling=spacing)[1:-1, 1:-1, 1:-1] > 4.0
        values = volume.array[box][part][inner]
        if values.size >= 50:
            deviations.append(1.4826 * float(np.median(np.abs(values - np.median(values)))))
    return float(np.median(deviations)) if deviations else None
