from __future__ import annotations

from pathlib import Path

import pytest
from dbos import DBOS

from node.settings import Settings
from node.status import DeliveryStatus, Page, StudyStatus, as_json, study_statuses, table
from node.work import database
from node.work.ledger import SettledStudy
from node.work.lookup import open_client
from node.work.notes import Note, Notes
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


def test_who_asks_before_the_first_start_leaves_no_trace(tmp_path: Path) -> None:
    """Perhaps it is root, and the node's own user could not write there afterwards."""
    settings = Settings.model_validate({"storage": {"folder": tmp_path / "data"}})
    assert study_statuses(settings) == []
    assert study_statuses(settings, Page(limit=5)) == []
    assert list(tmp_path.iterdir()) == []


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


@pytest.fixture
def ledger_of_thirty(tmp_path: Path) -> Settings:
    """Thirty readings that wait, each with a delivery; the last three are of one study, one after the other."""
    settings = Settings.model_validate({"storage": {"folder": tmp_path}})
    database.launch(settings, "osteon")
    DBOS.destroy()
    client = open_client(settings)
    for number in range(30):
        study = f"1.2.{min(number, 27)}"
        given = SettledStudy(
            reading=f"r{number:02}",
            study=study,
            instances=1,
            at="2026-01-01T00:00:00+00:00",
            rule="quiet",
            replaces=f"r{number - 1}" if number > 27 else None,
        )
        common = {"class_name": "StudyWorkflows", "instance_name": "osteon", "app_version": "1"}
        reading = {"workflow_name": "StudyWorkflows.read", "queue_name": "reading", "workflow_id": f"r{number:02}"}
        client.enqueue({**common, **reading, "attributes": {"study": study}}, given)  # type: ignore[typeddict-item]
        delivery = {
            "workflow_name": "StudyWorkflows.deliver",
            "queue_name": "delivery-pacs",
            "workflow_id": f"r{number:02}-pacs",
            "attributes": {"study": study, "reading": f"r{number:02}", "destination": "pacs"},
        }
        client.enqueue({**common, **delivery}, f"r{number:02}", "pacs", [])  # type: ignore[typeddict-item]
        trouble = {"attempts": 3, "blamed": 0, "code": "peer-failed", "sentence": "the peer failed"}
        again = {**delivery, "workflow_id": f"r{number:02}-pacs~4"}
        client.enqueue({**common, **again}, f"r{number:02}", "pacs", [], trouble)  # type: ignore[typeddict-item]
    client.destroy()
    Notes(settings.storage.work).save("1.2.27", Note(mark=1, at="2026-01-01T00:00:00+00:00", reading="r29"))
    return settings


def test_a_page_of_the_status_has_the_newest_with_the_last_attempt_of_each_delivery(ledger_of_thirty: Settings) -> None:
    assert len(study_statuses(ledger_of_thirty)) == 30
    page = study_statuses(ledger_of_thirty, Page(limit=4))
    assert [status.reading for status in page] == ["r26", "r27", "r28", "r29"]
    (delivery,) = page[0].deliveries
    assert (delivery.state, delivery.attempt, delivery.reason) == ("waiting", 4, "peer-failed: the peer failed")
    page = study_statuses(ledger_of_thirty, Page(limit=4, offset=28))
    assert [status.reading for status in page] == ["r00", "r01"]


@pytest.mark.parametrize(("study", "readings"), [("1.2.27", ["r27", "r28", "r29"]), ("1.2.3", ["r03"]), ("1.2.99", [])])
def test_one_study_is_found_with_all_its_readings(ledger_of_thirty: Settings, study: str, readings: list[str]) -> None:
    assert [status.reading for status in study_statuses(ledger_of_thirty, Page(study=study))] == readings
