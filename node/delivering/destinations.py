"""Settings of the destinations of results: DICOM peers, FHIR servers, HL7 receivers.

A table ``[destinations.NAME]`` is a DICOM peer unless its ``type`` says otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SecretStr,
    StringConstraints,
    Tag,
    model_validator,
)

from node.delivering.profiles import Profile, chosen_kinds, parse_change, with_fallbacks
from operators.reading.options import Kind

AETitle = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=16, pattern=r"^[ -\[\]-~]+$")
]
"""PS3.5 VR AE: 1 to 16 printable characters without a backslash."""

DestinationName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,30}$")]

Port = Annotated[int, Field(ge=1, le=65535)]

NamespaceId = Annotated[str, StringConstraints(max_length=20, pattern=r"^[A-Za-z0-9 ._-]*$")]
"""HL7 data type HD, first component (2.5.1, 2.A.33): 20 characters."""


def _known_change(text: str) -> str:
    parse_change(text)
    return text


ObjectChange = Annotated[str, AfterValidator(_known_change)]


class Part(BaseModel):
    """A branch of the settings tree: immutable, refusing keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Repeating(Part):
    """How often something is sent to a peer that is down or has failed."""

    attempts: Annotated[int, Field(ge=1)] = 200
    """Attempts at a delivery before it is given up; ``osteon resume`` takes it up again."""
    wait_seconds: Annotated[float, Field(gt=0)] = 5.0
    """Pause before the first repeat."""
    wait_growth: Annotated[float, Field(ge=1, le=10)] = 1.5
    """Factor from one pause to the next; no pause is longer than an hour."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Longest wait for an answer; a peer that takes longer has failed."""


class Destination(Repeating):
    """A DICOM peer that gets result objects by C-STORE."""

    type: Literal["dicom"] = "dicom"
    """Kind of peer: ``dicom``, ``fhir`` or ``hl7``."""
    host: str
    """Name or address of the peer."""
    port: Port
    """DICOM port of the peer."""
    ae_title: AETitle
    """AE title of the peer."""
    calling_ae_title: AETitle | None = None
    """AE title that Osteon calls itself towards this peer; default: that of its receiver."""
    profile: Profile = Profile.OHIF
    """Viewer that looks into this peer; it decides the objects that are sent."""
    objects: tuple[ObjectChange, ...] = ()
    """Changes of the profile: ``+pdf`` adds an object, ``-seg`` leaves one out."""

    @model_validator(mode="after")
    def _gets_something(self) -> Self:
        if not self.kinds:
            msg = f"objects = {list(self.objects)} leave nothing of the profile {self.profile}; keep one object"
            raise ValueError(msg)
        return self

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds of objects for a peer that accepts all of them."""
        return chosen_kinds(self.profile, self.objects)

    @property
    def possible_kinds(self) -> tuple[Kind, ...]:
        """Kinds of objects that may be sent, those included that stand in for others."""
        return with_fallbacks(self.kinds)


class FhirDestination(Repeating):
    """A FHIR R4 server that gets each reading as a transaction."""

    type: Literal["fhir"]
    """What the peer is."""
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#@]+$")]
    """Base URL of the server, such as ``https://ehr.example.org/fhir``; no password in it."""
    token: SecretStr | None = None
    """Bearer token; better in a variable (``OSTEON_DESTINATIONS__NAME__TOKEN``) than in the file."""
    ca_file: Path | None = None
    """File of certificates (PEM) to trust instead of the system's."""


class Hl7Destination(Repeating):
    """An HL7 v2 receiver that gets each reading as ORU^R01 over MLLP."""

    type: Literal["hl7"]
    """What the peer is."""
    host: str
    """Name or address of the receiver."""
    port: Port
    """MLLP port of the receiver."""
    sending_facility: NamespaceId = ""
    """MSH-4."""
    receiving_application: NamespaceId = ""
    """MSH-5."""
    receiving_facility: NamespaceId = ""
    """MSH-6."""


def _type_of(value: Any) -> str:
    given = value.get("type", "dicom") if isinstance(value, dict) else getattr(value, "type", "dicom")
    return str(given)


AnyDestination = Annotated[
    Annotated[Destination, Tag("dicom")]
    | Annotated[FhirDestination, Tag("fhir")]
    | Annotated[Hl7Destination, Tag("hl7")],
    Discriminator(_type_of),
]

DESTINATION_TYPES: dict[str, type[Repeating]] = {
    "dicom": Destination,
    "fhir": FhirDestination,
    "hl7": Hl7Destination,
}
