"""The messages that are made of a reading beside its DICOM objects."""

from __future__ import annotations

from enum import StrEnum


class Message(StrEnum):
    """What a message is; also the name of its file among the results."""

    FHIR = "fhir.json"
    """A FHIR R4 transaction Bundle."""
    HL7 = "oru.hl7"
    """An HL7 v2.5.1 ORU^R01."""
