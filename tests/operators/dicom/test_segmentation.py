"""The SEG: read by pydicom alone, by dcmqi, and checked by dicom3tools."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from models.anatomy import Level
from models.engine import Numbering
from operators.dicom.segmentation import write_segmentation
from operators.reading.case import Case
from operators.reading.errors import PermanentError
from operators.reading.options import Kind
from operators.results.identity import ResultIdentity
from tests.operators import small_case as small
from tests.operators.complaints import complaints
from tests.operators.small_case import decode, encode, save
from tests.peers.validators import dcentvfy, dciodvfy, dcmqi_masks


def masks_by_pydicom(seg: Dataset, case: Case) -> dict[str, NDArray[np.bool_]]:
    """Masks by segment label, put together from frames by the source image each refers to."""
    places: dict[tuple[str, int | None], int] = {}
    if "NumberOfFrames" in case.slices[0]:
        # Frame n of the enhanced CT shows slice small.SHUFFLED[n - 1] of the truth.
        places = {(str(case.slices[0].SOPInstanceUID), n): place for n, place in enumerate(small.SHUFFLED, start=1)}
    else:
        places = {(str(header.SOPInstanceUID), None): place for place, header in enumerate(case.slices)}
    labels = {item.SegmentNumber: item.SegmentLabel for item in seg.SegmentSequence}
    masks = {label: np.zeros(small.SHAPE, dtype=bool) for label in labels.values()}
    for frame, pixels in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        (source,) = frame.DerivationImageSequence[0].SourceImageSequence
        place = places[str(source.ReferencedSOPInstanceUID), source.get("ReferencedFrameNumber")]
        assert list(frame.PlanePositionSequence[0].ImagePositionPatient) == small.position(place)
        masks[labels[frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber]][place] = pixels > 0
    return masks


@pytest.mark.parametrize("make", [small.case, small.enhanced_case, small.drop_frame_of_reference, small.ragged_headers])
def test_every_voxel_comes_back_on_the_slice_it_was_drawn_on(make: Callable[[], Case]) -> None:
    case = make()
    masks = masks_by_pydicom(decode(write_segmentation(case)), case)
    assert list(masks) == ["T12", "L1", "L2"]
    for number, mask in enumerate(masks.values(), start=1):
        assert np.array_equal(mask, small.labels() == number)


def test_a_segment_is_coded_named_coloured_and_tracked() -> None:
    seg = decode(write_segmentation(small.case()))
    assert seg.SegmentationType == "BINARY"
    assert (seg.SeriesNumber, seg.SeriesDescription) == (1001, "AI vertebrae (research)")
    assert [item.SegmentNumber for item in seg.SegmentSequence] == [1, 2, 3]
    segment = seg.SegmentSequence[1]
    assert segment.SegmentLabel == "L1"
    category, kind = segment.SegmentedPropertyCategoryCodeSequence[0], segment.SegmentedPropertyTypeCodeSequence[0]
    assert (category.CodeValue, category.CodingSchemeDesignator) == ("91723000", "SCT")
    assert (kind.CodeValue, kind.CodingSchemeDesignator, kind.CodeMeaning) == ("66794005", "SCT", "L1 vertebra")
    assert segment.SegmentAlgorithmType == "AUTOMATIC"
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("osteon", "1.2")
    assert "cd" * 32 in algorithm.AlgorithmParameters
    assert algorithm.AlgorithmFamilyCodeSequence[0].CodeValue == "123110"
    assert segment.TrackingID == "L1 vertebra"
    assert segment.TrackingUID == ResultIdentity.of(small.reading()).tracking_uid("L1", "vertebra")
    assert len(segment.RecommendedDisplayCIELabValue) == 3


def test_a_vertebra_without_voxels_is_left_out_and_numbers_close_up() -> None:
    case = small.case()
    assert case.segmentation is not None
    array = small.labels()
    array[array == 2] = 0
    emptied = replace(case, segmentation=replace(case.segmentation, labels=small.volume(array)))
    seg = decode(write_segmentation(emptied))
    assert [(item.SegmentNumber, item.SegmentLabel) for item in seg.SegmentSequence] == [(1, "T12"), (2, "L2")]
    assert np.array_equal(masks_by_pydicom(seg, emptied)["L2"], small.labels() == 3)


@pytest.mark.parametrize("case", [small.no_spine_case(), replace(small.case(), segmentation=None)])
def test_nothing_empty_is_sent(case: Case) -> None:
    assert write_segmentation(case) is None


def test_a_transitional_level_is_a_generic_vertebra_of_its_region() -> None:
    changed = small.reading(vertebrae=(small.vertebra(1), small.vertebra(2), small.vertebra(3, level=Level.L6)))
    segment = decode(write_segmentation(small.case(changed))).SegmentSequence[2]
    assert segment.SegmentLabel == "L6"
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "51282000"
    assert segment.AnatomicRegionSequence[0].CodeValue == "122496007"


def test_an_ambiguous_numbering_shows_in_the_label() -> None:
    changed = small.reading(numbering=Numbering.AMBIGUOUS, vertebrae=(small.vertebra(1, alternative=Level.T11),))
    segment = decode(write_segmentation(small.case(changed))).SegmentSequence[0]
    assert segment.SegmentLabel == "T12?"
    assert "T11" in segment.SegmentDescription


def test_a_level_found_twice_gets_two_tracking_uids() -> None:
    twice = small.reading(vertebrae=tuple(small.vertebra(n, level=Level.L1) for n in (1, 2, 3)))
    segments = decode(write_segmentation(small.case(twice))).SegmentSequence
    assert len({item.TrackingUID for item in segments}) == 3


def test_geometry_is_that_of_the_ct_with_the_measured_spacing() -> None:
    seg = decode(write_segmentation(small.case()))
    assert seg.FrameOfReferenceUID == small.FRAME
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert [float(v) for v in measures.PixelSpacing] == [0.9, 0.7]
    assert float(measures.SpacingBetweenSlices) == 2.5
    assert float(measures.SliceThickness) == 3.0
    assert (seg.Rows, seg.Columns) == small.SHAPE[1:]


def test_slices_that_are_not_where_the_volume_is_are_refused() -> None:
    slices = small.ct_slices()
    for header in slices:
        header.ImagePositionPatient = [-31.3, 12.7, float(header.ImagePositionPatient[2]) + 20.0]
    with pytest.raises(PermanentError, match="irregular-geometry"):
        write_segmentation(small.case(slices=slices))


def test_slices_in_another_order_still_get_their_own_masks() -> None:
    slices = small.ct_slices()
    case = small.case(slices=tuple(slices[index] for index in small.SHUFFLED))
    seg = decode(write_segmentation(case))
    ordered = replace(case, slices=slices)
    for number, mask in enumerate(masks_by_pydicom(seg, ordered).values(), start=1):
        assert np.array_equal(mask, small.labels() == number)


@pytest.mark.parametrize("make", [small.case, small.enhanced_case])
def test_the_same_case_gives_the_same_bytes(make: Callable[[], Case]) -> None:
    assert encode(write_segmentation(make())) == encode(write_segmentation(make()))


def test_the_time_is_the_jobs_in_the_zone_of_the_ct() -> None:
    slices = small.ct_slices()
    slices[0].TimezoneOffsetFromUTC = "+0530"
    case = small.case(slices=slices)
    moved = replace(case, job=case.job.model_copy(update={"at": datetime(2026, 3, 4, 20, 0, 0, tzinfo=UTC)}))
    seg = decode(write_segmentation(moved))
    assert (seg.InstanceCreationDate, seg.InstanceCreationTime) == ("20260305", "013000")
    assert (seg.ContentDate, seg.ContentTime) == ("20260305", "013000")
    assert (seg.SeriesDate, seg.SeriesTime) == ("20260305", "013000")
    assert (seg.StudyDate, seg.StudyTime) == ("20260301", "081500")
    assert seg.TimezoneOffsetFromUTC == "+0530"
    times = [item.get("ContributionDateTime") for item in seg.ContributingEquipmentSequence]
    assert {time for time in times if time} == {"20260305013000"}


def test_equipment_names_the_algorithm_beside_scanner_and_library() -> None:
    seg = decode(write_segmentation(small.case()))
    (ours,) = (item for item in seg.ContributingEquipmentSequence if item.Manufacturer == "Osteon project")
    purpose = ours.PurposeOfReferenceCodeSequence[0]
    assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("109102", "DCM")
    assert ours.DeviceUID == ResultIdentity.of(small.reading()).algorithm_uid
    assert "cd" * 32 in ours.ContributionDescription
    assert any(item.Manufacturer == "Scanner Works" for item in seg.ContributingEquipmentSequence)


def test_uids_are_those_of_the_identity() -> None:
    identity = ResultIdentity.of(small.reading())
    seg = decode(write_segmentation(small.case()))
    assert seg.StudyInstanceUID == small.STUDY
    assert seg.SeriesInstanceUID == identity.series_uid(Kind.SEGMENTATION)
    assert seg.SOPInstanceUID == identity.instance_uid(Kind.SEGMENTATION)
    assert seg.file_meta.MediaStorageSOPInstanceUID == seg.SOPInstanceUID


@pytest.mark.peer
@pytest.mark.parametrize(
    "make",
    [
        small.case,
        small.enhanced_case,
        small.drop_frame_of_reference,
        small.ragged_headers,
        lambda: small.case(small.withheld_reading()),
    ],
)
def test_dciodvfy_finds_nothing(make: Callable[[], Case], tmp_path: Path) -> None:
    findings = dciodvfy(save(write_segmentation(make()), tmp_path / "seg.dcm"))
    assert findings.errors == ()
    assert findings.warnings == ()


@pytest.mark.peer
@pytest.mark.parametrize("make", [small.case, small.enhanced_case])
def test_dcmqi_reads_the_same_voxels_at_the_same_place(make: Callable[[], Case], tmp_path: Path) -> None:
    masks = dcmqi_masks(save(write_segmentation(make()), tmp_path / "seg.dcm"), tmp_path / "masks")
    assert list(masks) == ["T12", "L1", "L2"]
    for number, (mask, image) in enumerate(masks.values(), start=1):
        # dcmqi writes the slices that hold a segment, from feet to head: the places decide.
        truth = {tuple(index) for index in np.argwhere(small.labels() == number).tolist()}
        assert np.allclose(image.GetSpacing(), (0.7, 0.9, 2.5), atol=0.01)
        found = set()
        for k, i, j in np.argwhere(mask).tolist():
            x, y, z = image.TransformIndexToPhysicalPoint((j, i, k))
            place = (round((-140.2 - z) / 2.5), round((y - 12.7) / 0.9), round((x + 31.3) / 0.7))
            found.add(place)
        assert found == truth


@pytest.mark.peer
def test_dcentvfy_finds_one_patient_and_one_study(tmp_path: Path) -> None:
    slices = small.ct_slices()
    paths = [save(header, tmp_path / f"ct{index:02}.dcm") for index, header in enumerate(slices)]
    paths.append(save(write_segmentation(small.case()), tmp_path / "seg.dcm"))
    assert complaints(dcentvfy(paths)) == ()
