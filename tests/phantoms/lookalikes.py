"""What can look like an osteoporotic fracture or hide one, painted into a rendered phantom.

The phantom's truth stays that of the bone before.
"""

from __future__ import annotations

from dataclasses import replace

from models.anatomy import Level
from tests.phantoms.anatomy.shapes import Blade, Ellipsoid, Solid, vector
from tests.phantoms.damage import painted
from tests.phantoms.render import Material, Part
from tests.phantoms.truth import Phantom


def with_metastasis(phantom: Phantom, level: Level, hu: float = -20.0) -> Phantom:
    """A lesion that fills most of a body: lytic with a low CT number, sclerotic with a high one."""
    vertebra = phantom.vertebra(level)
    s = vertebra.body.shape
    reach = (0.40 * s.width, 0.38 * s.depth, 0.40 * vertebra.body.line_height)
    return _with(phantom, [Part([Ellipsoid(vector(0, 0, 0), reach)], Material(hu), frame=vertebra.frame)])


def with_bone_bridge(phantom: Phantom, upper: Level, lower: Level, whole_disc: bool = False) -> Phantom:
    """Bone from body to body in front of the disc, as in DISH; with ``whole_disc`` in its place, too."""
    above, below = phantom.vertebra(upper), phantom.vertebra(lower)
    s = above.body.shape
    low = vector(0, 0.5 * s.depth, -0.42 * above.body.line_height)
    corner = vector(0, 0.5 * below.body.shape.depth, 0.42 * below.body.line_height)
    high = above.frame.to_local(below.frame.to_patient(corner))
    solids: list[Solid] = [Blade(low + vector(u, 1, 0), high + vector(u, 1, 0), (3.5, 3.5)) for u in (-8, 0, 8)]
    if whole_disc:
        middle = above.frame.to_local(below.frame.origin) / 2
        solids.append(Ellipsoid(middle, (0.5 * s.width, 0.5 * s.depth, 9.0)))
    return _with(phantom, [Part(solids, Material(420.0), frame=above.frame, blend=2.0)])


def with_schmorl_node(phantom: Phantom, level: Level, deep: float = 6.0, wide: float = 8.0) -> Phantom:
    """A narrow dent, mm, in the superior endplate of a body, filled with disc and with a dense rim."""
    vertebra = phantom.vertebra(level)
    top = float(vertebra.body.plates_at(0.0, 0.0)[0])
    rim = Ellipsoid(vector(0, 0, top), (wide / 2 + 1.0, wide / 2 + 1.0, deep + 1.0))
    node = Ellipsoid(vector(0, 0, top), (wide / 2, wide / 2, deep))
    mouth = Ellipsoid(vector(0, 0, top + 4.5), (wide / 2 + 2.0, wide / 2 + 2.0, 4.3))
    shapes = ((rim, 650.0), (mouth, 80.0), (node, 80.0))
    return _with(phantom, [Part([solid], Material(hu), frame=vertebra.frame) for solid, hu in shapes])


def _with(phantom: Phantom, parts: list[Part]) -> Phantom:
    volume = phantom.volume.with_array(painted(phantom.volume.array, phantom, parts))
    return replace(phantom, volume=volume)
