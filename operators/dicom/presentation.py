"""Names and outlines on the key slices as a Grayscale Softcopy Presentation State (PS3.3 A.33.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.valuerep import DA, TM

from operators.biomarker import Flag, Weight
from operators.dicom.result_header import equipment, finish, source_headers
from operators.drawing.sagittal_panel import WINDOW_CENTRE, WINDOW_WIDTH
from operators.reading.case import Case
from operators.reading.options import Kind
from operators.reading.vertebra import Vertebra
from operators.results.identity import ResultIdentity
from operators.results.key_slices import KeySlice, key_slices
from operators.results.naming import level_name
from operators.results.origin import local_time
from operators.results.research import SHORT_MARK
from operators.results.walk import flag_of
from operators.terms.colours import BADGE, HUES

SERIES_NUMBER = 1009
SERIES_DESCRIPTION = "AI vertebral levels on slices (research)"
_PIXEL = hd.pr.AnnotationUnitsValues.PIXEL
_APART = 4.0
"""Between a name and its vertebra, pixels."""
_CHARACTER, _LINE = 8.0, 14.0
"""Room for a character and for a line of a name, pixels of the image."""


def write_presentation(case: Case) -> Dataset | None:
    """Write the name of every vertebra beside it on its key slice, with its outline and its density region.

    Args:
        case: The finished case. ``case.slices`` may lack pixel data.

    Returns:
        The object, not yet written to disk; the same bytes for the same case. None where no vertebra was
        found, and where the slices differ in their rescaling: a presentation state can give only one, and
        would show wrong grey values.

    Raises:
        PermanentError: The volume's slices do not lie on the source images.
    """
    slices = key_slices(case, case.reading.vertebrae)
    rescaling = {_rescaling(case, one) for one in slices}
    if len(rescaling) != 1:
        return None
    slope, intercept = rescaling.pop()
    images = _images(case, slices)
    layers = _layers()
    identity = ResultIdentity.of(case.reading)
    result = hd.pr.GrayscaleSoftcopyPresentationState(
        referenced_images=list({image.SOPInstanceUID: image for image in images}.values()),
        series_instance_uid=identity.series_uid(Kind.PRESENTATION),
        series_number=SERIES_NUMBER,
        sop_instance_uid=identity.instance_uid(Kind.PRESENTATION),
        instance_number=1,
        content_label="OSTEON_LEVELS",
        content_description="Vertebral levels, automatic and unverified",
        series_description=SERIES_DESCRIPTION,
        graphic_layers=layers,
        graphic_annotations=[
            annotation
            for one, image in zip(slices, images, strict=True)
            for annotation in _annotations(case, one, image, layers)
        ],
        modality_lut_transformation=hd.ModalityLUTTransformation(
            rescale_intercept=intercept, rescale_slope=slope, rescale_type=hd.RescaleTypeValues.HU
        ),
        voi_lut_transformations=[
            hd.pr.SoftcopyVOILUTTransformation(window_center=WINDOW_CENTRE, window_width=WINDOW_WIDTH)
        ],
        **{name: value for name, value in equipment(case).items() if name not in ("content_date", "content_time")},
    )
    at = local_time(case)
    result.PresentationCreationDate, result.PresentationCreationTime = DA(at.date()), TM(at.time())
    result.BodyPartExamined = "SPINE"
    finish(result, case)
    return result


def _images(case: Case, slices: Sequence[KeySlice]) -> tuple[Dataset, ...]:
    """The header of the image of each slice; the same one for all frames of an enhanced CT."""
    if slices[0].frame.frame is not None:
        images = source_headers(case, [0]) * len(slices)
    else:
        images = source_headers(case, [one.frame.place for one in slices])
    for image in images:
        image.SamplesPerPixel = 1  # highdicom asks; a CT has no other
    return images


def _rescaling(case: Case, one: KeySlice) -> tuple[float, float]:
    """Slope and intercept of a slice."""
    if one.frame.frame is None:
        header = case.slices[one.frame.place]
    else:
        image = case.slices[0]
        groups = (image.PerFrameFunctionalGroupsSequence[one.frame.frame - 1], image.SharedFunctionalGroupsSequence[0])
        found = [item for group in groups for item in group.get("PixelValueTransformationSequence") or []]
        header = found[0] if found else Dataset()
    return float(header.get("RescaleSlope") or 1.0), float(header.get("RescaleIntercept") or 0.0)


def _layers() -> list[hd.pr.GraphicLayer]:
    rows = (
        ("FINDINGS", 3, "Vertebrae with a finding", BADGE),
        ("LEVELS", 2, "Names and outlines of the other vertebrae", HUES[1]),
        ("REGIONS", 1, "Regions that were measured in", HUES[3]),
    )
    return [
        hd.pr.GraphicLayer(name, order, description, hd.color.CIELabColor.from_rgb(*colour))
        for name, order, description, colour in rows
    ]


def _annotations(
    case: Case, one: KeySlice, image: Dataset, layers: Sequence[hd.pr.GraphicLayer]
) -> Iterator[hd.pr.GraphicAnnotation]:
    findings, levels, measured = layers
    mark: list[hd.pr.TextObject] = [_mark()]
    for vertebra, (own, *regions) in one.vertebrae:
        flag = flag_of(case.reading, vertebra)
        is_finding = flag is not None and flag.weight is Weight.FINDING
        yield hd.pr.GraphicAnnotation(
            referenced_images=[image],
            referenced_frame_number=one.frame.frame,
            graphic_layer=findings if is_finding else levels,
            graphic_objects=[_outline(own.points)] if len(own.points) > 1 else None,
            text_objects=[_name(case, vertebra, flag, own.points), *mark],
        )
        mark = []  # once on each slice
        if regions:
            yield hd.pr.GraphicAnnotation(
                referenced_images=[image],
                referenced_frame_number=one.frame.frame,
                graphic_layer=measured,
                graphic_objects=[_outline(region.points) for region in regions],
            )


def _outline(points: NDArray[np.float64]) -> hd.pr.GraphicObject:
    return hd.pr.GraphicObject(hd.pr.GraphicTypeValues.POLYLINE, np.maximum(points, 0.0), _PIXEL)


def _name(case: Case, vertebra: Vertebra, flag: Flag | None, points: NDArray[np.float64]) -> hd.pr.TextObject:
    """The level to the left of the vertebra, or above it where there is no room; with its finding if there is one."""
    text = level_name(vertebra, case.reading.numbering)
    if flag is not None and flag.full_label:
        text += f" {flag.full_label}"
    rows, columns = case.volume.spatial_shape[1:]
    # Characters keep their size on the screen whatever the matrix: room for them must be in the image.
    width, height = min(_CHARACTER * len(text), columns / 2), min(_LINE, rows / 4)
    left, top = points.min(axis=0) - (width + _APART, 0.0)
    if left < 1:
        left, top = points[:, 0].mean() - width / 2, points[:, 1].min() - height - _APART
    left, top = float(np.clip(left, 1, columns - width)), float(np.clip(top, 1, rows - height))
    return hd.pr.TextObject(
        text,
        _PIXEL,
        bounding_box=(left, top, left + width, top + height),
        text_justification=hd.pr.TextJustificationValues.RIGHT,
    )


def _mark() -> hd.pr.TextObject:
    return hd.pr.TextObject(
        SHORT_MARK,  # on every slice: the state is shown without its description
        hd.pr.AnnotationUnitsValues.DISPLAY,
        bounding_box=(0.02, 0.94, 0.5, 0.98),
        text_justification=hd.pr.TextJustificationValues.LEFT,
    )
