"""How the patient lay, from the header of the images, and what that means for the angles."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import Dataset

from operators.curvature.results import Posture

_POSTURES = {"S": Posture.SUPINE, "P": Posture.PRONE, "DL": Posture.ON_THE_SIDE, "DR": Posture.ON_THE_SIDE}
"""By what follows ``HF`` or ``FF`` in Patient Position, PS3.3 C.7.3.1.1.2."""


def posture_of(slices: Sequence[Dataset]) -> Posture:
    """The posture that the first slice names; ``LYING`` where it names none."""
    position = str(slices[0].get("PatientPosition") or "") if slices else ""
    return _POSTURES.get(position[2:], Posture.LYING)


def posture_sentence(posture: Posture) -> str:
    """What the posture means, for the report."""
    said = "lying" if posture is Posture.LYING else f"lying {posture.value}"
    if posture is Posture.SUPINE:
        said = "supine"
    elif posture is Posture.PRONE:
        said = "prone"
    return f"Measured {said}, not standing: angles of a standing spine differ, and a scoliosis is larger."
