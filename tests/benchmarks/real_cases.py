"""The CTs with reference masks as cases, by reference masks or by an engine's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from models.anatomy import Level, Region
from models.engine import Numbering, SpineSegmentation, VertebraInstance
from models.vertebrae.references import Reference, read_reference
from operators.case import Case
from operators.detect_fractures import detect_fractures
from operators.measure_bone_density import measure_bone_density
from operators.reading import Deformity, Density, Heights, Measured, Vertebra
from tests.benchmarks.anatomies import load
from tests.benchmarks.evidence import KEPT, ROOT
from tests.operators.measured_case import case_of

DATA = Path(os.environ.get("OSTEON_DATA", ROOT.parent / "shared" / "data"))


@dataclass(frozen=True)
class Figures:
    """What was measured of one vertebra; NaN where it was withheld.

    Attributes:
        heights: Ha, Hm, Hp in mm.
        hu: Mean trabecular CT number.
        grade: Of the deformity; None where it is withheld or not given.
        loss: Height loss in %.
    """

    heights: NDArray[np.float64]
    hu: float
    grade: int | None
    loss: float


def reference_case(name: str) -> Case:
    """A CT of the shared data with its reference masks, as axial slices from head to feet."""
    reference = read_reference(DATA, name)
    volume = _upright(reference.volume.astype(np.float32))
    return case_of(volume, _segmentation(name, reference, volume))


def _upright(volume: hd.Volume) -> hd.Volume:
    return volume.to_patient_orientation(("F", "P", "L"))


def _segmentation(name: str, reference: Reference, volume: hd.Volume) -> SpineSegmentation:
    bodies = reference.bodies
    if bodies is None:
        bodies = _split_bodies(name, reference)
    labels = np.zeros(reference.volume.spatial_shape, np.uint8)
    regions = np.zeros_like(labels)
    instances = []
    known = [level for level in Level if level in reference.centres and level in reference.labels]
    for number, level in enumerate((x for x in known if x is not Level.S1), start=1):
        mask = reference.labels[level]
        labels[mask] = number
        regions[mask] = np.where(bodies[mask], Region.BODY, Region.POSTERIOR_ELEMENTS)
        rows = np.nonzero(mask.any(axis=(0, 1)))[0]
        complete = bool(rows[0] > 0 and rows[-1] < mask.shape[2] - 1)
        instances.append(VertebraInstance(number, level, 1.0, complete, reference.centres[level]))
    original = reference.volume
    return SpineSegmentation(
        labels=_upright(original.with_array(labels)),
        regions=_upright(original.with_array(regions)),
        vertebrae=tuple(instances),
        numbering=Numbering.RELATIVE,
    )


def _split_bodies(name: str, reference: Reference) -> NDArray[np.bool_]:
    """Bodies of a CT whose reference does not name them, split from the arches as for the simulation."""
    anatomy = load(name, DATA, KEPT / "atlases", 0)
    canonical = (anatomy.body == Region.BODY).transpose(2, 1, 0)[:, ::-1, ::-1]
    # The anatomy's axes run to the left, the back and the head: RAS with two axes turned round.
    upright = reference.volume.to_patient_orientation(("R", "A", "H"))
    placed = upright.with_array(np.ascontiguousarray(canonical))
    return np.asarray(placed.match_geometry(reference.volume).array, dtype=bool)


def measured(case: Case) -> dict[Level, Figures]:
    """Heights, density and grade of every vertebra of a case."""
    done = measure_bone_density(detect_fractures(case))
    return {v.level: figures(v) for v in done.reading.vertebrae}


def figures(vertebra: Vertebra) -> Figures:
    """What a reading says of one vertebra."""
    heights, density, deformity = vertebra.heights, vertebra.density, vertebra.deformity
    three = (heights.anterior, heights.middle, heights.posterior) if isinstance(heights, Heights) else (None,) * 3
    values = np.array([q.value if isinstance(q, Measured) else np.nan for q in three])
    mean = density.mean if isinstance(density, Density) else None
    said = deformity if isinstance(deformity, Deformity) else None
    loss = said.height_loss if said is not None else None
    return Figures(
        heights=values,
        hu=mean.value if isinstance(mean, Measured) else float("nan"),
        grade=said.grade if said is not None else None,
        loss=loss.value if isinstance(loss, Measured) else float("nan"),
    )
