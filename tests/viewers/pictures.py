"""``python -m tests.viewers.pictures STUDY RESULTS``: how a study and its results look in OHIF, as screenshots.

``make demo`` leaves both behind: the study in demo/study, the results in demo/archive.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import Comprehensive3DSRStorage

from tests.peers.ohif import VERSIONS, OhifServer, ohif
from tests.peers.orthanc import Orthanc
from tests.validators.report_tree import groups_of
from tests.viewers.viewer import Viewer, browser_page

ROOT = Path(__file__).parent.parent.parent


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(prog="python -m tests.viewers.pictures", description=main.__doc__)
    parser.add_argument("study", type=Path, help="folder with the CT")
    parser.add_argument("results", type=Path, help="folder with the objects of its reading")
    parser.add_argument("--out", type=Path, default=ROOT / "artefacts" / "ohif" / "demo")
    options = parser.parse_args()
    files = [*sorted(options.study.rglob("*.dcm")), *sorted(options.results.rglob("*.dcm"))]
    with tempfile.TemporaryDirectory() as scratch:
        archive = Orthanc(Path(scratch), dicomweb=True)
        archive.start()
        try:
            _photograph(archive, files, options.out)
        finally:
            archive.stop()


def _photograph(archive: Orthanc, files: Iterable[Path], out: Path) -> None:
    study, groups = "", 0
    for path in files:
        archive.upload(path)
        header = dcmread(path, stop_before_pixels=True)
        study = str(header.StudyInstanceUID)
        if header.SOPClassUID == Comprehensive3DSRStorage:
            groups = len(groups_of(header))
    for version in VERSIONS:
        with OhifServer(ohif(version), archive.http_port) as server, browser_page() as page:
            viewer = Viewer(page, server.study(study))
            for path in photograph(viewer, out / version, groups):
                print(path)


def photograph(viewer: Viewer, out: Path, groups: int) -> Iterable[Path]:
    """Every segment of every segmentation, and as many groups of the report as there are."""
    viewer.open_study()
    listed = viewer.series()
    for number, text in enumerate((text for text in listed if text.startswith("SEG")), start=1):
        viewer.open_study()
        viewer.open_segmentation(_description(text))
        for label in viewer.segments():
            viewer.go_to_segment(label)
            yield _saved(viewer, out / f"seg{number}-{label.replace(' ', '-')}.png")
    for text in (text for text in listed if text.startswith("SR AI spine report (research)")):
        viewer.open_study()
        viewer.open_report(_description(text))
        for number in range(1, groups + 1):
            yield _saved(viewer, out / f"sr-{number:02}.png")
            viewer.next_group()


def _description(text: str) -> str:
    """The series description in a line of the list: what stands between modality and number."""
    return text.split(" ", 1)[1].split(" S:")[0]


def _saved(viewer: Viewer, path: Path) -> Path:
    viewer.save(path)
    return path


if __name__ == "__main__":
    main()
