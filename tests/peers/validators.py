"""Independent readers and validators of DICOM objects: dicom3tools, DCMTK, dcmqi.

Each warning that is let through is named here with its reason; everything else counts.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

TIMEOUT_S = 60

ALLOWED_BY_DCIODVFY: Mapping[str, str] = {
    r"CodingSchemeDesignator.* - Unrecognized defined term = <99OSTEON>": "it knows no private scheme",
    r"CodingSchemeUID.* - Unrecognized defined term = <2\.25\.": "the UID of the private scheme, likewise",
    r"ContributingEquipmentSequence.*/DeviceUID.* - Attribute is not present in standard DICOM IOD": (
        "younger than the dictionary of this dicom3tools (2022); IHE AIR asks for it"
    ),
    r"needed to build DICOMDIR": "Type 2: what the CT leaves empty stays empty in its results",
}
"""Warnings of dciodvfy that say nothing of the object, by pattern, with the reason."""

ALLOWED_BY_DCENTVFY: Mapping[str, str] = {
    r"<AccessionNumber> IE <(Series|Study)> versus <(Study|Series)>": (
        "its tables put Accession Number of an SR into the wrong entity"
    ),
    r"present in one instance but not the other - Element=<(\w+)> .* file <\S*ragged/ct/": (
        "Type 2: a CT without it gets results that have it, empty"
    ),
}
"""Findings of dcentvfy that say nothing of the objects, by pattern, with the reason."""


@dataclass(frozen=True)
class Findings:
    """What a validator said; what the allow-list names is counted apart."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    """Patterns of the allow-list that let something through, once for each line."""


def needs(tool: str) -> str:
    """Path of a command of the machine or of this environment; skips the test where there is none."""
    found = shutil.which(tool) or shutil.which(tool, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"{tool} is not installed")
    return found


def _run(command: Sequence[str | Path], check: bool = True) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TIMEOUT_S,
        check=False,
    )
    output = done.stdout + done.stderr
    assert not check or done.returncode == 0, f"{Path(str(command[0])).name} ended with {done.returncode}: {output}"
    return output


def sift(lines: Iterable[str], allowed: Mapping[str, str]) -> Findings:
    """Sort a validator's lines into errors, warnings and what an allow-list lets through."""
    errors, warnings, passed = [], [], []
    for line in lines:
        reason = next((pattern for pattern in allowed if re.search(pattern, line)), None)
        if reason is not None:
            passed.append(reason)
        else:
            (errors if line.startswith("Error") else warnings).append(line)
    return Findings(tuple(errors), tuple(warnings), tuple(passed))


def dciodvfy(path: Path) -> Findings:
    """Does the object keep to its information object definition (dicom3tools)?"""
    lines = _run([needs("dciodvfy"), "-new", path], check=False).splitlines()
    # It names the definition that it checks against; without one it has checked nothing.
    assert any(re.fullmatch(r"\w+", line) for line in lines), f"dciodvfy knows no definition for it: {lines}"
    return sift((line for line in lines if line.startswith(("Error", "Warning"))), ALLOWED_BY_DCIODVFY)


def dcentvfy(paths: Iterable[Path]) -> Findings:
    """Do the objects agree on patient, study and frame of reference (dicom3tools)?"""
    lines = _run([needs("dcentvfy"), *paths], check=False).splitlines()
    return sift((line for line in lines if line.strip()), ALLOWED_BY_DCENTVFY)


def dsrdump(path: Path) -> str:
    """The report as DCMTK's parser reads it; fails where it refuses the document."""
    return _run([needs("dsrdump"), "+U8", path])


def dcmqi_masks(path: Path, folder: Path) -> dict[str, tuple[NDArray[np.bool_], sitk.Image]]:
    """Mask and image of every segment by its label, as dcmqi (3D Slicer's reader) reads them.

    The array has the axes slices, rows, columns.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _run([needs("segimage2itkimage"), "--inputDICOM", path, "--outputDirectory", folder, "-t", "nrrd", "-p", "seg"])
    meta = json.loads((folder / "seg-meta.json").read_text())
    masks = {}
    for number, segments in enumerate(meta["segmentAttributes"], start=1):
        # Segments that do not overlap may share an image; one by itself has it for its own.
        image = sitk.ReadImage(str(folder / f"seg-{number}.nrrd"))
        array = sitk.GetArrayFromImage(image)
        for segment in segments:
            mask = array == segment["labelID"] if len(segments) > 1 else array > 0
            masks[segment["SegmentLabel"]] = (mask, image)
    return masks


def dcmqi_measurements(path: Path, folder: Path) -> list[dict[str, Any]]:
    """The measurement groups of a TID 1500 report, as dcmqi reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / "report.json"
    _run([needs("tid1500reader"), "--inputDICOM", path, "--outputMetadata", out])
    groups: list[dict[str, Any]] = json.loads(out.read_text())["Measurements"]
    return groups
