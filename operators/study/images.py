"""Whether one image can be read at all, whatever lies beside it, and what a multi-frame one is as a stack."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from pydicom import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from operators.reading.reasons import Reason
from operators.study.header_values import number
from operators.study.problem import Problem
from operators.study.receive import Instance
from operators.study.spectrum import no_section
from operators.study.stacks import Stack

_SINGLE_FRAME = {CTImageStorage}
MULTI_FRAME = {EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage}
NOT_AXIAL_DEGREES = 30.0
"""Tilt from which slices are no axial ones."""


def is_ct(header: Dataset) -> bool:
    """Whether an object is a CT image by its SOP class."""
    return str(header.get("SOPClassUID", "")) in _SINGLE_FRAME | MULTI_FRAME


def instance_problem(instance: Instance) -> Problem | None:
    """Why an image cannot be a slice, whatever lies beside it."""
    header = instance.header
    if not is_ct(header):
        name = UID(str(header.get("SOPClassUID", ""))).name or "an unknown object"
        code = Reason.SECONDARY_CAPTURE if "Secondary Capture" in name else Reason.NOT_CT
        return Problem(code, f"it is not a CT image ({name})")
    return (
        no_section(header)
        or _check_grey(header)
        or _check_decoder(instance)
        or _check_hounsfield(header)
        or _check_frame_of_reference(header)
        or instance.problem
    )


def check_concatenation(instance: Instance, beside: Sequence[Instance]) -> Problem | None:
    """Why a multi-frame instance is only a part of a concatenation (PS3.3 C.7.6.16.2.2.4); None where it is whole."""
    whole, uid = number(instance.header, "InConcatenationTotalNumber"), instance.header.get("ConcatenationUID")
    if not uid or whole == 1:
        return None
    here = sum(other.header.get("ConcatenationUID") == uid for other in beside)
    of = f"{whole:.0f}" if whole else "an unknown number of"
    return Problem(
        Reason.CONCATENATION,
        f"its frames are spread over a concatenation, of which {here} of {of} parts are here, and parts are not "
        "joined: send it as one instance",
    )


def multi_frame_stack(instance: Instance) -> Stack | Problem:
    """The frames of an instance as a stack, or why they make none."""
    header = instance.header
    try:
        geometry = hd.Image.from_dataset(_with_pixel_placeholder(header)).get_volume_geometry()
    except (ValueError, AttributeError, KeyError, IndexError, TypeError) as error:
        return Problem(Reason.IRREGULAR_FRAMES, f"its frames do not make a volume ({type(error).__name__})")
    if geometry is None:
        return Problem(Reason.IRREGULAR_FRAMES, "its frames are not evenly spaced")
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
    if float(np.degrees(np.arccos(min(1.0, abs(normal[2]))))) > NOT_AXIAL_DEGREES:
        return Problem(Reason.NOT_AXIAL, "its frames are not axial: a reformat or another acquisition plane")
    return stack


def _with_pixel_placeholder(header: Dataset) -> Dataset:
    """A copy that highdicom takes for an image; its geometry needs no pixels."""
    copy = Dataset()
    copy.update(header)
    copy.file_meta = header.file_meta
    copy.PixelData = b""
    return copy


def _check_grey(header: Dataset) -> Problem | None:
    if number(header, "SamplesPerPixel") in (None, 1.0):
        return None
    return Problem(Reason.NOT_GREY, "its pixels are in colour, not CT numbers")


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
    return Problem(Reason.TRANSFER_SYNTAX, f"its transfer syntax {syntax} cannot be decoded here: send it uncompressed")


def _check_hounsfield(header: Dataset) -> Problem | None:
    if str(header.SOPClassUID) in MULTI_FRAME:
        return None  # per frame; checked when the frames are read
    if not number(header, "RescaleSlope") or number(header, "RescaleIntercept") is None:
        return Problem(Reason.NOT_HU, "it has no rescale slope and intercept: its pixels are not Hounsfield units")
    kind = str(header.get("RescaleType") or "HU").upper()
    if not kind.startswith(("HU", "HOU", "US")):
        return Problem(Reason.NOT_HU, "its rescale type is not HU")
    return None


def _check_frame_of_reference(header: Dataset) -> Problem | None:
    if header.get("FrameOfReferenceUID"):
        return None
    return Problem(Reason.NO_FRAME_OF_REFERENCE, "it has no Frame of Reference UID: results could not be placed on it")
