"""Judge the names on whole CTs and on random short fields of view, from what the coarse network said of them.

    python -m models.vertebrae.evaluation.names DATA CACHE [--weights FOLDER …] [--crops 40] [--fit] [--out table.json]

What the network says is kept in CACHE (some 10 MB for each view), so that after a change of the naming the judgement
costs no network: a minute for 300 views. Of several weights each CT is judged by the first that has not seen it, see
:mod:`models.vertebrae.evaluation.evaluate`; a line says where none is.

``--fit`` fits how far each kind of evidence is believed (printed, to be written into ``numberings.Weights``) on all CTs
but chest_5mm, which decides nothing, and what a posterior is worth. The latter is written (``configs/confidence.json``)
only where no CT is judged by weights that have seen it, as names on those come out surer than they are elsewhere. The
table is then that of CTs left out of the fits, their posteriors as they are.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize

from models.anatomy import Level
from models.compute import Compute
from models.vertebrae.belief import DOUBTED_BELOW, Belief
from models.vertebrae.engine import coarse_input, look
from models.vertebrae.evaluation.calibration import Claims, fit_belief, reliability
from models.vertebrae.evaluation.evaluate import NEAR, random_crop
from models.vertebrae.evaluation.judges import Judges
from models.vertebrae.evaluation.references import NAMED, UNSEEN, Reference, read_reference
from models.vertebrae.evaluation.shape_prior import save
from models.vertebrae.maps import CoarseMaps
from models.vertebrae.names.candidates import gather
from models.vertebrae.names.numberings import WEIGHTS, Hypothesis, Weights, hypotheses, number
from models.vertebrae.names.shape import FEATURES, ShapePrior
from models.vertebrae.network import COARSE_SPACING
from models.vertebrae.weights import COARSE_FILE, FOLDER
from models.volume.orientation import Oriented
from models.weights import digest

Floats = npt.NDArray[np.floating[Any]]

LONGEST = 9
"""Most vertebrae of a random field of view."""


@dataclass(frozen=True)
class View:
    """A CT or a part of one.

    Attributes:
        ct: Which CT.
        tag: The same with the number of the part.
        truth: Level to the centre of its body, voxels of 3 mm.
        middles: Of each row's vertebrae, voxels of 3 mm, by the candidates that it keeps.
        every: All names that they may have.
    """

    ct: str
    tag: str
    truth: dict[Level, Floats]
    middles: dict[tuple[int, ...], list[Floats]]
    every: list[Hypothesis]


@dataclass(frozen=True)
class Claim:
    """What was said of one vertebra.

    Attributes:
        ct: Which CT.
        tag: Which view.
        truth: Its name.
        name: The name given, None where it was not found.
        posterior: Of that name.
        alternative: The second name.
    """

    ct: str
    tag: str
    truth: Level
    name: Level | None
    posterior: float
    alternative: Level | None


def keep(path: Path, maps: CoarseMaps, truth: dict[Level, Floats]) -> None:
    """Write what the network said of a view, in steps that change no name."""
    np.savez_compressed(
        path,
        classes=np.round(np.asarray(maps.classes, np.float32) * 255.0).astype(np.uint8),
        phase=np.round(np.clip(np.asarray(maps.phase, np.float32), -2.5, 2.5) * 50.0).astype(np.int8),
        offset=np.round(np.clip(maps.offset, -8000.0, 8000.0) * 4.0).astype(np.int16),
        levels=np.where(maps.levels > 5e-4, maps.levels, 0.0).astype(np.float16),
        truth=json.dumps({str(level): [float(x) for x in centre] for level, centre in truth.items()}),
    )


def kept(path: Path) -> tuple[CoarseMaps, dict[Level, Floats]]:
    """Read what :func:`keep` wrote."""
    stored = np.load(path)
    maps = CoarseMaps(
        (stored["classes"].astype(np.float32) / 255.0).astype(np.float16),
        (stored["phase"].astype(np.float32) / 50.0).astype(np.float16),
        stored["offset"].astype(np.float32) / 4.0,
        stored["levels"],
    )
    return maps, {Level(name): np.array(centre) for name, centre in json.loads(str(stored["truth"])).items()}


def fill(data: Path, cache: Path, judges: Judges, crops: int) -> Iterator[tuple[str, Path]]:
    """Ask the network for every view that is not in the cache yet; yields the CT and the file of each.

    Args:
        data: The data folder.
        cache: Where answers are kept, apart for each weights.
        judges: What judges each CT.
        crops: Random fields of view of every CT, beside the whole one.
    """
    compute = Compute.here()
    for place, name in enumerate(NAMED):
        engine = judges.engine(name)
        folder = cache / digest(judges.folder(name) / COARSE_FILE.name)[:12]
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / f"{name}_{part}.npz" for part in ("full", *(f"{i:03d}" for i in range(crops)))]
        if not all(file.exists() for file in files):
            reference = read_reference(data, name)
            for index, file in enumerate(files):
                if not file.exists():
                    rng = np.random.default_rng([index - 1, place]) if index else None
                    _ask(file, reference, rng, engine.coarse, compute)
        yield from ((name, file) for file in files if file.exists())


def _ask(file: Path, reference: Reference, rng: np.random.Generator | None, network: Any, compute: Compute) -> None:
    if rng is None:
        volume, levels = reference.volume, list(reference.centres)
    else:
        volume, levels = random_crop(reference, rng, LONGEST)
    oriented = Oriented.of(volume)
    prepared = coarse_input(oriented, [])
    if prepared is None:
        return
    hu, grid = prepared
    maps, _ = look(network, hu, compute)
    starts = np.array([axis.start for axis in grid.axes])
    spacing = np.array([axis.spacing for axis in oriented.grid.axes])
    truth = {}
    for level in levels:
        voxel = (oriented.volume.inverse_affine @ np.array([*reference.centres[level], 1.0]))[:3]
        truth[level] = (voxel * spacing - starts) / COARSE_SPACING
    keep(file, maps, truth)


def read_views(files: Sequence[tuple[str, Path]]) -> list[View]:
    """All views in which something like a vertebra was found."""
    prior = ShapePrior.load()
    views = []
    for ct, file in files:
        maps, truth = kept(file)
        if gathered := gather(maps, []):
            every = hypotheses(gathered.seen, gathered.rows, prior)
            views.append(View(ct, file.stem, truth, gathered.middles, every))
    return views


def fit_width(files: Sequence[tuple[str, Path]]) -> None:
    """Write into the prior what the measured width between pedicles has over the marked one.

    Of every level the mean over people; levels that no CT shows get the bias of their neighbours.

    Args:
        files: CT and cached answer of every view.
    """
    prior = ShapePrior.load()
    by_level: dict[Level, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    marked = prior.mean.reshape(len(prior.levels), -1)[:, FEATURES.index("width")]
    for ct, file in files:
        maps, truth = kept(file)
        gathered = gather(maps, [])
        if gathered is None:
            continue
        own = gathered.rows[0].kept
        widths = gathered.seen.shapes[own].values[:, FEATURES.index("width")]
        for level, centre in truth.items():
            distances = np.linalg.norm(np.array(gathered.middles[own]) - centre, axis=1) * COARSE_SPACING
            place = int(distances.argmin())
            # At the ends the border may cut what is measured.
            inner = 0 < place < len(own) - 1 and level in prior.levels and bool(np.isfinite(widths[place]))
            if inner and distances[place] <= NEAR:
                by_level[level][ct].append(float(widths[place] - marked[prior.levels.index(level)]))
    places = sorted(prior.levels.index(level) for level in by_level)
    means = [float(np.mean([np.mean(widths) for widths in by_level[prior.levels[place]].values()])) for place in places]
    save(replace(prior, width_bias=np.interp(np.arange(len(prior.levels)), places, means)))
    ShapePrior.load.cache_clear()


def claims_of(view: View, weights: Weights = WEIGHTS) -> list[Claim]:
    """What is said of every known vertebra of a view."""
    posterior = number(view.every, weights)
    centres = np.array(view.middles[posterior.best.row.kept])
    claims = []
    for level, centre in view.truth.items():
        distances = np.linalg.norm(centres - centre, axis=1) * COARSE_SPACING
        nearest = int(distances.argmin())
        if distances[nearest] > NEAR:
            claims.append(Claim(view.ct, view.tag, level, None, 0.0, None))
            continue
        found = posterior.vertebrae[nearest]
        claims.append(Claim(view.ct, view.tag, level, found.level, found.probability, found.alternative))
    return claims


def surprise(views: Sequence[View], weights: Weights) -> float:
    """Mean over the CTs of how improbable the truth was held: −log of the posterior of the right names."""
    by_ct: dict[str, list[float]] = defaultdict(list)
    for view in views:
        for claim in claims_of(view, weights):
            if claim.name is not None:
                # A wrong name leaves the truth what is left over, at most.
                chance = claim.posterior if claim.name is claim.truth else 0.5 * (1.0 - claim.posterior)
                by_ct[claim.ct].append(-float(np.log(max(chance, 1e-4))))
    return float(np.mean([np.mean(values) for values in by_ct.values()]))


_SHARES = {"shifted": 0.6, "far": 0.3, "lost": 0.3}
"""Upper bounds of the weights that are shares."""


def fit_weights(views: Sequence[View]) -> Weights:
    """The weights under which the truth of some views is least surprising; held near those in use by a weak prior."""
    names = [field.name for field in fields(Weights)]

    def free(weights: Weights) -> Floats:
        values = asdict(weights)
        return np.array([_free(name, values[name]) for name in names])

    start = free(WEIGHTS)

    def cost(values: Floats) -> float:
        return surprise(views, _bound(names, values)) + 0.02 * float(np.sum((values - start) ** 2))

    options = {"maxfev": 80, "xatol": 0.05, "fatol": 5e-4}
    return _bound(names, optimize.minimize(cost, start, method="Nelder-Mead", options=options).x)


def _free(name: str, value: float) -> float:
    """A weight as a number without bounds."""
    share = value / _SHARES[name] if name in _SHARES else 0.0
    return float(np.log(share / (1.0 - share)) if name in _SHARES else np.log(value))


def _bound(names: list[str], values: Floats) -> Weights:
    """The inverse of :func:`_free`."""
    bound = {
        name: round(float(_SHARES[name] / (1.0 + np.exp(-value)) if name in _SHARES else np.exp(value)), 3)
        for name, value in zip(names, values, strict=True)
    }
    return replace(WEIGHTS, **bound)


def claims_left_out(views: Sequence[View]) -> list[Claim]:
    """Claims of each CT under weights that were fitted on the other CTs."""
    claims: list[Claim] = []
    for ct in dict.fromkeys(view.ct for view in views):
        weights = fit_weights([view for view in views if view.ct not in (ct, UNSEEN)])
        claims.extend(claim for view in views if view.ct == ct for claim in claims_of(view, weights))
    return claims


def as_claims(claims: Sequence[Claim]) -> Claims:
    """The claims of vertebrae that were found, in columns."""
    found = [claim for claim in claims if claim.name is not None]
    return Claims(
        np.array([claim.ct for claim in found]),
        np.array([claim.posterior for claim in found]),
        np.array([claim.name is claim.truth for claim in found]),
    )


def table(claims: Sequence[Claim], probabilities: Sequence[float], judges: Judges) -> str:
    """How many vertebrae and fields of view are named right, doubted and wrong, by CT, as Markdown."""
    lines = [
        "| CT | views | right, sure | doubted, truth among two | doubted, neither | wrong, sure | views all right and "
        "sure | views with a wrong sure name |",
        "|---|---|---|---|---|---|---|---|",
    ]
    pairs = list(zip(claims, probabilities, strict=True))
    for ct in [*dict.fromkeys(claim.ct for claim in claims), "all"]:
        own = [pair for pair in pairs if ct in (pair[0].ct, "all")]
        kinds: dict[str, list[str]] = defaultdict(list)
        for claim, probability in own:
            kinds[claim.tag].append(_kind(claim, probability))
        every = [kind for view in kinds.values() for kind in view]
        shares = [f"{every.count(kind) / len(every):.1%}" for kind in ("right", "two", "neither", "wrong")]
        whole = sum(set(view) == {"right"} for view in kinds.values()) / len(kinds)
        wrong = sum("wrong" in view for view in kinds.values()) / len(kinds)
        mark = " (trained on)" if ct != "all" and judges.seen(ct) else ""
        lines.append(f"| {ct}{mark} | {len(kinds)} | {' | '.join(shares)} | {whole:.1%} | {wrong:.1%} |")
    return "\n".join(lines)


def _kind(claim: Claim, probability: float) -> str:
    if claim.name is not None and probability >= DOUBTED_BELOW:
        return "right" if claim.name is claim.truth else "wrong"
    return "two" if claim.name is not None and claim.truth in (claim.name, claim.alternative) else "neither"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--weights", type=Path, nargs="+", default=[FOLDER])
    parser.add_argument("--crops", type=int, default=40)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--fit-width", action="store_true", help="write the prior's bias of the measured width anew")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    judges = Judges(arguments.weights, fine=False)
    print(*judges.described(list(NAMED)), sep="\n")
    files = list(fill(arguments.data, arguments.cache, judges, arguments.crops))
    if arguments.fit_width:
        fit_width(files)
    views = read_views(files)
    if arguments.fit:
        claims = claims_left_out(views)
        worth = Belief()
        known = [view for view in views if view.ct != UNSEEN]
        weights = fit_weights(known)
        belief = fit_belief(as_claims([claim for view in known for claim in claims_of(view, weights)]))
        if not any(judges.seen(view.ct) for view in known):
            belief.save()
        print(f"fitted on all: {weights}, {belief}; each CT below by what was fitted on the others")
    else:
        worth = Belief.load()
        claims = [claim for view in views for claim in claims_of(view)]
    probabilities = [worth(claim.posterior) if claim.name else 0.0 for claim in claims]
    print(table(claims, probabilities, judges))
    found = [place for place, claim in enumerate(claims) if claim.name is not None]
    right = np.array([claims[place].name is claims[place].truth for place in found])
    said = reliability(np.array([probabilities[place] for place in found]), right)
    print(f"{said.count} vertebrae: Brier {said.brier:.3f}, calibration error {said.error:.3f}")
    if arguments.out:
        arguments.out.write_text(json.dumps([asdict(claim) for claim in claims], indent=1))


if __name__ == "__main__":
    main()
