from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from operators.study.provenance import pipeline_version
from tests.conftest import ROOT


def test_the_version_goes_on_with_a_digest_that_fits_into_a_dicom_attribute() -> None:
    found = pipeline_version()

    assert re.fullmatch(re.escape(version("osteon")) + r"\+[0-9a-f]{12}", found)
    assert len(found) <= 64


def test_a_changed_line_of_the_code_that_reads_is_another_pipeline(tmp_path: Path) -> None:
    for package in ("models", "operators"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("*.pt", "__pycache__"))
    code = "from operators.study.provenance import pipeline_version; print(pipeline_version())"

    def told() -> str:
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    before = told()
    with (tmp_path / "operators" / "fracture_grading.py").open("a") as file:
        file.write("# changed\n")

    assert before == pipeline_version()
    assert told() != before
