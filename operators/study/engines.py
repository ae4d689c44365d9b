"""The segmentation engine of a reading: one that comes with Osteon, or one that the site brings."""

from __future__ import annotations

from models.engine import EngineUnavailableError, UnknownEngineError, VertebraEngine
from models.engines.registry import ENGINES
from operators.reading.errors import PermanentError
from operators.reading.options import DEFAULT, ReadingOptions


def engine_of(name: str, options: ReadingOptions = DEFAULT) -> VertebraEngine:
    """The engine called ``name``, loaded once per process.

    Args:
        name: One of Osteon's, or one of ``options.engines``.
        options: What the site has decided.

    Raises:
        PermanentError: There is no such engine, or its files are missing or cannot be used.
    """
    if options.engines:
        # Imported where a site brings engines: torch takes seconds to import.
        from models.engines.loading import register_engines

        register_engines(options.engines)
    try:
        return ENGINES.get(name)
    except (UnknownEngineError, EngineUnavailableError, FileNotFoundError, ImportError) as error:
        raise PermanentError("no-engine", f"the engine {name!r} cannot be loaded: {error}") from error
