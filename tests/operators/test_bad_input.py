"""What scanners and archives really send, from files to SEG and SR: valid objects, or a refusal with a name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, config, dcmread

from models.anatomy import Level
from models.engine import Numbering, SpineSegmentation, VertebraInstance
from operators.density.masks import REGIONS_OBJECT
from operators.dicom.masks import write_mask
from operators.dicom.refusal import refusal_reports
from operators.dicom.report import write_report
from operators.dicom.segmentation import write_segmentation
from operators.reading.case import Case
from operators.reading.errors import PermanentError, Refusal
from operators.reading.job import Job
from operators.reading.options import Kind
from operators.reading.provenance import Provenance
from operators.study.load import load_volume
from operators.study.receive import receive_study
from operators.study.segment import segment_vertebrae
from operators.study.select import select_series
from tests.operators import ct_files
from tests.operators.complaints import complaints
from tests.operators.sr_tree import answers, items
from tests.peers.validators import dcentvfy, dciodvfy, dsrdump

BY = Provenance(pipeline="0.1.0", engine="threshold", engine_version="1", engine_digest="0" * 64)
BONE = 500.0
"""Above it the threshold engine sees a vertebra, HU."""
UID_64 = "1.2.826.0.1.3680043.10.1555." + "9" * 31


class ThresholdEngine:
    """Calls everything above a CT number T12: a slope or an offset that is lost on the way shows in the mask."""

    name, version, digest = "threshold", "1", "0" * 64

    def segment(self, volume: hd.Volume) -> SpineSegmentation:
        mask = (volume.array > BONE).astype(np.uint8)
        centre = volume.map_indices_to_reference(np.argwhere(mask).mean(axis=0)[None])[0]
        found = VertebraInstance(1, Level.T12, 0.9, True, (float(centre[0]), float(centre[1]), float(centre[2])), None)
        return SpineSegmentation(volume.with_array(mask), volume.with_array(mask), (found,), Numbering.RELATIVE)


def block(index: int, size: int) -> NDArray[np.bool_]:
    """Where the vertebra is in a slice: lopsided, and wider with every slice."""
    mask = np.zeros((size, size), dtype=bool)
    if 9 <= index < 12:
        mask[4:9, 3 : 8 + index - 9] = True
    return mask


def stored(low: int, high: int, kind: type[np.generic] = np.uint16) -> ct_files.Change:
    """Stored values for soft tissue and for bone."""

    def change(dataset: Dataset, index: int) -> None:
        mask = block(index, int(dataset.Rows))
        ct_files.set_pixels(dataset, np.where(mask, high, low).astype(kind))

    return change


def described(**values: object) -> ct_files.Change:
    """Attributes set to other values; None removes them."""

    def change(dataset: Dataset, index: int) -> None:
        stored(1050, 1724)(dataset, index)
        for keyword, value in values.items():
            if value is None:
                if keyword in dataset:
                    del dataset[keyword]
            else:
                setattr(dataset, keyword, value)

    return change


def rescaled(
    slope: float, intercept: float, low: int, high: int, kind: type[np.generic] = np.uint16
) -> ct_files.Change:
    def change(dataset: Dataset, index: int) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
        dataset.PixelRepresentation = int(np.issubdtype(kind, np.signedinteger))
        stored(low, high, kind)(dataset, index)

    return change


def long_uids(dataset: Dataset, index: int) -> None:
    stored(1050, 1724)(dataset, index)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{UID_64}.1111", f"{UID_64}.2222"
    dataset.FrameOfReferenceUID = f"{UID_64}.3333"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{UID_64}.{5000 + index}"
    assert len(dataset.SOPInstanceUID) == 64


def mixed_character_sets(dataset: Dataset, index: int) -> None:
    stored(1050, 1724)(dataset, index)
    dataset.SpecificCharacterSet = "ISO_IR 192" if index % 2 else "ISO_IR 100"
    dataset.PatientName = "Müller^Jörg"
    dataset.StudyDescription = "Größe"


def undeclared_umlaut(dataset: Dataset, index: int) -> None:
    stored(1050, 1724)(dataset, index)
    dataset.PatientName = "Müller^Jörg".encode("latin-1")
    dataset.InstitutionName = "Klinik Süd".encode("latin-1")


TYPE_2 = dict.fromkeys(("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate"), None)
DAMAGES: dict[str, tuple[int, ct_files.Change]] = {
    "patient module missing": (30, described(**TYPE_2)),
    "character sets mixed": (30, mixed_character_sets),
    "umlauts without a character set": (30, undeclared_umlaut),
    "accession empty": (30, described(AccessionNumber="")),
    "uids of 64 characters": (30, long_uids),
    "16 bits unsigned": (30, rescaled(1, -32768, 32768 + 26, 32768 + 700)),
    "slope of a twentieth": (30, rescaled(0.05, -1024, 21480, 34480)),
    "slope of two, signed": (30, rescaled(2, 0, 13, 350, np.int16)),
    "1200 slices": (1200, described(SliceThickness=0.5)),
    "order and description half filled": (30, described(RequestAttributesSequence=[Dataset()], StudyDescription="")),
}


@dataclass(frozen=True)
class Made:
    """A damaged study and what was made of it, as files."""

    study: Path
    case: Case
    files: dict[Kind, Path]


@cache
def made(name: str, folder: Path) -> Made:
    """From files to objects, by the same functions as the graph's."""
    count, change = DAMAGES[name]
    spacing = 0.5 if count > 1000 else 2.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom complains of what is damaged on purpose
        study = ct_files.write(folder / name.replace(" ", "-"), ct_files.series(count, change=change, spacing=spacing))
    job = Job(study=study, out=folder / "out", at=datetime(2026, 3, 4, tzinfo=UTC))
    case = segment_vertebrae(load_volume(job, select_series(receive_study(study)), BY), ThresholdEngine())
    assert case.segmentation is not None
    case = replace(case, masks={Kind.DENSITY_REGIONS: case.segmentation.labels})
    objects = {Kind.SEGMENTATION: write_segmentation(case), Kind.DENSITY_REGIONS: write_mask(case, REGIONS_OBJECT)}
    segmentations = {kind: dataset for kind, dataset in objects.items() if dataset is not None}
    files = {}
    for kind, dataset in {**segmentations, Kind.REPORT: write_report(case, segmentations)}.items():
        files[kind] = folder / f"{name.replace(' ', '-')}-{kind}.dcm"
        dataset.save_as(files[kind], enforce_file_format=True)
    return Made(study, case, files)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged")


@pytest.fixture(autouse=True)
def as_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """As :func:`operators.runtime.prepare` sets pydicom up for the whole process."""
    monkeypatch.setattr(config.settings, "reading_validation_mode", config.IGNORE)
    monkeypatch.setattr(config.settings, "writing_validation_mode", config.IGNORE)


EVERY_DAMAGE = pytest.mark.parametrize("name", DAMAGES)


@EVERY_DAMAGE
def test_the_mask_lies_where_the_bone_is(name: str, folder: Path) -> None:
    seg = dcmread(made(name, folder).files[Kind.SEGMENTATION])
    found = {}
    for frame, pixels in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        height = float(frame.PlanePositionSequence[0].ImagePositionPatient[2])
        found[round((height - 100.0) / (0.5 if name == "1200 slices" else 2.5))] = pixels > 0
    assert sorted(found) == [9, 10, 11]
    for index, mask in found.items():
        assert np.array_equal(mask, block(index, 16))


@EVERY_DAMAGE
def test_the_objects_are_filed_with_the_study(name: str, folder: Path) -> None:
    made_here = made(name, folder)
    ct = dcmread(min(made_here.study.iterdir()), stop_before_pixels=True)
    for path in made_here.files.values():
        result = dcmread(path)
        assert result.StudyInstanceUID == ct.StudyInstanceUID
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber"):
            assert keyword in result
            assert str(result[keyword].value or "") == str(ct.get(keyword) or "")
        assert all(len(str(e.value)) <= 64 for e in result.iterall() if e.VR == "UI" and e.VM == 1)


@pytest.mark.peer
@EVERY_DAMAGE
def test_validators_find_nothing(name: str, folder: Path) -> None:
    made_here = made(name, folder)
    for path in made_here.files.values():
        assert complaints(dciodvfy(path)) == ()
    assert "Measurement Group" in dsrdump(made_here.files[Kind.REPORT])
    assert complaints(dcentvfy(made_here.files.values())) == ()


def test_names_without_a_character_set_keep_their_bytes(folder: Path) -> None:
    made_here = made("umlauts without a character set", folder)
    for path in made_here.files.values():
        assert dcmread(path).SpecificCharacterSet == "ISO_IR 100"
        assert "Müller^Jörg".encode("latin-1") in path.read_bytes()
        assert "Klinik Süd".encode("latin-1") in path.read_bytes()


REFUSED: dict[str, tuple[Callable[[], list[Dataset]], Refusal, str]] = {
    "no frame of reference": (
        lambda: ct_files.series(30, change=described(FrameOfReferenceUID=None)),
        Refusal.NO_SUITABLE_SERIES,
        "frame",
    ),
    "3 slices": (
        lambda: ct_files.series(12, change=stored(1050, 1724))[9:],
        Refusal.NO_SUITABLE_SERIES,
        "too-few-slices: it has 3 axial slice(s); at least 10 are needed",
    ),
    "slope missing": (
        lambda: ct_files.series(30, change=described(RescaleSlope=None)),
        Refusal.NO_SUITABLE_SERIES,
        "not-hu",
    ),
}


@pytest.mark.peer
@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_has_a_name_and_a_valid_report(name: str, tmp_path: Path) -> None:
    series, code, words = REFUSED[name]
    study = ct_files.write(tmp_path / "study", series())
    received = receive_study(study)
    with pytest.raises(PermanentError) as caught:
        select_series(received)
    assert caught.value.code == code
    assert words in caught.value.sentence
    job = Job(study=study, out=tmp_path / "out", at=datetime(2026, 3, 4, tzinfo=UTC))
    path = tmp_path / "sr.dcm"
    refusal_reports(received, caught.value, job, BY)[Kind.REPORT].save_as(path, enforce_file_format=True)
    assert complaints(dciodvfy(path)) == ()
    (evaluations,) = items(dcmread(path), "C0034375")
    assert answers(evaluations) == {"111017": "111245", "REFUSAL": "REF-NO-SERIES"}
