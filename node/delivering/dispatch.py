"""The results of a reading to one destination, by whatever its peer speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from node.delivering.destinations import Destination, FhirDestination, Hl7Destination, Repeating
from node.delivering.dicom import deliver
from node.delivering.fhir import send_fhir
from node.delivering.hl7 import send_hl7
from node.delivering.statuses import Fate
from operators.reading.errors import PermanentError
from operators.reading.messages import Message
from operators.reading.options import Kind

_DICOM = ".dcm"
_HELD_BACK = "the study has no patient ID, so that no HL7 message was made of it: correct the study and send it again"


@dataclass(frozen=True)
class Dispatched:
    """Account of what one destination has got of a reading.

    Attributes:
        stored: What the peer has stored: SOP Instance UIDs, paths of FHIR resources, or a message control id.
        refused: What it refuses for good, a sentence each.
        instead: What it got in place of something else, and why, a sentence each.
    """

    stored: tuple[str, ...]
    refused: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()


def dispatch(folder: Path, names: Sequence[str], to: Repeating, calling: str) -> Dispatched:
    """Send one reading to one destination.

    Args:
        folder: Where the reading lies.
        names: Its files, by name.
        to: The destination.
        calling: Our AE title.

    Raises:
        RetriableError: The peer cannot take anything now.
        PermanentError: Nobody here speaks what the destination speaks.
    """
    if isinstance(to, Destination):
        return _by_dicom(dicom_objects(folder, names), to, calling)
    if isinstance(to, FhirDestination):
        return _by_fhir(folder / Message.FHIR, to)
    if isinstance(to, Hl7Destination):
        return _by_hl7(folder, to)
    raise PermanentError("no-such-type", f"nothing can be sent to a destination of the type {type(to).__name__}")


def dicom_objects(folder: Path, names: Sequence[str]) -> dict[Kind, Path]:
    """The DICOM objects among the files of a reading, by kind."""
    known = set(Kind)
    return {
        Kind(Path(name).stem): folder / name
        for name in names
        if Path(name).suffix == _DICOM and Path(name).stem in known
    }


def _by_dicom(objects: dict[Kind, Path], to: Destination, calling: str) -> Dispatched:
    delivery = deliver(objects, to, calling)
    refused = [item for item in delivery.outcomes if item.fate is Fate.REFUSED]
    return Dispatched(
        stored=tuple(item.instance for item in delivery.outcomes if item.fate is Fate.STORED),
        refused=tuple(f"{item.kind}: {item.reason}" for item in refused),
        instead=tuple(str(item) for item in delivery.substitutions),
    )


def _by_fhir(bundle: Path, to: FhirDestination) -> Dispatched:
    if not bundle.is_file():  # a study that could not be read has only a DICOM report
        return Dispatched(())
    answer = send_fhir(bundle, to)
    return Dispatched(answer.stored, () if answer.refusal is None else (answer.refusal,))


def _by_hl7(folder: Path, to: Hl7Destination) -> Dispatched:
    message = folder / Message.HL7
    if not message.is_file():
        # A study that could not be read has only a DICOM report; one that was read has a bundle.
        was_read = (folder / Message.FHIR).is_file()
        return Dispatched((), (_HELD_BACK,) if was_read else ())
    answer = send_hl7(message, to)
    return Dispatched((answer.control_id,)) if answer.refusal is None else Dispatched((), (answer.refusal,))
