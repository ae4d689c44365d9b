"""``deploy/osteon.example.toml``: it loads as it is, and names every setting there is with its default."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from node.delivering.destinations import Destination, FhirDestination, Hl7Destination, Repeating
from node.settings import Settings, load_settings

EXAMPLE = Path(__file__).parents[2] / "deploy" / "osteon.example.toml"
WITHOUT_A_DEFAULT = {
    "reading.memory_gib",
    "destinations.pacs.host",
    "destinations.pacs.port",
    "destinations.pacs.ae_title",
    "destinations.pacs.calling_ae_title",
    "destinations.ehr.type",
    "destinations.ehr.url",
    "destinations.ehr.token",
    "destinations.ehr.ca_file",
    "destinations.ris.type",
    "destinations.ris.host",
    "destinations.ris.port",
    "database.url",
    "database.executor",
}
"""What is required, or stays unset until somebody sets it: the example shows a value, not the default."""


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("OSTEON_")]:
        monkeypatch.delenv(name)


def test_it_loads_as_it_is_with_one_destination_and_all_else_by_default() -> None:
    settings = load_settings(EXAMPLE)
    peers = {name: peer for name, peer in settings.destinations.items() if isinstance(peer, Destination)}
    assert {name: (peer.host, peer.port, peer.ae_title) for name, peer in peers.items()} == {
        "pacs": ("pacs.example.org", 104, "PACS")
    }
    assert settings.model_dump(exclude={"destinations"}) == Settings().model_dump(exclude={"destinations"})


def test_it_names_every_setting_and_no_other() -> None:
    # How often something is repeated is said once, at the first destination.
    repeating = set(Repeating.model_fields)
    messages = {
        f"destinations.{name}.{key}"
        for name, model in (("ehr", FhirDestination), ("ris", Hl7Destination))
        for key in set(model.model_fields) - repeating
    }
    # Engines differ in their keys; that the example's loads is tested below.
    shown = {key for key in _flat(_uncommented()) if not key.startswith("engines.")}
    assert shown == (_keys(Settings, "destinations.pacs.") - {"engines", "reading.options.engines"}) | messages


def test_what_it_shows_behind_the_comment_signs_are_the_defaults() -> None:
    shown, defaults = _flat(_uncommented()), _flat(load_settings(EXAMPLE).model_dump(mode="json"))
    plain = {"type": "hl7", "host": "ris", "port": 1}
    ris = Hl7Destination.model_validate(plain).model_dump(mode="json")
    defaults |= {f"destinations.ris.{key}": value for key, value in ris.items()}
    compared = {key for key in shown.keys() - WITHOUT_A_DEFAULT if not key.startswith("engines.")}
    assert {key: shown[key] for key in compared} == {key: defaults[key] for key in compared}


def test_it_still_loads_when_everything_is_taken_out_of_the_comments(tmp_path: Path) -> None:
    file = tmp_path / "osteon.toml"
    file.write_text(_without_comment_signs())
    settings = load_settings(file)
    assert settings.reading.memory_gib == 16
    pacs = settings.destinations["pacs"]
    assert isinstance(pacs, Destination)
    assert pacs.calling_ae_title == "OSTEON"
    assert {name: peer.type for name, peer in settings.destinations.items()} == {
        "pacs": "dicom",
        "ehr": "fhir",
        "ris": "hl7",
    }
    assert list(settings.reading_options.engines) == ["spine"]


def _without_comment_signs() -> str:
    return re.sub(r"(?m)^# (?=[a-z_]+ = |\[)", "", EXAMPLE.read_text())


def _uncommented() -> dict[str, Any]:
    return tomllib.loads(_without_comment_signs())


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _keys(model: type[BaseModel], destination: str, prefix: str = "") -> set[str]:
    keys = set()
    for name, field in model.model_fields.items():
        if name == "destinations":
            keys |= _keys(Destination, destination, destination)
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys |= _keys(field.annotation, destination, f"{prefix}{name}.")
        else:
            keys.add(f"{prefix}{name}")
    return keys
