"""Who a result is: UIDs that follow from what was read, what read it and what the object is.

The same reading done twice gives the same UIDs, so that a repeated run or a repeated send gives the archive
the same instances and not twins. Tracking UIDs depend on study, level and concept only: a vertebra keeps
its own when the study is read again by a later version.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from operators.reading.options import Kind
from operators.reading.reading import SpineReading


def derive_uid(*names: str) -> str:
    """A UID that follows from names, under the UUID arc 2.25 (PS3.5 B.2).

    The UUID is of version 8 (RFC 9562, section 5.8): the first 128 bits of SHA-256 over the names as a
    JSON list, with version and variant set. SHA-256 and not the SHA-1 of version 5, because UIDs must stay
    apart for inputs that nobody chose kindly.

    Args:
        names: What the UID stands for, from the general to the particular.

    Returns:
        A UID of at most 44 characters.
    """
    digest = hashlib.sha256(json.dumps(["osteon", *names]).encode()).digest()
    number = int.from_bytes(digest[:16], "big")
    number = number & ~(0xF << 76) | (0x8 << 76)
    number = number & ~(0x3 << 62) | (0x2 << 62)
    return f"2.25.{number}"


@dataclass(frozen=True)
class ResultIdentity:
    """The UIDs of the results of one reading.

    Attributes:
        study_uid: Study Instance UID.
        content_digest: SHA-256 over the input, hex.
        pipeline: Version of Osteon.
        engine, engine_version, engine_digest: The segmentation engine and its weights.
        options: Digest of the site's choices that change what is measured, empty for the default.
        second_opinion: Of the weights of the second opinion on fractures.
    """

    study_uid: str
    content_digest: str
    pipeline: str
    engine: str
    engine_version: str
    engine_digest: str
    options: str = ""
    second_opinion: str = ""

    @classmethod
    def of(cls, reading: SpineReading) -> ResultIdentity:
        """The identity of what is made from ``reading``."""
        by = reading.provenance
        return cls(
            study_uid=reading.source.study_uid,
            content_digest=reading.source.content_digest,
            pipeline=by.pipeline,
            engine=by.engine,
            engine_version=by.engine_version,
            engine_digest=by.engine_digest,
            options=by.options,
            second_opinion=by.second_opinion,
        )

    def _result_uid(self, what: str, kind: Kind, *variant: str) -> str:
        return derive_uid(
            "result",
            self.study_uid,
            self.content_digest,
            self.pipeline,
            self.engine,
            self.engine_version,
            self.engine_digest,
            *([self.options] if self.options else []),
            *([self.second_opinion] if self.second_opinion else []),
            what,
            kind,
            *variant,
        )

    def series_uid(self, kind: Kind, *variant: str) -> str:
        """Series Instance UID of the series that holds the one object of this kind.

        ``variant`` names what makes the object another one although the reading is the same.
        """
        return self._result_uid("series", kind, *variant)

    def instance_uid(self, kind: Kind, *variant: str) -> str:
        """SOP Instance UID of the object of this kind; ``variant`` as for its series."""
        return self._result_uid("instance", kind, *variant)

    def dimension_uid(self, kind: Kind) -> str:
        """Dimension Organization UID of the multi-frame object of this kind."""
        return self._result_uid("dimensions", kind)

    def tracking_uid(self, level: str, concept: str) -> str:
        """Tracking UID of ``concept`` at ``level``, the same for every reading of this study."""
        return derive_uid("tracking", self.study_uid, level, concept)

    @property
    def device_uid(self) -> str:
        """UID of this version of Osteon as a device (Device Observer UID)."""
        return derive_uid("device", self.pipeline)

    @property
    def algorithm_uid(self) -> str:
        """UID of this release of the engine and its weights (Device UID of the processing equipment)."""
        return derive_uid("algorithm", self.engine, self.engine_version, self.engine_digest)


def stand_in_frame_of_reference(series_uid: str) -> str:
    """Frame of Reference UID for results on a series that has none of its own."""
    return derive_uid("frame-of-reference", series_uid)
