"""Measure the curvature of the spine and the sizes of its bodies on the masks of a case."""

from __future__ import annotations

from models.engine import SpineSegmentation
from operators.curvature.coronal import coronal_curve
from operators.curvature.endplates import padded
from operators.curvature.posture import posture_of, posture_sentence
from operators.curvature.results import CurvatureReading, VertebraGeometry
from operators.curvature.sagittal import KYPHOSIS, KYPHOSIS_FROM_T5, THORACOLUMBAR, lordosis, sagittal_angle
from operators.curvature.sections import body_section, canal_section
from operators.curvature.spine import Measurable, Spine, look_at
from operators.reading.case import Case
from operators.reading.quantity import Withheld
from operators.reading.vertebra import Vertebra


def measure(case: Case, masks_only: bool = False) -> CurvatureReading:
    """Angles of the spine and cross-sections of its bodies.

    Args:
        case: With a volume; what needs a segmentation is withheld without one. Fractures are named where the
            reading knows them already. The case stays as it is.
        masks_only: Fit endplates to the masks and not to the image: for a label map without one.

    Returns:
        Every angle and every vertebra, withheld with a reason where it cannot be measured. Never raises for a
        bad mask.
    """
    spine = look_at(case, masks_only)
    posture = posture_of(case.slices)
    return CurvatureReading(
        vertebrae=tuple(_sizes(case.segmentation, spine, vertebra) for vertebra in case.reading.vertebrae),
        kyphosis=sagittal_angle(spine, KYPHOSIS),
        kyphosis_from_t5=sagittal_angle(spine, KYPHOSIS_FROM_T5),
        lordosis=lordosis(spine),
        thoracolumbar=sagittal_angle(spine, THORACOLUMBAR),
        coronal=coronal_curve(spine),
        posture=posture,
        note=posture_sentence(posture),
    )


def _sizes(segmentation: SpineSegmentation | None, spine: Spine, vertebra: Vertebra) -> VertebraGeometry:
    """The cross-sections of one vertebra, in a frame that both of its endplates have set."""
    one = spine.found[vertebra.number]
    fault = one if isinstance(one, Withheld) else _open(one)
    if fault is not None:
        return VertebraGeometry(number=vertebra.number, level=vertebra.level, body=fault, canal=fault)
    assert isinstance(one, Measurable)
    assert segmentation is not None
    frame, mask = one.plates.frame, one.body.mask
    return VertebraGeometry(
        number=vertebra.number,
        level=vertebra.level,
        body=body_section(padded(mask.body), frame, mask.voxel),
        canal=canal_section(segmentation, frame),
    )


def _open(one: Measurable) -> Withheld | None:
    """Why the middle between the endplates is not known, or None."""
    return next((p for p in (one.plates.superior, one.plates.inferior) if isinstance(p, Withheld)), None)
