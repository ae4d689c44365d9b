"""What a site may decide about a reading. The node fills it from its settings; a notebook by hand."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from models.engines.spec import EngineSpec
from operators.reading.calibration_entry import CalibrationEntry
from operators.reading.quantity import Frozen


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


class TubeVoltageFactor(Frozen):
    """What a site has measured for one tube voltage: HU times ``factor`` are HU at 120 kV.

    There is no default: published factors differ with filtration and patient size (docs/science.md §2.5).
    """

    kvp: Annotated[float, Field(ge=90.0, le=150.0)]
    factor: Annotated[float, Field(ge=0.7, le=1.4)]


class ReadingOptions(Frozen):
    """Choices of a site.

    Attributes:
        kinds: DICOM objects to write, whatever was measured; which of them a peer gets is the node's
            matter. They do not change each other, so that they are no part of :attr:`digest`.
        refusal_reports: False to write no report on a study that cannot be read. The reports that are
            written then are those of ``kinds``.
        calibrations: The site's phantom calibrations, for mg/cm3; ``osteon calibrate`` makes them.
        internal_calibration: True for experimental mg/cm3 from the patient's own tissues where no phantom
            calibration holds.
        tube_voltage_factors: Measured by the site; without one, only 120 kV gives a density category.
        automated_offset_hu: By how much the automatic region reads higher than a manual one at this site, HU;
            taken off before the limits of a category, which rest on manual regions.
        comparator: True to add what Comp2Comp's published constants make of the scan.
        engines: Segmentation engines that the site brings, by name. Which of them reads, and its files and
            settings, are part of the identity of the results by the engine's own digest.
    """

    kinds: tuple[Kind, ...] = (Kind.SEGMENTATION, Kind.DENSITY_REGIONS, Kind.REPORT)
    refusal_reports: bool = True
    calibrations: tuple[CalibrationEntry, ...] = ()
    internal_calibration: bool = False
    tube_voltage_factors: tuple[TubeVoltageFactor, ...] = ()
    automated_offset_hu: Annotated[float, Field(ge=-50.0, le=50.0)] = 0.0
    comparator: bool = False
    engines: dict[str, EngineSpec] = Field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 over every choice that changes what is measured, empty where all are the default.

        It is part of the identity of the results: other choices give other UIDs.
        """
        deciding = self.model_dump_json(exclude={"kinds", "refusal_reports", "engines"}, exclude_defaults=True)
        return "" if deciding == "{}" else hashlib.sha256(deciding.encode()).hexdigest()


DEFAULT = ReadingOptions()
"""What a site gets that decides nothing."""
