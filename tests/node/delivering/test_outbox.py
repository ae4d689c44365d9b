from __future__ import annotations

from pathlib import Path

import pytest

from node.delivering.outbox import Outbox
from operators.dicom.report import REPORT_2D, write_report
from operators.dicom.segmentation import write_segmentation
from tests.operators import small_case as small


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "work", tmp_path / "outbox")


def test_a_repeated_reading_leaves_the_first_results(outbox: Outbox) -> None:
    for content in (b"first", b"second, after a kill between the results and their note"):
        with outbox.attempt("r") as attempt:
            (attempt / "seg.dcm").write_bytes(content)
            folder = outbox.publish("r", attempt)
    assert folder == outbox.folder("r")
    assert (folder / "seg.dcm").read_bytes() == b"first"


def test_an_attempt_that_fails_leaves_nothing(outbox: Outbox) -> None:
    attempts: list[Path] = []

    def fail() -> None:
        with outbox.attempt("r") as attempt:
            attempts.append(attempt)
            (attempt / "half").write_bytes(b"x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not outbox.folder("r").exists()
    assert not attempts[0].exists()


def test_tidying_keeps_the_results(outbox: Outbox, tmp_path: Path) -> None:
    with outbox.attempt("r") as attempt:
        (attempt / "seg.dcm").write_bytes(b"x")
        outbox.publish("r", attempt)
    outbox.tidy("r")
    assert not (tmp_path / "work" / "r").exists()
    assert (outbox.folder("r") / "seg.dcm").exists()


def test_the_reports_of_a_reading_can_be_named_by_a_later_one(outbox: Outbox, tmp_path: Path) -> None:
    case = small.case()
    with outbox.attempt("r") as attempt:
        made = {"seg": write_segmentation(case), "sr": write_report(case), "sr-2d": write_report(case, form=REPORT_2D)}
        for name, dataset in made.items():
            small.save(dataset, attempt / f"{name}.dcm")
        outbox.publish("r", attempt)
    assert [report.model_dump() for report in outbox.reports("r")] == [
        {
            "sop_class_uid": sop_class,
            "sop_instance_uid": str(made[name].SOPInstanceUID),  # type: ignore[union-attr]  # there is one
            "series_uid": str(made[name].SeriesInstanceUID),  # type: ignore[union-attr]  # there is one
            "study_uid": small.STUDY,
        }
        for name, sop_class in (("sr-2d", "1.2.840.10008.5.1.4.1.1.88.33"), ("sr", "1.2.840.10008.5.1.4.1.1.88.34"))
    ]
    assert outbox.reports("another") == ()
    assert outbox.reports(None) == ()
