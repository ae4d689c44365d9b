"""Typical adult dimensions of the vertebral column, in mm.

Plausible numbers for drawing, rounded from the order of magnitude of published morphometry; they are
no reference data and nothing outside the phantom may use them as such. The truth of a phantom is what
it was built with, not what a normal spine would have.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from models.anatomy import Level


@dataclass(frozen=True)
class BodyShape:
    """Size of one vertebral body, mm.

    Attributes:
        anterior, middle, posterior: Heights Ha, Hm, Hp between the outer surfaces of the endplates,
            along the cranio-caudal axis in the mid-sagittal plane; Ha and Hp at one eighth of the
            depth from the anterior and posterior edge, Hm in the middle.
        depth: Antero-posterior extent in the mid-sagittal plane, at the endplates.
        width: Left-right extent at the endplates.
    """

    anterior: float
    middle: float
    posterior: float
    depth: float
    width: float

    def scaled(self, factor: float) -> BodyShape:
        """The same shape, larger or smaller."""
        return BodyShape(*(factor * v for v in (self.anterior, self.middle, self.posterior, self.depth, self.width)))

    def with_heights(self, anterior: float, middle: float, posterior: float) -> BodyShape:
        """The same outline with other heights."""
        return replace(self, anterior=anterior, middle=middle, posterior=posterior)


def _body(posterior: float, ratio: float, concavity: float, depth: float, width: float) -> BodyShape:
    anterior = ratio * posterior
    return BodyShape(anterior, (anterior + posterior) / 2 - concavity, posterior, depth, width)


BODIES: dict[Level, BodyShape] = {
    # posterior height, Ha/Hp, mid-endplate concavity (both plates together), depth, width
    Level.C7: _body(14.5, 0.97, 0.8, 17.5, 26.0),
    Level.T1: _body(16.5, 0.97, 0.8, 18.0, 28.0),
    Level.T2: _body(17.5, 0.96, 0.9, 19.0, 27.0),
    Level.T3: _body(18.0, 0.95, 0.9, 20.5, 26.0),
    Level.T4: _body(18.5, 0.95, 1.0, 22.0, 26.0),
    Level.T5: _body(19.0, 0.94, 1.0, 23.5, 26.5),
    Level.T6: _body(19.6, 0.93, 1.1, 25.0, 27.5),
    Level.T7: _body(20.2, 0.92, 1.1, 26.5, 28.5),
    Level.T8: _body(20.8, 0.92, 1.2, 27.5, 30.0),
    Level.T9: _body(21.5, 0.93, 1.3, 28.5, 31.5),
    Level.T10: _body(22.5, 0.94, 1.4, 29.5, 33.5),
    Level.T11: _body(23.8, 0.93, 1.5, 30.5, 36.0),
    Level.T12: _body(25.5, 0.93, 1.7, 31.0, 39.0),
    Level.T13: _body(26.0, 0.94, 1.8, 31.0, 40.0),
    Level.L1: _body(27.0, 0.95, 1.9, 31.5, 41.5),
    Level.L2: _body(27.8, 0.98, 2.2, 32.5, 43.0),
    Level.L3: _body(28.0, 1.00, 2.5, 33.5, 45.0),
    Level.L4: _body(27.5, 1.03, 2.6, 34.0, 47.5),
    Level.L5: _body(26.0, 1.12, 2.4, 34.0, 50.0),
    Level.L6: _body(25.5, 1.13, 2.3, 34.0, 51.0),
    Level.S1: _body(24.0, 1.20, 0.8, 33.0, 50.0),
}

DISC_BELOW: dict[Level, float] = {
    Level.C7: 5.0, Level.T1: 4.2, Level.T2: 3.8, Level.T3: 3.6, Level.T4: 3.6, Level.T5: 3.8,
    Level.T6: 4.0, Level.T7: 4.3, Level.T8: 4.6, Level.T9: 5.0, Level.T10: 5.5, Level.T11: 6.2,
    Level.T12: 7.2, Level.T13: 7.4, Level.L1: 8.6, Level.L2: 9.8, Level.L3: 10.8, Level.L4: 11.4,
    Level.L5: 10.5, Level.L6: 9.0,
}  # fmt: skip
"""Height in the middle of the disc below a vertebra."""

LORDOSIS_SHARE: dict[Level, float] = {
    Level.L1: 0.10, Level.L2: 0.15, Level.L3: 0.20, Level.L4: 0.25, Level.L5: 0.30, Level.L6: 0.30,
}  # fmt: skip
"""Share of the discs' lordosis that the disc below a lumbar vertebra carries; scaled to a sum of one."""


@dataclass(frozen=True)
class ArchShape:
    """Size of the posterior elements of one vertebra, mm.

    Attributes:
        canal_width, canal_depth: Of the vertebral canal.
        pedicle_width, pedicle_height: Cross-section of a pedicle.
        transverse: Reach of a transverse process from the midline.
        transverse_back: How far its tip lies behind the pedicle.
        spinous: Length of the spinous process behind the canal.
        spinous_drop: How far its tip lies below its root.
        spinous_height: Height of the process in the middle.
    """

    canal_width: float
    canal_depth: float
    pedicle_width: float
    pedicle_height: float
    transverse: float
    transverse_back: float
    spinous: float
    spinous_drop: float
    spinous_height: float


THORACIC_RANK = {level: i for i, level in enumerate(list(Level)[7:20])}


def arch_shape(level: Level) -> ArchShape:
    """Posterior elements of a level: slender and steep in the thorax, broad and square in the lumbar spine."""
    if level.region == "L":
        i = int(level.value[1]) - 1
        return ArchShape(
            canal_width=22.5 + 0.9 * i,
            canal_depth=16.5,
            pedicle_width=7.5 + 1.9 * i,
            pedicle_height=15.0,
            transverse=(36.0, 41.0, 46.0, 43.0, 44.0, 44.0)[i],
            transverse_back=5.0,
            spinous=(29.0, 31.0, 31.0, 28.0, 22.0, 20.0)[i],
            spinous_drop=6.0,
            spinous_height=(21.0, 22.0, 22.0, 19.0, 14.0, 13.0)[i],
        )
    i = THORACIC_RANK.get(level, 0)
    steep = max(0.0, 1.0 - abs(i - 6) / 6.0)
    return ArchShape(
        canal_width=max(17.5, 21.0 - i) if i < 8 else 17.5 + 0.9 * (i - 7),
        canal_depth=16.0,
        pedicle_width=(8.0, 7.0, 5.5, 5.0, 5.2, 5.5, 5.8, 6.0, 6.4, 7.0, 8.0, 8.0, 8.0)[i],
        pedicle_height=9.0 + 0.6 * i,
        transverse=(37.0, 34.0, 32.0, 31.0, 31.0, 31.0, 30.5, 30.0, 29.0, 27.5, 25.0, 22.0, 22.0)[i],
        transverse_back=13.0,
        spinous=31.0 - 4.0 * steep if i < 10 else 27.0,
        spinous_drop=10.0 + 22.0 * steep,
        spinous_height=9.0 if i < 10 else 15.0,
    )


def trabecular_hu(level: Level) -> float:
    """A middle-aged spine: trabecular HU falls from the upper thorax to L3 and rises a little below."""
    rank = level.rank - Level.T1.rank
    lowest = Level.L3.rank - Level.T1.rank
    return 200.0 - 55.0 * rank / lowest if rank <= lowest else 145.0 + 5.0 * (rank - lowest)
