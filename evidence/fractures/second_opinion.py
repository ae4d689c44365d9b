"""A learned second opinion beside the morphometry, on bodies that it has never seen.

    python -m evidence.fractures.crops artefacts/evidence/second/pool
    python -m evidence.fractures.second_opinion --train 3
    python -m evidence.fractures.second_opinion

Both are asked about the very spines of ``evidence.fractures.simulated``, whose rows are read, and about
Schmorl nodes. The network that is asked was trained without the body. The rule that joins both was fixed before
anything was seen: the mean of the two logits of grade 2 or more.
"""

from __future__ import annotations

import argparse
import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import torch
from numpy.typing import NDArray

from evidence.evidence import KEPT, Row, RowFile, table, write_section
from evidence.fractures.anatomies import LABEL_MAPS, WITH_CT, Anatomy, load
from evidence.fractures.cases import NATIVE, THICK_MM, _ours, plans, simulated, sound, view
from evidence.fractures.crops import _bent, _node
from evidence.fractures.random_spines import Trial, built, random_spine
from evidence.fractures.rescan import Scan, Scanned, scanned
from evidence.fractures.roc import Scores, area, auc, difference
from evidence.fractures.simulated import DATA
from evidence.real.cases import reference_case
from models.anatomy import Level
from models.engine import SpineSegmentation
from models.fractures.network import FIELDS, FractureNetwork, ask
from models.fractures.training.train import Crops, read_pool, spoiled, train
from models.fractures.weights import export
from models.fractures.weights import load as load_network
from operators.body.frame import Body, locate_bodies
from operators.fractures.detect import detect_fractures
from operators.fractures.grading import MILD, MODERATE
from operators.fractures.results import Shape
from operators.fractures.second_opinion import Crop, straightened_crop
from operators.terms.levels import GRADED
from tests.operators.measured_case import case_of, phantom_case

Vector = NDArray[np.float64]
LEAST, MOST = 0.001, 0.999
"""Probabilities are kept within these before their logits are taken."""
METHODS = ("morphometry", "network", "both")
FOLDS = (("s0004",), ("s0012", "lumbar_3mm"), ("s0327", "l3_crop"), ("s0328",), ("chest_2p5mm",))
"""Bodies that are left out together; each group has real or drawn images of which others remain in training."""
PHANTOM, PHANTOMS = "phantom", range(7000, 7016)
"""Name and seeds; odd ones have a fracture."""


@dataclass(frozen=True)
class Asked:
    """One vertebra and what is said of it.

    Attributes:
        spine: Key of the spine.
        row: Row of the spine.
        level: The vertebra.
        is_target: True for the broken one.
        said: Probability of grade 2 or more by method; None where it says nothing.
        flagged: By the morphometry, as grade 2 or 3.
    """

    spine: str
    row: Row
    level: str
    is_target: bool
    said: Mapping[str, float | None]
    flagged: bool

    def score(self, method: str) -> float:
        """What the method ranks it by; nothing ranks last."""
        value = self.said[method]
        return -1.0 if value is None else value


def joined(morphometry: float | None, network: float | None) -> float | None:
    """Both probabilities as one: the mean of their logits; one alone where the other says nothing."""
    given = [np.clip(p, LEAST, MOST) for p in (morphometry, network) if p is not None]
    if not given:
        return None
    return float(1 / (1 + np.exp(-np.mean([np.log(p / (1 - p)) for p in given]))))


def crops_of(volume: hd.Volume, masks: SpineSegmentation, wanted: Sequence[Level]) -> dict[Level, Crop]:
    """Crops of the vertebrae whose bodies are found, in the frames that the product finds."""
    bodies = locate_bodies(volume, masks)
    found = {}
    for vertebra in masks.vertebrae:
        body = bodies[vertebra.number]
        if vertebra.level in wanted and isinstance(body, Body):
            found[vertebra.level] = straightened_crop(volume, masks.labels, masks.regions, body.frame)
    return found


def case_crops(folder: Path, cases: Path | None) -> Crops:
    """Crops of every simulated spine of the benchmark, made once."""
    path = folder / "case_crops.npz"
    if not path.exists():
        anatomies = _anatomies()
        rows = []
        for plan in plans(anatomies, 1):
            kept = None if cases is None else cases / f"{plan.key}.pickle"
            if kept is not None and kept.exists():
                _, spine, _ = pickle.loads(kept.read_bytes())
            else:
                spine, _ = simulated(plan, anatomies[plan.name], tuple(sound(anatomies[plan.name])))
            wanted = tuple(sound(anatomies[plan.name]))
            for level, crop in crops_of(spine.volume, spine.segmentation, wanted).items():
                rows.append({**crop, "key": plan.key, "name": plan.name, "level": level.value})
        _save(path, rows)
    return _crops(path)


def node_crops(folder: Path) -> tuple[Crops, list[Row]]:
    """Schmorl nodes in every sound vertebra: crops, and rows with what the morphometry says."""
    path = folder / "node_crops.npz"
    if not path.exists():
        rows = []
        for name, anatomy in _anatomies().items():
            for place, level in enumerate(sound(anatomy)):
                spine, slices = _with_node(anatomy, level, place)
                case = detect_fractures(case_of(spine.volume, spine.segmentation, slice_thickness=slices))
                ours = {v.level: _ours(v) for v in case.reading.vertebrae}[level]
                facts = {"name": name, "level": level.value, "slices": slices, "ours": json.dumps(ours)}
                crop = crops_of(spine.volume, spine.segmentation, (level,)).get(level)
                rows += [] if crop is None else [{**crop, **facts}]
        _save(path, rows)
    crops = _crops(path)
    return crops, [json.loads(text) for text in crops.facts["ours"].tolist()]


def unchanged_crops(folder: Path) -> tuple[Crops, list[Row | None]]:
    """Spines that nothing was done to: the CTs as they were scanned, and phantoms, images of another maker."""
    path = folder / "unchanged_crops.npz"
    if not path.exists():
        rows = []
        cases = [(name, reference_case(name), None) for name in WITH_CT]
        for seed in PHANTOMS:
            trial = Trial(seed, fractured=bool(seed % 2))
            cases.append((PHANTOM, phantom_case(built(trial, KEPT / "phantoms")), random_spine(trial).fracture))
        for name, case, fracture in cases:
            assert case.segmentation is not None
            read = {v.level: v for v in detect_fractures(case).reading.vertebrae}
            wanted = [level for level, v in read.items() if v.complete and level in GRADED]
            spacing = float(np.linalg.norm(case.volume.affine[:3, 0]))
            for level, crop in crops_of(case.volume, case.segmentation, wanted).items():
                loss = fracture[1].loss if fracture is not None and fracture[0] is level else 0.0
                facts = {"name": name, "level": level.value, "slices": spacing, "loss": loss}
                rows.append({**crop, **facts, "ours": json.dumps(_ours(read[level]))})
        _save(path, rows)
    crops = _crops(path)
    return crops, [json.loads(text) for text in crops.facts["ours"].tolist()]


def _with_node(anatomy: Anatomy, level: Level, place: int) -> tuple[Scanned, float]:
    rng = np.random.default_rng([level.rank, place, 9])
    bent = _bent(anatomy, level, rng, _node(anatomy, anatomy.stands[level], rng))
    pixel, spacing = NATIVE.get(anatomy.name, (0.8, 1.0))
    noise, blur = (18.0, 0.9) if anatomy.drawn else (0.0, 0.0)
    how = Scan(pixel, THICK_MM if place % 3 == 0 else spacing, blur, noise, int(rng.integers(2**31)))
    return scanned(anatomy, bent, view(anatomy, level), how), how.spacing


def _anatomies() -> dict[str, Anatomy]:
    return {name: load(name, DATA, KEPT / "atlases", 0) for name in (*LABEL_MAPS, *WITH_CT)}


def _save(path: Path, rows: Sequence[Row]) -> None:
    part = path.with_suffix(".part.npz")
    np.savez(part, **{key: np.array([row[key] for row in rows]) for key in rows[0]})
    part.rename(path)


def _crops(path: Path) -> Crops:
    whole = dict(np.load(path))
    hu, own, others = (torch.from_numpy(whole.pop(key)) for key in FIELDS)
    return Crops(hu, own, others, whole)


def held_out(crops: Crops, folder: Path) -> Vector:
    """Probability of grade 2 or more, by the networks that were trained without the body of each crop."""
    found = np.full(len(crops.hu), np.nan)
    for name in np.unique(crops.facts["name"]).tolist():
        own = crops.facts["name"] == name
        groups = FOLDS if name == PHANTOM else (fold_of(name),)
        logits = np.mean([asked(load_network(_file(group, folder)), crops.of(own))[:, 1] for group in groups], axis=0)
        found[own] = 1 / (1 + np.exp(-logits))
    return found


def asked(network: FractureNetwork, crops: Crops) -> Vector:
    """Logits and loss ``(n, 4)``."""
    parts = [ask(network, *(p[i : i + 64] for p in (crops.hu, crops.own, crops.others))) for i in _starts(crops)]
    return np.asarray(torch.cat(parts).numpy(), float)


def _starts(crops: Crops) -> range:
    return range(0, len(crops.hu), 64)


def fold_of(name: str) -> tuple[str, ...]:
    """The group that a body is left out with."""
    return next(group for group in FOLDS if name in group)


def _file(group: Sequence[str], folder: Path) -> Path:
    return folder / f"{'+'.join(group)}.pt"


def train_folds(folder: Path, minutes: float) -> None:
    """A network for each group, which has never seen its bodies."""
    crops = read_pool(folder / "pool")
    for number, group in enumerate(FOLDS):
        if not _file(group, folder).exists():
            seen = crops.of(~np.isin(crops.facts["name"], group))
            export(train(seen, minutes, number), _file(group, folder))


def vertebrae(rows: Sequence[Row], crops: Crops, network: Vector) -> list[Asked]:
    """Fractures of a known loss of grade 1 or more, sound bodies of intact spines, and sound neighbours."""
    said = {(k, x): float(p) for k, x, p in zip(crops.facts["key"], crops.facts["level"], network, strict=True)}
    found = []
    for row in rows:
        for level in row["sound"]:
            is_target = bool(row["shape"]) and level == row["level"]
            if level not in row["ours"] or (is_target and (row["losses"] is None or row["grade"] == 0)):
                continue
            ours = row["ours"][level]
            morphometry = None if ours is None else float(ours["probability"] + 1e-5 * (ours["loss"] or 0.0))
            second = said.get((row["key"], level))
            both = joined(None if ours is None else ours["probability"], second)
            flagged = ours is not None and (ours["grade"] or 0) >= 2
            opinions = {"morphometry": morphometry, "network": second, "both": both}
            found.append(Asked(row["key"], row, level, is_target, opinions, flagged))
    return found


def sick_and_sound(given: Sequence[Asked], least: int = 2) -> tuple[list[Asked], list[Asked]]:
    """Broken vertebrae of grade 2 and 3 (or of grade 1 alone), and the bodies of intact spines."""
    sick = [a for a in given if a.is_target and (a.row["grade"] >= 2 if least == 2 else a.row["grade"] == 1)]
    return sick, [a for a in given if not a.row["shape"]]


def scores(given: Sequence[Asked], method: str, least: int = 2) -> Scores:
    """For the area under the curve."""
    sick, intact = sick_and_sound(given, least)
    return Scores(
        np.array([a.score(method) for a in sick]),
        np.array([a.score(method) for a in intact]),
        [a.spine for a in sick],
        [a.spine for a in intact],
    )


def area_table(given: Sequence[Asked]) -> str:
    """Areas of all three, and what network and both gain on the morphometry."""
    groups: list[tuple[str, Callable[[Asked], bool], int]] = [
        ("all, true grade ≥ 2", lambda a: True, 2),
        ("all, true grade 1 only", lambda a: True, 1),
        ("slices up to 3 mm", lambda a: a.row["slices"] <= 3.0, 2),
        ("slices of 5 mm", lambda a: a.row["slices"] > 3.0, 2),
        *((s.value, lambda a, s=s.value: a.row["shape"] in (None, s), 2) for s in Shape),  # type: ignore[misc]
        *((f"body {n}", lambda a, n=n: a.row["name"] == n, 2) for n in (*LABEL_MAPS, *WITH_CT)),  # type: ignore[misc]
    ]
    lines = []
    for name, keep, least in groups:
        three = [scores([a for a in given if keep(a)], method, least) for method in METHODS]
        if not three[0].sick.size or not three[0].sound.size:
            continue
        gains = [difference(one, three[0]) for one in three[1:]]
        lines.append((name, three[0].sick.size, three[0].sound.size, *map(area, three), *gains))
    header = ("cases", "fractures", "intact", *METHODS, "network − morphometry", "both − morphometry")
    return table(header, lines)


def flag_table(given: Sequence[Asked]) -> str:
    """Fractures of grade 2 or 3 that are called, beside the intact bodies and sound neighbours that are."""
    sick, intact = sick_and_sound(given)
    beside = [a for a in given if a.row["shape"] and not a.is_target]
    rules: list[tuple[str, Callable[[Asked], bool]]] = [
        ("morphometry, as graded", lambda a: a.flagged),
        ("as the report says it: so graded, or by the network alone", lambda a: a.flagged or a.score("network") >= 0.5),
        *((f"{m}, p ≥ 0.5", lambda a, m=m: a.score(m) >= 0.5) for m in METHODS),  # type: ignore[misc]
    ]
    allowed = sum(a.flagged for a in intact)
    for method in METHODS:
        bound = sorted((a.score(method) for a in intact), reverse=True)[allowed]
        name = f"{method}, as many intact called as graded so ({allowed})"
        rules.append((name, lambda a, m=method, b=bound: a.score(m) > b))  # type: ignore[misc]
    lines = []
    for name, rule in rules:
        parts = [[a for a in sick if (a.row["slices"] > 3.0) is thick] for thick in (False, True)]
        lines.append((name, *(_share(map(rule, group)) for group in (sick, *parts, intact, beside))))
    header = ("rule", "grade ≥ 2", "slices up to 3 mm", "slices of 5 mm", "intact", "sound neighbours")
    return table(header, lines)


def _share(found: Any) -> str:
    hits = list(found)
    return f"{sum(hits)} of {len(hits)} ({100 * sum(hits) / len(hits):.0f} %)" if hits else "–"


def calibration_table(given: Sequence[Asked]) -> str:
    """Brier score and reliability of the probabilities of grade 2 or more, among fractures and intact bodies."""
    lines = []
    for method in METHODS:
        known = [a for a in given if (a.is_target or not a.row["shape"]) and a.said[method] is not None]
        p = np.clip([a.score(method) for a in known], 0, 1)
        truth = np.array([a.is_target and a.row["grade"] >= 2 for a in known], float)
        cells = []
        for low in (0.0, 0.2, 0.4, 0.6, 0.8):
            inside = (p >= low) & ((p < low + 0.2) | (low == 0.8))
            n = int(inside.sum())
            cells.append(f"{p[inside].mean():.2f} → {truth[inside].mean():.2f} ({n})" if n else "–")
        lines.append((method, len(known), f"{((p - truth) ** 2).mean():.3f}", *cells))
    header = ("method", "bodies", "Brier", "0–0.2", "0.2–0.4", "0.4–0.6", "0.6–0.8", "0.8–1")
    return table(header, lines)


def node_table(crops: Crops, ours: Sequence[Row | None], network: Vector) -> str:
    """Schmorl nodes that are called fractures."""
    morphometry = [None if o is None else o["probability"] for o in ours]
    both = [joined(m, float(n)) for m, n in zip(morphometry, network, strict=True)]
    graded = [o is not None and (o["grade"] or 0) >= 2 for o in ours]
    lines = [("morphometry, as graded", _share(graded))]
    for name, said in zip(METHODS, (morphometry, network.tolist(), both), strict=True):
        lines.append((f"{name}, p ≥ 0.5", _share((p or 0.0) >= 0.5 for p in said)))
    return table(("rule", "Schmorl nodes called"), lines)


def unchanged_table(crops: Crops, ours: Sequence[Row | None], network: Vector) -> str:
    """What is called on spines that nothing was done to."""
    phantom, loss = crops.facts["name"] == PHANTOM, crops.facts["loss"]
    said = {
        "morphometry": [(o or {}).get("probability") or 0.0 for o in ours],
        "network": network.tolist(),
        "both": [joined((o or {}).get("probability"), float(n)) for o, n in zip(ours, network, strict=True)],
    }
    lines = []
    for name, kept in (
        ("CTs as scanned, reference masks", ~phantom),
        ("phantoms, intact", phantom & (loss < MILD)),
        ("phantoms, loss of 25 % and more", phantom & (loss >= MODERATE)),
    ):
        calls = (_share(p >= 0.5 for p, k in zip(said[method], kept, strict=True) if k) for method in METHODS)
        lines.append((name, *calls))
    return table(("p ≥ 0.5", *METHODS), lines)


def mask_table(rows: Sequence[Row], crops: Crops, network: Vector, folder: Path) -> str:
    """What the network owes to masks that are true: the same cases with spoiled masks and without any."""
    empty = replace(crops, own=torch.zeros_like(crops.own), others=torch.zeros_like(crops.others))
    lines = []
    for name, said in (
        ("true masks", network),
        ("masks too high, too low, shifted, at random", held_out(spoiled(crops), folder)),
        ("no masks", held_out(empty, folder)),
    ):
        given = vertebrae(rows, crops, said)
        lines.append((name, area(scores(given, "network")), area(scores(given, "both"))))
    return table(("the network is given", "AUC, network", "AUC, both"), lines)


def pool_sentence(folder: Path) -> str:
    """How the networks rank what was simulated for training, of bodies that they were not trained on."""
    crops = read_pool(folder / "pool")
    said, facts = held_out(crops, folder), crops.facts
    sick = said[facts["loss"] >= MODERATE]
    beside, nodes = said[np.isin(facts["kind"], ("intact", "neighbour"))], said[facts["kind"] == "node"]
    spines = len(np.unique(facts["seed"]))
    return (
        f"Training: {spines} other spines of the same seven bodies, {len(said)} crops. On those of the bodies left "
        f"out the network ranks {len(sick)} losses of 25 % and more above {len(beside)} sound bodies with an AUC of "
        f"{auc(sick, beside):.3f}, and above {len(nodes)} Schmorl nodes with {auc(sick, nodes):.3f}."
    )


def report(rows: Sequence[Row], folder: Path, cases: Path | None) -> str:
    """The section of the document."""
    crops = case_crops(folder, cases)
    network = held_out(crops, folder)
    given = vertebrae(rows, crops, network)
    dents, ours = node_crops(folder)
    unchanged = unchanged_crops(folder)
    parameters = sum(p.numel() for p in FractureNetwork().parameters())
    return "\n\n".join(
        [
            f"A network of {parameters} weights looks at five parasagittal planes of the straightened crop about a "
            "vertebra, 104 × 64 mm, with its neighbours; the masks only in cells of 4 mm. It was trained five times, "
            "each time without the bodies that it is asked about. Cases and truth are those of the section on "
            "simulated fractures. Both: the mean of the two logits, a rule fixed beforehand. A vertebra of which a "
            "method says nothing ranks last. Intervals: bootstrap over spines, differences on the same draws.",
            pool_sentence(folder),
            area_table(given),
            flag_table(given),
            "Calibration: mean probability → share of true grades ≥ 2 (bodies).",
            calibration_table(given),
            node_table(dents, ours, held_out(dents, folder)),
            unchanged_table(*unchanged, held_out(unchanged[0], folder)),
            mask_table(rows, crops, network, folder),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, default=KEPT / "second", help="of pool and networks")
    parser.add_argument("--cases", type=Path, help="folder of pickled spines; they are simulated without")
    parser.add_argument("--rows", type=Path, default=KEPT / "simulated.jsonl", help="rows of simulated_fractures")
    parser.add_argument("--train", type=float, help="only train, for as many minutes for each group")
    parser.add_argument("--prepare", action="store_true", help="only make the crops of the cases")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.train:
        train_folds(given.folder, given.train)
        return
    if given.prepare:
        case_crops(given.folder, given.cases)
        node_crops(given.folder)
        unchanged_crops(given.folder)
        return
    rows = RowFile(given.rows, "").newest().rows()
    text = report(rows, given.folder, given.cases)
    print(text)
    write_section("second-opinion", "A learned second opinion", "python -m evidence.fractures.second_opinion", text)


if __name__ == "__main__":
    main()
