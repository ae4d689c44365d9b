"""The one settings tree, read once at start from ``osteon.toml`` and ``OSTEON_*`` variables.

A variable names its place in the tree with double underscores (``OSTEON_RECEIVER__PORT=11113``) and
wins over the file. A key that is not known is refused, so that a misspelled one never goes unnoticed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from models.engines.spec import EngineSpec
from node.delivering.destinations import (
    DESTINATION_TYPES,
    AETitle,
    AnyDestination,
    Destination,
    DestinationName,
    Part,
    Port,
)
from node.delivering.profiles import ordered
from operators.reading.errors import PermanentError
from operators.reading.options import DEFAULT, ReadingOptions

PREFIX = "OSTEON_"
DEFAULT_FILE = "osteon.toml"
OUTSIDE_THE_TREE = frozenset({"OSTEON_CONFIG", "OSTEON_DATA"})
"""Variables with our prefix that are not settings: where the file lies, and test data."""


class SettingsError(PermanentError):
    """A setting is wrong; the sentence names the key, its value and what is allowed."""

    def __init__(self, sentence: str) -> None:
        super().__init__("settings", sentence)


class ReceiverSettings(Part):
    """The DICOM receiver."""

    ae_title: AETitle = "OSTEON"
    """Our AE title; an association that calls another one is rejected."""
    host: str = "127.0.0.1"
    """Address to listen on. Loopback unless somebody opens it: DICOM here has no authentication."""
    port: Port = 11112
    """DICOM port to listen on."""
    calling_ae_titles: tuple[AETitle, ...] = ()
    """AE titles that may send; empty means any."""
    max_associations: Annotated[int, Field(ge=1, le=1000)] = 20
    """Associations at once; more are rejected for the moment."""
    association_timeout_seconds: Annotated[float, Field(gt=0)] = 10.0
    """A connection that has not asked for an association after this long is closed."""
    network_timeout_seconds: Annotated[float, Field(gt=0)] = 60.0
    """An association on which nothing happens for this long is ended."""


class StorageSettings(Part):
    """Where everything that must survive a restart lies. All of it must be one file system."""

    folder: Path = Path("osteon-data")
    """Inbox, work, outbox and database."""
    min_free_gib: Annotated[float, Field(ge=0)] = 1.0
    """With less free space than this the receiver answers "out of resources" (0xA700)."""

    @property
    def inbox(self) -> Path:
        """Received instances."""
        return self.folder / "inbox"

    @property
    def inputs(self) -> Path:
        """Settled studies, frozen for their reading."""
        return self.folder / "inputs"

    @property
    def work(self) -> Path:
        """Readings that are being made, and notes on what was handed on."""
        return self.folder / "work"

    @property
    def outbox(self) -> Path:
        """Finished readings."""
        return self.folder / "outbox"


class SettlingSettings(Part):
    """When a study counts as complete."""

    quiet_seconds: Annotated[float, Field(gt=0)] = 30.0
    """No new instance for this long, and no association of a sender of this study open."""
    gap_seconds: Annotated[float, Field(gt=0)] = 120.0
    """The same, while slices are missing between others of a series."""
    longest_wait_seconds: Annotated[float, Field(gt=0)] = 1800.0
    """After this long since the first unread instance the study is read as it is."""


class ReadingSettings(Part):
    """The child process that reads."""

    engine: str = "osteon"
    """Name of the segmentation engine."""
    attempts: Annotated[int, Field(ge=1, le=20)] = 3
    """A crash, a hang or an out-of-memory kill costs one; after the last the study is refused."""
    wait_seconds: Annotated[float, Field(ge=0)] = 2.0
    """Pause before the second attempt; it doubles with each further one."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 1800.0
    """A reading that takes longer is killed."""
    memory_gib: Annotated[float, Field(gt=0)] | None = None
    """Most memory that the reader may allocate (data segment); None leaves it to the system."""
    options: ReadingOptions = DEFAULT
    """What the site decides about the measurements. ``kinds``: objects that are written even where no
    destination wants them."""


EngineName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,30}$")]


class DatabaseSettings(Part):
    """Where durable workflows live."""

    url: str | None = None
    """``postgresql://…`` when several machines share the work; they must share ``storage.folder`` too. None means
    SQLite in the folder."""
    executor: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = None
    """Name of this node in the database; None gives every node of the folder a name of its own. A name that is set
    must stay the same over restarts and be used by no other node."""

    @property
    def is_shared(self) -> bool:
        """Whether several nodes may work on it at once."""
        return self.url is not None and not self.url.startswith("sqlite")

    @field_validator("url")
    @classmethod
    def _known_kind(cls, url: str | None) -> str | None:
        if url is not None and not re.match(r"^(sqlite|postgresql(\+psycopg)?)://", url):
            msg = "must begin with postgresql:// or sqlite://"
            raise ValueError(msg)
        return url


class LogSettings(Part):
    """What is logged. Logs name studies by UID only, never a patient."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least important that is logged."""
    format: Literal["text", "json"] = "text"
    """For people, or one JSON object per line."""


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
        use_attribute_docstrings=True,
    )

    receiver: ReceiverSettings = ReceiverSettings()
    storage: StorageSettings = StorageSettings()
    settling: SettlingSettings = SettlingSettings()
    reading: ReadingSettings = ReadingSettings()
    destinations: dict[DestinationName, AnyDestination] = Field(default_factory=dict)
    engines: dict[EngineName, EngineSpec] = Field(default_factory=dict)
    """Segmentation engines that the site brings; ``reading.engine`` names the one that reads."""
    database: DatabaseSettings = DatabaseSettings()
    logs: LogSettings = LogSettings()

    @field_validator("engines")
    @classmethod
    def _not_ours(cls, engines: dict[str, EngineSpec]) -> dict[str, EngineSpec]:
        if "osteon" in engines:
            msg = "osteon is the engine that comes with Osteon; give yours another name"
            raise ValueError(msg)
        return engines

    @property
    def database_url(self) -> str:
        """URL of the workflow database."""
        if self.database.url is not None:
            return self.database.url
        return f"sqlite:///{self.storage.folder.resolve() / 'osteon.sqlite'}"

    @property
    def reading_options(self) -> ReadingOptions:
        """What the reader is asked for: the site's choices, with every kind that a destination may get."""
        options = self.reading.options
        peers = [peer for peer in self.destinations.values() if isinstance(peer, Destination)]
        kinds = ordered([*options.kinds, *(kind for peer in peers for kind in peer.possible_kinds)])
        return options.model_copy(update={"kinds": kinds, "engines": {**options.engines, **self.engines}})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Variables win over the file; the file is handed in by :func:`load_settings`."""
        return env_settings, init_settings


def load_settings(file: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of this process.

    Args:
        file: The TOML file. None means ``OSTEON_CONFIG``, else ``osteon.toml`` where there is one.
        environment: Only the names are looked at, for unknown ones; None means that of the process.

    Raises:
        SettingsError: A key is unknown or a value is not allowed.
    """
    names = os.environ if environment is None else environment
    _refuse_unknown_variables(names)
    path = file or (Path(names["OSTEON_CONFIG"]) if "OSTEON_CONFIG" in names else None)
    if path is not None and not path.exists():
        msg = f"the settings file {path} does not exist; name an existing one or leave it out"
        raise SettingsError(msg)
    path = path or Path(DEFAULT_FILE)
    if path.is_dir():
        msg = f"the settings file {path} is a folder; a container makes one where the file to be mounted is missing"
        raise SettingsError(msg)
    origin = f"{path} or a variable" if path.is_file() else "a variable"
    try:
        content = TomlConfigSettingsSource(Settings, path)() if path.is_file() else {}
        return Settings(**content)
    except OSError as error:
        msg = f"the settings file {path} cannot be read ({error.strerror}); give the node's user the right to"
        raise SettingsError(msg) from error
    except ValidationError as error:
        raise SettingsError(_explain(error, origin)) from error
    except ValueError as error:  # not TOML, or a variable that should be JSON is not
        msg = f"{origin} cannot be understood: {error}"
        raise SettingsError(msg) from error


def _refuse_unknown_variables(names: Mapping[str, str]) -> None:
    known = {f"{PREFIX}{field.upper()}" for field in Settings.model_fields}
    for name in sorted(names):
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in OUTSIDE_THE_TREE:
            continue
        if upper.split("__", 1)[0] not in known:
            allowed = ", ".join(sorted(known))
            msg = f"the variable {name} is no setting of Osteon; settings begin with one of: {allowed}"
            raise SettingsError(msg)


def _explain(error: ValidationError, origin: str) -> str:
    """One sentence per wrong key: key, value, what is allowed."""
    return f"in {origin}: " + "; ".join(_explain_one(dict(detail)) for detail in error.errors())


def _explain_one(detail: dict[str, Any]) -> str:
    location = detail["loc"]
    if len(location) > 2 and location[0] == "destinations" and location[2] in DESTINATION_TYPES:
        # The type that was decided on, which nobody has written there.
        location = (*location[:2], *location[3:])
    key = ".".join(str(part) for part in location)
    if detail["type"] == "extra_forbidden":
        return f"{key} is no setting of Osteon ({_siblings(detail['loc'])})"
    if detail["type"] == "missing":
        return f"{key} is missing"
    if detail["type"] == "union_tag_invalid":
        known = detail["ctx"]
        return f"{key}.type = {known['tag']!r} is not allowed: it must be one of {known['expected_tags']}"
    if not isinstance(detail["input"], str | int | float | list | tuple):
        return f"{key} is not allowed: {detail['msg']}"  # several keys that do not go together
    value = "…" if key == "database.url" or key.endswith(".token") else repr(detail["input"])  # secrets
    return f"{key} = {value} is not allowed: {detail['msg']}"


def _siblings(location: tuple[str | int, ...]) -> str:
    model: type[BaseModel] = Settings
    if location[0] == "destinations":
        model = DESTINATION_TYPES.get(str(location[2]), Destination)
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        if field is not None and isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
    return "allowed: " + ", ".join(model.model_fields)
