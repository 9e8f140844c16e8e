"""HCAT codes and names of parcels as they are loaded: of a column of the file, or by a table of crop codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cbm_lake.errors import InvalidInputError, some, wrong_argument
from cbm_lake.files.validation import meant, nearest
from cbm_lake.geo.vectors import Features
from cbm_lake.parcels import croptables, hcat
from cbm_lake.parcels.columns import as_text
from cbm_lake.parcels.croptables import HCAT_CODES, HCAT_NAMES, Choice

NONE: Final = "none"
"""The option that leaves HCAT empty."""
_LISTED: Final = 8


@dataclass(frozen=True)
class Classes:
    """HCAT of n parcels."""

    codes: pa.Array | None
    """Ten digits, null where it is unknown; None: of no parcel anything is known."""
    columns: frozenset[str] = frozenset()
    """Columns of the file that are these, which are not kept beside."""
    notes: tuple[str, ...] = ()
    """By what it was classified, and what is unknown."""

    def joined(self, table: pa.Table) -> pa.Table:
        """A table of parcels with the columns hcat:code and hcat:name, which fiboa calls so."""
        if self.codes is None:
            return table
        names = [hcat.names().get(code) for code in self.codes.to_pylist()]
        return table.append_column("hcat:code", self.codes).append_column("hcat:name", pa.array(names, pa.string()))


def classify(
    source: Features,
    attributes: Mapping[str, pa.Array],
    columns: Mapping[str, str],
    degrees: NDArray[np.float64],
    option: str | None,
) -> Classes:
    """HCAT of the parcels of a file.

    Args:
        source: the file, of n rows.
        attributes: crop:code and crop:name of the parcels, where the file has them.
        columns: the columns of the file that they are.
        degrees: n by 2, longitude and latitude of the parcels.
        option: a column of the file, a table (`hcat.tables`), a file with a table, "none"; None: found out by evidence.

    Raises:
        InvalidInputError: the option is none of these, or the file with a table is no such table.
        SourceError: the file with a table cannot be read.
    """
    if option is not None:
        return _as_said(source, attributes, option)
    pair = _hcat_columns(source)
    stated = Classes(None) if pair is None else _of_columns(source, *pair, advice="; another by hcat=")
    if stated.codes is not None or "crop:code" not in attributes:
        return stated
    classes = _by_evidence(source, attributes, columns, degrees)
    return replace(classes, notes=(*stated.notes, *classes.notes))


def _by_evidence(
    source: Features, attributes: Mapping[str, pa.Array], columns: Mapping[str, str], degrees: NDArray[np.float64]
) -> Classes:
    """HCAT by the table that the file is evidence of."""
    keys = _keys(attributes["crop:code"], hcat.normalised)
    if not len(keys.dictionary):
        return Classes(None)
    if croptables.covered(Choice("HCAT", of_names=False, codes=hcat.names()), keys) >= croptables.COVERED:
        return _of_columns(source, columns["crop:code"], None, "; another by hcat=")
    choice, why = croptables.by_evidence(source.columns, columns["crop:code"], keys, degrees)
    if choice is None:
        return Classes(None, notes=(f"{why}; hcat is empty: a table, a file of codes or a column by hcat=",))
    label = f"{choice.label}, as {why}"
    return _of_table(choice, keys, attributes.get("crop:name"), label, "; another by hcat=")


def _as_said(source: Features, attributes: Mapping[str, pa.Array], option: str) -> Classes:
    """HCAT by what the option says."""
    names, table = source.columns.column_names, hcat.tables().get(option.lower().replace("-", "_"))
    if option.lower() == NONE:
        return Classes(None)
    if option in names:
        of_names = next((name for name in names if name.lower() in HCAT_NAMES and name != option), None)
        classes = _of_columns(source, option, of_names)
        if classes.codes is None:
            problem = f"{source.name}: {classes.notes[0]}"
            raise InvalidInputError(
                f"{problem}; name another by hcat=, or say hcat=none", plain=f"{problem}; name another, or none"
            )
        return classes
    if table is None and not Path(option).is_file():
        candidates = [*hcat.tables(), *names]
        raise wrong_argument(
            "hcat",
            f"{option!r} is no column of {source.name}, no table of crop codes and no file; "
            f"{meant(option, candidates)}",
        )
    choice = croptables.of_file(Path(option), attributes) if table is None else croptables.shipped(table)
    ours = "crop:name" if choice.of_names else "crop:code"
    if ours not in attributes:
        problem = f"{source.name} has no column of crop codes"
        raise InvalidInputError(f"{problem}; say which by crop_code=", plain=f"{problem}; name it")
    keys = _keys(attributes[ours], croptables.key_of_name if choice.of_names else hcat.normalised)
    if len(keys.dictionary) and not croptables.covered(choice, keys):
        problem = f"{source.name}: {choice.label} has none of the crops, such as {some(keys.dictionary.to_pylist())}"
        raise InvalidInputError(
            f"{problem}; name another by hcat=, or say hcat=none", plain=f"{problem}; name another, or none"
        )
    return _of_table(choice, keys, attributes.get("crop:name"), choice.label)


def _hcat_columns(source: Features) -> tuple[str, str | None] | None:
    """The columns of the file that are HCAT by their names: of codes, or of names alone, and of names beside."""
    lower = {name.lower(): name for name in reversed(source.columns.column_names)}
    filled = {low: name for low, name in lower.items() if source.columns[name].null_count < source.columns.num_rows}
    code = next((filled[name] for name in HCAT_CODES if name in filled), None)
    name = next((filled[name] for name in HCAT_NAMES if name in filled), None)
    if code is None:
        return None if name is None else (name, None)
    return code, name


def _keys(values: pa.Array, normalise: Callable[[str], str]) -> pa.DictionaryArray:
    """Texts by the form in which they are compared; blank ones are null."""
    encoded = values.dictionary_encode()
    keys = [normalise(text or "") or None for text in encoded.dictionary.to_pylist()]
    return pa.array(keys, pa.string()).take(encoded.indices).dictionary_encode()


def _of_columns(source: Features, column: str, names: str | None, advice: str = "") -> Classes:
    """HCAT that the file has itself, in a column of codes or names, and in one of names beside it."""
    stated = as_text(source, column)
    codes = _translated(stated, hcat.code_of)
    blank = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(stated), ""), fill_value=True)
    wrong = pc.and_(pc.is_null(codes), pc.invert(blank))
    if codes.null_count == len(codes):
        values = _frequent(stated.filter(wrong)) or "nothing"
        return Classes(None, notes=(f"column {column} has no HCAT codes of ten digits or names of HCAT, but {values}",))
    notes = [f"column {column} is taken for HCAT{advice}"] if advice else []
    notes += _not_hcat(column, stated.filter(wrong))
    if names is not None:
        of_names = _translated(as_text(source, names), lambda text: hcat.codes().get(text.strip().lower()))
        notes += _other_than_names(column, names, codes, of_names)
        codes = pc.coalesce(of_names, codes)
    notes += _not_in_version(codes)
    return Classes(codes, frozenset(filter(None, (column, names))), tuple(notes))


def _translated(values: pa.Array, translate: Callable[[str], str | None]) -> pa.Array:
    """Each different text translated once."""
    encoded = values.dictionary_encode()
    texts = [None if text is None else translate(text) for text in encoded.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(encoded.indices)


def _not_hcat(column: str, values: pa.Array) -> Iterator[str]:
    if len(values):
        yield f"{_of_parcels(len(values))} in column {column} what HCAT has not, so hcat is empty: {_frequent(values)}"


def _other_than_names(column: str, names: str, codes: pa.Array, of_names: pa.Array) -> Iterator[str]:
    """Note on codes that are another class than the name beside them, as codes of other versions of HCAT are."""
    other = pc.fill_null(pc.not_equal(codes, of_names), fill_value=False)
    count = pc.sum(other).as_py() or 0
    if count:
        yield (
            f"{_of_parcels(count)} in column {column} the code of another crop than column {names} names, as in "
            f"another version than {hcat.VERSION}; the names count: {_frequent(codes.filter(other))}"
        )


def _not_in_version(codes: pa.Array) -> Iterator[str]:
    unknown = codes.drop_null().filter(pc.invert(pc.is_in(codes.drop_null(), pa.array([*hcat.names()]))))
    if len(unknown):
        yield (
            f"{_of_parcels(len(unknown))} HCAT codes that {hcat.VERSION} does not have, which stay without a name: "
            f"{_frequent(unknown)}"
        )


def _of_table(
    choice: Choice, keys: pa.DictionaryArray, names: pa.Array | None, label: str, advice: str = ""
) -> Classes:
    """HCAT by a table; `names` are those of the crops in the file, for messages."""
    codes = pa.array([choice.codes.get(key) for key in keys.dictionary.to_pylist()], pa.string()).take(keys.indices)
    share = croptables.covered(choice, keys)
    filled = len(keys) - keys.indices.null_count
    what = "names" if choice.of_names else "codes"
    notes = [f"HCAT is by {label}: it has the {what} of {share:.1%} of {filled:,} parcels with a crop{advice}"]
    unknown = keys.cast(pa.string()).filter(pc.and_(pc.is_valid(keys), pc.is_null(codes)))
    if len(unknown):
        listed = _frequent(unknown, _remarks(choice, keys, names))
        notes.append(
            f"{_of_parcels(len(unknown))} crop {what} that {choice.label} does not have, so hcat is empty: {listed}"
        )
    return Classes(codes, notes=tuple(notes))


def _of_parcels(count: int) -> str:
    return f"{count:,} parcels have" if count != 1 else "1 parcel has"


def _frequent(values: pa.Array, remark: Callable[[str], str] = lambda _: "") -> str:
    """Values by how often they occur, with a remark on each."""
    counts = pc.value_counts(values).to_pylist()
    counts.sort(key=lambda each: (-each["counts"], each["values"]))
    return some((f"{each['values']!r} ({each['counts']:,}{remark(each['values'])})" for each in counts), _LISTED)


def _remarks(choice: Choice, keys: pa.DictionaryArray, names: pa.Array | None) -> Callable[[str], str]:
    """What is said of an unknown crop: of a code the name that it has in the file, of a name the most similar one."""
    if choice.of_names:
        near = {key: nearest(key, choice.codes) for key in keys.dictionary.to_pylist() if key not in choice.codes}
        return lambda key: f"; did you mean {near[key]!r}?" if near.get(key) else ""
    if names is None:
        return lambda _: ""
    first = pa.table({"key": keys.cast(pa.string()), "name": names}).group_by("key", use_threads=False)
    called = dict(
        zip(*(first.aggregate([("name", "first")])[name].to_pylist() for name in ("key", "name_first")), strict=True)
    )
    return lambda key: f": {called[key]}" if called.get(key) else ""
