"""Lesions inside vertebral bodies, painted over a rendered phantom; its truth stays that of the sound bone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.anatomy import Level
from tests.phantoms.anatomy.shapes import Ellipsoid, Solid, tube, vector
from tests.phantoms.damage import painted
from tests.phantoms.render import Material, Part
from tests.phantoms.truth import Phantom, VertebraTruth


def with_focus(
    phantom: Phantom, level: Level, radius: float, hu: float, place: tuple[float, float, float] = (4.0, 2.0, 1.0)
) -> Phantom:
    """A ball of another CT number: a bone island, a sclerotic or a lytic lesion.

    Args:
        phantom: A rendered phantom.
        level: In the volume.
        radius: mm.
        hu: CT number.
        place: Its centre in the vertebra's frame (left, anterior, cranial), mm.
    """
    ball = Ellipsoid(vector(*place), (radius, radius, radius))
    return _with(phantom, [_part(phantom.vertebra(level), [ball], hu)])


def with_haemangioma(
    phantom: Phantom, level: Level, hu: float = 20.0, strut: float = 320.0, apart: float = 4.0
) -> Phantom:
    """A haemangioma that fills most of a body: fatty tissue with thick vertical trabeculae.

    Args:
        phantom: A rendered phantom.
        level: In the volume.
        hu: CT number between the trabeculae.
        strut: CT number of the trabeculae.
        apart: Distance between them, mm.
    """
    vertebra = phantom.vertebra(level)
    s, tall = vertebra.body.shape, vertebra.body.line_height
    half = (0.42 * s.width, 0.40 * s.depth, 0.42 * tall)
    struts: list[Solid] = []
    for u in np.arange(-half[0], half[0] + 0.1, apart):
        for v in np.arange(-half[1], half[1] + 0.1, apart):
            reach = 1 - (u / half[0]) ** 2 - (v / half[1]) ** 2
            if reach > 0.05:
                z = half[2] * float(np.sqrt(reach))
                struts += tube(np.array([[u, v, -z], [u, v, z]]), np.full(2, 0.8))
    filling = _part(vertebra, [Ellipsoid(vector(0, 0, 0), half)], hu)
    return _with(phantom, [filling, _part(vertebra, struts, strut)])


def with_schmorl_node(
    phantom: Phantom, level: Level, depth: float = 10.0, radius: float = 5.0, *, outlined: bool = True
) -> Phantom:
    """A node of Schmorl in the superior endplate: disc with a sclerotic rim.

    Args:
        phantom: A rendered phantom.
        level: In the volume.
        depth: From the endplate to the floor of the node, mm.
        radius: mm.
        outlined: True where the maps follow the node, as a careful segmentation does.
    """
    vertebra = phantom.vertebra(level)
    top, _ = vertebra.body.plates_at(0.0, 0.0)
    path = np.array([[0.0, 0.0, top + 2.0], [0.0, 0.0, top - depth + radius]])
    rim = _part(vertebra, tube(path - vector(0, 0, 1.2), np.full(2, radius + 1.2)), 450.0)
    node = _part(vertebra, tube(path, np.full(2, radius)), 85.0)
    dented = _with(phantom, [rim, node])
    if not outlined:
        return dented
    shadow = replace(node, material=Material(1.0))
    inside = painted(np.zeros(phantom.volume.spatial_shape, np.float32), phantom, [shadow]) > 0.5
    own = inside & (phantom.labels.array == vertebra.number)
    return replace(
        dented,
        labels=phantom.labels.with_array(np.where(own, 0, phantom.labels.array).astype(np.uint8)),
        regions=phantom.regions.with_array(np.where(own, 0, phantom.regions.array).astype(np.uint8)),
    )


def _part(vertebra: VertebraTruth, solids: list[Solid], hu: float) -> Part:
    return Part(solids, Material(hu), frame=vertebra.frame)


def _with(phantom: Phantom, parts: list[Part]) -> Phantom:
    return replace(phantom, volume=phantom.volume.with_array(painted(phantom.volume.array, phantom, parts)))
