"""Schemas of the IACS quality assessment tables: columns, types, keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from cbm_lake.errors import InvalidInputError

Kind: TypeAlias = tuple[str, ...]

TEXT: Final[Kind] = ("string",)
"""Kind of a column whose values are never looked at for their type."""
BOOLEAN: Final[Kind] = ("bool",)
_FLOAT: Final[Kind] = ("float64",)
_NUMBER: Final[Kind] = ("float64", "int64")
_AMOUNT: Final[Kind] = ("float64", "int64", "bool")
_WHOLE: Final[Kind] = ("int64",)

_LPIS: Final = {
    "lpis_code": TEXT,
    "lpis_rp_id": TEXT,
    "tot_area": _FLOAT,
    "al_area": _NUMBER,
    "pc_area": _NUMBER,
    "pg_area": _AMOUNT,
    "na_area": _AMOUNT,
    "af_area": _NUMBER,
    "n2000_area": _NUMBER,
    "pw_area": _NUMBER,
    "lf_area": _NUMBER,
    "anc_area": _NUMBER,
    "avail_area": BOOLEAN,
}
_GSA: Final = {
    "gsa_par_id": TEXT,
    "gsa_hol_id": TEXT,
    "gsa_col_id": TEXT,
    "main_crop": TEXT,
    "catch_crop": TEXT,
    "organic": BOOLEAN,
}


@dataclass(frozen=True)
class TableType:
    """Schema of one table."""

    name: str
    columns: dict[str, Kind]
    """Every required column with the types it may have, TEXT or BOOLEAN."""
    key: tuple[str, ...]
    """Columns whose values together occur once."""
    id: str
    """Column by which a row is named in findings."""
    others: tuple[str, ...] = ()
    """Text columns that are read where they are there."""
    has_geometry: bool = False
    """Whether its rows are parcels with geometries."""

    @property
    def numbers(self) -> list[str]:
        """Numeric columns."""
        return [name for name, kind in self.columns.items() if kind not in (TEXT, BOOLEAN)]

    @property
    def texts(self) -> list[str]:
        """Text columns, including optional ones."""
        return [name for name, kind in self.columns.items() if kind == TEXT] + list(self.others)

    @property
    def geometry_names(self) -> tuple[str, ...]:
        """Accepted names of the geometry column, in order of preference."""
        return (f"{self.name}_geom", "geometry", "geom", "wkt") if self.has_geometry else ()


TABLES: Final = {
    table.name: table
    for table in (
        TableType("lpis", _LPIS, ("lpis_rp_id",), "lpis_rp_id", ("gsa_code",), has_geometry=True),
        TableType("gsa", _GSA, ("gsa_par_id",), "gsa_par_id", ("gsa_code",), has_geometry=True),
        TableType(
            "gsa_lpis",
            dict.fromkeys(("lpis_code", "lpis_rp_id", "gsa_par_id"), TEXT),
            ("lpis_rp_id", "gsa_par_id"),
            "gsa_par_id",
        ),
        TableType(
            "interventions",
            dict.fromkeys(("ua", "ua_grp", "interv", "interv_lev", "interv_typ", "ua_grp_est"), TEXT),
            ("ua",),
            "ua",
            ("gsa_code",),
        ),
        TableType(
            "ua_claimed",
            {"gsa_par_id": TEXT, "ua": TEXT, "claim_area": _FLOAT},
            ("gsa_par_id", "ua"),
            "gsa_par_id",
            ("gsa_code",),
        ),
        TableType("regions", {"reg_code": TEXT, "reg_geom": TEXT, "target_per": _WHOLE}, ("reg_code",), "reg_code"),
    )
}
AREAS: Final = tuple(TABLES["lpis"].numbers)
"""Columns of lpis that are hectares."""


def table_type(name: str) -> TableType:
    """Parse a table name of the command line: containing "inter" is interventions, "ua" is ua_claimed.

    Raises:
        InvalidInputError: no table has that name.
    """
    word = name.strip().lower()
    name_of_type = "interventions" if "inter" in word else "ua_claimed" if "ua" in word else word
    if name_of_type not in TABLES:
        raise InvalidInputError(f"there is no table type {name!r}; choose gsa, lpis, gsa_lpis, inter, ua or regions")
    return TABLES[name_of_type]
