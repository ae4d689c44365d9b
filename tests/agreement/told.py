"""Facts and encodings of the readings of the validators."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tests.agreement.agreement import Told
from tests.agreement.facts import facts_of
from tests.agreement.readers import READERS
from tests.validators.readings import READING_FILE, Made


def told_of(readings: Mapping[str, Made]) -> dict[str, Told]:
    """What every reading knows, and what each encoding says of it, by the reading's name.

    A study that could not be read has no reading; what is said of it is tested with its report.
    """
    found = {}
    for name, made in readings.items():
        path = made.results / READING_FILE
        if path.exists():
            facts = facts_of(json.loads(path.read_bytes()))
            found[name] = Told(facts, {encoding: read(made.results) for encoding, read in READERS.items()})
    return found
