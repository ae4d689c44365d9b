"""What goes wrong with spines and with scans, done to a phantom on purpose.

Fractures change the parameters, metal and cement the rendered volume, a tube voltage the CT numbers,
and the losses of a network or a scanner the stack of slices.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.anatomy import Level
from operators.fractures.results import Shape
from tests.phantoms.anatomy.shapes import Blade, Ellipsoid, Solid, Vector, vector
from tests.phantoms.anatomy.typical import arch_shape
from tests.phantoms.render import Grid, Material, Part, slabs
from tests.phantoms.spine import Fracture, SpinePhantom
from tests.phantoms.stack import Plane, SliceStack
from tests.phantoms.truth import Phantom


def broken(spine: SpinePhantom, level: Level, shape: Shape, loss: float) -> SpinePhantom:
    """The same spine with a fracture of one more vertebra; ``loss`` is a fraction of its own height."""
    return replace(spine, fractures={**spine.fractures, level: Fracture(shape, loss)})


def with_screws(phantom: Phantom, levels: Iterable[Level], hu: float = 6000.0, streak: float = 250.0) -> Phantom:
    """Pedicle screws in both pedicles of these levels, with streaks in the slices that they cross.

    Args:
        phantom: A rendered phantom; its truth stays that of the bone.
        levels: Levels in the volume.
        hu: CT number of the metal.
        streak: Deviation of the streaks beside a screw, HU; it fades with the distance.
    """
    parts, metal = [], np.zeros(phantom.volume.spatial_shape, np.float32)
    for level in levels:
        vertebra = phantom.vertebra(level)
        a, body = arch_shape(level), vertebra.body
        x, back = (a.canal_width + a.pedicle_width) / 2, -body.shape.depth / 2
        height = body.line_height / 2 - a.pedicle_height / 2 - 1.5
        solids: list[Solid] = []
        for side in (1, -1):
            tip = vector(side * (x - 6), back + 0.75 * body.shape.depth, height)
            head = vector(side * (x + 5), back - a.canal_depth - 9, height)
            solids += [Blade(head, tip, (2.8, 2.4)), Ellipsoid(head, (6.0, 6.0, 6.0))]
        parts.append(Part(solids, Material(hu), frame=vertebra.frame))
    bare = painted(metal, phantom, [replace(p, material=Material(1.0)) for p in parts])
    volume = phantom.volume.with_array(painted(phantom.volume.array, phantom, parts) + streak * _streaks(bare, phantom))
    return replace(phantom, volume=volume)


def with_cement(phantom: Phantom, level: Level, hu: float = 1800.0) -> Phantom:
    """Bone cement in the anterior half of a body, as after a vertebroplasty."""
    vertebra = phantom.vertebra(level)
    rng = np.random.default_rng(vertebra.number)
    s, tall = vertebra.body.shape, vertebra.body.line_height
    solids: list[Solid] = []
    for side in (1, -1):
        for _ in range(4):
            centre = vector(side * 0.2 * s.width, 0.12 * s.depth, 0) + rng.normal(0, 0.06, 3) * s.depth
            radius = rng.uniform(0.12, 0.2, 3) * min(s.depth, tall)
            solids.append(Ellipsoid(centre, (float(radius[0]), float(radius[1]), float(radius[2]))))
    part = Part(solids, Material(hu), frame=vertebra.frame, blend=2.0)
    return replace(phantom, volume=phantom.volume.with_array(painted(phantom.volume.array, phantom, [part])))


def painted(hu: NDArray[np.floating], phantom: Phantom, parts: list[Part]) -> NDArray[np.float32]:
    """Paint parts, whose frames are in LPS, over a volume of CT numbers on the phantom's grid."""
    affine: Vector = phantom.volume.affine
    grid = Grid(affine, phantom.volume.spatial_shape, phantom.slice_thickness)
    out = np.empty(hu.shape, np.float32)
    for slab in slabs(grid, finest=0.75):
        here = slice(slab.first, slab.last)
        slab.load(hu[here])
        for part in parts:
            slab.paint(part)
        out[here] = slab.averaged()
    return out


def _streaks(metal: NDArray[np.float32], phantom: Phantom) -> NDArray[np.float32]:
    """Rays of alternating sign from every piece of metal, by slice, about one beside the metal."""
    out = np.zeros_like(metal)
    rows, columns = np.mgrid[: metal.shape[1], : metal.shape[2]].astype(np.float32)
    pixel = float(np.sqrt(np.prod(phantom.volume.pixel_spacing)))
    for index, plane in enumerate(metal):
        pieces, count = ndimage.label(plane > 0.5)
        for i, j in ndimage.center_of_mass(pieces > 0, pieces, range(1, count + 1)):
            radius, angle = np.hypot(rows - i, columns - j) * pixel, np.arctan2(rows - i, columns - j)
            out[index] += np.cos(9 * angle + 0.3 * index) * np.exp(-radius / 35)
    return np.where(metal > 0.5, 0, out)


CALCIUM_GAIN = {80: 1 / 0.69, 100: 1 / 0.85, 120: 1.0, 140: 1 / 1.13}
"""HU of bone mineral relative to 120 kV, bare aluminium filtration (docs/science.md §2.5)."""


def at_kvp(phantom: Phantom, kvp: int) -> Phantom:
    """The same patient at another tube voltage: the mineral part of the CT numbers grows or shrinks.

    Args:
        phantom: Rendered at 120 kV.
        kvp: One of 80, 100, 120, 140. The vertebrae's true HU stay those at 120 kV.

    Raises:
        KeyError: No gain is known for this voltage.
    """
    hu = phantom.volume.array
    mineral = np.maximum(hu - 60.0, 0) * (CALCIUM_GAIN[kvp] - 1)
    volume = phantom.volume.with_array((hu + mineral).astype(np.float32))
    return replace(phantom, volume=volume, kvp=float(kvp))


def shifted(phantom: Phantom, offset: float) -> Phantom:
    """A scanner whose CT numbers are all off by ``offset`` HU."""
    return replace(phantom, volume=phantom.volume.with_array(phantom.volume.array + np.float32(offset)))


def without_slices(stack: SliceStack, indices: Iterable[int]) -> SliceStack:
    """The stack without some slices: the rest keeps its positions, so there is a gap."""
    lost = set(indices)
    return stack.taking([i for i in range(stack.count) if i not in lost])


def with_duplicates(stack: SliceStack, indices: Iterable[int]) -> SliceStack:
    """The stack with some slices sent twice, as instances of their own, at its end."""
    return stack.taking([*range(stack.count), *indices])


def tilted_gantry(volume: hd.Volume, degrees: float) -> SliceStack:
    """What a scanner makes with a tilted gantry: oblique slices whose origins lie along the table.

    Args:
        volume: CT numbers, axes along the patient's.
        degrees: Rotation of the slices about the x axis; the first pixels stay on a vertical line.
    """
    stack = SliceStack.of(volume, Plane.AXIAL)
    angle = np.radians(degrees)
    down = vector(0, np.cos(angle), np.sin(angle))
    height = stack.pixel_spacing[0]
    planes = np.empty(stack.hu.shape, np.float32)
    upright = volume.to_patient_orientation(Plane.AXIAL.value)
    rows, columns = np.mgrid[: stack.hu.shape[1], : stack.hu.shape[2]]
    # Turn about the middle row: there the slice stays where it was.
    middle = (stack.hu.shape[1] - 1) / 2
    start = vector(0, middle * height, 0) - middle * height * down
    positions = stack.positions + start
    inverse = upright.inverse_affine
    across = vector(*stack.orientation[:3]) * stack.pixel_spacing[1]
    for index, origin in enumerate(positions):
        points = origin + rows[..., None] * (height * down) + columns[..., None] * across
        places = points @ inverse[:3, :3].T + inverse[:3, 3]
        planes[index] = ndimage.map_coordinates(
            upright.array, np.moveaxis(places, -1, 0), order=1, mode="constant", cval=-1024
        )
    return replace(
        stack,
        hu=planes,
        positions=positions,
        orientation=(*stack.orientation[:3], *(float(v) for v in down)),
        gantry_tilt=degrees,
    )
