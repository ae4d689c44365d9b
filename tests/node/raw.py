"""C-STORE of bytes that no library would send."""

from __future__ import annotations

from io import BytesIO

from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

CT = "1.2.840.10008.5.1.4.1.1.2"
INSTANCE = "1.2.3.4"


def send_bytes(association: Association, data_set: bytes) -> int:
    """C-STORE bytes as they are, announced as instance :data:`INSTANCE`; gives the status."""
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = CT, INSTANCE
    request.DataSet = BytesIO(data_set)
    (context,) = (item for item in association.accepted_contexts if item.abstract_syntax == CT)
    association._reactor_checkpoint.clear()  # or the association's own thread takes the answer
    try:
        association.dimse.send_msg(request, context.context_id)
        _, answer = association.dimse.get_msg(block=True)
    finally:
        association._reactor_checkpoint.set()
    status: int = answer.Status
    return status
