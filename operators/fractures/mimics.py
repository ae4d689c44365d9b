"""Other explanations of a vertebra's shape, named so that whoever reads can weigh them (docs/science.md §3.6).

A mimic never removes a finding by itself; what it says goes beside the grade. Levels that were treated or
that hold metal are withheld before they come here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import atan, degrees

import numpy as np

from models.anatomy import Level
from operators.body.core import Core
from operators.body.discs import DiscSpace
from operators.fractures.grading import Grading, HeightTriple
from operators.fractures.results import Endplate, EndplateForm, Endplates, Mimic, MimicCode, Shape

SCHEUERMANN_DEG, SCHEUERMANN_RUN = 5.0, 3
"""Wedge angle and number of adjacent thoracic vertebrae (Sørensen's criterion; docs/science.md §3.6 [V]): it
decides nothing but a note, and only together with a dented plate."""
NARROW_DISC = 0.5
"""Height of a disc over that of the patient's discs nearby below which its space is lost. A working value."""
LESION_HU = 50.0
"""Difference to both neighbours that speaks for a lesion (docs/science.md §2.4)."""
CALLUS_HU = 150.0
"""The same for a body that has lost height: a compacted fracture is denser than its neighbours."""
UNEVEN = 2.0
"""Standard deviation over that of the neighbours that speaks for a lesion (docs/science.md §2.4)."""
UNEVEN_LEAST_HU = 40.0
SEVERE_GRADE = 3
"""So much height is lost in no short vertebra and at no Schmorl node: such explanations end below."""
NOTED_LOSS = 0.10
"""Height loss from which an explanation of a low height is worth a sentence."""


@dataclass(frozen=True)
class Evidence:
    """What is known of one vertebra when its mimics are named.

    Attributes:
        level: Its name.
        heights: Ha, Hm, Hp, mm.
        depth: Distance of the anterior and posterior height line, mm.
        grading: Its height loss.
        endplates: Their depressions.
        core: The middle of the body.
        above, below: The disc spaces.
        metal_nearby: True with metal within 3 cm.
    """

    level: Level
    heights: HeightTriple
    depth: float
    grading: Grading
    endplates: Endplates
    core: Core | None = None
    above: DiscSpace | None = None
    below: DiscSpace | None = None
    metal_nearby: bool = False
    cement_nearby: bool = False
    discs: Sequence[float] = field(default=())

    @property
    def wedge_angle(self) -> float:
        """Angle between the plates, degrees, positive where the front is lower."""
        return degrees(atan((self.heights.posterior - self.heights.anterior) / max(self.depth, 1.0)))

    @property
    def dents(self) -> tuple[tuple[str, Endplate], ...]:
        """Plates with a narrow dent, by name."""
        plates = (("superior", self.endplates.superior), ("inferior", self.endplates.inferior))
        return tuple((n, p) for n, p in plates if isinstance(p, Endplate) and p.form is EndplateForm.FOCAL)


def name_mimics(spine: Sequence[Evidence]) -> dict[Level, tuple[Mimic, ...]]:
    """The mimics of every vertebra.

    Args:
        spine: From head to feet.
    """
    run = _scheuermann(spine)
    found: dict[Level, tuple[Mimic, ...]] = {}
    for place, one in enumerate(spine):
        mimics = [
            *_dent(one),
            *run.get(one.level, ()),
            *_degenerative(one),
            *_short(one),
            *_lesion(one, spine[max(0, place - 2) : place], spine[place + 1 : place + 3]),
            *_foreign(one),
        ]
        found[one.level] = tuple(mimics)
    return found


def _dent(one: Evidence) -> list[Mimic]:
    said = [
        f"{name} endplate {plate.focal_depth.value:.1f} mm deep"
        for name, plate in one.dents
        if plate.focal_depth.kind == "measured"
    ]
    if not said:
        return _partly_sunk(one)
    sentence = f"A narrow dent ({', '.join(said)}), as of a Schmorl node, does not count as lost height."
    return [Mimic(code=MimicCode.SCHMORL, sentence=sentence)]


def _partly_sunk(one: Evidence) -> list[Mimic]:
    """A wide dent of one plate: in a fracture of the middle height both explanations stay open."""
    forms = [p.form for p in (one.endplates.superior, one.endplates.inferior) if isinstance(p, Endplate)]
    if one.grading.grade >= SEVERE_GRADE or one.grading.shape is not Shape.BICONCAVE:
        return []
    if sorted(forms) != [EndplateForm.CONCAVE, EndplateForm.EVEN]:
        return []
    sentence = (
        "Only one endplate is depressed, the other is in place: by its shape a large Schmorl node cannot be told "
        "from a fracture of the endplate."
    )
    return [Mimic(code=MimicCode.SCHMORL, sentence=sentence)]


def _scheuermann(spine: Sequence[Evidence]) -> dict[Level, list[Mimic]]:
    found: dict[Level, list[Mimic]] = {}
    run: list[Evidence] = []
    for one in [*spine, None]:
        wedged = one is not None and one.level.region == "T" and one.wedge_angle >= SCHEUERMANN_DEG
        if one is not None and wedged and (not run or one.level.rank == run[-1].level.rank + 1):
            run.append(one)
            continue
        if len(run) >= SCHEUERMANN_RUN and any(member.dents for member in run):
            sentence = (
                f"{run[0].level} to {run[-1].level} are wedged by {SCHEUERMANN_DEG:.0f}° or more each, with a dented "
                "endplate among them: Scheuermann's disease is as likely as fractures."
            )
            for member in run:
                found[member.level] = [Mimic(code=MimicCode.SCHEUERMANN, sentence=sentence)]
        run = [one] if one is not None and wedged else []
    return found


def _degenerative(one: Evidence) -> list[Mimic]:
    usual = float(np.median(one.discs)) if len(one.discs) >= 3 else None
    if usual is None or one.grading.wedge < NOTED_LOSS:
        return []
    lost = [disc for disc in (one.above, one.below) if disc is not None and disc.height < NARROW_DISC * usual]
    if not lost:
        return []
    sentence = (
        f"The disc beside it is {lost[0].height:.1f} mm high where {usual:.1f} mm are usual nearby: "
        "degenerative wedging is possible."
    )
    return [Mimic(code=MimicCode.DEGENERATIVE, sentence=sentence)]


def _short(one: Evidence) -> list[Mimic]:
    sunk = [p.form for p in (one.endplates.superior, one.endplates.inferior) if isinstance(p, Endplate)]
    if one.grading.shape is not Shape.CRUSH or not sunk or EndplateForm.CONCAVE in sunk:
        return []
    if one.grading.grade >= SEVERE_GRADE:
        return []
    if min(one.heights.anterior, one.heights.middle) < 0.8 * one.heights.posterior:
        return []
    sentence = "All heights are low and neither endplate is depressed: a short vertebra is possible."
    return [Mimic(code=MimicCode.SHORT, sentence=sentence)]


def _lesion(one: Evidence, above: Sequence[Evidence], below: Sequence[Evidence]) -> list[Mimic]:
    cores = [part.core for side in (above[::-1], below) for part in side[:1] if part.core is not None]
    if one.core is None or len(cores) < 2:
        return []
    core, lost = one.core, one.grading.loss >= NOTED_LOSS
    lower = min(other.mean for other in cores) - core.mean
    higher = core.mean - max(other.mean for other in cores)
    usual = max(other.deviation for other in cores)
    uneven = core.deviation > max(UNEVEN * usual, UNEVEN_LEAST_HU) and not lost
    dark = min(other.low for other in cores) - core.low > core.high - max(other.high for other in cores)
    if lower > LESION_HU or (uneven and dark):
        sentence = (
            f"The middle of the body has {core.mean:.0f} ± {core.deviation:.0f} HU, its neighbours "
            f"{min(other.mean for other in cores):.0f} HU or more: a lytic lesion, a haemangioma or a fracture "
            "through a lesion must be ruled out."
        )
        return [Mimic(code=MimicCode.LYTIC, sentence=sentence)]
    if higher > (CALLUS_HU if lost else LESION_HU) or uneven:
        sentence = (
            f"The middle of the body has {core.mean:.0f} ± {core.deviation:.0f} HU, its neighbours "
            f"{max(other.mean for other in cores):.0f} HU or less: a sclerotic lesion or a bone island is possible."
        )
        return [Mimic(code=MimicCode.SCLEROTIC, sentence=sentence)]
    return []


def _foreign(one: Evidence) -> list[Mimic]:
    mimics = []
    if one.metal_nearby:
        sentence = "Metal within 3 cm: a treated level, and edges beside metal are less certain."
        mimics.append(Mimic(code=MimicCode.HARDWARE, sentence=sentence))
    if one.cement_nearby:
        sentence = "The next vertebra holds cement; fractures beside treated levels are common."
        mimics.append(Mimic(code=MimicCode.CEMENT_NEARBY, sentence=sentence))
    if any(disc is not None and disc.is_bridged for disc in (one.above, one.below)):
        sentence = "Bone bridges the disc beside it in front, as in DISH or ankylosis."
        mimics.append(Mimic(code=MimicCode.FUSED, sentence=sentence))
    return mimics


def neighbouring_discs(discs: Mapping[int, DiscSpace], place: int) -> tuple[float, ...]:
    """Heights of the discs near a vertebra but not beside it, mm.

    Args:
        discs: By place of the vertebra above the disc, places counted from the head.
        place: Of the vertebra.
    """
    near = [key for key in discs if key not in (place - 1, place) and abs(key - place) <= 4]
    return tuple(discs[key].height for key in near if np.isfinite(discs[key].height))
