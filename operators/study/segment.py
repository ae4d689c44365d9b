"""Fourth step: the vertebrae, found and named by an engine."""

from __future__ import annotations

from dataclasses import replace

from models.engine import EngineAnswerError, VertebraEngine
from operators.reading.case import Case
from operators.reading.errors import PermanentError
from operators.reading.vertebra import Vertebra


def segment_vertebrae(case: Case, engine: VertebraEngine) -> Case:
    """Find and name the vertebrae of a case.

    Args:
        case: With the volume.
        engine: What finds them.

    Returns:
        The case with the segmentation, and a reading that lists the vertebrae. A study without a spine
        gives a reading without vertebrae, whose remarks say so.

    Raises:
        PermanentError: The engine is one of the site, and its network is not as the settings say.
    """
    try:
        found = engine.segment(case.volume)
    except EngineAnswerError as error:
        raise PermanentError("engine-answer", str(error)) from error
    vertebrae = tuple(
        Vertebra(
            number=instance.number,
            level=instance.level,
            alternative=instance.alternative,
            confidence=instance.confidence,
            outline=instance.outline,
            complete=instance.complete,
            centroid=instance.centroid,
        )
        for instance in found.vertebrae
    )
    reading = case.reading.model_copy(
        update={
            "vertebrae": vertebrae,
            "numbering": found.numbering,
            "anchors": found.anchors,
            "margin": found.margin,
            "remarks": (*case.reading.remarks, *found.remarks),
        }
    )
    return replace(case, segmentation=found, reading=reading)
