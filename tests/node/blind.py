"""An engine that finds nothing, for tests of the real reader that should not depend on weights."""

from __future__ import annotations

from pathlib import Path

_ENGINE = """
import numpy as np
import models.engine as engine
from models.engines.registry import ENGINES

class Blind:
    name, version, digest = "blind", "1", "0" * 64

    def segment(self, volume):
        nothing = volume.with_array(np.zeros(volume.spatial_shape, np.uint8))
        return engine.SpineSegmentation(nothing, nothing, (), engine.Numbering.NONE, remarks=("all dark",))

ENGINES.register("blind", Blind)
"""


def site_folder(folder: Path) -> Path:
    """A folder which, on PYTHONPATH, makes the engine ``blind`` known to every Python that starts."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_ENGINE)
    return folder
