"""What a search for markers rested on, so that the next one looks again only at parcels with something new.

    markers.find ─► a file of what was read, named by its digest ─► one commit of the rows, with the digest's number

The file is written first, and the commit that replaces the rows names it: where a search is killed between them, the
rows still name the file of the search that wrote them. Rows that were written otherwise (of some parcels only, by an
earlier version, by two searches at once) name none that fits, and the next search reads everything again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cbm_lake.files import installed
from cbm_lake.lake import Lake, derived, queries
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers.parameters import Parameters
from cbm_lake.markers.series import Raw, Series

_FORMAT: Final = 1
"""Number of the layout of the files."""
_PIECE: Final = 1 << 26
"""Bytes of a column in one row of the file."""
_SCHEMA: Final = pa.schema([("name", pa.string()), ("content", pa.large_binary())])

OPTICAL: Final = "s2"
COHERENCE: Final = "c6"
Scenes = dict[str, dict[str, str]]
"""Of each card the scenes that count, each with what tells whether its rows are still the same."""


@dataclass(frozen=True)
class Basis:
    """On which scenes, parcels and parameters a search rests."""

    parcels: str
    """Version of the parcel set."""
    how: str
    """Digest of the parameters, the statements and the version of this package."""
    scenes: Scenes
    commits: int
    """How often the rows of the set had been replaced, once the search has written them."""
    days: dict[str, list[int]] = field(default_factory=dict, compare=False)
    """The days of each optical scene, since 1970-01-01."""
    skipped: list[str] = field(default_factory=list, compare=False)
    """The detectors that said nothing, as a series that they need was not extracted."""

    def with_days(self, lake: Lake, parcels: ParcelSet, former: Basis | None = None) -> Basis:
        """The basis with the days of its optical scenes; those of a former basis are not asked again.

        Days are reused only of scenes whose rows are still the same: a scene that is published again may have another.
        """
        present = self.scenes.get(OPTICAL, {})
        then = former.scenes.get(OPTICAL, {}) if former else {}
        same = [name for name, state in present.items() if then.get(name) == state]
        days = {name: former.days[name] for name in same if name in former.days} if former else {}
        missing = sorted(present.keys() - days.keys())
        for row in lake.query("markers.days", **parcels.params, scenes=missing).to_pylist() if missing else ():
            days.setdefault(row["scene"], []).append(row["day"])
        return replace(self, days=days)


@dataclass(frozen=True, eq=False)
class Memory:
    """A search that is remembered: its basis, and what it read."""

    basis: Basis
    raw: Raw


def basis(lake: Lake, parcels: ParcelSet, parameters: Parameters, commits: int) -> Basis:
    """What a search rests on now.

    Args:
        lake: that is read.
        parcels: the set.
        parameters: of the search.
        commits: see `Basis`.
    """
    return Basis(parcels.version, _how(parameters), scenes(lake, parcels), commits)


def scenes(lake: Lake, parcels: ParcelSet) -> Scenes:
    """The scenes whose signatures over a parcel set count now."""
    present: Scenes = {}
    for row in lake.query("markers.counted", **parcels.params).to_pylist():
        present.setdefault(row["card"], {})[row["scene"]] = row["state"]
    return present


def _how(parameters: Parameters) -> str:
    """The digest of whatever decides what is made of the same rows."""
    document = parameters.model_dump_json(exclude={"scenarios"})
    views = [definition.sql for definition in derived.definitions()]
    statements = [query.sql for name, query in queries.load().items() if name.startswith("markers.")]
    return digest([str(_FORMAT), installed.version(), document, *views, *statements])


def digest(texts: Iterable[str]) -> str:
    """The SHA-256 of texts, in hexadecimal."""
    return hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()


def save(lake: Lake, parcels: ParcelSet, part: int, memory: Memory) -> int:
    """Write the file of a search; returns its number, by which the commit of the rows names it."""
    return lake.write_memory(folder(parcels), part, packed(_columns(memory)))


def load(lake: Lake, parcels: ParcelSet, part: int) -> Memory | None:
    """The search that wrote the present rows of a parcel set; None where it is not remembered."""
    opened = _opened(lake, parcels, part)
    return None if opened is None else Memory(opened[0], _raw(opened[1]))


def basis_of(lake: Lake, parcels: ParcelSet, part: int) -> Basis | None:
    """On what that search rests, without what it read; None where it is not remembered."""
    opened = _opened(lake, parcels, part)
    return None if opened is None else opened[0]


def _opened(lake: Lake, parcels: ParcelSet, part: int) -> tuple[Basis, dict[str, pa.Buffer | bytes]] | None:
    """The basis of that search, and the further columns of its file."""
    number, commits = lake.remembered("marked", part)
    rows = lake.read_memory(folder(parcels), part, number) if number else None
    if rows is None:
        return None
    columns = unpacked(rows)
    facts = json.loads(bytes(columns.pop("basis")))
    if facts.pop("format", None) != _FORMAT:
        return None
    basis = Basis(**facts)
    if basis.commits != commits:  # somebody wrote them who does not remember, or two at once
        return None
    return basis, columns


def packed(columns: Iterable[tuple[str, bytes]]) -> pa.Table:
    """Columns by name as the rows of a file, large ones in several."""
    rows = [
        (name, content[begin : begin + _PIECE])
        for name, content in columns
        for begin in range(0, max(len(content), 1), _PIECE)
    ]
    return pa.table([[name for name, _ in rows], [content for _, content in rows]], schema=_SCHEMA)


def unpacked(rows: pa.Table) -> dict[str, pa.Buffer | bytes]:
    """The columns by name, from the rows of a file."""
    columns: dict[str, list[pa.Buffer]] = {}
    for name, content in zip(rows["name"].to_pylist(), rows["content"], strict=True):
        columns.setdefault(name, []).append(content.as_buffer())
    return {name: parts[0] if len(parts) == 1 else b"".join(parts) for name, parts in columns.items()}


def forget(lake: Lake, parcels: ParcelSet, part: int, but: int) -> None:
    """Delete the files of earlier searches."""
    lake.forget_memories(folder(parcels), part, but)


def folder(parcels: ParcelSet) -> str:
    """The folder of the files of a parcel set in the lake."""
    return f"searches/aoi={parcels.aoi}/year={parcels.year}"


_COLUMNS: Final[Mapping[str, str]] = {
    "offsets": "i8",
    "day": "i2",
    "ndvi": "f4",
    "spread": "f4",
    "pixels": "i4",
    "coherence_offsets": "i8",
    "coherence_day": "i2",
    "coherence": "f4",
}
"""The columns of a file, and how their numbers are stored."""


def _columns(memory: Memory) -> Iterator[tuple[str, bytes]]:
    """The columns of the file of a search."""
    yield "basis", json.dumps({"format": _FORMAT, **memory.basis.__dict__}).encode()
    raw = memory.raw
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "offsets": raw.offsets,
        "day": raw.day,
        "ndvi": raw.ndvi,
        "spread": raw.spread,
        "pixels": raw.pixels,
        "coherence_offsets": raw.coherence.offsets,
        "coherence_day": raw.coherence.day,
        "coherence": raw.coherence.value,
    }
    for name, kind in _COLUMNS.items():
        yield name, arrays[name].astype(f"<{kind}").tobytes()


def _raw(columns: Mapping[str, pa.Buffer | bytes]) -> Raw:
    """What a search read, from the columns of its file."""
    arrays = {
        # copied, as kernels want them aligned
        name: np.frombuffer(columns.get(name, b""), f"<{kind}").astype(np.int32 if kind == "i2" else kind)
        for name, kind in _COLUMNS.items()
    }
    coherence = Series(arrays["coherence_offsets"], arrays["coherence_day"], arrays["coherence"])
    return Raw(arrays["offsets"], arrays["day"], arrays["ndvi"], arrays["spread"], arrays["pixels"], coherence)
