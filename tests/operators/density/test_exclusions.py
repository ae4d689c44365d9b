"""Every rule that keeps a level out, on a phantom that was built with exactly that, and on its sound neighbours."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from models.anatomy import Level
from operators.density.measure import measure_bone_density
from operators.density.results import DENSITY, Density
from operators.reading.quantity import Withheld
from tests.operators.measured_case import phantom_case
from tests.phantoms.damage import with_cement, with_screws
from tests.phantoms.lesions import with_focus, with_haemangioma, with_schmorl_node
from tests.phantoms.spine import SpinePhantom
from tests.phantoms.truth import Phantom

ILL = Level.L2
SHOWN = (Level.T12, Level.L1, Level.L2, Level.L3)


@pytest.fixture(scope="module")
def sound() -> Phantom:
    """A middle-aged spine with texture and noise."""
    return SpinePhantom(levels=(Level.T12, Level.L3), noise=12.0, seed=4).build(0.9, 1.5, field_of_view=(130, 150))


def outcomes(phantom: Phantom) -> dict[Level, str]:
    """Level by level: ``measured``, or the code of the reason."""
    done = measure_bone_density(phantom_case(phantom))
    found: dict[Level, str] = {}
    for vertebra in done.reading.vertebrae:
        density = vertebra.of(DENSITY)
        if vertebra.level in SHOWN:
            found[vertebra.level] = density.code if isinstance(density, Withheld) else "measured"
            assert isinstance(density, Density | Withheld)
            assert not isinstance(density, Withheld) or density.reason.endswith(".")
    return found


def test_a_sound_spine_is_measured_throughout(sound: Phantom) -> None:
    assert outcomes(sound) == dict.fromkeys(SHOWN, "measured")


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda p: with_focus(p, ILL, 4.5, 700.0), "bone-island"),
        (lambda p: with_focus(p, ILL, 7.0, 20.0), "lesion"),
        (lambda p: with_focus(p, ILL, 7.0, 330.0), "lesion"),
        (lambda p: with_focus(p, ILL, 13.0, 60.0, (0.0, 2.0, 0.0)), "lesion"),
        (lambda p: with_haemangioma(p, ILL), "haemangioma"),
        (lambda p: with_schmorl_node(p, ILL), "schmorl"),
        (lambda p: with_schmorl_node(p, ILL, outlined=False), "lesion"),
    ],
    ids=["bone island", "lytic", "sclerotic", "whole body lytic", "haemangioma", "Schmorl node", "node in the mask"],
)
def test_one_ill_body_is_withheld_and_its_neighbours_are_not(
    sound: Phantom, damage: Callable[[Phantom], Phantom], code: str
) -> None:
    assert outcomes(damage(sound)) == {**dict.fromkeys(SHOWN, "measured"), ILL: code}


def test_cement_takes_its_direct_neighbours_with_it(sound: Phantom) -> None:
    found = outcomes(with_cement(sound, Level.L3))
    assert found == {Level.T12: "measured", Level.L1: "measured", Level.L2: "cement", Level.L3: "cement"}


def test_screws_withhold_what_lies_within_three_centimetres(sound: Phantom) -> None:
    found = outcomes(with_screws(sound, [Level.L3]))
    assert (found[Level.L2], found[Level.L3]) == ("metal", "metal")
    assert found[Level.T12] == "measured"


def test_a_shallow_dent_leaves_the_level_in(sound: Phantom) -> None:
    assert outcomes(with_schmorl_node(sound, ILL, depth=2.5, radius=3.0))[ILL] == "measured"
