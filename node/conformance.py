"""``python -m node.conformance [--check] [FILE ...]``: put the code's own tables into the documents that hold them.

A table stands in the document between the lines ``<!-- table: NAME -->`` and ``<!-- end -->``; everything
else there is written by hand and stays as it is.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from node.conformance_tables import GLOSSARY, TABLES
from operators.reading.errors import PermanentError

DOCUMENT = Path(__file__).parent.parent / "docs" / "conformance_statement.md"
REASON_CODES = DOCUMENT.with_name("reason_codes.md")
_TABLE = re.compile(r"(<!-- table: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def render(document: str, tables: Mapping[str, Callable[[], str]] = TABLES) -> str:
    """The document with the tables as the code has them now.

    Args:
        document: Markdown with markers.
        tables: Those that the document must hold, each once.

    Raises:
        PermanentError: It asks for a table that there is not, or leaves one out.
    """
    asked = [match["name"] for match in _TABLE.finditer(document)]
    if sorted(asked) != sorted(tables):
        wrong = ", ".join(sorted(set(asked) ^ set(tables)) or ["one of them twice"])
        raise PermanentError("tables", f"the document must hold every table once; look at: {wrong}")
    return _TABLE.sub(lambda match: f"{match[1]}\n{tables[match['name']]().strip()}\n\n{match[3]}", document)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tables, or say whether they are up to date.

    Returns:
        0 when they are now as they should be, 1 when ``--check`` found that they are not.
    """
    parser = argparse.ArgumentParser(prog="node.conformance", description="Tables of documents, made from the code.")
    parser.add_argument("files", type=Path, nargs="*", default=[DOCUMENT, REASON_CODES], metavar="FILE")
    parser.add_argument("--check", action="store_true", help="change nothing; exit status 1 where one is out of date")
    options = parser.parse_args(arguments)
    return max(_update(path, is_check=options.check) for path in options.files)


def _update(path: Path, *, is_check: bool) -> int:
    found = path.read_text(encoding="utf-8")
    rendered = render(found, GLOSSARY if path.name == REASON_CODES.name else TABLES)
    if is_check:
        if found != rendered:
            print(f"{path} is out of date; write it with: python -m node.conformance", file=sys.stderr)
        return int(found != rendered)
    path.write_text(rendered, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
