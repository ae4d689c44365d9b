"""A site's own engine, from the settings file through the reader's process."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from node.check import findings
from node.settings import Settings, SettingsError, load_settings
from node.work.reader import Reader, reader_command
from operators.reading.errors import PermanentError
from operators.reading.options import DEFAULT, ReadingOptions

TOML = """
[reading]
engine = "mine"

[engines.mine]
kind = "torchscript"
file = "{file}"
spacing = [1.5, 1.5, 1.5]
labels = {{ 1 = "L5", 2 = "{label}" }}
"""


class Halves(torch.nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([image, -image, image], 1)


def settings(folder: Path, label: str = "sacrum") -> Settings:
    file = folder / "osteon.toml"
    file.write_text(TOML.format(file=folder / "mine.ts", label=label))
    return load_settings(file, {})


def test_engine_of_the_settings_is_loaded_by_check_in_the_readers_process(tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning, match=r"torch\.jit"):
        torch.jit.save(torch.jit.script(Halves()), str(tmp_path / "mine.ts"))
    found = next(finding for finding in findings(settings(tmp_path)) if finding.subject == "engine")
    assert found.is_ok, found.sentence
    assert found.sentence.startswith("mine 1, weights ")


def test_missing_file_is_named_with_its_key(tmp_path: Path) -> None:
    options = settings(tmp_path).reading_options
    reader = Reader(reader_command(None), 60)
    try:
        with pytest.raises(PermanentError, match=r"mine\.ts does not exist; set engines\.mine\.file"):
            reader.probe("mine", options)
    finally:
        reader.close()


def test_wrong_structure_is_refused_at_the_start_with_key_and_value(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"engines\.mine.*labels.*2 = 'spleen' is no structure of the spine"):
        settings(tmp_path, label="spleen")


def test_engines_travel_as_json_and_do_not_change_the_identity_of_a_reading(tmp_path: Path) -> None:
    options = settings(tmp_path).reading_options
    assert ReadingOptions.model_validate_json(options.model_dump_json()) == options
    assert options.digest == DEFAULT.digest


def test_our_own_name_is_not_given_away(tmp_path: Path) -> None:
    file = tmp_path / "osteon.toml"
    file.write_text('[engines.osteon]\nkind = "totalsegmentator"\n')
    with pytest.raises(SettingsError, match="comes with Osteon"):
        load_settings(file, {})
