"""The key slices as a Key Object Selection, titled For Research (TID 2010)."""

from __future__ import annotations

import highdicom as hd
from pydicom import Dataset

from operators.dicom.report_items import observer
from operators.dicom.result_header import equipment, finish, plain, source_headers
from operators.reading.case import Case
from operators.reading.options import Kind
from operators.results.identity import ResultIdentity
from operators.results.key_levels import key_vertebrae
from operators.results.key_slices import KeySlice, key_slices
from operators.results.sentences import RESEARCH_MARK, findings
from operators.results.table import level_name
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
    slices = key_slices(case, key_vertebrae(case.reading))
    if not slices:
        return None
    identity = ResultIdentity.of(case.reading)
    multi_frame = slices[0].frame.frame is not None
    images = source_headers(case, [0] if multi_frame else [one.frame.place for one in slices])
    result = hd.ko.KeyObjectSelectionDocument(
        evidence=images,
        content=_content(case, slices, images),
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


def _content(case: Case, slices: tuple[KeySlice, ...], images: tuple[Dataset, ...]) -> hd.ko.KeyObjectSelection:
    reading = case.reading
    identity = ResultIdentity.of(reading)
    said = " ".join(sentence.text for sentence in findings(reading))
    selection = hd.ko.KeyObjectSelection(
        document_title=codes.FOR_RESEARCH,
        referenced_objects=images,
        description=plain(f"{_levels(case, slices)} {said} {RESEARCH_MARK}."),
    )
    root = selection[0]
    root.ContentSequence = hd.sr.ContentSequence(
        [*observer(identity.device_uid, reading.provenance), *root.ContentSequence]
    )
    return selection


def _levels(case: Case, slices: tuple[KeySlice, ...]) -> str:
    names = [level_name(vertebra, case.reading.numbering) for one in slices for vertebra, _ in one.vertebrae]
    return f"Key slices through {', '.join(names)}."
