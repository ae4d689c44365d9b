from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom.dsutils import encode

from node.receiving.dataset import NotADatasetError, identify, same_content
from operators.dicom.report import write_report
from operators.dicom.segmentation import write_segmentation
from tests.node.slices import ROOT_UID, ct_slice
from tests.operators import small_case

STUDY = f"{ROOT_UID}.1"
SYNTAXES = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
]


def encoded(dataset: Dataset, syntax: UID) -> bytes:
    if syntax == DeflatedExplicitVRLittleEndian:
        plain = encode(dataset, False, True)
        assert plain is not None
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return deflate.compress(plain) + deflate.flush()
    found = encode(dataset, syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian)
    assert found is not None
    return found


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: UID(uid).name)
def test_the_uids_are_found_in_every_encoding(syntax: UID) -> None:
    slice_ = ct_slice(3)
    if syntax == ExplicitVRBigEndian:
        del slice_.PixelData
    found = identify(encoded(slice_, syntax), syntax)
    assert (found.study, found.series, found.instance, found.sop_class, found.is_own_result) == (
        STUDY,
        f"{STUDY}.8",
        f"{STUDY}.9.3",
        CTImageStorage,
        False,
    )


@pytest.mark.parametrize("missing", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
def test_an_instance_without_one_of_its_uids_is_none(missing: str) -> None:
    slice_ = ct_slice(3)
    delattr(slice_, missing)
    with pytest.raises(NotADatasetError):
        identify(encoded(slice_, ExplicitVRLittleEndian), ExplicitVRLittleEndian)


def test_a_report_of_ours_is_known_and_a_phantom_of_ours_is_not() -> None:
    slice_ = ct_slice(3)
    slice_.Manufacturer = "Osteon project"
    phantom = identify(encoded(slice_, ExplicitVRLittleEndian), ExplicitVRLittleEndian)
    slice_.SOPClassUID = "1.2.840.10008.5.1.4.1.1.66.4"
    segmentation = identify(encoded(slice_, ExplicitVRLittleEndian), ExplicitVRLittleEndian)
    assert (phantom.is_own_result, segmentation.is_own_result) == (False, True)


def test_what_the_encoders_write_is_known_when_it_is_routed_back() -> None:
    case = small_case.case()
    for made in (write_report(case), write_segmentation(case)):
        assert made is not None
        assert identify(encoded(made, ExplicitVRLittleEndian), ExplicitVRLittleEndian).is_own_result


@given(st.binary(max_size=300), st.sampled_from(SYNTAXES))
def test_any_bytes_are_identified_or_refused(garbage: bytes, syntax: UID) -> None:
    with pytest.raises(NotADatasetError):
        identify(garbage, syntax)


@given(st.data(), st.sampled_from(SYNTAXES[:3]))
def test_a_damaged_data_set_never_fails_otherwise(data: st.DataObject, syntax: UID) -> None:
    whole = bytearray(encoded(ct_slice(1, size=2), syntax))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    try:
        found = identify(bytes(cut), syntax)
    except NotADatasetError:
        return
    assert isinstance(found.study, str)


def test_a_deflated_bomb_stays_small() -> None:
    deflate = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    bomb = deflate.compress(b"\0" * (1 << 26)) + deflate.flush()
    with pytest.raises(NotADatasetError):
        identify(bomb, DeflatedExplicitVRLittleEndian)


@pytest.mark.parametrize("syntax", SYNTAXES[:2], ids=lambda uid: UID(uid).name)
@pytest.mark.parametrize("undefined", [False, True])
def test_sequences_before_the_uids_are_stepped_over(syntax: UID, undefined: bool) -> None:
    slice_ = ct_slice(3)
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.3"
    inner.StudyInstanceUID = "9.9.9"  # not that of the slice
    outer = Dataset()
    outer.ReferencedImageSequence = [inner, inner]
    outer["ReferencedImageSequence"].is_undefined_length = undefined
    slice_.SourceImageSequence = [outer, Dataset(), outer]
    slice_["SourceImageSequence"].is_undefined_length = undefined
    for item in slice_.SourceImageSequence:
        item.is_undefined_length_sequence_item = undefined
    slice_.add_new(0x00091001, "UN", b"private")
    found = identify(encoded(slice_, syntax), syntax)
    assert (found.study, found.instance) == (STUDY, f"{STUDY}.9.3")


def test_an_unknown_element_of_undefined_length_holds_implicit_vr_whatever_is_around_it() -> None:
    inner = encode(ct_slice(5), True, True)
    assert inner is not None
    unknown = (
        b"\x09\x00\x01\x10UN\0\0\xff\xff\xff\xff"  # (0009,1001) UN
        + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"  # item
        + inner
        + b"\xfe\xff\x0d\xe0\0\0\0\0"  # end of the item
        + b"\xfe\xff\xdd\xe0\0\0\0\0"  # end of the sequence
    )
    whole = encoded(ct_slice(3), ExplicitVRLittleEndian)
    patient = whole.index(b"\x10\x00\x10\x00PN")
    found = identify(whole[:patient] + unknown + whole[patient:], ExplicitVRLittleEndian)
    assert found.instance == f"{STUDY}.9.3"


def write(path: Path, dataset: Dataset, syntax: UID = ExplicitVRLittleEndian) -> Path:
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = BytesIO()
    dataset.save_as(
        buffer,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=True,
        enforce_file_format=True,
    )
    path.write_bytes(buffer.getvalue())
    return path


def test_the_software_that_wrote_a_file_does_not_count(tmp_path: Path) -> None:
    one, other = ct_slice(1), ct_slice(1)
    other.file_meta.ImplementationVersionName = "SOMETHING 9"
    assert same_content(write(tmp_path / "a", one), write(tmp_path / "b", other))


def test_the_same_slice_in_another_uncompressed_transfer_syntax_is_the_same(tmp_path: Path) -> None:
    one, other = ct_slice(1), ct_slice(1)
    for slice_ in (one, other):
        slice_.SmallestImagePixelValue = 3  # its VR depends on another element: US or SS
    assert same_content(write(tmp_path / "a", one), write(tmp_path / "b", other, ImplicitVRLittleEndian))


def test_one_changed_pixel_is_another_content(tmp_path: Path) -> None:
    one, other = ct_slice(1), ct_slice(1)
    other.PixelData = other.PixelData[:-1] + bytes([other.PixelData[-1] ^ 1])
    assert not same_content(write(tmp_path / "a", one), write(tmp_path / "b", other))
    assert not same_content(write(tmp_path / "a", one), write(tmp_path / "c", other, ImplicitVRLittleEndian))
