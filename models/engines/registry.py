"""The engines by name: those that come with Osteon, and those that a site or a test adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from models.engine import UnknownEngineError, VertebraEngine

Factory = Callable[[], VertebraEngine]


class Registry:
    """Engines by name, each made when it is first asked for and kept, so that its weights load once.

    Args:
        factories: What makes each engine.
    """

    def __init__(self, factories: Mapping[str, Factory]) -> None:
        self._factories = dict(factories)
        self._engines: dict[str, VertebraEngine] = {}

    def register(self, name: str, factory: Factory) -> None:
        """Make an engine known under ``name``.

        An engine that is known with an equal factory stays as it is, with its weights in memory.
        """
        if self._factories.get(name) == factory:
            return
        self._factories[name] = factory
        self._engines.pop(name, None)

    def unregister(self, name: str) -> None:
        """Forget the engine called ``name``, and what it holds in memory."""
        self._factories.pop(name, None)
        self._engines.pop(name, None)

    def get(self, name: str) -> VertebraEngine:
        """The engine called ``name``.

        Raises:
            UnknownEngineError: No engine of this name is registered.
        """
        if name not in self._engines:
            if name not in self._factories:
                raise UnknownEngineError(name, self.names())
            self._engines[name] = self._factories[name]()
        return self._engines[name]

    def names(self) -> tuple[str, ...]:
        """Names of all engines, in alphabetical order."""
        return tuple(sorted(self._factories))


def _own() -> VertebraEngine:
    # Imported when asked for: torch takes seconds to import and other engines do not need it.
    from models.vertebrae.engine import VertebraNetwork

    return VertebraNetwork()


def _totalsegmentator(fast: bool) -> VertebraEngine:
    from models.engines.totalsegmentator import load_totalsegmentator

    return load_totalsegmentator(fast=fast)


ENGINES = Registry(
    {
        "osteon": _own,
        "totalsegmentator": partial(_totalsegmentator, fast=False),
        "totalsegmentator-fast": partial(_totalsegmentator, fast=True),
    }
)
"""The engines of this process."""
