"""Seats at the database: which nodes may work on a folder, and under which names."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from node.settings import Settings
from node.work.database import launch, seat
from operators.reading.errors import PermanentError, RetriableError

POSTGRES = "postgresql://osteon:secret@127.0.0.1:1/osteon"  # nobody listens there


def settings(folder: Path, **database: str) -> Settings:
    return Settings.model_validate({"storage": {"folder": folder}, "database": database})


@pytest.mark.parametrize("database", [{}, {"executor": "mine"}])
def test_on_sqlite_there_is_one_seat_whatever_the_nodes_are_called(tmp_path: Path, database: dict[str, str]) -> None:
    with seat(settings(tmp_path, **database)) as name:
        assert name == database.get("executor", "osteon")  # the name of older releases: what they left is taken up
        for other in ({}, {"executor": "mine"}, {"executor": "other"}):
            with pytest.raises(PermanentError) as caught, seat(settings(tmp_path, **other)):
                pass
            assert caught.value.code == "already-running"
    with seat(settings(tmp_path)) as name:
        assert name == "osteon"


def test_on_postgresql_every_node_of_a_folder_has_a_name_of_its_own_and_a_dead_one_s_is_given_again(
    tmp_path: Path,
) -> None:
    with ExitStack() as stack:
        names = [stack.enter_context(seat(settings(tmp_path, url=POSTGRES))) for _ in range(3)]
        assert names == ["osteon", "osteon-2", "osteon-3"]
    with seat(settings(tmp_path, url=POSTGRES)), seat(settings(tmp_path, url=POSTGRES)) as name:
        assert name == "osteon-2"


def test_a_name_that_somebody_has_set_is_given_once(tmp_path: Path) -> None:
    named = settings(tmp_path, url=POSTGRES, executor="ward-7")
    with seat(named) as name:
        assert name == "ward-7"
        with pytest.raises(PermanentError) as caught, seat(named):
            pass
    assert caught.value.code == "already-running"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PermanentError) as caught, seat(settings(tmp_path / "file" / "data")):
        pass
    assert caught.value.code == "folder-not-writable"


def test_a_database_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(RetriableError) as caught:
        launch(settings(tmp_path, url=POSTGRES), "osteon")
    assert caught.value.code == "no-database"
    assert "127.0.0.1:1/osteon" in caught.value.sentence
    assert "secret" not in caught.value.sentence
