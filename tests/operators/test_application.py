"""The graph as a whole, and every trap of the MONAI Deploy App SDK that docs/architecture.md names."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset, dcmread

from models.anatomy import Level
from models.engine import Numbering, SpineSegmentation
from models.engines.registry import ENGINES
from operators import steps
from operators.application import read_study
from operators.reading.errors import PermanentError, Refusal
from operators.reading.job import Job, ReadResult
from operators.reading.options import Kind, ReadingOptions
from operators.registered import parse_reading
from tests.conftest import ROOT
from tests.operators import ct_files
from tests.phantoms.ct_series import write_ct_series
from tests.phantoms.engine import TruthEngine
from tests.phantoms.spine import SpinePhantom
from tests.phantoms.truth import Phantom

AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    levels = (Level.T12, Level.L2)
    return SpinePhantom(levels=levels).build(pixel_spacing=1.0, slice_spacing=2.0, field_of_view=(160, 160))


@pytest.fixture(scope="module")
def study(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_ct_series(phantom.volume, folder)
    return folder


@pytest.fixture(scope="module")
def read_once(phantom: Phantom, study: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ReadResult, list[str]]:
    """The result of one run, and the steps it told of; for tests that only look."""
    told: list[str] = []
    ENGINES.register("truth", lambda: TruthEngine(phantom))
    return read_study(job(study, tmp_path_factory.mktemp("out")), told.append), told


@pytest.fixture(autouse=True)
def registered_engine(phantom: Phantom) -> Iterator[None]:
    ENGINES.register("truth", lambda: TruthEngine(phantom))
    yield
    ENGINES.unregister("truth")


def job(study: Path, out: Path) -> Job:
    return Job(study=study, out=out, at=AT, engine="truth")


def test_from_files_to_seg_sr_reading_and_picture(phantom: Phantom, read_once: tuple[ReadResult, list[str]]) -> None:
    result, told = read_once

    assert {item.kind: dcmread(item.path).Modality for item in result.objects} == {
        "seg": "SEG",
        "seg-density": "SEG",
        "sr": "SR",
    }
    assert result.picture_path is not None
    assert result.picture_path.read_bytes().startswith(b"\x89PNG")
    stored = parse_reading(result.reading_path.read_bytes())
    assert stored == result.reading
    assert [v.level for v in stored.vertebrae] == [v.level for v in phantom.vertebrae]
    assert told[:4] == ["ReceiveStudy", "SelectSeries", "LoadVolume", "SegmentVertebrae"]
    assert told[-1] == "SendResults"
    assert result.refusal is None


def test_the_same_study_gives_the_same_bytes(
    read_once: tuple[ReadResult, list[str]], study: Path, tmp_path: Path
) -> None:
    shutil.copytree(study, tmp_path / "copy")

    read_study(job(tmp_path / "copy", tmp_path / "out"))

    def digests(folder: Path) -> dict[str, str]:
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}

    assert digests(tmp_path / "out") == digests(read_once[0].reading_path.parent)


def test_the_messages_lie_beside_the_objects_and_point_at_the_same_report(
    read_once: tuple[ReadResult, list[str]],
) -> None:
    result, told = read_once
    (report,) = (item.sop_instance_uid for item in result.objects if item.kind == "sr")
    out = result.objects[0].path.parent

    bundle = json.loads((out / "fhir.json").read_bytes())
    assert bundle["entry"][-1]["resource"]["identifier"][0]["value"] == f"urn:oid:{report}"
    last = (out / "oru.hl7").read_bytes().decode().split("\r")[-2]
    assert last.split("|")[5].startswith(f"{report}^")
    assert "WriteMessages" in told


def test_an_operators_error_comes_out_as_itself(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()

    with pytest.raises(PermanentError) as caught:
        read_study(job(tmp_path / "study", tmp_path / "out"))

    assert caught.value.code == Refusal.NO_FILES


def test_a_study_that_cannot_be_read_gets_a_report_that_says_why_and_does_not_spoil_the_next(
    study: Path, tmp_path: Path
) -> None:
    ct_files.write(tmp_path / "one", ct_files.series(1))

    refused = read_study(job(tmp_path / "one", tmp_path / "refused"))

    assert refused.refusal is not None
    assert refused.refusal.code == Refusal.NO_SUITABLE_SERIES
    assert [item.kind for item in refused.objects] == ["sr"]
    assert dcmread(refused.objects[0].path).CompletionFlagDescription == "study not read: no-suitable-series"
    assert (refused.reading_path, refused.reading) == (None, None)
    assert read_study(job(study, tmp_path / "out")).reading is not None


@pytest.mark.parametrize(
    "options", [ReadingOptions(refusal_reports=False), ReadingOptions(kinds=(Kind.SEGMENTATION, Kind.PDF))]
)
def test_a_site_that_wants_no_report_on_what_cannot_be_read_gets_none(options: ReadingOptions, tmp_path: Path) -> None:
    ct_files.write(tmp_path / "one", ct_files.series(1))

    with pytest.raises(PermanentError) as caught:
        read_study(job(tmp_path / "one", tmp_path / "out").model_copy(update={"options": options}))

    assert caught.value.code == Refusal.NO_SUITABLE_SERIES


def test_a_study_that_cannot_be_read_is_not_read_twice_for_its_report(tmp_path: Path) -> None:
    folder = ct_files.write(tmp_path / "one", ct_files.series(1))

    def lose_the_files(step: str) -> None:
        if step == "SelectSeries":
            shutil.rmtree(folder)

    refused = read_study(job(folder, tmp_path / "out"), lose_the_files)

    assert [item.kind for item in refused.objects] == ["sr"]


def _other_patient(dataset: Dataset, index: int) -> None:
    dataset.PatientID = f"P{index % 2}"


def _other_study(dataset: Dataset, index: int) -> None:
    dataset.StudyInstanceUID = f"2.25.{1000 + index % 2}"


def _no_uid(dataset: Dataset, index: int) -> None:
    dataset.SeriesInstanceUID = ""


@pytest.mark.parametrize("change", [_other_patient, _other_study, _no_uid])
def test_where_it_is_not_clear_whose_study_it_is_nothing_is_sent(change: ct_files.Change, tmp_path: Path) -> None:
    folder = ct_files.write(tmp_path / "study", ct_files.series(4, change=change))

    with pytest.raises(PermanentError):
        read_study(job(folder, tmp_path / "out"))

    assert not (tmp_path / "out").exists()


def test_an_operator_that_emits_nothing_is_noticed(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swallow(operator: steps.Step, op_input: Any, op_output: Any, context: Any) -> None:
        op_input.receive("case")

    monkeypatch.setattr(steps.Measure, "compute", swallow)

    with pytest.raises(RuntimeError, match="0 results instead of one"):
        read_study(job(study, tmp_path))


def test_the_graph_is_made_anew_for_every_study_but_weights_load_once(
    phantom: Phantom, study: Path, tmp_path: Path
) -> None:
    made: list[TruthEngine] = []

    def make() -> TruthEngine:
        made.append(TruthEngine(phantom))
        return made[-1]

    ENGINES.register("truth", make)

    for _ in range(2):
        read_study(job(study, tmp_path))

    assert len(made) == 1


def test_a_study_without_a_spine_gives_a_report_that_says_so(study: Path, tmp_path: Path) -> None:
    class Blind:
        name, version, digest = "blind", "1", "0" * 64

        def segment(self, volume: hd.Volume) -> SpineSegmentation:
            empty = volume.with_array(np.zeros(volume.spatial_shape, np.uint8))
            return SpineSegmentation(empty, empty, (), Numbering.NONE, remarks=("no spine in view",))

    ENGINES.register("truth", Blind)

    result = read_study(job(study, tmp_path))

    assert result.refusal is not None
    assert result.refusal.code == Refusal.NO_SPINE
    assert "no spine in view" in result.refusal.sentence
    assert [item.kind for item in result.objects] == ["sr"]


def test_a_job_over_a_folder_carries_the_time_of_its_newest_file(study: Path, tmp_path: Path) -> None:
    newest = max(study.iterdir())
    os.utime(newest, (2e9, 2e9))

    at = Job.over_folder(study, tmp_path).at

    assert at.timestamp() == 2e9


class TestProcess:
    """What can only be seen from outside a process."""

    def test_only_what_is_used_of_the_sdk_is_imported(self) -> None:
        code = "import operators.application, sys; print('monai.deploy.operators' in sys.modules)"

        assert python(code) == "False"

    def test_a_small_stack_gives_no_warning(self) -> None:
        done = subprocess.run(
            ["bash", "-c", f"ulimit -S -s 8192; exec {sys.executable} -W error -c 'import operators.application'"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

        assert (done.returncode, done.stderr) == (0, "")

    def test_it_imports_where_no_cuda_is_installed(self) -> None:
        if os.geteuid() != 0 or not shutil.which("unshare"):
            pytest.skip("hiding the CUDA folders needs root and unshare (util-linux)")

        bare = without_cuda("import holoscan.core")
        prepared = without_cuda("import operators.application")

        assert "libcudart" in bare.stderr, "the CUDA folders were not hidden: this test shows nothing"
        assert prepared.returncode == 0, prepared.stderr

    def test_map_convention_with_arguments_and_with_variables(self, tmp_path: Path) -> None:
        empty, out = tmp_path / "in", tmp_path / "out"
        empty.mkdir()
        out.mkdir()
        command = [sys.executable, "-m", "operators.application"]
        variables = os.environ | {"HOLOSCAN_INPUT_PATH": str(empty), "HOLOSCAN_OUTPUT_PATH": str(out)}

        given = subprocess.run(
            [*command, "-i", str(empty), "-o", str(out)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        set_by_variables = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)

        for done in (given, set_by_variables):
            assert done.returncode == 2
            assert "no-files: the study folder holds no file" in done.stderr


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def without_cuda(code: str) -> subprocess.CompletedProcess[str]:
    """Run Python where every CUDA folder and the linker's cache of them are hidden."""
    script = """
        empty=$(mktemp -d)
        for folder in /usr/local/cuda* /usr/lib/x86_64-linux-gnu/libcudart* /opt/cuda*; do
            [ -d "$folder" ] && mount --bind "$empty" "$(readlink -f "$folder")"
        done
        exec "$0" -c "$1"
    """
    command = ["unshare", "-m", "bash", "-c", script, sys.executable, code]
    environment = {key: value for key, value in os.environ.items() if key != "LD_LIBRARY_PATH"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_reading_json_holds_no_patient_data(read_once: tuple[ReadResult, list[str]]) -> None:
    text = read_once[0].reading_path.read_text()

    assert "PHANTOM^OSTEON" not in text
    assert "OSTEON-PHANTOM" not in text
