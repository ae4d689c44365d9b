from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.delivering.outbox import Outbox
from node.receiving.inbox import Inbox
from node.settings import Settings
from node.work.inputs import FrozenInputs
from node.work.settler import Settler
from tests.node.slices import ROOT_UID, ct_slice

STUDY = f"{ROOT_UID}.1"
START = 1_800_000_000.0


class Desk:
    """An inbox whose clock the test turns."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.time = START
        self.settings = Settings.model_validate(
            {
                "storage": {"folder": folder},
                "settling": {"quiet_seconds": 30, "gap_seconds": 120, "longest_wait_seconds": 600},
            }
        )
        self.sending = False
        self.start()

    def start(self) -> None:
        """A start of the node: nothing is remembered but what lies on disk."""
        inbox = Inbox(self.settings.storage.inbox)
        outbox = Outbox(self.settings.storage.work, self.settings.storage.outbox)
        inputs = FrozenInputs(self.settings.storage.inputs, self.settings.storage.work)
        self.settler = Settler(self.settings, inbox, inputs, outbox, lambda study: self.sending, self.now)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)

    def receive(self, number: int) -> None:
        folder = self.settings.storage.inbox / "studies" / STUDY
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{STUDY}.9.{number}.dcm"
        ct_slice(number).save_as(path, enforce_file_format=True)
        os.utime(path, (self.time, self.time))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_study_settles_once_with_its_time_and_rule(desk: Desk) -> None:
    for number in (1, 2, 3):
        desk.receive(number)
    desk.time += 29
    assert desk.settler.settle() == []
    desk.time += 1
    (settled,) = desk.settler.settle()
    assert settled.study["study"] == STUDY
    assert settled.study["instances"] == 3
    assert settled.study["rule"] == "quiet"
    assert settled.study["at"] == "2027-01-15T08:00:30+00:00"
    assert settled.study["replaces"] is None
    desk.settler.remember(settled)
    desk.time += 1000
    assert desk.settler.settle() == []


def test_what_was_not_handed_on_settles_again_as_the_same_reading(desk: Desk) -> None:
    desk.receive(1)
    desk.time += 60
    (first,) = desk.settler.settle()
    desk.start()  # killed before it was handed on
    desk.time += 60
    (second,) = desk.settler.settle()
    assert first.study["reading"] == second.study["reading"]


def test_later_slices_make_a_new_reading_of_all_slices_that_names_the_first(desk: Desk) -> None:
    desk.receive(1)
    desk.time += 60
    (first,) = desk.settler.settle()
    desk.settler.remember(first)
    desk.time += 5000
    desk.start()
    desk.receive(2)
    assert desk.settler.settle() == []  # quiet time counts from the new slice, not from the old ones
    desk.time += 30
    (second,) = desk.settler.settle()
    assert second.study["rule"] == "quiet"
    assert second.study["instances"] == 2
    assert second.study["replaces"] == first.study["reading"]
    frozen = sorted((desk.settings.storage.inputs / first.study["reading"]).iterdir())
    assert [path.name for path in frozen] == [f"{STUDY}.9.1.dcm"]


def test_after_a_start_a_cut_off_sender_gets_time_to_come_back(desk: Desk) -> None:
    desk.receive(1)
    desk.time += 100
    desk.start()
    assert desk.settler.settle() == []
    desk.time += 30
    assert len(desk.settler.settle()) == 1


def test_a_restart_does_not_read_the_inbox_again(desk: Desk) -> None:
    desk.receive(1)
    desk.time += 60
    (settled,) = desk.settler.settle()
    desk.settler.remember(settled)
    desk.start()
    for path in (desk.settings.storage.inbox / "studies" / STUDY).iterdir():
        path.chmod(0)  # reading it would fail, unless the tests run as root
        path.write_bytes(b"")  # and change the digest
    desk.time += 1000
    assert desk.settler.settle() == []


def test_missing_slices_hold_a_study_back_longer(desk: Desk) -> None:
    for number in (1, 2, 3, 6, 7):
        desk.receive(number)
    desk.time += 60
    assert desk.settler.settle() == []
    desk.time += 60
    (settled,) = desk.settler.settle()
    assert settled.study["rule"] == "quiet-with-gaps"
