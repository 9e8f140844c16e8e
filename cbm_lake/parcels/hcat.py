"""HCAT, the crop taxonomy of EuroCrops, and the tables that give national crop codes their HCAT code.

The data files in eurocrops/ are under CC BY 4.0; the README there says where they come from and what was changed.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pyarrow as pa

from cbm_lake.errors import NotFoundError
from cbm_lake.files.validation import meant

VERSION: Final = "HCAT3"
_FOLDER: Final = Path(__file__).with_name("eurocrops")
_CODE: Final = re.compile(r"(?<!\d)3\d{9}(?!\d)")
_COMMON: Final = "3300000000"
"""The root of all crops."""


@dataclass(frozen=True)
class CropTable:
    """The crop codes of one country, or of a region of it."""

    name: str
    country: str
    """ISO 3166-1 alpha-2."""
    region: str
    """Of ISO 3166-2, without the country; "" is the whole country."""
    year: int
    """Of the agency's codes."""
    columns: tuple[str, ...]
    """Names, in lower case, that the code's column has in this country's files alone."""
    box: tuple[float, float, float, float]
    """West, south, east and north of the country in degrees, EPSG:4326."""
    files: tuple[str, ...]
    """Of EuroCrops, from which the table is."""
    commit: str
    """The revision of EuroCrops."""
    codes: Mapping[str, str]
    """HCAT code by normalised national code, see `normalised`."""
    spelled: Mapping[str, str]
    """National codes as the table writes them, with their HCAT codes."""


def _rows(file: str) -> Iterator[dict[str, str]]:
    with (_FOLDER / file).open(encoding="utf-8", newline="") as stream:
        yield from csv.DictReader(stream)


@cache
def names() -> Mapping[str, str]:
    """The machine-readable name of each HCAT code: {"3301010101": "winter_common_soft_wheat", …}."""
    return {row["hcat"]: row["name"] for row in _rows("hcat3.csv")}


@cache
def codes() -> Mapping[str, str]:
    """The HCAT code of each name."""
    return {name: code for code, name in names().items()}


def is_code(text: str) -> bool:
    """Whether a text has the form of an HCAT code: ten digits, the first of which is 3."""
    return _CODE.fullmatch(text) is not None


def in_words(text: str) -> str:
    """A text with the names of HCAT's crops instead of their codes; codes that HCAT does not have stay."""
    return _CODE.sub(lambda match: names().get(match[0], match[0]).replace("_", " "), text)


def code_of(text: str) -> str | None:
    """The HCAT code that a text is, or of which it is the name in any capitals; None where it is neither."""
    text = re.sub(r"\.0+$", "", text.strip())
    return text if is_code(text) else codes().get(re.sub(r"[\s-]+", "_", text).lower())


def parent(code: str) -> str | None:
    """The class of HCAT that contains a class: of 3301010101 (winter wheat) 3301010100 (wheat); None above all.

    Each pair of digits is a level; intermediate levels that HCAT does not have are skipped.
    """
    while (code := _shortened(code)) and code not in names():
        continue
    return code or None


def _shortened(code: str) -> str:
    """A code without its last level, "" of the highest."""
    pairs = [code[start : start + 2] for start in range(0, 10, 2)]
    last = max((number for number, pair in enumerate(pairs) if pair != "00"), default=0)
    return "".join(pairs[:last]).ljust(10, "0") if last else ""


def common(several: set[str]) -> str | None:
    """The code of several that all others are kinds of; None where none is."""
    return next((code for code in several if all(code == other or code in _above(other) for other in several)), None)


def _above(code: str) -> Iterator[str]:
    higher = parent(code)
    while higher is not None:
        yield higher
        higher = parent(higher)


def normalised(code: str) -> str:
    """A national code as it is compared: without blanks around, of numbers without decimals of 0 and leading zeros."""
    code = code.strip()
    if re.fullmatch(r"\d+(\.0+)?", code):
        return str(int(code.partition(".")[0]))
    return code.upper()


@cache
def tables() -> Mapping[str, CropTable]:
    """The tables of national crop codes, by name."""
    spelled: dict[str, dict[str, str]] = {}
    for row in _rows("crop_codes.csv"):
        spelled.setdefault(row["table"], {})[row["code"]] = row["hcat"]
    return {row["table"]: _table(row, spelled[row["table"]]) for row in _rows("tables.csv")}


def _table(row: Mapping[str, str], spelled: Mapping[str, str]) -> CropTable:
    west, south, east, north = (float(row[side]) for side in ("west", "south", "east", "north"))
    return CropTable(
        name=row["table"],
        country=row["country"],
        region=row["region"],
        year=int(row["year"]),
        columns=tuple(row["columns"].split()),
        box=(west, south, east, north),
        files=tuple(row["file"].split()),
        commit=row["commit"],
        codes={normalised(code): hcat for code, hcat in spelled.items()},
        spelled=spelled,
    )


def crop_tables() -> pa.Table:
    """The tables of national crop codes that this package has.

    Returns:
        One row per table: name, country, region, year (of the agency's codes), codes (how many), column (names that the
        code's column has in this country's files), version (of the taxonomy), source.
    """
    rows = [
        {
            "name": table.name,
            "country": table.country,
            "region": table.region,
            "year": table.year,
            "codes": len(table.codes),
            "column": " ".join(table.columns),
            "version": VERSION,
            "source": f"EuroCrops {table.commit[:8]}: {' '.join(table.files)} (CC BY 4.0)",
        }
        for table in tables().values()
    ]
    return pa.Table.from_pylist(rows)


def crop_codes(table: str | None = None) -> pa.Table:
    """The codes of a table, or HCAT itself.

    Args:
        table: its name, see `crop_tables`; None: HCAT.

    Returns:
        One row per code: code (the agency's; not in HCAT itself), hcat (ten digits), hcat_name.

    Raises:
        NotFoundError: there is no such table.
    """
    if table is None:
        return pa.table({"hcat": [*names()], "hcat_name": [*names().values()]})
    one = tables().get(table.lower().replace("-", "_"))
    if one is None:
        raise NotFoundError(f"there is no table {table!r} of crop codes; {meant(table, tables())}")
    hcats = [*one.spelled.values()]
    return pa.table({"code": [*one.spelled], "hcat": hcats, "hcat_name": [names()[code] for code in hcats]})
