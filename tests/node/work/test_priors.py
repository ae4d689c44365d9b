"""Earlier readings of a patient are found by a keyed hash; the id itself is never written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE

from node.delivering.outbox import Outbox
from node.work.priors import Priors
from tests.node.nodes import Node
from tests.node.slices import ct_slice

PATIENT = "ZZ-4711-SECRET"


def study(root: Path, date: str, patient: str = PATIENT, issuer: str = "", time: str = "") -> Path:
    folder = root / f"study-{date}-{patient}-{issuer}-{time}"
    folder.mkdir(exist_ok=True)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    head = FileDataset(str(folder / "1.dcm"), {}, file_meta=meta, preamble=b"\0" * 128)
    head.PatientID, head.StudyDate, head.StudyTime, head.IssuerOfPatientID = patient, date, time, issuer
    head.save_as(folder / "1.dcm")
    return folder


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "work", tmp_path / "outbox")


@pytest.fixture
def priors(tmp_path: Path, outbox: Outbox) -> Priors:
    return Priors(tmp_path / "patients", outbox)


def read(priors: Priors, outbox: Outbox, folder: Path, reading: str) -> Path:
    """Note a reading and publish an empty one."""
    priors.remember(folder, reading)
    target = outbox.folder(reading)
    target.mkdir()
    (target / "reading.json").write_text("{}")
    return target / "reading.json"


def test_the_newest_earlier_study_of_the_patient_is_found(tmp_path: Path, priors: Priors, outbox: Outbox) -> None:
    read(priors, outbox, study(tmp_path, "20200101"), "old")
    newer = read(priors, outbox, study(tmp_path, "20230505"), "newer")
    read(priors, outbox, study(tmp_path, "20260101"), "later")
    assert priors.before(study(tmp_path, "20240101")) == newer


def test_a_study_is_not_its_own_prior_and_time_of_day_counts(tmp_path: Path, priors: Priors, outbox: Outbox) -> None:
    morning = study(tmp_path, "20240101", time="081500.123")
    found = read(priors, outbox, morning, "morning")
    assert priors.before(morning) is None
    assert priors.before(study(tmp_path, "20240101", time="093000")) == found


@pytest.mark.parametrize(("patient", "issuer"), [("OTHER", ""), (PATIENT, "ANOTHER HOSPITAL"), ("", "")])
def test_other_patients_and_unnamed_ones_have_none(
    tmp_path: Path, priors: Priors, outbox: Outbox, patient: str, issuer: str
) -> None:
    read(priors, outbox, study(tmp_path, "20200101"), "old")
    assert priors.before(study(tmp_path, "20240101", patient, issuer)) is None


def test_a_reading_that_was_never_published_is_passed_over(tmp_path: Path, priors: Priors, outbox: Outbox) -> None:
    found = read(priors, outbox, study(tmp_path, "20200101"), "old")
    priors.remember(study(tmp_path, "20230101"), "lost")
    assert priors.before(study(tmp_path, "20240101")) == found


def test_no_id_reaches_the_disk_and_another_salt_gives_another_name(
    tmp_path: Path, priors: Priors, outbox: Outbox
) -> None:
    here = study(tmp_path, "20200101")
    priors.remember(here, "old")
    other = Priors(tmp_path / "elsewhere", outbox)
    other.remember(here, "old")
    names = [{p.name for p in (tmp_path / root).iterdir() if p.is_dir()} for root in ("patients", "elsewhere")]
    assert names[0]
    assert names[0].isdisjoint(names[1])
    for path in (tmp_path / "patients").rglob("*"):
        assert PATIENT not in str(path.relative_to(tmp_path))
        assert not path.is_file() or PATIENT.encode() not in path.read_bytes()
    assert (tmp_path / "patients" / ".salt").stat().st_mode & 0o077 == 0


def test_a_second_process_uses_the_same_salt(tmp_path: Path, priors: Priors, outbox: Outbox) -> None:
    found = read(priors, outbox, study(tmp_path, "20200101"), "old")
    assert Priors(tmp_path / "patients", outbox).before(study(tmp_path, "20240101")) == found


def test_a_folder_without_dicom_is_nobodys(tmp_path: Path, priors: Priors) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    assert priors.before(folder) is None
    (folder / "note.txt").write_text("no DICOM")
    assert priors.before(folder) is None
    priors.remember(folder, "nothing")


def test_an_instance_that_is_broken_hides_no_patient(tmp_path: Path, priors: Priors, outbox: Outbox) -> None:
    found = read(priors, outbox, study(tmp_path, "20200101"), "old")
    folder = study(tmp_path, "20240101")
    (folder / "0.dcm").write_bytes((folder / "1.dcm").read_bytes()[:150])
    assert priors.before(folder) == found


def send(port: int, date: str, study_uid: str) -> None:
    """A short study of this patient by C-STORE."""
    slices = [ct_slice(number, study_uid) for number in (1, 2, 3)]
    ae = AE()
    ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    association = ae.associate("127.0.0.1", port, ae_title="OSTEON")
    assert association.is_established
    for one in slices:
        one.StudyDate = date
        assert association.send_c_store(one).Status == 0x0000
    association.release()


def test_the_node_hands_the_earlier_reading_to_the_reader(tmp_path: Path) -> None:
    """Two studies of one patient: the second one's reader is told where the first one's reading lies."""
    node = Node(tmp_path / "node").start()
    try:
        for count, (date, study_uid) in enumerate((("20200101", "1.2.840.1"), ("20240101", "1.2.840.2")), start=1):
            send(node.port, date, study_uid)
            node.wait_for(lambda count=count: len(list(finished(node))) == count, "the reading", 120)
        asked = [request["job"] for request in node.requests()]
    finally:
        node.end()
    assert asked[0]["prior"] is None
    assert asked[1]["prior"] is not None
    assert json.loads(Path(asked[1]["prior"]).read_text())["instances"] == 3


def finished(node: Node) -> Iterator[Path]:
    return (node.folder / "data" / "outbox").glob("*/reading.json")
