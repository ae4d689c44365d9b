"""Axial views of the key vertebrae: where density was measured, as the slices lie in the volume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from operators.biomarker import Weight
from operators.drawing.picture_text import put_badge, put_label, type_of
from operators.drawing.sagittal_panel import WINDOW_CENTRE, WINDOW_WIDTH, dashed_outline
from operators.reading.case import Case
from operators.reading.reading import SpineReading
from operators.reading.vertebra import Vertebra
from operators.results.naming import level_name
from operators.results.outlines import trace_outline
from operators.results.table import sign_of
from operators.results.walk import flag_of
from operators.terms.colours import BADGE, LEVEL_COLOURS, WHITE

FIELD_MM = 84.0
"""Side of each view; a lumbar vertebra with its processes fits."""


def axial_panel(case: Case, vertebrae: tuple[Vertebra, ...], side: int, gap: int) -> Image.Image:
    """Draw one square view per vertebra in a row.

    Args:
        case: With a volume whose first axis runs across the slices.
        vertebrae: What to show, in the order from left to right; at least one.
        side: Of each view, pixels.
        gap: Between views, pixels.

    Returns:
        An RGB picture ``side`` high, with the patient's sides marked.
    """
    picture = Image.new("RGB", (len(vertebrae) * (side + gap) - gap, side))
    for place, vertebra in enumerate(vertebrae):
        picture.paste(_view(case, vertebra, side), (place * (side + gap), 0))
    return picture


def _view(case: Case, vertebra: Vertebra, side: int) -> Image.Image:
    affine = case.volume.affine
    plane, row, column = case.volume.map_reference_to_indices(np.array([vertebra.centroid]))[0]
    plane = int(np.clip(round(float(plane)), 0, case.volume.spatial_shape[0] - 1))
    row_mm, column_mm = (float(np.linalg.norm(affine[:3, axis])) for axis in (1, 2))
    # The processes reach further back than the body reaches forward.
    # Indices are counted from the middle of the first pixel, boxes and outlines from its corner.
    top, left = row + 0.5 - 0.4 * FIELD_MM / row_mm, column + 0.5 - 0.5 * FIELD_MM / column_mm
    box = (left, top, left + FIELD_MM / column_mm, top + FIELD_MM / row_mm)
    shade = (case.volume.array[plane].astype(np.float32) - WINDOW_CENTRE) / WINDOW_WIDTH + 0.5
    grey = Image.fromarray(np.asarray(np.clip(shade, 0, 1) * 255, dtype=np.uint8))
    view = grey.transform((side, side), Image.Transform.EXTENT, box, Image.Resampling.BILINEAR).convert("RGB")
    draw = ImageDraw.Draw(view)

    def placed(points: NDArray[np.float64]) -> list[tuple[float, float]]:
        x = (points[:, 0] - left) * side / (box[2] - box[0])
        y = (points[:, 1] - top) * side / (box[3] - box[1])
        return [(float(a), float(b)) for a, b in zip(x, y, strict=True)]

    if case.segmentation is not None:
        mask = case.segmentation.labels.array[plane] == vertebra.number
        if mask.any():
            draw.line(placed(trace_outline(mask)), fill=LEVEL_COLOURS[vertebra.level], width=2)
    for mask in case.masks.values():
        region = mask.array[plane] == vertebra.number
        if region.any():
            dashed_outline(draw, placed(trace_outline(region)), WHITE)
    _put_name(draw, vertebra, case.reading)
    sides = "RL" if affine[0, 2] > 0 else "LR"
    put_label(draw, (6, side / 2 - 10), sides[0], 18, WHITE)
    put_label(draw, (side - 6 - type_of(18, True).getlength(sides[1]), side / 2 - 10), sides[1], 18, WHITE)
    return view


def _put_name(draw: ImageDraw.ImageDraw, vertebra: Vertebra, reading: SpineReading) -> None:
    flag = flag_of(reading, vertebra)
    text = f"{sign_of(flag)} {level_name(vertebra, reading.numbering)}".strip()
    if flag is not None and flag.weight is Weight.FINDING:
        put_badge(draw, (10, 8), text, 20, BADGE)
    else:
        put_label(draw, (8, 6), text, 20, LEVEL_COLOURS[vertebra.level])
