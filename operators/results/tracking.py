"""Tracking UIDs: the same thing at the same place keeps its own over all readings of a study."""

from __future__ import annotations

from operators.reading.case import Case
from operators.reading.vertebra import Vertebra
from operators.results.identity import ResultIdentity


def vertebra_tracking_uid(identity: ResultIdentity, vertebra: Vertebra, case: Case, concept: str) -> str:
    """Tracking UID of one thing at one vertebra; a level found twice gets two of them."""
    twins = [v.number for v in case.reading.vertebrae if v.level is vertebra.level]
    turn = twins.index(vertebra.number)
    return identity.tracking_uid(vertebra.level, f"{concept} {turn + 1}" if turn else concept)


def tracking_uid(case: Case, vertebra: Vertebra | None, concept: str) -> str:
    """Tracking UID of one topic at a vertebra, or of the spine as a whole."""
    identity = ResultIdentity.of(case.reading)
    if vertebra is None:
        return identity.tracking_uid("spine", concept)
    return vertebra_tracking_uid(identity, vertebra, case, concept)
