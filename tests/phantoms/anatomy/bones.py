"""The bones, discs and the canal of a phantom as parts for the painter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from models.anatomy import Level, Region
from tests.phantoms.anatomy import arch
from tests.phantoms.anatomy.between import Canal, Disc
from tests.phantoms.anatomy.body import Body
from tests.phantoms.anatomy.column import Placement
from tests.phantoms.anatomy.shapes import Array, Frame, Solid
from tests.phantoms.anatomy.torso import Torso
from tests.phantoms.anatomy.typical import arch_shape
from tests.phantoms.render import Material, Part, Texture


@dataclass(frozen=True)
class Cortex:
    """The shell of the bones: thickness in mm of the body and of the posterior elements, and its HU."""

    body: float = 0.8
    posterior: float = 1.3
    hu: float = 850.0


@dataclass(frozen=True)
class Bones:
    """How the bones are drawn.

    Attributes:
        column: The vertebrae in their places.
        trabecular: Mean HU of the spongiosa by level.
        cortex: The shell.
        texture: Standard deviation of the spongiosa's texture, HU.
        veins: Depth of the basivertebral veins' low density, HU.
        ribs: True to draw ribs.
        size: Scale of the patient.
        seed: Of the texture.
    """

    column: tuple[Placement, ...]
    trabecular: Mapping[Level, float]
    cortex: Cortex
    texture: float
    veins: float
    ribs: bool
    size: float
    seed: int

    def parts(self, torso: Torso, numbers: Mapping[Level, int]) -> list[Part]:
        """Everything of the skeleton, back to front; ``numbers`` are the values in the instance map."""
        parts = self._discs()
        if self.ribs:
            parts += self._ribs(torso)
        for placement in self.column:
            parts += self._canal(placement)
        parts += self._sacrum()
        for placement in self.column[:-1]:
            parts += self._vertebra(placement, numbers.get(placement.level, 0))
        return parts

    def _pattern(self, level: Level, body: Body) -> Texture:
        low, high = body.bounds
        return Texture((self.seed, 2, level.rank), np.maximum(-low, high) + 2, body)

    def _discs(self) -> list[Part]:
        parts = []
        for upper, lower in zip(self.column, self.column[1:], strict=False):
            frame = Frame((upper.frame.origin + lower.frame.origin) / 2, upper.frame.axes)
            disc = Disc(upper, lower, frame)
            parts.append(Part([disc], Material(85.0), Region.DISC, frame=frame))
        return parts

    def _ribs(self, torso: Torso) -> list[Part]:
        solids: list[Solid] = []
        for placement in self.column:
            if placement.level.region == "T":
                for side in (1, -1):
                    solids += arch.rib(placement, side, torso.cage, self.size)
        return [Part(solids, Material(140.0, self.cortex.hu, 1.0), Region.RIB)]

    def _sacrum(self) -> list[Part]:
        placement = self.column[-1]
        return [
            Part(
                [placement.body, *arch.sacrum(placement, self.size)],
                Material(self.trabecular[Level.S1] - 20, self.cortex.hu, self.cortex.body, self.texture),
                Region.SACRUM,
                frame=placement.frame,
                blend=7.0 * self.size,
                pattern=self._pattern(Level.S1, placement.body),
            )
        ]

    def _vertebra(self, placement: Placement, number: int) -> list[Part]:
        level, body, frame = placement.level, placement.body, placement.frame
        hu = self.trabecular[level]
        body_part = Part(
            [body],
            Material(hu, self.cortex.hu, self.cortex.body, self.texture),
            Region.BODY,
            number,
            frame,
            pattern=self._pattern(level, body),
            soften=self._veins(body),
        )
        rear = Part(
            arch.posterior_elements(placement, self.size),
            Material(hu + 30, self.cortex.hu, self.cortex.posterior),
            Region.POSTERIOR_ELEMENTS,
            number,
            frame,
            blend=3.0 * self.size,
            joined=body_part,
        )
        return [rear, replace(body_part, joined=rear)]

    def _canal(self, placement: Placement) -> list[Part]:
        a, body = arch_shape(placement.level), placement.body
        half_width, half_depth = a.canal_width / 2 * self.size, a.canal_depth / 2 * self.size
        centre = -body.shape.depth / 2 - half_depth + 1
        reach = (body.line_height + placement.disc) / 2 + 4
        fat = Canal(centre, half_width, half_depth, reach)
        sac = Canal(centre + 0.5, 0.7 * half_width, 0.75 * half_depth, reach)
        return [
            Part([fat], Material(-40.0), Region.CANAL, frame=placement.frame),
            Part([sac], Material(28.0), Region.CANAL, frame=placement.frame),
        ]

    def _veins(self, body: Body) -> Callable[[Array, Array, Array], Array]:
        depth = body.shape.depth

        def soften(u: Array, v: Array, w: Array) -> Array:
            # A flat fan from the middle of the posterior wall forwards, gone in the anterior half.
            ahead = (v + np.float32(depth / 2)) / np.float32(0.30 * depth)
            fan = np.exp(-((w / 2.2) ** 2) - (u / (3.5 + 2 * np.clip(ahead, 0, 2))) ** 2 - ahead * ahead)
            loss: Array = np.float32(-self.veins) * fan
            return loss

        return soften
