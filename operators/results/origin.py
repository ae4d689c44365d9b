"""Whose study a result is made from, when, and by what: the same in every object and message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from pydicom import Dataset

from operators.reading.case import Case
from operators.reading.provenance import Provenance
from operators.results.identity import ResultIdentity

MANUFACTURER = "Osteon project"
MODEL = "Osteon"


@dataclass(frozen=True)
class Origin:
    """Whose study an object is made from, when, and by what.

    Attributes:
        header: Of an instance of the study: patient and study are taken from it.
        at: Time that the results carry.
        by: What reads the study.
        identity: UIDs of the results.
    """

    header: Dataset
    at: datetime
    by: Provenance
    identity: ResultIdentity

    @classmethod
    def of(cls, case: Case) -> Origin:
        """The origin of the results of a case."""
        return cls(case.slices[0], case.job.at, case.reading.provenance, ResultIdentity.of(case.reading))


def local_time(of: Case | Origin) -> datetime:
    """The time that the results carry, without zone, in the zone that the CT names or else as given."""
    origin = of if isinstance(of, Origin) else Origin.of(of)
    at = origin.at
    offset = str(origin.header.get("TimezoneOffsetFromUTC") or "")
    if at.tzinfo is not None and len(offset) == 5 and offset[1:].isdigit():
        minutes = int(offset[1:3]) * 60 + int(offset[3:])
        zone = timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))
        at = at.astimezone(zone)
    return at.replace(tzinfo=None)


def algorithm_parameters(by: Provenance) -> Mapping[str, str]:
    """What decides the result beside the version of the engine."""
    known = {"weights-sha256": by.engine_digest, "pipeline": f"{MODEL} {by.pipeline}"}
    return known if not by.second_opinion else {**known, "second-opinion-sha256": by.second_opinion}
