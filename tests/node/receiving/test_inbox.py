from __future__ import annotations

import threading
from pathlib import Path

import pytest

from node.receiving.dataset import Identity
from node.receiving.inbox import Inbox, Receipt, content_digest, is_uid
from tests.node.slices import ct_slice, write_series


def part10(folder: Path, number: int, **changes: str) -> bytes:
    slice_ = ct_slice(number)
    for name, value in changes.items():
        setattr(slice_, name, value)
    path = folder / "written"
    slice_.save_as(path, enforce_file_format=True)
    return path.read_bytes()


IDENTITY = Identity(study="1.2.3", series="1.2.3.1", sop_class="1.2", instance="1.2.3.9")


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "inbox")


def test_an_instance_lies_under_its_study_as_it_came(inbox: Inbox, tmp_path: Path) -> None:
    content = part10(tmp_path, 1)
    assert inbox.put(IDENTITY, (content[:132], content[132:])) is Receipt.STORED
    assert (tmp_path / "inbox/studies/1.2.3/1.2.3.9.dcm").read_bytes() == content
    assert list(inbox.studies()) == ["1.2.3"]


def test_a_repeated_instance_changes_nothing(inbox: Inbox, tmp_path: Path) -> None:
    inbox.put(IDENTITY, (part10(tmp_path, 1),))
    mark = inbox.mark("1.2.3")
    assert inbox.put(IDENTITY, (part10(tmp_path, 1),)) is Receipt.REPEATED
    assert inbox.mark("1.2.3") == mark
    assert len(inbox.arrivals("1.2.3").files) == 1


def test_another_content_under_the_same_uid_is_kept_beside(inbox: Inbox, tmp_path: Path) -> None:
    first = part10(tmp_path, 1)
    second = part10(tmp_path, 1, SeriesDescription="changed")
    inbox.put(IDENTITY, (first,))
    assert inbox.put(IDENTITY, (second,)) is Receipt.CONFLICT
    assert inbox.put(IDENTITY, (second,)) is Receipt.CONFLICT
    assert (tmp_path / "inbox/studies/1.2.3/1.2.3.9.dcm").read_bytes() == first
    (kept,) = (tmp_path / "inbox/conflicts/1.2.3").iterdir()
    assert kept.read_bytes() == second
    assert inbox.conflicts("1.2.3") == 1
    assert inbox.conflicts("9.9") == 0


def test_what_osteon_made_is_filed_apart_and_makes_no_study(inbox: Inbox, tmp_path: Path) -> None:
    own = Identity(study="1.2.3", series="1", sop_class="1.2", instance="1.2.3.9", is_own_result=True)
    content = part10(tmp_path, 1)
    assert inbox.put(own, (content,)) is Receipt.OWN_RESULT
    assert inbox.put(own, (content,)) is Receipt.OWN_RESULT
    assert list(inbox.studies()) == []
    assert (tmp_path / "inbox/own-results/1.2.3/1.2.3.9.dcm").read_bytes() == content


def test_nothing_is_left_aside_and_what_a_killed_receiver_left_goes(inbox: Inbox, tmp_path: Path) -> None:
    inbox.put(IDENTITY, (part10(tmp_path, 1),))
    arriving = tmp_path / "inbox/arriving"
    assert not [path for path in arriving.rglob("*") if path.is_file()]
    other = Inbox(tmp_path / "inbox", "osteon-2")
    for place in ("osteon", "osteon-2", "."):  # the last is where 8a1deb4 and before wrote
        (arriving / place / "half").write_bytes(b"DICM")
    assert inbox.forget_unacknowledged() == 2
    assert [path.parent.name for path in arriving.rglob("half")] == ["osteon-2"]  # that node may be writing it now
    assert other.forget_unacknowledged() == 1


def test_two_senders_of_the_same_instance_leave_one(inbox: Inbox, tmp_path: Path) -> None:
    content = part10(tmp_path, 1)
    receipts: list[Receipt] = []
    start = threading.Barrier(8)

    def send() -> None:
        start.wait()
        receipts.append(inbox.put(IDENTITY, (content,)))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(receipts) == [Receipt.REPEATED] * 7 + [Receipt.STORED]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.2.840.10008.1.1", True),
        ("1.02.3", True),  # against the standard, but it occurs, and it is harmless
        ("7", True),
        ("1." * 31 + "12", True),
        ("1." * 31 + "123", False),
        ("", False),
        ("..", False),
        ("1..2", False),
        ("1.2.", False),
        (".1", False),
        ("../1.2", False),
        ("/etc/passwd", False),
        ("1.2\n", False),
        ("1.2 ", False),
        ("1.2\0", False),
        ("١.٢", False),  # digits to str.isdigit, not to DICOM
    ],
)
def test_only_digits_and_dots_become_file_names(text: str, expected: bool) -> None:
    assert is_uid(text) is expected


def test_the_digest_follows_study_names_and_bytes_and_not_the_folder(tmp_path: Path) -> None:
    here = write_series(tmp_path / "here", 3)
    there = write_series(tmp_path / "there", 3)
    digest = content_digest("1.2", here)
    assert digest == content_digest("1.2", list(reversed(there)))
    assert digest != content_digest("1.3", here)
    assert digest != content_digest("1.2", here[:2])
    there[1].write_bytes(there[0].read_bytes())
    assert digest != content_digest("1.2", there)
