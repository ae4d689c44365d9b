"""The ``osteon`` command.

Exit status: 0 done; 1 a check failed, or the node broke; 2 it cannot be done, with the reason as one
sentence on standard error; 75 (EX_TEMPFAIL) not now, try again later.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from node import log
from node.delivering.profiles import PROFILES, Profile
from node.settings import Settings, load_settings
from operators.reading.errors import OsteonError, PermanentError, RetriableError
from operators.reading.messages import Message
from operators.reading.options import ReadingOptions

DONE = 0
FAILED = 1
IMPOSSIBLE = 2
LATER = 75


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status."""
    options = _parser().parse_args(arguments)
    try:
        settings = load_settings(options.config)
        log.configure("WARNING", settings.logs.format, sys.stderr)
        status: int = options.run(options, settings)
    except OsteonError as error:
        print(f"osteon: {error.sentence} [{error.code}]", file=sys.stderr)
        return LATER if isinstance(error, RetriableError) else IMPOSSIBLE
    except BrokenPipeError:  # the reader of our output has left (`osteon status | head`)
        return FAILED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="osteon", description="Receives CT by DICOM, reads the spine, sends SEG and SR back. Research use."
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings file (default: osteon.toml)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the node until SIGTERM")
    serve.set_defaults(run=_serve)

    check = commands.add_parser("check", help="try settings, disk, database, engine and every destination")
    check.set_defaults(run=_check)

    status = commands.add_parser("status", help="where every study stands, and why")
    status.add_argument("--json", action="store_true", help="for programs")
    status.add_argument("--study", metavar="UID", help="only this study")
    status.add_argument("--limit", type=_count, default=50, metavar="N", help="so many of the newest (50; 0: all)")
    status.add_argument("--offset", type=_count, default=0, metavar="N", help="pass over so many of the newest")
    status.set_defaults(run=_status)

    read = commands.add_parser("read", help="read one study from a folder")
    read.add_argument("study", type=Path, metavar="STUDY", help="folder with the study's files")
    read.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for SEG, SR and reading.json")
    read.add_argument(
        "--at",
        type=_time,
        metavar="TIME",
        help="time that the results carry, ISO 8601 (default: that of the newest file)",
    )
    read.add_argument(
        "--profile",
        choices=[str(profile) for profile in Profile],
        help="objects for one kind of viewer (default: for all destinations of the settings)",
    )
    read.add_argument(
        "--prior",
        type=Path,
        metavar="FILE",
        help="reading.json of an earlier study of the same patient, to be compared with",
    )
    read.add_argument("--quiet", action="store_true", help="no progress on standard error")
    read.set_defaults(run=_read)

    echo = commands.add_parser("echo", help="C-ECHO one destination")
    echo.add_argument("destination", help="its name in the settings")
    echo.set_defaults(run=_echo)

    resume = commands.add_parser("resume", help="take up a failed or given-up reading or delivery again")
    resume.add_argument("study", help="Study Instance UID")
    resume.set_defaults(run=_resume)

    calibrate = commands.add_parser("calibrate", help="fit a bone density calibration from a phantom's CT")
    _add_calibration(calibrate)
    return parser


def _add_calibration(calibrate: argparse.ArgumentParser) -> None:
    calibrate.add_argument("folder", type=Path, metavar="FOLDER", help="folder with the files of the phantom's CT")
    calibrate.add_argument(
        "--phantom", required=True, metavar="NAME", help="mindways, b-mas-200, …; a wrong one lists all"
    )
    calibrate.add_argument(
        "--rod",
        type=_place,
        action="append",
        default=[],
        metavar="COLUMN,ROW",
        help="centre of a rod in the slices, pixels from 0; one for each in the phantom's order (default: looked for)",
    )
    calibrate.add_argument(
        "--density",
        action="append",
        default=[],
        metavar="MINERAL[:WATER]",
        help="of a rod by the phantom's certificate, mg/cm3, as --density=-51.8:1012.2; one for each rod",
    )
    calibrate.add_argument("--name", help="of the entry (default: scanner, voltage and kernel)")
    calibrate.set_defaults(run=_calibrate)


# Imports are inside the commands: `osteon status` should not wait for what `osteon read` needs.


def _serve(options: argparse.Namespace, settings: Settings) -> int:
    from node.service import serve

    return serve(settings)


def _check(options: argparse.Namespace, settings: Settings) -> int:
    from node.check import findings

    is_ok = True
    for finding in findings(settings):
        is_ok = is_ok and finding.is_ok
        print(f"{'ok    ' if finding.is_ok else 'FAILED'}  {finding.subject}: {finding.sentence}", flush=True)
    return DONE if is_ok else FAILED


def _status(options: argparse.Namespace, settings: Settings) -> int:
    from node.status import Page, as_json, study_statuses, table

    page = Page(options.limit or None, options.offset, options.study)
    statuses = study_statuses(settings, page)
    print(json.dumps(as_json(statuses), indent=1) if options.json else table(statuses))
    if page.study is None and page.limit is not None and len(statuses) >= page.limit:
        print(f"the {page.limit} newest; older ones with --offset, all with --limit 0", file=sys.stderr)
    return DONE


def _read(options: argparse.Namespace, settings: Settings) -> int:
    from node.table import reading_table
    from node.work.reader import Reader, reader_command
    from operators.reading.job import Job
    from operators.reading.reading import SpineReading

    if not options.study.exists():
        raise PermanentError("no-files", f"{options.study} does not exist; name the folder with the study's files")
    if options.prior is not None and not options.prior.is_file():
        raise PermanentError("no-prior", f"{options.prior} does not exist; name the reading.json of the earlier study")
    at = options.at or Job.over_folder(options.study, options.out).at
    job = Job(
        study=options.study.resolve(),
        out=options.out.resolve(),
        at=at,
        engine=settings.reading.engine,
        options=_options(options, settings),
        prior=None if options.prior is None else options.prior.resolve(),
    )
    reader = Reader(reader_command(settings.reading.memory_gib), settings.reading.timeout_seconds)
    try:
        answer = reader.read(job, _silent if options.quiet else _tell)
    finally:
        reader.close()
    if answer.reading_path is not None:
        print(reading_table(SpineReading.model_validate_json(answer.reading_path.read_bytes())))
    messages = (job.out / message for message in Message)
    for path in (*(item.path for item in answer.objects), answer.reading_path, answer.picture_path, *messages):
        if path is not None and path.is_file():
            print(path)
    if answer.refusal is not None:
        raise answer.refusal
    return DONE


def _options(options: argparse.Namespace, settings: Settings) -> ReadingOptions:
    """What the reader is asked for: the site's choices, with the objects of a profile where one is named."""
    if options.profile is None:
        return settings.reading_options
    return settings.reading.options.model_copy(update={"kinds": PROFILES[Profile(options.profile)].kinds})


def _echo(options: argparse.Namespace, settings: Settings) -> int:
    from node.delivering.destinations import Destination
    from node.delivering.dicom import echo

    peer = settings.destinations.get(options.destination)
    if peer is None:
        known = ", ".join(sorted(settings.destinations)) or "none"
        sentence = f"no destination is called {options.destination!r}; the settings name: {known}"
        raise PermanentError("no-such-destination", sentence)
    if not isinstance(peer, Destination):
        raise PermanentError("no-dicom", f"the destination {options.destination} is no DICOM peer; try osteon check")
    echo(peer, settings.receiver.ae_title)
    print(f"{peer.ae_title} at {peer.host}:{peer.port} answers C-ECHO")
    return DONE


def _resume(options: argparse.Namespace, settings: Settings) -> int:
    from node.work.resume import resume_study

    for name in resume_study(settings, options.study):
        print(f"resumed {name}")
    return DONE


def _calibrate(options: argparse.Namespace, settings: Settings) -> int:
    from node.calibrate import as_toml, calibrate, chosen_phantom, rod_table

    phantom = chosen_phantom(options.phantom, options.density)
    entry, rods = calibrate(options.folder, phantom, places=options.rod, name=options.name)
    print(rod_table(phantom, rods), file=sys.stderr)
    print(as_toml(entry))
    return DONE


def _place(text: str) -> tuple[float, float]:
    try:
        column, row = (float(part) for part in text.split(","))
    except ValueError as error:
        msg = f"{text!r} is no place in a slice, such as 120,256"
        raise argparse.ArgumentTypeError(msg) from error
    return column, row


def _silent(step: str) -> None:
    """No progress is wanted."""


def _tell(step: str) -> None:
    print(f"… {step}", file=sys.stderr, flush=True)


def _count(text: str) -> int:
    if not text.isdecimal():
        msg = f"{text!r} is no number of studies, such as 50"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"{text!r} is no ISO 8601 time, such as 2026-01-31T12:00:00+00:00"
        raise argparse.ArgumentTypeError(msg) from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


if __name__ == "__main__":
    sys.exit(main())
