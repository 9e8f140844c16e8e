"""Options of the sample extraction, from keywords, the command line, or an INI or JSON file."""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.files.documents import load_json


class Options(BaseModel):
    """Options of the sample extraction; aliases are the names in files and on the command line."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True)

    three_percent: bool = Field(default=False, alias="3_percent")
    """Whether the sample is taken from 3 % of the holdings."""
    covered_priority: int = Field(default=0, ge=0, le=2)
    """What very-high-resolution coverage means: 0 nothing, 1 covered parcels first, 2 covered parcels only."""
    noncontributing: int = Field(default=0, ge=0, le=1, alias="noncontributing_filtering")
    """1: a holding's best parcel stays on the list when its buckets are full; 0: it leaves like every other."""
    extraction_id: str = Field(default="", pattern=r"^[^/\\\x00-\x1f]*$")
    """Begins the names of the files; made up when empty."""
    target_rule: Literal["simple", "buffer", "minimal", "ulm", "ulm_minimal"] = "simple"
    """How targets follow from the number of rows where there is no target list; see targets.RULES."""
    raise_by: float = Field(default=0, ge=-100, le=1000)
    """Percent by which all targets are raised."""
    holding_groups: tuple[str, ...] = ()
    """Groups whose interventions are checked for the whole holding."""

    @field_validator("holding_groups", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """Split comma-separated text of an INI file or the command line."""
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class Request(Options):
    """Options together with the input files."""

    parcel_file: Path | None = None
    target_file: Path | None = None


def request(config: Path | None = None, **values: object) -> Request:
    """Read a request from a file; arguments that are not None take precedence.

    Args:
        config: JSON (.json), else INI, whose sections are taken together.
        values: options by their names on the command line.

    Raises:
        SourceError: the file cannot be read.
        InvalidInputError: an option is unknown or has a wrong value.
    """
    named = {} if config is None else _read(config)
    named |= {name: value for name, value in values.items() if value is not None}
    with _explained(config):
        return Request.model_validate(named)


def options(**values: object) -> Options:
    """Build options from keywords.

    Raises:
        InvalidInputError: an option has a wrong value.
    """
    with _explained(None):
        return Options.model_validate(values)


@contextmanager
def _explained(config: Path | None) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise InvalidInputError(f"{config or 'options of the sample'}: {'; '.join(problems)}; correct it") from error


def _read(config: Path) -> dict[str, Any]:
    try:
        text = config.read_text("utf-8-sig")
        if config.suffix.lower() == ".json":
            document = load_json(text)
        else:
            parser = configparser.ConfigParser(interpolation=None)
            parser.read_string(text)
            document = {name: value for section in parser.values() for name, value in section.items() if value}
    except (OSError, ValueError, configparser.Error) as error:
        reason = " ".join(str(error).split())
        raise SourceError(f"{config} cannot be read ({reason}); give an INI file with a section, or JSON") from error
    if not isinstance(document, dict):
        raise InvalidInputError(f"{config} must hold a JSON object of options; mend it")
    return document
