"""An engine that knows the truth: it tests what comes after segmentation, apart from any network."""

from __future__ import annotations

from dataclasses import dataclass, replace

import highdicom as hd

from models.engine import SpineSegmentation
from tests.phantoms.truth import Phantom


@dataclass(frozen=True)
class TruthEngine:
    """Answers with the segmentation of a phantom, on the grid of the volume that it is asked about."""

    phantom: Phantom
    name: str = "truth"
    version: str = "1"
    digest: str = "0" * 64

    def segment(self, volume: hd.Volume) -> SpineSegmentation:
        """The phantom's own masks."""
        truth = self.phantom.segmentation()
        return replace(
            truth,
            labels=_on_grid_of(truth.labels, volume),
            regions=_on_grid_of(truth.regions, volume),
        )


def _on_grid_of(mask: hd.Volume, volume: hd.Volume) -> hd.Volume:
    placed = hd.Volume(mask.array, mask.affine, "PATIENT", frame_of_reference_uid=volume.frame_of_reference_uid)
    return placed.match_geometry(volume, tol=1e-3)
