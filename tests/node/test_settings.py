from __future__ import annotations

from pathlib import Path

import pytest

from node.delivering.destinations import Destination, FhirDestination
from node.settings import SettingsError, load_settings
from tests.node.fake_reader import SOP_CLASSES

PEER = '[destinations.pacs]\nhost = "a"\nport = 1\nae_title = "A"\n'


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of whoever runs the tests."""
    import os

    for name in os.environ:
        if name.startswith("OSTEON_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def write(folder: Path, content: str) -> Path:
    path = folder / "osteon.toml"
    path.write_text(content)
    return path


def test_without_a_file_everything_has_a_default() -> None:
    settings = load_settings()
    assert settings.receiver.ae_title == "OSTEON"
    assert settings.receiver.port == 11112
    assert settings.receiver.host == "127.0.0.1"
    assert settings.destinations == {}
    assert settings.database_url.startswith("sqlite:////")


def test_a_variable_wins_over_the_file_and_leaves_the_rest_of_its_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, '[receiver]\nport = 104\nae_title = "SPINE"\n[settling]\nquiet_seconds = 5\n')
    monkeypatch.setenv("OSTEON_RECEIVER__PORT", "10400")
    settings = load_settings(file)
    assert settings.receiver.port == 10400
    assert settings.receiver.ae_title == "SPINE"
    assert settings.settling.quiet_seconds == 5.0


def test_osteon_toml_in_the_working_folder_is_found(tmp_path: Path) -> None:
    write(tmp_path, "[receiver]\nport = 1104\n")
    assert load_settings().receiver.port == 1104


def test_the_file_can_be_named_by_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.toml"
    other.write_text("[receiver]\nport = 2104\n")
    monkeypatch.setenv("OSTEON_CONFIG", str(other))
    assert load_settings().receiver.port == 2104


def test_destinations_come_from_the_file_and_from_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, '[destinations.pacs]\nhost = "10.0.0.5"\nport = 104\nae_title = "PACS"\n')
    monkeypatch.setenv("OSTEON_DESTINATIONS__VIEWER__HOST", "viewer")
    monkeypatch.setenv("OSTEON_DESTINATIONS__VIEWER__PORT", "4242")
    monkeypatch.setenv("OSTEON_DESTINATIONS__VIEWER__AE_TITLE", "ORTHANC")
    found = load_settings(file).destinations
    peers = {name: peer for name, peer in found.items() if isinstance(peer, Destination)}
    assert {name: (peer.host, peer.port, peer.ae_title) for name, peer in peers.items()} == {
        "pacs": ("10.0.0.5", 104, "PACS"),
        "viewer": ("viewer", 4242, "ORTHANC"),
    }


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[receiver]\nport = 99999\n", ("receiver.port", "99999", "65535")),
        ("[receiver]\nprot = 104\n", ("receiver.prot", "allowed:", "port")),
        ("[reciever]\nport = 104\n", ("reciever", "allowed:", "receiver")),
        ('[receiver]\nae_title = "MUCH TOO LONG A TITLE"\n', ("receiver.ae_title", "16")),
        ("[settling]\nquiet_seconds = 0\n", ("settling.quiet_seconds", "0", "greater than 0")),
        ('[destinations.pacs]\nhost = "a"\nae_title = "A"\n', ("destinations.pacs.port", "missing")),
        (
            '[destinations.pacs]\nhost = "a"\nport = 1\nae_title = "A"\nposrt = 1\n',
            ("destinations.pacs.posrt", "ae_title"),
        ),
        (f'{PEER}profile = "osirix"\n', ("destinations.pacs.profile", "osirix", "'weasis'", "'plain-pacs'")),
        (f'{PEER}objects = ["pdf"]\n', ("destinations.pacs.objects.0 = 'pdf'", "+ (add) or - (leave out)", "gsps")),
        (f'{PEER}objects = ["-pfd"]\n', ("destinations.pacs.objects.0 = '-pfd'", "seg-density")),
        (f'{PEER}profile = "slicer"\nobjects = ["-seg", "-seg-density", "-sr"]\n', ("destinations.pacs", "keep one")),
        (f'{PEER}type = "x-ray"\n', ("destinations.pacs.type = 'x-ray'", "'dicom', 'fhir', 'hl7'")),
        ('[destinations.ehr]\ntype = "fhir"\nport = 1\n', ("destinations.ehr.port is no setting", "token", "url")),
        ('[destinations.ehr]\ntype = "fhir"\nurl = "ehr"\n', ("destinations.ehr.url = 'ehr'", "https?://")),
        ('[destinations.his]\ntype = "hl7"\nhost = "his"\n', ("destinations.his.port is missing",)),
        ('[reading.options]\nkinds = ["jpeg"]\n', ("reading.options.kinds.0 = 'jpeg'", "'seg'")),
        ("[reading.options]\nkernel = 1\n", ("reading.options.kernel", "allowed:", "kinds")),
        ('[logs]\nlevel = "LOUD"\n', ("logs.level", "LOUD", "WARNING")),
        ("port = [", ("osteon.toml", "cannot be understood")),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_what_is_allowed(
    tmp_path: Path, content: str, expected: tuple[str, ...]
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(write(tmp_path, content))
    for part in expected:
        assert part in caught.value.sentence


def test_a_misspelled_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTEON_RECIEVER__PORT", "104")
    with pytest.raises(SettingsError, match="OSTEON_RECIEVER__PORT is no setting"):
        load_settings()


def test_a_file_that_is_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        load_settings(tmp_path / "missing.toml")


def test_the_password_of_the_database_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(write(tmp_path, '[database]\nurl = "mysql://osteon:hunter2@db/osteon"\n'))
    assert "hunter2" not in caught.value.sentence
    assert "postgresql://" in caught.value.sentence


def test_the_tree_cannot_be_changed() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.receiver.port = 1  # type: ignore[misc]


def test_a_destination_gets_the_objects_of_its_viewer_and_what_the_site_changes(tmp_path: Path) -> None:
    def kinds(settings: str) -> set[str]:
        peer = load_settings(write(tmp_path, PEER + settings)).destinations["pacs"]
        assert isinstance(peer, Destination)
        return {str(kind) for kind in peer.kinds}

    assert kinds("") == {"seg", "seg-density", "sr", "pdf"}
    assert kinds('profile = "slicer"\n') == {"seg", "seg-density", "sr"}
    assert kinds('profile = "weasis"\n') == {"seg", "seg-density", "sr", "gsps", "kos", "pdf"}
    assert kinds('profile = "plain-pacs"\n') == {"sc", "sr-text", "pdf"}
    assert kinds('profile = "plain-pacs"\nobjects = ["+sr", "-sr-text"]\n') == {"sc", "sr", "pdf"}
    assert kinds('profile = "everything"\n') == set(SOP_CLASSES)


def test_the_reader_is_asked_for_what_any_destination_may_get(tmp_path: Path) -> None:
    viewer = '[destinations.viewer]\nhost = "b"\nport = 1\nae_title = "B"\nprofile = "plain-pacs"\n'
    site = '[reading.options]\nkinds = ["kos"]\n'
    settings = load_settings(
        write(tmp_path, f'{PEER}profile = "slicer"\nobjects = ["-seg", "+seg-labelmap"]\n{viewer}{site}')
    )
    asked = {str(kind) for kind in settings.reading_options.kinds}
    # The label map may be replaced by segments, the report by an older one, a text, a PDF or a picture.
    assert asked == {"seg-labelmap", "seg", "seg-density", "sr", "sr-2d", "sr-text", "pdf", "sc", "kos"}
    assert settings.reading_options.digest == ""


def test_the_token_of_a_server_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, '[destinations.ehr]\ntype = "fhir"\nurl = "https://ehr/fhir"\n')
    monkeypatch.setenv("OSTEON_DESTINATIONS__EHR__TOKEN", "hunter2")
    settings = load_settings(file)
    assert "hunter2" not in repr(settings)
    peer = settings.destinations["ehr"]
    assert isinstance(peer, FhirDestination)
    assert peer.token is not None
    assert peer.token.get_secret_value() == "hunter2"


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "osteon.toml").mkdir()
    for given in (None, tmp_path / "osteon.toml"):
        with pytest.raises(SettingsError, match="is a folder"):
            load_settings(given)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "")

    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, whom no permission stops
    with pytest.raises(SettingsError, match=r"osteon.toml cannot be read \(Permission denied\)"):
        load_settings(path)
