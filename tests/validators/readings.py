"""The readings that every validator looks at: small phantoms through the whole graph, with every kind of object.

The engine knows the truth, so that the voxels and the levels that other readers must find are those of the
construction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from pydicom import dcmread

from models.anatomy import Level
from models.engine import Numbering, SpineSegmentation
from models.engines.registry import ENGINES
from operators.application import read_study
from operators.fractures.results import Shape
from operators.reading.calibration_entry import CalibrationEntry, PhantomMaterial
from operators.reading.document_reference import DocumentReference
from operators.reading.errors import PermanentError
from operators.reading.job import Job, ReadResult
from operators.reading.options import Kind, ReadingOptions
from operators.reading.reading import SpineReading
from operators.reading.vertebra import Vertebra
from operators.study.send import READING_FILE
from tests.phantoms.ct_series import CTHeader, write_ct_series, write_enhanced_ct
from tests.phantoms.damage import with_screws
from tests.phantoms.engine import TruthEngine
from tests.phantoms.lookalikes import with_schmorl_node
from tests.phantoms.spine import COLUMN, Fracture, SpinePhantom
from tests.phantoms.truth import Phantom

AT = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
EVERYTHING = ReadingOptions(kinds=tuple(Kind))
LONGEST_ROOT = "1.2.826.0.1.3680043.10.1555.7.123456789012345678901234567890"
"""60 characters: with a point and three digits, the UIDs of a study, a series and its slices have all 64 allowed."""


@dataclass(frozen=True)
class Made:
    """One reading with all that is known of it.

    Attributes:
        name: What it is.
        phantom: What was drawn; None where the images hold no vertebra.
        ct: The files that were read.
        results: The folder with everything that was written.
        objects: The files of the results by kind.
        reading: What was found; None where the study could not be read.
        refusal: Why nothing was found, where nothing was.
        previous: The reports that it comes after.
    """

    name: str
    phantom: Phantom | None
    ct: tuple[Path, ...]
    results: Path
    objects: Mapping[Kind, Path]
    reading: SpineReading | None
    refusal: PermanentError | None
    previous: tuple[DocumentReference, ...] = ()

    @property
    def vertebrae(self) -> tuple[Vertebra, ...]:
        """What was found, from head to feet; nothing in a study that could not be read."""
        return self.reading.vertebrae if self.reading else ()


@dataclass(frozen=True)
class Recipe:
    """How a reading comes about.

    Attributes:
        phantom: Draws the patient.
        header: What the CT says of patient, study and scanner.
        enhanced: True for one multi-frame object instead of slices.
        sees: What the engine makes of the truth.
        ragged: Takes away from every slice what scanners and archives leave out.
        slices: How many slices arrive; all where not given.
        after: Name of the reading of the same study that this one revises.
        prior: Name of the reading of an earlier study that this one is compared with.
        options: What the site has decided.
    """

    phantom: Callable[[], Phantom]
    header: CTHeader = field(default_factory=CTHeader)
    enhanced: bool = False
    sees: Callable[[SpineSegmentation], SpineSegmentation] = lambda truth: truth
    ragged: bool = False
    slices: int | None = None
    after: str | None = None
    prior: str | None = None
    options: ReadingOptions = EVERYTHING


@cache
def _plain() -> Phantom:
    return _drawn(SpinePhantom(levels=(Level.T12, Level.L1)))


@cache
def _screwed() -> Phantom:
    return with_screws(_plain(), (Level.T12, Level.L1))


@cache
def _broken() -> Phantom:
    return _drawn(SpinePhantom(levels=(Level.T12, Level.L2), fractures={Level.L1: Fracture(Shape.WEDGE, 0.40)}))


@cache
def _transitional() -> Phantom:
    column = tuple(x for level in COLUMN for x in ((level,) if level is not Level.S1 else (Level.L6, Level.S1)))
    # Rows times columns are no multiple of eight: frames of a BINARY segmentation do not begin with a byte.
    return _drawn(SpinePhantom(levels=(Level.L4, Level.L6), column=column), (143, 141))


@cache
def _before() -> Phantom:
    return _drawn(SpinePhantom(levels=(Level.T12, Level.L2), fractures={Level.T12: Fracture(Shape.WEDGE, 0.23)}))


@cache
def _after() -> Phantom:
    """Against :func:`_before`: T12 worse, L1 new, L2 the same, L3 not in view then and on the limit of grade 2."""
    fractures = {
        Level.T12: Fracture(Shape.WEDGE, 0.45),
        Level.L1: Fracture(Shape.BICONCAVE, 0.35),
        Level.L3: Fracture(Shape.WEDGE, 0.25),
    }
    return _drawn(SpinePhantom(levels=(Level.T12, Level.L3), fractures=fractures))


@cache
def _dented() -> Phantom:
    """A shallow, wide node in slices thin enough to show it."""
    spine = SpinePhantom(levels=(Level.T12, Level.L2))
    drawn = spine.build(pixel_spacing=1.0, slice_spacing=1.25, field_of_view=(100, 100))
    return with_schmorl_node(drawn, Level.L1, deep=3.0, wide=10.0)


@cache
def _at_the_limit() -> Phantom:
    """L1 on a limit of the density category, L3 broken, a vertebra cut at each end, and air about the patient."""
    spine = SpinePhantom(
        levels=(Level.L1, Level.L3),
        trabecular={Level.L1: 150.0},
        fractures={Level.L3: Fracture(Shape.WEDGE, 0.30)},
    )
    return spine.build(pixel_spacing=1.5, slice_spacing=2.5, margin=22.0)


def _entry(model: str) -> CalibrationEntry:
    return CalibrationEntry(
        name="scanner at 120 kV",
        phantom="rods of hydroxyapatite",
        material=PhantomMaterial.HYDROXYAPATITE,
        slope=0.82,
        intercept=-3.5,
        r_squared=0.9991,
        manufacturer="Osteon",
        model=model,
        kvp=120.0,
    )


def _drawn(spine: SpinePhantom, field_of_view: tuple[int, int] = (144, 144)) -> Phantom:
    return spine.build(pixel_spacing=1.0, slice_spacing=2.5, field_of_view=field_of_view)


def _no_spine(truth: SpineSegmentation) -> SpineSegmentation:
    empty = truth.labels.with_array(np.zeros_like(truth.labels.array))
    return SpineSegmentation(empty, empty, (), Numbering.NONE, remarks=("The images show no spine.",))


def _ambiguous(truth: SpineSegmentation) -> SpineSegmentation:
    above = {level: list(Level)[level.rank - 1] for level in Level if level.rank}
    doubted = tuple(replace(v, alternative=above[v.level], confidence=0.6) for v in truth.vertebrae)
    return replace(truth, vertebrae=doubted, numbering=Numbering.AMBIGUOUS, anchors=(), margin=0.3)


RECIPES: dict[str, Recipe] = {
    "normal": Recipe(_plain, CTHeader(seed="normal")),
    "fractured": Recipe(_broken, CTHeader(seed="fractured")),
    "withheld": Recipe(
        _screwed, CTHeader(seed="withheld", kvp=80.0, contrast_agent="Iodine"), sees=_ambiguous, prior="normal"
    ),
    "revision": Recipe(
        _plain,
        CTHeader(seed="normal"),
        after="normal",
        options=EVERYTHING.model_copy(update={"automated_offset_hu": 1.0}),
    ),
    "no spine": Recipe(_plain, CTHeader(seed="no spine"), sees=_no_spine),
    "other script": Recipe(
        _plain,
        CTHeader(
            seed="other script",
            patient_name="Yamada^Tarou=山田^太郎=やまだ^たろう",
            character_set="ISO_IR 192",
            study_description="腹部 CT",
        ),
    ),
    "mixed character sets": Recipe(
        _plain,
        CTHeader(
            seed="mixed character sets",
            patient_name="Hong^Gildong=洪^吉洞=홍^길동",
            character_set="\\ISO 2022 IR 149",
        ),
    ),
    "enhanced": Recipe(_plain, CTHeader(seed="enhanced", shuffled=True), enhanced=True),
    "unreadable": Recipe(_plain, CTHeader(seed="unreadable"), slices=3),
    "L6": Recipe(_transitional, CTHeader(seed="L6")),
    "earlier": Recipe(_before, CTHeader(seed="earlier", study_date="20240105", age="067Y")),
    "followed": Recipe(
        _after,
        CTHeader(seed="followed"),
        prior="earlier",
        options=EVERYTHING.model_copy(update={"calibrations": (_entry("Another scanner"),), "comparator": True}),
    ),
    "calibrated": Recipe(
        _at_the_limit,
        CTHeader(seed="calibrated"),
        options=EVERYTHING.model_copy(update={"calibrations": (_entry("Digital spine phantom"),), "comparator": True}),
    ),
    "dented": Recipe(_dented, CTHeader(seed="dented")),
    "ragged": Recipe(
        _plain,
        CTHeader(
            seed="ragged",
            accession="",
            signed=False,
            slope=0.5,
            study_uid=f"{LONGEST_ROOT}.801",
            series_uid=f"{LONGEST_ROOT}.802",
            manufacturer="",
            model="",
        ),
        ragged=True,
    ),
}
"""Readings by name; a revision comes after what it revises."""


class Readings(Mapping[str, Made]):
    """The readings by the names of :data:`RECIPES`, each made when it is first asked for.

    Args:
        folder: Where studies and results go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Made] = {}

    def __getitem__(self, name: str) -> Made:
        if name not in self._made:
            recipe = RECIPES[name]
            after = self[recipe.after] if recipe.after else None
            prior = self[recipe.prior].results / READING_FILE if recipe.prior else None
            self._made[name] = make(name, recipe, self._folder / name.replace(" ", "-"), after, prior)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(RECIPES)

    def __len__(self) -> int:
        return len(RECIPES)


def make(name: str, recipe: Recipe, folder: Path, revised: Made | None = None, prior: Path | None = None) -> Made:
    """Write a recipe's study and read it.

    Args:
        name: What it is.
        recipe: How it comes about.
        folder: Where study and results go.
        revised: The reading that it revises.
        prior: ``reading.json`` of the earlier study.
    """
    phantom = recipe.phantom()
    write = write_enhanced_ct if recipe.enhanced else write_ct_series
    ct = write(phantom.volume, folder / "ct", recipe.header, slice_thickness=phantom.slice_thickness)
    for path in ct[recipe.slices :] if recipe.slices else ():
        path.unlink()
    ct = ct[: recipe.slices]
    if recipe.ragged:
        _make_ragged(ct)
    job = Job(
        study=folder / "ct",
        out=folder / "results",
        at=AT + timedelta(hours=1 if revised else 0),
        engine="validators",
        options=recipe.options,
        previous=_reports_of(revised),
        prior=prior,
    )
    ENGINES.register(job.engine, lambda: Seer(phantom, recipe.sees))
    try:
        result = read_study(job)
    finally:
        ENGINES.unregister(job.engine)
    return Made(
        name=name,
        phantom=phantom if result.reading and result.reading.vertebrae else None,
        ct=tuple(ct),
        results=job.out,
        objects=_files_of(result),
        reading=result.reading,
        refusal=result.refusal,
        previous=job.previous,
    )


def _files_of(result: ReadResult) -> dict[Kind, Path]:
    return {item.kind: item.path for item in sorted(result.objects, key=lambda item: list(Kind).index(item.kind))}


def _reports_of(made: Made | None) -> tuple[DocumentReference, ...]:
    if made is None:
        return ()
    report = dcmread(made.objects[Kind.REPORT])
    return (
        DocumentReference(
            sop_class_uid=report.SOPClassUID,
            sop_instance_uid=report.SOPInstanceUID,
            series_uid=report.SeriesInstanceUID,
            study_uid=report.StudyInstanceUID,
        ),
    )


def _make_ragged(files: list[Path]) -> None:
    for number, path in enumerate(files, start=1):
        ct: Any = dcmread(path)
        del ct.PositionReferenceIndicator, ct.PatientBirthDate, ct.PatientSex, ct.StudyID, ct.ReferringPhysicianName
        ct.SOPInstanceUID = ct.file_meta.MediaStorageSOPInstanceUID = f"{LONGEST_ROOT}.{100 + number}"
        ct.save_as(path)


@dataclass(frozen=True)
class Seer:
    """An engine that makes of the truth what a recipe says."""

    phantom: Phantom
    sees: Callable[[SpineSegmentation], SpineSegmentation]
    name: str = "truth"
    version: str = "1"
    digest: str = "0" * 64

    def segment(self, volume: hd.Volume) -> SpineSegmentation:
        """What is seen in a volume."""
        return self.sees(TruthEngine(self.phantom).segment(volume))
