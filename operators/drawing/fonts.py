"""The fonts of the report: one for what the report says, and others for what a patient may be called.

All come as PyPI packages under the SIL Open Font License, so that no machine needs a font installed: Arimo
(Latin, Greek, Cyrillic, Hebrew), Noto Sans Arabic, Noto Sans Thai, Noto Sans CJK. Together they cover the
scripts of every character set that DICOM defines for names (PS3.3 C.12.1.1.2).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import uharfbuzz

if TYPE_CHECKING:  # pictures need the fonts too, and not the library
    from fpdf import FPDF

REPLACEMENT = "□"
"""Stands for a character that no font has; the page says so."""


class FontFile(NamedTuple):
    """A font: its name in the document, and the package and file that hold it."""

    family: str
    package: str
    file: str

    @property
    def path(self) -> Path:
        """Where it lies."""
        return Path(str(files(self.package).joinpath(*self.file.split("/"))))


TEXT = FontFile("Arimo", "fontpkg_arimo", "files/Arimo[wght].ttf")
OTHERS = (
    FontFile("NotoArabic", "fontpkg_noto_sans_arabic", "files/NotoSansArabic[wdth,wght].ttf"),
    FontFile("NotoThai", "fontpkg_noto_sans_thai", "files/NotoSansThai[wdth,wght].ttf"),
    FontFile("NotoCJK", "noto_cjk_sans_jp_regular", "NotoSansCJKjp-Regular.otf"),
)


@lru_cache
def characters(font: FontFile) -> frozenset[str]:
    """Every character that a font has a glyph for."""
    return frozenset(map(chr, uharfbuzz.Face(uharfbuzz.Blob.from_file_path(str(font.path))).unicodes))


def printable(text: str) -> str:
    """``text`` with :data:`REPLACEMENT` for what no font can show.

    To be done before a text reaches the PDF library, which would write such characters into its log.
    """
    missing = {c for c in set(text) if not c.isspace() and _font_of(c) is None}
    return "".join(REPLACEMENT if c in missing else c for c in text) if missing else text


def load_fonts(pdf: FPDF, texts: Iterable[str]) -> None:
    """Make the fonts that ``texts`` need known to a document, and shape text with them.

    Args:
        pdf: The document.
        texts: Everything that may come from outside, after :func:`printable`. What the report itself says
            needs the text font only.
    """
    pdf.add_font(TEXT.family, "", TEXT.path)
    pdf.add_font(TEXT.family, "B", bold_text())
    used = {font for text in texts for c in set(text) if (font := _font_of(c)) is not None}
    others = [font for font in OTHERS if font in used]
    for font in others:
        pdf.add_font(font.family, "", font.path)
    # A bold name in a font that has no bold is better than none.
    pdf.set_fallback_fonts([font.family for font in others], exact_match=False)
    # The page runs from left to right; a name within it keeps its own direction, and numbers their order.
    pdf.set_text_shaping(use_shaping_engine=True, direction="ltr")


@cache
def bold_text() -> Path:
    """A file with the text font in bold, made once per process and gone with it.

    Asked for a variation, fpdf2 takes a second to make it for every document, and then spaces bold letters by the
    widths of the regular ones.
    """
    from fontTools.ttLib import TTFont
    from fontTools.varLib import instancer

    font = TTFont(TEXT.path, recalcTimestamp=False)
    instancer.instantiateVariableFont(font, {"wght": 700.0}, inplace=True, static=True)
    path = Path(_folder().name) / "bold.ttf"
    font.save(path)
    return path


@cache
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="osteon-fonts.")


def _font_of(character: str) -> FontFile | None:
    """The first font that has the character; the larger ones are opened only when needed."""
    return next((font for font in (TEXT, *OTHERS) if character in characters(font)), None)
