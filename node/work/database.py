"""The workflow database: reached, of this folder, and worked on under a name that no other node has.

Several nodes may share one PostgreSQL if they share the storage folder too: a study is frozen by one and read by
another. Each takes a *seat*, a locked file in ``seats/`` of the folder; its number is the node's name in the database.
A seat whose node was killed is free again, and whoever takes it takes up what that node left. With SQLite there is
one seat, so that a second node on the same folder is refused.
"""

from __future__ import annotations

import fcntl
import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import sqlalchemy
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from node import log
from node.durable import sync
from node.settings import Settings
from node.work import ledger
from operators.reading.errors import PermanentError, RetriableError

_log = log.logger("database")
_MOST_SEATS = 256
_DELIVERIES_AT_ONCE = 2
_CONNECT_SECONDS = 10
_POLL_SECONDS = 1.0
_FIRST_NAME = "osteon"
"""Name of the first node; nodes of 8a1deb4 and before all had it."""
_METADATA = sqlalchemy.MetaData()
_FOLDER = sqlalchemy.Table(
    "osteon_folder",
    _METADATA,
    sqlalchemy.Column("only", sqlalchemy.Integer, primary_key=True),
    sqlalchemy.Column("folder", sqlalchemy.String(64), nullable=False),
)


@contextmanager
def seat(settings: Settings) -> Iterator[str]:
    """Take a place at the database of this folder for as long as the context lasts; gives the node's name there.

    Raises:
        PermanentError: The folder cannot be written, or another node has the place.
    """
    folder = settings.storage.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = next((found for name in _seats(settings) if (found := _take(folder, name)) is not None), None)
    except OSError as error:
        sentence = f"the folder {folder} cannot be written ({os.strerror(error.errno or 0)}); set storage.folder"
        raise PermanentError("folder-not-writable", sentence) from error
    if taken is None:
        sentence = f"another osteon serve works on {folder}; end it or set storage.folder"
        raise PermanentError("already-running", sentence)
    with taken[1]:
        yield settings.database.executor or taken[0]


def _seats(settings: Settings) -> Iterator[str]:
    """Names of the seats that a node may take, the best first."""
    if not settings.database.is_shared:
        yield _FIRST_NAME
    elif settings.database.executor is not None:
        yield settings.database.executor
    else:
        yield _FIRST_NAME
        yield from (f"{_FIRST_NAME}-{number}" for number in range(2, _MOST_SEATS + 1))


def _take(folder: Path, name: str) -> tuple[str, TextIO] | None:
    """Lock the seat of a name; None where another node has it."""
    path = _seat(folder, name)
    path.parent.mkdir(exist_ok=True)
    lock = path.open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    except OSError:
        lock.close()
        raise
    return name, lock


def _seat(folder: Path, name: str) -> Path:
    # The first one's is the lock of older releases, so that none of them works beside this one.
    return folder / "osteon.lock" if name == _FIRST_NAME else folder / "seats" / name


def launch(settings: Settings, name: str) -> None:
    """Start DBOS on the settings' database; open workflows of this node are taken up again.

    Args:
        settings: The settings tree.
        name: Of this node.

    Raises:
        RetriableError: The database cannot be reached or written now.
        PermanentError: It is that of another folder, or its driver is not installed.
    """
    reach(settings)
    DBOS(
        config=DBOSConfig(
            name="osteon",
            system_database_url=settings.database_url,
            application_version=ledger.WORKFLOWS_VERSION,
            executor_id=name,
            serializer=DBOSPortableJSONSerializer(),
            log_level="WARNING",
        )
    )
    try:
        DBOS.launch()
        DBOS.register_queue(ledger.READING_QUEUE, worker_concurrency=1, polling_interval_sec=_POLL_SECONDS)
        for destination in settings.destinations:
            queue = ledger.delivery_queue(destination)
            DBOS.register_queue(queue, worker_concurrency=_DELIVERIES_AT_ONCE, polling_interval_sec=_POLL_SECONDS)
    except SQLAlchemyError as error:
        DBOS.destroy()
        raise _away(settings, error) from error


def reach(settings: Settings) -> None:
    """Connect to the database, and make sure that it is that of this folder.

    Raises:
        RetriableError: It cannot be reached or written now.
        PermanentError: It is that of another folder, or its driver is not installed.
    """
    try:
        url = sqlalchemy.make_url(settings.database_url)
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        waits = {"connect_timeout": _CONNECT_SECONDS} if settings.database.is_shared else {}
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, connect_args=waits)
    except (ArgumentError, ImportError) as error:
        sentence = f"database.url cannot be used ({type(error).__name__}); is it a URL, and its driver installed?"
        raise PermanentError("no-database-driver", sentence) from error
    try:
        with engine.begin() as connection:
            _METADATA.create_all(connection)
            known = connection.execute(sqlalchemy.select(_FOLDER.c.folder)).scalar()
            ours = _identity(settings.storage.folder)
            if known is None:
                connection.execute(_FOLDER.insert().values(only=1, folder=ours))
    except SQLAlchemyError as error:
        raise _away(settings, error) from error
    except OSError as error:
        sentence = f"{settings.storage.folder} cannot be written ({os.strerror(error.errno or 0)}); free some space"
        raise RetriableError("storage-fails", sentence) from error
    finally:
        engine.dispose()
    if settings.database.is_shared and known not in (None, ours):
        sentence = (
            f"the database {_shown(settings)} belongs to the node of another storage.folder; nodes that share a "
            f"database must share the folder too: mount it here and set storage.folder, or give this node a database "
            f"of its own. Where this folder has replaced the other one, empty the table {_FOLDER.name}"
        )
        raise PermanentError("folder-not-shared", sentence)


def take_up(settings: Settings, name: str, running: frozenset[str], seen: frozenset[str]) -> frozenset[str]:
    """Take up the workflows on which nobody works.

    Those are workflows of this node of which the database did not take what became of them, and workflows of nodes
    whose seats are free.

    Args:
        settings: The settings tree.
        name: Of this node.
        running: Workflows that a thread of this process works on.
        seen: What the last look returned.

    Returns:
        Workflows on which nobody works. Those that the last look returned too were taken up.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The database is away.
    """
    pending = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
    alive = {
        other
        for other in {workflow.executor_id or "" for workflow in pending} - {name}
        if settings.database.is_shared and not _is_free(settings.storage.folder, other)
    }
    left = {
        workflow.workflow_id: workflow.queue_name
        for workflow in pending
        if workflow.workflow_id not in running and workflow.executor_id not in alive
    }
    for workflow in seen & set(left):
        log.event(_log, "workflow-taken-up", logging.WARNING, workflow=workflow)
        DBOS.resume_workflow(workflow, queue_name=left.pop(workflow))
    return frozenset(left)


def _is_free(folder: Path, name: str) -> bool:
    """Whether no node has this name now."""
    try:
        taken = _take(folder, name)
    except OSError:  # nothing is known of it; it is asked again
        return False
    if taken is None:
        return False
    taken[1].close()
    return True


def _identity(folder: Path) -> str:
    """A number that this folder has and no other; the first node makes it."""
    path = folder / "folder-id"
    if not path.exists():
        aside = folder / f".folder-id-{uuid.uuid4().hex}"
        aside.write_text(uuid.uuid4().hex)
        sync(aside)
        try:
            path.hardlink_to(aside)  # of two nodes that start together the slower one must not replace it
        except FileExistsError:
            pass
        finally:
            aside.unlink()
        sync(folder)
    return path.read_text().strip()


def _shown(settings: Settings) -> str:
    return sqlalchemy.make_url(settings.database_url).render_as_string(hide_password=True)


def _away(settings: Settings, error: SQLAlchemyError) -> RetriableError:
    kind = type(error).__name__  # its message may quote the password
    sentence = f"the database {_shown(settings)} does not answer ({kind}); is it running, and is there room?"
    return RetriableError("no-database", sentence)
