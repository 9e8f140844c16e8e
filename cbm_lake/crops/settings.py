"""The settings of a crop check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cbm_lake.errors import InvalidInputError

Promise = Literal["accusations", "parcels"]
"""What alpha bounds: the share of wrong ones among the accusations, or among the correctly declared parcels."""


class Settings(BaseModel):
    """What is promised, and how it is predicted. Equal settings, data and libraries give equal verdicts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alpha: float = Field(default=0.05, gt=0, le=0.5, allow_inf_nan=False)
    """The promised error, a share: see `promise`."""
    promise: Promise = "accusations"
    """"accusations": at most `alpha` of the accusations are wrong, and at most `alpha` of the correctly declared
    parcels of each crop group and size class are accused. "parcels": only the latter."""
    wrong_share: float | None = Field(default=None, ge=0, le=0.5, allow_inf_nan=False)
    """Share of wrong declarations as it is known from elsewhere, such as inspections by sample; None: estimated."""
    seed: int = Field(default=0, ge=0)
    block_m: float = Field(default=25_000, gt=0, allow_inf_nan=False)
    """Side of the spatial blocks, in metres; smaller where the set would have fewer than two blocks per fold."""
    buffer_m: float = Field(default=0, ge=0, allow_inf_nan=False)
    """Parcels nearer than this to a parcel of a fold are left out of the training of its model, in metres."""
    folds: int = Field(default=5, ge=2, le=50)
    min_parcels: int = Field(default=10, ge=2)
    """Crops of fewer parcels are joined to related ones."""
    size_limits_m2: tuple[float, ...] = (5_000.0, 20_000.0)
    """Between the size classes, ascending, in square metres."""
    groups: Mapping[str, str] | None = None
    """Group by crop; those that are not in it are grouped by themselves. None: all are grouped by their confusion."""
    threads: int = Field(default=0, ge=0)
    """Of the models; 0: as many as there are processors. No result depends on it."""


NOUNS: Final = {"alpha": "the promised error (alpha)"}
"""How messages name a setting."""


def settings_of(**options: object) -> Settings:
    """Validate settings.

    Raises:
        InvalidInputError: one is outside what is accepted; the message says which.
    """
    try:
        return Settings.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise InvalidInputError(
                f"there is no setting {name}; there are: {', '.join(Settings.model_fields)}"
            ) from error
        raise InvalidInputError(f"{NOUNS.get(name, name)}: {first['msg'].lower()}, not {first['input']!r}") from error
