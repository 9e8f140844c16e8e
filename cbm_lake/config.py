"""The workspace (config/main.json, temp/, data/) and its settings."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from cbm_lake.errors import ConfigError
from cbm_lake.files import durable

log = logging.getLogger(__name__)

UMASK: Final = "CBM_LAKE_UMASK"
"""Variable with the umask of commands."""
_OTHERS: Final = 0o007
"""The rights of those who are neither the owner nor in the group."""


def get_value(keys: Sequence[str]) -> Any:
    """A setting of the workspace by the names of its section and key, as the original's function: ["paths", "temp"].

    Passwords and keys come as asterisks.

    Raises:
        ConfigError: there is no such setting.
    """
    found: Any = Workspace.here().config.model_dump(mode="json", by_alias=True)
    for key in [keys] if isinstance(keys, str) else keys:
        if not isinstance(found, dict) or key not in found:
            raise ConfigError(f"{'.'.join(keys)} is no setting; see docs/reference.md")
        found = found[key]
    return found


def set_value(keys: Sequence[str], value: Any) -> None:
    """Keep a setting in config/main.json, as the original's function: set_value(["api", "url"], "https://…").

    Raises:
        ConfigError: there is no such setting, or the value is none.
    """
    if isinstance(keys, str) or len(keys) < 2:
        raise ConfigError(f"{keys!r} is no setting; give its section and its key, such as ['api', 'url']")
    for key in reversed(keys[2:]):
        value = {key: value}
    Workspace.here().configure(keys[0], **{keys[1]: value})


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True, hide_input_in_errors=True
    )


class Set(_Section):
    """General settings of the user."""

    user: str = ""
    email: str = ""
    institution: str = ""
    update_check: bool = False
    member_state: str = ""
    polygon: str = ""
    data_source: str = "direct"
    """Where `get` reads: "direct" (the lake) or "api" (a REST server)."""
    db_conn: str = "main"
    dataset: str = ""
    ds_year: str = ""
    jupyterlab: bool = True
    plimit: int = Field(default=25, ge=1)
    """The greatest number of parcels that a widget fetches at once."""
    git_url: str = ""


class Paths(_Section):
    """Folders, relative to the workspace unless absolute."""

    data: str = "data"
    temp: str = "temp"


class Api(_Section):
    """Account on a REST server."""

    url: str = ""
    user: str = ""
    password: SecretStr = Field(default=SecretStr(""), alias="pass")


class Db(_Section):
    """A PostgreSQL database of the original library, to migrate from."""

    description: str = ""
    host: str = ""
    port: int = 5432
    name: str = "postgres"
    sche: str = "public"
    user: str = ""
    password: SecretStr = Field(default=SecretStr(""), alias="pass")


class _ObjectStore(_Section):
    """How a bucket is reached; see `access.Access`."""

    host: str = Field(default="", pattern=r"^\S*$")
    """Endpoint, with or without https://; empty is Amazon's."""
    region: str = ""
    access_key: str = ""
    secret_key: SecretStr = SecretStr("")
    anonymous: bool = False
    requester_pays: bool = False
    connections: int = Field(default=16, ge=1)
    retries: int = Field(default=4, ge=0)


class S3(_ObjectStore):
    """The object store of the scenes, a DIAS for instance."""

    dias: str = ""
    bucket: str = ""
    """The bucket that this is about; empty is every one but the lake's own."""

    @model_validator(mode="before")
    @classmethod
    def _from_original(cls, values: Any) -> Any:
        """The original's osdias and oshost under our names; where both are given, ours (the environment's) hold."""
        if not isinstance(values, dict):
            return values
        names = {"osdias": "dias", "oshost": "host"}
        old = {names[key]: value for key, value in values.items() if key in names}
        return old | {key: value for key, value in values.items() if key not in names}


class LakeSettings(_ObjectStore):
    """Where the lake is, and, for an s3:// URL, how its bucket is reached."""

    url: str = ""
    """Folder or URL of the lake; empty means data/lake in the workspace."""


class Pseudonyms(_Section):
    """Pseudonyms of exports; see `Lake.export`."""

    key: SecretStr = SecretStr("")
    """What identifiers are hashed with, 16 bytes or more; empty means the file config/pseudonyms.key."""


class Config(BaseSettings):
    """All settings: environment (CBM_LAKE_API__PASS=…) before file before default; `{}` is a valid file."""

    model_config = SettingsConfigDict(
        env_prefix="CBM_LAKE_", env_nested_delimiter="__", extra="forbid", frozen=True, hide_input_in_errors=True
    )

    set: Set = Set()
    paths: Paths = Paths()
    files: dict[str, str] = {}
    api: Api = Api()
    db: dict[str, Db] = {"main": Db()}
    s3: S3 = S3()
    lake: LakeSettings = LakeSettings()
    pseudonyms: Pseudonyms = Pseudonyms()
    tms: dict[str, str] = {}
    """Further tile servers by name: a URL with {x}, {y}, {z}; WMTS:URL,layer=NAME; or a file of GDAL_WMS."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first, then the file's document, which comes in as keyword arguments."""
        assert isinstance(init_settings, InitSettingsSource)  # noqa: S101 - a fact of the library
        return env_settings, init_settings


@dataclass(frozen=True)
class Workspace:
    """A folder that holds config/main.json, data/ and temp/."""

    root: Path

    @classmethod
    def here(cls) -> Workspace:
        """The workspace named by CBM_LAKE_HOME, else the current folder; child processes and a later chdir keep it.

        They also keep the folder that CBM_LAKE_LAKE__URL names.

        Raises:
            ConfigError: the current folder is no more.
        """
        try:
            root = Path(os.environ.get("CBM_LAKE_HOME", "")).absolute()
        except OSError as error:
            raise ConfigError("the current folder is no more; change to another or set CBM_LAKE_HOME") from error
        os.environ["CBM_LAKE_HOME"] = str(root)
        lake = os.environ.get("CBM_LAKE_LAKE__URL", "")
        if lake and "://" not in lake:
            os.environ["CBM_LAKE_LAKE__URL"] = str(Path(lake).absolute())
        return cls(root)

    @property
    def config_file(self) -> Path:
        """Where the settings are."""
        return self.root / "config" / "main.json"

    @cached_property
    def config(self) -> Config:
        """The settings in force."""
        return self._validate(self._read())

    @property
    def data(self) -> Path:
        """The user's own folder; it also holds the default lake."""
        return self.root / self.config.paths.data

    @property
    def temp(self) -> Path:
        """Where `get` writes: temp/<aoi>/<year>/<pid>/."""
        return self.root / self.config.paths.temp

    @property
    def lake_url(self) -> str:
        """The folder or URL of the lake; a folder of the settings that is not absolute is one of the workspace."""
        url = self.config.lake.url
        return url if "://" in url else str(self.root / url) if url else str(self.data / "lake")

    def create(self) -> Workspace:
        """Make what is missing, touch nothing that exists.

        Raises:
            ConfigError: a folder or file cannot be written, or config/main.json is wrong.
        """
        with self._writing():
            _make(self.config_file.parent)
            if not self.config_file.exists():
                self._write(_defaults())
            for folder in (self.data, self.temp):
                _make(folder)
        return self

    def configure(self, section: str, **values: Any) -> Workspace:
        """Change settings in the file and return the workspace that has them; environment values stay out of the file.

        Args:
            section: a key of config/main.json, for instance "api".
            values: settings of that section by their names in the file; None takes one out, a dict changes only what
                it names.

        Raises:
            ConfigError: a setting is unknown or wrong, or the file cannot be read or written; it stays as it was.
        """
        document = self._read()
        self._validate(document)
        document[section] = _changed(document.get(section, {}), values)
        self._validate(document)
        with self._writing():
            self._write(document)
        return Workspace(self.root)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigError(
                f"workspace {self.root} cannot be written ({error.strerror}); set CBM_LAKE_HOME to a folder of yours"
            ) from error

    def _read(self) -> dict[str, Any]:
        try:
            document = json.loads(self.config_file.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{self.config_file} cannot be read: {error}; mend it or delete it for a new one"
            ) from error
        if not isinstance(document, dict):
            raise ConfigError(f"{self.config_file} must hold a JSON object; mend it or delete it for a new one")
        return document

    def _validate(self, document: dict[str, Any]) -> Config:
        try:
            return Config(**_renamed(document))
        except (ValidationError, SettingsError, TypeError) as error:
            raise ConfigError(f"{self._at_fault()}: {_first_problem(error)}") from error

    def _at_fault(self) -> str:
        """Where a wrong setting stands: what is wrong without the file is wrong in the environment."""
        try:
            Config()
        except (ValidationError, SettingsError):
            return "a variable CBM_LAKE_… of the environment"
        return str(self.config_file)

    def _write(self, document: dict[str, Any]) -> None:
        """Replace the file in one step, readable by its owner only (it may hold passwords)."""
        with durable.replacing(self.config_file, private=True) as draft:
            draft.write_text(json.dumps(document, indent=4), encoding="utf-8")


def close_to_others() -> None:
    """Let nobody but the owner and the group read what this process makes from now on.

    The process's umask says what the group may; CBM_LAKE_UMASK says all (022: everybody may read).

    Raises:
        ConfigError: CBM_LAKE_UMASK is no umask.
    """
    told = _umask()
    os.umask(os.umask(0o077) | _OTHERS if told is None else told)


def _umask() -> int | None:
    """What CBM_LAKE_UMASK says; None where it says nothing."""
    told = os.environ.get(UMASK, "")
    if told and not re.fullmatch(r"[0-7]{1,4}", told):
        raise ConfigError(f"{UMASK}={told!r} is no umask; write it as 027, or 022 where everybody may read")
    return int(told, 8) if told else None


def _make(folder: Path) -> None:
    """Make a folder of the workspace, unless it is there, closed to others unless told."""
    if folder.is_dir():
        return
    folder.mkdir(mode=0o777 & ~_OTHERS, parents=True, exist_ok=True)
    told = _umask()
    if told is not None:
        folder.chmod(0o777 & ~told)


def _defaults() -> dict[str, Any]:
    """The default settings as a document; built from the class, so that no environment value gets in."""
    sections = {name: field.get_default() for name, field in Config.model_fields.items()}
    return {
        name: {key: value.model_dump(mode="json") for key, value in section.items()}
        if isinstance(section, dict)
        else section.model_dump(mode="json")
        for name, section in sections.items()
    }


def _renamed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the original's section obst as s3; an alias would also read the variables S3 and OBST."""
    if "obst" not in document:
        return document
    others = {name: section for name, section in document.items() if name != "obst"}
    return {**others, "s3": {**document["obst"], **document.get("s3", {})}}


def _changed(kept: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Settings with some of them changed; None takes one out."""
    changed = {name: value for name, value in kept.items() if values.get(name, value) is not None}
    for name, value in values.items():
        if isinstance(value, dict):
            changed[name] = _changed(kept.get(name, {}), value)
        elif value is not None:
            changed[name] = value
    return changed


def _first_problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        problem = error.errors()[0]
        name = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            known = _settings(problem["loc"][:-1])
            return f"{name} is no setting" + (f"; there are: {', '.join(known)}" if known else "")
        return f"{name}: {problem['msg']}"
    return str(error)


def _settings(section: Sequence[int | str]) -> list[str]:
    """The names in a section of the settings."""
    model: Any = Config
    for name in section:
        field = getattr(model, "model_fields", {}).get(name)
        model = field.annotation if field else None
    return sorted(getattr(model, "model_fields", {}))
