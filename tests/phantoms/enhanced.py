"""A volume as one Enhanced CT object: all slices are frames of one file."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd

from tests.phantoms.ct_header import CTHeader


def write_enhanced_ct(volume: hd.Volume, folder: Path, header: CTHeader | None = None) -> list[Path]:
    """Write an Enhanced CT object."""
    raise NotImplementedError
