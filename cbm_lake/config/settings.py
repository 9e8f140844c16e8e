"""Settings model: config/main.json and CBM_LAKE_… environment variables, validated, with defaults."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from cbm_lake.errors import ConfigError

_PREFIX: Final = "CBM_LAKE_"
"""How the variables of settings begin."""


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True, hide_input_in_errors=True
    )


class Set(_Section):
    """General settings."""

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
    language: Literal["en", "de", "fr", "es"] = "en"
    """Of the workbench."""


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
    """A PostgreSQL database of the original library, as the source of a migration."""

    description: str = ""
    host: str = ""
    port: int = 5432
    name: str = "postgres"
    sche: str = "public"
    user: str = ""
    password: SecretStr = Field(default=SecretStr(""), alias="pass")


class _ObjectStore(_Section):
    """Access to a bucket; see `access.Access`."""

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
    """Object store of the scenes, for instance of a DIAS."""

    dias: str = ""
    bucket: str = ""
    """The bucket that this is about; empty is every one but the lake's own."""

    @model_validator(mode="before")
    @classmethod
    def _from_original(cls, values: Any) -> Any:
        """The original's osdias and oshost under our names; ours (from the environment) take precedence."""
        if not isinstance(values, dict):
            return values
        names = {"osdias": "dias", "oshost": "host"}
        old = {names[key]: value for key, value in values.items() if key in names}
        return old | {key: value for key, value in values.items() if key not in names}


class LakeSettings(_ObjectStore):
    """Location of the lake, and access to its bucket for an s3:// URL."""

    url: str = ""
    """Folder or URL of the lake; empty means data/lake in the workspace."""


class Pseudonyms(_Section):
    """Settings of pseudonyms in exports; see `Lake.export`."""

    key: SecretStr = SecretStr("")
    """What identifiers are hashed with, 16 bytes or more; empty means the file config/pseudonyms.key."""


class Config(BaseSettings):
    """All settings; environment (CBM_LAKE_API__PASS=…) over file over defaults; `{}` is a valid file."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, hide_input_in_errors=True
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
        """Order of sources: environment, then the file's document, passed as keyword arguments."""
        assert isinstance(init_settings, InitSettingsSource)  # noqa: S101 - a fact of the library
        return _Renamed(settings_cls, env_settings), init_settings


class _Renamed(PydanticBaseSettingsSource):
    """Environment settings under the names of the file."""

    def __init__(self, settings_cls: type[BaseSettings], source: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._source = source

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Value of a field, as the source provides it."""
        return self._source.get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        return _renamed(self._source())


def read(document: dict[str, Any], file: str) -> Config:
    """Validate the settings of a document, with environment variables taking precedence.

    Args:
        document: of the file.
        file: its name, for messages.

    Raises:
        ConfigError: a setting is unknown or wrong; the message says which, and whether the file has it.
    """
    try:
        variables = frozenset((name, value) for name, value in os.environ.items() if name.upper().startswith(_PREFIX))
        return _read(json.dumps(document), variables)
    except (ValidationError, SettingsError, TypeError) as error:
        raise ConfigError(f"{_at_fault() or file}: {_first_problem(error)}") from error


@lru_cache(maxsize=4)
def _read(document: str, _: frozenset[tuple[str, str]]) -> Config:
    """Settings of a JSON document and these variables, cached because they are read at every step."""
    return Config(**_renamed(json.loads(document)))


def _at_fault() -> str:
    """Location of a wrong setting: the environment if it is wrong without the file, else ""."""
    try:
        Config()
    except (ValidationError, SettingsError):
        return "a variable CBM_LAKE_… of the environment"
    return ""


def defaults() -> dict[str, Any]:
    """Default settings as a document, free of environment values."""
    sections = {name: field.get_default() for name, field in Config.model_fields.items()}
    return {
        name: {key: value.model_dump(mode="json") for key, value in section.items()}
        if isinstance(section, dict)
        else section.model_dump(mode="json")
        for name, section in sections.items()
    }


def _renamed(document: dict[str, Any]) -> dict[str, Any]:
    """Document with the original's section obst as s3, and passwords as `pass`.

    An alias of obst would also read the variables S3 and OBST; of two names of one setting the environment's would not
    come before the file's.

    Raises:
        SettingsError: a password is given by both of its names.
    """
    document = dict(document)
    if "obst" in document:
        document["s3"] = {**document.pop("obst"), **document.get("s3", {})}
    if isinstance(document.get("api"), dict):
        document["api"] = _with_pass("api", document["api"])
    if isinstance(document.get("db"), dict):
        document["db"] = {name: _with_pass(f"db.{name}", database) for name, database in document["db"].items()}
    return document


def _with_pass(name: str, section: Any) -> Any:
    if not isinstance(section, dict) or "password" not in section:
        return section
    if "pass" in section:
        raise SettingsError(f"{name}.pass and {name}.password are one setting; give one of them")
    return {("pass" if key == "password" else key): value for key, value in section.items()}


def _first_problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        problem = error.errors()[0]
        name = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            names = _settings(problem["loc"][:-1])
            return f"{name} is no setting" + (f"; there are: {', '.join(names)}" if names else "")
        return f"{name}: {problem['msg']}"
    return str(error)


def _settings(section: Sequence[int | str]) -> list[str]:
    """Setting names of a section."""
    model: Any = Config
    for name in section:
        field = getattr(model, "model_fields", {}).get(name)
        model = field.annotation if field else None
    return sorted(getattr(model, "model_fields", {}))
