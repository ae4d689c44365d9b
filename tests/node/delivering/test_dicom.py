from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.dsutils import encode, split_dataset
from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS

from node.delivering.destinations import Destination
from node.delivering.dicom import deliver, echo, try_out
from node.delivering.statuses import STORE_STATUSES, Fate, store_status
from operators.reading.errors import RetriableError
from operators.reading.options import Kind
from tests.node.fake_reader import SEG, SOP_CLASSES, SR, result
from tests.node.slices import ct_slice
from tests.peers import dcmtk
from tests.peers.orthanc import Orthanc
from tests.peers.ports import free_port

AT = "2026-11-22T18:00:00+00:00"

needs_orthanc = pytest.mark.skipif(not Orthanc.is_installed(), reason="Orthanc is not installed (apt install orthanc)")
needs_dcmtk = pytest.mark.skipif(
    bool(dcmtk.missing_tools("storescp")), reason="DCMTK is not installed (apt install dcmtk)"
)


def written(folder: Path, kinds: Iterable[Kind]) -> dict[Kind, Path]:
    """Objects as a reading leaves them."""
    folder.mkdir()
    objects = {}
    for kind in kinds:
        found = result(ct_slice(1), SOP_CLASSES[kind], f"digest {kind}", AT)
        objects[kind] = folder / f"{kind}.dcm"
        found.save_as(objects[kind], enforce_file_format=True)
    return objects


@pytest.fixture
def files(tmp_path: Path) -> dict[Kind, Path]:
    """A SEG and an SR."""
    return written(tmp_path / "results", (Kind.SEGMENTATION, Kind.REPORT))


@pytest.fixture
def everything(tmp_path: Path) -> dict[Kind, Path]:
    """One object of each kind."""
    return written(tmp_path / "everything", Kind)


def peer_at(port: int, ae_title: str = "PEER", **settings: Any) -> Destination:
    return Destination(host="127.0.0.1", port=port, ae_title=ae_title, timeout_seconds=5, **settings)


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
        (0x0111, Fate.STORED),  # duplicate SOP instance: it is there
        (0x0117, Fate.REFUSED),  # invalid SOP instance
        (0x0210, Fate.LATER),  # duplicate invocation
        (0xB006, Fate.STORED),  # elements discarded, a warning
        (0xA900, Fate.REFUSED),  # data set does not match SOP class
        (0xC000, Fate.REFUSED),  # cannot understand
        (0xC1FF, Fate.REFUSED),
        (0x0122, Fate.REFUSED),  # SOP class not supported
        (0x0124, Fate.REFUSED),  # not authorised
        (0x1234, Fate.LATER),  # unknown
    ],
)
def test_what_a_status_means(status: int, fate: Fate) -> None:
    assert store_status(status).fate is fate


def test_every_storage_status_that_pynetdicom_knows_has_a_row_of_its_status_class() -> None:
    """pynetdicom's table is another reading of PS3.4 B.2.3 and PS3.7 annex C."""
    without_a_row = {0x0112, 0x0113, 0x0114, 0x0115, 0x0123, 0xFE00}  # N-services' and C-CANCEL's, not C-STORE's
    for code, (status_class, _) in STORAGE_SERVICE_CLASS_STATUS.items():
        rows = [row for row in STORE_STATUSES if row.first <= code <= row.last]
        assert bool(rows) is (code not in without_a_row), hex(code)
        stored = store_status(code).fate is Fate.STORED
        assert stored is (status_class != "Failure" or code == 0x0111) or code in without_a_row, hex(code)


@pytest.mark.peer
@needs_orthanc
def test_orthanc_ends_with_one_of_each_however_often_it_is_sent(tmp_path: Path, files: dict[Kind, Path]) -> None:
    orthanc = Orthanc(tmp_path / "orthanc").start()
    peer = peer_at(orthanc.port, orthanc.ae_title)
    try:
        echo(peer, "OSTEON")
        first = deliver(files, peer, "OSTEON")
        second = deliver(files, peer, "OSTEON")
        assert first == second
        assert [outcome.fate for outcome in first.outcomes] == [Fate.STORED, Fate.STORED]
        assert first.substitutions == ()
        study = str(ct_slice(1).StudyInstanceUID)
        assert orthanc.instances(study) == sorted(outcome.instance for outcome in first.outcomes)
        for outcome in first.outcomes:
            file = files[outcome.kind]
            there = tmp_path / "there.dcm"
            there.write_bytes(orthanc.file(outcome.instance))
            assert there.read_bytes()[split_dataset(there)[1] :] == file.read_bytes()[split_dataset(file)[1] :]
    finally:
        orthanc.stop()


@pytest.mark.peer
@needs_dcmtk
def test_a_peer_that_knows_only_implicit_vr_gets_it(tmp_path: Path, files: dict[Kind, Path]) -> None:
    peer = dcmtk.StoreSCP(tmp_path / "scp", "+xi").start()
    try:
        delivery = deliver(files, peer_at(peer.port), "OSTEON")
    finally:
        peer.stop()
    assert [outcome.fate for outcome in delivery.outcomes] == [Fate.STORED, Fate.STORED]
    for there in peer.files():
        found = dcmread(there)
        assert found.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
        (sent,) = (file for file in files.values() if dcmread(file).SOPInstanceUID == found.SOPInstanceUID)
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


def test_a_peer_out_of_space_is_tried_later(scripted: Callable[..., Scripted], files: dict[Kind, Path]) -> None:
    peer = scripted(lambda event: 0xA700)
    with pytest.raises(RetriableError) as caught:
        deliver(files, peer_at(peer.port), "OSTEON")
    assert caught.value.code == "peer-failed"
    assert "0xA700" in caught.value.sentence
    assert f"127.0.0.1:{peer.port}" in caught.value.sentence


def test_a_peer_that_hangs_up_is_tried_later(scripted: Callable[..., Scripted], files: dict[Kind, Path]) -> None:
    def hang_up(event: Any) -> int:
        event.assoc.abort()
        return 0x0000

    with pytest.raises(RetriableError) as caught:
        deliver(files, peer_at(scripted(hang_up).port), "OSTEON")
    assert caught.value.code == "peer-lost"


def test_an_object_that_is_refused_does_not_hold_up_the_other(
    scripted: Callable[..., Scripted], files: dict[Kind, Path]
) -> None:
    peer = scripted(lambda event: 0xC000 if event.request.AffectedSOPClassUID == SEG else 0x0000)
    seg, sr = deliver(files, peer_at(peer.port), "OSTEON").outcomes
    assert (seg.fate, seg.status) == (Fate.REFUSED, 0xC000)
    assert (sr.fate, sr.status) == (Fate.STORED, 0x0000)


def test_a_peer_without_segmentations_gets_the_report(
    scripted: Callable[..., Scripted], files: dict[Kind, Path]
) -> None:
    peer = scripted(lambda event: 0x0000, (SR,))
    seg, sr = deliver(files, peer_at(peer.port), "OSTEON").outcomes
    assert seg.fate is Fate.REFUSED
    assert seg.reason == f"Segmentation Storage {SEG} not accepted: abstract syntax"
    assert sr.fate is Fate.STORED
    assert [str(found.SOPClassUID) for found in peer.received] == [SR]


# pynetdicom leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_peer_that_is_down_is_tried_later(files: dict[Kind, Path]) -> None:
    with pytest.raises(RetriableError) as caught:
        deliver(files, peer_at(free_port()), "OSTEON")
    assert caught.value.code == "peer-unreachable"


def test_a_wrong_title_is_named_as_such(scripted: Callable[..., Scripted], files: dict[Kind, Path]) -> None:
    peer = scripted(lambda event: 0x0000)
    with pytest.raises(RetriableError) as caught:
        deliver(files, peer_at(peer.port, "WRONG"), "OSTEON")
    assert caught.value.code == "peer-rejects"
    assert "OSTEON" in caught.value.sentence


DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT = "1.2.840.10008.1.2.1"


@pytest.mark.peer
@needs_dcmtk
class TestPeerThatTakesOnlySomeKinds:
    """storescp with an association configuration of its own, so that the negotiation is a real one."""

    @pytest.fixture
    def peer(self, tmp_path: Path, contexts: dict[Kind, str]) -> Iterator[dcmtk.StoreSCP]:
        accepted = {SOP_CLASSES[kind]: [syntax] for kind, syntax in contexts.items()}
        accepted["1.2.840.10008.1.1"] = [EXPLICIT, "1.2.840.10008.1.2"]
        peer = dcmtk.StoreSCP(tmp_path / "scp", *dcmtk.accepting(tmp_path / "configuration", accepted)).start()
        yield peer
        peer.stop()

    @pytest.mark.parametrize("contexts", [{Kind.SEGMENTATION: EXPLICIT, Kind.REPORT_2D: EXPLICIT}])
    def test_an_older_archive_gets_the_report_of_its_time(
        self, peer: dcmtk.StoreSCP, everything: dict[Kind, Path]
    ) -> None:
        to = peer_at(peer.port, objects=["-pdf"])
        delivery = deliver(everything, to, "OSTEON")
        sent = {outcome.kind: outcome.fate for outcome in delivery.outcomes}
        assert sent == {
            Kind.SEGMENTATION: Fate.STORED,
            Kind.DENSITY_REGIONS: Fate.STORED,
            Kind.REPORT_2D: Fate.STORED,
        }
        assert [str(item) for item in delivery.substitutions] == [
            "sr-2d instead of sr (Comprehensive 3D SR Storage 1.2.840.10008.5.1.4.1.1.88.34 "
            "not accepted: abstract syntax)"
        ]
        there = [str(dcmread(file).SOPClassUID) for file in peer.files()]
        assert sorted(there) == sorted([SEG, SEG, "1.2.840.10008.5.1.4.1.1.88.33"])
        assert try_out(to, "OSTEON") == ("sr-2d instead of sr (not accepted: abstract syntax)",)

    @pytest.mark.parametrize("contexts", [{Kind.SECONDARY_CAPTURE: EXPLICIT, Kind.REPORT: DEFLATED}])
    def test_one_picture_stands_in_for_all_that_is_not_accepted_and_is_sent_once(
        self, peer: dcmtk.StoreSCP, everything: dict[Kind, Path]
    ) -> None:
        delivery = deliver(everything, peer_at(peer.port), "OSTEON")
        reasons = {item.wanted: item.reason.rpartition(": ")[2] for item in delivery.substitutions}
        assert reasons == {
            Kind.SEGMENTATION: "abstract syntax",
            Kind.REPORT: "transfer syntax",
            Kind.PDF: "abstract syntax",
        }
        assert {item.sent for item in delivery.substitutions} == {Kind.SECONDARY_CAPTURE}
        # Nothing shows the density regions: this stays a refusal.
        assert {outcome.kind: outcome.fate for outcome in delivery.outcomes} == {
            Kind.SECONDARY_CAPTURE: Fate.STORED,
            Kind.DENSITY_REGIONS: Fate.REFUSED,
        }
        assert len(peer.files()) == 1

    @pytest.mark.parametrize("contexts", [{Kind.TEXT_REPORT: EXPLICIT, Kind.PDF: EXPLICIT}])
    def test_an_object_that_was_not_written_is_not_missed(
        self, peer: dcmtk.StoreSCP, everything: dict[Kind, Path]
    ) -> None:
        del everything[Kind.SECONDARY_CAPTURE]
        delivery = deliver(everything, peer_at(peer.port, profile="plain-pacs"), "OSTEON")
        assert [outcome.kind for outcome in delivery.outcomes] == [Kind.TEXT_REPORT, Kind.PDF]
        assert delivery.substitutions == ()


@pytest.mark.peer
@needs_orthanc
def test_orthanc_gets_segments_instead_of_the_label_map_that_it_rejects(
    tmp_path: Path, everything: dict[Kind, Path]
) -> None:
    orthanc = Orthanc(tmp_path / "orthanc").start()
    to = peer_at(orthanc.port, orthanc.ae_title, profile="slicer", objects=["+seg-labelmap", "-seg"])
    try:
        delivery = deliver(everything, to, "OSTEON")
        classes = {uid: len(orthanc.instances(str(ct_slice(1).StudyInstanceUID), uid)) for uid in (SEG, SR)}
    finally:
        orthanc.stop()
    assert [str(item) for item in delivery.substitutions] == [
        "seg instead of seg-labelmap (Label Map Segmentation Storage 1.2.840.10008.5.1.4.1.1.66.7 "
        "not accepted: abstract syntax)"
    ]
    assert classes == {SEG: 2, SR: 1}


def test_a_peer_that_takes_the_context_but_not_the_object_gets_another(
    scripted: Callable[..., Scripted], everything: dict[Kind, Path]
) -> None:
    text = SOP_CLASSES["sr-text"]
    peer = scripted(lambda event: 0x0000 if event.request.AffectedSOPClassUID == text else 0x0122, (SR, text))
    to = peer_at(peer.port, profile="slicer", objects=["-seg", "-seg-density"])
    (substitution,) = deliver(everything, to, "OSTEON").substitutions
    assert str(substitution) == "sr-text instead of sr (status 0x0122: the peer does not store this kind of object)"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 300])
def test_a_name_that_does_not_resolve_is_tried_again(files: dict[Kind, Path], host: str) -> None:
    nowhere = Destination(host=host, port=104, ae_title="PEER", timeout_seconds=5)
    for ask in (lambda: deliver(files, nowhere, "OSTEON"), lambda: echo(nowhere, "OSTEON")):
        with pytest.raises(RetriableError) as caught:
            ask()
        assert caught.value.code == "peer-unknown-host"
