"""The tables of the conformance statement, made from the tables that the code itself works with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo
from pydicom.charset import python_encoding
from pynetdicom import AllStoragePresentationContexts

from models.anatomy import Level
from node.delivering import dicom as delivery
from node.delivering.destinations import DESTINATION_TYPES
from node.delivering.profiles import FALLBACKS, PROFILES, SOP_CLASSES, sop_class_name
from node.delivering.statuses import ANY_OTHER, STORE_STATUSES, Fate, StatusRow
from node.receiving import receiver
from node.settings import Settings
from operators.reading.errors import Refusal
from operators.reading.options import Kind
from operators.reading.reasons import Reason
from operators.registered import BIOMARKERS, PRIVATE_TERMS
from operators.terms import codes, frame
from operators.terms.term import OSTEON_SCHEME, codes_of

OBJECTS: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.SEGMENTATION: "vertebrae, one BINARY segment each",
        Kind.DENSITY_REGIONS: "regions of density measurement, one BINARY segment each",
        Kind.LABELMAP: "vertebrae, LABELMAP",
        Kind.REPORT: "report, TID 1500",
        Kind.REPORT_2D: "the same report as a Comprehensive SR, for older peers",
        Kind.TEXT_REPORT: "the report as text",
        Kind.SECONDARY_CAPTURE: "key pictures",
        Kind.PDF: "one page for people",
        Kind.KEY_OBJECTS: "key images",
        Kind.PRESENTATION: "graphics on the CT",
    }
)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def services() -> str:
    """Network services with their roles."""
    received = len({str(context.abstract_syntax) for context in AllStoragePresentationContexts})
    sent = len({uid for uids in SOP_CLASSES.values() for uid in uids})
    rows = [
        ("Verification", "1 SOP Class", "yes (`osteon check`, `osteon echo`)", "yes"),
        ("Storage, images received", f"{received} SOP Classes, annex A", "no", "yes"),
        ("Storage, results sent", f"{sent} SOP Classes, section 4.3", "yes", "no"),
        ("Storage Commitment Push Model", "1 SOP Class", "no", "no"),
        ("Query/Retrieve", "", "no", "no"),
        ("Modality Worklist, MPPS, Unified Procedure Step", "", "no", "no"),
        ("DICOMweb (STOW-RS, WADO-RS, QIDO-RS)", "", "no", "no"),
    ]
    return table(("Service", "SOP Classes", "SCU", "SCP"), rows)


def received_transfer_syntaxes() -> str:
    """What the receiver accepts, in the order of its preference."""
    rows = [(str(place), sop_class_name(uid), uid) for place, uid in enumerate(receiver.TRANSFER_SYNTAXES, 1)]
    return table(("Order", "Transfer Syntax", "UID"), rows)


def received_classes() -> str:
    """Every class that the receiver accepts."""
    uids = sorted({str(context.abstract_syntax) for context in AllStoragePresentationContexts}, key=_uid_order)
    return table(("SOP Class", "UID", "Role"), [(sop_class_name(uid), uid, "SCP") for uid in uids])


def _uid_order(uid: str) -> tuple[int, ...]:
    return tuple(int(part) for part in uid.split("."))


def received_statuses() -> str:
    """What C-STORE is answered with."""
    rows = [
        (receiver.SUCCESS, "the instance is on the disk"),
        (receiver.PROCESSING_FAILURE, "writing failed for another reason than space"),
        (receiver.OUT_OF_RESOURCES, "less space is left than `storage.min_free_gib`; nothing was kept"),
        (receiver.DOES_NOT_MATCH, "the data set is not the instance that was announced"),
        (receiver.CANNOT_UNDERSTAND, "no data set, or a UID in it that is none"),
    ]
    return table(("Status", "When"), [(f"0x{status:04X}", when) for status, when in rows])


def sent_classes() -> str:
    """What is sent, by kind."""
    syntaxes = ", ".join(sop_class_name(uid) for uid in delivery.TRANSFER_SYNTAXES)
    rows = [
        (f"`{kind}`", OBJECTS[kind], sop_class_name(uid), uid, syntaxes, "SCU")
        for kind in Kind
        for uid in SOP_CLASSES[kind]
    ]
    return table(("Object", "What it is", "SOP Class", "UID", "Transfer Syntaxes, one context each", "Role"), rows)


def sent_statuses() -> str:
    """What an answer to our C-STORE means."""
    said = {Fate.STORED: "stored", Fate.REFUSED: "refused for good", Fate.LATER: "to be sent again"}
    rows = [
        (_status_codes(row), row.standard, said[row.fate], row.sentence or "") for row in (*STORE_STATUSES, ANY_OTHER)
    ]
    return table(("Status", "In the standard", "Taken as", "Because"), rows)


def _status_codes(row: StatusRow) -> str:
    if row is ANY_OTHER:
        return "any other"
    return f"0x{row.first:04X}" if row.first == row.last else f"0x{row.first:04X} to 0x{row.last:04X}"


def profiles() -> str:
    """What each viewer gets, and why."""
    rows = [(f"`{profile}`", _kinds(row.kinds), row.why) for profile, row in PROFILES.items()]
    return table(("Profile", "Objects", "Why"), rows)


def fallbacks() -> str:
    """What stands in for what."""
    return table(
        ("Not accepted", "Sent instead, the first that is accepted"),
        [(f"`{kind}`", _kinds(others) or "nothing") for kind, others in FALLBACKS.items()],
    )


def _kinds(kinds: Iterable[Kind]) -> str:
    return ", ".join(f"`{kind}`" for kind in kinds)


def character_sets() -> str:
    """Defined terms of Specific Character Set that are decoded."""
    return ", ".join(f"`{term}`" for term in sorted(python_encoding) if term)


def standard_codes() -> str:
    """Every standard code in use."""
    found = {
        (code.scheme_designator, code.value): code.meaning
        for code in codes_of(codes)
        if code.scheme_designator not in (OSTEON_SCHEME.designator, "UCUM")
    }
    rows = [(scheme, f"`{value}`", meaning) for (scheme, value), meaning in sorted(found.items())]
    return table(("Scheme", "Code", "Meaning"), rows)


def private_scheme() -> str:
    """The private scheme: a line on itself, then code, meaning, definition and origin of every term."""
    scheme = OSTEON_SCHEME
    head = f"{scheme.name}: designator `{scheme.designator}`, UID `{scheme.uid}`, version {scheme.version}."
    origin = {term.value: one.name for one in BIOMARKERS for term in one.terms}
    rows = [(f"`{t.value}`", t.meaning, t.definition, origin.get(t.value, "")) for t in PRIVATE_TERMS]
    return f"{head}\n\n{table(('Code', 'Meaning', 'Definition', 'Biomarker'), rows)}"


def levels() -> str:
    """How every vertebral level is coded."""
    rows = [(str(level), *_level_row(codes.LEVELS[level])) for level in Level]
    return table(("Level", "Code", "Meaning", "Region", "Modifier"), rows)


def _level_row(coding: codes.LevelCoding) -> Sequence[str]:
    return (
        f"`{coding.structure.value}` {coding.structure.scheme_designator}",
        coding.structure.meaning,
        "" if coding.region is None else f"`{coding.region.value}` {coding.region.meaning}",
        "" if coding.modifier is None else f"`{coding.modifier.value}` {coding.modifier.meaning}",
    )


def reason_codes() -> str:
    """Every reason for which a number is withheld, a gate speaks or a series is not read."""
    rows = [(f"`{one}`", one.meaning, frame.exclusion_code(one).value) for one in Reason]
    return table(("Code", "Meaning", "In the SR"), rows)


def refusal_codes() -> str:
    """Every reason for which a whole study is not read."""
    rows = [(f"`{one}`", frame.REFUSALS[one].definition, frame.REFUSALS[one].value) for one in Refusal]
    return table(("Code", "Meaning", "In the SR"), rows)


def units() -> str:
    """Units of measurement, UCUM."""
    return table(("Code", "Meaning"), [(f"`{code.value}`", code.meaning) for code in codes.UNITS.values()])


def configuration() -> str:
    """Every setting."""
    rows = list(_settings(Settings, ""))
    for name, model in DESTINATION_TYPES.items():
        rows += _settings(model, f"destinations.NAME ({name}).")
    return table(("Setting", "Allowed", "Default", "Meaning"), rows)


def _settings(model: type[BaseModel], prefix: str) -> Iterable[tuple[str, str, str, str]]:
    described = _attributes(model.__doc__ or "")
    for name, field in model.model_fields.items():
        if name == "destinations":
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _settings(field.annotation, f"{prefix}{name}.")
            continue
        meaning = field.description or described.get(name, "")
        yield f"`{prefix}{name}`", _allowed(field), _default(field), meaning.replace("``", "`")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "unset"
    shown = [str(item) for item in value] if isinstance(value, tuple) else value
    return f"`{shown}`"


def _allowed(field: FieldInfo) -> str:
    """A sentence on the values that a field takes, from its JSON schema."""
    annotation: Any = field.annotation
    for part in field.metadata:
        annotation = Annotated[annotation, part]
    schema = TypeAdapter(annotation).json_schema()
    return _schema_sentence(schema, schema.get("$defs", {}))


def _schema_sentence(schema: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return _schema_sentence(known[schema["$ref"].rpartition("/")[2]], known)
    if "anyOf" in schema:
        choices = [_schema_sentence(choice, known) for choice in schema["anyOf"] if choice.get("type") != "null"]
        return " or ".join(choices)
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of: {_schema_sentence(schema.get('items', {}), known)}"
    limits = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
        "maxLength": "length at most",
    }
    said = [f"{words} {schema[key]}" for key, words in limits.items() if key in schema]
    kind = {"integer": "whole number", "number": "number", "boolean": "true or false", "object": "table"}
    return ", ".join([kind.get(schema.get("type", "string"), "text"), *said])


def _attributes(docstring: str) -> dict[str, str]:
    """What a docstring says under ``Attributes:``, by name."""
    _, _, section = docstring.partition("Attributes:\n")
    found = re.findall(r"^ {8}(\w+): (.*(?:\n {12}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


TABLES: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "services": services,
        "received-transfer-syntaxes": received_transfer_syntaxes,
        "received-classes": received_classes,
        "received-statuses": received_statuses,
        "sent-classes": sent_classes,
        "sent-statuses": sent_statuses,
        "profiles": profiles,
        "fallbacks": fallbacks,
        "character-sets": character_sets,
        "standard-codes": standard_codes,
        "units": units,
        "private-scheme": private_scheme,
        "levels": levels,
        "configuration": configuration,
    }
)
"""Tables of the conformance statement, by the name that its markers give."""

GLOSSARY: Mapping[str, Callable[[], str]] = MappingProxyType(
    {"reason-codes": reason_codes, "refusal-codes": refusal_codes}
)
"""Tables of the glossary of reason codes, likewise."""
