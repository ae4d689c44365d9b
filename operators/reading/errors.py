"""What can go wrong with a study, as two kinds: it cannot be read, or the world is not ready.

Every error has a short code (stable, for ledgers and alarms) and a sentence that names the thing and
the remedy. Neither ever contains patient data: UIDs, counts and technical values only.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


class Refusal(StrEnum):
    """Why a study cannot be read, however often it is tried."""

    NO_FILES = "no-files"
    NO_DICOM = "no-dicom"
    NO_CT = "no-ct"
    NO_SUITABLE_SERIES = "no-suitable-series"
    MIXED_PATIENTS = "mixed-patients"
    MIXED_STUDIES = "mixed-studies"
    CONFLICTING_INSTANCES = "conflicting-instances"
    UNREADABLE_PIXELS = "unreadable-pixels"
    IRREGULAR_GEOMETRY = "irregular-geometry"
    NOT_HOUNSFIELD = "not-hounsfield"
    NO_SPINE = "no-spine"
    READER_KEEPS_FAILING = "reader-keeps-failing"


class OsteonError(Exception):
    """Base of all errors that Osteon raises on purpose.

    Args:
        code: Stable short name.
        sentence: What happened and what to do about it, without patient data.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(code, sentence)
        self.code = str(code)
        self.sentence = sentence

    def __str__(self) -> str:
        return f"{self.code}: {self.sentence}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let a pydantic model hold an error: in JSON an object with its code and its sentence."""
        text = core_schema.typed_dict_field(core_schema.str_schema(strict=True))
        parts = core_schema.typed_dict_schema({"code": text, "sentence": text}, extra_behavior="forbid")

        return core_schema.json_or_python_schema(
            json_schema=core_schema.no_info_after_validator_function(lambda found: cls(**found), parts),
            python_schema=core_schema.is_instance_schema(cls),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda error: {"code": error.code, "sentence": error.sentence}, when_used="json"
            ),
        )


class PermanentError(OsteonError):
    """This study cannot be read; trying again changes nothing."""


class RetriableError(OsteonError):
    """The world is not ready (peer down, disk full, worker lost); try again later."""
