"""Rods of built slabs: found by themselves, measured where they are marked, refused where they are not rods."""

from __future__ import annotations

import pytest

from operators.density.calibration import PHANTOMS
from operators.density.phantom_rods import find_rods, measure_rods
from operators.reading.errors import PermanentError
from tests.phantoms.density_slab import DensitySlab

B_MAS = PHANTOMS["b-mas-200"]
B_MAS_HU = (30.0, 100.0, 170.0, 240.0, 310.0)
"""1.4 HU per mg/cm3 and 30 HU of offset, at 0, 50, 100, 150, 200 mg/cm3."""
MINDWAYS_HU = tuple(
    water + 1.55 * mineral - 996.0
    for mineral, water in ((-51.83, 1012.25), (-53.40, 1056.95), (58.88, 1103.57), (157.05, 1119.52), (375.83, 923.20))
)


def test_rods_of_hydroxyapatite_are_found_in_any_order() -> None:
    slab = DensitySlab((170.0, 30.0, 310.0, 100.0, 240.0), base=-60.0)
    found = find_rods(slab.build(), B_MAS)
    assert [rod.hounsfield for rod in found.rods] == pytest.approx(B_MAS_HU, abs=1.0)
    assert found.fit.slope == pytest.approx(1 / 1.4, rel=0.01)
    assert found.fit.intercept == pytest.approx(-30 / 1.4, abs=1.0)
    columns = dict(zip(slab.rods, (column for column, _ in slab.centres()), strict=True))
    assert [rod.column for rod in found.rods] == pytest.approx([columns[hu] for hu in B_MAS_HU], abs=1.0)


def test_rods_of_mindways_are_found() -> None:
    found = find_rods(DensitySlab(MINDWAYS_HU, base=120.0).build(), PHANTOMS["mindways"])
    assert [rod.hounsfield for rod in found.rods] == pytest.approx(MINDWAYS_HU, abs=1.0)
    assert found.fit.slope == pytest.approx(1 / (1.55 - 0.2174), rel=0.01)
    assert found.fit.intercept == pytest.approx(-3.6 / (1.55 - 0.2174), abs=1.0)


def test_marked_rods_need_no_contrast_to_the_slab() -> None:
    slab = DensitySlab(B_MAS_HU, base=30.0)
    with pytest.raises(PermanentError, match="4 round even spots"):
        find_rods(slab.build(), B_MAS)
    found = measure_rods(slab.build(), B_MAS, slab.centres())
    assert found.fit.slope == pytest.approx(1 / 1.4, rel=0.01)


def test_a_place_outside_of_a_rod_is_refused() -> None:
    slab = DensitySlab(B_MAS_HU)
    *others, (column, row) = slab.centres()
    with pytest.raises(PermanentError, match="does not lie inside a rod"):
        measure_rods(slab.build(), B_MAS, [*others, (column + slab.radius / slab.pixel, row)])
    with pytest.raises(PermanentError, match="5 rods, 4 places"):
        measure_rods(slab.build(), B_MAS, others)


def test_another_phantom_does_not_fit() -> None:
    with pytest.raises(PermanentError) as caught:
        find_rods(DensitySlab((30.0, 40.0, 310.0)).build(), PHANTOMS["image-analysis"])
    assert caught.value.code == "rods-not-found"


def test_two_rods_are_never_guessed() -> None:
    with pytest.raises(PermanentError, match="any two spots would fit"):
        find_rods(DensitySlab((0.0, 280.0)).build(), PHANTOMS["siemens-osteo"])
