"""Where on the source images the key vertebrae lie: what key objects and presentation states point at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from operators.reading.case import Case
from operators.reading.vertebra import Vertebra
from operators.results.outlines import CaseRegions, Region
from operators.results.source_frames import SourceFrame


class KeySlice(NamedTuple):
    """A source image and the vertebrae that it shows.

    Attributes:
        frame: The image.
        vertebrae: Outlines by vertebra: its own first, then those of the biomarkers' masks that are on this image.
    """

    frame: SourceFrame
    vertebrae: tuple[tuple[Vertebra, tuple[Region, ...]], ...]


def key_slices(case: Case, vertebrae: Iterable[Vertebra]) -> tuple[KeySlice, ...]:
    """The slice through the middle of each vertebra, as the report refers to it; each slice once.

    Args:
        case: With its slices.
        vertebrae: Of its reading, from head to feet.

    Raises:
        PermanentError: The volume's slices do not lie on the source images.
    """
    regions = CaseRegions(case)
    found: dict[tuple[str, int | None], tuple[SourceFrame, list[tuple[Vertebra, tuple[Region, ...]]]]] = {}
    for vertebra in vertebrae:
        own = regions.vertebra(vertebra)
        measured = [region for name in case.masks for region in regions.mask(name, vertebra)]
        beside = [region for region in measured if region.frame.key == own.frame.key]
        found.setdefault(own.frame.key, (own.frame, []))[1].append((vertebra, (own, *beside)))
    return tuple(KeySlice(frame, tuple(shown)) for frame, shown in found.values())
