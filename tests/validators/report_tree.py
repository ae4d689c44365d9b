"""A TID 1500 report read with pydicom alone, without the library that wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

from pydicom import Dataset

Tree = tuple[Any, ...]
"""What stands in an item of a report, and then the same of its children."""


class Number(NamedTuple):
    """One number of a measurement group.

    Attributes:
        tracking: Tracking UID of the group.
        level: First word of the group's Tracking Identifier, as ``L1`` of "L1 vertebra": a transitional level
            has no code of its own.
        concept: Code of what was measured.
        value, unit: The number and its UCUM code.
    """

    tracking: str
    level: str
    concept: str
    value: float
    unit: str


def groups_of(report: Dataset) -> list[Dataset]:
    """The measurement groups."""
    found: list[Dataset] = []
    for container in report.ContentSequence:
        if _code(container) == "126010":
            found += [item for item in container.get("ContentSequence", ()) if _code(item) == "125007"]
    return found


def numbers_of(report: Dataset) -> list[Number]:
    """Every number that stands directly in a measurement group, in the order of the report."""
    return [number for group in groups_of(report) for number in _numbers(group)]


def tree_of(item: Dataset) -> Tree:
    """A content tree with its values and without the UIDs of the document, for comparing two documents."""
    values = [str(value.NumericValue) for value in item.get("MeasuredValueSequence", ())]
    return (_node(item), str(item.get("TextValue", "")), *values, *map(tree_of, item.get("ContentSequence", ())))


def shape_of(item: Dataset) -> Tree:
    """What a template constrains: concepts, answers, units and relationships, but neither numbers nor texts.

    Equal neighbours count once: a list of images has the same shape however long it is.
    """
    children = [shape_of(child) for child in item.get("ContentSequence", ())]
    return (_node(item), *(child for child, _ in groupby(children)))


def _node(item: Dataset) -> Tree:
    measured = item.get("MeasuredValueSequence") or ()
    codes = [
        *item.get("ConceptNameCodeSequence", ()),
        *item.get("ConceptCodeSequence", ()),
        *(code for value in measured for code in value.MeasurementUnitsCodeSequence),
    ]
    templates = [template.TemplateIdentifier for template in item.get("ContentTemplateSequence", ())]
    told = [(code.get("CodeValue"), code.CodingSchemeDesignator, code.CodeMeaning) for code in codes]
    return (item.get("RelationshipType"), item.get("ValueType"), *told, *templates)


def _numbers(group: Dataset) -> Iterator[Number]:
    children = list(group.ContentSequence)
    tracking = next((str(item.UID) for item in children if _code(item) == "112040"), "")
    name = next((str(item.TextValue) for item in children if _code(item) == "112039"), "")
    for item in children:
        if item.ValueType == "NUM":
            (value,) = item.MeasuredValueSequence
            unit = value.MeasurementUnitsCodeSequence[0].CodeValue
            yield Number(tracking, name.split(" ")[0], _code(item), float(value.NumericValue), unit)


def _code(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence") or ()
    return str(names[0].CodeValue) if names else ""
