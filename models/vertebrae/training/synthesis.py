"""Synthetic CT from label maps: anatomy is real, everything that a scanner adds is drawn at random.

The idea is SynthSeg's (Billot et al. 2023), with CT's fixed units: a network that has seen every
plausible HU for every structure learns shapes and neighbours instead of a scanner's grey values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from models.anatomy import Region
from models.label_ids import HIGHEST_ID, S1_ID
from models.vertebrae.fine_input import BEHIND_BODY, FINE_CROP
from models.vertebrae.training.atlas import NOTHING_ID, SPACING, Atlas
from models.vertebrae.training.deformation import Deformation, FieldOfView, deform, random_field_of_view
from models.vertebrae.training.degeneration import Spurs
from models.vertebrae.training.hardware import add_metal, implant, screws
from models.vertebrae.training.scanner import scan
from models.vertebrae.training.targets import NO_LEVEL, NO_OFFSET, NO_PHASE, PHASE_STEPS
from models.vertebrae.training.tissue import LocalMaps, fill
from models.vertebrae.training.transition import Transition
from models.volume.body_split import cord_curve, split_body

S1_LEVEL = 24
REAL_SHARE = 0.7
"""Share of samples of a body with CT that show its own HU."""
SCREWS_SHARE, IMPLANT_SHARE = 0.07, 0.04
"""Shares of volumes with pedicle screws, and with a metal joint beside."""


@dataclass(frozen=True)
class CoarseSample:
    """One volume at 3 mm, ``(z, y, x)`` towards head, back and left.

    Attributes:
        hu: int16.
        regions: uint8, see :class:`models.vertebrae.training.targets.SpineTargets`; so the others.
        levels: uint8.
        phase: uint8.
        offset: int8, mm in this volume.
    """

    hu: Tensor
    regions: Tensor
    levels: Tensor
    phase: Tensor
    offset: Tensor


@dataclass(frozen=True)
class FineSample:
    """One crop at 1.5 mm around a vertebra, ``FINE_CROP`` voxels.

    Attributes:
        hu: int16.
        classes: uint8: of the central vertebra 1 body, 2 posterior elements, 3 adjoining discs.
        centre: Centre of its body in voxels of the crop ``(z, y, x)``.
    """

    hu: Tensor
    classes: Tensor
    centre: tuple[float, float, float]


class Synthesiser:
    """Draws samples from one atlas.

    Args:
        atlas: The body; its maps are kept flat in memory.
        real: Share of samples with the body's own HU, where it has some; 1 for a label map that knows the spine only.
    """

    def __init__(self, atlas: Atlas, real: float = REAL_SHARE) -> None:
        self.atlas, self.real = atlas, real
        self.shape = atlas.labels.shape
        names = ("labels", "regions", "levels", "phase", "offset", "bone_depth", "skin_depth", "bone_gap", "vessel_gap")
        self._flat = {name: torch.from_numpy(np.ascontiguousarray(getattr(atlas, name))).view(-1) for name in names}
        self._hu = None if atlas.hu is None else torch.from_numpy(atlas.hu)[None, None].float()
        body = atlas.regions != Region.POSTERIOR_ELEMENTS
        centres = [np.argwhere((atlas.levels == level) & body).mean(axis=0) * SPACING for level in atlas.levels_present]
        self.spine = np.stack(centres)
        self._flat["first_sacral_body"] = torch.from_numpy(_first_sacral_body(atlas)).view(-1)

    def draw(
        self, seed: int, fine_crops: int = 2, view: FieldOfView | None = None, transition: Transition | None = None
    ) -> tuple[CoarseSample, list[FineSample]]:
        """One synthetic volume and crops from it; the same seed gives the same samples.

        Args:
            seed: Seed of all randomness.
            fine_crops: How many vertebrae to crop at 1.5 mm.
            view: The field of view; drawn at random where it is not given, and so is then rare anatomy.
            transition: A vertebra more or less, for a given field of view.
        """
        rng = np.random.default_rng(seed)
        generator = torch.Generator().manual_seed(seed)
        size = (self.shape[0] * SPACING, self.shape[1] * SPACING, self.shape[2] * SPACING)
        chosen = view or random_field_of_view(rng, self.spine, size)
        levels = self.atlas.levels_present
        deformation = deform(chosen, self.spine, levels, rng, generator, transition, by_chance=view is None)
        index, inside = self._nearest(deformation.points)
        hu, spurs = self._scan(deformation, index, inside, rng, generator)
        coarse_index, coarse_inside = self._nearest(deformation.coarse_points)
        sample = _with_spurs(self._coarse(hu, coarse_index, coarse_inside, deformation.stretch), spurs)
        crops = self._fine(sample, hu, index, inside, spurs, rng, 0 if deformation.transition else fine_crops)
        return sample, crops

    def _nearest(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Flat index of the nearest atlas voxel, and whether there is one."""
        nearest = [(points[axis] / SPACING).round_().int() for axis in range(3)]
        inside = torch.ones_like(nearest[0], dtype=torch.bool)
        for axis in range(3):
            inside &= (nearest[axis] >= 0) & (nearest[axis] < self.shape[axis])
            nearest[axis].clamp_(0, self.shape[axis] - 1)
        flat = (nearest[0] * self.shape[1] + nearest[1]) * self.shape[2] + nearest[2]
        return flat, inside

    def _take(self, name: str, index: Tensor, inside: Tensor, outside: int) -> Tensor:
        taken = torch.index_select(self._flat[name], 0, index.reshape(-1)).view(index.shape)
        return torch.where(inside, taken, torch.full_like(taken, outside))

    def _scan(
        self,
        deformation: Deformation,
        index: Tensor,
        inside: Tensor,
        rng: np.random.Generator,
        generator: torch.Generator,
    ) -> tuple[Tensor, Spurs | None]:
        labels = self._take("labels", index, inside, NOTHING_ID)
        spurs = None
        if self._hu is not None and rng.random() < self.real:
            hu = self._real(deformation.points, inside, rng)
        else:
            maps = LocalMaps(
                labels,
                self._take("regions", index, inside, Region.BACKGROUND),
                self._take("levels", index, inside, NO_LEVEL),
                self._take("bone_depth", index, inside, 0),
                self._take("skin_depth", index, inside, 0),
                self._take("bone_gap", index, inside, 255),
                self._take("vessel_gap", index, inside, 255),
            )
            filled = fill(maps, rng, generator)
            hu, spurs = self._sclerosed(filled.hu, deformation, maps.regions), filled.spurs
        choice = rng.random()
        if choice < SCREWS_SHARE:
            hu = add_metal(hu, screws(deformation.coarse_points, self.spine, rng), rng, generator)
        elif choice < SCREWS_SHARE + IMPLANT_SHARE:
            hu = add_metal(hu, implant((hu.shape[0], hu.shape[1], hu.shape[2]), rng), rng, generator)
        return scan(hu, labels == NOTHING_ID, rng, generator), spurs

    def _real(self, points: Tensor, inside: Tensor, rng: np.random.Generator) -> Tensor:
        """The body's own CT, moved as its labels are."""
        if self._hu is None:
            msg = "this body has no CT"
            raise ValueError(msg)
        sizes = torch.tensor(self.shape[::-1], dtype=torch.float32)
        grid = points.flip(0).permute(1, 2, 3, 0) / SPACING * 2.0 / (sizes - 1.0) - 1.0
        hu = nnf.grid_sample(self._hu, grid[None], align_corners=True, padding_mode="border")[0, 0]
        hu = torch.where(inside, hu, torch.full_like(hu, -1000.0))
        # Real contrast and density are those of one person: shift soft tissue and bone a little.
        bright = (hu - 150.0).clamp(min=0.0)
        return hu + float(rng.normal(0, 10)) + bright * float(rng.uniform(-0.35, 0.35))

    def _sclerosed(self, hu: Tensor, deformation: Deformation, regions: Tensor) -> Tensor:
        """A dense band under the upper endplate of fresh fractures."""
        body = regions == Region.BODY
        for fracture in deformation.fractures:
            if not fracture.sclerosis:
                continue
            z, y, x = (deformation.points[axis] - fracture.centre[axis] for axis in range(3))
            band = torch.exp(-0.5 * ((z - 0.7 * fracture.half) / 2.5).square()) * (y.abs() < 25) * (x.abs() < 30)
            hu = hu + fracture.sclerosis * band * body
        return hu

    def _coarse(self, hu: Tensor, index: Tensor, inside: Tensor, stretch: float) -> CoarseSample:
        mean = nnf.avg_pool3d(hu[None, None], 2)[0, 0]
        offset = self._take("offset", index, inside, NO_OFFSET)
        moved = (offset.float() / stretch).round().clamp(-127, 127).to(torch.int8)
        return CoarseSample(
            mean.round().to(torch.int16),
            self._take("regions", index, inside, Region.BACKGROUND),
            self._take("levels", index, inside, NO_LEVEL),
            self._take("phase", index, inside, NO_PHASE),
            torch.where(offset == NO_OFFSET, offset, moved),
        )

    def _fine(
        self,
        coarse: CoarseSample,
        hu: Tensor,
        index: Tensor,
        inside: Tensor,
        spurs: Spurs | None,
        rng: np.random.Generator,
        count: int,
    ) -> list[FineSample]:
        body = (coarse.regions == Region.BODY) | ((coarse.regions == Region.SACRUM) & (coarse.levels == S1_LEVEL))
        sizes = torch.bincount(coarse.levels[body].int(), minlength=HIGHEST_ID)
        candidates = torch.nonzero(sizes > 40).view(-1).numpy()
        if candidates.size == 0:
            return []
        chosen = rng.choice(candidates, size=min(count, candidates.size), replace=False)
        samples = []
        for level in chosen.tolist():
            where = torch.nonzero(body & (coarse.levels == level)).float().mean(dim=0).numpy()
            centre = where * 2.0 + 0.5
            middle = centre + np.array([0.0, BEHIND_BODY / SPACING, 0.0]) + rng.normal(0, 2.0, 3)
            samples.append(self._crop(hu, index, inside, spurs, level, centre, middle))
        return samples

    def _crop(
        self,
        hu: Tensor,
        index: Tensor,
        inside: Tensor,
        spurs: Spurs | None,
        level: int,
        centre: np.ndarray,
        middle: np.ndarray,
    ) -> FineSample:
        start = [round(float(middle[axis]) - 0.5 * FINE_CROP[axis]) for axis in range(3)]
        low = [max(0, s) for s in start]
        high = [min(hu.shape[axis], start[axis] + FINE_CROP[axis]) for axis in range(3)]
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        place = tuple(slice(a - s, b - s) for a, b, s in zip(low, high, start, strict=True))
        crop = torch.full(FINE_CROP, -1024, dtype=torch.int16)
        crop[place] = hu[box].round().to(torch.int16)
        classes = torch.zeros(FINE_CROP, dtype=torch.uint8)
        classes[place] = self._fine_classes(index[box], inside[box], level)
        if spurs is not None:
            classes[place][spurs.levels[box] == level] = 1
        position = tuple(float(centre[axis] - start[axis]) for axis in range(3))
        return FineSample(crop, classes, (position[0], position[1], position[2]))

    def _fine_classes(self, index: Tensor, inside: Tensor, level: int) -> Tensor:
        regions = self._take("regions", index, inside, Region.BACKGROUND)
        levels = self._take("levels", index, inside, NO_LEVEL)
        phase = self._take("phase", index, inside, NO_PHASE)
        own = levels == level
        below_middle = phase > PHASE_STEPS // 2
        near = own | ((levels == level - 1) & below_middle) | ((levels == level + 1) & ~below_middle)
        result = torch.zeros_like(regions)
        if level == S1_LEVEL:
            front = self._take("first_sacral_body", index, inside, 0) > 0
            result[own & front] = 1
            result[own & ~front] = 2
        result[own & (regions == Region.BODY)] = 1
        result[own & (regions == Region.POSTERIOR_ELEMENTS)] = 2
        result[near & (regions == Region.DISC)] = 3
        return result


def _first_sacral_body(atlas: Atlas) -> np.ndarray:
    """Which voxels of S1 lie in front of the canal, uint8 over the atlas; its arch and wings are the rest."""
    result = np.zeros(atlas.labels.shape, np.uint8)
    voxels = np.argwhere(atlas.labels == S1_ID)
    if len(voxels):
        front = split_body(atlas.labels, S1_ID, cord_curve(atlas.labels, SPACING), SPACING)
        result[tuple(voxels.T)] = front
    return result


def _with_spurs(sample: CoarseSample, spurs: Spurs | None) -> CoarseSample:
    """The spurs as part of the bodies that they grow from, where they fill most of a voxel."""
    if spurs is None:
        return sample
    filled = nnf.avg_pool3d(spurs.where[None, None].float(), 2)[0, 0] >= 0.5
    own = torch.where(spurs.where, spurs.levels.float(), torch.full_like(spurs.levels, -1, dtype=torch.float32))
    level = nnf.max_pool3d(own[None, None], 2)[0, 0]
    regions, levels = sample.regions.clone(), sample.levels.clone()
    regions[filled] = Region.BODY
    levels[filled] = level[filled].to(torch.uint8)
    return replace(sample, regions=regions, levels=levels)
