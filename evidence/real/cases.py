"""The CTs with reference masks as cases, by reference masks or by an engine's."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from evidence.evidence import ROOT
from models.anatomy import Level, Region
from models.engine import Numbering, SpineSegmentation, VertebraInstance
from models.engines.labelmap import LabelMap, read_label_map
from models.label_ids import ID_OF
from models.vertebrae.evaluation.references import Reference, read_reference
from models.volume.orientation import ANATOMICAL, Oriented
from operators.density.measure import measure_bone_density
from operators.density.results import DENSITY, Density
from operators.fractures.detect import detect_fractures
from operators.fractures.results import DEFORMITY, HEIGHTS, Deformity, Heights
from operators.reading.case import Case
from operators.reading.quantity import Measured
from operators.reading.vertebra import Vertebra
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
    return case_from(reference_with_bodies(name))


def reference_with_bodies(name: str) -> Reference:
    """A CT of the shared data; where its reference does not tell bodies from arches, geometry does."""
    reference = read_reference(DATA, name)
    return reference if reference.bodies is not None else replace(reference, bodies=_split_bodies(reference))


def case_from(reference: Reference) -> Case:
    """A reference that knows its bodies as a case, as axial slices from head to feet."""
    return case_of(_upright(reference.volume.astype(np.float32)), _segmentation(reference))


def _upright(volume: hd.Volume) -> hd.Volume:
    return volume.to_patient_orientation(("F", "P", "L"))


def _segmentation(reference: Reference) -> SpineSegmentation:
    original, bodies = reference.volume, reference.bodies
    assert bodies is not None
    along = int(np.argmax(np.abs(original.affine[2, :3])))
    across = tuple(axis for axis in range(3) if axis != along)
    labels = np.zeros(original.spatial_shape, np.uint8)
    regions = np.zeros_like(labels)
    instances = []
    known = [level for level in Level if level in reference.centres and level in reference.labels]
    for number, level in enumerate((x for x in known if x is not Level.S1), start=1):
        mask = reference.labels[level]
        labels[mask] = number
        regions[mask] = np.where(bodies[mask], Region.BODY, Region.POSTERIOR_ELEMENTS)
        # As engines say it: of the body, whatever is cut off of the spinous process.
        rows = np.nonzero((mask & bodies).any(axis=across))[0]
        complete = bool(rows.size and rows[0] > 0 and rows[-1] < mask.shape[along] - 1)
        instances.append(VertebraInstance(number, level, 1.0, complete, reference.centres[level]))
    return SpineSegmentation(
        labels=_upright(original.with_array(labels)),
        regions=_upright(original.with_array(regions)),
        vertebrae=tuple(instances),
        numbering=Numbering.RELATIVE,
    )


def _split_bodies(reference: Reference) -> NDArray[np.bool_]:
    """Bodies of whole vertebrae on isotropic voxels, split from the arches as other engines' label maps are."""
    ids = np.zeros(reference.volume.spatial_shape, np.uint8)
    for level, mask in reference.labels.items():
        ids[mask] = ID_OF[level]
    oriented = Oriented.of(reference.volume)
    turned = np.asarray(reference.volume.with_array(ids).to_patient_orientation(ANATOMICAL).array)
    found = read_label_map(reference.volume, oriented, LabelMap(turned, np.full_like(turned, 255), oriented.grid))
    return np.asarray((found.regions.array == Region.BODY) & (ids > 0))


def measured(case: Case) -> dict[Level, Figures]:
    """Heights, density and grade of every vertebra of a case."""
    return {v.level: figures(v) for v in read(case)}


def read(case: Case) -> tuple[Vertebra, ...]:
    """The vertebrae of a case after all measurements."""
    return measure_bone_density(detect_fractures(case)).reading.vertebrae


def figures(vertebra: Vertebra) -> Figures:
    """What a reading says of one vertebra."""
    heights, density, deformity = vertebra.of(HEIGHTS), vertebra.of(DENSITY), vertebra.of(DEFORMITY)
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
