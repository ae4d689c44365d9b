"""One reader per encoding, each without Osteon's own code: what a receiver of that encoding finds in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import hl7
from pydicom import Dataset, dcmread

from tests.agreement.facts import LEVEL
from tests.agreement.pdf_text import pdf_told
from tests.agreement.said import Number, Said, level_in, printed, stated, told

Reader = Callable[[Path], tuple[Said, ...]]


def read_sr(results: Path) -> tuple[Said, ...]:
    """The report ``sr.dcm``: measurement groups by the level of their tracking identifier, and the rest."""
    return tuple(_of_items(dcmread(results / "sr.dcm"), ""))


def _of_items(parent: Dataset, site: str) -> Iterator[Said]:
    children = list(parent.get("ContentSequence", ()))
    tracking = [str(item.TextValue) for item in children if _name(item)[0] == "112039"]
    site = level_in(tracking[0]) if tracking else site
    for item in children:
        if item.ValueType == "CONTAINER":
            yield from _of_items(item, site)
        else:
            yield from _of_item(item, site)


def _of_item(item: Dataset, site: str) -> Iterator[Said]:
    question, beneath = _name(item)[1], _beneath(item)
    if item.ValueType == "NUM":
        for value in item.MeasuredValueSequence:
            unit = str(value.MeasurementUnitsCodeSequence[0].CodeValue)
            yield stated(site, question, float(value.NumericValue), unit, beneath)
        for child in item.get("ContentSequence", ()):
            if child.ValueType == "NUM":
                yield from _of_item(child, site)
        return
    answer = _answer(item)
    if item.ValueType != "TEXT":
        yield Said(site, f"{question}: {answer} {beneath}", printed(answer) + printed(beneath))
    yield from told(site, f"{question}: {answer} {beneath}".strip())


def _answer(item: Dataset) -> str:
    if item.ValueType == "CODE":
        return str(item.ConceptCodeSequence[0].CodeMeaning)
    return str(item.get("TextValue", "") or item.get("UID", ""))


def _beneath(item: Dataset) -> str:
    return " ".join(_answer(child) for child in item.get("ContentSequence", ()) if child.ValueType in ("TEXT", "CODE"))


def _name(item: Dataset) -> tuple[str, str]:
    names = item.get("ConceptNameCodeSequence") or ()
    return (str(names[0].CodeValue), str(names[0].CodeMeaning)) if names else ("", "")


_LIST = re.compile(rf"({LEVEL.pattern}) [a-z ]+: ")
"""How a line of statements on a vertebra begins, which semicolons divide."""


def _listed(line: str) -> Iterator[Said]:
    """The statements of a line, each with its numbers; what is told in words is looked for in the whole line too."""
    found = _LIST.match(line)
    if found:
        yield from (replace(one, numbers=()) for one in told(found.group(1), line))
        yield from (Said(found.group(1), part, printed(part)) for part in line[found.end() :].split(";"))


_ROW = re.compile(r"\w+\??(?: \(\w+\?\))?: ")
"""How the line of a vertebra begins: its level with the doubt about it, and a colon."""


def read_text_sr(results: Path) -> tuple[Said, ...]:
    """The text report ``sr-text.dcm``: its texts, a vertebra's beginning with its level."""
    return tuple(_of_texts(dcmread(results / "sr-text.dcm")))


def _of_texts(parent: Dataset) -> Iterator[Said]:
    for item in parent.get("ContentSequence", ()):
        if item.ValueType == "TEXT":
            text = str(item.TextValue)
            site = level_in(text) if _ROW.match(text) else ""
            yield from _listed(text)
            yield from told(site, text) if not _LIST.match(text) else ()
            if site:
                # One line per vertebra, its parts divided by semicolons.
                yield from (Said(site, part, printed(part)) for part in text.split(";"))
        yield from _of_texts(item)


def read_fhir(results: Path) -> tuple[Said, ...]:
    """The transaction ``fhir.json``: Observations by the level of their body site, and the report's conclusion."""
    bundle = json.loads((results / "fhir.json").read_text())
    said: list[Said] = []
    for entry in bundle["entry"]:
        resource = entry["resource"]
        if resource["resourceType"] == "Observation":
            said += _of_observation(resource)
        elif resource["resourceType"] == "DiagnosticReport":
            said += told("", str(resource.get("conclusion", "")))
    return tuple(said)


def _of_observation(resource: Mapping[str, Any]) -> Iterator[Said]:
    site = level_in(str(resource.get("bodySite", {}).get("text", "")))
    notes = " ".join(str(note["text"]) for note in resource.get("note", ()))
    yield from told(site, notes)
    own = str(resource.get("method", {}).get("coding", [{}])[0].get("display", ""))
    for part in (resource, *resource.get("component", ())):
        question = str(part["code"]["coding"][0].get("display", ""))
        # A note names the question that it belongs to.
        beside = [str(note["text"]) for note in resource.get("note", ()) if str(note["text"]).startswith(question)]
        yield from _of_value(part, site, question, " ".join([*beside, own if part is resource else ""]))


def _of_value(part: Mapping[str, Any], site: str, question: str, beside: str) -> Iterator[Said]:
    if "valueQuantity" in part:
        quantity = part["valueQuantity"]
        yield stated(site, question, float(quantity["value"]), str(quantity.get("code", "")), beside)
    if "valueInteger" in part:
        yield stated(site, question, float(part["valueInteger"]), "", beside)
    if "valueCodeableConcept" in part:
        concept = part["valueCodeableConcept"]
        words = " ".join([str(concept["coding"][0].get("display", "")), str(concept.get("text", ""))])
        yield Said(site, f"{question}: {words} {beside}", printed(words) + printed(beside))
    if "valueString" in part:
        yield from told(site, f"{question}: {part['valueString']} {beside}")
    if "dataAbsentReason" in part:
        yield from told(site, f"{question}: {part['dataAbsentReason'].get('text', '')}")


def read_hl7(results: Path) -> tuple[Said, ...]:
    """The message ``oru.hl7``: OBX by the level of their sub-id, each with the notes that follow it."""
    message = hl7.parse((results / "oru.hl7").read_bytes().decode())
    said: list[Said] = []
    blocks: list[tuple[Any, list[str]]] = []
    for segment in message:
        name = str(segment[0])
        if name == "NTE" and blocks:
            blocks[-1][1].append(message.unescape(str(segment[3])))
        elif name in ("OBR", "OBX"):
            blocks.append((segment, []))
    for segment, notes in blocks:
        if str(segment[0]) == "OBR":
            said += [one for note in notes for one in told("", note)]
        else:
            said += _of_obx(message, segment, " ".join(notes))
    return tuple(said)


def _of_obx(message: Any, segment: Any, notes: str) -> Iterator[Said]:
    def component(field: int, place: int) -> str:
        parts = str(segment[field]).split("^") if len(segment) > field else []
        return str(message.unescape(parts[place])) if len(parts) > place else ""

    question, site = component(3, 1), level_in(component(4, 0))
    notes = f"{notes} {component(17, 1)}".strip()
    if component(2, 0) == "NM":
        yield stated(site, question, float(component(5, 0)), component(6, 0), notes)
    else:
        answer = component(5, 1) or component(5, 0)
        yield Said(site, f"{question}: {answer} {notes}", printed(answer) + printed(notes))
    yield from told(site, f"{question}: {notes}")


def read_terminal(results: Path) -> tuple[Said, ...]:
    """What ``osteon read`` prints: tables whose heading begins with the level, and lines of text."""
    # What is under test, as a person sees it.
    from node.table import reading_text
    from operators.registered import parse_reading

    text = reading_text(parse_reading((results / "reading.json").read_bytes()), details=True)
    said: list[Said] = []
    heading: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().split("  ") if cell.strip()]
        if cells and cells[0] == "Level":
            heading = cells
        elif not cells:
            heading = []
        elif heading and len(heading) - 1 <= len(cells) <= len(heading) and level_in(cells[0].lstrip("▲◊ ")):
            # The last column, of the numbers of notes, may be empty.
            said += row_told(dict(zip(heading, cells, strict=False)), level_in(cells[0].lstrip("▲◊ ")))
        elif _LIST.match(line.strip()):
            said += _listed(line.strip())
        else:
            said += told("", line.strip())
    return tuple(said)


def row_told(cells: Mapping[str, str], site: str) -> Iterator[Said]:
    """The cells of a table's row, each beside its heading, which may name the unit."""
    for heading, cell in cells.items():
        unit = next((number_unit for word, number_unit in _HEADINGS.items() if word in heading), "")
        numbers = tuple(Number(n.value, n.decimals, n.unit or unit) for n in printed(cell))
        if heading == "conf.":
            numbers = tuple(Number(100 * n.value, 0, "%") for n in numbers)
        yield Said(site, f"{heading}: {cell}", numbers)


_HEADINGS = {
    "mg/cm3": "mg/cm3",
    "cm3": "cm3",
    "mm": "mm",
    "Ha": "mm",
    "Hm": "mm",
    "Hp": "mm",
    "%": "%",
    "Sure": "%",
    "HU": "[hnsf'U]",
    "SD": "[hnsf'U]",
}
"""UCUM units by what a heading has in it, the first that fits."""


def read_pdf(results: Path) -> tuple[Said, ...]:
    """The page ``pdf.dcm``: its table of levels with its numbered notes, and its paragraphs."""
    told_there = pdf_told(bytes(dcmread(results / "pdf.dcm").EncapsulatedDocument))
    said: list[Said] = [one for paragraph in told_there.paragraphs for one in told("", paragraph)]
    for row in told_there.rows:
        site = level_in(row.cells["Level"].lstrip("▲◊ "))
        said += row_told(row.cells, site)
        said += [one for note in row.notes for one in told(site, note)]
    return tuple(said)


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "SR": read_sr,
        "FHIR": read_fhir,
        "HL7": read_hl7,
        "PDF": read_pdf,
        "text SR": read_text_sr,
        "terminal": read_terminal,
    }
)
"""By the encoding's name, in the order of the table."""
