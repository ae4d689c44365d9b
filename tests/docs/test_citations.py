"""Citations, paths and links: what code and documents point at is there, and says what is claimed of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT

FOLDERS = ("deploy", "docs", "evidence", "models", "node", "operators", "tests")
NUMBERED = ("docs/science.md", "docs/dicom_notes.md")
"""Pages whose sections have numbers that code may cite."""

SIGN = "\N{SECTION SIGN}"
NUMBER = r"\d+(?:\.\d+)*"
LETTERS = r"(?: [a-h](?:, [a-h])*(?=[,;:.)\]]| \[| and|$))?"
SECTION = rf"{SIGN}{NUMBER}(?:–{NUMBER})?{LETTERS}"
TAG = r"(?: \[[A-Z]\+?\])?"
SECTIONS = rf"{SECTION}{TAG}(?:(?:,| and|, and) {SECTION}{TAG})*"
IN_CODE = re.compile(rf"(?P<page>docs/\w+\.md) (?P<sections>{SECTIONS})")
IN_DOCUMENT = re.compile(rf"(?:\]\((?P<page>[^)]+\.md)\) )?(?P<sections>{SECTIONS})")
ONE = re.compile(rf"{SIGN}(?P<first>{NUMBER})(?:–(?P<last>{NUMBER}))?(?P<letters>{LETTERS})(?: \[(?P<tag>[A-Z]\+?)\])?")
HEADING = re.compile(rf"^#+ (?P<number>{NUMBER}(?: [a-h](?= ))?) ", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
PATH = re.compile(rf"(?<![\w/.-])(?:{'|'.join(FOLDERS)})/[\w./-]*\w")


def python_files() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def documents() -> list[Path]:
    inner = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))
    return sorted([ROOT / "README.md", *inner])


def sections(text: str) -> dict[str, str]:
    """The text of each numbered section, its subsections included."""
    heads = list(HEADING.finditer(text))
    numbers = [head["number"] for head in heads]
    assert len(set(numbers)) == len(numbers), f"a number is given twice: {numbers}"
    ends = [*(head.start() for head in heads[1:]), len(text)]
    own = {head["number"]: text[head.start() : end] for head, end in zip(heads, ends, strict=True)}
    return {
        number: "".join(part for other, part in own.items() if re.match(rf"{re.escape(number)}(?![\d])", other))
        for number in own
    }


@cache
def pages() -> Mapping[str, Mapping[str, str]]:
    return {page: sections((ROOT / page).read_text()) for page in NUMBERED}


def flowing(code: str) -> str:
    """Python source with the lines of a comment or docstring joined, as a person reads them."""
    return re.sub(r"\s*\n\s*(?:#:? ?)?", " ", code)


def missing(page: str, cited: str, known: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """What is wrong with a list of sections that is cited from a page."""
    if page not in known:
        yield f"{page} has no numbered sections"
        return
    for one in ONE.finditer(cited):
        letters = re.findall("[a-h]", one["letters"])
        numbers = [f"{one['first']} {letter}" for letter in letters] or [one["first"], one["last"] or one["first"]]
        for number in dict.fromkeys(numbers):
            if number not in known[page]:
                yield f"{page} has no section {number}"
            elif one["tag"] and f"[{one['tag']}]" not in re.sub(r"\[([A-Z]\+?)[^\]]*\]", r"[\1]", known[page][number]):
                yield f"nothing in section {number} of {page} is tagged {one['tag']}"


def faults_of_code(code: str, known: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Signs that belong to no citation, and citations that lead nowhere."""
    text = flowing(code)
    found = list(IN_CODE.finditer(text))
    inside = {i for match in found for i in range(*match.span())}
    bare = [
        f"a section of no document: …{text[max(0, i - 40) : i + 20]}…"
        for i, sign in enumerate(text)
        if sign == SIGN and i not in inside
    ]
    return bare + [fault for match in found for fault in missing(match["page"], match["sections"], known)]


def faults_of_document(text: str, name: str, known: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The same for a page: a bare sign is its own section, or one of science.md where it links to that."""
    own = name if name in known else "docs/science.md"
    faults = []
    for match in IN_DOCUMENT.finditer(re.sub(r"\s+", " ", text)):
        if match["page"] is None and name not in known and "science.md)" not in text:
            faults.append(f"{match['sections']} without a link to docs/science.md")
        page = f"docs/{Path(match['page']).name}" if match["page"] else own
        faults += missing(page, match["sections"], known)
    return faults


def anchors(text: str) -> set[str]:
    """Names by which GitHub links to the headings of a page."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def dead_links(path: Path) -> list[str]:
    dead = []
    for match in LINK.finditer(path.read_text()):
        target, _, anchor = match["target"].partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (path.parent / target).resolve() if target else path
        if not file.exists():
            dead.append(f"{match['target']}: no such file")
        elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text()):
            dead.append(f"{match['target']}: no such heading")
    return dead


def dead_paths(text: str) -> list[str]:
    """Paths that begin with a folder of the repository and end at a Python file, a document or a folder that is not."""
    named = {match.group() for match in PATH.finditer(text)}
    return sorted(name for name in named if Path(name).suffix in {".py", ".md"} and not (ROOT / name).exists())


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_every_citation_in_code_names_a_document_and_a_section_that_it_has() -> None:
    faults = {relative(path): faults_of_code(path.read_text(), pages()) for path in python_files()}

    assert {name: found for name, found in faults.items() if found} == {}


def test_code_cites_at_all() -> None:
    cited = sum(len(IN_CODE.findall(flowing(path.read_text()))) for path in python_files())

    assert cited > 90


def test_every_citation_in_a_document_names_a_section_that_there_is() -> None:
    faults = {relative(path): faults_of_document(path.read_text(), relative(path), pages()) for path in documents()}

    assert {name: found for name, found in faults.items() if found} == {}


def test_every_path_in_code_and_documents_exists() -> None:
    dead = {relative(path): dead_paths(path.read_text()) for path in [*python_files(), *documents()]}

    assert {name: found for name, found in dead.items() if found and name != relative(Path(__file__))} == {}


def test_every_link_between_documents_leads_somewhere() -> None:
    dead = {relative(path): dead_links(path) for path in documents()}

    assert {name: found for name, found in dead.items() if found} == {}


def test_no_document_outside_of_the_repository_is_cited() -> None:
    outside = re.compile(
        r"(?<!docs/)\bscience\.md|science sheet|DICOM notes of|shared/\w+\.md|house\.md|field notes", re.I
    )
    cited = {relative(path): outside.findall(flowing(path.read_text())) for path in python_files()}
    cited.pop(relative(Path(__file__)))

    assert {name: found for name, found in cited.items() if found} == {}


KNOWN = {"docs/science.md": sections("## 2 Two\n### 2.1 One [V]\n### 2.7 Seven\n#### 2.7 a A [C]\n## 11 Eleven\n")}


def test_a_section_holds_its_own_subsections_and_no_others() -> None:
    assert "2.7 a" in KNOWN["docs/science.md"]
    assert "One" in KNOWN["docs/science.md"]["2"]
    assert "Eleven" not in KNOWN["docs/science.md"]["2"]


@pytest.mark.parametrize(
    "cited",
    ["docs/science.md {}2.1 [V].", "docs/science.md\n{}2.7 a [C], {}11", "docs/science.md {}2.1–2.7)", "{}2 and {}11"],
)
def test_sound_citations_pass(cited: str) -> None:
    cited = cited.format(*[SIGN] * cited.count("{}"))
    code = cited if cited.startswith("docs") else f"docs/science.md {cited}"

    assert faults_of_code(code, KNOWN) == []


@pytest.mark.parametrize(
    ("cited", "fault"),
    [
        ("docs/science.md {}2.9", "no section 2.9"),
        ("docs/science.md {}2.1, {}3", "no section 3"),
        ("docs/science.md {}2.1–2.8", "no section 2.8"),
        ("docs/science.md {}2.7 b)", "no section 2.7 b"),
        ("docs/science.md {}2.1 [C]", "tagged C"),
        ("docs/other.md {}2.1", "no numbered sections"),
        ("see {}2.1", "of no document"),
        ("docs/science.md {}2.1; {}11", "of no document"),
    ],
)
def test_each_kind_of_wrong_citation_is_found(cited: str, fault: str) -> None:
    (found,) = faults_of_code(cited.format(*[SIGN] * cited.count("{}")), KNOWN)

    assert fault in found


def test_wrong_links_and_paths_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A head\n[here](#a-head) [not](#b) [gone](gone.md) [web](https://example.org/x.md)\n")

    assert dead_links(page) == ["#b: no such heading", "gone.md: no such file"]
    assert dead_paths("docs/science.md, docs/gone.md and operators/gone.py") == ["docs/gone.md", "operators/gone.py"]
