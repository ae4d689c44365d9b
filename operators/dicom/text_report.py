"""The reading in plain sentences as a Basic Text SR (TID 2000): for viewers that show nothing but text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import highdicom as hd
from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import BasicTextSRStorage

from operators.dicom.report_items import observer, text_item
from operators.dicom.result_header import equipment, finish, predecessors, source_headers
from operators.reading.case import Case
from operators.reading.options import Kind
from operators.reading.reading import SpineReading
from operators.reading.vertebra import Vertebra
from operators.results import naming, technique
from operators.results.identity import ResultIdentity
from operators.results.key_levels import key_vertebrae
from operators.results.key_slices import key_slices
from operators.results.request import referenced_requests
from operators.results.research import RESEARCH_MARK
from operators.results.statement_text import finding_lines
from operators.results.table import level_line, reading_table
from operators.results.walk import findings, lacking, sentences
from operators.terms import codes

SERIES_NUMBER = 1008
SERIES_DESCRIPTION = "AI spine report, text (research)"
_ENGLISH = hd.sr.CodedConcept("en-US", "RFC5646", "English (United States)")
_CONTAINS = hd.sr.RelationshipTypeValues.CONTAINS
Section = tuple[Code, Code, Iterable[str]]
"""Heading of a section, name of its items, their texts."""


def write_text_report(case: Case) -> Dataset:
    """Encode the reading as an unverified, preliminary report in sentences.

    Args:
        case: The finished case. ``case.slices`` may lack pixel data.

    Returns:
        The object, not yet written to disk; the same bytes for the same case.

    Raises:
        PermanentError: The volume's slices do not lie on the source images.
    """
    identity = ResultIdentity.of(case.reading)
    missing = lacking(case.reading)
    previous = predecessors(case.job.previous, BasicTextSRStorage)
    after = [str(item.SOPInstanceUID) for item in previous]
    slices = key_slices(case, _key_vertebrae(case))
    places = [one.frame.place if one.frame.frame is None else 0 for one in slices] or [0]
    images = source_headers(case, list(dict.fromkeys(places)))
    # highdicom has no class for it; the content keeps to what a Basic Text SR may hold.
    result = hd.sr.EnhancedSR(
        evidence=images,
        content=_content(case, images if slices else ()),
        series_instance_uid=identity.series_uid(Kind.TEXT_REPORT, *after),
        series_number=SERIES_NUMBER,
        sop_instance_uid=identity.instance_uid(Kind.TEXT_REPORT, *after),
        instance_number=1,
        series_description=SERIES_DESCRIPTION,
        is_complete=not missing,
        is_final=False,
        is_verified=False,
        requested_procedures=referenced_requests(case.slices[0]) or None,
        previous_versions=previous or None,
        **equipment(case),
    )
    result.SOPClassUID = result.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
    if missing:
        result.CompletionFlagDescription = "; ".join(missing)[:64]
    finish(result, case)
    return result


def _key_vertebrae(case: Case) -> list[Vertebra]:
    chosen = key_vertebrae(case.reading)
    return [vertebra for vertebra in case.reading.vertebrae if vertebra.number in chosen]


def _content(case: Case, images: Iterable[Dataset]) -> Dataset:
    reading = case.reading
    root = hd.sr.ContainerContentItem(name=codes.DIAGNOSTIC_IMAGING_REPORT, template_id="2000")
    items: list[hd.sr.ContentItem] = [
        *hd.sr.LanguageOfContentItemAndDescendants(_ENGLISH),
        *observer(ResultIdentity.of(reading).device_uid, reading.provenance),
    ]
    items += [_section(*section) for section in _sections(reading)]
    references = [_image(image) for image in images]
    if references:
        key_images = hd.sr.ContainerContentItem(name=codes.KEY_IMAGES, relationship_type=_CONTAINS)
        key_images.ContentSequence = hd.sr.ContentSequence(references)
        items.append(key_images)
    root.ContentSequence = hd.sr.ContentSequence(items)
    return root


def _sections(reading: SpineReading) -> Iterator[Section]:
    """What was found, then the levels, then every measurement, then how it was made."""
    yield (
        codes.IMPRESSIONS,
        codes.IMPRESSION,
        [*(one.text for said in sentences(reading).values() for one in said), RESEARCH_MARK],
    )
    table = reading_table(reading)
    levels = [level_line(row, table) for row in table.rows]
    measurements = [
        line for finding in findings(reading) if not finding.topic.is_digest for line in finding_lines(finding)
    ]
    yield codes.FINDINGS, codes.FINDING, [*levels, *measurements]
    made = [
        technique.scan(reading) + ".",
        *(technique.gate_sentence(gate) for gate in technique.ordered_gates(reading)),
        *naming.remarks(reading),
        *(f"Not read: {text}" for text in technique.not_read(reading)),
        *(f"{name}: {value}" for name, value in technique.provenance(reading)),
    ]
    yield codes.PROCEDURE_DESCRIPTIONS, codes.PROCEDURE_DESCRIPTION, made


def _section(heading: Code, name: Code, texts: Iterable[str]) -> hd.sr.ContainerContentItem:
    section = hd.sr.ContainerContentItem(name=heading, relationship_type=_CONTAINS)
    section.ContentSequence = hd.sr.ContentSequence([text_item(text, name) for text in texts])
    return section


def _image(image: Dataset) -> hd.sr.ImageContentItem:
    return hd.sr.ImageContentItem(
        name=codes.SOURCE,
        referenced_sop_class_uid=image.SOPClassUID,
        referenced_sop_instance_uid=image.SOPInstanceUID,
        relationship_type=_CONTAINS,
    )
