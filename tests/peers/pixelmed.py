"""PixelMed's DicomSRValidator: does a report keep to the templates of PS3.16 that it declares?

One Java process validates many files: loading the compiled templates takes longer than most reports.
``python -m tests.peers.pixelmed FILE …`` prints what it says of each file as JSON.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest
from pydicom import Dataset, dcmread

from tests.peers.validators import Findings, sift

JAR = Path("/usr/share/java/pixelmed.jar")
"""Where Debian's libpixelmed-java puts it."""

ALLOWED_BY_PIXELMED: Mapping[str, str] = {
    r"Template 1419 .*\[Row 1[34]\] NUM \*: .*\(371884006,SCT,.*expected INFERRED FROM - found HAS PROPERTIES": (
        "it takes every number below a number for the source of a derivation (TID 1419 rows 13 and 14); "
        "the half-width of the interval is a property of TID 310"
    ),
    r"Warning: .*Content Item not in template": "TID 1500 is extensible: what it does not name may stand beside it",
    r"Warning: .*\(121232,DCM,.*[Ss]ource series for segmentation": "it knows the concept by an older meaning",
}
"""What it says of a report that keeps to its templates, by pattern, with the reason."""

_GROUP_TEMPLATES = ("1410", "1411", "1501")
_OPTIONS = ("xpathTotalOpLimit", "xpathExprGrpLimit", "xpathExprOpLimit")
"""Limits of Java 17 that its stylesheets break."""


def start_pixelmed(paths: Sequence[Path]) -> subprocess.Popen[str]:
    """Begin to validate reports beside whatever the caller does next; skips the test where a part is missing."""
    if which("java") is None or not JAR.exists():
        pytest.skip("PixelMed is not installed (apt install default-jre-headless pixelmed-apps)")
    if find_spec("jpype") is None:
        pytest.skip("JPype is not installed (pip install jpype1)")
    command = [sys.executable, "-m", "tests.peers.pixelmed", *map(str, paths)]
    root = Path(__file__).parent.parent.parent
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def pixelmed_findings(process: subprocess.Popen[str], seconds: float = 900) -> dict[Path, Findings]:
    """Wait for what :func:`start_pixelmed` began, and sift it."""
    output, errors = process.communicate(timeout=seconds)
    assert process.returncode == 0, errors
    return {Path(path): _findings(dcmread(path), text.splitlines()) for path, text in json.loads(output).items()}


def _findings(report: Dataset, lines: Sequence[str]) -> Findings:
    assert any("validation complete" in line.lower() for line in lines), f"it validated nothing: {lines}"
    declared = dict(_declared_templates(report))
    told = [line for line in lines if line.startswith(("Error", "Warning")) and _concerns(line, declared)]
    return sift(told, ALLOWED_BY_PIXELMED)


def _declared_templates(report: Dataset) -> Iterable[tuple[str, str]]:
    """Template of each measurement group by its place, counted as the validator does."""
    for place, container in enumerate(report.ContentSequence, start=1):
        for number, group in enumerate(container.get("ContentSequence", ()), start=1):
            for template in group.get("ContentTemplateSequence", ()):
                yield f"1.{place}.{number}", str(template.TemplateIdentifier)


def _concerns(line: str, declared: Mapping[str, str]) -> bool:
    """It tries the templates of all groups on every group, as all have the same name; only one was declared."""
    template = re.match(r"\w+: Template (\d+)", line)
    if template is None or template[1] not in _GROUP_TEMPLATES:
        return True
    place = re.search(r"(?:within |: )(1\.\d+\.\d+)", line)
    return place is None or declared.get(place[1], template[1]) == template[1]


def _main(paths: Sequence[str]) -> None:
    import jpype

    limits = [f"-Djdk.xml.{name}=0" for name in _OPTIONS]
    jpype.startJVM(*limits, "-XX:+UseSerialGC", classpath=[str(JAR)], convertStrings=True)
    validator = jpype.JClass("com.pixelmed.validate.DicomSRValidator")()
    json.dump({path: validator.validate(path) for path in paths}, sys.stdout)


if __name__ == "__main__":
    _main(sys.argv[1:])
