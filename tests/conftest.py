"""What all tests share: where real data lie, and that on CI nothing is skipped."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from operators import runtime

if TYPE_CHECKING:
    from tests.validators.readings import Made

ROOT = Path(__file__).parent.parent

# Before anything imports the SDK: it warns of a small stack, and warnings are errors here.
runtime.prepare()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run that skipped a test where CI said that everything needed is there."""
    if not os.environ.get("NOTHING_SKIPPED"):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = len(reporter.stats.get("skipped", [])) if reporter else 0
    if skipped and exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"{skipped} test(s) were skipped although NOTHING_SKIPPED is set", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real CTs that never enter the repository; the test is skipped where it is missing."""
    folder = Path(os.environ.get("OSTEON_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the shared data folder is missing: set OSTEON_DATA to it")
    return folder


@pytest.fixture(scope="session")
def readings(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Made]:
    """The readings that validators, archives and viewers look at, each made once, when first asked for."""
    from tests.validators.readings import Readings  # the SDK takes seconds to import, and most tests do without it

    return Readings(tmp_path_factory.mktemp("readings"))
