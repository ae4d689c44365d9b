"""Key objects: which slices they point at, and that they keep to TID 2010."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset

from models.anatomy import Level
from operators.density.results import DensityCategory
from operators.dicom.key_objects import write_key_objects
from operators.fractures.results import Deformity, Shape
from operators.reading.case import Case
from operators.reading.quantity import Measured
from tests.operators import small_case as small
from tests.operators.complaints import complaints
from tests.peers.validators import dcentvfy, dciodvfy, dsrdump


def written(case: Case) -> Dataset:
    return small.decode(write_key_objects(case))


def pointed_at(document: Dataset) -> list[str]:
    return [
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in document.ContentSequence
        if item.ValueType == "IMAGE"
    ]


def slice_of(level: Level) -> str:
    """The instance through the middle of a vertebra of the small case."""
    return f"{small.SERIES}.{small.CENTRES[small.LEVELS.index(level)] + 1}"


def test_the_title_says_research() -> None:
    title = written(small.case()).ConceptNameCodeSequence[0]
    assert (title.CodeValue, title.CodingSchemeDesignator) == ("113009", "DCM")


def test_the_slice_of_the_fracture_is_key() -> None:
    broken = small.vertebra(
        3, deformity=Deformity(height_loss=Measured(value=45, unit="%"), grade=3, shape=Shape.WEDGE)
    )
    decided = DensityCategory(
        rule="R", level=Level.T12, value=Measured(value=88.0, unit="[hnsf'U]"), category="osteoporosis likely"
    )
    reading = small.reading(vertebrae=(small.vertebra(1), small.vertebra(2), broken), density_category=decided)
    document = written(small.case(reading))
    # L2 for its fracture, T12 because its density decided; L1 has nothing to show.
    assert pointed_at(document) == [slice_of(Level.T12), slice_of(Level.L2)]
    description = next(
        item.TextValue
        for item in document.ContentSequence
        if item.ValueType == "TEXT" and item.ConceptNameCodeSequence[0].CodeValue == "113012"
    )
    assert (
        "Key slices through T12 (its attenuation decides the category), L2 (vertebral fracture, Genant 3)."
        in description
    )
    assert "Research use only" in description


def test_a_negative_has_one_key_slice() -> None:
    assert pointed_at(written(small.case())) == [slice_of(Level.L1)]


def test_evidence_lists_what_is_pointed_at() -> None:
    document = written(small.case(small.fractured_reading()))
    (study,) = document.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == small.SERIES
    assert {item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence} == set(pointed_at(document))


def test_no_purpose_of_reference_is_given() -> None:
    images = [item for item in written(small.case()).ContentSequence if item.ValueType == "IMAGE"]
    assert images
    assert all("ConceptNameCodeSequence" not in image for image in images)


def test_frames_of_an_enhanced_ct_are_named() -> None:
    document = written(small.enhanced_case())
    (image,) = [item for item in document.ContentSequence if item.ValueType == "IMAGE"]
    # Frames come shuffled: the one of slice 11, counted from 1.
    assert image.ReferencedSOPSequence[0].ReferencedFrameNumber == small.SHUFFLED.index(11) + 1


def test_without_a_vertebra_there_is_nothing_to_point_at() -> None:
    assert write_key_objects(small.no_spine_case()) is None


def test_the_same_case_gives_the_same_bytes() -> None:
    first, second = (small.encode(write_key_objects(small.case())) for _ in range(2))
    assert first == second


@pytest.mark.peer
@pytest.mark.parametrize("make", [small.case, small.enhanced_case, small.ragged_headers])
def test_validators_find_nothing(make: object, tmp_path: Path) -> None:
    assert callable(make)
    path = small.save(write_key_objects(make()), tmp_path / "kos.dcm")
    assert not complaints(dciodvfy(path))
    assert "Key Object Selection Document" in dsrdump(path)
    if make is small.case:
        ct = small.save(small.ct_slices()[0], tmp_path / "ct.dcm")
        assert not complaints(dcentvfy([ct, path]))
