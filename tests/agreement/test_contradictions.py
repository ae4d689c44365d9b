"""What must not be said in two ways: the seven contradictions that once left the node (issue 13)."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as raw
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread

from models.anatomy import Level
from operators.fractures.grading import grade_of
from operators.reading.quantity import Frozen
from tests.agreement.agreement import Told
from tests.agreement.readers import READERS
from tests.conftest import ROOT
from tests.phantoms.anatomy.body_filling import filled
from tests.phantoms.spine import SpinePhantom
from tests.validators.readings import EVERYTHING, READING_FILE, CTHeader, Made, Recipe, make

UNKNOWN_AGE = re.compile(r"new or old cannot be determined", re.IGNORECASE)
SAME_COLOUR = 7.0
"""Distance in CIELab up to which two colours are one: encoders differ in the white that they adapt to."""
BOUNDS = (20, 25, 40)
"""% of height loss at which a Genant grade begins."""
CEMENTED = ((1200.0, 0.6), (1800.0, 0.24), (1800.0, 0.6))
"""HU of cement, and its share of the body's height."""


@pytest.mark.parametrize("encoding", READERS)
def test_the_age_of_a_fracture_is_open_only_without_a_prior(told: Mapping[str, Told], encoding: str) -> None:
    """Contradiction 1: beside a comparison that calls each fracture new or worse nothing leaves its age open."""
    alone, followed = (" ".join(s.text for s in told[name].encodings[encoding]) for name in ("fractured", "followed"))

    assert UNKNOWN_AGE.search(alone)
    assert not UNKNOWN_AGE.search(followed)


def test_a_new_fracture_is_published_as_it_is_found() -> None:
    """Contradiction 2: a level of grade 1 that had grade 0 is new, so the term must not speak of grade 2 or 3."""
    from tests.operators.change.test_compare import INTACT, compared

    mild = compared(((26.0 * 0.78, 24.0, 27.0), 1, 22.0), (INTACT, 0, 0.0))
    (definition,) = _definitions("COURSE-NEW")

    assert str(mild.course) == "new fracture"
    assert not re.search(r"grade 2|2 or 3|moderate|severe", definition, re.IGNORECASE), definition
    assert re.search(r"\b1\b|mild|any grade", definition), definition


@pytest.mark.parametrize("bound", BOUNDS)
def test_a_bound_of_genant_belongs_to_the_grade_that_its_definition_says(bound: int) -> None:
    """Contradiction 3: at exactly 20, 25 and 40 %."""
    published = {grade for grade in range(4) if _holds(*_definitions(f"GENANT-{grade}"), bound)}

    assert published == {grade_of(bound / 100)}


def test_the_compared_levels_are_described_as_they_are_chosen() -> None:
    """Contradiction 4: a level with heights and no grade is compared."""
    from tests.operators.change.test_compare import INTACT, compared

    (described,) = [one for one in _subclasses(Frozen) if one.__name__ == "PriorComparison"]
    text = re.search(r"compared: (.*?)(?=\n +\w+(?:, \w+)*: |\Z)", inspect.getdoc(described) or "", re.DOTALL)

    assert str(compared((INTACT, None, 0.0), (INTACT, None, 0.0)).course) == "no change"
    assert text is not None
    assert "height" in text.group(1)
    assert "have a grade" not in text.group(1)


@pytest.mark.parametrize(("hu", "share"), CEMENTED)
def test_a_body_is_cemented_for_its_grade_and_its_density_or_for_neither(
    hu: float, share: float, tmp_path: Path
) -> None:
    """Contradiction 5: whatever fills a body, and however much of it."""
    spine = SpinePhantom(levels=(Level.T12, Level.L2))
    drawn = spine.build(pixel_spacing=1.0, slice_spacing=2.5, field_of_view=(144, 144))
    recipe = Recipe(
        lambda: filled(drawn, Level.L1, hu, share),
        CTHeader(seed="cement"),
        options=EVERYTHING.model_copy(update={"kinds": ()}),
    )
    made = make("cement", recipe, tmp_path)
    reading = json.loads((made.results / READING_FILE).read_bytes())
    withheld = {v["level"]: dict(_withheld(v)) for v in reading["vertebrae"]}["L1"]

    assert (withheld.get("deformity") == "cement") is (withheld.get("density") == "cement"), withheld


def test_one_gate_asks_for_the_numbering_and_names_the_anchors(readings: Mapping[str, Made]) -> None:
    """Contradiction 6."""
    for made in readings.values():
        path = made.results / READING_FILE
        reading = json.loads(path.read_bytes()) if path.exists() else {"gates": [{"code": "numbering", "reason": ""}]}
        (gate,) = [gate for gate in reading["gates"] if gate["code"] == "numbering"]
        assert [anchor for anchor in reading.get("anchors", ()) if anchor not in gate["reason"]] == []
    put = [path for path in (ROOT / "operators").rglob("*.py") if 'Gate(code="numbering"' in path.read_text()]
    assert len(put) <= 1


@pytest.mark.parametrize("where", ["picture", "PDF"])
def test_a_level_has_one_colour(readings: Mapping[str, Made], where: str) -> None:
    """Contradiction 7: in the segmentation, the picture and the page."""
    made = readings["fractured"]
    shown = _picture_colours(made) if where == "picture" else _page_colours(made)
    wanted = _segment_colours(made)

    assert set(wanted) == {"T12", "L1", "L2"}
    # Outlines are drawn with hundreds of pixels; in the page's table a level has one square.
    least = 100 if where == "picture" else 1
    apart = {level: np.linalg.norm(_lab(shown) - colour, axis=1) for level, colour in wanted.items()}
    near = {level: int((distance <= SAME_COLOUR).sum()) for level, distance in apart.items()}
    assert [level for level, count in near.items() if count < least] == []


def _definitions(code: str) -> list[str]:
    """What the conformance statement says of a private term."""
    row = re.compile(rf"^\| `{code}` \| [^|]* \| ([^|]*) \|", re.MULTILINE)
    return [found for page in sorted((ROOT / "docs").glob("*.md")) for found in row.findall(page.read_text())]


def _holds(definition: str, loss: int) -> bool:
    """Whether a loss in % fulfils a definition in words; "to" and "up to" include their number."""
    tests = (
        (r"(?<!\w)from (\d+)", lambda bound: loss >= bound),
        (r"at least (\d+)", lambda bound: loss >= bound),
        (r"(\d+) % (?:or|and) more", lambda bound: loss >= bound),
        (r"above (\d+)", lambda bound: loss > bound),
        (r"(?:below|under|less than) (\d+)", lambda bound: loss < bound),
        (r"\bto (\d+)", lambda bound: loss <= bound),
    )
    found = [(check, int(bound)) for pattern, check in tests for bound in re.findall(pattern, definition)]
    assert found, definition
    return all(check(bound) for check, bound in found)


def _subclasses(of: type) -> Iterator[type]:
    for one in of.__subclasses__():
        yield one
        yield from _subclasses(one)


def _withheld(node: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Name and reason code of every value that is withheld."""
    if isinstance(node, dict):
        if node.get("kind") == "withheld":
            yield name, str(node["code"])
        for key, value in node.items():
            yield from _withheld(value, key)


def _segment_colours(made: Made) -> dict[str, NDArray[np.float64]]:
    """Colour of every vertebra as ``seg.dcm`` recommends it, by level: CIELab."""
    found = {}
    for segment in dcmread(made.results / "seg.dcm").SegmentSequence:
        lightness, a, b = np.array(segment.RecommendedDisplayCIELabValue) / 65535
        found[str(segment.SegmentLabel).split()[0]] = np.array([100 * lightness, 255 * a - 128, 255 * b - 128])
    return found


def _lab(colours: NDArray[np.int16]) -> NDArray[np.float64]:
    """CIELab under D50 of sRGB, 0…255, shape ``(n, 3)`` (IEC 61966-2-1; Bradford to D50; CIE 15)."""
    share = colours / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
    t = linear @ matrix.T / np.array([0.9642, 1.0, 0.8251])
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f.T
    lab: NDArray[np.float64] = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
    return lab


def _picture_colours(made: Made) -> NDArray[np.int16]:
    """The coloured pixels."""
    pixels = np.asarray(Image.open(made.results / "overview.png").convert("RGB"), dtype=np.int16).reshape(-1, 3)
    return pixels[np.ptp(pixels, axis=1) > 30]


def _page_colours(made: Made) -> NDArray[np.int16]:
    """What shapes on the page are filled with: among them the square of each level in the table."""
    import ctypes

    found = []
    with pdfium.PdfDocument(bytes(dcmread(made.results / "pdf.dcm").EncapsulatedDocument)) as pdf:
        for page in pdf:
            for shape in page.get_objects(filter=[raw.FPDF_PAGEOBJ_PATH]):
                parts = [ctypes.c_uint() for _ in range(4)]
                raw.FPDFPageObj_GetFillColor(shape, *parts)
                found.append([part.value for part in parts[:3]])
    return np.array(found, dtype=np.int16)
