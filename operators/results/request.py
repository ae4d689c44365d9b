"""What the CT says of the order that it was made for, as the report repeats it."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom import Dataset
from pydicom.sr.coding import Code

from operators.terms import codes

_LONGEST_VALUE, _LONGEST_MEANING = 16, 64
_TEXTS = (
    "AccessionNumber",
    "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
)


def procedure_reported(header: Dataset) -> Code:
    """The site's code of the imaging procedure, where the CT has a whole one, else CT of no named region."""
    return next(_codes(header, "ProcedureCodeSequence"), codes.CT_PROCEDURE)


def referenced_requests(header: Dataset) -> list[Dataset]:
    """Items of Referenced Request Sequence (PS3.3 C.17.2) from the CT's own request attributes.

    Args:
        header: Of a source image.

    Returns:
        One item for each request that the CT names; empty where it names none.
    """
    return [_item(header, request) for request in header.get("RequestAttributesSequence") or [] if _names(request)]


def _names(request: Dataset) -> bool:
    return any(str(request.get(keyword) or "").strip() for keyword in _TEXTS)


def _item(header: Dataset, request: Dataset) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID = header.StudyInstanceUID
    item.ReferencedStudySequence = []  # Type 2
    for keyword in _TEXTS:
        setattr(item, keyword, str(request.get(keyword) or header.get(keyword) or "") or None)
    item.RequestedProcedureCodeSequence = []
    for code in _codes(request, "RequestedProcedureCodeSequence"):
        coded = Dataset()
        coded.CodeValue, coded.CodingSchemeDesignator, coded.CodeMeaning = code[:3]
        item.RequestedProcedureCodeSequence.append(coded)
    return item


def _codes(header: Dataset, keyword: str) -> Iterator[Code]:
    """The whole codes of a sequence; archives often leave codes half filled."""
    for item in header.get(keyword) or []:
        value, scheme, meaning = (
            str(item.get(name) or "").strip() for name in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
        )
        if 0 < len(value) <= _LONGEST_VALUE and 0 < len(scheme) <= _LONGEST_VALUE and meaning:
            yield Code(value, scheme, meaning[:_LONGEST_MEANING])
