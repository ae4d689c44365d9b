"""Categories by rule; limits from docs/science.md §2.1, §2.6."""

from __future__ import annotations

import pytest

from models.anatomy import Level
from models.engine import Numbering
from operators.density.category import category_of, density_category
from operators.density.results import CATEGORY, Density, DensityCategory
from operators.density.sentences import sentences
from operators.reading.gate import Gate, Outcome
from operators.reading.provenance import Provenance
from operators.reading.quantity import Measured, Withheld
from operators.reading.reading import SpineReading
from operators.reading.source import SourceSeries
from operators.reading.vertebra import Vertebra

HU = "[hnsf'U]"
SOURCE = SourceSeries(
    study_uid="1",
    series_uid="2",
    frame_of_reference_uid=None,
    content_digest="0",
    slices=9,
    rows=9,
    columns=9,
    pixel_spacing=(1.0, 1.0),
    slice_spacing=1.0,
)
ENHANCED = Gate(code="contrast", outcome=Outcome.WARN, reason="Contrast-enhanced.", applies_to="category")


def reading(means: dict[Level, float], *gates: Gate, numbering: Numbering = Numbering.ANCHORED) -> SpineReading:
    vertebrae = tuple(
        Vertebra(
            number=i,
            level=level,
            confidence=1.0,
            complete=True,
            centroid=(0, 0, 0),
            results={
                "density": Density(
                    mean=Measured(value=mean, unit=HU),
                    median=Measured(value=mean, unit=HU),
                    deviation=Measured(value=20, unit=HU),
                    volume=Measured(value=3, unit="cm3"),
                    voxels=3000,
                )
            },
        )
        for i, (level, mean) in enumerate(means.items(), start=1)
    )
    made = Provenance(pipeline="0", engine="e", engine_version="0", engine_digest="0")
    return SpineReading(
        series=(), source=SOURCE, provenance=made, gates=gates, vertebrae=vertebrae, numbering=numbering
    )


@pytest.mark.parametrize(
    ("hu", "category"),
    [
        (99.9, "osteoporosis likely"),
        (100.0, "indeterminate"),
        (150.0, "indeterminate"),
        (150.1, "normal density likely"),
    ],
)
def test_limits(hu: float, category: str) -> None:
    assert category_of(hu) == category


def test_l1_decides() -> None:
    found = density_category(reading({Level.T12: 60.0, Level.L1: 170.0, Level.L2: 60.0}))
    assert isinstance(found, DensityCategory)
    assert (found.level, found.category, found.near_limit) == (Level.L1, "normal density likely", False)


def test_a_stand_in_is_named() -> None:
    found = density_category(reading({Level.T12: 104.0, Level.L2: 60.0}))
    assert isinstance(found, DensityCategory)
    assert found.near_limit
    assert "T12 stands in for L1" in (found.note or "")


def test_no_t_score_is_ever_given() -> None:
    found = density_category(reading({Level.L1: 70.0}))
    assert isinstance(found, DensityCategory)
    said = list(sentences(reading({Level.L1: 70.0}).with_result(CATEGORY, found)))
    assert "not a DXA T-score" in said[-1].text


def test_enhanced_low_counts_and_enhanced_high_does_not() -> None:
    low = density_category(reading({Level.L1: 80.0}, ENHANCED))
    high = density_category(reading({Level.L1: 180.0}, ENHANCED))
    assert isinstance(low, DensityCategory)
    assert low.category == "osteoporosis likely"
    assert isinstance(high, Withheld)
    assert high.code == "contrast"


def test_a_gate_on_the_category_withholds_it() -> None:
    gate = Gate(code="kvp", outcome=Outcome.WITHHOLD, reason="100 kV.", applies_to="category")
    found = density_category(reading({Level.L1: 80.0}, gate))
    assert found == Withheld(code="kvp", reason="100 kV.")


def test_ambiguous_numbering_needs_agreeing_neighbours() -> None:
    same = density_category(reading({Level.T12: 80.0, Level.L1: 70.0}, numbering=Numbering.AMBIGUOUS))
    other = density_category(reading({Level.T12: 120.0, Level.L1: 70.0}, numbering=Numbering.AMBIGUOUS))
    assert isinstance(same, DensityCategory)
    assert isinstance(other, Withheld)
    assert other.code == "numbering"


def test_nothing_measured_is_a_reason() -> None:
    found = density_category(reading({Level.T5: 80.0}))
    assert isinstance(found, Withheld)
    assert found.code == "no-level"
