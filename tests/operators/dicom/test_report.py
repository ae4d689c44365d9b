"""The SR: what it says, walked by pydicom alone."""

from __future__ import annotations

from pydicom import Dataset

from models.anatomy import Level
from models.engine import Numbering
from operators.fractures.results import HEIGHTS, Deformity
from operators.fractures.verdict import deformity_index
from operators.reading.quantity import Measured, Withheld
from operators.reading.vertebra import Vertebra
from operators.results.research import RESEARCH_MARK
from tests.operators import small_case as small
from tests.operators.sr_tree import answers, groups, items, numbers, report, texts, walk


def test_the_measured_values_come_back() -> None:
    found = groups(report(small.case()))
    assert list(found) == [
        "Spine summary",
        "T12 vertebra",
        "T12 trabecular ROI",
        "L1 vertebra",
        "L1 trabecular ROI",
        "L2 vertebra",
        "L2 trabecular ROI",
    ]
    assert numbers(found["L1 vertebra"]) == {
        "VBH-ANT": (26.3, "mm"),
        "VBH-MID": (25.8, "mm"),
        "VBH-POST": (27.1, "mm"),
        "VBH-LOSS": (5.0, "%"),
    }
    assert numbers(found["L1 trabecular ROI"]) == {
        "112181": (142.5, "[hnsf'U]"),
        "112183": (31.2, "[hnsf'U]"),
        "112182": (141.0, "[hnsf'U]"),
        "118565006": (4.25, "cm3"),
    }
    (height,) = items(found["L1 vertebra"], "VBH-ANT")
    (uncertainty,) = items(height, "371884006")
    assert float(uncertainty.MeasuredValueSequence[0].NumericValue) == 0.6


def test_a_normal_spine_is_a_result() -> None:
    sr = report(small.case())
    summary = groups(sr)["Spine summary"]
    assert numbers(summary) == {
        "VFX-EVAL": (3, "{vertebrae}"),
        "VFX-COUNT": (0, "{vertebrae}"),
        "VFX-MILD": (0, "{vertebrae}"),
    }
    assert answers(summary)["42942008"] == "272519000"
    assert "No moderate or severe vertebral fracture found in 3 graded vertebrae" in texts(summary)
    assert "(T12 to L2)" in texts(summary)
    assert answers(items(sr, "C0034375")[0])["111017"] == "111241"
    assert (sr.CompletionFlag, sr.VerificationFlag, sr.PreliminaryFlag) == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")


def test_a_fracture_gets_its_own_group() -> None:
    sr = report(small.case(small.fractured_reading()))
    found = groups(sr)
    fracture = found["L1 vertebral fracture"]
    assert "L2 vertebral fracture" not in found
    assert numbers(fracture) == {"GENANT-NUM": (3, "{grade}"), "VBH-LOSS": (46.2, "%")}
    assert answers(fracture) == {
        "276214006": "49755003",
        "121071": "42942008",
        "363698007": "66794005",
        "111000": "123110",
        "42942008": "52101004",
        "GENANT": "GENANT-3",
        "VFX-MORPH": "VFX-WEDGE",
    }
    assert fracture.ContentTemplateSequence[0].TemplateIdentifier == "1410"
    summary = found["Spine summary"]
    assert numbers(summary)["VFX-COUNT"] == (1, "{vertebrae}")
    assert numbers(summary)["VFX-MILD"] == (1, "{vertebrae}")
    assert answers(summary)["42942008"] == "52101004"
    assert "Vertebral fracture: L1 severe (Genant 3, wedge)." in texts(summary)
    assert "New or old cannot be determined from this CT." in texts(summary)
    assert answers(items(sr, "C0034375")[0])["111017"] == "111242"


def test_a_mild_deformity_is_listed_and_not_called_a_fracture() -> None:
    group = groups(report(small.case(small.fractured_reading())))["L2 vertebra"]
    assert answers(group)["GENANT"] == "GENANT-1"
    assert answers(group)["VFX-MORPH"] == "VFX-BICONC"
    assert answers(group)["42942008"] == "373068000"


def test_a_grade_near_its_limit_is_shown_and_left_open() -> None:
    near = Deformity(height_loss=Measured(value=25.4, unit="%"), grade=2, probability=0.52, indeterminate=True)
    found = groups(report(small.case(small.reading(vertebrae=(small.vertebra(1, deformity=near),)))))
    assert answers(found["T12 vertebral fracture"])["42942008"] == "373068000"
    assert "Near the limit of the grade" in texts(found["T12 vertebral fracture"])
    assert numbers(found["Spine summary"])["VFX-COUNT"][0] == 0
    assert answers(found["Spine summary"])["42942008"] == "373068000"


def test_density_below_the_rule_is_coded_without_a_name_of_a_disease() -> None:
    sr = report(small.case(small.fractured_reading()))
    summary = groups(sr)["Spine summary"]
    assert answers(summary)["449781000"] == "52101004"
    assert answers(summary)["LOW-ATT"] == "52101004"
    assert "88 HU at T12 by rule ISCD-L1-HU-100-150" in texts(summary)
    everything = (texts(sr) + " ".join(str(item.ConceptNameCodeSequence[0].CodeMeaning) for item in walk(sr))).lower()
    everything = everything.replace(RESEARCH_MARK.lower(), "")  # which says that it is none
    for word in ("t-score", "osteopor", "diagnos"):
        assert word not in everything


def test_what_is_withheld_is_a_coded_reason_and_never_a_number() -> None:
    sr = report(small.case(small.withheld_reading()))
    found = groups(sr)
    assert not [label for label in found if "trabecular" in label]
    assert answers(found["T12 vertebra"])["EXCL-DENSITY"] == "EXCL-QC"
    assert "Density withheld (kvp): Tube voltage is 80 kV: attenuation cannot be compared." in texts(
        found["T12 vertebra"]
    )
    cut = found["L6 vertebra"]
    assert numbers(cut) == {}
    assert answers(cut)["EXCL-REASON"] == "EXCL-FOV"
    assert answers(cut)["EXCL-HEIGHTS"] == "EXCL-FOV"
    assert answers(cut)["EXCL-GRADE"] == "EXCL-FOV"
    assert answers(cut)["42942008"] == "373068000"
    assert sr.CompletionFlag == "PARTIAL"
    assert sr.CompletionFlagDescription == "no density measured"
    assert answers(items(sr, "C0034375")[0])["111017"] == "111243"


def test_one_height_can_be_withheld_beside_two_measured() -> None:
    base = small.vertebra(1)
    heights = base.of(HEIGHTS).model_copy(update={"middle": Withheld(code="metal", reason="A screw.")})  # type: ignore[union-attr]
    group = groups(report(small.case(small.reading(vertebrae=(base.with_result(HEIGHTS, heights),)))))["T12 vertebra"]
    assert set(numbers(group)) == {"VBH-ANT", "VBH-POST", "VBH-LOSS"}
    assert answers(group)["EXCL-HEIGHTS"] == "EXCL-METAL"


def test_doubt_about_the_level_is_said_where_the_level_is() -> None:
    found = groups(report(small.case(small.withheld_reading())))
    group = found["T12 vertebra"]
    assert "Level T12 or T11, confidence 0.97; the numbering of this spine is ambiguous" in texts(group)
    assert answers(group)["LEVEL-ALT"] == "12989004"
    assert answers(found["Spine summary"])["NUMBERING"] == "NUM-AMBIGUOUS"
    (site,) = items(found["L6 vertebra"], "363698007")
    assert site.ConceptCodeSequence[0].CodeValue == "51282000"
    assert items(site, "106233006")[0].ConceptCodeSequence[0].CodeValue == "VERT-L6"


def test_a_study_without_vertebrae_says_so() -> None:
    sr = report(small.no_spine_case())
    assert list(groups(sr)) == ["Spine summary"]
    assert "No vertebra was found" in texts(sr)
    assert "No spine was found." in texts(sr)
    assert answers(groups(sr)["Spine summary"])["42942008"] == "373068000"
    assert answers(items(sr, "C0034375")[0])["111017"] == "111245"
    assert sr.CompletionFlag == "PARTIAL"


def test_the_spinal_deformity_index_needs_every_level_from_t4_to_l4() -> None:
    levels = [level for level in Level if Level.T4.rank <= level.rank <= Level.L4.rank and level is not Level.T13]
    grades = [0, 1, 0, 2, 3, *([0] * 8)]

    def spine(count: int) -> tuple[Vertebra, ...]:
        return tuple(
            small.vertebra(1, deformity=_graded(grade), density=None).model_copy(
                update={"number": number, "level": level}
            )
            for number, (level, grade) in enumerate(zip(levels[:count], grades, strict=False), start=1)
        )

    def summary(vertebrae: tuple[Vertebra, ...]) -> Dataset:
        reading = small.reading(vertebrae=vertebrae, deformity_index=deformity_index(vertebrae))
        return groups(report(small.case(reading)))["Spine summary"]

    whole = summary(spine(13))
    assert numbers(whole)["SDI"] == (6, "{score}")
    assert len(numbers(whole)) == 4
    part = summary(spine(12))
    assert "SDI" not in numbers(part)
    assert numbers(part)["SDI-MIN"] == (6, "{score}")


def _graded(grade: int) -> Deformity:
    return Deformity(height_loss=Measured(value=grade * 15.0, unit="%"), grade=grade)


def test_gates_series_and_research_mark_belong_to_the_whole_study() -> None:
    (evaluations,) = items(report(small.case()), "C0034375")
    outcomes = [(item.ConceptCodeSequence[0].CodeValue, texts(item)) for item in items(evaluations, "QC-GATE")]
    assert outcomes == [
        ("QC-PASS", "kvp (applies to density): Tube voltage is 120 kV."),
        ("QC-WARN", "kernel (applies to density): Kernel unknown - HU may be biased by +/- 5."),
    ]
    assert [item.TextValue for item in items(evaluations, "SERIES-READ")] == [
        "Series 2 (CT, 24 instances): Best. (taken)"
    ]
    assert "A localizer. (localizer)" in items(evaluations, "SERIES-NOT-READ")[0].TextValue
    assert any("Research use only" in item.TextValue for item in items(evaluations, "121106"))


def test_an_anchored_numbering_names_its_anchor() -> None:
    told = small.reading(numbering=Numbering.ANCHORED)
    (numbering,) = items(groups(report(small.case(told)))["Spine summary"], "NUMBERING")
    assert "lowest rib" in texts(numbering)
