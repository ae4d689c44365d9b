"""Where the benchmarks keep their rows and write their tables: nothing in the document is typed by hand.

Every benchmark appends one JSON line per case to a file, so that it can be stopped and continued, and
replaces its own section of ``docs/evidence_fractures.md``. A row belongs to the code that measured it: rows
of other measuring code are left out, and the case is measured again.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "evidence_fractures.md"
KEPT = ROOT / "artefacts" / "evidence"
"""Rows, rendered phantoms and pictures; git ignores the folder."""

SECTIONS = (
    "phantoms", "simulated", "simulated-fresh", "real-masks", "real-strata", "repeatability", "second-opinion",
)  # fmt: skip
TITLE = """# Evidence: heights, fractures and density

Every table here is written by the command named above it. Run the command again to check it. The commands on
phantoms and simulated fractures keep a row per case and go on where they were stopped; a table says how many of its
cases were measured. Rows of other measuring code are not mixed in.

Simulated fractures are not patients: the anatomy is real, the fractures are made by this project, and the images of
label maps are drawn. What rests on them (AUC, sensitivity, the learned second opinion) is a comparison of methods on
the same cases, not a promise for a clinic.
"""
MEASURING = ("operators.", "models.anatomy")
APART = (
    "case", "codes", "density_findings", "errors", "fracture_findings", "identity", "options", "provenance", "quantity",
    "reading", "steps",
)  # fmt: skip
"""Modules of operators that carry values and measure nothing."""

Row = dict[str, Any]


@dataclass(frozen=True)
class RowFile:
    """One JSON line per case.

    Attributes:
        path: The file; made when the first row is added.
        digest: Of the code that measures.
    """

    path: Path
    digest: str

    def rows(self) -> list[Row]:
        """Rows that this code has measured, in the order in which they were written."""
        return [row for row in self._all() if row["digest"] == self.digest]

    def newest(self) -> RowFile:
        """The same file, for the code that wrote its last row; for this code where it has none."""
        found = self._all()
        return replace(self, digest=found[-1]["digest"]) if found else self

    def _all(self) -> list[Row]:
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text().splitlines() if line.endswith("}")]

    def add(self, row: Row) -> None:
        """Append a row; a process that is killed later loses nothing."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps({"digest": self.digest, **row}) + "\n")


def measuring_digest(extra: Iterable[Path] = ()) -> str:
    """Digest of the measuring code that this process has imported.

    Args:
        extra: Further files on which the rows depend, such as a simulation.
    """
    modules = sorted(name for name in sys.modules if name.startswith(MEASURING))
    used = [name for name in modules if name.rpartition(".")[2] not in APART]
    files = [Path(str(sys.modules[name].__file__)) for name in used]
    total = hashlib.sha256()
    for path in (*files, *extra):
        total.update(path.read_bytes())
    return total.hexdigest()[:16]


def commit() -> str:
    """The commit that is checked out, and whether the measuring code differs from it."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run(
        [*git, "status", "--porcelain", "operators", "models", "tests/phantoms", "evidence"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"{head.stdout.strip() or 'unknown'}{' with local changes' if changed.stdout.strip() else ''}"


def measured_by(rows: RowFile, current: str) -> str:
    """A sentence on the code that measured, if it is not the one that is checked out."""
    if rows.digest == current:
        return f"Measuring code {current}."
    return f"Measured by code {rows.digest}; the code has changed since (now {current}): run the command again."


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; the first column is text, the others are figures."""
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def option(name: str, given: Sequence[object], usual: Sequence[object]) -> str:
    """An option as it stands in the command that makes a section; nothing where it is as usual."""
    return "" if list(given) == list(usual) else f" --{name} {' '.join(map(str, given))}"


def write_section(name: str, title: str, command: str, text: str, document: Path = DOCUMENT) -> None:
    """Replace one section of the document and leave the others as they are.

    Args:
        name: One of ``SECTIONS``; they stand in the document in that order.
        title: Heading.
        command: What makes the section.
        text: Markdown.
        document: The file; made if missing.
    """
    kept = {key: _section(document, key) for key in SECTIONS}
    kept[name] = f"## {title}\n\n`{command}` (commit {commit()})\n\n{text.strip()}\n"
    parts = [f"{_mark(key)}\n{kept[key]}{_mark('/' + key)}\n" for key in SECTIONS if kept[key]]
    document.parent.mkdir(parents=True, exist_ok=True)
    document.write_text(TITLE + "\n" + "\n".join(parts))


def replace_marked(name: str, text: str, document: Path) -> None:
    """Replace what stands between the marks of ``name`` in a document that is otherwise written by hand.

    Raises:
        ValueError: The document has no such marks.
    """
    before, opening, rest = document.read_text().partition(_mark(name) + "\n")
    _, closing, after = rest.partition(_mark("/" + name))
    if not opening or not closing:
        msg = f"{document} has no marks {_mark(name)} and {_mark('/' + name)}"
        raise ValueError(msg)
    document.write_text(before + opening + text.strip() + "\n" + closing + after)


def _mark(name: str) -> str:
    return f"<!-- {name} -->"


def _section(document: Path, name: str) -> str:
    if not document.exists():
        return ""
    _, _, rest = document.read_text().partition(_mark(name) + "\n")
    return rest.partition(_mark("/" + name))[0]
