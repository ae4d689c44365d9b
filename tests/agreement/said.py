"""What an encoding says, taken apart: texts with their site, and the numbers in them with their units."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from tests.agreement.facts import DECIMALS, LEVEL, Fact

_NUMBER = re.compile(r"(?<![\w.])[-−]?\d+(?:\.\d+)?(?![\w.]*\d)")
_UNIT = re.compile(r"\s*(mg/cm3|g/cm2|cm3|cm2|mm|%|HU|°|±)(?![\w/])")
_RUN = re.compile(r"\d[\d.]*(?:/\d[\d.]*)+ (mm|%|HU)(?!\w)")
_RANGE = re.compile(r"(\d[\d.]*) (to|and) (\d[\d.]*) (mm|%|HU)(?!\w)")
_INTERVAL = re.compile(r"(\d[\d.]*) (?:±|\+/-) (\d[\d.]*) (mg/cm3|g/cm2|cm3|cm2|mm|%|HU|°)(?![\w/])")
_DEVIATION = re.compile(r"\bSD (\d[\d.]*\d|\d)(?! HU)")
_UNITS = {"°": "deg", "HU": "[hnsf'U]", "±": ""}
_LEVELS = re.compile(rf"\b{LEVEL.pattern}\b")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^a-z])")


@dataclass(frozen=True)
class Number:
    """A number as it is printed.

    Attributes:
        value: The number.
        decimals: How many were printed; None where a machine wrote it, which drops trailing zeros.
        unit: UCUM code, empty where none stands beside it.
    """

    value: float
    decimals: int | None
    unit: str = ""

    def is_near(self, wanted: float, unit: str) -> bool:
        """Whether this is ``wanted`` rounded as it is published, in ``unit``."""
        if unit == "%" and not self.unit and (self.decimals or 0) >= 2:
            # A probability may be printed as a share.
            return abs(100 * self.value - wanted) <= 0.5 * 10.0 ** (2 - (self.decimals or 0)) + 1e-9
        if self.unit != unit and not (unit == "" and self.unit.startswith("{")):
            return False
        published = DECIMALS.get(unit, 1)
        decimals = published if self.decimals is None else min(self.decimals, published)
        return abs(self.value - wanted) <= 0.5 * 10.0**-decimals + 1e-9


@dataclass(frozen=True)
class Said:
    """One thing that an encoding says.

    Attributes:
        site: The level that it stands at; empty for the spine and where only the text tells.
        text: Everything that stands together: question, answer and comments.
        numbers: What is printed in it.
        is_whole: True for a text of several sentences: only sentences are looked for in it, as what stands in
            one of its sentences need not belong to what is named in another.
    """

    site: str
    text: str
    numbers: tuple[Number, ...] = ()
    is_whole: bool = False

    def speaks_of(self, site: str) -> bool:
        """Whether it stands at a site: an own place in the encoding, or named in the text."""
        return self.site == site or (not self.site and site in _LEVELS.findall(self.text))

    def says(self, fact: Fact) -> bool:
        """Whether a fact is told."""
        if self.is_whole and not fact.text:
            return False
        # A sentence on the spine may name a vertebra and then stand with it.
        if not (fact.text and not fact.site) and not self.speaks_of(fact.site):
            return False
        if fact.text and plain(fact.text) not in plain(self.text):
            return False
        if not all(re.search(word, self.text, re.IGNORECASE) for word in fact.words):
            return False
        return all(any(number.is_near(wanted, fact.unit) for number in self.numbers) for wanted in fact.numbers)


def plain(text: str) -> str:
    """Letters and digits only: an encoding may break lines and replace signs that it does not have."""
    return "".join(c for c in unicodedata.normalize("NFKD", text).lower() if c.isascii() and c.isalnum())


def printed(text: str) -> tuple[Number, ...]:
    """The numbers of a text, each with its unit, which may follow several: ``16.0/17.4/27.9 mm``, ``2 to 3 %``."""
    text = _RUN.sub(lambda run: run.group().replace("/", f" {run.group(1)}; "), text)
    text = _INTERVAL.sub(r"\1 \3 ± \2 \3", text)
    text = _RANGE.sub(r"\1 \4 \2 \3 \4", text)
    return tuple(_printed(_DEVIATION.sub(r"SD \1 HU", text)))


def _printed(text: str) -> Iterator[Number]:
    for found in _NUMBER.finditer(text):
        word = found.group().replace("−", "-")
        # "20-25" is a range, and so is "L1-L3": a sign follows a space or a bracket.
        if word.startswith("-") and found.start() and text[found.start() - 1] not in " (":
            word = word[1:]
        unit = _UNIT.match(text, found.end())
        name = unit.group(1) if unit else ""
        yield Number(float(word), len(word.partition(".")[2]), _UNITS.get(name, name))


def told(site: str, text: str) -> Iterator[Said]:
    """A text as a whole, in which sentences are looked for, and its sentences, in which numbers are."""
    yield Said(site, text, is_whole=True)
    for sentence in _SENTENCE_END.split(text):
        yield Said(site, sentence, printed(sentence))


def stated(site: str, question: str, value: float, unit: str, more: str = "") -> Said:
    """A number that an encoding has in a field of its own."""
    text = f"{question}: {value:.10g} {unit} {more}".strip()
    return Said(site, text, (Number(value, None, unit), *printed(more)))


def level_in(text: str) -> str:
    """The level at the beginning of a text, empty where there is none."""
    found = _LEVELS.match(text)
    return found.group() if found else ""
