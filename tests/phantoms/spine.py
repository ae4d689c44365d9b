"""A digital spine: everything about it is a parameter, so everything about it is known.

>>> phantom = SpinePhantom(levels=(Level.L1, Level.L3)).build(pixel_spacing=2.0, slice_spacing=3.0)
>>> [v.level.value for v in phantom.vertebrae if v.complete]
['L1', 'L2', 'L3']

The heights, axes and CT numbers that :class:`Phantom` gives are those of the construction, never read
back from voxels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import highdicom as hd
import numpy as np
from scipy import ndimage

from models.anatomy import Level, Region
from operators.fractures.results import Shape
from tests.phantoms.anatomy.body import Body
from tests.phantoms.anatomy.bones import Bones, Cortex
from tests.phantoms.anatomy.column import Curves, Placement, stand
from tests.phantoms.anatomy.organs import Organs
from tests.phantoms.anatomy.shapes import Array, Frame, Vector, vector
from tests.phantoms.anatomy.torso import Torso
from tests.phantoms.anatomy.typical import BODIES, BodyShape, trabecular_hu
from tests.phantoms.render import Grid, slabs
from tests.phantoms.truth import Phantom, VertebraTruth, centroid_of, contains

GRAIN = float(np.sqrt(np.square(ndimage.gaussian_filter(np.pad(np.ones((1, 1)), 8), 0.6, mode="wrap")).sum()))
"""Deviation that white noise of deviation one keeps after the grain filter of 0.6 pixels."""

COLUMN = tuple(x for x in Level if x.rank >= Level.C7.rank and x not in (Level.T13, Level.L6))
"""The usual column that is drawn, from C7 to the sacrum."""


@dataclass(frozen=True)
class Fracture:
    """A deformity of one body.

    Attributes:
        shape: Wedge lowers Ha by ``loss`` and Hm by half of it; biconcave lowers Hm; crush lowers all.
        loss: Fraction of the height that is lost, 0…1, against the same vertebra unbroken.
    """

    shape: Shape
    loss: float

    def applied(self, shape: BodyShape) -> BodyShape:
        """The broken body."""
        a, m, p = shape.anterior, shape.middle, shape.posterior
        kept = 1 - self.loss
        if self.shape is Shape.WEDGE:
            return shape.with_heights(kept * a, (1 - self.loss / 2) * m, p)
        if self.shape is Shape.BICONCAVE:
            return shape.with_heights(a, kept * m, p)
        return shape.with_heights(kept * a, kept * m, kept * p)


@dataclass(frozen=True)
class Pose:
    """How the patient lies in the scanner.

    Attributes:
        rotation: Degrees about the x, y and z axes (LPS), applied in this order.
        shift: Where the middle of the sacral endplate lies, LPS mm.
    """

    rotation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def matrix(self) -> Vector:
        """Rotation from the frame of the patient's construction to LPS, 3 by 3."""
        x, y, z = np.radians(self.rotation)
        rx = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
        ry = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
        rz = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
        matrix: Vector = rz @ ry @ rx
        return matrix

    def placed(self, points: Vector) -> Vector:
        """Points of the construction in LPS."""
        out: Vector = np.asarray(points) @ self.matrix.T + np.array(self.shift)
        return out


@dataclass(frozen=True)
class SpinePhantom:
    """The parameters of a phantom; :meth:`build` renders it.

    Attributes:
        levels: First and last vertebra that the field of view shows whole; the column goes on beyond.
        column: The vertebrae from head to feet, ending in S1; with T13 or L6, or without L5, it is a
            spine with a transitional vertebra.
        seed: Decides texture, noise and bowel.
        size: Scale of the patient.
        curves: Lordosis, kyphosis, scoliosis.
        bodies: Shapes that differ from the typical ones, before any fracture.
        fractures: Deformities by level.
        trabecular: Mean HU of the spongiosa where it differs from the typical one.
        trabecular_shift: Added to every spongiosa, HU: an osteoporotic or a dense spine.
        texture: Standard deviation of the spongiosa's texture, HU.
        veins: Depth of the basivertebral veins' low density in the posterior middle of a body, HU.
        cortex: The shell of the bones.
        ribs: True to draw ribs on the thoracic vertebrae.
        aorta_hu: CT number in the aorta; the organs brighten with it.
        fat: Thickness of the subcutaneous fat, mm.
        table: True to draw the table.
        noise: Standard deviation of the noise, HU.
        blur: In-plane full width at half maximum of the scanner's point spread, mm.
        pose: How the patient lies.
        kvp: Tube voltage for the header; it does not change the CT numbers, see ``damage.at_kvp``.
    """

    levels: tuple[Level, Level] = (Level.T10, Level.S1)
    column: tuple[Level, ...] = COLUMN
    seed: int = 0
    size: float = 1.0
    curves: Curves = field(default_factory=Curves)
    bodies: Mapping[Level, BodyShape] = field(default_factory=dict)
    fractures: Mapping[Level, Fracture] = field(default_factory=dict)
    trabecular: Mapping[Level, float] = field(default_factory=dict)
    trabecular_shift: float = 0.0
    texture: float = 22.0
    veins: float = 45.0
    cortex: Cortex = field(default_factory=Cortex)
    ribs: bool = True
    aorta_hu: float = 45.0
    fat: float = 20.0
    table: bool = True
    noise: float = 12.0
    blur: float = 0.9
    pose: Pose = field(default_factory=Pose)
    kvp: float = 120.0

    def unbroken(self, level: Level) -> BodyShape:
        """The shape of a vertebra before any fracture."""
        return self.bodies.get(level, BODIES[level].scaled(self.size))

    def _body(self, level: Level, broken: bool) -> Body:
        shape = self.unbroken(level)
        lumbar = level.region in "LS"
        body = Body(shape, squareness=2.5 if lumbar else 2.1, waist=(2.4 if lumbar else 1.8) * self.size)
        fracture = self.fractures.get(level)
        if fracture is None or not broken:
            return body
        # A broken superior endplate takes most of the added concavity.
        share = 0.62 if fracture.shape is Shape.BICONCAVE else body.superior_share
        return replace(body, shape=fracture.applied(shape), superior_share=share)

    def placements(self) -> tuple[Placement, ...]:
        """The column in the frame of the construction: origin in the middle of the sacral endplate."""
        normal = {x: self._body(x, broken=False) for x in self.column}
        actual = {x: self._body(x, broken=True) for x in self.column}
        return stand(self.column, normal, actual, self.curves, self.size)

    def torso(self) -> Torso:
        """The trunk around the column."""
        return Torso(self.placements(), self.size, self.fat, liver_hu=58.0 + 0.35 * max(0.0, self.aorta_hu - 45.0))

    def trabecular_hu(self, level: Level) -> float:
        """Mean CT number of a vertebra's spongiosa, HU."""
        return self.trabecular.get(level, trabecular_hu(level) + self.trabecular_shift)

    def grid(
        self,
        pixel_spacing: float = 1.0,
        slice_spacing: float = 1.5,
        slice_thickness: float | None = None,
        field_of_view: tuple[float, float] | None = None,
        tilt: float = 0.0,
        margin: float = 12.0,
    ) -> Grid:
        """An axial grid around ``levels``.

        Args:
            pixel_spacing, slice_spacing: mm.
            slice_thickness: mm; the slice spacing when not given.
            field_of_view: Width and height of a slice, mm; the whole body when not given, else centred
                on the spine.
            tilt: Rotation of the slices about the x axis, degrees.
            margin: How far the grid reaches beyond the first and last vertebra, mm.
        """
        placed = {p.level: p for p in self.placements()}
        first, last = placed[self.levels[0]], placed[self.levels[1]]
        corners = [self.pose.placed(p.frame.to_patient(c)) for p in (first, last) for c in _corners(p)]
        spine = np.array(corners)
        top, bottom = spine[:, 2].max() + margin, spine[:, 2].min() - margin
        if self.levels[1] is Level.S1:
            bottom -= 30 * self.size
        torso = self.torso()
        a, b, c = torso.skin(np.linspace(-60, 430, 50) * self.size)
        if field_of_view is None:
            width, height = 2 * a.max() + 24, 2 * b.max() + 64
            centre = self.pose.placed(vector(0, float(np.median(c)) + 12, (top + bottom) / 2))
        else:
            width, height = field_of_view
            centre = (spine.min(axis=0) + spine.max(axis=0)) / 2
        columns, rows = round(width / pixel_spacing), round(height / pixel_spacing)
        slices = int(np.ceil((top - bottom) / slice_spacing)) + 1
        angle = np.radians(tilt)
        affine = np.eye(4)
        affine[:3, 0] = slice_spacing * vector(0, -np.sin(angle), -np.cos(angle))
        affine[:3, 1] = pixel_spacing * vector(0, np.cos(angle), -np.sin(angle))
        affine[:3, 2] = pixel_spacing * vector(1, 0, 0)
        middle = vector(centre[0], centre[1], (top + bottom) / 2)
        affine[:3, 3] = middle - affine[:3, :3] @ ((np.array([slices, rows, columns]) - 1) / 2)
        affine[:3, 3] = np.round(affine[:3, 3], 3)
        return Grid(affine, (slices, rows, columns), slice_thickness or slice_spacing)

    def build(
        self,
        pixel_spacing: float = 1.0,
        slice_spacing: float = 1.5,
        slice_thickness: float | None = None,
        field_of_view: tuple[float, float] | None = None,
        tilt: float = 0.0,
        margin: float = 12.0,
    ) -> Phantom:
        """Render the phantom on the grid that :meth:`grid` makes of the same arguments."""
        return self.render(self.grid(pixel_spacing, slice_spacing, slice_thickness, field_of_view, tilt, margin))

    def render(self, grid: Grid) -> Phantom:
        """Render the phantom on a given grid."""
        volume = _volume(np.zeros(grid.shape, np.float32), grid)
        shown, sacrum = self._truth(volume)
        numbers = {v.level: v.number for v in shown}
        own = replace(grid, affine=_inverse(self.pose) @ grid.affine)
        torso = self.torso()
        organs = Organs(torso, self.aorta_hu, self.table, self.seed)
        parts = [*organs.parts(), *self._bones().parts(torso, numbers)]
        labels = np.zeros(grid.shape, np.uint8)
        regions = np.zeros(grid.shape, np.uint8)
        hu = volume.array
        for slab in slabs(own, finest=0.75):
            here = slice(slab.first, slab.last)
            slab.start(torso.background)
            for part in parts:
                slab.paint(part)
            hu[here], labels[here], regions[here] = slab.averaged(), slab.labels, slab.regions
        regions[(labels == 0) & np.isin(regions, (Region.BODY, Region.POSTERIOR_ELEMENTS))] = 0
        self._scan(hu, grid)
        return Phantom(
            volume=_volume(hu, grid),
            labels=_volume(labels, grid),
            regions=_volume(regions, grid),
            vertebrae=shown,
            sacrum=sacrum,
            slice_thickness=grid.thickness,
            noise=self.noise,
            kvp=self.kvp,
        )

    def _bones(self) -> Bones:
        return Bones(
            column=self.placements(),
            trabecular={x: self.trabecular_hu(x) for x in self.column},
            cortex=self.cortex,
            texture=self.texture,
            veins=self.veins,
            ribs=self.ribs,
            size=self.size,
            seed=self.seed,
        )

    def _truth(self, volume: hd.Volume) -> tuple[tuple[VertebraTruth, ...], VertebraTruth | None]:
        found: list[VertebraTruth] = []
        for placement in self.placements():
            f = placement.frame
            frame = Frame(self.pose.placed(f.origin), f.axes @ self.pose.matrix.T)
            centroid = centroid_of(placement.body, frame)
            if not contains(volume, np.array(centroid)):
                continue
            found.append(
                VertebraTruth(
                    level=placement.level,
                    number=len(found) + 1,
                    body=placement.body,
                    frame=frame,
                    centroid=centroid,
                    trabecular_hu=self.trabecular_hu(placement.level),
                    complete=contains(volume, np.stack([frame.to_patient(c) for c in _corners(placement)])),
                )
            )
        sacrum = next((v for v in found if v.level is Level.S1), None)
        return tuple(v for v in found if v.level is not Level.S1), sacrum

    def _scan(self, hu: Array, grid: Grid) -> None:
        """The scanner: point spread and noise, in place."""
        for plane in hu:
            if self.blur > 0:
                plane[:] = ndimage.gaussian_filter(plane, self.blur / 2.3548 / grid.pixel, mode="nearest")
        rng = np.random.default_rng([self.seed, 1])
        for plane in hu:
            if self.noise > 0:
                grain = ndimage.gaussian_filter(rng.standard_normal(plane.shape, np.float32), 0.6, mode="wrap")
                plane += grain * np.float32(self.noise / GRAIN)
        np.clip(hu, -1024, 3071, out=hu)


def _corners(placement: Placement) -> list[Vector]:
    s = placement.body.shape
    return [
        vector(u, v, w)
        for u in (-s.width / 2, s.width / 2)
        for v in (-s.depth / 2, s.depth / 2)
        for w in placement.body.plates_at(u, v)
    ]


def _inverse(pose: Pose) -> Vector:
    """From LPS to the frame of the construction, 4 by 4."""
    matrix = np.eye(4)
    matrix[:3, :3] = pose.matrix.T
    matrix[:3, 3] = -pose.matrix.T @ np.array(pose.shift)
    return matrix


def _volume(array: np.ndarray, grid: Grid) -> hd.Volume:
    return hd.Volume(array, grid.affine, coordinate_system="PATIENT")
