from __future__ import annotations

import logging
import shutil
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dsutils import encode, split_dataset

from node.receiving.inbox import Inbox
from node.receiving.receiver import Receiver
from node.settings import ReceiverSettings
from tests.node.raw import send_bytes
from tests.node.slices import PATIENT_ID, PATIENT_NAME, ROOT_UID, ct_slice, write_series
from tests.peers import dcmtk
from tests.peers.ports import free_port

STUDY = f"{ROOT_UID}.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"


def receiver_in(
    folder: Path,
    min_free_bytes: int = 0,
    elapsed: Callable[[], float] = time.monotonic,
    **settings: object,
) -> Receiver:
    values = ReceiverSettings.model_validate({"port": free_port(), **settings})
    return Receiver(values, Inbox(folder / "inbox"), min_free_bytes, elapsed=elapsed)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    found = receiver_in(tmp_path)
    found.start()
    yield found
    found.stop()


def port_of(receiver: Receiver) -> int:
    return receiver._settings.port


def stored(folder: Path) -> list[Path]:
    return sorted((folder / "inbox/studies").glob("*/*"))


def associate(receiver: Receiver, *syntaxes: UID, called: str = "OSTEON", calling: str = "TESTSCU") -> Association:
    entity = AE(ae_title=calling)
    for syntax in syntaxes or (ExplicitVRLittleEndian,):
        entity.add_requested_context(CT, syntax)
    entity.add_requested_context(VERIFICATION)
    return entity.associate("127.0.0.1", port_of(receiver), ae_title=called)


def send(receiver: Receiver, dataset: Dataset, syntax: UID = ExplicitVRLittleEndian) -> int:
    """C-STORE one data set; gives the status."""
    association = associate(receiver, syntax)
    assert association.is_established
    status: int = association.send_c_store(dataset).Status
    association.release()
    return status


def data_set_of(file: Path) -> bytes:
    """The bytes behind the file meta information."""
    return file.read_bytes()[split_dataset(file)[1] :]


needs_dcmtk = pytest.mark.skipif(
    bool(dcmtk.missing_tools("storescu", "echoscu")), reason="DCMTK is not installed (apt install dcmtk)"
)


@pytest.mark.peer
@needs_dcmtk
def test_dcmtk_gets_an_echo_under_our_title_only(receiver: Receiver) -> None:
    assert dcmtk.echoscu(port_of(receiver)) == 0
    assert dcmtk.echoscu(port_of(receiver), called="SOMEONE") != 0


@pytest.mark.peer
@needs_dcmtk
@pytest.mark.parametrize(
    ("syntax", "option"),
    [
        (ExplicitVRLittleEndian, "-xe"),
        (ImplicitVRLittleEndian, "-xi"),
        (RLELossless, "-xr"),
        (JPEGLSLossless, "-xt"),
        (JPEG2000Lossless, "-xv"),
    ],
    ids=lambda value: UID(value).name if isinstance(value, UID) else value,
)
def test_dcmtk_stores_in_every_transfer_syntax_byte_for_byte(
    receiver: Receiver, tmp_path: Path, syntax: UID, option: str
) -> None:
    files = written_in(syntax, tmp_path / "ct", 3)
    result = dcmtk.storescu(port_of(receiver), files, option)
    assert result.returncode == 0, result.stdout + result.stderr
    found = stored(tmp_path)
    assert len(found) == 3
    for file, there in zip(files, found, strict=True):
        assert dcmread(there).file_meta.TransferSyntaxUID == syntax
        assert data_set_of(there) == data_set_of(file)


def written_in(syntax: UID, folder: Path, count: int) -> list[Path]:
    """A series as DCMTK would write it in this transfer syntax, so that it sends the bytes as they are."""
    folder.mkdir()
    files = []
    for number in range(1, count + 1):
        slice_ = ct_slice(number)
        if syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
            slice_.compress(syntax, generate_instance_uid=False)
        slice_.file_meta.TransferSyntaxUID = syntax
        path = folder / f"{number}.dcm"
        slice_.save_as(path, enforce_file_format=True)
        files.append(path)
    return files


def test_a_deflated_data_set_is_kept_as_it_came(receiver: Receiver, tmp_path: Path) -> None:
    slice_ = ct_slice(1)
    slice_.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    assert send(receiver, slice_, DeflatedExplicitVRLittleEndian) == 0x0000
    (file,) = stored(tmp_path)
    assert encode(dcmread(file), False, True) == encode(ct_slice(1), False, True)


def test_what_is_acknowledged_is_on_disk_in_the_same_moment(receiver: Receiver, tmp_path: Path) -> None:
    association = associate(receiver)
    for number in range(1, 6):
        assert association.send_c_store(ct_slice(number)).Status == 0x0000
        assert len(stored(tmp_path)) == number
    association.release()


def test_the_sender_counts_as_sending_until_it_lets_go(receiver: Receiver) -> None:
    association = associate(receiver)
    association.send_c_store(ct_slice(1))
    assert receiver.is_sending(STUDY)
    assert not receiver.is_sending(f"{ROOT_UID}.2")
    association.release()
    for _ in range(100):
        if not receiver.is_sending(STUDY):
            break
        association.join(0.05)
    assert not receiver.is_sending(STUDY)


def test_a_repeat_is_fine_and_another_content_is_kept_beside(receiver: Receiver, tmp_path: Path) -> None:
    other = ct_slice(1)
    other.PixelData = bytes(len(other.PixelData))
    assert [send(receiver, slice_) for slice_ in (ct_slice(1), ct_slice(1), other)] == [0, 0, 0]
    (file,) = stored(tmp_path)
    assert dcmread(file).PixelData == ct_slice(1).PixelData
    (kept,) = (tmp_path / "inbox/conflicts").glob("*/*")
    assert dcmread(kept).PixelData == other.PixelData


def test_the_same_slices_in_another_transfer_syntax_are_a_repeat(receiver: Receiver, tmp_path: Path) -> None:
    assert send(receiver, ct_slice(1)) == 0x0000
    slice_ = ct_slice(1)
    slice_.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    assert send(receiver, slice_, ImplicitVRLittleEndian) == 0x0000
    assert len(stored(tmp_path)) == 1
    assert not list((tmp_path / "inbox/conflicts").glob("*/*"))


@pytest.mark.parametrize(
    ("tag", "value", "status"),
    [
        ("StudyInstanceUID", None, 0xC000),
        ("StudyInstanceUID", "", 0xC000),
        ("StudyInstanceUID", "../../../../tmp/evil", 0xC000),
        ("StudyInstanceUID", "/tmp/evil", 0xC000),
        ("StudyInstanceUID", "1.2/../../3", 0xC000),
        ("StudyInstanceUID", "1." * 40 + "1", 0xC000),
        ("SeriesInstanceUID", "..", 0xC000),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.filterwarnings("ignore:The value length")
def test_an_instance_without_proper_uids_is_refused_and_leaves_nothing(
    receiver: Receiver, tmp_path: Path, tag: str, value: str | None, status: int
) -> None:
    slice_ = ct_slice(1)
    if value is None:
        delattr(slice_, tag)
    else:
        setattr(slice_, tag, value)
    before = set(tmp_path.rglob("*"))
    assert send(receiver, slice_) == status
    assert set(tmp_path.rglob("*")) == before
    assert send(receiver, ct_slice(2)) == 0x0000  # the node goes on


def test_another_instance_than_announced_is_refused(receiver: Receiver, tmp_path: Path) -> None:
    association = associate(receiver)
    assert send_bytes(association, encode(ct_slice(1), False, True) or b"") == 0xA900
    association.release()
    assert stored(tmp_path) == []


@pytest.mark.parametrize("garbage", [b"\0", b"GARBAGE" * 300, b"\xff" * 4096], ids=["zero", "text", "ones"])
def test_a_data_set_of_garbage_is_refused_and_the_association_goes_on(
    receiver: Receiver, tmp_path: Path, garbage: bytes
) -> None:
    association = associate(receiver)
    assert send_bytes(association, garbage) == 0xC000
    assert association.send_c_store(ct_slice(1)).Status == 0x0000
    association.release()
    assert len(stored(tmp_path)) == 1


def test_a_full_disk_is_told_so_that_the_sender_repeats(tmp_path: Path) -> None:
    receiver = receiver_in(tmp_path, min_free_bytes=shutil.disk_usage(tmp_path).total)
    receiver.start()
    try:
        assert send(receiver, ct_slice(1)) == 0xA700
    finally:
        receiver.stop()
    assert stored(tmp_path) == []


def test_garbage_on_the_port_does_not_disturb_others(receiver: Receiver, tmp_path: Path) -> None:
    association = associate(receiver)
    assert association.send_c_store(ct_slice(1)).Status == 0x0000
    attacks = [
        b"GET / HTTP/1.1\r\nHost: osteon\r\n\r\n",
        b"\x00" * 500,
        b"\xff" * 500,
        struct.pack(">BBL", 1, 0, 0xFFFFFFFF) + b"A" * 1000,  # A-ASSOCIATE-RQ that claims 4 GiB
        struct.pack(">BBL", 4, 0, 20) + b"\0" * 20,  # P-DATA before any association
        struct.pack(">BBL", 1, 0, 100) + b"\x7f" * 100,
        b"",
    ]
    for attack in attacks:
        with socket.create_connection(("127.0.0.1", port_of(receiver)), timeout=5) as connection:
            connection.sendall(attack)
    assert association.send_c_store(ct_slice(2)).Status == 0x0000
    association.release()
    assert send(receiver, ct_slice(3)) == 0x0000
    assert len(stored(tmp_path)) == 3


def half_open(receiver: Receiver, content: bytes = b"\x01\x00\x00\x00\x00\xcd\x00\x01") -> socket.socket:
    """A stranger who begins to ask for an association (PS3.8 9.3.2) and stops."""
    connection = socket.create_connection(("127.0.0.1", port_of(receiver)), timeout=20)
    connection.sendall(content)
    return connection


def test_those_who_connect_and_stop_keep_nobody_out_and_are_sent_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = receiver_in(tmp_path, max_associations=2, association_timeout_seconds=2)
    receiver.start()
    strangers = [half_open(receiver) for _ in range(30)] + [half_open(receiver, b"") for _ in range(10)]
    try:
        began = time.monotonic()
        assert send(receiver, ct_slice(1)) == 0x0000
        assert time.monotonic() - began < 2
        assert [stranger.recv(1) for stranger in strangers] == [b""] * 40
        assert time.monotonic() - began < 10
    finally:
        for stranger in strangers:
            stranger.close()
        receiver.stop()
    logged = [record.__dict__["fields"] for record in caplog.records if record.getMessage() == "connection-closed"]
    assert len(logged) == 40
    assert all(fields["address"].startswith("127.0.0.1:") for fields in logged)


def test_a_sender_that_stops_in_the_middle_of_a_message_is_sent_away(tmp_path: Path) -> None:
    receiver = receiver_in(tmp_path, network_timeout_seconds=1)
    receiver.start()
    association = associate(receiver)
    try:
        association.dul.socket.socket.sendall(b"\x04\x00\x00\x01\x00\x00half")  # P-DATA-TF of 65,536 bytes
        began = time.monotonic()
        while association.is_alive():
            assert time.monotonic() - began < 15
            time.sleep(0.1)
        assert send(receiver, ct_slice(1)) == 0x0000
    finally:
        receiver.stop()


@pytest.mark.parametrize(
    ("called", "calling", "reason"),
    [("OSTEON", "STRANGER", "calling_ae_titles"), ("OTHER", "CT1", "another AE title than receiver.ae_title")],
)
def test_who_is_turned_away_is_logged_with_address_and_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, called: str, calling: str, reason: str
) -> None:
    receiver = receiver_in(tmp_path, calling_ae_titles=("CT1",))
    receiver.start()
    try:
        assert associate(receiver, called=called, calling=calling).is_rejected
    finally:
        receiver.stop()
    (record,) = (record for record in caplog.records if record.getMessage() == "association-rejected")
    fields = record.__dict__["fields"]
    assert (fields["calling"], fields["called"]) == (calling, called)
    assert fields["address"].startswith("127.0.0.1:")
    assert reason in fields["reason"]


def test_more_associations_than_allowed_are_turned_away_for_the_moment(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = receiver_in(tmp_path, max_associations=2)
    receiver.start()
    try:
        kept = [associate(receiver) for _ in range(2)]
        assert associate(receiver).is_rejected
        kept[0].release()
        kept[0].join(5)
        for _ in range(50):
            again = associate(receiver)
            if again.is_established:
                break
            time.sleep(0.1)
        assert again.is_established
    finally:
        receiver.stop()
    (first, *_) = (record for record in caplog.records if record.getMessage() == "association-rejected")
    assert "max_associations" in first.__dict__["fields"]["reason"]


def test_an_association_that_is_kept_open_or_goes_on_to_another_study_is_not_sending(tmp_path: Path) -> None:
    passed = 0.0
    receiver = receiver_in(tmp_path, elapsed=lambda: passed)
    receiver.start()
    try:
        association = associate(receiver)
        association.send_c_store(ct_slice(1))
        assert receiver.is_sending(STUDY)
        association.send_c_store(ct_slice(1, f"{ROOT_UID}.2"))
        assert not receiver.is_sending(STUDY)
        assert receiver.is_sending(f"{ROOT_UID}.2")
        passed = 11.0
        assert not receiver.is_sending(f"{ROOT_UID}.2")
        assert association.is_established
        association.release()
    finally:
        receiver.stop()


def test_only_known_callers_may_send_where_some_are_named(tmp_path: Path) -> None:
    receiver = receiver_in(tmp_path, calling_ae_titles=("CT1", "PACS"))
    receiver.start()
    try:
        assert associate(receiver, calling="STRANGER").is_rejected
        association = associate(receiver, calling="CT1")
        assert association.is_established
        association.release()
    finally:
        receiver.stop()


def test_uncompressed_is_preferred_when_the_sender_leaves_the_choice(receiver: Receiver) -> None:
    entity = AE()
    entity.add_requested_context(CT, [JPEG2000Lossless, ImplicitVRLittleEndian, ExplicitVRLittleEndian])
    association = entity.associate("127.0.0.1", port_of(receiver), ae_title="OSTEON")
    (context,) = association.accepted_contexts
    association.release()
    assert context.transfer_syntax == [ExplicitVRLittleEndian]


def test_nobody_reads_a_patient_s_name_in_the_logs(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    send(receiver, ct_slice(1))
    changed = ct_slice(1)
    changed.PatientID = "OTHER-" + PATIENT_ID
    send(receiver, changed)
    broken = ct_slice(2)
    del broken.StudyInstanceUID
    send(receiver, broken)
    ours = "\n".join(
        f"{record.getMessage()} {getattr(record, 'fields', '')}"
        for record in caplog.records
        if record.name.startswith("osteon")
    )
    assert "conflict" in ours
    assert "instance-refused" in ours
    for secret in (PATIENT_NAME, PATIENT_ID, "19470203"):
        assert secret not in ours


@pytest.mark.peer
@needs_dcmtk
def test_a_large_series_from_dcmtk_arrives_whole(receiver: Receiver, tmp_path: Path) -> None:
    files = write_series(tmp_path / "ct", 60)
    result = dcmtk.storescu(port_of(receiver), files)
    assert result.returncode == 0
    assert [data_set_of(file) for file in stored(tmp_path)] == [
        data_set_of(file) for file in sorted(files, key=lambda path: f"{STUDY}.9.{int(path.stem)}.dcm")
    ]
