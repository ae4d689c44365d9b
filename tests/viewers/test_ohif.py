"""The results in OHIF, in two of its versions: what a radiologist would see, on the screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page
from pydicom import Dataset, dcmread
from scipy import ndimage

from operators.fractures.results import HEIGHTS, Heights
from operators.reading.options import Kind
from operators.reading.quantity import Measured
from tests.peers.ohif import VERSIONS, OhifServer, OhifUnavailableError, ohif
from tests.peers.orthanc import Orthanc
from tests.validators.readings import Made
from tests.validators.report_tree import groups_of
from tests.viewers.viewer import Viewer, browser_page

ARTEFACTS = Path(__file__).parent.parent.parent / "artefacts" / "ohif"
SHOWN = (Kind.SEGMENTATION, Kind.DENSITY_REGIONS, Kind.REPORT)
VERTEBRAE, REPORT = "AI vertebrae (research)", "AI spine report (research)"

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def fractured(readings: Mapping[str, Made]) -> Made:
    return readings["fractured"]


@pytest.fixture(scope="module")
def archive(fractured: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    if not Orthanc.has_dicomweb():
        pytest.skip("Orthanc with DICOMweb is not installed (apt install orthanc orthanc-dicomweb)")
    orthanc = Orthanc(tmp_path_factory.mktemp("orthanc"), dicomweb=True)
    orthanc.start()
    for path in (*fractured.ct, *(fractured.objects[kind] for kind in SHOWN)):
        orthanc.upload(path)
    yield orthanc
    orthanc.stop()


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser_page() as page:
        yield page


@pytest.fixture(scope="module", params=VERSIONS)
def viewer(request: pytest.FixtureRequest, page: Page, archive: Orthanc, fractured: Made) -> Iterator[Viewer]:
    try:
        built = ohif(request.param)
    except OhifUnavailableError as error:
        pytest.skip(str(error))
    with OhifServer(built, archive.http_port) as server:
        yield Viewer(page, server.study(str(dcmread(fractured.ct[0], stop_before_pixels=True).StudyInstanceUID)))


@pytest.fixture
def artefacts(request: pytest.FixtureRequest) -> Path:
    return ARTEFACTS / str(request.node.callspec.params["viewer"])


def test_the_segmentation_lies_on_the_right_vertebrae(viewer: Viewer, fractured: Made, artefacts: Path) -> None:
    assert fractured.phantom is not None
    viewer.open_study()
    viewer.open_segmentation(VERTEBRAE)

    assert viewer.segments() == ["T12", "L1", "L2"]
    for vertebra in fractured.phantom.vertebrae:
        viewer.go_to_segment(vertebra.level)
        viewer.save(artefacts / f"seg-{vertebra.level}.png")

        truth = fractured.phantom.labels.array[viewer.slice_shown() - 1]
        seen = viewer.pixels(*truth.shape)
        assert (truth == vertebra.number).sum() > 500, "the viewer went to a slice elsewhere"
        for number, colour in colours(dcmread(fractured.objects[Kind.SEGMENTATION])).items():
            inside = ndimage.binary_erosion(truth == number, iterations=2)
            assert tint(seen[inside], colour).mean() > 0.98 if inside.any() else True
        outside = middle_of(truth.shape) & ~ndimage.binary_dilation(truth > 0, iterations=2)
        assert (chroma(seen[outside]) < 12).mean() > 0.98


def test_the_report_opens_and_its_values_are_on_the_screen(viewer: Viewer, fractured: Made, artefacts: Path) -> None:
    report = dcmread(fractured.objects[Kind.REPORT])
    expected = lines_of(report)
    viewer.open_study()
    viewer.open_report(REPORT)

    seen: set[str] = set()
    slices = set()
    for step in range(len(groups_of(report))):
        seen |= {line for box in viewer.texts() for line in box}
        assert viewer.hidden_texts() == []
        slices.add(viewer.slice_shown())
        viewer.save(artefacts / f"sr-{step + 1}.png")
        viewer.next_group()

    assert expected <= seen
    assert len(slices) >= len(fractured.vertebrae)
    anterior = [v.of(HEIGHTS).anterior for v in fractured.vertebrae if isinstance(v.of(HEIGHTS), Heights)]
    measured = [height.value for height in anterior if isinstance(height, Measured)]
    assert len(measured) == len(fractured.vertebrae)
    assert {f"Anterior vertebral body height: {value:.1f}0 mm" for value in measured} <= seen


def lines_of(report: Dataset) -> set[str]:
    """The lines in which OHIF prints the numbers; it prints nothing for a zero."""
    numbers = [item for group in groups_of(report) for item in group.ContentSequence if item.ValueType == "NUM"]
    measured = [(name_of(item).CodeMeaning, item.MeasuredValueSequence[0]) for item in numbers]
    return {
        f"{name}: {float(value.NumericValue):.2f} {value.MeasurementUnitsCodeSequence[0].CodeValue}"
        for name, value in measured
        if value.NumericValue != 0
    }


def name_of(item: Dataset) -> Dataset:
    """Concept name of a content item."""
    concept: Dataset = item.ConceptNameCodeSequence[0]
    return concept


def colours(segmentation: Dataset) -> dict[int, NDArray[np.float64]]:
    """Colour of every segment as the object recommends it, by segment number: sRGB, 0…255."""
    found = {}
    for segment in segmentation.SegmentSequence:
        lightness, a, b = np.array(segment.RecommendedDisplayCIELabValue) / 65535
        found[segment.SegmentNumber] = srgb(100 * lightness, 255 * a - 128, 255 * b - 128)
    return found


def srgb(lightness: float, a: float, b: float) -> NDArray[np.float64]:
    """CIELab under D50, as PCS values of DICOM are, to sRGB (CIE 15; Bradford to D65; IEC 61966-2-1), 0…255."""
    y = (lightness + 16) / 116
    f = np.array([y + a / 500, y, y - b / 200])
    xyz = np.array([0.9642, 1.0, 0.8251]) * np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    matrix = [[3.1339, -1.6169, -0.4906], [-0.9788, 1.9161, 0.0335], [0.0719, -0.2290, 1.4052]]
    linear = np.clip(np.array(matrix) @ xyz, 0, 1)
    colour: NDArray[np.float64] = 255 * np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    )
    return colour


def chroma(pixels: NDArray[np.int16]) -> NDArray[np.int16]:
    """How far pixels are from grey."""
    distance: NDArray[np.int16] = pixels.max(axis=-1) - pixels.min(axis=-1)
    return distance


def tint(pixels: NDArray[np.int16], colour: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where pixels are tinted with a colour: what they are beyond grey points the same way."""
    beyond = pixels - pixels.mean(axis=-1, keepdims=True)
    wanted = colour - colour.mean()
    cosine = beyond @ wanted / np.maximum(np.linalg.norm(beyond, axis=-1) * np.linalg.norm(wanted), 1e-6)
    tinted: NDArray[np.bool_] = (cosine > 0.9) & (chroma(pixels) > 12)
    return tinted


def middle_of(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The middle of an image, away from the texts in the viewer's corners."""
    inside = np.zeros(shape, dtype=bool)
    inside[shape[0] // 6 : -shape[0] // 6, shape[1] // 6 : -shape[1] // 6] = True
    return inside
