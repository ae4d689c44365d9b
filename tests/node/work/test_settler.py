from __future__ import annotations

import json
import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.delivering.outbox import Outbox
from node.receiving.inbox import Inbox
from node.settings import Settings
from node.work.inputs import FrozenInputs
from node.work.notes import Note, Notes
from node.work.settler import Settled, Settler
from tests.node.slices import ROOT_UID, ct_slice

STUDY = f"{ROOT_UID}.1"
START = 1_800_000_000.0


class Desk:
    """An inbox whose clock the test turns.

    ``time`` is the time that passes; ``put_forward`` is by how much somebody has put the clock on the wall forward.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.time = START
        self.settings = Settings.model_validate(
            {
                "storage": {"folder": folder},
                "settling": {"quiet_seconds": 30, "gap_seconds": 120, "longest_wait_seconds": 600},
            }
        )
        self.sending: str | None = None
        self.put_forward = 0.0
        self.start()

    def start(self) -> None:
        """A start of the node: nothing is remembered but what lies on disk."""
        inbox = Inbox(self.settings.storage.inbox)
        outbox = Outbox(self.settings.storage.work, self.settings.storage.outbox)
        inputs = FrozenInputs(self.settings.storage.inputs, self.settings.storage.work)
        self.settler = Settler(
            self.settings, inbox, inputs, outbox, self.is_sending, self.now, elapsed=lambda: self.time - START
        )

    def is_sending(self, study: str) -> bool:
        return study == self.sending

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time + self.put_forward, UTC)

    def receive(self, number: int, study: str = STUDY) -> Path:
        folder = self.settings.storage.inbox / "studies" / study
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{study}.9.{number}.dcm"
        ct_slice(number, study).save_as(path, enforce_file_format=True)
        os.utime(path, (self.now().timestamp(), self.now().timestamp()))
        self.settler.notice(study)
        return path

    def looked_at(self, seconds: float) -> list[Settled]:
        """What settles while so much time passes, with a look every second; all of it is handed on."""
        found = []
        for _ in range(int(seconds)):
            self.time += 1
            for settled in self.settler.settle():
                self.settler.remember(settled)
                found.append(settled)
        return found


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
    assert desk.settler.settle() == []
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
    assert desk.settler.settle() == []
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


@pytest.mark.parametrize("seconds", [-600, -86400 * 400, 600, 86400 * 400])
def test_a_clock_that_is_set_changes_no_waiting_time(desk: Desk, seconds: float) -> None:
    desk.receive(1)
    assert desk.looked_at(10) == []
    desk.put_forward = seconds
    assert desk.looked_at(19) == []
    desk.receive(2)
    assert desk.looked_at(29) == []
    (settled,) = desk.looked_at(1)
    assert (settled.study["instances"], settled.study["rule"]) == (2, "quiet")


@pytest.mark.parametrize("seconds", [-600, 600])
def test_slices_that_come_after_the_clock_was_set_are_read(desk: Desk, seconds: float) -> None:
    desk.receive(1)
    (first,) = desk.looked_at(30)
    desk.put_forward = seconds
    desk.receive(2)
    (second,) = desk.looked_at(30)
    assert (second.study["instances"], second.study["replaces"]) == (2, first.study["reading"])


def test_a_study_is_not_held_up_by_another_one(desk: Desk) -> None:
    other = f"{ROOT_UID}.2"
    desk.receive(1)
    desk.sending = other
    found = []
    for number in range(1, 40):
        desk.receive(number, other)
        found += desk.looked_at(1)
    assert [settled.study["study"] for settled in found] == [STUDY]


def test_a_broken_instance_is_set_aside_and_the_others_are_read(desk: Desk) -> None:
    desk.receive(1)
    broken = desk.receive(2)
    whole = broken.read_bytes()
    broken.write_bytes(whole[: whole.index(b"\x20\x00\x32\x00") + 3])
    (settled,) = desk.looked_at(30)
    assert settled.study["instances"] == 1
    (aside,) = (desk.settings.storage.inbox / "quarantine" / STUDY).iterdir()
    assert aside.name == broken.name
    assert desk.looked_at(200) == []


def test_a_study_of_broken_instances_only_is_set_aside_whole(desk: Desk) -> None:
    desk.receive(1).write_bytes(b"")
    assert desk.looked_at(200) == []
    assert len(list((desk.settings.storage.inbox / "quarantine" / STUDY).iterdir())) == 1


def test_whatever_is_wrong_with_one_study_the_others_are_read(desk: Desk) -> None:
    poison, healthy = f"{ROOT_UID}.1", f"{ROOT_UID}.2"

    def is_sending(study: str) -> bool:
        if study == poison:
            msg = "a defect that nobody has foreseen"
            raise ZeroDivisionError(msg)
        return False

    desk.is_sending = is_sending  # type: ignore[method-assign]  # stands for any defect in the look at one study
    desk.start()
    desk.receive(1, poison)
    desk.receive(1, healthy)
    assert [settled.study["study"] for settled in desk.looked_at(40)] == [healthy]
    trouble = Notes(desk.settings.storage.work).trouble(poison)
    assert trouble is not None
    assert trouble.startswith("ZeroDivisionError at test_settler.py:")


@pytest.mark.parametrize("note", ["", "[]", '{"mark": 1}', '{"mark": 1, "at": "noon", "reading": "r"}'])
def test_a_broken_note_costs_no_study(desk: Desk, note: str) -> None:
    path = desk.settings.storage.work / "settled" / f"{STUDY}.json"
    path.write_text(note)
    os.utime(path, (0, 0))
    desk.receive(1)
    desk.start()
    desk.receive(1, f"{ROOT_UID}.2")
    found = {settled.study["study"] for settled in desk.looked_at(40)}
    assert f"{ROOT_UID}.2" in found
    if "noon" not in note:  # that one is set aside with its reason
        assert STUDY in found


def test_repeats_of_what_was_handed_on_settle_nothing(desk: Desk) -> None:
    desk.receive(1)
    assert len(desk.looked_at(30)) == 1
    desk.settler.notice(STUDY)
    assert desk.looked_at(100) == []


def test_a_study_that_somebody_has_deleted_holds_nothing_up(desk: Desk) -> None:
    shutil.rmtree(desk.receive(1).parent)
    desk.receive(1, f"{ROOT_UID}.2")
    assert len(desk.looked_at(30)) == 1


def test_a_look_costs_what_is_unread_and_not_what_is_stored(desk: Desk) -> None:
    """20,000 studies at rest: the looks of a minute cost less than 2 % of a core."""
    studies = desk.settings.storage.inbox / "studies"
    notes = Notes(desk.settings.storage.work)
    for number in range(20_000):
        folder = studies / f"1.2.3.{number}"
        folder.mkdir(parents=True)
        mark = folder.stat().st_mtime_ns
        path = desk.settings.storage.work / "settled" / f"{folder.name}.json"
        path.write_text(json.dumps({"mark": mark, "at": "2026-01-01T00:00:00+00:00", "reading": "r"}))
        notes.date(folder.name, Note(mark=mark, at="", reading=""))
    assert desk.settler.settle() == []
    began = time.process_time()
    for _ in range(120):
        desk.time += 0.5
        desk.settler.settle()
    assert time.process_time() - began < 0.02 * 60
