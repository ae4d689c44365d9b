from __future__ import annotations

import random
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
from pynetdicom.dsutils import encode, encode_file_meta

from node.receiving.dataset import NotADatasetError, identify, same_content, stored_values
from node.work.settling import PLACE, count_missing_slices
from operators.dicom.report import write_report
from operators.dicom.segmentation import write_segmentation
from tests.node.slices import PATIENT_ID, ROOT_UID, ct_slice
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


def stored(folder: Path, dataset: Dataset, syntax: UID = ExplicitVRLittleEndian) -> Path:
    """An instance as the receiver files it."""
    dataset.file_meta.TransferSyntaxUID = syntax
    path = folder / "1.dcm"
    path.write_bytes(b"\0" * 128 + b"DICM" + encode_file_meta(dataset.file_meta) + encoded(dataset, syntax))
    return path


PATIENT, POSITION, ISSUER = 0x00100020, 0x00200032, 0x00100021


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: UID(uid).name)
def test_values_of_a_stored_instance_are_read_in_every_encoding(syntax: UID, tmp_path: Path) -> None:
    slice_ = ct_slice(3)
    if syntax == ExplicitVRBigEndian:
        del slice_.PixelData
    found = stored_values(stored(tmp_path, slice_, syntax), frozenset({PATIENT, POSITION, ISSUER}))
    assert found == {PATIENT: PATIENT_ID, POSITION: "0.0\\0.0\\6.0"}


def test_values_behind_a_large_private_element_are_found(tmp_path: Path) -> None:
    slice_ = ct_slice(3)
    slice_.private_block(0x0009, "SCANNER", create=True).add_new(1, "OB", bytes(200_000))
    found = stored_values(stored(tmp_path, slice_), frozenset({PATIENT, POSITION}))
    assert set(found) == {PATIENT, POSITION}


def test_a_value_is_read_in_the_character_set_of_its_data_set(tmp_path: Path) -> None:
    found = set()
    for character_set in ("ISO_IR 192", "ISO_IR 144", "ISO_IR 166"):  # UTF-8, Cyrillic, Thai
        slice_ = ct_slice(3)
        slice_.SpecificCharacterSet = character_set
        slice_.PatientID = "Ж7" if character_set != "ISO_IR 166" else "ก7"
        found.add(stored_values(stored(tmp_path, slice_), frozenset({PATIENT}))[PATIENT])
    assert found == {"Ж7", "ก7"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("syntax", SYNTAXES[:3], ids=lambda uid: UID(uid).name)
def test_whatever_is_acknowledged_can_be_looked_at_or_is_known_as_broken(syntax: UID, tmp_path: Path) -> None:
    """Of 1,000 mutants of a slice those that the receiver takes: values or one kind of error, and nothing else."""
    rng = random.Random(7)
    path = stored(tmp_path, ct_slice(3), syntax)
    whole = encoded(ct_slice(3), syntax)
    meta = path.read_bytes().removesuffix(whole)
    looked_at = broken = 0
    for _ in range(1000):
        mutant = mutated(whole, rng)
        try:
            identify(mutant, syntax)
        except NotADatasetError:
            continue
        path.write_bytes(meta + mutant)
        try:
            count_missing_slices([stored_values(path, PLACE)] * 3)
            looked_at += 1
        except NotADatasetError:
            broken += 1
    assert looked_at > 50
    assert broken > 5


def mutated(whole: bytes, rng: random.Random) -> bytes:
    """One byte changed, bytes lost, an end cut off, or deep sequences put in."""
    place = rng.randrange(min(len(whole), 800))
    kind = rng.randrange(4)
    if kind == 0:
        return whole[:place] + bytes([rng.randrange(256)]) + whole[place + 1 :]
    if kind == 1:
        return whole[:place] + whole[place + rng.randrange(1, 9) :]
    if kind == 2:
        return whole[: rng.randrange(len(whole))]
    nested = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * rng.randrange(1, 2000)
    return whole[:place] + nested + whole[place:]
