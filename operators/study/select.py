"""Second step: the one axial CT stack of the study that is read, and a reason for everything else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset
from pydicom.uid import (
    UID,
)

from operators.reading.errors import PermanentError, Refusal
from operators.reading.reasons import Reason
from operators.reading.source import SeriesVerdict
from operators.study.acquisitions import kernel_of
from operators.study.grid import Slice, place
from operators.study.header_values import number
from operators.study.images import (
    MULTI_FRAME,
    NOT_AXIAL_DEGREES,
    check_concatenation,
    instance_problem,
    is_ct,
    multi_frame_stack,
)
from operators.study.partition import Part, parts_of, what_lies_beyond, what_was_left
from operators.study.problem import Problem, counted, left_out, named
from operators.study.ranking import is_sharp, score, what_decided
from operators.study.receive import CONFLICT, Instance, Study
from operators.study.stacks import Runs, Stack, with_remarks

__all__ = ["Selection", "is_sharp", "kernel_of", "select_series"]

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
    images = [instance for instance in study.instances if is_ct(instance.header)]
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


def _judge(instances: Sequence[Instance]) -> Stack | Problem:
    """The best readable stack of a series, with a sentence on all else; or why it has none."""
    faulty: list[tuple[Dataset, Problem]] = []
    placed: list[Slice] = []
    stacks: list[Stack] = []
    for instance in instances:
        problem = instance_problem(instance)
        found: Slice | Stack | Problem
        if problem is not None:
            found = problem
        elif str(instance.header.SOPClassUID) in MULTI_FRAME:
            found = check_concatenation(instance, instances) or multi_frame_stack(instance)
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
    if best is None:
        return _most_frequent(faulty)
    return Problem(best.code, "; ".join([best.reason, *(said.rstrip(".") for said in left_out(faulty))]))


def _most_frequent(faulty: Sequence[tuple[Dataset, Problem]]) -> Problem:
    """The problem of most instances, with their number, and their names where not all share it."""
    concerned: dict[Problem, list[Dataset]] = defaultdict(list)
    for header, problem in faulty:
        concerned[problem].append(header)
    problem = max(concerned, key=lambda found: len(concerned[found]))
    headers = concerned[problem]
    if len(concerned) == 1:
        return Problem(problem.code, f"{problem.reason} ({counted(len(headers), 'image')})")
    share = f"{len(headers)} of {counted(len(faulty), 'image')}"
    return Problem(problem.code, f"{problem.reason} ({share}) {named(headers)}")


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
    if _tilt_from_axial(part.slices[0]) > NOT_AXIAL_DEGREES:
        return [Problem(Reason.NOT_AXIAL, "its slices are not axial: a reformat or another acquisition plane")]
    if len(part.slices) < _FEWEST_SLICES:
        return [_too_few(len(part.slices))]
    if isinstance(part.runs, Problem):
        return [part.runs]
    judged = [_large_enough(stack) for stack in part.runs.stacks]
    good = [found for found in judged if isinstance(found, Stack)]
    problem = part.runs.problem
    if problem is None:
        return judged
    again = Problem(problem.code, f"{problem.reason}: send the study again") if problem.code is Reason.GAPS else problem
    least = _FEWEST_LEFT * len(part.slices) if problem.code is Reason.GAPS else 0
    return [stack for stack in good if stack.slices >= least] or [again]


def _too_few(slices: int) -> Problem:
    return Problem(Reason.TOO_FEW_SLICES, f"it has {slices} axial slice(s); at least {_FEWEST_SLICES} are needed")


def _large_enough(stack: Stack) -> Stack | Problem:
    if stack.slices < _FEWEST_SLICES:
        return _too_few(stack.slices)
    if stack.extent < _SHORTEST_EXTENT:
        return Problem(
            Reason.TOO_SHORT, f"it covers {stack.extent:.0f} mm; at least {_SHORTEST_EXTENT:.0f} mm are needed"
        )
    if stack.spacing > _THICKEST:
        return Problem(Reason.TOO_THICK, f"its slices are {stack.spacing:.1f} mm apart; at most 5 mm can be read")
    return stack


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
        code, reason = (
            Reason.TAKEN,
            f"it serves best: {_describe(judged)}, {read} of {counted(len(instances), 'instance')}",
        )
    else:
        code = Reason.SECOND_BEST
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
