"""Names of weather variables in files of each provider, and their meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cbm_lake.errors import InvalidInputError, some

MEASURES: Final = ("tmin", "tmax", "tmean", "prec")


@dataclass(frozen=True)
class Variable:
    """The quantity of a weather variable."""

    measures: tuple[str, ...]
    """Of MEASURES: what of a day follows from it."""
    before: bool = False
    """Whether a value is of the step before its time, not at its time."""
    daily: bool = False
    """Whether a file has one value a day, which is of that day."""
    rate: bool = False
    """Whether it is precipitation in a time, not a total."""

    @property
    def kind(self) -> str:
        """Kind of its unit."""
        return "precipitation" if self.measures == ("prec",) else "temperature"


_ALL: Final = Variable(("tmin", "tmax", "tmean"))
_RAIN: Final = Variable(("prec",), before=True)
_RATE: Final = Variable(("prec",), before=True, rate=True)
_DAILY: Final = {name: Variable((name,), daily=True) for name in MEASURES}

_MODELS: Final = {
    _ALL: "t2m 2t 2m_temperature var_2t tas",
    _RAIN: "tp total_precipitation var_tp",
    _RATE: "mtpr avg_tprate tprate pr mean_total_precipitation_rate",
    Variable(("tmin",), before=True): "mn2t",
    Variable(("tmax",), before=True): "mx2t",
    Variable(("prec",), daily=True, rate=True): "precipitation_flux",
    _DAILY["tmin"]: "tmin tn tasmin temperature_air_2m_min_24h",
    _DAILY["tmax"]: "tmax tx tasmax temperature_air_2m_max_24h",
    _DAILY["tmean"]: "tmean tg temperature_air_2m_mean_24h",
    _DAILY["prec"]: "prec rr",
}
VARIABLES: Final[Mapping[str, Variable]] = {
    name: variable for variable, names in _MODELS.items() for name in names.split()
}
"""By names in small letters: ERA5, ERA5-Land, AgERA5, E-OBS, CMIP, and files with our own names."""

_COLUMNS: Final = {
    "meteo_date": """
        meteo_date date day datum dag fecha data dato tag jour time obs_date obstime valid_time
        timestamp
    """,
    "tmin": "tmin temperature_min temp_min t_min tn min_temp temperature_2m_min tmin_c mintemp tnk",
    "tmax": "tmax temperature_max temp_max t_max tx max_temp temperature_2m_max tmax_c maxtemp txk",
    "tmean": """
        tmean temperature_avg temp_mean t_mean tg tavg temp_avg t_avg temperature_mean mean_temp
        avg_temp temperature_2m_mean tmean_c tmk
    """,
    "prec": """
        prec precipitation precip rr prcp rain rainfall precipitation_sum precipitation_mm prec_mm
        rain_mm precip_mm rsk
    """,
    "lon": "lon longitude long lng",
    "lat": "lat latitude",
}
TABLE_NAMES: Final[Mapping[str, Sequence[str]]] = {column: tuple(names.split()) for column, names in _COLUMNS.items()}
"""Columns of a table by the names that they may have there: the first that is there."""


def of(name: str, columns: Mapping[str, str]) -> Variable | None:
    """Look up the variable of a file; None if it is not used.

    Args:
        name: of the variable.
        columns: by what we call it, how the file calls it, where the caller says so.
    """
    said = tuple(ours for ours, theirs in columns.items() if theirs == name and ours in MEASURES)
    match = VARIABLES.get(name.lower())
    if said:
        before = said == ("prec",) or bool(match and match.before)
        return Variable(said, before=before, daily=bool(match and match.daily), rate=bool(match and match.rate))
    return match


def check_columns(columns: Mapping[str, str]) -> None:
    """Check that the column names of a caller exist.

    Raises:
        InvalidInputError: one is not.
    """
    unknown = sorted({*columns} - {*TABLE_NAMES, "cell"})
    if unknown:
        raise InvalidInputError(f"no column is called {some(unknown)}; there are: cell, {', '.join(TABLE_NAMES)}")
