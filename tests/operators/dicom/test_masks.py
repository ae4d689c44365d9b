"""The SEG of the density regions and the label map of the vertebrae: pydicom alone, dcmqi, dicom3tools, highdicom."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from models.anatomy import Level
from operators.density.masks import REGIONS_OBJECT
from operators.dicom.masks import write_mask
from operators.dicom.segmentation import LABELMAP, write_segmentation
from operators.reading.case import Case
from operators.reading.options import Kind
from operators.results.identity import ResultIdentity
from tests.operators import small_case as small
from tests.operators.complaints import complaints
from tests.operators.dicom.test_segmentation import masks_by_pydicom
from tests.operators.full_reading import transitional_reading
from tests.operators.small_case import decode, encode, save
from tests.peers.validators import dcentvfy, dciodvfy, dcmqi_masks


def places(mask: NDArray[np.bool_], image: sitk.Image) -> set[tuple[int, int, int]]:
    """Slice, row and column in the truth of every voxel of a mask that dcmqi has written."""
    found = set()
    for k, i, j in np.argwhere(mask).tolist():
        x, y, z = image.TransformIndexToPhysicalPoint((j, i, k))
        found.add((round((-140.2 - z) / 2.5), round((y - 12.7) / 0.9), round((x + 31.3) / 0.7)))
    return found


def truth(array: NDArray[np.uint8], number: int) -> set[tuple[int, int, int]]:
    return {tuple(index) for index in np.argwhere(array == number).tolist()}


def odd_matrix() -> Case:
    """The case cut to 59 columns and 59 rows: the bits of a frame do not fill its last byte."""
    case = small.case()
    assert case.segmentation is not None
    for header in case.slices:
        header.Rows = header.Columns = 59
    return replace(
        case,
        volume=small.volume(case.volume.array[:, :59, :59]),
        segmentation=replace(case.segmentation, labels=small.volume(small.labels()[:, :59, :59])),
        masks={},
    )


@pytest.mark.parametrize("make", [small.case, small.enhanced_case, small.drop_frame_of_reference])
def test_density_regions_come_back_on_the_slices_they_were_measured_on(make: type[Case]) -> None:
    case = make()
    masks = masks_by_pydicom(decode(write_mask(case, REGIONS_OBJECT)), case)
    assert list(masks) == ["T12 density", "L1 density", "L2 density"]
    for number, mask in enumerate(masks.values(), start=1):
        assert np.array_equal(mask, small.density_regions() == number)


def test_a_density_region_is_a_coded_part_of_its_vertebra() -> None:
    case = small.case()
    seg = decode(write_mask(case, REGIONS_OBJECT))
    identity = ResultIdentity.of(case.reading)
    assert (seg.SeriesNumber, seg.SeriesDescription) == (1003, "AI bone density regions (research)")
    assert seg.SeriesInstanceUID == identity.series_uid(Kind.DENSITY_REGIONS)
    segment = seg.SegmentSequence[1]
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "3572006"
    modifier = segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
    assert (modifier.CodeValue, modifier.CodingSchemeDesignator) == ("TRAB", "99OSTEON")
    assert seg.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99OSTEON"
    assert segment.AnatomicRegionSequence[0].CodeValue == "66794005"
    assert segment.TrackingID == "L1 trabecular ROI"
    vertebra = decode(write_segmentation(case)).SegmentSequence[1]
    assert segment.TrackingUID != vertebra.TrackingUID
    assert segment.RecommendedDisplayCIELabValue == vertebra.RecommendedDisplayCIELabValue


@pytest.mark.parametrize("case", [small.no_spine_case(), replace(small.case(), masks={})])
def test_nothing_empty_is_sent(case: Case) -> None:
    assert write_mask(case, REGIONS_OBJECT) is None


def test_a_level_without_a_region_has_no_segment() -> None:
    array = small.density_regions()
    array[array == 1] = 0
    seg = decode(write_mask(replace(small.case(), masks={Kind.DENSITY_REGIONS: small.volume(array)}), REGIONS_OBJECT))
    assert [(item.SegmentNumber, item.SegmentLabel) for item in seg.SegmentSequence] == [
        (1, "L1 density"),
        (2, "L2 density"),
    ]


def test_transitional_levels_are_coded_by_their_region() -> None:
    case = small.case(transitional_reading())
    vertebrae = {item.SegmentLabel: item for item in decode(write_segmentation(case)).SegmentSequence}
    densities = {item.SegmentLabel: item for item in decode(write_mask(case, REGIONS_OBJECT)).SegmentSequence}
    for level, region in ((Level.T13, "122495006"), (Level.L6, "122496007")):
        assert vertebrae[level].SegmentedPropertyTypeCodeSequence[0].CodeValue == "51282000"
        assert vertebrae[level].AnatomicRegionSequence[0].CodeValue == region
        assert densities[f"{level} density"].AnatomicRegionSequence[0].CodeValue == region


@pytest.mark.parametrize("make", [small.case, small.enhanced_case, odd_matrix])
def test_highdicom_reads_the_label_map_voxel_for_voxel(make: type[Case]) -> None:
    case = make()
    assert case.segmentation is not None
    seg = hd.seg.Segmentation.from_dataset(decode(write_segmentation(case, LABELMAP)))
    assert seg.segmentation_type is hd.seg.SegmentationTypeValues.LABELMAP
    labels = case.segmentation.labels.array
    read = seg.get_volume(combine_segments=True)
    first = round((small.ORIGIN[2] - read.position[2]) / small.SLICE_SPACING)  # only slices that hold a segment
    assert np.array_equal(read.array, labels[first : first + len(read.array)])
    assert not labels[:first].any()
    assert not labels[first + len(read.array) :].any()


def test_a_label_map_counts_from_one_and_names_the_background_last() -> None:
    seg = decode(write_segmentation(small.case(), LABELMAP))
    assert seg.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.7"
    assert [(item.SegmentNumber, item.SegmentLabel) for item in seg.SegmentSequence] == [
        (1, "T12"),
        (2, "L1"),
        (3, "L2"),
        (0, "Background"),
    ]
    assert (seg.BitsAllocated, seg.SegmentsOverlap, seg.SeriesNumber) == (8, "NO", 1002)


def test_frames_whose_bits_do_not_fill_a_byte_come_back() -> None:
    case = odd_matrix()
    seg = decode(write_segmentation(case))
    labels = {item.SegmentNumber: number for number, item in enumerate(seg.SegmentSequence, start=1)}
    uids = {str(header.SOPInstanceUID): place for place, header in enumerate(case.slices)}
    found = np.zeros((24, 59, 59), dtype=np.uint8)
    for frame, pixels in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        place = uids[frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID]
        found[place][pixels > 0] = labels[frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber]
    assert np.array_equal(found, small.labels()[:, :59, :59])


def test_the_same_case_gives_the_same_bytes() -> None:
    for write in (lambda case: write_mask(case, REGIONS_OBJECT), lambda case: write_segmentation(case, LABELMAP)):
        assert encode(write(small.case())) == encode(write(small.case()))


def test_only_slices_that_hold_a_segment_are_referred_to() -> None:
    seg = decode(write_mask(small.case(), REGIONS_OBJECT))
    (series,) = seg.ReferencedSeriesSequence
    named = {str(item.ReferencedSOPInstanceUID) for item in series.ReferencedInstanceSequence}
    held = np.flatnonzero(small.density_regions().any(axis=(1, 2)))
    assert named == {f"{small.SERIES}.{index + 1}" for index in held}


@pytest.mark.peer
@pytest.mark.parametrize("make", [small.case, small.enhanced_case, lambda: small.case(transitional_reading())])
def test_dciodvfy_finds_nothing(make: type[Case], tmp_path: Path) -> None:
    assert complaints(dciodvfy(save(write_mask(make(), REGIONS_OBJECT), tmp_path / "seg.dcm"))) == ()


@pytest.mark.peer
def test_dcentvfy_finds_one_patient_and_one_study(tmp_path: Path) -> None:
    paths = [save(header, tmp_path / f"ct{index:02}.dcm") for index, header in enumerate(small.ct_slices())]
    paths += [
        save(write_segmentation(small.case()), tmp_path / "seg.dcm"),
        save(write_mask(small.case(), REGIONS_OBJECT), tmp_path / "density.dcm"),
    ]
    assert complaints(dcentvfy(paths)) == ()


@pytest.mark.peer
@pytest.mark.parametrize("make", [small.case, small.enhanced_case])
def test_dcmqi_reads_the_density_regions_voxel_for_voxel(make: type[Case], tmp_path: Path) -> None:
    masks = dcmqi_masks(save(write_mask(make(), REGIONS_OBJECT), tmp_path / "seg.dcm"), tmp_path / "masks")
    assert list(masks) == ["T12 density", "L1 density", "L2 density"]
    for number, (mask, image) in enumerate(masks.values(), start=1):
        assert places(mask, image) == truth(small.density_regions(), number)


@pytest.mark.peer
@pytest.mark.parametrize("make", [small.case, small.enhanced_case, odd_matrix])
def test_dcmqi_reads_the_label_map_voxel_for_voxel(make: type[Case], tmp_path: Path) -> None:
    case = make()
    assert case.segmentation is not None
    masks = dcmqi_masks(save(write_segmentation(case, LABELMAP), tmp_path / "seg.dcm"), tmp_path / "masks")
    for number, name in enumerate(("T12", "L1", "L2"), start=1):
        assert places(*masks[name]) == truth(case.segmentation.labels.array, number)
