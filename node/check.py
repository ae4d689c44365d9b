"""``osteon check``: whether the node could work here, tried out rather than assumed."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy

from node.delivering import dicom as delivery
from node.delivering.destinations import Destination, FhirDestination, Hl7Destination, Repeating
from node.delivering.fhir import try_fhir
from node.delivering.hl7 import try_hl7
from node.settings import Settings
from node.work.reader import Reader, reader_command
from operators.reading.errors import OsteonError

_GIB = 1 << 30
_ANY = ("0.0.0.0", "::", "")
_LOOPBACK = ("127.", "localhost", "::1")


@dataclass(frozen=True)
class Finding:
    """One thing that was tried.

    Attributes:
        subject: What.
        is_ok: Whether it works.
        sentence: How it is, and what to do where it does not work.
    """

    subject: str
    is_ok: bool
    sentence: str


def findings(settings: Settings) -> Iterator[Finding]:
    """Try everything that ``osteon serve`` needs, one after the other."""
    yield Finding("settings", True, "understood")
    yield _receiver(settings)
    yield _folder(settings)
    yield _database(settings)
    yield _engine(settings)
    if not settings.destinations:
        yield Finding("destinations", True, "none: results stay in the outbox")
    for name, peer in sorted(settings.destinations.items()):
        yield _destination(name, peer, settings.receiver.ae_title)


def _receiver(settings: Settings) -> Finding:
    receiver = settings.receiver
    where = f"{receiver.ae_title} at {receiver.host}:{receiver.port}"
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((receiver.host, receiver.port))
    except OSError as error:
        return _already_there(settings, where, error)
    if receiver.host.startswith(_LOOPBACK):
        return Finding("receiver", True, f"{where}, this machine only; set receiver.host to be reached")
    return Finding("receiver", True, where)


def _already_there(settings: Settings, where: str, error: OSError) -> Finding:
    """The address is taken: by our own node, which is fine, or by something else."""
    receiver = settings.receiver
    host = "127.0.0.1" if receiver.host in _ANY else receiver.host
    calling = receiver.calling_ae_titles[0] if receiver.calling_ae_titles else receiver.ae_title
    ourselves = Destination(host=host, port=receiver.port, ae_title=receiver.ae_title, timeout_seconds=5)
    try:
        delivery.echo(ourselves, calling)
    except OsteonError:
        sentence = f"{where} cannot be bound ({error.strerror}); end the other program there or set receiver.port"
        return Finding("receiver", False, sentence)
    return Finding("receiver", True, f"{where}, osteon serve is running there")


def _folder(settings: Settings) -> Finding:
    folder = settings.storage.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".check"
        probe.write_bytes(b"osteon")
        probe.unlink()
        free = shutil.disk_usage(folder).free / _GIB
    except OSError as error:
        return Finding("folder", False, f"{folder} cannot be written ({error.strerror}); set storage.folder")
    if free < settings.storage.min_free_gib:
        sentence = f"{folder} has {free:.1f} GiB free, less than storage.min_free_gib; free some space"
        return Finding("folder", False, sentence)
    return Finding("folder", True, f"{folder}, {free:.1f} GiB free")


def _database(settings: Settings) -> Finding:
    try:
        url = sqlalchemy.make_url(settings.database_url)
    except sqlalchemy.exc.ArgumentError:
        return Finding("database", False, "database.url is no URL, such as postgresql://user@host/osteon")
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    shown = url.render_as_string(hide_password=True)
    if url.drivername == "sqlite" and not Path(url.database or "").exists():
        return Finding("database", True, f"{shown}, made at the first start")
    try:
        engine = sqlalchemy.create_engine(url)
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))
        engine.dispose()
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        return Finding("database", False, f"{shown} does not answer ({type(error).__name__}); set database.url")
    return Finding("database", True, shown)


def _engine(settings: Settings) -> Finding:
    name = settings.reading.engine
    reader = Reader(reader_command(settings.reading.memory_gib), settings.reading.timeout_seconds)

    def probe() -> str:
        found = reader.probe(name, settings.reading_options)
        return f"{found.name} {found.version}, weights {found.digest[:12]}"

    try:
        return _try("engine", probe)
    finally:
        reader.close()


def _destination(name: str, peer: Repeating, calling: str) -> Finding:
    def probe() -> str:
        if isinstance(peer, FhirDestination):
            return try_fhir(peer)
        if isinstance(peer, Hl7Destination):
            return try_hl7(peer)
        if not isinstance(peer, Destination):
            return f"a destination of the type {type(peer).__name__} is not tried"
        delivery.echo(peer, calling)
        replaced = delivery.try_out(peer, calling)
        gets = f"gets {', '.join(peer.kinds)}" + "".join(f"; {sentence}" for sentence in replaced)
        return f"{peer.ae_title} at {peer.host}:{peer.port} answers C-ECHO and {gets}"

    return _try(f"destination {name}", probe)


def _try(subject: str, probe: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, True, probe())
    except OsteonError as error:
        return Finding(subject, False, error.sentence)
