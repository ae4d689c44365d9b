from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.dsutils import encode, split_dataset

from node.delivery import Fate, deliver, echo, judge
from node.settings import Destination
from operators.errors import RetriableError
from tests.node.fake_reader import SEG, SR, result
from tests.node.slices import ct_slice
from tests.peers import dcmtk
from tests.peers.orthanc import Orthanc
from tests.peers.ports import free_port

AT = "2026-11-22T18:00:00+00:00"

needs_orthanc = pytest.mark.skipif(not Orthanc.is_installed(), reason="Orthanc is not installed (apt install orthanc)")
needs_dcmtk = pytest.mark.skipif(
    bool(dcmtk.missing_tools("storescp")), reason="DCMTK is not installed (apt install dcmtk)"
)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """A SEG and an SR as a reading leaves them."""
    folder = tmp_path / "results"
    folder.mkdir()
    paths = []
    for kind, sop_class in (("seg", SEG), ("sr", SR)):
        found = result(ct_slice(1), sop_class, "digest", AT)
        path = folder / f"{kind}.dcm"
        found.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def peer_at(port: int, ae_title: str = "PEER") -> Destination:
    return Destination(host="127.0.0.1", port=port, ae_title=ae_title, timeout_seconds=5)


@pytest.mark.parametrize(
    ("status", "fate"),
    [
        (0x0000, Fate.STORED),
        (0xB000, Fate.STORED),  # coercion of data elements
        (0xB007, Fate.STORED),  # data set does not match SOP class, a warning
        (0x0110, Fate.LATER),  # processing failure
        (0xA700, Fate.LATER),  # out of resources
        (0xA702, Fate.LATER),
        (0x0213, Fate.LATER),  # resource limitation
        (0xA900, Fate.REFUSED),  # data set does not match SOP class
        (0xC000, Fate.REFUSED),  # cannot understand
        (0xC1FF, Fate.REFUSED),
        (0x0122, Fate.REFUSED),  # SOP class not supported
        (0x0124, Fate.REFUSED),  # not authorised
        (0x1234, Fate.LATER),  # unknown
    ],
)
def test_what_a_status_means(status: int, fate: Fate) -> None:
    assert judge(status)[0] is fate


@pytest.mark.peer
@needs_orthanc
def test_orthanc_ends_with_one_of_each_however_often_it_is_sent(tmp_path: Path, files: list[Path]) -> None:
    orthanc = Orthanc(tmp_path / "orthanc").start()
    peer = peer_at(orthanc.port, orthanc.ae_title)
    try:
        echo(peer, "OSTEON")
        first = deliver(files, peer, "OSTEON")
        second = deliver(files, peer, "OSTEON")
        assert first == second
        assert [outcome.fate for outcome in first] == [Fate.STORED, Fate.STORED]
        study = str(ct_slice(1).StudyInstanceUID)
        assert orthanc.instances(study) == sorted(outcome.instance for outcome in first)
        for file, outcome in zip(files, first, strict=True):
            there = tmp_path / "there.dcm"
            there.write_bytes(orthanc.file(outcome.instance))
            assert there.read_bytes()[split_dataset(there)[1] :] == file.read_bytes()[split_dataset(file)[1] :]
    finally:
        orthanc.stop()


@pytest.mark.peer
@needs_dcmtk
def test_a_peer_that_knows_only_implicit_vr_gets_it(tmp_path: Path, files: list[Path]) -> None:
    peer = dcmtk.StoreSCP(tmp_path / "scp", "+xi").start()
    try:
        outcomes = deliver(files, peer_at(peer.port), "OSTEON")
    finally:
        peer.stop()
    assert [outcome.fate for outcome in outcomes] == [Fate.STORED, Fate.STORED]
    for there in peer.files():
        found = dcmread(there)
        assert found.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
        (sent,) = (file for file in files if dcmread(file).SOPInstanceUID == found.SOPInstanceUID)
        assert encode(found, False, True) == encode(dcmread(sent), False, True)


class Scripted:
    """A peer that answers as the test says: real DICOM, faults on purpose."""

    def __init__(self, answer: Callable[[Any], int], classes: tuple[str, ...] = (SEG, SR)) -> None:
        self.port = free_port()
        self.received: list[Dataset] = []
        entity = AE(ae_title="PEER")
        entity.require_called_aet = True
        for sop_class in classes:
            entity.add_supported_context(sop_class, ExplicitVRLittleEndian)

        def store(event: Any) -> int:
            self.received.append(event.dataset)
            return answer(event)

        self._server = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)]
        )

    def stop(self) -> None:
        assert self._server is not None
        self._server.shutdown()


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    started: list[Scripted] = []

    def start(answer: Callable[[Any], int], classes: tuple[str, ...] = (SEG, SR)) -> Scripted:
        started.append(Scripted(answer, classes))
        return started[-1]

    yield start
    for peer in started:
        peer.stop()


def test_a_peer_out_of_space_is_tried_later(scripted: Callable[..., Scripted], files: list[Path]) -> None:
    peer = scripted(lambda event: 0xA700)
    with pytest.raises(RetriableError) as caught:
        deliver(files, peer_at(peer.port), "OSTEON")
    assert caught.value.code == "peer-failed"
    assert "0xA700" in caught.value.sentence
    assert f"127.0.0.1:{peer.port}" in caught.value.sentence


def test_a_peer_that_hangs_up_is_tried_later(scripted: Callable[..., Scripted], files: list[Path]) -> None:
    def hang_up(event: Any) -> int:
        event.assoc.abort()
        return 0x0000

    with pytest.raises(RetriableError) as caught:
        deliver(files, peer_at(scripted(hang_up).port), "OSTEON")
    assert caught.value.code == "peer-lost"


def test_an_object_that_is_refused_does_not_hold_up_the_other(
    scripted: Callable[..., Scripted], files: list[Path]
) -> None:
    peer = scripted(lambda event: 0xC000 if event.request.AffectedSOPClassUID == SEG else 0x0000)
    seg, sr = deliver(files, peer_at(peer.port), "OSTEON")
    assert (seg.fate, seg.status) == (Fate.REFUSED, 0xC000)
    assert (sr.fate, sr.status) == (Fate.STORED, 0x0000)


def test_a_peer_without_segmentations_gets_the_report(scripted: Callable[..., Scripted], files: list[Path]) -> None:
    peer = scripted(lambda event: 0x0000, (SR,))
    seg, sr = deliver(files, peer_at(peer.port), "OSTEON")
    assert seg.fate is Fate.REFUSED
    assert SEG in str(seg.reason)
    assert sr.fate is Fate.STORED
    assert [str(found.SOPClassUID) for found in peer.received] == [SR]


# pynetdicom leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_peer_that_is_down_is_tried_later(files: list[Path]) -> None:
    with pytest.raises(RetriableError) as caught:
        deliver(files, peer_at(free_port()), "OSTEON")
    assert caught.value.code == "peer-unreachable"


def test_a_wrong_title_is_named_as_such(scripted: Callable[..., Scripted], files: list[Path]) -> None:
    peer = scripted(lambda event: 0x0000)
    with pytest.raises(RetriableError) as caught:
        deliver(files, peer_at(peer.port, "WRONG"), "OSTEON")
    assert caught.value.code == "peer-rejects"
    assert "OSTEON" in caught.value.sentence
