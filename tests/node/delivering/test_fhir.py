"""FHIR over real HTTP on loopback, to a server that checks what it gets with fhir.resources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.delivering.destinations import FhirDestination
from node.delivering.fhir import send_fhir, try_fhir
from operators.messages.fhir import write_fhir
from operators.reading.errors import RetriableError
from tests.operators import small_case
from tests.peers.fhir_server import FhirServer
from tests.peers.ports import free_port


@pytest.fixture
def server() -> Iterator[FhirServer]:
    with FhirServer() as found:
        yield found


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "fhir.json"
    path.write_bytes(write_fhir(small_case.case(small_case.fractured_reading()), {}))
    return path


def at(url: str, token: str | None = None) -> FhirDestination:
    return FhirDestination.model_validate({"type": "fhir", "url": url, "token": token, "timeout_seconds": 5})


def test_a_repeat_changes_nothing(server: FhirServer, bundle: Path) -> None:
    first = send_fhir(bundle, at(server.url))
    there = dict(server.resources)
    second = send_fhir(bundle, at(f"{server.url}/"))
    assert first == second
    assert first.refusal is None
    assert set(first.stored) == set(server.resources)
    assert server.resources == there
    counts = {name: len(server.of_type(name)) for name in ("DiagnosticReport", "ImagingStudy", "Device", "Patient")}
    assert counts == {"DiagnosticReport": 1, "ImagingStudy": 1, "Device": 1, "Patient": 0}
    assert server.requests[0][2]["Content-Type"] == "application/fhir+json; charset=utf-8"


def test_an_imaging_study_that_the_server_knows_stays_as_it_is(server: FhirServer, bundle: Path) -> None:
    known = {
        "resourceType": "ImagingStudy",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{small_case.STUDY}"}],
        "description": "as the archive has it",
    }
    server.resources["ImagingStudy/archive"] = known
    assert "ImagingStudy/archive" in send_fhir(bundle, at(server.url)).stored
    assert server.of_type("ImagingStudy") == [known]


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_server_that_cannot_now_is_tried_later(server: FhirServer, bundle: Path, status: int) -> None:
    server.statuses = [status]
    with pytest.raises(RetriableError) as caught:
        send_fhir(bundle, at(server.url))
    assert caught.value.code == "peer-failed"
    assert f"answered {status} (transient)" in caught.value.sentence
    assert "Müller" not in caught.value.sentence
    assert send_fhir(bundle, at(server.url)).refusal is None


@pytest.mark.parametrize("status", [400, 403, 404, 412, 422, 302])
def test_a_server_that_refuses_is_not_asked_again(server: FhirServer, bundle: Path, status: int) -> None:
    server.statuses = [status]
    refusal = send_fhir(bundle, at(server.url)).refusal
    assert refusal is not None
    assert f"answered {status} (transient)" in refusal
    assert "Müller" not in refusal
    assert len(server.requests) == 1


def test_what_is_not_valid_is_refused(server: FhirServer, bundle: Path) -> None:
    bundle.write_text(bundle.read_text().replace('"preliminary"', '"guess"').replace('"issued": "2', '"issued": "x'))
    refusal = send_fhir(bundle, at(server.url)).refusal
    assert refusal is not None
    assert "422 (invalid)" in refusal
    assert server.resources == {}


def test_a_token_is_sent_and_a_wrong_one_named_as_the_cause(bundle: Path) -> None:
    with FhirServer(token="secret") as server:
        refusal = send_fhir(bundle, at(server.url, "wrong")).refusal
        assert refusal is not None
        assert "see the destination's token" in refusal
        assert "wrong" not in refusal
        assert send_fhir(bundle, at(server.url, "secret")).refusal is None


def test_a_server_that_is_down_is_tried_later(bundle: Path) -> None:
    with pytest.raises(RetriableError) as caught:
        send_fhir(bundle, at(f"http://127.0.0.1:{free_port()}/fhir"))
    assert caught.value.code == "peer-unreachable"


def test_something_that_is_no_fhir_base_is_said_to_be_none(server: FhirServer, bundle: Path) -> None:
    refusal = send_fhir(bundle, at(f"http://127.0.0.1:{server.port}/other")).refusal
    assert refusal is not None
    assert "is the URL its FHIR base?" in refusal


def test_a_server_is_asked_what_it_is(server: FhirServer) -> None:
    assert try_fhir(at(server.url)) == (
        f"the FHIR server {server.url} is a FHIR server of version 4.0.1 that takes transactions"
    )
    with FhirServer(version="3.0.2") as old, pytest.raises(RetriableError, match="no FHIR R4 server"):
        try_fhir(at(old.url))
