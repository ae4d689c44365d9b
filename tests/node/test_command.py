"""``osteon read`` and ``osteon check``, with the real graph in the real reader process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pynetdicom import AE, evt

from operators.reading.reading import SpineReading
from tests.node.blind import site_folder
from tests.node.nodes import ROOT
from tests.node.slices import PATIENT_ID, PATIENT_NAME, write_series
from tests.peers.fhir_server import FhirServer
from tests.peers.mllp_server import MllpServer
from tests.peers.ports import free_port

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def osteon(tmp_path: Path) -> Command:
    """Runs the command in a folder of its own."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OSTEON_")}
    environment["PYTHONPATH"] = f"{site_folder(tmp_path / 'site')}{os.pathsep}{ROOT}"
    environment["OSTEON_READING__ENGINE"] = "blind"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "node", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def test_a_study_without_a_spine_gives_a_report_a_reason_and_status_2(osteon: Command, tmp_path: Path) -> None:
    write_series(tmp_path / "study", 24)
    done = osteon("read", "study", "--out", "out", "--at", "2026-01-31T12:00:00+00:00")
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1] == (
        "osteon: no vertebra was found in the series that was read (all dark) [no-spine]"
    )
    assert "No vertebra was found" in done.stdout
    assert "Research use only" in done.stdout
    reading = SpineReading.model_validate_json((tmp_path / "out" / "reading.json").read_bytes())
    assert reading.source.slices == 24
    assert (tmp_path / "out" / "sr.dcm").is_file()
    for secret in (PATIENT_NAME, PATIENT_ID):
        assert secret not in done.stdout + done.stderr


def test_a_folder_that_is_not_there_is_named(osteon: Command) -> None:
    done = osteon("read", "nowhere", "--out", "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "osteon: nowhere does not exist; name the folder with the study's files [no-files]\n"


def test_check_tries_everything_and_says_what_fails(osteon: Command, tmp_path: Path) -> None:
    good = osteon("check")
    assert good.returncode == 0, good.stdout
    assert "ok      engine: blind 1, weights 000000000000" in good.stdout
    assert not list((tmp_path / "osteon-data").glob("*.sqlite"))

    (tmp_path / "osteon.toml").write_text(
        '[reading]\nengine = "blind"\n[database]\nurl = "postgresql://u:hunter2@127.0.0.1:9/x"\n'
        '[destinations.pacs]\nhost = "127.0.0.1"\nport = 9\nae_title = "PACS"\n'
    )
    bad = osteon("check")
    assert bad.returncode == 1
    assert "FAILED  destination pacs: the peer PACS at 127.0.0.1:9 cannot be reached" in bad.stdout
    assert "FAILED  database: postgresql+psycopg://u:***@127.0.0.1:9/x does not answer" in bad.stdout
    assert "hunter2" not in bad.stdout + bad.stderr


def test_check_says_what_each_destination_would_get(osteon: Command, tmp_path: Path) -> None:
    entity = AE(ae_title="OLD")
    for uid in ("1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.33"):
        entity.add_supported_context(uid)
    port = free_port()
    server = entity.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_ECHO, lambda event: 0x0000)]
    )
    try:
        with FhirServer() as ehr, MllpServer() as his:
            (tmp_path / "osteon.toml").write_text(
                '[reading]\nengine = "blind"\n'
                f'[destinations.old]\nhost = "127.0.0.1"\nport = {port}\nae_title = "OLD"\nprofile = "slicer"\n'
                f'[destinations.ehr]\ntype = "fhir"\nurl = "{ehr.url}"\n'
                f'[destinations.his]\ntype = "hl7"\nhost = "127.0.0.1"\nport = {his.port}\n'
            )
            done = osteon("check")
    finally:
        server.shutdown()
    assert done.returncode == 0, done.stdout
    assert (
        f"ok      destination old: OLD at 127.0.0.1:{port} answers C-ECHO and gets seg, seg-density, sr; "
        "sr-2d instead of sr (not accepted: abstract syntax)"
    ) in done.stdout
    assert "is a FHIR server of version 4.0.1 that takes transactions" in done.stdout
    assert f"the HL7 receiver at 127.0.0.1:{his.port} accepts connections" in done.stdout


def test_a_host_that_does_not_resolve_and_a_database_that_is_away_get_a_sentence_each(
    osteon: Command, tmp_path: Path
) -> None:
    (tmp_path / "osteon.toml").write_text(
        '[destinations.pacs]\nhost = "no-such-host.invalid"\nport = 104\nae_title = "PACS"\ntimeout_seconds = 5\n'
        f"[receiver]\nport = {free_port()}\n"
        f'[database]\nurl = "postgresql://osteon:secret@127.0.0.1:{free_port()}/osteon"\n'
    )
    echo = osteon("echo", "pacs")
    assert (echo.returncode, echo.stdout) == (75, "")
    assert echo.stderr.endswith("its name does not resolve (gaierror) [peer-unknown-host]\n")
    status = osteon("status")
    assert status.returncode == 75
    assert "[no-database]" in status.stderr
    check = osteon("check")
    assert check.returncode == 1
    assert "does not resolve" in check.stdout
    assert "does not answer (OperationalError)" in check.stdout
    for done in (echo, status, check):
        assert "Traceback" not in done.stdout + done.stderr
        assert "secret" not in done.stdout + done.stderr
