from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT

EXTRAS = ("nibabel", "skimage", "SimpleITK", "pytest", "hypothesis", "dcmqi", "monai.data", "matplotlib")
"""What a hospital's plain install does not have."""


@pytest.mark.parametrize("module", ["operators.application", "models.vertebrae.engine", "node.cli", "node.service"])
def test_it_imports_with_the_runtime_dependencies_alone(module: str) -> None:
    code = f"""
import sys
for name in {EXTRAS!r}:
    sys.modules[name] = None  # importing it raises ImportError
import operators.runtime
operators.runtime.prepare()
import {module}
"""

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
