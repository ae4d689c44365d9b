"""Second step: the one axial CT series of the study that is read, and a reason for every other one."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
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
from operators.study.receive import Instance, Study
from operators.study.stacks import Problem, Stack, make_even, split_into_stacks

_SINGLE_FRAME = {CTImageStorage}
_MULTI_FRAME = {EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage}
_NOT_AXIAL_DEGREES = 30.0
_FEWEST_SLICES = 10
_SHORTEST_EXTENT = 40.0
"""Shortest extent that is read, mm: about one vertebra with its two discs."""
_THICKEST = 5.5
"""Thickest slices that are read, mm: nominal 5 with rounding (docs/science.md §11.1)."""

_SHARP_KERNELS = re.compile(
    r"^(BONE|LUNG|EDGE|DETAIL|ULTRA|YC|YD|YE|FC3\d|FC5\d|FC8\d|B[6-9]\d|[BHIQ][rlvu]?[6-9]\d|L$|LUNG.*)",
    re.IGNORECASE,
)
"""Names of edge-enhancing kernels; used for ranking alone, never to withhold a number."""


@dataclass(frozen=True)
class Selection:
    """Chosen stack of slices, with a verdict on every series.

    Attributes:
        stack: The slices to read.
        verdicts: One for every series of the study, in the order of their numbers.
        remarks: Sentences on the study and the chosen series.
    """

    stack: Stack
    verdicts: tuple[SeriesVerdict, ...]
    remarks: tuple[str, ...]


def select_series(study: Study) -> Selection:
    """Choose the series from which the spine can be read best.

    Coverage, thin slices, a soft kernel, original pixels and 120 kVp speak for a series.

    Args:
        study: All instances of one study.

    Raises:
        PermanentError: No series can be read; the sentence says why for each.
    """
    series: dict[str, list[Instance]] = defaultdict(list)
    for instance in study.instances:
        series[str(instance.header.SeriesInstanceUID)].append(instance)
    if not any(_is_ct(i.header) for instances in series.values() for i in instances):
        kinds = ", ".join(sorted({str(i.header.get("Modality", "?")) for i in study.instances}))
        raise PermanentError(Refusal.NO_CT, f"the study has no CT image (modalities: {kinds}): route CT studies here")
    judged = {uid: _judge(instances) for uid, instances in series.items()}
    candidates = {uid: found for uid, found in judged.items() if isinstance(found, Stack)}
    if not candidates:
        reasons = "; ".join(sorted({f"{p.code}: {p.reason}" for p in judged.values() if isinstance(p, Problem)}))
        raise PermanentError(Refusal.NO_SUITABLE_SERIES, f"no series of the study can be read ({reasons})")
    best = max(candidates, key=lambda uid: (_score(candidates[uid]), uid))
    verdicts = [_verdict(uid, series[uid], judged[uid], best, candidates[best]) for uid in series]
    verdicts.sort(key=lambda verdict: (verdict.series_number is None, verdict.series_number, verdict.series_uid))
    return Selection(candidates[best], tuple(verdicts), (*study.remarks, *candidates[best].remarks))


def is_sharp(kernel: str | None) -> bool:
    """Whether a convolution kernel is known to enhance edges."""
    return bool(kernel and _SHARP_KERNELS.match(kernel))


def kernel_of(header: Dataset) -> str | None:
    """Convolution kernel as text; Siemens writes several values, the first is the kernel's name."""
    value = header.get("ConvolutionKernel")
    if value is None or value == "":
        return None
    return str(value) if isinstance(value, str) else str(next(iter(value), "")) or None


def _is_ct(header: Dataset) -> bool:
    return str(header.get("SOPClassUID", "")) in _SINGLE_FRAME | _MULTI_FRAME


def _judge(instances: Sequence[Instance]) -> Stack | Problem:
    """Best readable stack of a series, or the reason why it has none."""
    header = instances[0].header
    if not _is_ct(header):
        return _not_ct(header)
    for check in (_check_kind, _check_decoder, _check_hounsfield, _check_frame_of_reference):
        problem = check(header)
        if problem is not None:
            return problem
    whole = [instance for instance in instances if not instance.truncated]
    if not whole:
        return Problem("truncated", "its files break off before the end of the pixels: send it again")
    if str(header.SOPClassUID) in _MULTI_FRAME:
        return _judge_multi_frame(whole)
    placed = [i for i in whole if _has_place(i.header) and _check_hounsfield(i.header) is None]
    if not placed:
        return Problem("no-position", "its images say neither where they are nor how they lie")
    judged = [_judge_stack(stack, len(instances) - len(placed)) for stack in split_into_stacks(placed)]
    stacks = [stack for stack in judged if isinstance(stack, Stack)]
    if stacks:
        return max(stacks, key=_score)
    return next(problem for problem in judged if isinstance(problem, Problem))


def _judge_stack(stack: Stack, unusable: int) -> Stack | Problem:
    if _tilt_from_axial(stack.normal) > _NOT_AXIAL_DEGREES:
        return Problem("not-axial", "its slices are not axial: a reformat or another acquisition plane")
    if stack.slices < _FEWEST_SLICES:
        return Problem("too-few-slices", f"it has {stack.slices} axial slice(s); at least {_FEWEST_SLICES} are needed")
    even = make_even(stack)
    if isinstance(even, Problem):
        return even
    if unusable:
        even = Stack(
            even.instances,
            even.slices,
            even.spacing,
            even.normal,
            (
                *even.remarks,
                f"{unusable} file(s) of the series are truncated, or without position or rescaling: left out",
            ),
        )
    return _large_enough(even)


def _judge_multi_frame(instances: Sequence[Instance]) -> Stack | Problem:
    if len(instances) > 1:
        return Problem("several-multi-frame", f"it has {len(instances)} multi-frame instances instead of one")
    instance = instances[0]
    try:
        geometry = hd.Image.from_dataset(_with_pixel_placeholder(instance.header)).get_volume_geometry()
    except (ValueError, AttributeError, KeyError, IndexError) as error:
        return Problem("irregular-frames", f"its frames do not make a volume ({type(error).__name__})")
    if geometry is None:
        return Problem("irregular-frames", "its frames are not evenly spaced")
    normal = tuple(float(v) for v in np.asarray(geometry.unit_vectors()[0]))
    stack = Stack(
        (instance,),
        int(geometry.spatial_shape[0]),
        float(geometry.spacing[0]),
        (normal[0], normal[1], normal[2]),
    )
    if _tilt_from_axial(stack.normal) > _NOT_AXIAL_DEGREES:
        return Problem("not-axial", "its frames are not axial: a reformat or another acquisition plane")
    return _large_enough(stack)


def _with_pixel_placeholder(header: Dataset) -> Dataset:
    """Copy of a header that highdicom takes for an image, since geometry needs no pixels."""
    copy = Dataset()
    copy.update(header)
    copy.file_meta = header.file_meta
    copy.PixelData = b""
    return copy


def _large_enough(stack: Stack) -> Stack | Problem:
    if stack.slices < _FEWEST_SLICES:
        return Problem("too-few-slices", f"it has {stack.slices} axial slice(s); at least {_FEWEST_SLICES} are needed")
    if stack.extent < _SHORTEST_EXTENT:
        return Problem("too-short", f"it covers {stack.extent:.0f} mm; at least {_SHORTEST_EXTENT:.0f} mm are needed")
    if stack.spacing > _THICKEST:
        return Problem("too-thick", f"its slices are {stack.spacing:.1f} mm apart; at most 5 mm can be read")
    return stack


def _not_ct(header: Dataset) -> Problem:
    name = UID(str(header.get("SOPClassUID", ""))).name or "an unknown object"
    code = "secondary-capture" if "Secondary Capture" in name else "not-ct"
    return Problem(code, f"it is not a CT image ({name})")


def _check_kind(header: Dataset) -> Problem | None:
    image_type = [str(v).upper() for v in header.get("ImageType") or []]
    if "LOCALIZER" in image_type or "SCOUT" in image_type:
        return Problem("localizer", "it is a localizer")
    projections = {"MIP", "MINIP", "PROJECTION IMAGE", "VOLUME_RENDERED", "VRT", "SSD", "MAX_IP", "MIN_IP"}
    if projections & set(image_type):
        return Problem("projection", "its pixels are a projection, not a cross-section")
    if {"SCREEN SAVE", "DOSE", "PROT"} & set(image_type):
        return Problem("secondary-capture", "it is a picture of a screen")
    return None


def _check_decoder(header: Dataset) -> Problem | None:
    meta = getattr(header, "file_meta", None)
    syntax = UID(str(meta.get("TransferSyntaxUID", "") or "")) if meta is not None else UID("")
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
    if not _number(header, "RescaleSlope") or _number(header, "RescaleIntercept") is None:
        return Problem("not-hu", "it has no rescale slope and intercept: its pixels are not Hounsfield units")
    kind = str(header.get("RescaleType") or "HU").upper()
    if not kind.startswith(("HU", "HOU", "US")):
        return Problem("not-hu", "its rescale type is not HU")
    return None


def _check_frame_of_reference(header: Dataset) -> Problem | None:
    if header.get("FrameOfReferenceUID"):
        return None
    return Problem("no-frame-of-reference", "it has no Frame of Reference UID: results could not be placed on it")


def _has_place(header: Dataset) -> bool:
    try:
        return (
            bool(np.isfinite(np.array(header.ImagePositionPatient, dtype=float).reshape(3)).all())
            and float(np.linalg.norm(np.cross(*np.array(header.ImageOrientationPatient, dtype=float).reshape(2, 3))))
            > 0.9
            and bool((np.array(header.PixelSpacing, dtype=float).reshape(2) > 0).all())
            and int(header.Rows) > 0
            and int(header.Columns) > 0
        )
    except (AttributeError, TypeError, ValueError):
        return False


def _tilt_from_axial(normal: tuple[float, float, float]) -> float:
    return float(np.degrees(np.arccos(min(1.0, abs(normal[2])))))


def _score(stack: Stack) -> float:
    """Score of a stack for reading a spine; 100 mm of coverage count as much as 1 mm of thickness."""
    header = stack.header
    thickness = max(stack.spacing, _number(header, "SliceThickness") or 0.0)
    image_type = [str(v).upper() for v in header.get("ImageType") or []]
    kvp = _number(header, "KVP")
    return (
        min(stack.extent, 700.0) / 100.0
        - max(0.0, thickness - 1.5)
        - (1.0 if is_sharp(kernel_of(header)) else 0.0)
        - (0.5 if image_type[:1] == ["DERIVED"] else 0.0)
        - (0.5 if kvp not in (None, 120.0) else 0.0)
        - (0.25 if header.get("ContrastBolusAgent") else 0.0)
        - (1.0 if str(header.get("LossyImageCompression", "00")) == "01" else 0.0)
    )


def _number(header: Dataset, key: str) -> float | None:
    try:
        return float(header.get(key))
    except (TypeError, ValueError):
        return None


def _describe(stack: Stack) -> str:
    kernel = kernel_of(stack.header)
    return f"{stack.spacing:.2f} mm slices over {stack.extent:.0f} mm" + (f", kernel {kernel}" if kernel else "")


def _verdict(
    uid: str, instances: Sequence[Instance], judged: Stack | Problem, best: str, chosen: Stack
) -> SeriesVerdict:
    header = instances[0].header
    if isinstance(judged, Problem):
        code, reason = judged.code, judged.reason
    elif uid == best:
        code, reason = "taken", f"it serves best: {_describe(judged)}"
    else:
        code, reason = (
            "second-best",
            f"{_describe(judged)}; another series serves better: {_describe(chosen)}",
        )
    number = _number(header, "SeriesNumber")
    return SeriesVerdict(
        series_uid=uid,
        series_number=None if number is None else int(number),
        modality=str(header.get("Modality", "")),
        instances=len(instances),
        taken=uid == best,
        code=code,
        reason=reason,
    )
