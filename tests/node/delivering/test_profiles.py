"""The table of the viewers' objects: whole, and fit to be fallen back on."""

from __future__ import annotations

import pytest

from node.delivering.profiles import FALLBACKS, PROFILES, SOP_CLASSES, Profile, chosen_kinds, ordered, with_fallbacks
from operators.density.masks import REGIONS_OBJECT
from operators.dicom.key_objects import write_key_objects
from operators.dicom.masks import write_mask
from operators.dicom.pdf import write_pdf
from operators.dicom.presentation import write_presentation
from operators.dicom.report import REPORT_2D, write_report
from operators.dicom.secondary_capture import write_secondary_capture
from operators.dicom.segmentation import LABELMAP, write_segmentation
from operators.dicom.text_report import write_text_report
from operators.drawing.overview import draw_overview
from operators.reading.options import Kind
from tests.node import fake_reader
from tests.operators import small_case


def test_the_viewers_are_those_that_the_settings_name() -> None:
    assert [str(profile) for profile in PROFILES] == ["ohif", "slicer", "weasis", "plain-pacs", "everything"]


@pytest.mark.parametrize("profile", Profile)
def test_every_profile_says_why(profile: Profile) -> None:
    assert len(PROFILES[profile].why) > 40


def test_ohif_gets_a_page_for_what_it_does_not_show_and_nothing_that_it_warns_of() -> None:
    kinds = set(PROFILES[Profile.OHIF].kinds)
    assert Kind.PDF in kinds
    assert kinds.isdisjoint({Kind.KEY_OBJECTS, Kind.PRESENTATION, Kind.LABELMAP})


def test_a_plain_pacs_gets_only_what_it_can_open() -> None:
    assert set(PROFILES[Profile.PLAIN_PACS].kinds) == {Kind.SECONDARY_CAPTURE, Kind.TEXT_REPORT, Kind.PDF}


def test_every_object_has_its_sop_class_and_its_fallbacks() -> None:
    assert {str(kind): uids[0] for kind, uids in SOP_CLASSES.items()} == fake_reader.SOP_CLASSES
    assert set(FALLBACKS) == set(Kind)


def test_no_object_stands_in_for_itself() -> None:
    assert [kind for kind, others in FALLBACKS.items() if kind in others] == []


def test_the_report_falls_back_from_measurements_to_words_to_a_picture() -> None:
    assert [str(kind) for kind in FALLBACKS[Kind.REPORT]] == ["sr-2d", "sr-text", "pdf", "sc"]


def test_what_a_report_refers_to_is_sent_before_it() -> None:
    order = ordered([Kind.REPORT, Kind.TEXT_REPORT, Kind.DENSITY_REGIONS, Kind.SEGMENTATION])
    assert order == (Kind.SEGMENTATION, Kind.DENSITY_REGIONS, Kind.REPORT, Kind.TEXT_REPORT)


def test_the_later_change_wins() -> None:
    assert Kind.PDF not in chosen_kinds(Profile.SLICER, ["+pdf", "-pdf"])
    assert Kind.PDF in chosen_kinds(Profile.SLICER, ["-pdf", "+pdf"])


def test_a_reading_must_write_what_may_stand_in() -> None:
    assert [str(kind) for kind in with_fallbacks([Kind.LABELMAP])] == ["seg", "seg-labelmap"]


def test_the_encoders_write_the_sop_classes_that_are_proposed_to_peers() -> None:
    case = small_case.case()
    written = {
        Kind.SEGMENTATION: write_segmentation(case),
        Kind.DENSITY_REGIONS: write_mask(case, REGIONS_OBJECT),
        Kind.LABELMAP: write_segmentation(case, LABELMAP),
        Kind.REPORT: write_report(case),
        Kind.REPORT_2D: write_report(case, form=REPORT_2D),
        Kind.TEXT_REPORT: write_text_report(case),
        Kind.SECONDARY_CAPTURE: write_secondary_capture(case, draw_overview(case)),
        Kind.PDF: write_pdf(case),
        Kind.KEY_OBJECTS: write_key_objects(case),
        Kind.PRESENTATION: write_presentation(case),
    }
    wrong = [kind for kind, found in written.items() if found is None or found.SOPClassUID not in SOP_CLASSES[kind]]
    assert (set(written), wrong) == (set(Kind), [])
