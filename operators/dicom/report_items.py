"""Small content items that the groups of the report are made of."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom as hd
from pydicom import Dataset
from pydicom.sr.codedict import codes as dictionary
from pydicom.sr.coding import Code

from operators.reading.provenance import Provenance
from operators.reading.quantity import Measured, Withheld
from operators.reading.vertebra import Vertebra
from operators.results.origin import MANUFACTURER, MODEL, algorithm_parameters
from operators.results.plain_text import plain
from operators.results.statement_text import rounded
from operators.terms import codes, frame

_CONTAINS = hd.sr.RelationshipTypeValues.CONTAINS
_PROPERTIES = hd.sr.RelationshipTypeValues.HAS_PROPERTIES


def concept(code: Code) -> hd.sr.CodedConcept:
    """``code`` as highdicom's own type."""
    return hd.sr.CodedConcept.from_code(code)


def code_item(question: Code, answer: Code, comment: str | None = None) -> hd.sr.CodeContentItem:
    """A coded answer, with a sentence beneath it where there is one."""
    item = hd.sr.CodeContentItem(name=question, value=answer, relationship_type=_CONTAINS)
    if comment:
        item.ContentSequence = hd.sr.ContentSequence([text_item(comment, relationship=_PROPERTIES)])
    return item


def text_item(
    text: str, name: Code = codes.COMMENT, relationship: hd.sr.RelationshipTypeValues = _CONTAINS
) -> hd.sr.TextContentItem:
    """A sentence in ASCII; never empty, because readers refuse a document with an empty text."""
    return hd.sr.TextContentItem(name=name, value=plain(text).strip() or "(no text)", relationship_type=relationship)


def number_item(name: Code, value: float, unit: str) -> hd.sr.NumContentItem:
    """A number with its unit, for places where no measurement template is due."""
    item = hd.sr.NumContentItem(
        name=name,
        value=value,
        unit=codes.UNITS[unit],
        relationship_type=hd.sr.RelationshipTypeValues.HAS_ACQ_CONTEXT,
    )
    _write_whole(item, value)
    return item


def measurement(
    name: Code, quantity: Measured, derivation: Code | None = None, method: Code | None = None
) -> hd.sr.Measurement:
    """A measured value (TID 300), with the half-width of its 95 % interval where that is known."""
    unit = codes.UNITS[quantity.unit]
    result = hd.sr.Measurement(
        name=name, value=rounded(quantity.value, quantity.unit), unit=unit, derivation=derivation, method=method
    )
    if quantity.uncertainty is not None:
        uncertainty = hd.sr.NumContentItem(
            name=codes.UNCERTAINTY,
            value=rounded(quantity.uncertainty, quantity.unit),
            unit=unit,
            relationship_type=_PROPERTIES,
        )
        if "ContentSequence" not in result[0]:
            result[0].ContentSequence = hd.sr.ContentSequence()
        result[0].ContentSequence.append(uncertainty)
    return result


def count(name: Code, value: int, unit: str) -> hd.sr.Measurement:
    """A number of things as a measurement."""
    result = hd.sr.Measurement(name=name, value=value, unit=codes.UNITS[unit])
    _write_whole(result[0], value)
    return result


def _write_whole(item: Dataset, value: float) -> None:
    # highdicom writes 2 as 2.0, which viewers show as it is.
    if isinstance(value, int):
        item.MeasuredValueSequence[0].NumericValue = str(value)


def reasons(question: Code, subject: str, values: Sequence[object]) -> list[hd.sr.CodeContentItem]:
    """Why values are withheld: one coded reason with its sentence for each different reason."""
    withheld = dict.fromkeys(value for value in values if isinstance(value, Withheld))
    return [
        code_item(question, frame.exclusion_code(value.code), f"{subject} withheld ({value.code}): {value.reason}")
        for value in withheld
    ]


def finding_site(vertebra: Vertebra) -> hd.sr.FindingSite:
    """The level as a finding site; transitional levels as a generic vertebra with a modifier."""
    coding = codes.LEVELS[vertebra.level]
    return hd.sr.FindingSite(
        anatomic_location=concept(coding.structure),
        topographical_modifier=None if coding.modifier is None else concept(coding.modifier),
    )


def algorithm(by: Provenance) -> hd.sr.AlgorithmIdentification:
    """What read the study (TID 4019).

    The parameters are a list: highdicom takes a plain string apart into its characters.
    """
    return hd.sr.AlgorithmIdentification(
        name=plain(by.engine),
        version=plain(by.engine_version),
        parameters=[f"{key}={plain(value)}" for key, value in algorithm_parameters(by).items()],
        family=codes.ARTIFICIAL_INTELLIGENCE,
        manufacturer=MANUFACTURER,
    )


def observer(device_uid: str, by: Provenance) -> hd.sr.ObservationContext:
    """Who speaks in the report: a device (TID 1002, 1004)."""
    return hd.sr.ObservationContext(
        observer_device_context=hd.sr.ObserverContext(
            observer_type=dictionary.DCM.Device,
            observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
                uid=device_uid,
                name=MODEL,
                manufacturer_name=MANUFACTURER,
                model_name=f"{MODEL} {plain(by.pipeline)}",
            ),
        )
    )


def append_items(group: hd.sr.ContentSequence, items: Sequence[Dataset]) -> None:
    """Add items to the one container of a group."""
    for item in items:
        group[0].ContentSequence.append(item)
