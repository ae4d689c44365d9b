from __future__ import annotations

from pathlib import Path

import pytest

from node.settings import Settings
from node.status import DeliveryStatus, StudyStatus, as_json, study_statuses, table
from operators.reading.errors import RetriableError
from tests.node.slices import ROOT_UID, write_series

STUDY = f"{ROOT_UID}.1"


@pytest.mark.parametrize(
    ("state", "deliveries", "finished"),
    [
        ("receiving", (), False),
        ("waiting", (), False),
        ("reading", (), False),
        ("read", (), True),
        ("refused", (), True),
        ("failed", (), True),
        ("read", ("delivered", "sending"), False),
        ("read", ("delivered", "waiting"), False),
        ("read", ("delivered", "gave-up"), True),
    ],
)
def test_when_nothing_more_will_happen(state: str, deliveries: tuple[str, ...], finished: bool) -> None:
    items = tuple(DeliveryStatus(f"d{number}", item) for number, item in enumerate(deliveries))
    assert StudyStatus(STUDY, "r", state, deliveries=items).is_finished is finished


def test_a_study_that_still_arrives_is_shown_before_the_first_start(tmp_path: Path) -> None:
    settings = Settings.model_validate({"storage": {"folder": tmp_path}})
    write_series(tmp_path / "inbox" / "studies" / STUDY, 4)
    (status,) = study_statuses(settings)
    assert (status.study, status.state, status.instances, status.reading) == (STUDY, "receiving", 4, None)
    assert not (tmp_path / "osteon.sqlite").exists()
    assert as_json([status])[0]["state"] == "receiving"


def test_a_database_that_is_none_is_named_without_its_password(tmp_path: Path) -> None:
    (tmp_path / "osteon.sqlite").write_text("this is no database, but long enough to be looked at as one" * 20)
    with pytest.raises(RetriableError) as caught:
        study_statuses(Settings.model_validate({"storage": {"folder": tmp_path}}))
    assert caught.value.code == "no-database"


def test_the_table_says_why_a_study_waits() -> None:
    sending = DeliveryStatus("pacs", "sending", "peer-unreachable: the peer PACS cannot be reached", 4)
    shown = table([StudyStatus(STUDY, "r", "read", "2026-01-31T12:00:00+00:00", 300, "quiet", deliveries=(sending,))])
    assert shown.splitlines() == [
        STUDY,
        "    read, 300 instances, settled 2026-01-31T12:00:00+00:00 by quiet",
        "    to pacs: sending, attempt 4: peer-unreachable: the peer PACS cannot be reached",
    ]
