"""The facts of a reading, from ``reading.json`` as plain JSON: what every encoding says, or is excused from saying.

Facts are found by their shape: ``{"kind": "measured", …}``, ``{"kind": "withheld", …}``, and every other leaf that is
not named in :data:`NO_FACTS`. So a number that a new biomarker adds is a fact from its first day, with no line here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

LEVEL = re.compile(r"(?:C[1-7]|T1[0-3]?|T[2-9]|L[1-6]|S1)")
DECIMALS = {"cm2": 2, "cm3": 2, "g/cm2": 3}
"""Decimals that are published, by UCUM unit; one for every other."""

NO_FACTS: Mapping[str, str] = {
    "source": "What was read, not what was found; the images say it themselves.",
    "series": "Which series were read is told by its sentence and tested with the series selection.",
    "provenance": "What read it, not what was found.",
    "number": "The segment's number: its place in another object.",
    "centroid": "A place in the images, drawn and not told.",
    "outline": "A place in the images (of a region), or how sure a mask is: the confidence is told.",
    "lines": "Places in the images, drawn and not told.",
    "deepest": "A place in the images, drawn and not told.",
    "voxels": "The volume says the same in cm3.",
    "margin": "The evidence behind the word for the numbering, which is told.",
    "prior_series_uid": "The study's UID names the prior; the series is for the machine that compares.",
    "code": "A reason's code stands for its sentence, which is told; a gate's and a mimic's likewise.",
    "applies_to": "What a gate guards shows in what it withholds.",
    "posture": "A sentence beside the angles tells how the patient lay.",
    **{
        f"{angle}.{part}": "The name of the angle says between which endplates it lies."
        for angle in ("kyphosis", "kyphosis_from_t5", "lordosis", "thoracolumbar")
        for part in ("upper", "upper_plate", "lower", "lower_plate", "fallback")
    },
    "coronal.first": "The sentence says between which levels no curve was found.",
    "coronal.last": "The sentence says between which levels no curve was found.",
}
"""Keys, some with the name before them, whose values are no facts, and why; whatever else stands there is one."""

_CONTAINERS = frozenset({"results", "vertebrae", "value"})
"""Keys that say nothing of what is in them."""

_WORDS: Mapping[str, Mapping[str, str]] = {
    "form": {"even": r"\beven\b", "concave": r"depressed as a whole|concave", "focal": r"narrow dent|focal"},
    "course": {
        "new fracture": r"\bnew (vertebral )?fracture",
        "worsened": r"\bworse",
        "no change": r"no change|without change|stable",
    },
    "numbering": {
        "anchored": r"anchor|agree with the",
        "relative": r"relative|alone",
        "ambiguous": r"ambiguous|likely enough",
        "none": r"no vertebra|nothing to number|none",
    },
    "category": {
        "osteoporosis likely": r"osteoporosis likely|(low|below).*present",
        "indeterminate": r"indeterminate|undetermined",
        "normal density likely": r"normal density likely|(low|below).*absent",
    },
    "outcome": {"pass": r"\bpass", "warn": r"warn|reservation", "withhold": r"with(hold|held)"},
    "material": {"HA": r"\bHA\b|hydroxyapatite", "K2HPO4": r"K2HPO4|dipotassium"},
    "kind": {"asynchronous-phantom": r"asynchronous", "internal": r"internal"},
}
"""How an answer may be worded, by the key and its value; other values are looked for word by word."""

_YES_NO: Mapping[str, tuple[tuple[str, ...] | None, tuple[str, ...] | None]] = {
    "indeterminate": ((r"near (the|a|its) limit|borderline|between the grades",), None),
    "near_limit": ((r"near (the|a|its) limit|guard band",), None),
    "is_endplate_depressed": (
        (r"endplate", r"depress", r"present|is depressed|: yes"),
        (r"endplate", r"depress", r"absent|no endplate|not depressed|: no\b"),
    ),
    "below_limit": ((r"below|limit", r"present|: yes|is below"), (r"below|limit", r"absent|: no\b|not below|above")),
    "experimental": ((r"experimental",), None),
    "is_lower_bound": ((r"lower bound|at least",), None),
    "complete": (None, (r"\bcut\b|incomplete|not complete",)),
}
"""Words of a yes and of a no; None where it is the usual case, which goes without saying."""

_SUBJECTS: Mapping[str, tuple[str, ...]] = {
    "heights.anterior": (r"anterior|\bHa\b",),
    "heights.middle": (r"middle|\bHm\b",),
    "heights.posterior": (r"posterior|\bHp\b",),
    "change.anterior": (r"anterior|\bHa\b", r"chang|differ|since|fall|fell"),
    "change.middle": (r"middle|\bHm\b", r"chang|differ|since|fall|fell"),
    "change.posterior": (r"posterior|\bHp\b", r"chang|differ|since|fall|fell"),
    "change.prior_grade": (r"grade", r"prior|then|before"),
    "deformity.height_loss": (r"loss",),
    "deformity.area_loss": (r"area",),
    "deformity.grade": (r"genant|grade",),
    "deformity.grade_range": (r"grade",),
    "deformity.probability": (r"probab",),
    "deformity.probability_band": (r"probab",),
    "second_opinion.probability": (r"second opinion|network|learned",),
    "second_opinion.grade": (r"second opinion|network|learned", r"grade"),
    "superior.depth": (r"superior",),
    "inferior.depth": (r"inferior",),
    "superior.focal_depth": (r"superior", r"dent|focal"),
    "inferior.focal_depth": (r"inferior", r"dent|focal"),
    "superior.focal_width": (r"superior", r"dent|focal|width"),
    "inferior.focal_width": (r"inferior", r"dent|focal|width"),
    "superior.form": (r"superior",),
    "inferior.form": (r"inferior",),
    "density.mean": (r"mean|attenuation|\bHU\b",),
    "density.median": (r"median",),
    "density.deviation": (r"deviation|\bSD\b",),
    "density.volume": (r"volume|cm3",),
    "density.calibrated": (r"density|mg/cm3",),
    "attenuation": (r"mean",),
    "calibrated": (r"mean|density",),
    "attenuation.levels": (r"mean",),
    "attenuation.left_out": (r"left out|not in",),
    "calibrated.levels": (r"mean of|mean over",),
    "calibrated.left_out": (r"left out|not in",),
    "calibration.slope": (r"x HU|× HU|slope",),
    "calibration.intercept": (r"x HU|× HU|intercept",),
    "calibration.r_squared": (r"\bR2\b|R²|squared",),
    "comparator.attenuation": (r"method|compar|rescaled",),
    "comparator.areal_density": (r"method|compar|areal",),
    "comparator.levels": (r"method|compar|comp2comp",),
    "change.compared": (r"compared",),
    "change.new": (r"\bnew (vertebral )?fracture",),
    "change.worsened": (r"\bworse",),
    "density_category.level": (r"\brule\b|attenuation of|categor",),
    "deformity_index": (r"deformity index",),
    "deformity_index.levels": (r"graded|evaluated|deformity index",),
    "uncertainty": (r"uncertain|±|\+/-|95",),
    "body.area": (r"body cross-section",),
    "body.width": (r"body width",),
    "body.depth": (r"body depth",),
    "canal.area": (r"canal area",),
    "canal.sagittal_diameter": (r"diameter of the spinal canal",),
    "confidence": (r"conf|sure",),
    "alternative": (r"alternative|\bor\b|\?",),
}
"""Words that must stand beside a fact, by kind: without them a 16.0 of one thing passes for that of another."""


@dataclass(frozen=True)
class Fact:
    """One thing that a reading says.

    Attributes:
        kind: What is said, as the last names of its path: ``heights.anterior``, ``density withheld``.
        site: The vertebra's level, empty for the spine.
        numbers: Numbers that must stand together.
        unit: Their UCUM code, empty where they have none.
        text: A sentence that must stand there as it is.
        words: Patterns that must all be met by what is said beside it.
    """

    kind: str
    site: str
    numbers: tuple[float, ...] = ()
    unit: str = ""
    text: str = ""
    words: tuple[str, ...] = ()

    def __str__(self) -> str:
        value = ", ".join(f"{number:g} {self.unit}".strip() for number in self.numbers) or self.text
        return f"{self.site or 'spine'}: {self.kind} {value or ' & '.join(self.words)}".strip()


def facts_of(reading: Mapping[str, Any]) -> tuple[Fact, ...]:
    """Every fact of a reading.

    Args:
        reading: ``reading.json``, parsed.
    """
    return tuple(_walk(reading, (), ""))


def kind_of(path: tuple[str, ...]) -> str:
    """The name of a kind: the last two names of a path that say something."""
    return ".".join([name for name in path if name not in _CONTAINERS][-2:])


def _walk(node: Any, path: tuple[str, ...], site: str) -> Iterator[Fact]:
    if isinstance(node, dict):
        yield from _of_dict(node, path, site)
    elif isinstance(node, list):
        yield from _of_list(node, path, site)
    elif node is not None:
        yield from _of_leaf(node, path, site)


def _of_dict(node: Mapping[str, Any], path: tuple[str, ...], site: str) -> Iterator[Fact]:
    if node.get("kind") == "withheld":
        where = ", not graded there" if node["code"] == "level-not-graded" else ""
        yield from _of_text(f"{path[-1]} withheld{where}", str(node["reason"]), site)
        return
    if node.get("kind") == "measured":
        yield from _of_number(node, path, site)
        return
    if path and path[-1] == "gates":
        outcome = _WORDS["outcome"][str(node["outcome"])]
        yield Fact("gate", site, text=str(node["reason"]), words=(outcome,))
        return
    if path and path[-1] == "mimics":
        yield from _of_text("mimic", str(node["sentence"]), site)
        yield Fact("mimic named", site, words=tuple(str(node["code"]).split("-")))
        return
    if path and path[-1] == "vertebrae":
        site = str(node["level"])
    for name, value in node.items():
        if (
            name in NO_FACTS
            or kind_of((*path, name)) in NO_FACTS
            or (name == "level" and path and path[-1] == "vertebrae")
        ):
            continue
        if name == "second_opinion" and value is not None and max(node.get("grade") or 0, value["grade"]) >= 2:
            yield Fact("second_opinion told", site, words=_SUBJECTS["second_opinion.probability"])
        # A number with a level beside it, such as that of a category, is that of the level.
        own = str(node["level"]) if name == "value" and isinstance(value, dict) and "level" in node else site
        if LEVEL.fullmatch(name):
            yield from _walk(value, path, name)
        else:
            yield from _noteworthy(node, name, _walk(value, (*path, name), own))


def _noteworthy(node: Mapping[str, Any], name: str, found: Iterator[Fact]) -> Iterator[Fact]:
    """Facts under a kind of their own where they tell of nothing unusual, so that these alone can be exempted."""
    usual = _usual(node, name)
    for fact in found:
        if not usual:
            yield fact
        elif fact.kind != "uncertainty":
            yield replace(fact, kind=f"{fact.kind}, {usual}")


def _usual(node: Mapping[str, Any], name: str) -> str:
    """What makes a value one of nothing unusual, empty where it is not."""
    value = node[name]
    if name == "focal_depth" and node.get("form") != "focal":
        return "no dent"
    if name == "second_opinion" and value is not None and not node.get("grade") and not value["grade"]:
        return "sound"
    if name in ("course", "reason") and node.get("course") == "no change":
        return "stable"
    if (name == "form" and value == "even") or (name == "is_endplate_depressed" and value is False):
        return "even"
    if name == "note" and node.get("grade") == 0 and not node.get("indeterminate"):
        return "grade 0"
    if name in ("value", "is_lower_bound") and node.get("value") == 0 and "levels" in node:
        return "none"
    return "none given" if name == "note" and "posture" in node and not _gives_an_angle(node) else ""


def _gives_an_angle(curvature: Mapping[str, Any]) -> bool:
    found = [value for value in curvature.values() if isinstance(value, dict)]
    return any(one.get("angle", one)["kind"] != "withheld" for one in found if "angle" in one or "kind" in one)


def _of_number(node: Mapping[str, Any], path: tuple[str, ...], site: str) -> Iterator[Fact]:
    kind, unit = kind_of(path), str(node["unit"])
    yield Fact(kind, site, (float(node["value"]),), unit, words=_subject(path))
    if node.get("uncertainty") is not None:
        yield Fact("uncertainty", site, (float(node["uncertainty"]),), unit, words=_SUBJECTS["uncertainty"])


def _of_list(node: list[Any], path: tuple[str, ...], site: str) -> Iterator[Fact]:
    kind = kind_of(path)
    if all(isinstance(item, int | float) for item in node) and node:
        shares = path[-1].startswith("probability")
        numbers = tuple(100.0 * item if shares else float(item) for item in node)
        yield Fact(kind, site, numbers, "%" if shares else "", words=_subject(path))
    elif all(isinstance(item, str) and LEVEL.fullmatch(item) for item in node):
        if node:
            yield Fact(kind, site, words=tuple(_named(level, path) for level in node))
    else:
        for item in node:
            yield from _walk(item, path, site)


def _of_leaf(value: Any, path: tuple[str, ...], site: str) -> Iterator[Fact]:
    kind, name = kind_of(path), path[-1]
    if isinstance(value, bool):
        yes, no = _YES_NO.get(name, (tuple(name.split("_")), None))
        if words := yes if value else no:
            yield Fact(kind, site, words=words)
    elif isinstance(value, int | float):
        yield from _of_figure(float(value), path, site)
    elif name in _WORDS:
        word = _WORDS[name].get(value) or r"\b" + re.escape(value)
        yield Fact(kind, site, words=(*_subject(path), word))
    elif name == "alternative":
        yield Fact(kind, site, words=(*_SUBJECTS[name], rf"\b{value}\b"))
    elif LEVEL.fullmatch(value):
        yield Fact(kind, site, words=(_named(value, path),))
    else:
        yield from _of_text(kind, str(value), site)


def _of_text(kind: str, text: str, site: str) -> Iterator[Fact]:
    """One fact per sentence: an encoding may set them apart."""
    for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z])", text):
        yield Fact(kind, site, text=sentence)


def _named(level: str, path: tuple[str, ...]) -> str:
    """A level in one sentence with what is said of it, in any order; in one clause, for what happened to it."""
    subject = "|".join(_subject(path)) or path[-1]
    between = "[^.;]*" if path[-1] in ("new", "worsened") else "[^.]*"
    return rf"(?:{subject}){between}\b{level}\b|\b{level}\b{between}(?:{subject})"


def _of_figure(value: float, path: tuple[str, ...], site: str) -> Iterator[Fact]:
    kind, name = kind_of(path), path[-1]
    if name == "probability":
        yield Fact(kind, site, (100 * value,), "%", words=_subject(path))
    elif name == "confidence":
        yield Fact(name, site, (100 * value,), "%", words=_SUBJECTS[name])
    else:
        yield Fact(kind, site, (value,), words=_subject(path))


def _subject(path: tuple[str, ...]) -> tuple[str, ...]:
    return _SUBJECTS.get(kind_of(path), ())
