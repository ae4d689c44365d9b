"""The deployment files agree with the node and with each other; ``systemd`` accepts the unit."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from node.settings import load_settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def last_stage() -> dict[str, list[str]]:
    """The instructions of the image that is kept, by name."""
    text = re.sub(r"\\\n", " ", (DEPLOY / "Containerfile").read_text())
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    start = max(index for index, line in enumerate(lines) if line[0] == "FROM")
    stage: dict[str, list[str]] = {}
    for name, rest in (line for line in lines[start:] if len(line) == 2):
        stage.setdefault(name, []).append(rest.strip())
    return stage


def test_the_image_runs_the_node_as_nobody_special_and_ends_on_sigterm() -> None:
    stage = last_stage()
    assert stage["USER"] == ["osteon"]
    assert json.loads(stage["ENTRYPOINT"][0]) == ["osteon"]
    assert json.loads(stage["CMD"][0]) == ["serve"]
    assert stage["STOPSIGNAL"] == ["SIGTERM"]


def test_the_image_listens_outside_and_keeps_its_data_in_the_volume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = last_stage()
    for name in [name for name in os.environ if name.upper().startswith("OSTEON_")]:
        monkeypatch.delenv(name)
    for name, value in re.findall(r"(OSTEON_\w+)=(\S+)", " ".join(stage["ENV"])):
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert settings.receiver.host == "0.0.0.0"
    assert stage["EXPOSE"] == [str(settings.receiver.port)]
    assert stage["VOLUME"] == [str(settings.storage.folder)]


def test_compose_takes_every_right_away_and_gives_what_the_node_needs() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    osteon, archive = compose["services"]["osteon"], compose["services"]["archive"]
    assert osteon["image"] == f"osteon:{VERSION}"
    assert (osteon["read_only"], osteon["cap_drop"]) == (True, ["ALL"])
    assert "data:/var/lib/osteon" in osteon["volumes"]
    assert osteon["ulimits"]["stack"] == 32 * 1024 * 1024
    assert osteon["ports"] == ["${OSTEON_ADDRESS:-127.0.0.1}:11112:11112"]  # nobody is exposed by accident
    assert all(port.startswith("127.0.0.1:") for port in archive["ports"])
    assert archive["profiles"] == ["archive"]
    assert set(compose["volumes"]) == {"data", "archive"}


@pytest.mark.peer
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing: apt install systemd")
    unit = tmp_path / "osteon.service"
    # It insists that the program exists, and it is not installed at its place here.
    unit.write_text((DEPLOY / "osteon.service").read_text().replace("/opt/osteon/bin/osteon", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_unit_gives_what_the_node_needs() -> None:
    unit = (DEPLOY / "osteon.service").read_text()
    for line in (
        "StateDirectory=osteon",
        "LimitSTACK=32M",
        "KillSignal=SIGTERM",
        "OOMPolicy=continue",  # a reading that runs out of memory must not end the receiver
        "RestartPreventExitStatus=2",  # the exit status of "it cannot be done"
        "ProtectSystem=strict",
    ):
        assert line in unit.splitlines()


def test_the_map_says_what_it_is() -> None:
    config = yaml.safe_load((DEPLOY / "map" / "app.yaml").read_text())
    assert config["application"]["title"] == "Osteon"
    assert config["application"]["version"] == VERSION
    assert config["application"]["input-formats"] == config["application"]["inputFormats"] == ["file"]
    assert config["application"]["output-formats"] == config["application"]["outputFormats"] == ["file"]
    assert config["resources"]["gpu"] == 0


def test_the_map_installs_what_the_package_needs() -> None:
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    lines = (DEPLOY / "map" / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith(("#", "--"))] == needed
