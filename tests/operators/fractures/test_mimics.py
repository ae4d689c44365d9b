"""Other explanations of a shape, from numbers alone; those in images are in test_fracture_bad_input."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.anatomy import Level
from operators.body.discs import DiscSpace
from operators.fractures.grading import Expectation, HeightTriple, grade_heights
from operators.fractures.mimics import Evidence, name_mimics
from operators.fractures.results import Endplate, EndplateForm, Endplates, MimicCode
from operators.reading.quantity import Measured


def plate(form: EndplateForm = EndplateForm.EVEN, dent: float = 0.3) -> Endplate:
    depth = Measured(value=1.0, unit="mm", uncertainty=0.2)
    return Endplate(depth=depth, focal_depth=Measured(value=dent, unit="mm", uncertainty=0.2), form=form)


EVEN = Endplates(superior=plate(), inferior=plate())
DENTED = Endplates(superior=plate(EndplateForm.FOCAL, 4.0), inferior=plate())
ONE_SUNK = Endplates(superior=plate(EndplateForm.CONCAVE), inferior=plate())


def evidence(
    level: Level,
    heights: tuple[float, float, float],
    endplates: Endplates = EVEN,
    posterior: float | None = None,
    depth: float = 20.0,
) -> Evidence:
    three = HeightTriple(*heights)
    grading = grade_heights(three, Expectation(middle_ratio=0.95, posterior=posterior))
    return Evidence(level=level, heights=three, depth=depth, grading=grading, endplates=endplates)


def codes(spine: list[Evidence], level: Level) -> set[MimicCode]:
    return {mimic.code for mimic in name_mimics(spine)[level]}


def wedged(degrees_tangent: float, endplates: Endplates = EVEN) -> list[Evidence]:
    """T7 to T9, each lower in front by this share of the depth of 20 mm."""
    front = 20.0 - degrees_tangent * 20.0
    return [evidence(level, (front, 19.0, 20.0), endplates) for level in (Level.T7, Level.T8, Level.T9)]


def test_three_wedged_neighbours_with_a_dent_may_be_scheuermann() -> None:
    """6 degrees: tangent 0.105."""
    spine = wedged(0.105)
    spine[1] = replace(spine[1], endplates=DENTED)
    for one in spine:
        assert MimicCode.SCHEUERMANN in codes(spine, one.level)


@pytest.mark.parametrize("endplates", [EVEN, DENTED])
def test_slight_or_even_wedges_are_not(endplates: Endplates) -> None:
    """4 degrees with dents, and 6 degrees without."""
    spine = wedged(0.070, DENTED) if endplates is DENTED else wedged(0.105, EVEN)
    assert MimicCode.SCHEUERMANN not in codes(spine, Level.T8)


def test_a_gap_in_the_run_ends_it() -> None:
    spine = wedged(0.105, DENTED)
    spine[1] = replace(spine[1], level=Level.T10)
    assert MimicCode.SCHEUERMANN not in codes(spine, Level.T7)


def test_a_narrow_disc_beside_a_wedge_may_be_degeneration() -> None:
    low = DiscSpace(height=2.5, is_bone=False, is_bridged=False)
    one = replace(evidence(Level.T8, (17.0, 18.0, 20.0)), below=low, discs=(5.5, 6.0, 6.2))
    assert codes([one], Level.T8) == {MimicCode.DEGENERATIVE}
    assert codes([replace(one, discs=(4.0, 4.2, 4.5))], Level.T8) == set()


def test_all_heights_low_with_even_plates_may_be_a_short_vertebra() -> None:
    short = evidence(Level.L2, (18.5, 17.8, 18.5), posterior=25.0)
    assert codes([short], Level.L2) == {MimicCode.SHORT}
    assert codes([replace(short, endplates=ONE_SUNK)], Level.L2) == set()


def test_a_loss_of_half_the_height_is_no_short_vertebra() -> None:
    assert codes([evidence(Level.L2, (13.0, 12.5, 13.0), posterior=25.0)], Level.L2) == set()


@pytest.mark.parametrize(("middle", "expected"), [(17.0, {MimicCode.SCHMORL}), (12.0, set())])
def test_one_sunken_plate_asks_the_question_below_a_severe_loss(middle: float, expected: set[MimicCode]) -> None:
    assert codes([evidence(Level.L3, (25.0, middle, 25.0), ONE_SUNK)], Level.L3) == expected


def test_a_sentence_names_the_dent_and_its_depth() -> None:
    (mimic,) = name_mimics([evidence(Level.L3, (25.0, 24.0, 25.0), DENTED)])[Level.L3]
    assert mimic.code is MimicCode.SCHMORL
    assert "superior endplate 4.0 mm deep" in mimic.sentence
