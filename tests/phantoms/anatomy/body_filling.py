"""A body filled as cement fills it, evenly: how dense and how much of it is known to the voxel's edge."""

from __future__ import annotations

from dataclasses import replace

from models.anatomy import Level
from tests.phantoms.anatomy.shapes import Ellipsoid, vector
from tests.phantoms.damage import painted
from tests.phantoms.render import Material, Part
from tests.phantoms.truth import Phantom


def filled(phantom: Phantom, level: Level, hu: float, share: float) -> Phantom:
    """An ellipsoid in the middle of a body.

    Args:
        phantom: A rendered phantom.
        level: In the volume.
        hu: CT number of what fills it.
        share: Diameters of the ellipsoid over width, depth and height of the body.
    """
    vertebra = phantom.vertebra(level)
    s = vertebra.body.shape
    reach = (0.5 * share * s.width, 0.5 * share * s.depth, 0.5 * share * vertebra.body.line_height)
    part = Part([Ellipsoid(vector(0, 0, 0), reach)], Material(hu), frame=vertebra.frame)
    return replace(phantom, volume=phantom.volume.with_array(painted(phantom.volume.array, phantom, [part])))
