"""``make demo``: a real CT goes to a real node by C-STORE, and SEG and SR come back to an archive.

Everything runs on loopback, on free ports, as the processes that a hospital would run. Without a network
the digital phantom takes the place of the real CT, and the demo says so.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage

from models.anatomy import Level
from node.settings import Settings, load_settings
from node.status import StudyStatus, study_statuses
from node.table import reading_text
from operators.fractures.results import Shape
from operators.registered import parse_reading
from tests.peers.archive import Archive
from tests.peers.ports import free_port, is_listening
from tests.phantoms.ct_series import CTHeader, write_ct_series
from tests.phantoms.nifti import read_nifti
from tests.phantoms.spine import Fracture, SpinePhantom
from tests.samples import LumbarSample, SampleUnavailableError, lumbar_sample

ROOT = Path(__file__).parent.parent
_PATIENCE = 900.0
_SAMPLE_HEADER = CTHeader(
    seed="lumbar sample",
    patient_name="SAMPLE^LUMBAR",
    patient_id="OSTEON-SAMPLE",
    study_description="CT ABDOMEN SAMPLE",
    # The NIfTI says nothing of these, so the series says nothing either, and the gates have to say that.
    birth_date="",
    sex="",
    age="",
    kvp=None,
    kernel="",
    manufacturer="",
    model="",
)
_SETTINGS = """\
[receiver]
port = {receiver}

[storage]
folder = "{folder}/node"
min_free_gib = 0.1

[settling]
quiet_seconds = 2.0

[logs]
level = "WARNING"

[destinations.archive]
host = "127.0.0.1"
port = {archive}
ae_title = "ARCHIVE"
wait_seconds = 0.5
"""


def main() -> int:
    """Run the demo and give its exit status: 0 when SEG and SR came back."""
    parser = argparse.ArgumentParser(prog="make demo", description=main.__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "demo", help="where everything goes (default: demo)")
    parser.add_argument("--phantom", action="store_true", help="use the digital phantom, as without a network")
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    started = time.monotonic()

    files = prepare_study(folder, phantom=options.phantom)
    for name in ("node", "archive"):  # a study that was read once is not read again: begin afresh
        shutil.rmtree(folder / name, ignore_errors=True)
    with Archive(folder / "archive") as archive:
        settings_file = folder / "osteon.toml"
        settings_file.write_text(_SETTINGS.format(receiver=free_port(), archive=archive.port, folder=folder))
        settings = load_settings(settings_file)
        with node(settings_file, settings):
            send(files, settings)
            status = wait(settings)
    return report(folder, archive, status, time.monotonic() - started)


def prepare_study(folder: Path, *, phantom: bool) -> list[Path]:
    """The study as DICOM files, made once and kept."""
    if not phantom:
        try:
            sample = lumbar_sample()
        except SampleUnavailableError as error:
            print(f"No real CT: {error}\nThe digital phantom takes its place.")
        else:
            print("Study: a real abdominal CT, T11 to S1, 3 mm, without contrast (TotalSegmentator sample, Apache-2.0)")
            study = folder / "study"
            return sorted(study.glob("*.dcm")) or write_lumbar_series(sample, study)
    print("Study: the digital phantom, T10 to S1, with a wedge fracture of L2 (35 % of its anterior height)")
    study = folder / "phantom"
    broken = SpinePhantom(fractures={Level.L2: Fracture(Shape.WEDGE, 0.35)})
    return sorted(study.glob("*.dcm")) or write_ct_series(broken.build().volume, study)


def write_lumbar_series(sample: LumbarSample, folder: Path) -> list[Path]:
    """The sample's CT as a DICOM series, with air around it so that rows and columns are multiples of eight.

    Scanners write such matrices, and OHIF 3.13.2 draws one-bit segmentations scrambled on others.
    """
    volume = read_nifti(sample.ct)
    missing = [-n % 8 for n in volume.spatial_shape[:2]]
    padded = volume.pad(((0, missing[0]), (0, missing[1]), (0, 0)), constant_value=-1024.0)
    return write_ct_series(padded, folder, _SAMPLE_HEADER)


@contextmanager
def node(settings_file: Path, settings: Settings) -> Iterator[None]:
    """A node as a process of its own, ended with SIGTERM."""
    log = (settings_file.parent / "node.log").open("wb")
    command = [sys.executable, "-m", "node", "--config", str(settings_file), "serve"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        _until(lambda: is_listening(settings.receiver.port) or process.poll() is not None, 60)
        if process.poll() is not None:
            msg = f"the node did not start; its log is {log.name}"
            raise SystemExit(msg)
        print(f"Node:  {settings.receiver.ae_title} listens on 127.0.0.1:{settings.receiver.port}")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        log.close()


def send(files: list[Path], settings: Settings) -> None:
    """C-STORE the study to the node, as a PACS does."""
    sender = AE(ae_title="PACS")
    sender.add_requested_context(CTImageStorage)
    association = sender.associate("127.0.0.1", settings.receiver.port, ae_title=settings.receiver.ae_title)
    if not association.is_established:
        msg = "the node did not accept the association; see its log"
        raise SystemExit(msg)
    begun = time.monotonic()
    for file in files:
        answer = association.send_c_store(file)
        if answer.Status != 0x0000:
            msg = f"the node answered a C-STORE with status 0x{answer.Status:04X}"
            raise SystemExit(msg)
    association.release()
    print(f"Sent:  {len(files)} slices by C-STORE, each acknowledged, in {time.monotonic() - begun:.1f} s")


def wait(settings: Settings) -> StudyStatus:
    """Show what the node says of the study until nothing more happens."""
    shown = ""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        for status in study_statuses(settings):
            line = " ".join(filter(None, [status.state, status.step if status.state == "reading" else None]))
            if line != shown:
                print(f"       {line}", flush=True)
                shown = line
            if status.is_finished:
                return status
        time.sleep(0.2)
    msg = f"the study was not finished after {_PATIENCE:.0f} s; see osteon status and the node's log"
    raise SystemExit(msg)


def report(folder: Path, archive: Archive, status: StudyStatus, seconds: float) -> int:
    """Print what came back, and where it lies."""
    if status.state != "read":
        print(f"The study was not read: {status.reason}")
        return 1
    results = folder / "node" / "outbox" / str(status.reading)
    reading = parse_reading((results / "reading.json").read_bytes())
    print(f"\n{reading_text(reading)}\n")
    came_back = {modality: path for modality, path in archive.received() if modality in ("SEG", "SR")}
    for modality in ("SEG", "SR"):
        print(f"{modality:8} {came_back.get(modality, 'did not come back')}")
    print(f"picture  {results / 'overview.png'}\nreading  {results / 'reading.json'}")
    print(f"\n{seconds:.0f} s from start to end.")
    return 0 if {"SEG", "SR"} <= set(came_back) else 1


def _until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            msg = f"waited {seconds:.0f} s in vain"
            raise SystemExit(msg)
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
