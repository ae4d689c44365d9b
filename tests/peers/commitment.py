"""A storage commitment SCU: asks an archive whether it keeps what it was sent, and waits for the answer."""

from __future__ import annotations

from collections.abc import Iterable
from queue import Queue
from types import TracebackType
from typing import Self

from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance, Verification

from tests.peers.ports import free_port

Reference = tuple[str, str]
"""SOP class and instance UID."""


class Committer:
    """Listens for the archive's answer, which comes on an association of its own.

    Args:
        ae_title: Its AE title, which the archive must know together with :attr:`port`.
    """

    def __init__(self, ae_title: str = "COMMITTER") -> None:
        self.ae_title = ae_title
        self.port = free_port()
        self._answers: Queue[tuple[int, Dataset]] = Queue()

    def __enter__(self) -> Self:
        ae = AE(ae_title=self.ae_title)
        ae.add_supported_context(Verification)
        # The archive is the SCP of this service although it opens the association.
        ae.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
        self._server = ae.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._note)]
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()

    def ask(self, called: str, port: int, references: Iterable[Reference]) -> tuple[set[str], dict[str, int]]:
        """Ask for commitment of instances.

        Returns:
            Instances that are kept, and those that are not with the failure reason (PS3.3 C.14.1.1).
        """
        request = Dataset()
        request.TransactionUID = generate_uid()
        request.ReferencedSOPSequence = [_reference(*pair) for pair in references]
        ae = AE(ae_title=self.ae_title)
        ae.add_requested_context(StorageCommitmentPushModel)
        association = ae.associate("127.0.0.1", port, ae_title=called)
        assert association.is_established
        status, _ = association.send_n_action(
            request, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        association.release()
        assert status.Status == 0x0000, f"the archive answered the request with 0x{status.Status:04X}"
        _, answer = self._answers.get(timeout=60)
        assert answer.TransactionUID == request.TransactionUID
        kept = {str(item.ReferencedSOPInstanceUID) for item in answer.get("ReferencedSOPSequence", ())}
        failed = {
            str(item.ReferencedSOPInstanceUID): item.FailureReason for item in answer.get("FailedSOPSequence", ())
        }
        return kept, failed

    def _note(self, event: evt.Event) -> tuple[int, None]:
        self._answers.put((event.event_type, event.event_information))
        return 0x0000, None


def _reference(sop_class: str, instance: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
    return item
