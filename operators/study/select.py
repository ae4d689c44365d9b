"""Second step: the one axial CT stack of the study that is read, and a reason for everything else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from pydicom import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
)

from operators.reading.errors import PermanentError, Refusal
from operators.reading.source import SeriesVerdict
from operators.study.acquisitions import kernel_of
from operators.study.grid import Slice, place
from operators.study.header_values import number
from operators.study.partition import Part, parts_of, what_lies_beyond, what_was_left
from operators.study.problem import Problem, counted, left_out
from operators.study.ranking import is_sharp, score, what_decided
from operators.study.receive import CONFLICT, Instance, Study
from operators.study.spectrum import no_section
from operators.study.stacks import Runs, Stack, with_remarks

__all__ = ["Selection", "is_sharp", "kernel_of", "select_series"]

_SINGLE_FRAME = {CTImageStorage}
_MULTI_FRAME = {EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage}
_NOT_AXIAL_DEGREES = 30.0
_FEWEST_SLICES = 10
_SHORTEST_EXTENT = 40.0
"""About one vertebra with its two discs, mm: below it nothing can be measured."""
_THICKEST = 5.5
"""Nominal 5 mm with rounding; docs/science.md §11.1 rejects above 5 mm."""
_FEWEST_LEFT = 0.5
"""Share of the slices of an acquisition that must be left where some are missing: there is a remedy for it."""


@dataclass(frozen=True)
class Selection:
    """What was chosen.

    Attributes:
        stack: The slices to read.
        verdicts: One for every series of the study, in the order of their numbers.
        remarks: Sentences on the study and the chosen series.
        study: The study that it was chosen from.
    """

    stack: Stack
    verdicts: tuple[SeriesVerdict, ...]
    remarks: tuple[str, ...]
    study: Study


def select_series(study: Study) -> Selection:
    """Choose the images from which the spine can be read best.

    Coverage, thin slices, a soft kernel, original pixels, no contrast and 120 kVp speak for a stack.

    Args:
        study: All instances of one study.

    Raises:
        PermanentError: No series can be read; the sentence says why for each.
    """
    series: dict[str, list[Instance]] = defaultdict(list)
    for instance in study.instances:
        series[str(instance.header.SeriesInstanceUID)].append(instance)
    _refuse_without_ct(study)
    judged = {uid: _judge(series[uid]) for uid in sorted(series, key=lambda uid: _order(uid, series[uid]))}
    candidates = {uid: found for uid, found in judged.items() if isinstance(found, Stack)}
    if not candidates:
        reasons = sorted({f"{p.code}: {p.reason}" for p in judged.values() if isinstance(p, Problem)})
        said = "; ".join([*reasons, *study.remarks])
        raise PermanentError(Refusal.NO_SUITABLE_SERIES, f"no series of the study can be read ({said})")
    best = max(candidates, key=lambda uid: score(candidates[uid]))  # the first of equals
    verdicts = tuple(_verdict(uid, series[uid], found, best, candidates[best]) for uid, found in judged.items())
    remarks = (*study.remarks, *candidates[best].remarks, *_beyond(candidates, best))
    return Selection(candidates[best], verdicts, remarks, study)


def _beyond(candidates: Mapping[str, Stack], best: str) -> Iterator[str]:
    """What of the body only a series that was not read shows: a finding on the spine does not speak of it."""
    for uid, stack in candidates.items():
        if uid != best and (more := what_lies_beyond(candidates[best], stack, _SHORTEST_EXTENT)):
            found = number(stack.header, "SeriesNumber")
            name = "A series without number" if found is None else f"Series {found:.0f}"
            yield f"{name} covers more of the body, {more}, and was not read."


def _order(uid: str, instances: Sequence[Instance]) -> tuple[bool, float, str]:
    found = number(instances[0].header, "SeriesNumber")
    return found is None, found or 0.0, uid


def _refuse_without_ct(study: Study) -> None:
    images = [instance for instance in study.instances if _is_ct(instance.header)]
    if images and all(instance.problem is CONFLICT for instance in images):
        said = "; ".join(study.remarks)
        raise PermanentError(
            Refusal.CONFLICTING_INSTANCES, f"the study has no CT image that its UID names alone ({said})"
        )
    if images:
        return
    counts: dict[str, int] = defaultdict(int)
    for instance in study.instances:
        counts[_class_name(instance.header)] += 1
    objects = ", ".join(f"{count} {name} objects" for name, count in sorted(counts.items()))
    kinds = ", ".join(sorted({str(i.header.get("Modality") or "?") for i in study.instances} - {"CT"}))
    said = f"{objects}; modalities: {kinds}" if kinds else objects
    raise PermanentError(Refusal.NO_CT, f"the study has no CT image ({said}): route the original CT images here")


def _class_name(header: Dataset) -> str:
    uid = str(header.get("SOPClassUID", ""))
    name = UID(uid).name if uid else "unnamed"
    return name.removesuffix(" Storage").removesuffix(" Image")


def _is_ct(header: Dataset) -> bool:
    return str(header.get("SOPClassUID", "")) in _SINGLE_FRAME | _MULTI_FRAME


def _judge(instances: Sequence[Instance]) -> Stack | Problem:
    """The best readable stack of a series, with a sentence on all else; or why it has none."""
    faulty: list[tuple[Dataset, Problem]] = []
    placed: list[Slice] = []
    stacks: list[Stack] = []
    for instance in instances:
        problem = _instance_problem(instance)
        found: Slice | Stack | Problem
        if problem is not None:
            found = problem
        elif str(instance.header.SOPClassUID) in _MULTI_FRAME:
            found = _check_concatenation(instance, instances) or _multi_frame(instance)
        else:
            found = place(instance)
        if isinstance(found, Problem):
            faulty.append((instance.header, found))
        elif isinstance(found, Stack):
            stacks.append(found)
        else:
            placed.append(found)
    best = _best_stack(placed, stacks)
    if isinstance(best, Stack):
        return with_remarks(best, *left_out(faulty))
    return best or _most_frequent(faulty)


def _most_frequent(faulty: Sequence[tuple[Dataset, Problem]]) -> Problem:
    """The problem of most instances, with their number where not all share it."""
    counts: dict[Problem, int] = defaultdict(int)
    for _, problem in faulty:
        counts[problem] += 1
    problem = max(counts, key=lambda found: counts[found])
    if len(counts) == 1:
        return problem
    return Problem(problem.code, f"{problem.reason} ({counts[problem]} of {counted(len(faulty), 'image')})")


def _instance_problem(instance: Instance) -> Problem | None:
    """Why an image cannot be a slice, whatever lies beside it."""
    header = instance.header
    if not _is_ct(header):
        name = UID(str(header.get("SOPClassUID", ""))).name or "an unknown object"
        code = "secondary-capture" if "Secondary Capture" in name else "not-ct"
        return Problem(code, f"it is not a CT image ({name})")
    return (
        no_section(header)
        or _check_grey(header)
        or _check_decoder(instance)
        or _check_hounsfield(header)
        or _check_frame_of_reference(header)
        or instance.problem
    )


def _best_stack(placed: Sequence[Slice], whole: Sequence[Stack]) -> Stack | Problem | None:
    """The best of the parts of a series and of its multi-frame instances; why there is none; None without any image."""
    parts = parts_of(placed) if placed else ()
    judged: list[tuple[Stack | Problem, Part | None]] = [(_large_enough(stack), None) for stack in whole]
    for part in parts:
        judged += [(found, part) for found in _stacks_of(part)]
    good = [(found, part) for found, part in judged if isinstance(found, Stack)]
    if not good:
        problems = [found for found, _ in judged if isinstance(found, Problem)]
        return problems[0] if len(parts) < 2 and problems else _of_largest(judged)
    chosen, own = max(good, key=lambda item: score(item[0]))  # the first of equals
    if own is None:
        return chosen
    rivals = [found for found, part in good if part is not None and part is not own and part.grid == own.grid]
    rival = max(rivals, key=score, default=None)
    decided = "no other can be read" if rival is None else what_decided(chosen, rival)
    remarks = own.runs.remarks if isinstance(own.runs, Runs) else ()
    return with_remarks(chosen, *remarks, *what_was_left(chosen, own, parts, decided))


def _of_largest(judged: Sequence[tuple[Stack | Problem, Part | None]]) -> Problem | None:
    problems = [(found, len(part.slices) if part else 0) for found, part in judged if isinstance(found, Problem)]
    return max(problems, key=lambda item: item[1])[0] if problems else None


def _stacks_of(part: Part) -> list[Stack | Problem]:
    """The runs of a part that can be read, or why there is none."""
    if _tilt_from_axial(part.slices[0]) > _NOT_AXIAL_DEGREES:
        return [Problem("not-axial", "its slices are not axial: a reformat or another acquisition plane")]
    if len(part.slices) < _FEWEST_SLICES:
        return [_too_few(len(part.slices))]
    if isinstance(part.runs, Problem):
        return [part.runs]
    judged = [_large_enough(stack) for stack in part.runs.stacks]
    good = [found for found in judged if isinstance(found, Stack)]
    problem = part.runs.problem
    if problem is None:
        return judged
    again = Problem(problem.code, f"{problem.reason}: send the study again") if problem.code == "gaps" else problem
    least = _FEWEST_LEFT * len(part.slices) if problem.code == "gaps" else 0
    return [stack for stack in good if stack.slices >= least] or [again]


def _too_few(slices: int) -> Problem:
    return Problem("too-few-slices", f"it has {slices} axial slice(s); at least {_FEWEST_SLICES} are needed")


def _check_concatenation(instance: Instance, beside: Sequence[Instance]) -> Problem | None:
    whole, uid = number(instance.header, "InConcatenationTotalNumber"), instance.header.get("ConcatenationUID")
    if not uid or whole == 1:
        return None
    here = sum(other.header.get("ConcatenationUID") == uid for other in beside)
    of = f"{whole:.0f}" if whole else "an unknown number of"
    return Problem(
        "concatenation",
        f"its frames are spread over a concatenation, of which {here} of {of} parts are here, and parts are not "
        "joined: send it as one instance",
    )


def _multi_frame(instance: Instance) -> Stack | Problem:
    header = instance.header
    try:
        geometry = hd.Image.from_dataset(_with_pixel_placeholder(header)).get_volume_geometry()
    except (ValueError, AttributeError, KeyError, IndexError, TypeError) as error:
        return Problem("irregular-frames", f"its frames do not make a volume ({type(error).__name__})")
    if geometry is None:
        return Problem("irregular-frames", "its frames are not evenly spaced")
    units = np.asarray(geometry.unit_vectors(), dtype=np.float64)
    normal, column, row = (tuple(float(v) for v in unit) for unit in units)
    stack = Stack(
        instances=(instance,),
        slices=int(geometry.spatial_shape[0]),
        spacing=float(geometry.spacing[0]),
        normal=(normal[0], normal[1], normal[2]),
        origin=(float(geometry.position[0]), float(geometry.position[1]), float(geometry.position[2])),
        orientation=(*row, *column),
    )
    if float(np.degrees(np.arccos(min(1.0, abs(normal[2]))))) > _NOT_AXIAL_DEGREES:
        return Problem("not-axial", "its frames are not axial: a reformat or another acquisition plane")
    return stack


def _with_pixel_placeholder(header: Dataset) -> Dataset:
    """A copy that highdicom takes for an image; its geometry needs no pixels."""
    copy = Dataset()
    copy.update(header)
    copy.file_meta = header.file_meta
    copy.PixelData = b""
    return copy


def _large_enough(stack: Stack) -> Stack | Problem:
    if stack.slices < _FEWEST_SLICES:
        return _too_few(stack.slices)
    if stack.extent < _SHORTEST_EXTENT:
        return Problem("too-short", f"it covers {stack.extent:.0f} mm; at least {_SHORTEST_EXTENT:.0f} mm are needed")
    if stack.spacing > _THICKEST:
        return Problem("too-thick", f"its slices are {stack.spacing:.1f} mm apart; at most 5 mm can be read")
    return stack


def _check_grey(header: Dataset) -> Problem | None:
    if number(header, "SamplesPerPixel") in (None, 1.0):
        return None
    return Problem("not-grey", "its pixels are in colour, not CT numbers")


def _check_decoder(instance: Instance) -> Problem | None:
    syntax = UID(instance.transfer_syntax)
    if not syntax:
        return None
    try:
        available = get_decoder(syntax).is_available if syntax.is_compressed else not syntax.is_private
    except (NotImplementedError, ValueError):
        available = False
    if available:
        return None
    return Problem("transfer-syntax", f"its transfer syntax {syntax} cannot be decoded here: send it uncompressed")


def _check_hounsfield(header: Dataset) -> Problem | None:
    if str(header.SOPClassUID) in _MULTI_FRAME:
        return None  # per frame; checked when the frames are read
    if not number(header, "RescaleSlope") or number(header, "RescaleIntercept") is None:
        return Problem("not-hu", "it has no rescale slope and intercept: its pixels are not Hounsfield units")
    kind = str(header.get("RescaleType") or "HU").upper()
    if not kind.startswith(("HU", "HOU", "US")):
        return Problem("not-hu", "its rescale type is not HU")
    return None


def _check_frame_of_reference(header: Dataset) -> Problem | None:
    if header.get("FrameOfReferenceUID"):
        return None
    return Problem("no-frame-of-reference", "it has no Frame of Reference UID: results could not be placed on it")


def _tilt_from_axial(one: Slice) -> float:
    return float(np.degrees(np.arccos(min(1.0, abs(float(one.normal[2]))))))


def _describe(stack: Stack) -> str:
    kernel = kernel_of(stack.header)
    return f"{stack.spacing:.2f} mm slices over {stack.extent:.0f} mm" + (f", kernel {kernel}" if kernel else "")


def _verdict(
    uid: str, instances: Sequence[Instance], judged: Stack | Problem, best: str, chosen: Stack
) -> SeriesVerdict:
    header = instances[0].header
    read = None
    if isinstance(judged, Problem):
        code, reason = judged.code, judged.reason
    elif uid == best:
        read = len(judged.instances)
        code, reason = "taken", f"it serves best: {_describe(judged)}, {read} of {counted(len(instances), 'instance')}"
    else:
        code = "second-best"
        why = what_decided(chosen, judged)
        reason = f"{_describe(judged)}; another series serves better: {_describe(chosen)}: {why}"
    found = number(header, "SeriesNumber")
    return SeriesVerdict(
        series_uid=uid,
        series_number=None if found is None else int(found),
        modality=str(header.get("Modality", "")),
        instances=len(instances),
        read=read,
        taken=uid == best,
        code=code,
        reason=reason,
    )
