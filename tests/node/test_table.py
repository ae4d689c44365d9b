from __future__ import annotations

from models.anatomy import Level
from models.engine import Numbering
from node.table import reading_table
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
    heights=Heights(anterior=mm(20.04), middle=mm(22.5), posterior=mm(27.0)),
    deformity=Deformity(height_loss=Measured(value=25.8, unit="%"), grade=2),
    density=Density(mean=hu(132.4), median=hu(130), deviation=hu(20), volume=mm(3), voxels=900),
)
L2 = Vertebra(
    number=2,
    level=Level.L2,
    alternative=Level.L1,
    confidence=0.6,
    complete=False,
    centroid=(0, 0, -30),
    heights=CUT,
    deformity=CUT,
    density=CONTRAST,
)


def test_numbers_stand_in_their_columns_and_withheld_ones_have_a_reason_below() -> None:
    lines = reading_table(reading(L1, L2)).splitlines()
    assert lines[0].split() == ["level", "conf.", "Ha", "mm", "Hm", "mm", "Hp", "mm", "loss", "%", "grade", "HU"]
    assert lines[1].split() == ["L1", "0.99", "20.0", "22.5", "27.0", "25.8", "2", "132"]
    assert lines[2].split() == ["L2", "(L1?)", "0.60", "–", "–", "–", "–", "–", "–"]
    assert "– L2: the border of the volume cuts it" in lines
    assert "– L2: contrast was given" in lines
    assert lines[-2:] == ["numbering: anchored", "Research use only; not for clinical decisions."]


def test_gates_are_shown_with_their_reasons() -> None:
    gate = Gate(code="kvp", outcome=Outcome.WITHHOLD, reason="Tube voltage 80 kV.", applies_to="density")
    assert "withhold  kvp: Tube voltage 80 kV." in reading_table(reading(L1, gates=(gate,)))


def test_a_reading_without_vertebrae_says_so() -> None:
    assert reading_table(reading()).splitlines()[0] == "no vertebra was found"
