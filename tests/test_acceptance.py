"""The main job on a real CT with the engine that is shipped, seen by readers that are not ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from operators.application import read_study
from operators.reading.job import Job, ReadResult
from tests.demo import write_lumbar_series
from tests.node.nodes import ROOT, Node
from tests.peers.orthanc import Orthanc
from tests.peers.ports import is_listening
from tests.peers.validators import dcentvfy, dciodvfy, dcmqi_masks, dcmqi_measurements, dsrdump
from tests.samples import LumbarSample, SampleUnavailableError, lumbar_sample

SEG = "1.2.840.10008.5.1.4.1.1.66.4"
SR = "1.2.840.10008.5.1.4.1.1.88.34"

REFERENCE = {"L5": 27, "L4": 28, "L3": 29, "L2": 30, "L1": 31, "T12": 32}
"""Label ids of the whole vertebrae in the sample's reference (TotalSegmentator v2)."""
LEAST_DICE = 0.85
RESULTS = ["fhir.json", "oru.hl7", "overview.png", "reading.json", "seg-density.dcm", "seg.dcm", "sr.dcm"]


@pytest.fixture(scope="module")
def sample() -> LumbarSample:
    try:
        return lumbar_sample()
    except SampleUnavailableError as error:
        pytest.skip(f"no real CT: {error}")


@pytest.fixture(scope="module")
def study(sample: LumbarSample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lumbar")
    write_lumbar_series(sample, folder)
    return folder


@pytest.fixture(scope="module")
def result(study: Path, tmp_path_factory: pytest.TempPathFactory) -> ReadResult:
    out = tmp_path_factory.mktemp("results")
    return read_study(Job(study=study, out=out, at=datetime(2026, 1, 5, tzinfo=UTC)))


def object_of(result: ReadResult, kind: str) -> Path:
    (found,) = [item.path for item in result.objects if item.kind == kind]
    return found


def test_t12_to_l5_are_where_the_reference_has_them(
    sample: LumbarSample, result: ReadResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Where the numbering is ambiguous the label says so with a question mark; the name must be right all the same.
    masks = {label.rstrip("?"): mask for label, mask in dcmqi_masks(object_of(result, "seg"), tmp_path).items()}
    reference = sitk.ReadImage(str(sample.vertebrae))
    rows = []
    for level, label in REFERENCE.items():
        mask, image = masks.get(level, (np.zeros(1, dtype=bool), None))
        if image is None:
            rows.append((level, "not found", 0.0))
            continue
        on_grid = sitk.GetArrayFromImage(sitk.Resample(reference, image, sitk.Transform(), sitk.sitkNearestNeighbor))
        truth = on_grid == label
        most = int(np.bincount(on_grid[mask & (on_grid > 0)], minlength=1).argmax())
        names = {number: name for name, number in REFERENCE.items()}
        rows.append((level, names.get(most, f"label {most}"), 2 * (mask & truth).sum() / (mask.sum() + truth.sum())))

    with capsys.disabled():
        print("\nlevel in SEG   in reference   Dice")
        for level, there, dice in rows:
            print(f"{level:12}   {there:12}   {dice:.3f}")
    assert [there for _, there, _ in rows] == list(REFERENCE)
    assert min(dice for _, _, dice in rows) >= LEAST_DICE


def test_validators_find_no_error(study: Path, result: ReadResult) -> None:
    objects = [object_of(result, "seg"), object_of(result, "sr")]

    assert [dciodvfy(path).errors for path in objects] == [(), ()]
    assert dcentvfy([*sorted(study.iterdir()), *objects]).errors == ()
    assert "Imaging Measurement Report" in dsrdump(objects[1])


def test_dcmqi_reads_the_numbers_of_the_reading(result: ReadResult, tmp_path: Path) -> None:
    groups = dcmqi_measurements(object_of(result, "sr"), tmp_path)

    trackings = {group["TrackingIdentifier"] for group in groups}

    assert all(any(v.level in name for name in trackings) for v in result.reading.vertebrae)


def test_the_reading_names_its_engine_by_its_weights(result: ReadResult) -> None:
    weights = list((ROOT / "models" / "vertebrae" / "weights").iterdir())

    assert weights
    assert len(result.reading.provenance.engine_digest) == 64


@pytest.mark.peer
class TestOrthanc:
    """A real archive on both ends."""

    @pytest.fixture
    def archive(self, tmp_path: Path) -> Iterator[Orthanc]:
        if not Orthanc.is_installed():
            pytest.skip("Orthanc is not installed (apt install orthanc)")
        orthanc = Orthanc(tmp_path / "orthanc")
        yield orthanc
        orthanc.stop()

    def test_it_returns_what_it_was_given(self, archive: Orthanc, result: ReadResult) -> None:
        archive.start()
        for item in result.objects:
            archive.upload(item.path)

            returned = dcmread(DicomBytesIO(archive.file(item.sop_instance_uid)))

            assert returned == dcmread(item.path)

    def test_killed_while_reading_it_ends_with_one_seg_and_one_sr(
        self, archive: Orthanc, study: Path, tmp_path: Path
    ) -> None:
        node = RealNode(
            tmp_path / "node", {"archive": (archive.ae_title, archive.port)}, reading={"timeout_seconds": 300}
        )
        archive.know("osteon", "OSTEON", node.port)
        archive.start()
        try:
            node.start()
            for file in study.iterdir():
                archive.upload(file)
            uid = str(dcmread(next(study.iterdir()), stop_before_pixels=True).StudyInstanceUID)
            archive.send_study(uid, "osteon")
            node.wait_for(lambda: any(s.step == "SegmentVertebrae" for s in node.statuses()), "segmentation", 120)

            node.kill()
            node.start()
            (status,) = node.wait_until_finished(seconds=200)
        finally:
            node.end()

        assert status.state == "read"
        assert len(archive.instances(uid, SEG)) == 1
        assert len(archive.instances(uid, SR)) == 1


class RealNode(Node):
    """A node with the reader that it has in a hospital."""

    def start(self) -> Node:
        """Start ``osteon serve``."""
        command = [sys.executable, "-m", "node", "--config", str(self.settings_file), "serve"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        self.wait_for(lambda: is_listening(self.port), "the node to listen", 60)
        return self


def test_the_application_package_gives_the_objects_of_the_node(study: Path, result: ReadResult, tmp_path: Path) -> None:
    variables = os.environ | {"HOLOSCAN_INPUT_PATH": str(study), "HOLOSCAN_OUTPUT_PATH": str(tmp_path)}

    command = [sys.executable, "-m", "operators.application"]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    for item in result.objects:
        assert dcmread(tmp_path / item.path.name).SOPInstanceUID == item.sop_instance_uid
    assert sorted(path.name for path in tmp_path.iterdir()) == RESULTS


def test_the_command_reads_a_folder_and_gives_the_same_bytes(study: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(study, copy)

    for source, out in ((study, "first"), (copy, "second")):
        command = [sys.executable, "-m", "node", "read", str(source), "--out", str(tmp_path / out), "--quiet"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "L3" in done.stdout

    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert names == RESULTS
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
