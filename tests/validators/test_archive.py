"""Every object of every reading in a real archive: stored, committed, found, and returned as it was sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.peers.commitment import Committer
from tests.peers.orthanc import Orthanc
from tests.validators.archive_check import archive_findings
from tests.validators.readings import RECIPES, Made, Readings

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def committer() -> Iterator[Committer]:
    with Committer() as committer:
        yield committer


@pytest.fixture(scope="module")
def archive(committer: Committer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    if not Orthanc.has_dicomweb():
        pytest.skip("Orthanc with DICOMweb is not installed (apt install orthanc orthanc-dicomweb)")
    orthanc = Orthanc(tmp_path_factory.mktemp("orthanc"), dicomweb=True)
    orthanc.know("committer", committer.ae_title, committer.port)
    orthanc.start()
    yield orthanc
    orthanc.stop()


@pytest.fixture(params=RECIPES)
def made(request: pytest.FixtureRequest, readings: Readings) -> Made:
    return readings[request.param]


def test_it_keeps_and_returns_every_object(made: Made, archive: Orthanc, committer: Committer) -> None:
    found = archive_findings(made, archive, committer)

    assert set(found) == set(made.objects)
    assert {kind: said.errors for kind, said in found.items() if said.errors} == {}


def test_it_does_not_commit_to_what_it_never_got(archive: Orthanc, committer: Committer) -> None:
    kept, failed = committer.ask(archive.ae_title, archive.port, [("1.2.840.10008.5.1.4.1.1.66.4", "2.25.1")])

    assert (kept, failed) == (set(), {"2.25.1": 0x0112})
