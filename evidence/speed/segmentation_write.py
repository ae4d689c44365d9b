"""Time and bytes of our SEG writer beside highdicom's plain call and MONAI Deploy's writer, on the same masks.

    python -m evidence.speed.segmentation_write

A CT of 600 slices of 512 x 512 with 17 vertebrae, and the density regions in them. Each writer makes a
file from headers and masks; the runs take turns, so that a busy machine slows all of them. Times are CPU
seconds, the median over the rounds; MONAI Deploy's includes that it reads its file back, because its writer
does. Exit status 1 where ours is slower or larger than highdicom's plain call.
"""

from __future__ import annotations

import argparse
import copy
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from operators import runtime
from operators.reading.options import Kind

runtime.prepare()  # before the SDK: it links the CUDA runtime even where there is no GPU

from models.anatomy import Level  # noqa: E402
from models.engine import Numbering, SpineSegmentation  # noqa: E402
from operators.density.masks import REGIONS_OBJECT  # noqa: E402
from operators.dicom.masks import write_mask  # noqa: E402
from operators.dicom.segmentation import write_segmentation  # noqa: E402
from operators.reading.case import Case  # noqa: E402
from operators.reading.job import Job  # noqa: E402
from operators.terms import codes  # noqa: E402
from tests.operators import small_case as small  # noqa: E402

SIZE, PIXEL, SPACING = 512, 0.78, 1.0
LEVELS = tuple(level for level in Level if Level.T1.rank <= level.rank <= Level.L5.rank and level is not Level.T13)

Writer = Callable[[Path], Path]
"""Writes one object into a folder and says where."""


def masks(slices: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Instance map and density regions: bodies with arches that reach past their neighbours, ellipses in them."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    body = ((rows - 300) / 26) ** 2 + ((columns - 256) / 32) ** 2 <= 1
    arch = (abs(columns - 256) < 34) & (rows > 322) & (rows < 378) & ~body
    trabecular = ((rows - 297) / 12) ** 2 + ((columns - 256) / 20) ** 2 <= 1
    labels = np.zeros((slices, SIZE, SIZE), dtype=np.uint8)
    density = np.zeros_like(labels)
    height = slices / len(LEVELS)
    for number in range(1, len(LEVELS) + 1):
        top, bottom = round((number - 1) * height), round(number * height)
        labels[top:bottom, body] = number
        low = min(slices, bottom + round(height / 3))
        labels[top + round(height / 3) : low, arch] = number
        middle = (top + bottom) // 2
        density[middle - 4 : middle + 5, trabecular] = number
    return labels, density


def case_of(slices: int) -> Case:
    """The case with its headers, without pixels."""
    labels, density = masks(slices)
    template = small.ct_slices()[0]
    del template.PixelData
    headers = []
    for index in range(slices):
        header = copy.deepcopy(template)
        header.SOPInstanceUID = f"{small.SERIES}.{100 + index}"
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        header.Rows = header.Columns = SIZE
        header.PixelSpacing, header.SliceThickness = [PIXEL, PIXEL], SPACING
        header.ImagePositionPatient = [-200.0, -200.0, -index * SPACING]
        headers.append(header)
    told = small.reading(
        vertebrae=tuple(
            small.vertebra(1).model_copy(update={"number": number, "level": level})
            for number, level in enumerate(LEVELS, start=1)
        )
    )
    return Case(
        job=Job(study=Path("study"), out=Path("out"), at=datetime(2026, 1, 1, tzinfo=UTC)),
        slices=tuple(headers),
        volume=_volume(np.zeros((slices, 1, 1), np.float32)),
        reading=told,
        segmentation=SpineSegmentation(_volume(labels), _volume(labels), (), Numbering.ANCHORED),
        masks={Kind.DENSITY_REGIONS: _volume(density)},
    )


def _volume(array: NDArray[np.generic]) -> hd.Volume:
    return hd.Volume.from_attributes(
        array=array,
        image_position=(-200.0, -200.0, 0.0),
        image_orientation=(1, 0, 0, 0, 1, 0),
        pixel_spacing=(PIXEL, PIXEL),
        spacing_between_slices=SPACING,
        coordinate_system="PATIENT",
        frame_of_reference_uid=small.FRAME,
    )


def our_writer(case: Case, encode: Callable[[Case], Dataset | None]) -> Writer:
    """Ours, with patient, provenance and everything."""

    def write(folder: Path) -> Path:
        made = encode(case)
        assert made is not None
        return _save(made, folder / "ours.dcm")

    return write


def plain_writer(case: Case, labels: NDArray[np.uint8], like: Dataset) -> Writer:
    """Highdicom's own call with the same masks and the descriptions of our segments."""
    descriptions = [hd.seg.SegmentDescription.from_dataset(item) for item in like.SegmentSequence]

    def write(folder: Path) -> Path:
        made = hd.seg.Segmentation(
            source_images=case.slices,
            pixel_array=labels,
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=descriptions,
            series_instance_uid=generate_uid(),
            series_number=1001,
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer="Osteon project",
            manufacturer_model_name="Osteon",
            software_versions="0.1.0",
            device_serial_number="1",
            content_label="VERTEBRAE",
            content_description="AI vertebrae (research)",
            series_description="AI vertebrae (research)",
            omit_empty_frames=True,
        )
        return _save(made, folder / "plain.dcm")

    return write


def monai_writer(case: Case, labels: NDArray[np.uint8], like: Dataset) -> Writer:
    """MONAI Deploy's DICOMSegmentationWriterOperator with the same masks."""
    _leave_other_operators_alone()
    from monai.deploy.core import Fragment
    from monai.deploy.core.domain.dicom_series import DICOMSeries
    from monai.deploy.operators.dicom_seg_writer_operator import DICOMSegmentationWriterOperator, SegmentDescription

    series = DICOMSeries(small.SERIES)
    for header in case.slices:
        series.add_sop_instance(header)
    operator = DICOMSegmentationWriterOperator(
        Fragment(),
        segment_descriptions=[
            SegmentDescription(
                segment_label=str(item.SegmentLabel),
                segmented_property_category=codes.ANATOMICAL_STRUCTURE,
                segmented_property_type=codes.VERTEBRA,
                algorithm_name="osteon",
                algorithm_version="1.2",
                algorithm_family=codes.ARTIFICIAL_INTELLIGENCE,
            )
            for item in like.SegmentSequence
        ],
        output_folder=Path("unused"),
        name="writer",
    )

    def write(folder: Path) -> Path:
        for old in folder.glob("*.dcm"):
            old.unlink()
        operator.create_dicom_seg(labels, series, folder)
        (made,) = folder.glob("*.dcm")
        return made

    return write


def _leave_other_operators_alone() -> None:
    """Stand in for the package of the SDK's operators: importing it wants MONAI itself, which the writer does not."""
    import monai.deploy

    package = ModuleType("monai.deploy.operators")
    package.__path__ = [str(Path(folder) / "operators") for folder in monai.deploy.__path__]
    sys.modules[package.__name__] = package


def _save(made: Dataset, path: Path) -> Path:
    made.save_as(path, enforce_file_format=True)
    return path


def measure(writers: Mapping[str, Writer], rounds: int, folder: Path) -> dict[str, tuple[float, int]]:
    """CPU seconds (median over the rounds) and bytes of each writer; the pixels of all are compared."""
    seconds: dict[str, list[float]] = {name: [] for name in writers}
    files: dict[str, Path] = {}
    for _ in range(rounds):
        for name, write in writers.items():
            (folder / name).mkdir(exist_ok=True)
            gc.collect()
            began = time.process_time()
            files[name] = write(folder / name)
            seconds[name].append(time.process_time() - began)
    pixels = {name: dcmread(path).PixelData for name, path in files.items()}
    if len(set(pixels.values())) != 1:
        msg = "the writers did not write the same pixels: nothing is compared"
        raise SystemExit(msg)
    return {name: (statistics.median(seconds[name]), files[name].stat().st_size) for name in writers}


def main() -> int:
    """Run and print; 1 where ours is slower or larger than highdicom's plain call."""
    parser = argparse.ArgumentParser(description="SEG writers side by side.")
    parser.add_argument("--slices", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    case = case_of(options.slices)
    assert case.segmentation is not None
    assert case.masks.get(Kind.DENSITY_REGIONS) is not None
    is_good = True
    for name, encode, labels in (
        ("vertebrae", write_segmentation, case.segmentation.labels.array),
        ("density regions", lambda case: write_mask(case, REGIONS_OBJECT), case.masks.get(Kind.DENSITY_REGIONS).array),
    ):
        like = encode(case)
        assert like is not None
        writers = {
            "ours": our_writer(case, encode),
            "highdicom": plain_writer(case, labels, like),
            "MONAI Deploy": monai_writer(case, labels, like),
        }
        with tempfile.TemporaryDirectory() as folder:
            measured = measure(writers, options.rounds, Path(folder))
        seconds, size = measured["ours"]
        print(f"{name}: {len(like.SegmentSequence)} segments, {like.NumberOfFrames} frames, {options.slices} slices")
        for writer, (other_seconds, other_size) in measured.items():
            print(
                f"  {writer:13} {other_seconds:7.2f} s  {other_size:11,} bytes"
                f"   ours/this: time {seconds / other_seconds:.2f}, bytes {size / other_size:.5f}"
            )
        plain_seconds, plain_size = measured["highdicom"]
        is_good = is_good and seconds <= plain_seconds and size <= plain_size
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
