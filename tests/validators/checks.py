"""Every validator and independent reader, as one table: what it asks, of which objects, and what it answers.

All answer in the same form, so that one test can demand no error anywhere and one command can print the table.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import highdicom as hd
import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom import dcmread

from operators.density.results import DENSITY, Density
from operators.fractures.results import HEIGHTS, Heights
from operators.reading.options import Kind
from operators.reading.quantity import Measured
from operators.reading.vertebra import Vertebra
from tests.peers.pixelmed import pixelmed_findings, start_pixelmed
from tests.peers.validators import Findings, dcentvfy, dciodvfy, dcmqi_masks, dcmqi_measurements, dsrdump
from tests.validators.readings import Made
from tests.validators.report_tree import Number, Tree, numbers_of, shape_of

SEGMENTATIONS = frozenset({Kind.SEGMENTATION, Kind.DENSITY_REGIONS, Kind.LABELMAP})
MEASUREMENTS = frozenset({Kind.REPORT, Kind.REPORT_2D})
DOCUMENTS = MEASUREMENTS | {Kind.TEXT_REPORT, Kind.KEY_OBJECTS}
HALF_A_TENTH = 0.0501
"""Numbers of a report are rounded to a tenth, or finer."""


@dataclass(frozen=True)
class Check:
    """One validator or reader.

    Attributes:
        name: Of the program.
        asks: What it is asked, in words.
        kinds: The objects that it can be asked about.
        run: Asks it about one object of a reading.
    """

    name: str
    asks: str
    kinds: frozenset[Kind]
    run: Callable[[Made, Kind], Findings]


def _wrong(sentences: Iterator[str]) -> Findings:
    return Findings(errors=tuple(sentences))


def _dciodvfy(made: Made, kind: Kind) -> Findings:
    return dciodvfy(made.objects[kind])


def _dsrdump(made: Made, kind: Kind) -> Findings:
    dsrdump(made.objects[kind])  # fails where it refuses the document
    return Findings()


def _dcmqi_voxels(made: Made, kind: Kind) -> Findings:
    with TemporaryDirectory() as scratch:
        images = dcmqi_masks(made.objects[kind], Path(scratch))
    masks = {}
    for label, (mask, image) in images.items():
        positions = [image.TransformIndexToPhysicalPoint((0, 0, k)) for k in range(len(mask))]
        masks[label] = _placed(made, mask, np.array(positions))
    return _wrong(_voxel_errors(made, kind, masks))


def _placed(made: Made, planes: NDArray[np.bool_], positions: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Planes on the grid of the CT, each at the slice where its first voxel lies (LPS, mm, shape (n, 3))."""
    assert made.phantom is not None
    on_grid = np.zeros(made.phantom.labels.shape, dtype=bool)
    for plane, place in zip(planes, made.phantom.volume.map_reference_to_indices(positions), strict=True):
        assert np.abs(place - np.rint(place)).max() < 0.05, f"a plane lies between the slices, at {place}"
        assert np.rint(place[1:]).tolist() == [0, 0], f"a plane does not begin where the slices begin, but at {place}"
        on_grid[round(place[0])] |= plane
    return on_grid


def _voxel_errors(made: Made, kind: Kind, masks: Mapping[str, NDArray[np.bool_]]) -> Iterator[str]:
    assert made.phantom is not None
    truth = {str(v.level): made.phantom.labels.array == v.number for v in made.phantom.vertebrae}
    found = {label.split()[0].rstrip("?"): mask for label, mask in masks.items()}
    if kind is not Kind.DENSITY_REGIONS:
        if list(found) != list(truth):
            yield f"segments {list(found)} instead of {list(truth)}"
        for level in found.keys() & truth.keys():
            if wrong := int((found[level] != truth[level]).sum()):
                yield f"{level}: {wrong} voxels differ"
        return
    voxels = {str(v.level): v.of(DENSITY).voxels for v in made.vertebrae if isinstance(v.of(DENSITY), Density)}
    if {level: int(mask.sum()) for level, mask in found.items()} != voxels:
        yield f"density regions are not those that were measured: {voxels}"
    for level, mask in found.items():
        if (mask & ~truth[level]).any():
            yield f"the density region of {level} reaches beyond the vertebra"


def _itk_frames(made: Made, kind: Kind) -> Findings:
    """SimpleITK gives the frames as they are stored; the places are those that pydicom reads."""
    image = sitk.ReadImage(str(made.objects[kind]))
    stored = sitk.GetArrayFromImage(image).reshape(-1, *reversed(image.GetSize()[:2])) > 0
    header = dcmread(made.objects[kind], stop_before_pixels=True)
    groups, shared = header.PerFrameFunctionalGroupsSequence, header.SharedFunctionalGroupsSequence[0]
    # An object with one segment says so once.
    named = [frame if "SegmentIdentificationSequence" in frame else shared for frame in groups]
    numbers = np.array([one.SegmentIdentificationSequence[0].ReferencedSegmentNumber for one in named])
    positions = np.array([frame.PlanePositionSequence[0].ImagePositionPatient for frame in groups], dtype=float)
    masks = {
        str(segment.SegmentLabel): _placed(
            made, *(part[numbers == segment.SegmentNumber] for part in (stored, positions))
        )
        for segment in header.SegmentSequence
    }
    return _wrong(_voxel_errors(made, kind, masks))


def _highdicom(made: Made, kind: Kind) -> Findings:
    if kind in MEASUREMENTS:
        title = hd.sr.srread(made.objects[kind]).content[0].name.value
        return Findings() if title == "126000" else Findings(errors=(f"it reads a document titled {title}",))
    segmentation = hd.seg.segread(made.objects[kind])
    volume = segmentation.get_volume(combine_segments=False, dtype=np.uint8)
    positions = np.array([volume.affine[:3, 3] + k * volume.affine[:3, 0] for k in range(len(volume.array))])
    labels = [segmentation.get_segment_description(n).segment_label for n in segmentation.segment_numbers]
    masks = {label: _placed(made, volume.array[..., n] > 0, positions) for n, label in enumerate(labels)}
    return _wrong(_voxel_errors(made, kind, masks))


def _pydicom_numbers(made: Made, kind: Kind) -> Findings:
    return _wrong(_number_errors(made, numbers_of(dcmread(made.objects[kind]))))


def _number_errors(made: Made, numbers: list[Number]) -> Iterator[str]:
    found = {(number.level, number.concept): number for number in numbers}
    for vertebra in made.vertebrae:
        for concept, value in _measured(vertebra):
            number = found.get((str(vertebra.level), concept))
            if number is None:
                yield f"{vertebra.level}: {concept} is missing"
            elif abs(number.value - value.value) > HALF_A_TENTH or number.unit != value.unit:
                yield f"{vertebra.level}: {concept} is {number.value} {number.unit} instead of {value.value:.2f}"


def _measured(vertebra: Vertebra) -> Iterator[tuple[str, Measured]]:
    """What a reading measured, by the code that the report gives it."""
    quantities: dict[str, object] = {}
    if isinstance(vertebra.of(HEIGHTS), Heights):
        quantities |= {
            "VBH-ANT": vertebra.of(HEIGHTS).anterior,
            "VBH-MID": vertebra.of(HEIGHTS).middle,
            "VBH-POST": vertebra.of(HEIGHTS).posterior,
        }
    if isinstance(vertebra.of(DENSITY), Density):
        quantities |= {"112181": vertebra.of(DENSITY).mean, "112182": vertebra.of(DENSITY).median}
    for concept, quantity in quantities.items():
        if isinstance(quantity, Measured):
            yield concept, quantity


def _dcmqi_numbers(made: Made, kind: Kind) -> Findings:
    with TemporaryDirectory() as scratch:
        groups = dcmqi_measurements(made.objects[kind], Path(scratch))
    read = sorted(
        (group["TrackingUniqueIdentifier"], item["quantity"]["CodeValue"], float(item["value"]))
        for group in groups
        for item in group.get("measurementItems", ())
    )
    with_numbers = {number.tracking for number in numbers_of(dcmread(made.objects[kind]))}
    known = {group["TrackingUniqueIdentifier"] for group in groups}
    wanted = sorted(
        (number.tracking, number.concept, number.value)
        for number in numbers_of(dcmread(made.objects[kind]))
        if number.tracking in known
    )
    # It passes over groups with a region drawn on one image; all others it must have.
    if read != wanted or not known & with_numbers:
        return Findings(errors=(f"it reads {len(read)} numbers and not the same {len(wanted)} as pydicom",))
    return Findings()


CHECKS: tuple[Check, ...] = (
    Check("dciodvfy", "keeps to its IOD", frozenset(Kind) - {Kind.LABELMAP}, _dciodvfy),
    Check("dsrdump", "DCMTK parses it", DOCUMENTS, _dsrdump),
    Check("dcmqi voxels", "segimage2itkimage gives every voxel of the truth", SEGMENTATIONS, _dcmqi_voxels),
    Check(
        "SimpleITK",
        "its frames are every voxel of the truth",
        frozenset({Kind.SEGMENTATION, Kind.DENSITY_REGIONS}),
        _itk_frames,
    ),
    Check("dcmqi numbers", "tid1500reader gives every number of the report", MEASUREMENTS, _dcmqi_numbers),
    Check("pydicom", "the numbers of the reading, walked by pydicom alone", MEASUREMENTS, _pydicom_numbers),
    Check("highdicom", "gives every voxel of the truth; reads the report", SEGMENTATIONS | MEASUREMENTS, _highdicom),
)
"""What can be asked about one object at a time."""


def applies(check: Check, made: Made, kind: Kind) -> bool:
    """Whether a check has anything to ask: nothing was measured in a study without a vertebra."""
    about_numbers = check.run in (_dcmqi_numbers, _pydicom_numbers)
    return kind in check.kinds and (bool(made.vertebrae) or not about_numbers)


def entities(made: Made) -> Findings:
    """dcentvfy over all objects of a reading and the CT; the label map is younger than its tables."""
    return dcentvfy([*made.ct, *(path for kind, path in made.objects.items() if kind is not Kind.LABELMAP)])


@dataclass
class PixelMed:
    """The report validator, at work in a process of its own while other checks run.

    It takes ten seconds for a report, so that of reports with the same shape it gets one; of the 2D reports,
    which have the trees of the 3D reports, that of the fractured spine.

    Args:
        readings: Whose documents it looks at.
    """

    readings: Mapping[str, Made]
    _process: subprocess.Popen[str] | None = field(default=None, init=False)
    _shapes: dict[Path, Tree] = field(default_factory=dict, init=False)
    _found: dict[Tree, Findings] = field(default_factory=dict, init=False)

    def start(self) -> None:
        """Begin."""
        for name, made in self.readings.items():
            for kind in made.objects.keys() & DOCUMENTS:
                if kind is not Kind.REPORT_2D or name == "fractured":
                    report = dcmread(made.objects[kind])
                    self._shapes[made.objects[kind]] = (report.SOPClassUID, shape_of(report))
        self._process = start_pixelmed([path for _, path in sorted(self._by_shape().items(), key=lambda i: i[1])])

    def findings(self, made: Made, kind: Kind) -> Findings | None:
        """What it found in an object of this shape; None for one that it is not asked about."""
        if self._process is None:
            pytest.fail("the validator was not started")
        if not self._found:
            said = pixelmed_findings(self._process)
            self._found = {shape: said[path] for shape, path in self._by_shape().items()}
        shape = self._shapes.get(made.objects[kind])
        return None if shape is None else self._found[shape]

    def end(self) -> None:
        """Stop it, where nobody waited for it."""
        if self._process is not None and not self._found:
            self._process.kill()
            self._process.communicate()

    def _by_shape(self) -> dict[Tree, Path]:
        return {shape: path for path, shape in self._shapes.items()}
