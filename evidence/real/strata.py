"""Heights, CT numbers and outlines on the network's masks beside reference masks, by how the CT was made.

    python -m evidence.real.strata [--weights FOLDER …]

The CTs with reference masks as they are, with slices of 5 mm, with 40 HU of noise and in a field of view of 130 mm
(:mod:`models.vertebrae.evaluation.strata`); image and reference are changed alike, so that what differs is the mask
alone.
Goals: heights within 1 mm, CT numbers within 5 HU. Vertebrae are matched by place, names are judged elsewhere.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from evidence.evidence import option, table, write_section
from evidence.real.cases import case_from, figures, read, reference_with_bodies
from models.anatomy import Region
from models.engine import SpineSegmentation, VertebraInstance
from models.vertebrae.engine import VertebraNetwork
from models.vertebrae.evaluation.agreement import dice
from models.vertebrae.evaluation.judges import Judges
from models.vertebrae.evaluation.references import Reference
from models.vertebrae.evaluation.strata import STRATA
from models.vertebrae.weights import FOLDER
from operators.fractures.results import HEIGHTS, Heights
from operators.quality.contrast_phase import Phase, contrast_phase
from operators.reading.case import Case
from operators.reading.quantity import Measured
from operators.reading.vertebra import Vertebra
from tests.operators.measured_case import case_of

CTS = ("lumbar_3mm", "l3_crop", "thorax_1p5mm", "chest_2p5mm")
AS_IT_IS = "as it is"
NEAR_MM = 15.0
"""Distance within which a found vertebra is the one of the reference."""
GOAL_MM, GOAL_HU = 1.0, 5.0


@dataclass
class Stratum:
    """One CT made in one way.

    Attributes:
        ct, change: Which, and how.
        seen: Whether the network was trained on this body; None where that is not known.
        phase: Contrast as the image shows it.
        voxels: Edges, slices first, mm.
        wanted, found: Vertebrae of the reference, and those that the network has near them.
        heights: Differences to the reference mask, mm.
        stated: Half-widths of the 95 % intervals that are given with these heights, mm.
        hu: The same, HU.
        lost: Heights and CT numbers that only the reference mask gives.
        whole, body: Dice of every found vertebra.
    """

    ct: str
    change: str
    seen: bool | None
    phase: Phase
    voxels: tuple[float, ...]
    wanted: int = 0
    found: int = 0
    heights: list[float] = field(default_factory=list)
    stated: list[float] = field(default_factory=list)
    hu: list[float] = field(default_factory=list)
    lost: list[int] = field(default_factory=lambda: [0, 0])
    whole: list[float] = field(default_factory=list)
    body: list[float] = field(default_factory=list)


def judged(reference: Reference, change: str, network: VertebraNetwork, seen: bool | None) -> Stratum:
    """Measure one CT with both kinds of masks."""
    true = case_from(reference)
    found = network.segment(true.volume)
    own = case_of(true.volume, found, slice_thickness=true.reading.source.slice_thickness)
    phase = contrast_phase(true.volume, found).phase
    edges = tuple(float(edge) for edge in true.volume.spacing)
    stratum = Stratum(reference.name, change, seen, phase, edges)
    _compare(stratum, true, own)
    return stratum


def _compare(stratum: Stratum, true: Case, own: Case) -> None:
    """Fill in the differences of all vertebrae that both cases have."""
    assert true.segmentation is not None
    assert own.segmentation is not None
    measured = {v.number: v for v in read(own)}
    for vertebra, instance in zip(read(true), true.segmentation.vertebrae, strict=True):
        stratum.wanted += 1
        partner = _nearest(instance, own.segmentation)
        first = figures(vertebra)
        second = None if partner is None else figures(measured[partner.number])
        heights = np.full(3, np.nan) if second is None else second.heights - first.heights
        hu = float("nan") if second is None else second.hu - first.hu
        stratum.lost[0] += int((np.isfinite(first.heights) & ~np.isfinite(heights)).sum())
        stratum.lost[1] += int(np.isfinite(first.hu) and not np.isfinite(hu))
        stratum.heights += [float(h) for h in heights if np.isfinite(h)]
        if partner is not None:
            stratum.stated += list(_half_widths(measured[partner.number])[np.isfinite(heights)])
        stratum.hu += [hu] if np.isfinite(hu) else []
        if partner is None:
            continue
        stratum.found += 1
        whole, body = _dice(true.segmentation, instance.number, own.segmentation, partner.number)
        stratum.whole.append(whole)
        stratum.body.append(body)


def _half_widths(vertebra: Vertebra) -> np.ndarray:
    """Of the 95 % intervals of Ha, Hm, Hp, mm; NaN where they are withheld."""
    h = vertebra.of(HEIGHTS)
    three = (h.anterior, h.middle, h.posterior) if isinstance(h, Heights) else (None,) * 3
    return np.array([q.uncertainty or 0.0 if isinstance(q, Measured) else np.nan for q in three])


def _nearest(instance: VertebraInstance, found: SpineSegmentation) -> VertebraInstance | None:
    place = np.array(instance.centroid)
    near = [(float(np.linalg.norm(np.array(v.centroid) - place)), v.number, v) for v in found.vertebrae]
    best = min(near, default=None)
    return best[2] if best is not None and best[0] <= NEAR_MM else None


def _dice(true: SpineSegmentation, number: int, own: SpineSegmentation, partner: int) -> tuple[float, float]:
    """Of the whole vertebra and of its body."""
    first, second = true.labels.array == number, own.labels.array == partner
    bodies = [mask & (s.regions.array == Region.BODY) for mask, s in ((first, true), (second, own))]
    return dice(first, second), dice(bodies[0], bodies[1])


HEADER = (
    "vertebrae found", "heights", "median mm", "largest mm", "within 1 mm", "within the stated interval", "CT numbers",
    "median HU", "largest HU", "within 5 HU", "only on the reference mask: heights / HU", "Dice whole", "Dice body",
)  # fmt: skip


def line(strata: Sequence[Stratum]) -> tuple[object, ...]:
    """The figures of one or several strata together."""
    heights = np.abs([h for s in strata for h in s.heights])
    stated = np.array([w for s in strata for w in s.stated])
    hu = np.abs([h for s in strata for h in s.hu])
    lost = [sum(s.lost[i] for s in strata) for i in (0, 1)]
    dices = ([d for s in strata for d in part(s)] for part in (lambda s: s.whole, lambda s: s.body))
    return (
        f"{sum(s.found for s in strata)} of {sum(s.wanted for s in strata)}",
        *_spread(heights, GOAL_MM, 2),
        f"{(heights <= stated).sum()} of {heights.size}" if heights.size else "–",
        *_spread(hu, GOAL_HU, 1),
        f"{lost[0]} / {lost[1]}",
        *(f"{np.mean(d):.3f}" if d else "–" for d in dices),
    )


def _spread(values: np.ndarray, goal: float, digits: int) -> tuple[object, ...]:
    """How many, median, largest, and how many within the goal."""
    if not values.size:
        return 0, "–", "–", "–"
    within = f"{(values <= goal).sum()} of {values.size}"
    return values.size, f"{np.median(values):.{digits}f}", f"{values.max():.{digits}f}", within


HOW = """The reference masks are changed like the image, so that a difference is that of the masks alone, not of the
scan. Contrast is what the image shows of the vessels. Slices of 5 mm are means of thinner ones. Reference masks are
made by models, not by people; T12's body on thorax_1p5mm is split from its arch by geometry. Vertebrae are matched by
place; one that is withheld on both masks counts nowhere."""


def report(strata: Sequence[Stratum], weights: Sequence[str]) -> str:
    """The section of the document; ``weights`` says what was judged."""
    names = {s.ct: _name(s) for s in strata if s.change == AS_IT_IS}
    rows = [(f"{names.get(s.ct, s.ct)}, {s.change} ({_voxels(s)})", *line([s])) for s in strata]
    apart: list[tuple[str, Callable[[Stratum], bool]]] = [
        (f"{word}, {change}", lambda s, c=change, k=kind: s.seen is k and s.change == c)
        for word, kind in (("left out of training", False), ("training not known", None))
        for change in (AS_IT_IS, *STRATA)
    ]
    enhanced = {s.ct: s.phase for s in strata if s.change == AS_IT_IS}
    for word, wanted in (("native", (Phase.NATIVE,)), ("enhanced", (Phase.VENOUS, Phase.ARTERIAL))):
        apart.append((f"{word}, as it is", lambda s, w=wanted: s.change == AS_IT_IS and enhanced[s.ct] in w))
    groups = [(name, *line(own)) for name, belongs in apart if (own := [s for s in strata if belongs(s)])]
    return "\n\n".join(
        [
            "\n".join(f"- {said}" for said in weights),
            " ".join(HOW.split()),
            table(("CT", *HEADER), rows),
            "Together (a CT counts by its vertebrae):",
            table(("CTs", *HEADER), groups),
        ]
    )


def _name(stratum: Stratum) -> str:
    contrast = {Phase.NATIVE: "native", Phase.UNKNOWN: "contrast not to be told"}.get(stratum.phase, "enhanced")
    if stratum.phase.enhanced:
        contrast = f"enhanced, {stratum.phase.value}"
    return f"{stratum.ct} ({contrast}{'; trained on' if stratum.seen else ''})"


def _voxels(stratum: Stratum) -> str:
    return f"{stratum.voxels[0]:.1f} mm slices"


def strata_of(name: str) -> Iterable[tuple[str, Reference]]:
    """A CT as it is and made in every other way that changes it."""
    reference = reference_with_bodies(name)
    yield AS_IT_IS, reference
    for change, made in STRATA.items():
        changed = made(reference)
        same = changed.volume.spatial_shape == reference.volume.to_patient_orientation("HPL").spatial_shape
        if not same or change.startswith(("noise", "bowed")):
            yield change, changed


def main() -> None:
    """Measure and write the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cts", nargs="*", default=list(CTS))
    parser.add_argument("--weights", type=Path, nargs="+", default=[FOLDER], help="folders of coarse.pt and fine.pt")
    given = parser.parse_args()
    judges = Judges(given.weights)
    strata: list[Stratum] = []
    for name in given.cts:
        for change, reference in strata_of(name):
            strata.append(judged(replace(reference, name=name), change, judges.engine(name), judges.seen(name)))
            print(name, change, *line(strata[-1:]), flush=True)
    text = report(strata, judges.described(list(given.cts)))
    print(text)
    write_section("real-strata", "Real masks by field of view, slices, contrast, noise and lean", _command(given), text)


def _command(given: argparse.Namespace) -> str:
    options = option("weights", given.weights, [FOLDER]) + option("cts", given.cts, CTS)
    return f"python -m evidence.real.strata{options}"


if __name__ == "__main__":
    main()
