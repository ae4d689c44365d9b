"""What read a study, as a value."""

from __future__ import annotations

from operators.reading.quantity import Frozen


class Provenance(Frozen):
    """What read the study.

    Attributes:
        pipeline: Version of Osteon.
        engine, engine_version, engine_digest: The segmentation engine and its weights.
        options: Digest of the site's choices that change what is measured, empty for the default.
        second_opinion: SHA-256 of the weights of the second opinion on fractures.
    """

    pipeline: str
    engine: str
    engine_version: str
    engine_digest: str
    options: str = ""
    second_opinion: str = ""
