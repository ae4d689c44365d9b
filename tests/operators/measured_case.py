"""Cases for the measuring operators: a phantom, or arrays, dressed up as a case before measuring."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np

from models.engine import SpineSegmentation
from operators.reading.case import Case
from operators.reading.job import Job
from operators.reading.provenance import Provenance
from operators.reading.reading import SpineReading
from operators.reading.source import SourceSeries
from operators.reading.vertebra import Vertebra
from tests.phantoms.truth import Phantom


def case_of(volume: hd.Volume, segmentation: SpineSegmentation, **source: Any) -> Case:
    """A case before any measurement, of a 60-year-old at 120 kVp unless ``source`` says otherwise."""
    slices, rows, columns = volume.spatial_shape
    spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)
    known: dict[str, Any] = {
        "slice_thickness": float(spacing[0]),
        "kvp": 120.0,
        "kernel": "B30f",
        "age_years": 60.0,
    }
    series = SourceSeries(
        study_uid="1.2.3",
        series_uid="1.2.3.4",
        frame_of_reference_uid=None,
        content_digest="0" * 64,
        slices=slices,
        rows=rows,
        columns=columns,
        pixel_spacing=(float(spacing[1]), float(spacing[2])),
        slice_spacing=float(spacing[0]),
        **{**known, **source},
    )
    reading = SpineReading(
        series=(),
        source=series,
        provenance=Provenance(pipeline="0", engine="truth", engine_version="0", engine_digest="0" * 64),
        numbering=segmentation.numbering,
        anchors=segmentation.anchors,
        vertebrae=tuple(
            Vertebra(
                number=v.number,
                level=v.level,
                confidence=v.confidence,
                complete=v.complete,
                centroid=v.centroid,
                outline=v.outline,
            )
            for v in segmentation.vertebrae
        ),
    )
    job = Job(study=Path("study"), out=Path("out"), at=datetime(2026, 1, 1, tzinfo=UTC))
    return Case(
        job=job,
        slices=(),
        volume=volume.astype(np.float32),
        reading=reading,
        segmentation=segmentation,
    )


def phantom_case(phantom: Phantom, **source: Any) -> Case:
    """The case of a phantom with its true segmentation."""
    known = {"slice_thickness": phantom.slice_thickness, "kvp": phantom.kvp}
    return case_of(phantom.volume, phantom.segmentation(), **{**known, **source})
