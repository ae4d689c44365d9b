"""Heights of every vertebral body in its own frame, and the vertebral fractures that they show.

The order of the steps: find each body and its surfaces; measure heights and endplates; leave out masks that
are no single vertebra and levels that were treated; expect heights from norms and neighbours; grade; name
what else could look like it; ask the network of :mod:`operators.fractures.second_opinion` about what was measured.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from models.anatomy import Level
from operators.body.core import Core, body_core
from operators.body.discs import DiscSpace, disc_space
from operators.body.endplates import BodySurfaces
from operators.body.frame import Body
from operators.body.instance_faults import instance_faults, possible_collapse
from operators.body.locate import bodies_of, measurable_body, surfaces_of
from operators.fractures.deformity import deformity_of
from operators.fractures.endplate_depression import PlatePair, judged_endplates, plate_pair
from operators.fractures.expectation import MeasuredBody, expectations
from operators.fractures.grading import Expectation, HeightTriple, grade_heights
from operators.fractures.heights import EDGES_UNSEEN, BodyHeights, measure_heights
from operators.fractures.mimics import Evidence, name_mimics, neighbouring_discs
from operators.fractures.results import (
    DEFORMITY,
    DEFORMITY_INDEX,
    HEIGHTS,
    Deformity,
    Endplate,
    EndplateForm,
    Endplates,
    Mimic,
)
from operators.fractures.verdict import deformity_index
from operators.quality.gates import METAL_CM3, METAL_NEARBY_MM, metal_within
from operators.reading.case import Case
from operators.reading.quantity import Measured, Withheld
from operators.reading.reading import SpineReading
from operators.reading.reasons import Reason
from operators.reading.vertebra import Vertebra
from operators.terms.levels import GRADED


@dataclass(frozen=True)
class MeasuredVertebra:
    """One vertebra whose heights could be measured.

    Attributes:
        vertebra: As in the reading.
        body: Its heights.
        surfaces: Its endplates and walls.
        plates: How far the endplates are depressed.
        core: CT numbers of its middle.
    """

    vertebra: Vertebra
    body: BodyHeights
    surfaces: BodySurfaces
    plates: PlatePair
    core: Core | None

    @property
    def is_treated(self) -> bool:
        """True where cement fills the body: its shape says nothing about the bone."""
        return self.core is not None and self.core.is_cemented

    def heights_without_dents(self, endplates: Endplates) -> HeightTriple:
        """Heights as they would be without Schmorl nodes: a narrow dent is no lost height (docs/science.md §3.6)."""
        dents = [
            plate.focal_depth.value
            for plate in (endplates.superior, endplates.inferior)
            if isinstance(plate, Endplate) and plate.form is EndplateForm.FOCAL
            if isinstance(plate.focal_depth, Measured)
        ]
        three = self.body.measured.heights
        ceiling = max(three.middle, (three.anterior + three.posterior) / 2)
        return replace(three, middle=min(three.middle + sum(dents), ceiling))


def detect_fractures(case: Case) -> Case:
    """Measure the heights of every vertebra and grade T4–L4.

    Args:
        case: With a volume and a segmentation; without one nothing changes.

    Returns:
        The case with ``heights`` and ``deformity`` of every vertebra filled, withheld with a reason
        where they cannot be measured, and the deformity index. Never raises for a bad mask.
    """
    if case.segmentation is None:
        return case
    with warnings.catch_warnings():
        # Columns that miss the bone are NaN by design; their medians are NaN, not a problem.
        warnings.filterwarnings("ignore", "(All-NaN|Mean of empty|Degrees of freedom)", RuntimeWarning)
        bodies = bodies_of(case)
        found = _measured(case, bodies)
        found, discs = _with_discs(case, found)
        deformities = _with_second_opinions(case, bodies, _deformities(case, found, discs))
    vertebrae = tuple(_with_results(v, found[v.number], deformities) for v in case.reading.vertebrae)
    reading: SpineReading = case.reading.model_copy(update={"vertebrae": vertebrae})
    return replace(case, reading=reading.with_result(DEFORMITY_INDEX, deformity_index(vertebrae)))


def _measured(case: Case, bodies: Mapping[int, Body | Withheld]) -> dict[int, MeasuredVertebra | Withheld]:
    """Every vertebra of the reading by number, measured or with the reason why it is not."""
    whole = {number: body for number, body in bodies.items() if isinstance(body, Body)}
    # A body that the border cuts is lower than its neighbours for another reason.
    compared = {v.number: whole[v.number] for v in case.reading.vertebrae if v.complete and v.number in whole}
    order = [v.number for v in case.reading.vertebrae]
    faults = instance_faults(compared, order)
    found: dict[int, MeasuredVertebra | Withheld] = {}
    for v in case.reading.vertebrae:
        one = faults.get(v.number) or _measured_vertebra(case, v, bodies.get(v.number))
        if isinstance(one, Withheld) and one.code is EDGES_UNSEEN:
            one = possible_collapse(compared, order, v.number) or one
        found[v.number] = one
    return found


def _measured_vertebra(case: Case, vertebra: Vertebra, body: Body | Withheld | None) -> MeasuredVertebra | Withheld:
    gate = case.reading.withholding("heights")
    if gate is not None:
        return Withheld(code=gate.code, reason=gate.reason)
    body = measurable_body(vertebra, body)
    if isinstance(body, Withheld):
        return body
    if metal_within(case.volume, body.mask.points) > METAL_CM3:
        return Withheld(code=Reason.METAL, reason="Metal in the vertebral body hides its endplates.")
    surfaces = surfaces_of(case, body)
    heights = measure_heights(surfaces)
    if isinstance(heights, Withheld):
        return heights
    return MeasuredVertebra(vertebra, heights, surfaces, plate_pair(surfaces), body_core(case.volume, surfaces, body))


def _with_discs(
    case: Case, found: Mapping[int, MeasuredVertebra | Withheld]
) -> tuple[dict[int, MeasuredVertebra | Withheld], dict[int, DiscSpace]]:
    """The disc spaces by place of the vertebra above, and the vertebrae without those that bone has joined."""
    kept, discs = dict(found), {}
    numbers = [v.number for v in case.reading.vertebrae]
    for place, (above, below) in enumerate(pairwise(numbers)):
        upper, lower = found[above], found[below]
        if isinstance(upper, Withheld) or isinstance(lower, Withheld):
            continue
        space = disc_space(case.volume, upper.surfaces, lower.surfaces)
        discs[place] = space
        if space.is_bone:
            names = f"{upper.vertebra.level} and {lower.vertebra.level}"
            fused = Withheld(
                code=Reason.FUSED, reason=f"The disc between {names} is bone: no endplate is left to measure."
            )
            kept[above] = kept[below] = fused
    return kept, discs


def _deformities(
    case: Case, found: Mapping[int, MeasuredVertebra | Withheld], discs: Mapping[int, DiscSpace]
) -> dict[int, Deformity]:
    """Deformity of every graded vertebra, by number; treated levels neither get one nor serve as yardstick."""
    sound = {n: one for n, one in found.items() if isinstance(one, MeasuredVertebra) and not one.is_treated}
    endplates = judged_endplates({number: one.plates for number, one in sound.items()})
    bodies = {
        one.vertebra.level: replace(one.body.measured, heights=one.heights_without_dents(endplates[number]))
        for number, one in sound.items()
    }
    expected = expectations(bodies, case.reading.source.sex)
    evidence = _evidence(case, found, discs, endplates, bodies, expected)
    mimics = name_mimics(evidence)
    return {
        number: deformity_of(
            one.body.heights,
            bodies[one.vertebra.level],
            expected[one.vertebra.level],
            endplates[number],
            _of_level(mimics, one.vertebra.level),
        )
        for number, one in sound.items()
        if one.vertebra.level in GRADED
    }


def _with_second_opinions(
    case: Case, bodies: Mapping[int, Body | Withheld], deformities: Mapping[int, Deformity]
) -> dict[int, Deformity]:
    """The deformities with what the network says of the same bodies; it changes no grade."""
    if case.segmentation is None:
        return dict(deformities)
    # Imported where it is asked: torch takes seconds to import, and encoders and terminal do without it.
    from operators.fractures.second_opinion import second_opinions

    asked = [body for number in deformities if isinstance(body := bodies[number], Body)]
    opinions = second_opinions(case.volume, case.segmentation, asked)
    return {
        number: deformity.model_copy(update={"second_opinion": opinions.get(number)})
        for number, deformity in deformities.items()
    }


def _of_level(mimics: Mapping[Level, tuple[Mimic, ...]], level: Level) -> tuple[Mimic, ...]:
    return mimics.get(level, ())


def _evidence(
    case: Case,
    found: Mapping[int, MeasuredVertebra | Withheld],
    discs: Mapping[int, DiscSpace],
    endplates: Mapping[int, Endplates],
    bodies: Mapping[Level, MeasuredBody],
    expected: Mapping[Level, Expectation],
) -> list[Evidence]:
    """What is known of every measured, untreated vertebra, from head to feet."""
    order = [v.number for v in case.reading.vertebrae]
    treated = {n for n, one in found.items() if isinstance(one, MeasuredVertebra) and one.is_treated}
    evidence = []
    for place, number in enumerate(order):
        one = found[number]
        if isinstance(one, Withheld) or number not in endplates:
            continue
        level = one.vertebra.level
        points = one.surfaces.frame.to_patient(np.array([[0.0, 0.0, 0.0]]))
        evidence.append(
            Evidence(
                level=level,
                heights=bodies[level].heights,
                depth=bodies[level].depth,
                grading=grade_heights(bodies[level].heights, expected[level]),
                endplates=endplates[number],
                core=one.core,
                above=discs.get(place - 1),
                below=discs.get(place),
                metal_nearby=metal_within(case.volume, points, METAL_NEARBY_MM) > METAL_CM3,
                cement_nearby=bool(treated & set(order[max(0, place - 1) : place + 2])),
                discs=neighbouring_discs(discs, place),
            )
        )
    return evidence


def _with_results(
    vertebra: Vertebra, found: MeasuredVertebra | Withheld, deformities: Mapping[int, Deformity]
) -> Vertebra:
    if isinstance(found, Withheld):
        return vertebra.with_result(HEIGHTS, found).with_result(DEFORMITY, found)
    deformity: Deformity | Withheld
    if vertebra.level not in GRADED:
        deformity = Withheld(
            code=Reason.LEVEL_NOT_GRADED,
            reason="Vertebral fractures are graded from T4 to L4 only; the heights are given.",
        )
    elif found.is_treated:
        deformity = Withheld(
            code=Reason.CEMENT,
            reason="The body holds cement: a treated level, whose shape is not graded; the heights are given.",
        )
    else:
        deformity = deformities[vertebra.number]
    return vertebra.with_result(HEIGHTS, found.body.heights).with_result(DEFORMITY, deformity)
