"""``python -m tests.validators.table``: writes docs/validation.md, the table of validators, objects and readings.

Every number in it is counted here; the same checks run as tests.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from operators import runtime
from operators.reading.options import Kind
from tests.peers.commitment import Committer
from tests.peers.ohif import VERSIONS
from tests.peers.orthanc import Orthanc
from tests.peers.pixelmed import ALLOWED_BY_PIXELMED
from tests.peers.validators import ALLOWED_BY_DCENTVFY, ALLOWED_BY_DCIODVFY, Findings

ROOT = Path(__file__).parent.parent.parent
TARGET = ROOT / "docs" / "validation.md"

_PROGRAMS = ("dicom3tools", "dcmtk", "libpixelmed-java", "orthanc", "orthanc-dicomweb", "chromium")
_PACKAGES = ("dcmqi", "SimpleITK", "highdicom", "pydicom")
_ALLOWED = {"dciodvfy": ALLOWED_BY_DCIODVFY, "PixelMed": ALLOWED_BY_PIXELMED, "dcentvfy": ALLOWED_BY_DCENTVFY}
_HEAD = """\
# Validation

Written by `python -m tests.validators.table`; the same checks run as tests on every change
(`tests/validators`, `tests/viewers`), where one error, or one warning that is not named below, fails the run.

A cell is the number of errors, with the number of allowed warnings after a plus; · means that the program is
not asked about that kind of object.
"""

_LIMITS = """\
## Seen, and not in the objects

- OHIF 3.13.2 scrambles the overlay of a BINARY segmentation whose rows times columns are no multiple of eight:
  frames then do not begin with a byte (PS3.5 8.1.1), and the picture looks as if it took them to. OHIF 3.11.1, dcmqi,
  SimpleITK, pydicom and highdicom read the same object rightly. The CT of `make demo` (101 × 122) is one of these;
  a matrix of 512 × 512 is not.
- OHIF prints nothing for a measured zero, and the code instead of the words "Finding Site".
"""
"""What was seen on the screenshots of `python -m tests.viewers.pictures`."""


def main() -> int:
    """Ask every validator about every object, write the table, and give 1 where there was an error."""
    runtime.prepare()
    with tempfile.TemporaryDirectory() as scratch:
        cells, whole = _ask(Path(scratch))
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text("\n".join(_page(cells, whole)) + "\n")
    errors = sum(len(said.errors) for said in (*cells.values(), *whole.values()))
    print(f"{TARGET.relative_to(ROOT)}: {len(cells)} checks, {errors} errors")
    return 1 if errors else 0


Cells = Mapping[tuple[str, Kind, str], Findings]
"""What was found, by reading, kind of object and program."""


def _ask(scratch: Path) -> tuple[Cells, Mapping[str, Findings]]:
    from tests.validators.archive_check import archive_findings
    from tests.validators.checks import CHECKS, PixelMed, applies, entities
    from tests.validators.readings import Readings

    readings = Readings(scratch / "readings")
    pixelmed = PixelMed(readings)
    pixelmed.start()
    cells: dict[tuple[str, Kind, str], Findings] = {}
    with Committer() as committer:
        archive = Orthanc(scratch / "orthanc", dicomweb=True)
        archive.know("committer", committer.ae_title, committer.port)
        archive.start()
        for name, made in readings.items():
            kept = archive_findings(made, archive, committer)
            for kind in made.objects:
                for check in CHECKS:
                    if applies(check, made, kind):
                        cells[name, kind, check.name] = check.run(made, kind)
                cells[name, kind, "Orthanc"] = kept[kind]
        archive.stop()
    for name, made in readings.items():
        for kind in made.objects:
            if (said := pixelmed.findings(made, kind)) is not None:
                cells[name, kind, "PixelMed"] = said
    return cells, {name: entities(made) for name, made in readings.items()}


def _page(cells: Cells, whole: Mapping[str, Findings]) -> Iterator[str]:
    yield _HEAD
    programs = list(dict.fromkeys(["dciodvfy", "PixelMed", *(program for _, _, program in cells)]))
    yield from _row("reading", "object", *programs)
    yield from _row(*["---"] * (2 + len(programs)))
    for name, kind in dict.fromkeys((name, kind) for name, kind, _ in cells):
        yield from _row(name, f"`{kind}`", *(_cell(cells.get((name, kind, program))) for program in programs))
    for name, said in whole.items():
        yield from _row(name, "all, with the CT", f"dcentvfy: {_cell(said)}", *[""] * (len(programs) - 1))
    total = Counter(program for _, _, program in cells)
    said = [*cells.values(), *whole.values()]
    yield f"\n{sum(total.values()) + len(whole)} checks, {sum(len(s.errors) for s in said)} errors, "
    yield f"{sum(len(s.warnings) for s in said)} warnings that are not allowed.\n"
    yield from _questions()
    yield from _allowed([*cells.values(), *whole.values()])
    yield from _versions()


def _cell(said: Findings | None) -> str:
    if said is None:
        return "·"
    return f"{len(said.errors) + len(said.warnings)}" + (f" + {len(said.allowed)}" if said.allowed else "")


def _questions() -> Iterator[str]:
    from tests.validators.checks import CHECKS

    yield "## What each is asked\n"
    for check in CHECKS:
        yield f"- **{check.name}**: {check.asks}"
    yield "- **PixelMed** (DicomSRValidator): keeps to the templates of PS3.16 that it declares; asked once for all"
    yield "  reports of the same shape (concepts, answers, units, relationships), and once about a 2D report, which has"
    yield "  the tree of the 3D report (compared by a test)"
    yield "- **Orthanc**: stored by C-STORE, committed to, found by QIDO-RS, returned equal by WADO-RS"
    yield "- **dcentvfy**: all objects and the CT agree on patient and study"
    yield f"- **OHIF** {' and '.join(VERSIONS)} (`tests/viewers`): the overlay lies on the true vertebrae,"
    yield "  pixel by pixel, the report's groups step through, every number that is not zero is on the screen\n"


def _allowed(found: list[Findings]) -> Iterator[str]:
    counts = Counter(pattern for said in found for pattern in said.allowed)
    yield "## Allowed, and why\n"
    yield from _row("program", "what it says", "times", "why it is allowed")
    yield from _row("---", "---", "---:", "---")
    for program, patterns in _ALLOWED.items():
        for pattern, reason in patterns.items():
            yield from _row(program, f"`{_readable(pattern)}`", str(counts[pattern]), reason)
    yield ""


def _readable(pattern: str) -> str:
    return re.sub(r"\\(.)", r"\1", pattern).replace("|", "or").replace(".*", " … ")


def _versions() -> Iterator[str]:
    yield _LIMITS
    yield "## With\n"
    for name in _PROGRAMS:
        command = ["dpkg-query", "--show", "--showformat=${Version}", name]
        found = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        yield f"- {name} {found or 'not installed as a package'}"
    for name in _PACKAGES:
        yield f"- {name} {version(name)}"


def _row(*texts: str) -> Iterator[str]:
    yield "| " + " | ".join(texts) + " |"


if __name__ == "__main__":
    sys.exit(main())
