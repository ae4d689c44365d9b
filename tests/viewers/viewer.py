"""OHIF in a headless Chromium, used as a person uses it: by what is on the screen."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import FloatRect, Locator, Page, TimeoutError, sync_playwright

PATIENCE_MS = 180_000
SETTLE_MS = 400
_TRIES = 4
OPENINGS = 4
"""How often a report is opened until it is drawn."""
SCREEN = {"width": 1280, "height": 800}
_FLAGS = (
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


@contextmanager
def browser_page() -> Iterator[Page]:
    """A page of a new headless Chromium; skips the test where there is none."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed (apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(_FLAGS))
        page = browser.new_page(viewport=SCREEN)
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()


class Viewer:
    """One study open in OHIF.

    Args:
        page: The browser's page.
        address: Of the study in the viewer.
    """

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self._address = address

    def open_study(self) -> None:
        """Load the study afresh and wait for its images."""
        self.page.goto(self._address)
        self._canvas().wait_for()
        self._slice_text().wait_for()
        self._dismiss_tour()

    def series(self) -> list[str]:
        """Modality and description of every series in the list that has no picture of its own."""
        return [" ".join(text.split()) for text in self._thumbnails().all_inner_texts()]

    def open_segmentation(self, description: str) -> None:
        """Show a SEG over the images and open the list of its segments."""
        yes = self.page.get_by_role("button", name="Yes", exact=True)
        self._open_until(description, yes)
        yes.click()
        self.page.locator("[data-cy=panelSegmentation-btn]").click()
        self.page.locator("[data-cy=data-row]").first.wait_for()

    def segments(self) -> list[str]:
        """Labels in the list of segments."""
        return [text.splitlines()[-1] for text in self.page.locator("[data-cy=data-row]").all_inner_texts()]

    def go_to_segment(self, label: str) -> None:
        """Click a segment in the list: the viewer goes to a slice through it."""
        self.page.locator("[data-cy=data-row]").filter(has_text=re.compile(rf"{re.escape(label)}$")).click()
        self.page.mouse.move(5, SCREEN["height"] - 5)
        self._settle()

    def open_report(self, description: str) -> None:
        """Show an SR over the images that it refers to.

        On a busy machine OHIF 3.11 at times opens it without drawing it; opened afresh, it draws.
        """
        for _ in range(OPENINGS):
            self._open_until(description, self.page.locator("[data-cy^=ModalityLoadBadge]").first)
            try:
                self._texts().first.wait_for(timeout=PATIENCE_MS / 6)
                break
            except TimeoutError:
                self.open_study()
        else:
            msg = f"OHIF shows no text of {description!r}, opened {OPENINGS} times"
            raise AssertionError(msg)
        self._settle()

    def next_group(self) -> None:
        """Step to the next group of the report with the arrow."""
        # 3.11 does not name its arrows.
        arrow = self.page.locator("[data-cy=viewport-action-arrows-right], [data-cy=viewport-pane] svg.rotate-180")
        arrow.first.click()
        self._settle()

    def texts(self) -> list[list[str]]:
        """Lines of every text box over the images."""
        return [box.locator("tspan").all_text_contents() for box in self._texts().all()]

    def hidden_texts(self) -> list[str]:
        """First lines of text boxes over the images that another one covers in part."""
        boxes = [(box.bounding_box(), box.locator("tspan").first.text_content() or "") for box in self._texts().all()]
        placed = [(place, line) for place, line in boxes if place is not None]
        return [line for n, (place, line) in enumerate(placed) if any(_meet(place, other) for other, _ in placed[:n])]

    def slice_shown(self) -> int:
        """Instance Number of the image on the screen."""
        found = re.search(r"I:\s*(\d+)", self._slice_text().inner_text())
        assert found, "the viewer shows no instance number"
        return int(found[1])

    def save(self, path: Path) -> None:
        """Keep a screenshot."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)

    def pixels(self, rows: int, columns: int) -> NDArray[np.int16]:
        """What the screen shows at the middle of every pixel of the image, which fills the canvas.

        Args:
            rows, columns: Size of the image; its pixels are square.

        Returns:
            Red, green, blue, 0…255; shape (rows, columns, 3). Minus one where the canvas cuts the image.
        """
        box = self._canvas().bounding_box()
        assert box is not None
        screen = np.asarray(Image.open(BytesIO(self.page.screenshot())).convert("RGB"), np.int16)
        scale = min(box["width"] / columns, box["height"] / rows)
        x = box["x"] + box["width"] / 2 + scale * (np.arange(columns) - (columns - 1) / 2)
        y = box["y"] + box["height"] / 2 + scale * (np.arange(rows) - (rows - 1) / 2)
        seen: NDArray[np.int16] = screen[np.ix_(np.rint(y).astype(int), np.rint(x).astype(int))]
        return seen

    def _open_until(self, description: str, sign: Locator) -> None:
        """Double-click a series in the list, and once more where a busy machine took it for two clicks."""
        for _ in range(_TRIES - 1):
            self._thumbnails().filter(has_text=description).dblclick()
            try:
                sign.wait_for(timeout=PATIENCE_MS / _TRIES)
            except TimeoutError:
                continue
            return
        self._thumbnails().filter(has_text=description).dblclick()
        sign.wait_for()

    def _canvas(self) -> Locator:
        return self.page.locator("canvas.cornerstone-canvas").first

    def _slice_text(self) -> Locator:
        return self.page.locator("[data-cy=viewport-overlay-bottom-right]").filter(has_text="I:").first

    def _thumbnails(self) -> Locator:
        return self.page.locator("[data-cy=study-browser-thumbnail-no-image]")

    def _texts(self) -> Locator:
        return self.page.locator("svg.svg-layer text")

    def _dismiss_tour(self) -> None:
        tour = self.page.get_by_text("Skip all")
        self._settle()
        if tour.count():
            tour.click()

    def _settle(self) -> None:
        """Wait until two pictures of the screen are the same."""
        before = b""
        for _ in range(40):
            self.page.wait_for_timeout(SETTLE_MS)
            after = self.page.screenshot()
            if after == before:
                return
            before = after


def _meet(one: FloatRect, other: FloatRect) -> bool:
    across = one["x"] < other["x"] + other["width"] and other["x"] < one["x"] + one["width"]
    down = one["y"] < other["y"] + other["height"] and other["y"] < one["y"] + one["height"]
    return across and down
