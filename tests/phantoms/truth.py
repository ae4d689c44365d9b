"""What is known of a phantom: the volume, the maps, and every vertebra as it was constructed."""

from __future__ import annotations

from dataclasses import dataclass

import highdicom as hd
import numpy as np

from models.anatomy import Anchor, Level
from models.engine import Numbering, SpineSegmentation, VertebraInstance
from tests.phantoms.anatomy.body import STATION, Body
from tests.phantoms.anatomy.shapes import Frame, Vector


@dataclass(frozen=True)
class VertebraTruth:
    """One vertebra as it was constructed. Points and directions are LPS, lengths mm.

    Attributes:
        level: Its name.
        number: Its value in the instance map, from 1 at the head.
        body: Its shape in its own frame.
        frame: Left, anterior and cranial axis and the origin, midway between the endplates' middles.
        centroid: Centre of gravity of the body.
        trabecular_hu: Mean CT number of its spongiosa, away from the basivertebral veins.
        complete: True where the whole body, with its endplates, lies inside the volume.
    """

    level: Level
    number: int
    body: Body
    frame: Frame
    centroid: tuple[float, float, float]
    trabecular_hu: float
    complete: bool

    @property
    def anterior(self) -> float:
        """Ha: height at 12.5 % of the depth from the anterior edge, mm."""
        return float(self.body.height(STATION * self.body.shape.depth))

    @property
    def posterior(self) -> float:
        """Hp: height at 12.5 % of the depth from the posterior edge, mm."""
        return float(self.body.height(-STATION * self.body.shape.depth))

    @property
    def middle(self) -> float:
        """Hm: smallest height over the central third of the depth, mm."""
        third = self.body.shape.depth / 6
        return float(self.body.height(np.linspace(-third, third, 401)).min())

    def height_at(self, fraction: float) -> float:
        """Height at a fraction of the depth from the anterior (0) to the posterior edge (1), mm."""
        return float(self.body.height((0.5 - fraction) * self.body.shape.depth))

    def line_at(self, fraction: float) -> tuple[Vector, Vector]:
        """Points on the superior and inferior endplate at a fraction of the depth, LPS."""
        v = (0.5 - fraction) * self.body.shape.depth
        top, bottom = self.body.plates_at(0.0, v)
        ends = np.array([[0.0, v, top], [0.0, v, bottom]])
        points = self.frame.to_patient(ends)
        return points[0], points[1]


@dataclass(frozen=True)
class Phantom:
    """A rendered phantom and its truth.

    Attributes:
        volume: CT numbers in HU, float32, shape (slices, rows, columns), slices from head to feet,
            rows from front to back, columns from right to left; the affine maps to LPS, mm.
        labels: Instance map on the same grid, uint8; zero outside the vertebrae in ``vertebrae``.
        regions: Map of :class:`models.anatomy.Region` values, uint8, same grid.
        vertebrae: The presacral vertebrae whose body has its centroid in the volume, head to feet; what is
            seen of others is background in both maps.
        sacrum: The first sacral body, where it is in the volume.
        slice_thickness: Extent of a voxel along the slice normal, mm.
        noise: Standard deviation of the noise, HU.
        kvp: Tube voltage for the header.
    """

    volume: hd.Volume
    labels: hd.Volume
    regions: hd.Volume
    vertebrae: tuple[VertebraTruth, ...]
    sacrum: VertebraTruth | None
    slice_thickness: float
    noise: float
    kvp: float

    def vertebra(self, level: Level) -> VertebraTruth:
        """The vertebra of a level.

        Raises:
            KeyError: It is not in the volume.
        """
        for vertebra in (*self.vertebrae, *([self.sacrum] if self.sacrum else [])):
            if vertebra.level is level:
                return vertebra
        raise KeyError(level.value)

    def segmentation(self) -> SpineSegmentation:
        """The truth in the form in which an engine gives its result."""
        anchors = [Anchor.SACRUM] if self.sacrum is not None else []
        levels = {v.level for v in self.vertebrae}
        if {Level.T12, Level.L1} <= levels or {Level.T13, Level.L1} <= levels:
            anchors.append(Anchor.LOWEST_RIB)
        instances = tuple(
            VertebraInstance(number=v.number, level=v.level, confidence=1.0, complete=v.complete, centroid=v.centroid)
            for v in self.vertebrae
        )
        named = Numbering.ANCHORED if anchors else Numbering.RELATIVE
        return SpineSegmentation(
            labels=self.labels,
            regions=self.regions,
            vertebrae=instances,
            numbering=named if instances else Numbering.NONE,
            anchors=tuple(anchors),
            margin=10.0 if anchors else 2.0,
        )


def centroid_of(body: Body, frame: Frame) -> tuple[float, float, float]:
    """Centre of gravity of a body, LPS."""
    x, y, z = frame.to_patient(body.centroid())
    return float(x), float(y), float(z)


def contains(volume: hd.Volume, points: Vector) -> bool:
    """True where all points (n, 3), LPS, lie between the outermost voxel centres of a volume."""
    index = volume.map_reference_to_indices(np.atleast_2d(points))
    return bool(((index >= 0.0) & (index <= np.array(volume.spatial_shape) - 1.0)).all())
