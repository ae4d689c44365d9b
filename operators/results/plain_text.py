"""Text in ASCII, so that it can stand beside a patient's name in any character set."""

from __future__ import annotations

import unicodedata
from types import MappingProxyType

_ASCII = MappingProxyType(
    str.maketrans(
        {"–": "-", "—": "-", "−": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "…": "...", "×": "x"}
        | {"≥": ">=", "≤": "<=", "±": "+/-", "µ": "u", "μ": "u", "°": " deg", "²": "2", "³": "3", "→": "->"}
        | {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"}
    )
)


def plain(text: str) -> str:
    """``text`` in ASCII, so that it can stand beside a patient's name in any character set."""
    spelled = unicodedata.normalize("NFKD", text.translate(_ASCII))
    return spelled.encode("ascii", "ignore").decode("ascii")
