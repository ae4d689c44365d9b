"""A reading in which everything that can be measured has been measured, and one of a spine with extra vertebrae."""

from __future__ import annotations

from models.anatomy import Level
from operators.change.results import Course, HeightChange, PriorComparison
from operators.density.results import CalibrationUse, ComparatorFigure, Density, DensityCategory, LevelMean
from operators.fractures.results import (
    Deformity,
    DeformityIndex,
    Endplate,
    EndplateForm,
    Endplates,
    Mimic,
    MimicCode,
    SecondOpinion,
    Shape,
)
from operators.reading.calibration_entry import PhantomMaterial
from operators.reading.quantity import Measured, Withheld
from operators.reading.reading import SpineReading
from tests.operators import small_case as small


def hu(value: float) -> Measured:
    return Measured(value=value, unit="[hnsf'U]")


def mm(value: float) -> Measured:
    return Measured(value=value, unit="mm")


def mg(value: float) -> Measured:
    return Measured(value=value, unit="mg/cm3", uncertainty=6.0)


def _fractured() -> Deformity:
    return Deformity(
        height_loss=Measured(value=34.2, unit="%", uncertainty=5.1),
        grade=2,
        shape=Shape.BICONCAVE,
        probability=0.93,
        grade_range=(1, 2),
        probability_band=(0.61, 0.97),
        area_loss=Measured(value=21.5, unit="%"),
        endplates=Endplates(
            superior=Endplate(depth=mm(6.2), focal_depth=mm(1.1), form=EndplateForm.CONCAVE),
            inferior=Endplate(depth=mm(2.4), focal_depth=mm(3.3), focal_width=mm(7.5), form=EndplateForm.FOCAL),
        ),
        mimics=(Mimic(code=MimicCode.SCHMORL, sentence="Dent of 3.3 mm in the inferior endplate."),),
        is_endplate_depressed=True,
        second_opinion=SecondOpinion(probability=0.87, grade=2),
    )


def full_reading() -> SpineReading:
    """T12 normal, L1 fractured since the prior, L2 with one endplate withheld."""
    density = Density(
        mean=hu(88.2), median=hu(86.0), deviation=hu(31.0), volume=Measured(value=3.4, unit="cm3"), voxels=900
    )
    no_prior = Withheld(code="prior-grade", reason="The prior has no grade here.")
    cut = Withheld(code="metal", reason="A screw.")
    return small.reading(
        vertebrae=(
            small.vertebra(1, density=density.model_copy(update={"calibrated": mg(91.4)}), change=no_prior),
            small.vertebra(
                2,
                deformity=_fractured(),
                density=Withheld(code="fractured", reason="Fractured."),
                change=HeightChange(
                    course=Course.NEW,
                    prior_grade=0,
                    anterior=mm(-4.1),
                    middle=mm(-6.5),
                    posterior=mm(-0.3),
                    reason="Grade 2 now, 0 then.",
                ),
            ),
            small.vertebra(
                3,
                deformity=Deformity(
                    height_loss=Measured(value=2.0, unit="%"),
                    grade=0,
                    area_loss=cut,
                    endplates=Endplates(superior=cut, inferior=Endplate(depth=mm(1.9), focal_depth=mm(0.2))),
                    is_endplate_depressed=False,
                ),
                density=density,
            ),
        ),
        density_category=DensityCategory(
            rule="ISCD-L1-HU-100-150", level=Level.T12, value=hu(88.2), category="osteoporosis likely"
        ),
        attenuation=LevelMean(value=hu(90.5), levels=(Level.L2,), left_out=(Level.L1,), note="One level only."),
        calibration=CalibrationUse(
            kind="asynchronous-phantom",
            material=PhantomMaterial.HYDROXYAPATITE,
            slope=0.82,
            intercept=-3.5,
            r_squared=0.9991,
            entry="scanner-120kV",
            phantom="QRM-BDC 3",
        ),
        calibrated=LevelMean(value=mg(90.1), levels=(Level.L2,)),
        comparator=ComparatorFigure(
            method="Another method 1.0",
            attenuation=hu(140.0),
            areal_density=Measured(value=0.92, unit="g/cm2"),
            below_limit=False,
            levels=(Level.T12, Level.L2),
            note="For comparison only.",
        ),
        deformity_index=DeformityIndex(value=2, levels=(Level.T12, Level.L1, Level.L2), is_lower_bound=True),
        change=PriorComparison(
            prior_study_uid="2.25.77",
            prior_series_uid="2.25.78",
            compared=(Level.T12, Level.L1),
            new=(Level.L1,),
        ),
    )


def transitional_reading() -> SpineReading:
    """T12, T13 and L6, which have no codes of their own."""
    levels = (Level.T12, Level.T13, Level.L6)
    return small.reading(
        vertebrae=tuple(small.vertebra(number, level=level) for number, level in enumerate(levels, start=1))
    )
