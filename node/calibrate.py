"""``osteon calibrate``: a calibration in mg/cm3 from the CT of a phantom, as an entry for the settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from pydantic import ValidationError

from operators.density.calibrated import study_day
from operators.density.calibration import PHANTOMS, BonePhantom, Rod
from operators.density.phantom_rods import PhantomReading, find_rods, measure_rods
from operators.reading.calibration_entry import GOOD_R_SQUARED, LEAST_R_SQUARED, CalibrationEntry
from operators.reading.case import Case
from operators.reading.errors import PermanentError
from operators.reading.job import Job
from operators.reading.provenance import Provenance
from operators.reading.source import SourceSeries, Spectrum
from operators.study.load import load_volume
from operators.study.receive import receive_study
from operators.study.select import select_series


def calibrate(
    folder: Path,
    phantom: BonePhantom,
    *,
    places: Sequence[tuple[float, float]] = (),
    name: str | None = None,
) -> tuple[CalibrationEntry, PhantomReading]:
    """Read a phantom scan and fit its calibration.

    Args:
        folder: With the files of one study of the phantom.
        phantom: The phantom, with the densities of its certificate where there is one.
        places: Column and row of each rod's centre in the slices; none to look for them.
        name: Of the entry; else made of scanner, voltage and kernel.

    Raises:
        PermanentError: The scan cannot be read, lacks what an entry needs, or its rods give no calibration.
    """
    case = _phantom_case(folder)
    source = case.reading.source
    _check_source(source)
    reading = measure_rods(case.volume, phantom, places) if places else find_rods(case.volume, phantom)
    if reading.fit.r_squared < LEAST_R_SQUARED:
        msg = f"the rods do not lie on one line (R2 {reading.fit.r_squared:.3f}): check phantom, order and places"
        raise PermanentError("calibration-fit", msg)
    try:
        entry = CalibrationEntry(
            name=name or _name(source),
            phantom=phantom.name,
            material=phantom.material,
            slope=round(reading.fit.slope, 6),
            intercept=round(reading.fit.intercept, 4),
            r_squared=round(reading.fit.r_squared, 6),
            manufacturer=source.manufacturer or "",
            model=source.model or "",
            kvp=source.kvp or 0.0,
            kernel=source.kernel,
            scanned=study_day(case.slices[0]),
        )
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))} = {e['input']!r}: {e['msg']}" for e in error.errors())
        raise PermanentError("calibration-fit", f"the scan gives no credible calibration ({wrong})") from error
    return entry, reading


def chosen_phantom(name: str, densities: Sequence[str]) -> BonePhantom:
    """A phantom by name, with the densities of its certificate in place of the nominal ones where given.

    Args:
        name: One of :data:`operators.density.calibration.PHANTOMS`.
        densities: ``MINERAL`` or, for Mindways, ``MINERAL:WATER`` of every rod, mg/cm3; none for the nominal ones.

    Raises:
        PermanentError: The phantom is not known, or the densities do not fit it.
    """
    if name not in PHANTOMS:
        raise PermanentError("no-such-phantom", f"no phantom is called {name!r}; known: {', '.join(PHANTOMS)}")
    phantom = PHANTOMS[name]
    if not densities:
        return phantom
    form = "MINERAL:WATER" if phantom.is_mindways else "MINERAL"
    try:
        rods = tuple(Rod(*(float(part) for part in text.split(":"))) for text in densities)
    except (TypeError, ValueError) as error:
        raise PermanentError("densities", f"--density must be {form} in mg/cm3 for {name}: {error}") from error
    if any((rod.water is None) == phantom.is_mindways for rod in rods):
        raise PermanentError("densities", f"--density must be {form} for each rod of {name}")
    return replace(phantom, rods=rods)


def as_toml(entry: CalibrationEntry) -> str:
    """The entry as a table to be put into the settings file."""
    lines = ["[[reading.options.calibrations]]"]
    for key, value in entry.model_dump(mode="python", exclude_none=True).items():
        said = f"{value:.10g}" if isinstance(value, float) else value.isoformat() if isinstance(value, date) else None
        lines.append(f"{key} = {said if said is not None else _quoted(str(value))}")
    return "\n".join(lines)


def rod_table(phantom: BonePhantom, reading: PhantomReading) -> str:
    """What was measured, one line per rod, for the person who checks it."""
    rows = [f"{'rod':>3}  {'mg/cm3':>8}  {'HU':>8}  {'SD':>5}  {'column':>7}  {'row':>7}"]
    for number, (rod, found) in enumerate(zip(phantom.rods, reading.rods, strict=True), start=1):
        rows.append(
            f"{number:>3}  {rod.mineral:>8.2f}  {found.hounsfield:>8.1f}  {found.deviation:>5.1f}"
            f"  {found.column:>7.1f}  {found.row:>7.1f}"
        )
    fit = reading.fit
    rows.append(f"mg/cm3 of {phantom.material} = {fit.slope:.5f} * HU {fit.intercept:+.2f}, R2 {fit.r_squared:.5f}")
    if fit.r_squared < GOOD_R_SQUARED:
        rows.append("The rods do not lie well on one line: check the order of the rods and the certificate.")
    return "\n".join(rows)


def _phantom_case(folder: Path) -> Case:
    if not folder.exists():
        raise PermanentError("no-files", f"{folder} does not exist; name the folder with the phantom's files")
    nobody = Provenance(pipeline="", engine="", engine_version="", engine_digest="")
    job = Job(study=folder, out=folder, at=datetime(2000, 1, 1, tzinfo=UTC))
    return load_volume(job, select_series(receive_study(folder)), nobody)


def _check_source(source: SourceSeries) -> None:
    lacking = [
        name
        for name, value in (
            ("Manufacturer", source.manufacturer),
            ("Manufacturer's Model Name", source.model),
            ("KVP", source.kvp),
        )
        if not value
    ]
    if lacking:
        msg = f"the phantom's images do not say {' and '.join(lacking)}: without it no scan could be matched"
        raise PermanentError("calibration-scanner", msg)
    if source.spectrum is not Spectrum.CONVENTIONAL:
        msg = f"the phantom's images are {source.spectrum}; send conventional images of it"
        raise PermanentError("calibration-spectrum", msg)


def _name(source: SourceSeries) -> str:
    parts = (source.model or "", f"{source.kvp:g}kv", source.kernel or "")
    return re.sub(r"[^a-z0-9]+", "-", " ".join(parts).lower()).strip("-")[:64]


def _quoted(text: str) -> str:
    escaped = "".join(f"\\u{ord(c):04x}" if ord(c) < 0x20 or c in '"\\\x7f' else c for c in text)
    return f'"{escaped}"'
