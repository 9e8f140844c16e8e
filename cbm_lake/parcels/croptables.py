"""Which table of crop codes a file of parcels goes by: what its option says, else what its columns are evidence of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cbm_lake.errors import InvalidInputError, SourceError, some
from cbm_lake.files import delimited
from cbm_lake.parcels import hcat
from cbm_lake.parcels.columns import CROP_CODE_NAMES, CROP_NAME_NAMES

HCAT_CODES: Final = (
    *("hcat:code", "hcat", "hcat_code", "hcat_c"),
    *("ec:hcat_code", "ec_hcat_c", "ec_hcat_code", "hcat3_code"),
)
"""Columns with HCAT codes, in lower case: general names and fiboa's, then those of EuroCrops."""
HCAT_NAMES: Final = ("hcat:name", "hcat_name", "hcat_n", "ec:hcat_name", "ec_hcat_n", "ec_hcat_name", "hcat3_name")
"""Columns with names of HCAT, in lower case."""
_CODES: Final = ("code", *(name for name in CROP_CODE_NAMES if name != "ec_hcat_c"))
_NAMES: Final = ("name", *(name for name in CROP_NAME_NAMES if name not in ("ec_hcat_n", "ec_trans_n")))
COVERED: Final = 0.95
"""The share of parcels whose codes a table has to have where nothing else says that the codes are its own."""
_NAMED: Final = 0.5
"""The same where the file says of which country it is."""
_DISTINCT: Final = 8
"""How many different codes there have to be where nothing else says so; of codes with letters one."""
_WITHIN: Final = 0.99
"""The share of parcels that have to be in the country."""
_OF_FIBOA: Final = ("admin:country_code", "admin:subdivision_code", "crop:code_list")
"""Columns of fiboa that say of which country codes are."""


@dataclass(frozen=True)
class Choice:
    """A table, and what it was taken by."""

    label: str
    """The table in messages."""
    of_names: bool
    """Whether its keys are names of crops in place of codes."""
    codes: Mapping[str, str]
    """HCAT code by key, which is normalised."""


def shipped(table: hcat.CropTable) -> Choice:
    """A table of the package."""
    return Choice(f"table {table.name} (codes of {table.year})", of_names=False, codes=table.codes)


def key_of_name(name: str) -> str:
    """A crop's name as it is compared: without blanks around or doubled, in any capitals."""
    return " ".join(name.split()).casefold()


def of_file(path: Path, attributes: Iterable[str]) -> Choice:
    """A table of the user: a text table with a column of codes or names and one of HCAT, as those of EuroCrops are.

    Args:
        path: the file.
        attributes: which of crop:code and crop:name the parcels have.

    Raises:
        SourceError: it cannot be read.
        InvalidInputError: a column is missing, a value is not of HCAT, or a code is of two crops.
    """
    table = _read(path)
    columns = {name.strip().lower(): name for name in reversed(table.column_names)}
    code, name, target, words = (
        next((columns[one] for one in names if one in columns), None)
        for names in (_CODES, _NAMES, HCAT_CODES, HCAT_NAMES)
    )
    of_names = code is None or "crop:code" not in attributes
    key = name if of_names else code
    if key is None or (of_names and "crop:name" not in attributes) or (target is None and words is None):
        raise InvalidInputError(
            f"{path} is no table of crop codes for these parcels: its columns are {some(table.column_names)}; it has "
            "to have a column code, or name where the parcels have no code, and a column hcat"
        )
    normalise = key_of_name if of_names else hcat.normalised
    several: dict[str, set[str]] = {}
    for row in table.select([key, *filter(None, (target, words))]).to_pylist():
        if (row[key] or "").strip():
            several.setdefault(normalise(row[key]), set()).add(_hcat_in(path, row, key, target, words))
    return Choice(f"table {path}", of_names, {one: _only(path, one, codes) for one, codes in several.items()})


def _read(path: Path) -> pa.Table:
    with duckdb.connect() as connection, TemporaryDirectory() as scratch:
        try:
            return delimited.read(connection, path, Path(scratch)).to_arrow_table()
        except duckdb.Error as error:
            raise SourceError(f"{path} cannot be read ({' '.join(str(error).split())[:250]}); give a CSV") from error


def _hcat_in(path: Path, row: Mapping[str, str | None], key: str, target: str | None, words: str | None) -> str:
    """The HCAT code of a row; where its name is of another code than it gives, the name counts, as in `of_column`."""
    name = hcat.codes().get((row[words] or "").strip().lower()) if words else None
    code = name or hcat.code_of((row[target] if target else row[words or ""]) or "")
    if code is None:
        text = (row[target] if target else None) or (row[words] if words else None)
        raise InvalidInputError(
            f"{path}: {text!r}, which {row[key]!r} is to be, is neither an HCAT code of ten digits nor a name of HCAT"
        )
    return code


def _only(path: Path, key: str, several: set[str]) -> str:
    """The HCAT code of a key; of a class and kinds of it the class.

    Raises:
        InvalidInputError: there are several that exclude each other.
    """
    code = hcat.common(several)
    if code is None:
        raise InvalidInputError(f"{path}: {key!r} is of several HCAT codes: {some(sorted(several))}; leave one")
    return code


def covered(choice: Choice, keys: pa.DictionaryArray) -> float:
    """The share of those parcels that have a key whose key a table has; 0 where none has one."""
    counts = np.bincount(np.asarray(keys.indices.drop_null()), minlength=len(keys.dictionary))
    is_in = np.array([key in choice.codes for key in keys.dictionary.to_pylist()], bool)
    return float(counts[is_in].sum() / counts.sum()) if counts.sum() else 0.0


def by_evidence(
    columns: pa.Table, code_column: str, keys: pa.DictionaryArray, degrees: NDArray[np.float64]
) -> tuple[Choice | None, str]:
    """The table that evidence says the codes are of, and the reason; without one, why there is none.

    Args:
        columns: of the file.
        code_column: that of the crop's code.
        keys: the codes of the n parcels, normalised.
        degrees: n by 2, longitude and latitude.
    """
    shares = {name: covered(shipped(table), keys) for name, table in hcat.tables().items()}
    named = _named(columns, code_column)
    fitting = {name: why for name, why in named.items() if shares[name] >= _NAMED}
    if len(fitting) > 1:
        fitting = {name: why for name, why in fitting.items() if shares[name] >= COVERED}
    if len(fitting) == 1:
        name, why = next(iter(fitting.items()))
        return shipped(hcat.tables()[name]), why
    if named:
        listed = ", ".join(f"{name} ({why}; it has {shares[name]:.0%} of the codes)" for name, why in named.items())
        return None, f"the crop codes may be of {listed}"
    return _by_coverage(shares, keys, degrees)


def _by_coverage(
    shares: Mapping[str, float], keys: pa.DictionaryArray, degrees: NDArray[np.float64]
) -> tuple[Choice | None, str]:
    """The one table that has nearly all codes, if the parcels are in its country."""
    tables = hcat.tables()
    near = [name for name, share in shares.items() if share >= COVERED]
    inside = [name for name in near if _inside(tables[name].box, degrees)]
    enough = len(keys.dictionary) >= _DISTINCT or any(not key.isdecimal() for key in keys.dictionary.to_pylist())
    if len(inside) == 1 and enough:
        return shipped(tables[inside[0]]), f"no other has these codes in {tables[inside[0]].country}"
    if inside:
        return None, f"the {len(keys.dictionary)} crop codes are in {' and '.join(inside)}, which is not enough to tell"
    return None, f"no table of crop codes ({', '.join(tables)}) has them where these parcels are"


def _inside(box: tuple[float, float, float, float], degrees: NDArray[np.float64]) -> bool:
    """Whether nearly all positions are in a box."""
    west, south, east, north = box
    lon, lat = degrees.T
    return bool(((lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)).mean() >= _WITHIN)


def _named(columns: pa.Table, code_column: str) -> dict[str, str]:
    """The tables that the file names, and by what: a column that one country alone has, or fiboa's columns."""
    named = {}
    country, region, lists = (_one_value(columns, name) for name in _OF_FIBOA)
    for name, table in hcat.tables().items():
        region_fits = not table.region or region is None or region.upper().endswith(table.region)
        if code_column.lower() in table.columns:
            named[name] = f"column {code_column} is of {table.country}"
        elif country is not None and country.upper() == table.country and region_fits:
            named[name] = f"column {_OF_FIBOA[0]} says {country}"
        elif lists is not None and lists.rpartition("/")[2] in table.files:
            named[name] = f"column {_OF_FIBOA[2]} says {lists.rpartition('/')[2]}"
    return named


def _one_value(columns: pa.Table, name: str) -> str | None:
    """The value that all rows of a column have; None where they differ or there is no such column."""
    if columns.column_names.count(name) != 1:
        return None
    values = columns[name].unique().drop_null().to_pylist()
    return str(values[0]) if len(values) == 1 else None
