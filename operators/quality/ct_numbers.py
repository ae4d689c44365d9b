"""Quality gates on the CT numbers of a scan: air, fat and bone in their places, and noise."""

from __future__ import annotations

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.anatomy import Region
from models.engine import SpineSegmentation
from operators.body.label_boxes import label_boxes
from operators.reading.gate import Gate, Outcome
from operators.reading.reasons import Reason

MOST_NOISE = 100.0
"""Standard deviation within bodies up to which heights hold, HU. With noise added to a CT of 3 mm slices the three
heights are off by 1.1 mm (median of the vertebrae) at 97 HU, by 4.5 mm at 121 HU (``evidence.real.height_noise``)."""
AMBIENT_SHARE = 0.9
"""Share of the outermost pixels that are less than half as dense as water where air lies round the whole body."""

_PASS, _WARN, _WITHHOLD = Outcome.PASS, Outcome.WARN, Outcome.WITHHOLD


def attenuation_gate(volume: hd.Volume, segmentation: SpineSegmentation | None) -> Gate:
    """Gate on the CT numbers: air -1000 ± 50, fat -100 ± 30 HU, bone where bone is (docs/science.md §11.1).

    Fat off, air round the whole body off, or bone where none can be, withholds; gas alone off is a warning.
    """
    code = Reason.HU_VALIDITY
    air, fat = air_attenuation(volume), fat_attenuation(volume)
    bone = _body_median(volume, segmentation)
    ambient = ambient_attenuation(volume)
    if ambient is not None and abs(ambient + 1000) > 50:
        reason = f"The air round the body has {ambient:.0f} HU instead of -1000: the CT numbers are not calibrated."
        return Gate(code=code, outcome=_WITHHOLD, reason=reason, applies_to="density")
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
        reason = f"Fat has {fat:.0f} HU, which is outside of -100 ± 30: the CT numbers are not calibrated."
        return Gate(code=code, outcome=_WITHHOLD, reason=reason, applies_to="density")
    if air is None and fat is None:
        reason = "Neither air nor fat is in view: the calibration of the CT numbers could not be checked."
        return Gate(code=code, outcome=_WARN, reason=reason, applies_to="density")
    seen = [f"air {air:.0f} HU" if air is not None else "", f"fat {fat:.0f} HU" if fat is not None else ""]
    reason = f"CT numbers are in order: {', '.join(part for part in seen if part)}."
    return Gate(code=code, outcome=_PASS, reason=reason, applies_to="density")


def noise_gates(volume: hd.Volume, segmentation: SpineSegmentation | None) -> tuple[Gate, Gate]:
    """Gates on noise, of density, and of heights with grades."""
    deviation = body_deviation(volume, segmentation)
    return noise_gate(deviation), height_noise_gate(deviation)


def height_noise_gate(deviation: float | None) -> Gate:
    """Gate on noise that moves outlines: above :data:`MOST_NOISE` heights and grades are those of the noise."""
    code = Reason.NOISE_HEIGHTS
    if deviation is None or deviation <= MOST_NOISE:
        reason = "Noise leaves heights what they are." if deviation is not None else "Noise could not be measured."
        return Gate(code=code, outcome=_PASS, reason=reason, applies_to="heights")
    reason = f"Attenuation varies by {deviation:.0f} HU within a vertebral body: too noisy for heights and grades."
    return Gate(code=code, outcome=_WITHHOLD, reason=reason, applies_to="heights")


def noise_gate(deviation: float | None) -> Gate:
    """Standard deviation inside the bodies: below 60 HU good, above 100 useless (docs/science.md §11.1).

    Args:
        deviation: HU, see :func:`body_deviation`.
    """
    code = Reason.NOISE
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


def air_attenuation(volume: hd.Volume) -> float | None:
    """Median of air, HU, without padding; None where less than 0.2 % of the volume is air."""
    values = _thinned(volume.array)
    # Padding is one constant, at or below the least number that a CT stores.
    values = values[values > max(float(values.min()), -2000.0) + 0.5]
    thin = values[values < -870.0]
    if thin.size < 0.002 * max(values.size, 1):
        return None
    return float(np.median(thin))


def ambient_attenuation(volume: hd.Volume) -> float | None:
    """Median of the air round the body, HU, whatever its number; None where the field of view shows less than that.

    Pixels at the edge of the images, without padding: lungs and bowel do not reach it all round.
    """
    array = volume.array[:: max(1, volume.array.shape[0] // 32)]
    edge = np.concatenate(
        [array[:, :2].ravel(), array[:, -2:].ravel(), array[:, :, :2].ravel(), array[:, :, -2:].ravel()]
    )
    values = edge[edge > max(float(array.min()), -2000.0) + 0.5]
    if values.size < 0.1 * edge.size or np.count_nonzero(values < -500.0) < AMBIENT_SHARE * values.size:
        return None
    return float(np.median(values[values < -500.0]))


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


def _thinned(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Copy of an array with every n-th voxel along each axis, a few million at most."""
    stride = max(1, round((array.size / 4e6) ** (1 / 3)))
    return array[::stride, ::stride, ::stride].ravel()


def _body_median(volume: hd.Volume, segmentation: SpineSegmentation | None) -> float | None:
    if segmentation is None:
        return None
    regions = segmentation.regions.array
    box = label_boxes(regions).get(Region.BODY)
    inside = volume.array[:0] if box is None else volume.array[box][regions[box] == Region.BODY]
    return float(np.median(inside)) if inside.size > 100 else None


def body_deviation(volume: hd.Volume, segmentation: SpineSegmentation | None) -> float | None:
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
