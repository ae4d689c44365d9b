"""Header values that break the rules of DICOM, made valid as they are read.

Every result copies patient and study from these headers, so that here is the one place where a value is
put right: what its writer meant, where that is plain. What is not plain stays as it is, and the encoders
leave it out.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import cast

from pydicom import Dataset
from pydicom.charset import convert_encodings, python_encoding
from pydicom.datadict import dictionary_has_tag, dictionary_VM, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag

_CHARACTER_SET = BaseTag(0x00080005)
_TEXTS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""What Specific Character Set speaks of (PS3.5 6.1.2.3)."""
_LONGEST = MappingProxyType({"LO": 64, "SH": 16, "PN": 64})
"""Characters of one value (PS3.5 table 6.2-1)."""
_REGISTERED = re.compile(r"(ISO[ _-]*2022)?[ _-]*(?:ISO)?[ _-]*IR[ _-]*(\d+)")
_OTHER_NAMES = MappingProxyType(
    {
        "UTF8": "ISO_IR 192",
        "UTF-8": "ISO_IR 192",
        "UNICODE": "ISO_IR 192",
        "ASCII": "ISO_IR 6",
        "LATIN1": "ISO_IR 100",
        "LATIN-1": "ISO_IR 100",
        "GB 18030": "GB18030",
    }
)
"""Character sets by names that are no defined terms (PS3.3 C.12.1.1.2)."""
_PART = re.compile(r"ISO[ _-]?8859[ _-](\d{1,2})")
_PARTS = MappingProxyType(
    {"1": 100, "2": 101, "3": 109, "4": 110, "5": 144, "6": 127, "7": 126, "8": 138, "9": 148, "11": 166}
)
"""Registration numbers of the parts of ISO 8859 (PS3.3 table C.12-2)."""
_ONE_LINE = frozenset({"LO", "PN", "SH"})
_IDENTIFIERS = frozenset({"PatientID", "AccessionNumber", "StudyID"})
"""Cut off, they would be those of somebody else; archives keep longer ones than DICOM allows."""
_SEXES = MappingProxyType({"MALE": "M", "FEMALE": "F", "OTHER": "O", "M": "M", "F": "F", "O": "O"})
_DATE = re.compile(r"\s*(\d{4})[.\-/](\d{2})[.\-/](\d{2})\s*")
_TIME = re.compile(r"\s*(\d{2}):(\d{2})(?::(\d{2})(\.\d{1,6})?)?\s*")
_AGE = re.compile(r"\s*(\d{1,3})\s*([DWMYdwmy])\s*")


def settle_character_set(header: Dataset) -> None:
    """Give a data set, none of whose texts has been decoded yet, the character set that decodes them.

    Misspelt terms become defined ones. Where none is named, or the named one cannot hold the bytes, bytes
    that are UTF-8 make it UTF-8, and others Latin-1.
    """
    named = _named_terms(header)
    terms = [term for term in map(_defined_term, named) if term is not None]
    texts = b"".join(_raw_texts(header))
    is_known = len(terms) == len(named) and any(term not in ("", "ISO_IR 6") for term in terms)
    if not texts.isascii() and (not is_known or (terms == ["ISO_IR 192"] and not _is_utf8(texts))):
        terms = ["ISO_IR 192" if _is_utf8(texts) else "ISO_IR 100"]
    if terms == named:
        return
    if terms:
        header.add(DataElement(_CHARACTER_SET, "CS", terms if len(terms) > 1 else terms[0]))
    else:
        del header[_CHARACTER_SET]
    _decode_by(header, convert_encodings(terms))


def make_valid(dataset: Dataset) -> None:
    """Put right what breaks the rules of its value representation and can only be meant in one way.

    Dates and times of ACR-NEMA (``2025.01.02``, ``10:15:00``), ages without leading zeros, and texts of one
    value that a backslash has made several.
    """
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value or []:
                make_valid(item)
        elif isinstance(element.value, MultiValue):
            if element.VR in _TEXTS and not element.tag.is_private and _has_one_value(element.tag):
                element.value = " / ".join(str(value).strip() for value in element.value)[: _LONGEST.get(element.VR)]
        elif element.keyword == "PatientSex":
            element.value = _SEXES.get(str(element.value or "").strip().upper(), element.value)
        elif element.VR in _FORMS and element.value:
            element.value = _FORMS[element.VR](str(element.value))
        elif element.VR in _ONE_LINE and element.value:
            _keep_to_one_line(element)


def number(header: Dataset, keyword: str) -> float | None:
    """A numeric attribute, None where it is missing, or no finite number."""
    try:
        value = float(header.get(keyword))
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _keep_to_one_line(element: DataElement) -> None:
    """Take control characters out of a text, and cut what is longer than it may be, unless it identifies something."""
    text = str(element.value)
    clean = "".join(" " if unicodedata.category(character) == "Cc" else character for character in text)
    if element.keyword not in _IDENTIFIERS and element.VR in _LONGEST and element.VR != "PN":
        clean = clean[: _LONGEST[element.VR]]
    if clean != text:
        element.value = clean


def valid_date(text: str) -> str:
    """A date as DICOM writes it, where its form is known; else the text itself."""
    match = _DATE.fullmatch(text)
    return "".join(match.groups()) if match else text


def valid_time(text: str) -> str:
    """A time as DICOM writes it, where its form is known; else the text itself."""
    match = _TIME.fullmatch(text)
    return "".join(part or "" for part in match.groups()) if match else text


def valid_age(text: str) -> str:
    """An age string as DICOM writes it, where its form is known; else the text itself."""
    match = _AGE.fullmatch(text)
    return f"{int(match[1]):03d}{match[2].upper()}" if match else text


_FORMS: Mapping[str, Callable[[str], str]] = MappingProxyType({"DA": valid_date, "TM": valid_time, "AS": valid_age})


def _has_one_value(tag: BaseTag) -> bool:
    return dictionary_has_tag(tag) and dictionary_VM(tag) == "1"


def _named_terms(header: Dataset) -> list[str]:
    if _CHARACTER_SET not in header:
        return []
    value = header[_CHARACTER_SET].value or ""
    return [value] if isinstance(value, str) else [str(term) for term in value]


def _defined_term(term: str) -> str | None:
    """The defined term that was meant; None where there is none."""
    upper = term.strip().upper()
    if upper in python_encoding:
        return upper
    if upper in _OTHER_NAMES:
        return _OTHER_NAMES[upper]
    part, registered = _PART.fullmatch(upper), _REGISTERED.fullmatch(upper)
    if part:
        return f"ISO_IR {_PARTS[part[1]]}" if part[1] in _PARTS else None
    if registered is None:
        return None
    meant = f"ISO 2022 IR {registered[2]}" if registered[1] else f"ISO_IR {registered[2]}"
    return meant if meant in python_encoding else None


def _raw_texts(header: Dataset) -> Iterator[bytes]:
    """Bytes of the texts of a data set and of the items that have been parsed with it, undecoded."""
    for tag in list(header.keys()):
        element = cast("DataElement | RawDataElement", header.get_item(tag))
        vr = element.VR or (dictionary_VR(tag) if dictionary_has_tag(tag) else "UN")
        if isinstance(element, RawDataElement) and vr in _TEXTS:
            yield element.value or b""
        elif not isinstance(element, RawDataElement) and vr == "SQ":
            for item in element.value:
                yield from _raw_texts(item)


def _decode_by(dataset: Dataset, encodings: list[str]) -> None:
    implicit, little = dataset.original_encoding
    dataset.set_original_encoding(implicit, little, encodings)
    for tag in list(dataset.keys()):
        element = cast("DataElement | RawDataElement", dataset.get_item(tag))
        if not isinstance(element, RawDataElement) and element.VR == "SQ":
            for item in element.value:
                if _CHARACTER_SET not in item:
                    _decode_by(item, encodings)


def _is_utf8(texts: bytes) -> bool:
    try:
        texts.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
