"""The bodies of one case and their surfaces: located and measured once, whoever asks.

Kept by the case and made when first asked for, not by a step of their own: which surfaces are needed depends on what
the quality gates leave to be measured, and each of them takes a fifth of a second.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import highdicom as hd

from operators.body.endplates import BodySurfaces, body_surfaces
from operators.body.frame import Body, locate_bodies
from operators.reading.case import Case
from operators.reading.quantity import Withheld
from operators.reading.reasons import Reason
from operators.reading.vertebra import Vertebra

LEAST_SURE = 0.5
"""Certainty of an outline below which it is as likely wrong as right, and nothing measured on it is published."""


def bodies_of(case: Case) -> Mapping[int, Body | Withheld]:
    """The body of every vertebra, by number, or why there is none; empty without a segmentation.

    Args:
        case: With a volume and a segmentation.
    """
    return {} if case.segmentation is None else case.once(locate_bodies, case.volume, case.segmentation)


def unfit_outline(vertebra: Vertebra) -> Withheld | None:
    """Reason why nothing can be measured on the outline of a vertebra, whatever it looks like; None if it is fit."""
    if not vertebra.complete:
        return Withheld(code=Reason.INCOMPLETE, reason="The vertebra is cut off by the border of the scanned volume.")
    if vertebra.sure < LEAST_SURE:
        reason = f"The segmentation is only {100 * vertebra.sure:.0f} % sure of this vertebra."
        return Withheld(code=Reason.LOW_CONFIDENCE, reason=reason)
    return None


def measurable_body(vertebra: Vertebra, body: Body | Withheld | None) -> Body | Withheld:
    """Body of a vertebra that can be measured on, or the reason why there is none.

    Args:
        vertebra: As in the reading.
        body: Its own, of :func:`bodies_of`; None where there is none.
    """
    unfit = unfit_outline(vertebra)
    if unfit is not None:
        return unfit
    if body is None:
        return Withheld(code=Reason.NO_BODY, reason="No vertebral body was found for this vertebra.")
    return body


def surfaces_of(case: Case, body: Body) -> BodySurfaces:
    """Endplates and walls of one of the case's bodies.

    Args:
        case: With a volume.
        body: As :func:`bodies_of` gives it.
    """
    return case.once(_surfaces, case.volume, body, case.reading.source.slice_thickness)


def _surfaces(volume: hd.Volume, body: Body, slice_thickness: float | None) -> BodySurfaces:
    with warnings.catch_warnings():
        # Columns that miss the bone are NaN by design; their medians are NaN, not a problem.
        warnings.filterwarnings("ignore", "(All-NaN|Mean of empty|Degrees of freedom)", RuntimeWarning)
        return body_surfaces(volume, body, slice_thickness)
