"""Facts and encodings of every reading, each read once per session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.agreement.agreement import Told
    from tests.validators.readings import Made


@pytest.fixture(scope="session")
def told(readings: Mapping[str, Made]) -> Mapping[str, Told]:
    """What every reading knows, and what each encoding says of it, by the reading's name."""
    from tests.agreement.told import told_of  # the SDK takes seconds to import, and most tests do without it

    return told_of(readings)
