"""``python -m tests.agreement.table``: prints which encoding carries which kind of fact, as Markdown."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from operators import runtime
from tests.agreement.agreement import Told, kinds_in, missing
from tests.agreement.exempt import EXEMPT
from tests.agreement.readers import READERS

_EXEMPTED = {(one.encoding, one.kind) for one in EXEMPT}


def table(told: Mapping[str, Told]) -> str:
    """The table: how many facts of a kind an encoding carries of how many; ``–`` where it is excused."""
    return "\n".join(_lines(told)) + "\n"


def _lines(told: Mapping[str, Told]) -> Iterator[str]:
    yield f"| kind of fact | facts | {' | '.join(READERS)} |"
    yield f"| --- | --- |{' --- |' * len(READERS)}"
    for kind in sorted(kinds_in(told)):
        count = sum(fact.kind == kind for reading in told.values() for fact in reading.facts)
        cells = [_cell(count - len(missing(told, encoding, kind)), count, (encoding, kind)) for encoding in READERS]
        yield f"| {kind} | {count} | {' | '.join(cells)} |"


def _cell(carried: int, count: int, place: tuple[str, str]) -> str:
    if place in _EXEMPTED:
        return "–"
    return "yes" if carried == count else f"{carried} of {count}" if carried else "NO"


def main() -> int:
    """Read every phantom and print the table."""
    runtime.prepare()
    # The SDK warns of a small stack unless it is prepared before anything imports it.
    from tests.agreement.told import told_of
    from tests.validators.readings import Readings

    with tempfile.TemporaryDirectory() as scratch:
        sys.stdout.write(table(told_of(Readings(Path(scratch)))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
