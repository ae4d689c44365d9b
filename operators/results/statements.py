"""A reading as questions and answers: what the messages (FHIR, HL7) say, in the codes of the report.

One table for both encodings, so that neither can say something that the other does not. Numbers are rounded
as in the DICOM report. A question whose answer is withheld stays, with the reason in place of the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.sr.coding import Code

from operators.dicom.density_regions import TRACKED
from operators.dicom.report_items import rounded
from operators.dicom.segmentation_object import vertebra_tracking_uid
from operators.fractures.verdict import (
    Fracture,
    deformity_index,
    evaluated,
    fracture_of,
    fracture_of_spine,
    grade_of,
)
from operators.reading.case import Case
from operators.reading.reading import (
    CalibrationUse,
    Deformity,
    Density,
    DensityCategory,
    Heights,
    LevelMean,
    Measured,
    Quantity,
    SpineReading,
    Vertebra,
    Withheld,
)
from operators.results.identity import ResultIdentity
from operators.terms import codes
from operators.terms import finding_codes as terms

_LOW = {
    "osteoporosis likely": codes.PRESENT,
    "indeterminate": codes.UNDETERMINED,
    "normal density likely": codes.ABSENT,
}


@dataclass(frozen=True)
class Statement:
    """One question and its answer.

    Attributes:
        question: What is asked.
        answer: A number as it is published, a code, or why there is none.
        method: How it was measured.
        note: A sentence beside the answer.
    """

    question: Code
    answer: Measured | Code | Withheld
    method: Code | None = None
    note: str | None = None


@dataclass(frozen=True)
class Finding:
    """What is said of one place.

    Attributes:
        name: What is tracked there, as in the report's groups.
        site: The spine or the vertebra.
        vertebra: None for the spine.
        main: The statement that the others belong to.
        further: The others.
    """

    name: str
    site: Code
    vertebra: Vertebra | None
    main: Statement
    further: tuple[Statement, ...] = ()

    @property
    def level(self) -> str:
        """The level as it is written; empty for the spine."""
        return "" if self.vertebra is None else str(self.vertebra.level)

    def tracking_uid(self, case: Case) -> str:
        """Tracking UID of the same thing in the DICOM report; it stays over the readings of a study."""
        identity = ResultIdentity.of(case.reading)
        if self.vertebra is None:
            return identity.tracking_uid("spine", self.name)
        return vertebra_tracking_uid(identity, self.vertebra, case, self.name)


def findings(reading: SpineReading) -> tuple[Finding, ...]:
    """Everything that a reading says, the spine first, then from head to feet."""
    found = [_spine(reading)]
    for vertebra in reading.vertebrae:
        found.append(_vertebra(vertebra))
        if vertebra.density is not None:
            found.append(_density(vertebra, vertebra.density, reading))
    return tuple(found)


def _spine(reading: SpineReading) -> Finding:
    known = evaluated(reading)
    fractures = sum(fracture_of(vertebra) is Fracture.PRESENT for vertebra in known)
    mild = sum(grade_of(vertebra) == 1 for vertebra in known)
    return Finding(
        name="summary",
        site=codes.SPINE,
        vertebra=None,
        main=Statement(codes.COMPRESSION_FRACTURE, fracture_of_spine(reading).code),
        further=(
            _count(codes.EVALUATED_COUNT, len(known), "{vertebrae}"),
            _count(codes.FRACTURE_COUNT, fractures, "{vertebrae}"),
            _count(codes.MILD_COUNT, mild, "{vertebrae}"),
            *_index(reading),
            Statement(codes.NUMBERING, codes.NUMBERINGS[reading.numbering]),
            *_category(reading),
            *_means(reading),
        ),
    )


def _count(question: Code, value: int, unit: str) -> Statement:
    return Statement(question, Measured(value=value, unit=unit))


def _index(reading: SpineReading) -> Iterator[Statement]:
    whole = deformity_index(reading)
    if whole is not None:
        yield _count(codes.DEFORMITY_INDEX, whole, "{score}")
    elif reading.deformity_index is not None:
        yield _count(terms.INDEX_LOWER_BOUND, reading.deformity_index.value, "{score}")


def _category(reading: SpineReading) -> Iterator[Statement]:
    category = reading.density_category
    if isinstance(category, Withheld):
        yield Statement(codes.LOW_ATTENUATION, category)
    if isinstance(category, DensityCategory):
        near = ", near its limit" if category.near_limit else ""
        note = f"Rule {category.rule} at {category.level}{near}; not comparable with DXA, no T-score."
        yield Statement(codes.LOW_ATTENUATION, _LOW[category.category], note=note)


def _means(reading: SpineReading) -> Iterator[Statement]:
    for question, mean, method in (
        (codes.MEAN_ATTENUATION, reading.attenuation, None),
        (terms.MINERAL_DENSITY, reading.calibrated, _calibration(reading)),
    ):
        if isinstance(mean, LevelMean):
            note = f"Mean over {', '.join(map(str, mean.levels))}."
            yield Statement(question, _published(mean.value), method, f"{note}{_material(reading, method)}")
        elif isinstance(mean, Withheld):
            yield Statement(question, mean)


def _vertebra(vertebra: Vertebra) -> Finding:
    return Finding(
        name="vertebra",
        site=codes.LEVELS[vertebra.level].name,
        vertebra=vertebra,
        main=Statement(codes.COMPRESSION_FRACTURE, fracture_of(vertebra).code),
        further=(*_deformity(vertebra), *_heights(vertebra)),
    )


def _deformity(vertebra: Vertebra) -> Iterator[Statement]:
    deformity = vertebra.deformity
    if isinstance(deformity, Withheld):
        yield Statement(codes.GENANT, deformity)
    if not isinstance(deformity, Deformity):
        return
    if deformity.grade is not None:
        near = "Near the limit of the grade: review." if deformity.indeterminate else None
        yield Statement(codes.GENANT, codes.GENANT_GRADES[deformity.grade], note=near)
        if deformity.grade:
            yield _count(codes.GENANT_NUMBER, deformity.grade, "{grade}")
    if deformity.shape is not None:
        yield Statement(codes.MORPHOLOGY, codes.SHAPES[deformity.shape])
    yield Statement(codes.HEIGHT_LOSS, _published(deformity.height_loss))
    if deformity.area_loss is not None:
        yield Statement(terms.AREA_LOSS, _published(deformity.area_loss))


def _heights(vertebra: Vertebra) -> Iterator[Statement]:
    heights = vertebra.heights
    for name, question in (
        ("anterior", codes.HEIGHT_ANTERIOR),
        ("middle", codes.HEIGHT_MIDDLE),
        ("posterior", codes.HEIGHT_POSTERIOR),
    ):
        if isinstance(heights, Heights):
            yield Statement(question, _published(getattr(heights, name)))
        elif heights is not None:
            yield Statement(question, heights)


def _density(vertebra: Vertebra, density: Density | Withheld, reading: SpineReading) -> Finding:
    site = codes.LEVELS[vertebra.level].name
    if isinstance(density, Withheld):
        return Finding(TRACKED, site, vertebra, Statement(codes.MEAN_ATTENUATION, density))
    method = _calibration(reading)
    calibrated = []
    if density.calibrated is not None:
        material = _material(reading, method).strip() or None
        calibrated.append(Statement(terms.MINERAL_DENSITY, _published(density.calibrated), method, material))
    return Finding(
        name=TRACKED,
        site=site,
        vertebra=vertebra,
        main=Statement(codes.MEAN_ATTENUATION, _published(density.mean)),
        further=(
            Statement(codes.DEVIATION_OF_ATTENUATION, _published(density.deviation)),
            Statement(codes.MEDIAN_ATTENUATION, _published(density.median)),
            Statement(codes.VOLUME, _published(density.volume), codes.SUM_OF_VOXELS),
            *calibrated,
        ),
    )


def _calibration(reading: SpineReading) -> Code | None:
    used = reading.calibration
    return terms.CALIBRATIONS[used.kind] if isinstance(used, CalibrationUse) else None


def _material(reading: SpineReading, method: Code | None) -> str:
    """What mg/cm3 are mg of: a number without it means nothing."""
    used = reading.calibration
    if method is None or not isinstance(used, CalibrationUse):
        return ""
    return f" In mg/cm3 of {used.material}{', experimental' if used.experimental else ''}."


def _published(quantity: Quantity) -> Measured | Withheld:
    if isinstance(quantity, Withheld):
        return quantity
    return Measured(value=rounded(quantity.value, quantity.unit), unit=quantity.unit)
