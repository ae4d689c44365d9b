"""How one report names another."""

from __future__ import annotations

from operators.reading.quantity import Frozen


class DocumentReference(Frozen):
    """A report that was written before, as a later one names it.

    Attributes:
        sop_class_uid, sop_instance_uid, series_uid, study_uid: Of the report.
    """

    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    study_uid: str
