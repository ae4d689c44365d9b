"""The key slices as a Key Object Selection, titled For Research (TID 2010)."""

from __future__ import annotations

from collections.abc import Mapping

import highdicom as hd
from pydicom import Dataset

from operators.biomarker import FINDINGS, Flag
from operators.dicom.report_items import observer
from operators.dicom.result_header import equipment, finish, source_headers
from operators.reading.case import Case
from operators.reading.options import Kind
from operators.results.identity import ResultIdentity
from operators.results.key_levels import key_vertebrae
from operators.results.key_slices import KeySlice, key_slices
from operators.results.naming import level_name
from operators.results.plain_text import plain
from operators.results.research import RESEARCH_MARK
from operators.results.walk import sentences
from operators.terms import codes

SERIES_NUMBER = 1007
SERIES_DESCRIPTION = "AI key images (research)"


def write_key_objects(case: Case) -> Dataset | None:
    """Point at the slices through the vertebrae that a reader should see first.

    Args:
        case: The finished case. ``case.slices`` may lack pixel data.

    Returns:
        The object, not yet written to disk; the same bytes for the same case. None where no vertebra was
        found: there is no key image then.

    Raises:
        PermanentError: The volume's slices do not lie on the source images.
    """
    flags = key_vertebrae(case.reading)
    slices = key_slices(case, [v for v in case.reading.vertebrae if v.number in flags])
    if not slices:
        return None
    identity = ResultIdentity.of(case.reading)
    multi_frame = slices[0].frame.frame is not None
    images = source_headers(case, [0] if multi_frame else [one.frame.place for one in slices])
    result = hd.ko.KeyObjectSelectionDocument(
        evidence=images,
        content=_content(case, slices, images, flags),
        series_instance_uid=identity.series_uid(Kind.KEY_OBJECTS),
        series_number=SERIES_NUMBER,
        sop_instance_uid=identity.instance_uid(Kind.KEY_OBJECTS),
        instance_number=1,
        series_description=SERIES_DESCRIPTION,
        **equipment(case),
    )
    for item in result.ContentSequence:
        if item.ValueType == "IMAGE":
            # TID 2010 forbids a purpose of reference; highdicom needs one until here.
            del item.ConceptNameCodeSequence
            if multi_frame:
                item.ReferencedSOPSequence[0].ReferencedFrameNumber = [one.frame.frame for one in slices]
    finish(result, case)
    return result


def _content(
    case: Case, slices: tuple[KeySlice, ...], images: tuple[Dataset, ...], flags: Mapping[int, Flag]
) -> hd.ko.KeyObjectSelection:
    reading = case.reading
    identity = ResultIdentity.of(reading)
    said = " ".join(sentence.text for sentence in sentences(reading).get(FINDINGS, ()))
    selection = hd.ko.KeyObjectSelection(
        document_title=codes.FOR_RESEARCH,
        referenced_objects=images,
        description=plain(f"{_levels(case, slices, flags)} {said} {RESEARCH_MARK}"),
    )
    root = selection[0]
    root.ContentSequence = hd.sr.ContentSequence(
        [*observer(identity.device_uid, reading.provenance), *root.ContentSequence]
    )
    return selection


def _levels(case: Case, slices: tuple[KeySlice, ...], flags: Mapping[int, Flag]) -> str:
    """The vertebrae on the key slices, each with the reason for which it is one."""
    shown = [
        f"{level_name(vertebra, case.reading.numbering)} ({flags[vertebra.number].reason})"
        for one in slices
        for vertebra, _ in one.vertebrae
    ]
    return f"Key slices through {', '.join(shown)}."
