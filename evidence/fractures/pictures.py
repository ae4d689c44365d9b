"""A picture of every type of simulated case, to be looked at.

    python -m evidence.fractures.pictures

Mid-sagittal slices with the masks' borders and the three measured heights go to ``artefacts/evidence/pictures``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from evidence.evidence import KEPT
from evidence.fractures.anatomies import LABEL_MAPS, WITH_CT, load
from evidence.fractures.cases import Plan, plans, simulated, sound
from evidence.fractures.rescan import Scanned
from evidence.fractures.simulated import DATA
from operators.fractures.detect import detect_fractures
from operators.fractures.results import DEFORMITY, HEIGHTS, Deformity, Heights, Shape
from operators.reading.reading import SpineReading
from tests.operators.measured_case import case_of

ZOOM = 4.0
"""Picture elements per mm."""


def chosen(todo: Sequence[Plan]) -> list[Plan]:
    """The first plan of every shape and grade, and one intact view of every body, thin and thick in turn."""
    found: list[Plan] = []
    for shape in (*Shape, None):
        for grade in (0,) if shape is None else (2, 3):
            found += [p for p in todo if p.shape is shape and p.grade == grade and not p.thick][:1]
    found += [p for p in todo if p.shape is not None and p.thick][:1]
    for name in WITH_CT:
        found += [p for p in todo if p.name == name and p.shape is not None and not p.thick][:1]
        found += [p for p in todo if p.name == name and p.shape is None][:1]
    return list(dict.fromkeys(found))


def picture(spine: Scanned, reading: SpineReading, x: float) -> Image.Image:
    """The sagittal slice at ``x`` mm with masks and heights."""
    volume = spine.volume
    index = volume.map_reference_to_indices(np.array([[x, 0.0, 0.0]]))[0]
    column = int(np.clip(round(float(index[2])), 0, volume.spatial_shape[2] - 1))
    plane, labels = volume.array[:, :, column], spine.segmentation.labels.array[:, :, column]
    spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)
    size = (round(plane.shape[1] * spacing[1] * ZOOM), round(plane.shape[0] * spacing[0] * ZOOM))
    grey = np.clip((plane + 150) / 650 * 255, 0, 255).astype(np.uint8)
    image = Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    mask = np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
    border = (mask != np.roll(mask, 1, 0)) | (mask != np.roll(mask, 1, 1))
    pixels = np.array(image)
    pixels[border] = (200, 60, 60)
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    origin = volume.affine[:3, 3]

    def at(point: tuple[float, float, float]) -> tuple[float, float]:
        return (point[1] - origin[1]) * ZOOM, (origin[2] - point[2] + spacing[0] / 2) * ZOOM

    for vertebra in reading.vertebrae:
        if isinstance(vertebra.of(HEIGHTS), Heights) and vertebra.of(HEIGHTS).lines:
            for line in vertebra.of(HEIGHTS).lines:
                draw.line([at(line.superior), at(line.inferior)], fill=(90, 220, 90), width=2)
        said = vertebra.of(DEFORMITY)
        text = f"{vertebra.level.value} {said.grade} {said.probability}" if isinstance(said, Deformity) else "withheld"
        draw.text(at(vertebra.centroid), text, fill=(255, 220, 0))
    return image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--bodies", nargs="*", default=[*LABEL_MAPS, *WITH_CT])
    given = parser.parse_args()
    anatomies = {name: load(name, DATA, KEPT / "atlases", 0) for name in given.bodies}
    folder = KEPT / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for plan in chosen(plans(anatomies, 1)):
        spine, row = simulated(plan, anatomies[plan.name], tuple(sound(anatomies[plan.name])))
        case = detect_fractures(case_of(spine.volume, spine.segmentation, slice_thickness=row["slices"]))
        own = next(v for v in case.reading.vertebrae if v.level is plan.level)
        image = picture(spine, case.reading, own.centroid[0])
        image.save(folder / f"{plan.key}.png")
        print(plan.key, row["losses"], own.of(DEFORMITY))


if __name__ == "__main__":
    main()
