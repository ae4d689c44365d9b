"""The spine as one picture: a sagittal view bent sideways so that it runs through every vertebral body.

Head to feet and front to back stay as they lie in the patient, so kyphosis and lordosis look as on any
sagittal image; only the left-right position follows the centres of the bodies (scoliosis).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from models.anatomy import Region
from models.engine import SpineSegmentation
from operators.biomarker import Overlay, Stroke, Weight
from operators.body import resampling
from operators.body.label_boxes import Box, label_boxes
from operators.body.resampling import Array, Flags, Sampler
from operators.drawing.picture_text import INK, put_badge, put_label, type_of
from operators.reading.case import Case
from operators.reading.quantity import Point
from operators.reading.reading import SpineReading
from operators.reading.vertebra import Vertebra
from operators.results.naming import level_name
from operators.results.table import sign_of
from operators.results.walk import flag_of, overlays
from operators.terms.colours import BADGE, LEVEL_COLOURS, WHITE

WINDOW_CENTRE, WINDOW_WIDTH = 200.0, 900.0
SLAB_MM = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
FRONT_MM, BACK_MM = 66.0, 64.0
"""How far in front of and behind the bodies' centres the picture reaches."""
TALLEST, WIDEST = 1280, 860
"""Limits of the picture, pixels."""
_SMALLEST = 16
"""Of the type of names where there is little room before the spine, pixels."""
_DASH, _PERIOD = 5.0, 8.0
"""Length of a dash and distance of their beginnings, pixels."""
PICTURE_LEGEND = (
    "Sagittal view bent through every vertebral body; anterior on the left. Solid lines: what was measured. "
    "Dashed: regions that CT numbers were taken from."
)
FINEST = 5.0
"""Most pixels per millimetre."""


@dataclass(frozen=True)
class Sheet:
    """The bent sagittal plane.

    Attributes:
        top, front: Superior-most and anterior-most coordinate, LPS mm.
        scale: Pixels per millimetre.
        rows, columns: Size in pixels.
        lateral: LPS x of the plane for each row, mm.
    """

    top: float
    front: float
    scale: float
    rows: int
    columns: int
    lateral: Array

    def pixel(self, point: Point) -> tuple[float, float]:
        """Column and row of a point, moved sideways into the sheet."""
        return (point[1] - self.front) * self.scale, (self.top - point[2]) * self.scale

    def points(self, rows: slice = slice(None), columns: slice = slice(None)) -> Array:
        """LPS coordinates ``(r, c, 3)`` of the pixels' centres."""
        row, column = np.arange(self.rows)[rows], np.arange(self.columns)[columns]
        z = self.top - (row + 0.5) / self.scale
        y = self.front + (column + 0.5) / self.scale
        grid = np.empty((len(row), len(column), 3))
        grid[..., 0], grid[..., 1], grid[..., 2] = self.lateral[rows, None], y[None, :], z[:, None]
        return grid


def sagittal_panel(case: Case) -> Image.Image:
    """Draw the spine with the vertebrae's outlines and names, and the lines that the biomarkers lay over it.

    Drawn once for all that show it: whoever draws on it draws on a copy.

    Args:
        case: With a volume; what of the reading is there is drawn.

    Returns:
        An RGB picture, anterior on the left.
    """
    return case.once(_panel, case.volume, case.segmentation, case.reading)


def _panel(volume: hd.Volume, segmentation: SpineSegmentation | None, reading: SpineReading) -> Image.Image:
    sheet = _sheet(volume, reading)
    picture = Image.fromarray(_grey(volume, sheet)).convert("RGB")
    draw = ImageDraw.Draw(picture)
    if segmentation is not None:
        _draw_outlines(picture, segmentation, reading, sheet)
    for overlay in overlays(reading):
        _draw_overlay(draw, sheet, overlay)
    for vertebra in reading.vertebrae:
        _draw_name(draw, sheet, vertebra, reading)
    _draw_ruler(draw, sheet)
    return picture


def make_sheet(case: Case) -> Sheet:
    """The sheet through the centres of the bodies, or through the middle of a volume without any."""
    return _sheet(case.volume, case.reading)


def _sheet(volume: hd.Volume, reading: SpineReading) -> Sheet:
    corners = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=float)
    corners[:, :3] = corners[:, :3] * np.array(volume.spatial_shape) - 0.5
    box = (corners @ volume.affine.T)[:, :3]
    low, high = box.min(axis=0), box.max(axis=0)
    centres = np.array([v.centroid for v in reading.vertebrae]).reshape(-1, 3)
    if len(centres):
        front = max(low[1], centres[:, 1].min() - FRONT_MM)
        back = min(high[1], centres[:, 1].max() + BACK_MM)
        bottom = max(low[2], centres[:, 2].min() - 60.0)
        top = min(high[2], centres[:, 2].max() + 50.0)
    else:
        centres = ((low + high) / 2)[None]
        front, back, bottom, top = low[1], high[1], low[2], high[2]
    scale = min(TALLEST / max(top - bottom, 1.0), WIDEST / max(back - front, 1.0), FINEST)
    rows, columns = max(1, int((top - bottom) * scale)), max(1, int((back - front) * scale))
    order = np.argsort(centres[:, 2])
    heights = top - (np.arange(rows) + 0.5) / scale
    lateral = np.interp(heights, centres[order, 2], centres[order, 0])
    return Sheet(float(top), float(front), float(scale), rows, columns, lateral)


def _grey(volume: hd.Volume, sheet: Sheet) -> NDArray[np.uint8]:
    points = sheet.points()
    sampler = Sampler(volume, points.reshape(-1, 3)[:: max(1, points.size // 30000)], 8.0, order=1)
    slab = np.zeros(points.shape[:2])
    for offset in SLAB_MM:
        slab += np.nan_to_num(sampler.at(points + np.array([offset, 0.0, 0.0])), nan=-1000.0)
    shade = (slab / len(SLAB_MM) - WINDOW_CENTRE) / WINDOW_WIDTH + 0.5
    return np.asarray(np.clip(shade, 0, 1) * 255, dtype=np.uint8)


def _draw_outlines(picture: Image.Image, segmentation: SpineSegmentation, reading: SpineReading, sheet: Sheet) -> None:
    """Outline of every vertebra where its mask meets the sheet; the body's in full colour."""
    pixels = np.array(picture)
    labels, regions = segmentation.labels, segmentation.regions.array
    boxes = label_boxes(labels.array)
    for vertebra in {v.number: v for v in reading.vertebrae}.values():
        window = _window(sheet, vertebra, labels.affine, boxes.get(vertebra.number))
        points = sheet.points(*window)
        if points.size == 0:
            continue
        box = points.reshape(-1, 3)[[0, -1]]
        # The lateral position varies from row to row, so the box must hold all of it.
        box = np.concatenate([box, points[:, 0], points[:, -1]])

        def own(at: resampling.Box, number: int = vertebra.number) -> Flags:
            return np.asarray(labels.array[at] == number)

        def body(at: resampling.Box, own: Callable[[resampling.Box], Flags] = own) -> Flags:
            return np.asarray(own(at) & (regions[at] == Region.BODY))

        colour = np.array(LEVEL_COLOURS[vertebra.level])
        part = pixels[window]
        for mask, strength in ((own, 0.45), (body, 1.0)):
            edge = _edge(np.nan_to_num(Sampler(labels, box, 3.0, order=1, of=mask).at(points)) >= 0.5)
            part[edge] = (strength * colour + (1 - strength) * part[edge]).astype(np.uint8)
    picture.paste(Image.fromarray(pixels))


def _window(sheet: Sheet, vertebra: Vertebra, affine: Array, box: Box | None) -> tuple[slice, slice]:
    """Rows and columns of the sheet, near a vertebra's centre, that its mask may reach; none without a mask."""
    if box is None:
        return slice(0, 0), slice(0, 0)
    corners = np.array(np.meshgrid(*([side.start - 1, side.stop] for side in box), indexing="ij")).reshape(3, -1)
    _, y, z = affine[:3, :3] @ corners + affine[:3, 3:]
    left, bottom = sheet.pixel((0.0, float(y.min()), float(z.min())))
    right, top = sheet.pixel((0.0, float(y.max()), float(z.max())))
    column, row = sheet.pixel(vertebra.centroid)
    reach = 75.0 * sheet.scale
    # With two pixels beyond the mask, so that its outline lies inside the window.
    rows = max(0, int(row - reach), int(top) - 2), min(sheet.rows, int(row + reach), int(bottom) + 3)
    columns = max(0, int(column - reach), int(left) - 2), min(sheet.columns, int(column + 1.3 * reach), int(right) + 3)
    return slice(rows[0], max(rows)), slice(columns[0], max(columns))


def _edge(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels inside that touch one outside, two pixels wide so that they show when scaled down."""
    edge = np.zeros_like(inside)
    for axis in (0, 1):
        change = np.diff(inside, axis=axis)
        low = [slice(None), slice(None)]
        low[axis] = slice(None, -1)
        high = [slice(None), slice(None)]
        high[axis] = slice(1, None)
        edge[tuple(low)] |= change
        edge[tuple(high)] |= change
    return edge


def _draw_overlay(draw: ImageDraw.ImageDraw, sheet: Sheet, overlay: Overlay) -> None:
    points = [sheet.pixel(point) for point in overlay.points]
    if overlay.stroke is Stroke.DASHED:
        dashed_outline(draw, points, WHITE if overlay.level is None else LEVEL_COLOURS[overlay.level])
    elif overlay.stroke is Stroke.CALIPER:
        draw.line(points, fill=WHITE, width=2)
        for x, y in (points[0], points[-1]):
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=WHITE, outline=INK)
    else:
        draw.line(points, fill=WHITE, width=1)
    if overlay.label:
        x, y = points[-1]
        x = float(np.clip(x + 4, 4, max(4.0, sheet.columns - type_of(_SMALLEST, True).getlength(overlay.label) - 4)))
        put_label(draw, (x, y - _SMALLEST / 2), overlay.label, _SMALLEST, WHITE)


def dashed_outline(
    draw: ImageDraw.ImageDraw, corners: Sequence[tuple[float, float]], colour: tuple[int, int, int]
) -> None:
    """A line through ``corners``, dashed as every outline of a density region is."""
    points = np.array(corners)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    for start in np.arange(0.0, along[-1], _PERIOD):
        # With the corners inside a dash, so that it bends where the outline does.
        at = np.concatenate([[start], along[(along > start) & (along < start + _DASH)], [start + _DASH]])
        at = np.minimum(at, along[-1])
        dash = zip(np.interp(at, along, points[:, 0]), np.interp(at, along, points[:, 1]), strict=True)
        draw.line([(float(x), float(y)) for x, y in dash], fill=colour, width=2)


def _draw_name(draw: ImageDraw.ImageDraw, sheet: Sheet, vertebra: Vertebra, reading: SpineReading) -> None:
    """The level in front of the body; with its sign and label where there is something to look at."""
    size = int(np.clip(9.5 * sheet.scale, 20, 30))
    flag = flag_of(reading, vertebra)
    label = "" if flag is None else flag.label
    text = " ".join(part for part in (sign_of(flag), level_name(vertebra, reading.numbering), label) if part)
    column, row = sheet.pixel(vertebra.centroid)
    end = column - 27.0 * sheet.scale
    while size > _SMALLEST and type_of(size, True).getlength(text) > end - 8.0:
        size -= 2
    x = max(8.0, end - type_of(size, True).getlength(text))
    y = float(np.clip(row - size * 0.6, 6, max(6.0, sheet.rows - size * 1.5)))
    if flag is not None and flag.weight is Weight.FINDING:
        put_badge(draw, (x, y), text, size, BADGE)
    else:
        put_label(draw, (x, y), text, size, LEVEL_COLOURS[vertebra.level])


def _draw_ruler(draw: ImageDraw.ImageDraw, sheet: Sheet) -> None:
    """A bar of 5 cm in the lower right corner."""
    length = 50.0 * sheet.scale
    x, y = sheet.columns - length - 14, sheet.rows - 16
    if x < 10:
        return
    draw.line([(x, y), (x + length, y)], fill=WHITE, width=3)
    for end in (x, x + length):
        draw.line([(end, y - 5), (end, y + 5)], fill=WHITE, width=3)
    put_label(draw, (x + length / 2 - type_of(18, True).getlength("5 cm") / 2, y - 26), "5 cm", 18, WHITE)
