"""Type in pictures: the report's font, so that both have the same signs."""

from __future__ import annotations

from functools import lru_cache

from PIL import ImageDraw, ImageFont

from operators.drawing.fonts import TEXT

RGB = tuple[int, int, int]
INK = (18, 20, 24)
_AXIS = {False: 400, True: 700}
"""Weight on the font's axis."""


@lru_cache(maxsize=64)
def type_of(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The font in a size, pixels."""
    font = ImageFont.truetype(TEXT.path, size=size, layout_engine=ImageFont.Layout.BASIC)
    font.set_variation_by_axes([_AXIS[bold]])
    return font


def wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """``text`` broken at spaces into lines of at most ``width`` pixels; longer words are cut."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(joined) <= width:
            lines[-1] = joined
            continue
        while font.getlength(word) > width and len(word) > 1:
            fitting = next(n for n in range(len(word) - 1, 0, -1) if n == 1 or font.getlength(word[:n]) <= width)
            lines.append(word[:fitting])
            word = word[fitting:]
        lines.append(word)
    return lines or [""]


def put_label(draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, size: int, colour: RGB) -> None:
    """Text with a dark rim, legible on bone and on air."""
    draw.text(place, text, font=type_of(size, True), fill=colour, stroke_width=2, stroke_fill=INK)


def put_badge(draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, size: int, fill: RGB) -> None:
    """White text in a filled box: what must not be overlooked."""
    font = type_of(size, True)
    x, y = place
    box = (x - 5, y - 3, x + font.getlength(text) + 5, y + size * 1.2 + 2)
    draw.rounded_rectangle(box, radius=4, fill=fill, outline=(255, 255, 255))
    draw.text(place, text, font=font, fill=(255, 255, 255))
