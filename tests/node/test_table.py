from __future__ import annotations

from models.anatomy import Level
from models.engine import Numbering
from node.table import reading_text
from operators.density.results import Density
from operators.fractures.results import Deformity, Heights
from operators.reading.gate import Gate, Outcome
from operators.reading.provenance import Provenance
from operators.reading.quantity import Measured, Withheld
from operators.reading.reading import SpineReading
from operators.reading.source import SourceSeries
from operators.reading.vertebra import Vertebra

SOURCE = SourceSeries(
    study_uid="1.2",
    series_uid="1.2.3",
    frame_of_reference_uid=None,
    content_digest="0" * 64,
    slices=100,
    rows=512,
    columns=512,
    pixel_spacing=(0.8, 0.8),
    slice_spacing=2.0,
)
CUT = Withheld(code="incomplete", reason="the border of the volume cuts it")
CONTRAST = Withheld(code="contrast", reason="contrast was given")


def mm(value: float) -> Measured:
    return Measured(value=value, unit="mm")


def hu(value: float) -> Measured:
    return Measured(value=value, unit="[hnsf'U]")


def cm3(value: float) -> Measured:
    return Measured(value=value, unit="cm3")


def reading(*vertebrae: Vertebra, gates: tuple[Gate, ...] = ()) -> SpineReading:
    provenance = Provenance(pipeline="0.1", engine="e", engine_version="1", engine_digest="0" * 64)
    return SpineReading(
        series=(),
        source=SOURCE,
        provenance=provenance,
        vertebrae=vertebrae,
        gates=gates,
        numbering=Numbering.ANCHORED if vertebrae else Numbering.NONE,
    )


L1 = Vertebra(
    number=1,
    level=Level.L1,
    confidence=0.987,
    complete=True,
    centroid=(0, 0, 0),
    results={
        "heights": Heights(anterior=mm(20.04), middle=mm(22.5), posterior=mm(27.0)),
        "deformity": Deformity(
            height_loss=Measured(value=25.8, unit="%"),
            grade=2,
            area_loss=Measured(value=12.34, unit="%", uncertainty=3.0),
        ),
        "density": Density(mean=hu(132.4), median=hu(130), deviation=hu(20), volume=cm3(3.25), voxels=900),
    },
)
L2 = Vertebra(
    number=2,
    level=Level.L2,
    alternative=Level.L1,
    confidence=0.6,
    complete=False,
    centroid=(0, 0, -30),
    results={"heights": CUT, "deformity": CUT, "density": CONTRAST},
)


def test_numbers_stand_in_their_columns_and_withheld_ones_have_a_reason_below() -> None:
    lines = reading_text(reading(L1, L2)).splitlines()
    assert lines[0].split() == ["Level", "Sure", "%", "Ha", "Hm", "Hp", "mm", "Loss", "%", "Grade", "HU", "SD", "Note"]
    assert lines[1].split() == ["▲", "L1", "99", "20.0", "22.5", "27.0", "26", "2", "moderate", "132", "20"]
    assert lines[2].split() == ["L2", "(L1?)", "60", "–", "–", "–", "–", "–", "–", "–", "1,", "2"]
    assert "  1: Heights withheld: the border of the volume cuts it" in lines
    assert "  2: Density withheld: contrast was given" in lines
    assert "numbering: anchored" in lines
    assert lines[-1].startswith("Research use only")


def test_the_finding_is_said_in_words_below_the_table() -> None:
    lines = reading_text(reading(L1, L2)).splitlines()
    assert "  Vertebral fracture: L1 moderate (Genant 2)." in lines


def test_details_hold_what_the_table_does_not() -> None:
    brief, whole = reading_text(reading(L1, L2)), reading_text(reading(L1, L2), details=True)
    assert "12.3 ± 3.0 %" not in brief
    assert "12.3 ± 3.0 %" in whole
    assert "3.25 cm3" in whole


def test_gates_are_shown_with_their_reasons() -> None:
    gate = Gate(code="kvp", outcome=Outcome.WITHHOLD, reason="Tube voltage 80 kV.", applies_to="density")
    assert "  Withheld: density. Tube voltage 80 kV. (kvp)" in reading_text(reading(L1, gates=(gate,))).splitlines()


def test_a_reading_without_vertebrae_says_so() -> None:
    assert "No vertebra was found" in reading_text(reading())
