"""What a real archive does with the objects of a reading."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom import Dataset, dcmread
from pynetdicom import AE

from operators.reading.options import Kind
from tests.peers.commitment import Committer
from tests.peers.orthanc import Orthanc
from tests.peers.validators import Findings
from tests.validators.readings import Made


def archive_findings(made: Made, archive: Orthanc, committer: Committer) -> dict[Kind, Findings]:
    """C-STORE every object, ask for commitment, and look for each again by QIDO-RS and WADO-RS."""
    sent = {kind: dcmread(path) for kind, path in made.objects.items()}
    statuses = _store(archive, list(sent.values()))
    kept, _ = committer.ask(archive.ae_title, archive.port, [(d.SOPClassUID, d.SOPInstanceUID) for d in sent.values()])
    return {
        kind: Findings(errors=tuple(_wrong(dataset, statuses[str(dataset.SOPInstanceUID)], kept, archive)))
        for kind, dataset in sent.items()
    }


def _wrong(dataset: Dataset, status: int, kept: set[str], archive: Orthanc) -> Iterator[str]:
    if status != 0x0000:
        yield f"stored with status 0x{status:04X}"
        return
    if dataset.SOPInstanceUID not in kept:
        yield "not committed to"
    if archive.find_instance(dataset)["00080016"]["Value"] != [dataset.SOPClassUID]:
        yield "not found by QIDO-RS"
    if archive.retrieve(dataset) != dataset:
        yield "returned by WADO-RS as another object"


def _store(archive: Orthanc, datasets: list[Dataset]) -> dict[str, int]:
    """C-STORE, each in the transfer syntax of its file; the status by instance."""
    sender = AE(ae_title="COMMITTER")
    for sop_class, syntax in {(d.SOPClassUID, d.file_meta.TransferSyntaxUID) for d in datasets}:
        sender.add_requested_context(sop_class, syntax)
    association = sender.associate("127.0.0.1", archive.port, ae_title=archive.ae_title)
    assert association.is_established
    statuses = {str(d.SOPInstanceUID): association.send_c_store(d).Status for d in datasets}
    association.release()
    return statuses
