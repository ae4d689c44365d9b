"""``osteon calibrate``: from the files of a phantom's CT to an entry that the settings take."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.cli import main
from node.settings import SettingsError, load_settings
from operators.reading.calibration_entry import PhantomMaterial
from tests.phantoms.ct_series import CTHeader, write_ct_series
from tests.phantoms.density_slab import DensitySlab

HEADER = CTHeader(manufacturer="SIEMENS", model='Sensation "64"', kernel="B40f", kvp=120.0, study_date="20260105")
B_MAS = (30.0, 100.0, 170.0, 240.0, 310.0)
"""1.4 HU per mg/cm3 and 30 HU of offset."""


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in os.environ:
        if name.startswith("OSTEON_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def scan(folder: Path, slab: DensitySlab, header: CTHeader = HEADER) -> Path:
    write_ct_series(slab.build(), folder, header)
    return folder


def test_a_phantom_scan_becomes_an_entry_of_the_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = scan(tmp_path / "slab", DensitySlab(B_MAS, base=-60.0))
    assert main(["calibrate", str(folder), "--phantom", "b-mas-200"]) == 0
    said = capsys.readouterr()
    assert "mg/cm3 of HA = 0.71" in said.err
    (tmp_path / "osteon.toml").write_text(said.out)
    (entry,) = load_settings().reading.options.calibrations
    assert entry.name == "sensation-64-120kv-b40f"
    assert entry.material is PhantomMaterial.HYDROXYAPATITE
    assert (entry.manufacturer, entry.model, entry.kvp, entry.kernel) == ("SIEMENS", 'Sensation "64"', 120.0, "B40f")
    assert str(entry.scanned) == "2026-01-05"
    assert entry.density(170.0) == pytest.approx(100.0, abs=1.5)
    assert entry.density(30.0) == pytest.approx(0.0, abs=1.5)


def test_marked_rods_and_the_certificate_of_the_phantom(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slab = DensitySlab((40.0, 320.0))
    folder = scan(tmp_path / "slab", slab)
    marks = [f"--rod={column:.1f},{row:.1f}" for column, row in slab.centres()]
    arguments = ["calibrate", str(folder), "--phantom", "siemens-osteo", *marks, "--density=2", "--density=202"]
    assert main([*arguments, "--name", "osteo"]) == 0
    (tmp_path / "osteon.toml").write_text(capsys.readouterr().out)
    (entry,) = load_settings().reading.options.calibrations
    assert entry.name == "osteo"
    assert entry.density(180.0) == pytest.approx(102.0, abs=1.0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--phantom", "qrm"], "no phantom is called 'qrm'; known: mindways, "),
        (["--phantom", "mindways", "--density=1"], "--density must be MINERAL:WATER"),
        (["--phantom", "b-mas-200", "--density=x"], "--density must be MINERAL in mg/cm3"),
        (["--phantom", "b-mas-200"], "does not exist; name the folder"),
    ],
)
def test_what_is_wrong_is_named(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "nowhere", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_a_scan_without_its_voltage_makes_no_entry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = scan(tmp_path / "slab", DensitySlab(B_MAS, base=-60.0), CTHeader(kvp=None))
    assert main(["calibrate", str(folder), "--phantom", "b-mas-200"]) == 2
    assert "do not say KVP" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("slope = 5.0", ("calibrations.0.slope", "5.0", "less than or equal to 2")),
        ('material = "chalk"', ("calibrations.0.material", "chalk", "'HA'")),
        ("kvp = 12", ("calibrations.0.kvp", "12", "60")),
        ("slop = 0.7", ("calibrations.0.slop", "no setting")),
    ],
)
def test_an_entry_with_an_absurd_value_is_named_with_what_is_allowed(
    tmp_path: Path, change: str, expected: tuple[str, ...]
) -> None:
    entry = {
        "name": '"a"',
        "phantom": '"b-mas-200"',
        "material": '"HA"',
        "slope": "0.7",
        "intercept": "0.0",
        "r_squared": "0.999",
        "manufacturer": '"M"',
        "model": '"X"',
        "kvp": "120",
    }
    key, value = change.split(" = ")
    lines = "\n".join(f"{k} = {v}" for k, v in {**entry, key: value}.items())
    (tmp_path / "osteon.toml").write_text(f"[[reading.options.calibrations]]\n{lines}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    for part in expected:
        assert part in caught.value.sentence
