"""A small case for the encoders: a CT of 24 slices with three lopsided vertebrae, and readings of it.

Nothing in it is symmetric, and slice thickness differs from slice spacing, so that a flipped axis or a wrong
spacing shows. Voxel truth is in ``labels()``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

from models.anatomy import Anchor, Level
from models.engine import Numbering, SpineSegmentation, VertebraInstance
from operators.change.results import COMPARISON, HEIGHT_CHANGE
from operators.density.results import Density, DensityCategory
from operators.fractures.results import Deformity, Heights, Shape
from operators.reading.case import Case
from operators.reading.gate import Gate, Outcome
from operators.reading.job import Job
from operators.reading.options import Kind
from operators.reading.provenance import Provenance
from operators.reading.quantity import Measured, Withheld
from operators.reading.reading import SpineReading
from operators.reading.source import SeriesVerdict, SourceSeries
from operators.reading.vertebra import Vertebra

SHAPE = (24, 60, 72)
ROW_SPACING, COLUMN_SPACING, SLICE_SPACING, THICKNESS = 0.9, 0.7, 2.5, 3.0
ORIGIN = (-31.3, 12.7, -140.2)
ROOT = "1.2.826.0.1.3680043.10.1555"
STUDY, SERIES, FRAME = f"{ROOT}.1", f"{ROOT}.1.1", f"{ROOT}.1.9"
AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SHUFFLED = [5, 3, 1, 0, 2, 4, *range(23, 5, -1)]
"""Order of the frames of the enhanced CT."""
LEVELS = (Level.T12, Level.L1, Level.L2)
VERTEBRA_RESULTS = {name: name for name in ("heights", "deformity", "density")} | {"change": HEIGHT_CHANGE.name}
SPINE_RESULTS = {
    name: name
    for name in ("density_category", "attenuation", "calibration", "calibrated", "comparator", "deformity_index")
} | {"change": COMPARISON.name}
"""Slots of the results that :func:`vertebra` and :func:`reading` take by these names."""
CENTRES = (4, 11, 19)
"""Slice in the middle of each body, head to feet."""


def labels() -> NDArray[np.uint8]:
    """The instance map, numbered from the head."""
    array = np.zeros(SHAPE, dtype=np.uint8)
    for number, centre in enumerate(CENTRES, start=1):
        array[centre - 2 : centre + 3, 15 : 30 + number, 20 : 45 + 2 * number] = number
        array[centre - 1 : centre + 1, 30 : 44 + number, 38:42] = number
        array[centre : centre + 2, 38:40, 42 : 50 + number] = number
    return array


def density_regions() -> NDArray[np.uint8]:
    """An ellipse in each body, over three slices."""
    rows, columns = np.mgrid[: SHAPE[1], : SHAPE[2]]
    ellipse = ((rows - 22) / 5) ** 2 + ((columns - 32) / 8) ** 2 <= 1
    array = np.zeros(SHAPE, dtype=np.uint8)
    for number, centre in enumerate(CENTRES, start=1):
        array[centre - 1 : centre + 2, ellipse] = number
    return array


def _stored() -> NDArray[np.int16]:
    array = np.full(SHAPE, -50, dtype=np.int16)
    array[labels() > 0] = 180
    return array


def volume(array: NDArray[np.generic]) -> hd.Volume:
    """``array`` on the grid of the CT."""
    return hd.Volume.from_attributes(
        array=array,
        image_position=ORIGIN,
        image_orientation=(1, 0, 0, 0, 1, 0),
        pixel_spacing=(ROW_SPACING, COLUMN_SPACING),
        spacing_between_slices=SLICE_SPACING,
        coordinate_system="PATIENT",
        frame_of_reference_uid=FRAME,
    )


def position(index: int) -> list[float]:
    """Image position of a slice."""
    # As scanners write it: rounded, and therefore not quite where the affine says.
    return [ORIGIN[0], ORIGIN[1], round(ORIGIN[2] - index * SLICE_SPACING + (0.01 if index % 3 else 0.0), 2)]


def _common(sop_class: str, instance: str) -> Dataset:
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 100"
    header.SOPClassUID, header.SOPInstanceUID = sop_class, instance
    header.StudyInstanceUID, header.SeriesInstanceUID = STUDY, SERIES
    header.FrameOfReferenceUID = FRAME
    header.PatientName, header.PatientID, header.PatientBirthDate = "Müller^Jörg", "P-77", "19550607"
    header.PatientSex, header.PatientAge, header.PatientWeight = "M", "070Y", "81"
    header.IssuerOfPatientID = "HOSPITAL"
    header.StudyDate, header.StudyTime, header.StudyID = "20260301", "081500", "4711"
    header.AccessionNumber, header.StudyDescription = "A123", "CT abdomen"
    header.ReferringPhysicianName = "Referrer^A"
    header.Modality, header.SeriesNumber, header.SeriesDescription = "CT", 2, "Abdomen 3.0"
    header.Manufacturer, header.ManufacturerModelName = "Scanner Works", "CT 9"
    header.DeviceSerialNumber, header.SoftwareVersions = "12", "3.4"
    header.InstitutionName = "Klinik Süd"
    header.BodyPartExamined = "ABDOMEN"
    header.PatientPosition, header.PositionReferenceIndicator = "HFS", ""
    header.Rows, header.Columns = SHAPE[1:]
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 1
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return header


def ct_slices() -> tuple[Dataset, ...]:
    """The CT as single slices with pixel data, from the head to the feet, as a highdicom volume runs."""
    stored, slices = _stored(), []
    for index in range(SHAPE[0]):
        header = _common(CTImageStorage, f"{SERIES}.{index + 1}")
        header.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        header.AcquisitionNumber, header.InstanceNumber = 1, SHAPE[0] - index
        header.KVP, header.ConvolutionKernel = "120", "B30f"
        header.ContentDate, header.ContentTime = "20260301", "081600"
        header.ImagePositionPatient = position(index)
        header.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        header.PixelSpacing = [ROW_SPACING, COLUMN_SPACING]
        header.SliceThickness = THICKNESS
        header.RescaleSlope, header.RescaleIntercept = "1", "0"
        header.PixelData = stored[index].tobytes()
        slices.append(header)
    return tuple(slices)


def enhanced_ct(order: Iterable[int]) -> Dataset:
    """The same CT as one multi-frame instance whose frames come in ``order``."""
    header = _common(EnhancedCTImageStorage, f"{SERIES}.1")
    header.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    measures, orientation = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [ROW_SPACING, COLUMN_SPACING], THICKNESS
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared = Dataset()
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    header.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for index in order:
        plane, frame = Dataset(), Dataset()
        plane.ImagePositionPatient = position(index)
        frame.PlanePositionSequence = [plane]
        frames.append(frame)
    header.PerFrameFunctionalGroupsSequence = frames
    header.NumberOfFrames = len(frames)
    return header


def vertebra(number: int, **changes: object) -> Vertebra:
    """One normal, measured vertebra."""
    centre = CENTRES[number - 1]
    x = ORIGIN[0] + 32 * COLUMN_SPACING
    y = ORIGIN[1] + 22 * ROW_SPACING
    z = ORIGIN[2] - centre * SLICE_SPACING
    values: dict[str, object] = {
        "number": number,
        "level": LEVELS[number - 1],
        "confidence": 0.97,
        "complete": True,
        "centroid": (x, y, z),
        "heights": Heights(
            anterior=Measured(value=24.3 + number, unit="mm", uncertainty=0.6),
            middle=Measured(value=23.8 + number, unit="mm"),
            posterior=Measured(value=25.1 + number, unit="mm"),
        ),
        "deformity": Deformity(height_loss=Measured(value=3.0 + number, unit="%"), grade=0),
        "density": Density(
            mean=Measured(value=140.5 + number, unit="[hnsf'U]"),
            median=Measured(value=139.0 + number, unit="[hnsf'U]"),
            deviation=Measured(value=31.2, unit="[hnsf'U]"),
            volume=Measured(value=2.25 + number, unit="cm3"),
            voxels=900,
        ),
    }
    return Vertebra.model_validate(_with_results(values | changes, VERTEBRA_RESULTS))


def _with_results(values: dict[str, object], names: Mapping[str, str]) -> dict[str, object]:
    """Results that are given as if they were fields, put into their slots."""
    given = {slot: values.pop(name) for name, slot in names.items() if name in values}
    return {**values, "results": {slot: value for slot, value in given.items() if value is not None}}


def reading(**changes: object) -> SpineReading:
    """A normal reading."""
    values: dict[str, object] = {
        "series": (
            SeriesVerdict(
                series_uid=SERIES,
                series_number=2,
                modality="CT",
                instances=24,
                taken=True,
                code="taken",
                reason="Best.",
            ),
            SeriesVerdict(
                series_uid=f"{ROOT}.1.2",
                series_number=None,
                modality="CT",
                instances=2,
                taken=False,
                code="localizer",
                reason="A localizer.",
            ),
        ),
        "source": SourceSeries(
            study_uid=STUDY,
            series_uid=SERIES,
            frame_of_reference_uid=FRAME,
            content_digest="ab" * 32,
            slices=SHAPE[0],
            rows=SHAPE[1],
            columns=SHAPE[2],
            pixel_spacing=(ROW_SPACING, COLUMN_SPACING),
            slice_spacing=SLICE_SPACING,
            slice_thickness=THICKNESS,
            kvp=120.0,
            kernel="B30f",
        ),
        "provenance": Provenance(pipeline="0.1.0", engine="osteon", engine_version="1.2", engine_digest="cd" * 32),
        "gates": (
            Gate(code="kvp", outcome=Outcome.PASS, reason="Tube voltage is 120 kV.", applies_to="density"),
            Gate(
                code="kernel",
                outcome=Outcome.WARN,
                reason="Kernel unknown – HU may be biased by ± 5.",
                applies_to="density",
            ),
        ),
        "numbering": Numbering.ANCHORED,
        "anchors": (Anchor.LOWEST_RIB,),
        "margin": 12.5,
        "vertebrae": tuple(vertebra(number) for number in (1, 2, 3)),
    }
    return SpineReading.model_validate(_with_results(values | changes, SPINE_RESULTS))


def fractured_reading() -> SpineReading:
    """L1 severe wedge, L2 mild; density low by the rule."""
    return reading(
        vertebrae=(
            vertebra(1),
            vertebra(
                2,
                deformity=Deformity(
                    height_loss=Measured(value=46.2, unit="%", uncertainty=4.0),
                    grade=3,
                    shape=Shape.WEDGE,
                    note="Endplate depressed.",
                ),
                density=Withheld(code="fractured", reason="A fractured vertebra is not measured."),
            ),
            vertebra(
                3, deformity=Deformity(height_loss=Measured(value=22.0, unit="%"), grade=1, shape=Shape.BICONCAVE)
            ),
        ),
        density_category=DensityCategory(
            rule="ISCD-L1-HU-100-150",
            level=Level.T12,
            value=Measured(value=88.0, unit="[hnsf'U]"),
            category="osteoporosis likely",
        ),
    )


def withheld_reading() -> SpineReading:
    """Density withheld by a gate, one vertebra cut, names ambiguous."""
    kvp = Withheld(code="kvp", reason="Tube voltage is 80 kV: attenuation cannot be compared.")
    cut = Withheld(code="incomplete", reason="The border of the images cuts the vertebra.")
    return reading(
        numbering=Numbering.AMBIGUOUS,
        anchors=(),
        gates=(Gate(code="kvp", outcome=Outcome.WITHHOLD, reason="Tube voltage is 80 kV.", applies_to="density"),),
        vertebrae=(
            vertebra(1, density=kvp, alternative=Level.T11),
            vertebra(2, density=kvp, alternative=Level.T12),
            vertebra(3, level=Level.L6, alternative=Level.L5, density=kvp, complete=False, heights=cut, deformity=cut),
        ),
        density_category=kvp,
    )


def case(of: SpineReading | None = None, slices: tuple[Dataset, ...] | None = None) -> Case:
    """The whole case, its slices without pixels as the graph keeps them."""
    told = reading() if of is None else of
    headers = ct_slices() if slices is None else slices
    for header in headers:
        if "PixelData" in header:
            del header.PixelData
    instances = tuple(
        VertebraInstance(v.number, v.level, v.confidence, v.complete, v.centroid, v.alternative) for v in told.vertebrae
    )
    found = {v.number for v in told.vertebrae}
    array = labels()
    array[~np.isin(array, list(found))] = 0
    density = density_regions()
    density[~np.isin(density, list(found))] = 0
    return Case(
        job=Job(study=Path("study"), out=Path("out"), at=AT),
        slices=headers,
        volume=volume(_stored().astype(np.float32)),
        reading=told,
        segmentation=SpineSegmentation(
            labels=volume(array),
            regions=volume((array > 0).astype(np.uint8)),
            vertebrae=instances,
            numbering=told.numbering,
        ),
        masks={Kind.DENSITY_REGIONS: volume(density)},
    )


def no_spine_case() -> Case:
    """A case in which the engine found nothing."""
    empty = case(reading(vertebrae=(), numbering=Numbering.NONE, anchors=(), remarks=("No spine was found.",)))
    return replace(empty, masks={})


def encode(dataset: Dataset | None) -> bytes:
    """The bytes of the file."""
    assert dataset is not None
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def decode(dataset: Dataset | None) -> Dataset:
    """As another program reads it."""
    return dcmread(BytesIO(encode(dataset)))


def save(dataset: Dataset | None, path: Path) -> Path:
    """Write the file."""
    path.write_bytes(encode(dataset))
    return path


def enhanced_case() -> Case:
    """The case as an enhanced CT with shuffled frames."""
    return case(slices=(enhanced_ct(SHUFFLED),))


def drop_frame_of_reference() -> Case:
    """The case without Frame of Reference UID."""
    slices = ct_slices()
    for header in slices:
        del header.FrameOfReferenceUID
    source = reading().source.model_copy(update={"frame_of_reference_uid": None})
    return case(reading(source=source), slices)


def ragged_headers() -> Case:
    """What scanners and archives really write."""
    slices = ct_slices()
    for header in slices:
        for keyword in ("AccessionNumber", "StudyID", "PatientBirthDate", "ReferringPhysicianName", "SliceThickness"):
            del header[keyword]
        header.PatientSex = "U"
        header.StudyTime = ""
        header.Manufacturer = ""
    source = reading().source.model_copy(update={"slice_thickness": None})
    return case(reading(source=source), slices)
