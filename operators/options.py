"""What a site may decide about a reading. The node fills it from its settings; a notebook by hand."""

from __future__ import annotations

import hashlib
from enum import StrEnum

from operators.reading import Frozen


class Kind(StrEnum):
    """What a result object is; also the name of its file without the extension."""

    SEGMENTATION = "seg"
    DENSITY_REGIONS = "seg-density"
    LABELMAP = "seg-labelmap"
    REPORT = "sr"
    REPORT_2D = "sr-2d"
    TEXT_REPORT = "sr-text"
    SECONDARY_CAPTURE = "sc"
    PDF = "pdf"
    KEY_OBJECTS = "kos"
    PRESENTATION = "gsps"


class ReadingOptions(Frozen):
    """Choices of a site.

    Attributes:
        kinds: DICOM objects to write, whatever was measured; which of them a peer gets is the node's
            matter. They do not change each other, so that they are no part of :attr:`digest`.
    """

    kinds: tuple[Kind, ...] = (Kind.SEGMENTATION, Kind.DENSITY_REGIONS, Kind.REPORT)

    @property
    def digest(self) -> str:
        """SHA-256 over every choice that changes what is measured, empty where all are the default.

        It is part of the identity of the results: other choices give other UIDs.
        """
        deciding = self.model_dump_json(exclude={"kinds"}, exclude_defaults=True)
        return "" if deciding == "{}" else hashlib.sha256(deciding.encode()).hexdigest()


DEFAULT = ReadingOptions()
"""What a site gets that decides nothing."""
