"""Records a crop check: what it was made of (crop_runs), then its verdicts (crop_checks), which name it.

Each is one commit. Who is stopped between the two leaves a check without verdicts, never verdicts without their check;
of two writers the later one's verdicts stay, and both checks.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa

from cbm_lake.crops.features import Season
from cbm_lake.files import clock, installed
from cbm_lake.lake import Lake, schemas
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers.finding import part_of

_LIBRARIES: Final = ("duckdb", "numpy", "pyarrow", "scikit-learn", "scipy")
_READ: Final = ("ledger", "suspects", "exclusions", "attributes")
"""Tables that decide what counts, beside those of signatures."""
_COMPARED: Final = ("pid", "verdict", "reason", "crop_group", "size_class", "likely", "rank", "fold")
_ROUNDED: Final = 6
"""Decimals to which numbers are compared: other processors round otherwise."""


@dataclass(frozen=True)
class Versions:
    """What the lake was when it was read."""

    read: datetime
    """A timestamp as of which the lake is the same."""
    tables: Mapping[str, int | None]
    scenes: str
    """Digest of the names of the catalogue's files."""

    @classmethod
    def of(cls, lake: Lake) -> Versions:
        """Those of the lake's present snapshot."""
        snapshot = lake.snapshot()
        tables = {
            name: version
            for name, version in snapshot.versions
            if name in _READ or name.startswith(("signatures_", "aside_"))
        }
        return cls(lake.as_of or clock.now(), tables, digest(path.rpartition("/")[2] for path in snapshot.scenes))

    @property
    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"read": self.read.isoformat(), "tables": dict(self.tables), "scenes": self.scenes}

    def is_same(self, other: Versions) -> bool:
        """Whether nothing was written in between."""
        return (self.tables, self.scenes) == (other.tables, other.scenes)


def digest(texts: Iterable[str]) -> str:
    """The SHA-256 of texts in their order."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def digest_of_season(season: Season) -> str:
    """The SHA-256 of all that a check looks at: pids, declared crops, areas, places, days and values."""
    hasher = hashlib.sha256()
    for texts in (season.pids.to_pylist(), season.codes.tolist()):
        hasher.update(json.dumps(texts).encode())
    arrays = {"x": season.x, "y": season.y, "area_m2": season.area_m2, "days": season.days}
    arrays |= {f"values {name}": values for name, values in season.values.items()}
    arrays |= {f"static {name}": values for name, values in season.static.items()}
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        hasher.update(f"{name} {array.dtype} {array.shape}".encode())
        hasher.update(
            np.where(np.isnan(array), np.nan, array).tobytes() if array.dtype.kind == "f" else array.tobytes()
        )
    return hasher.hexdigest()


def compared(row: Mapping[str, Any], *, since: bool = False) -> tuple[object, ...]:
    """What of a verdict is compared between two checks: all that was judged, numbers rounded; with `since` that too."""
    numbers = [None if value is None else round(value, _ROUNDED) for value in (row["p_value"], *row["probability"])]
    return (*(row[name] for name in _COMPARED), *numbers, *([row["since"]] if since else []))


def digest_of_verdicts(rows: pa.Table) -> str:
    """The SHA-256 of the verdicts, by pid; it says nothing of the days from which on they were the same."""
    return digest(str(compared(row)) for row in rows.sort_by("pid").to_pylist())


@dataclass(frozen=True)
class Basis:
    """What a check was made of, and what came of it."""

    parcels: ParcelSet
    day: date
    alpha: float
    settings: Mapping[str, Any]
    versions: Versions
    features: str
    """Digest of the season."""
    figures: Mapping[str, Any]


def new_run() -> str:
    """An identifier that no other check has."""
    return f"{clock.now():%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"


def record(lake: Lake, run: str, basis: Basis, rows: pa.Table) -> None:
    """Write a check and its verdicts; these replace those of the set's last check.

    Args:
        lake: the lake.
        run: identifier of the check.
        basis: what it was made of.
        rows: the verdicts, columns of schemas.CROP_CHECKS but the last two.

    Raises:
        SourceError: the lake cannot be written.
    """
    parcels = basis.parcels
    snapshot = {
        **basis.versions.document,
        "features": basis.features,
        "verdicts": digest_of_verdicts(rows),
    }
    row = {
        "run": run,
        **parcels.params,
        "version": parcels.version,
        "day": basis.day,
        "alpha": basis.alpha,
        "settings": _json(basis.settings),
        "snapshot": _json(snapshot),
        "libraries": _json({name: importlib.metadata.version(name) for name in _LIBRARIES}),
        "figures": _json(basis.figures),
        "checked": clock.now(),
        "cbm_lake": installed.version(),
        "sequence": 0,
    }
    lake.add_crop_runs(pa.Table.from_pylist([row], schema=schemas.CROP_RUNS))
    lake.put("checked_crops", numbered(rows, part_of(parcels)), part_of(parcels))


def _json(document: Mapping[str, object]) -> str:
    """JSON with null instead of NaN, which no other reader takes."""
    return json.dumps(_plain(document), default=str, allow_nan=False, sort_keys=True)


def _plain(value: object) -> object:
    """A document of plain values; None instead of NaN."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(each) for each in value]
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain


def numbered(rows: pa.Table, part: int) -> pa.Table:
    """Verdicts as rows of a part of the table; the table gives them their sequence."""
    count = rows.num_rows
    rows = rows.append_column("part", pa.array(np.full(count, part, np.int64)))
    return rows.append_column("sequence", pa.array(np.zeros(count, np.int64))).cast(schemas.CROP_CHECKS)
