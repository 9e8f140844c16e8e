"""The original's table of parcels as declared parcels that keep their numbers (ogc_fid)."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from pyproj import CRS
from shapely.errors import ShapelyError

from cbm_lake import parcels, vectors
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake import Lake
from cbm_lake.migration.catalogue import geometry
from cbm_lake.migration.dumps import Dumps
from cbm_lake.snapshots import ParcelSet
from cbm_lake.vectors.textfiles import encoding_of

log = logging.getLogger(__name__)

_FID: Final = "ogc_fid"
"""How the lake's parcel files call the number; the view parcels reads it."""
_GEOMETRIES: Final = ("wkb_geometry", "geometry", "geom", "the_geom", "wkt")
"""Columns of a CSV taken for the geometry: the first that is there."""


def load(
    lake: Lake, dumps: Dumps, path: str, found: tuple[str, int, str], *, pid: str, fid: str, crs: str | None
) -> parcels.Loaded:
    """Load a dump of the parcels; what `parcels.load` says.

    Args:
        lake: where to.
        dumps: reads CSV.
        path: CSV with the geometry as WKT or WKB in hexadecimal digits, or what `parcels.load` takes.
        found: area, year, and kind.
        pid: column of the identifier.
        fid: column of the number, which may be the layer's own key.
        crs: coordinate system, where the file names none.
    """
    if path.lower().endswith((".csv", ".csv.gz")):
        path = _with_geometry(dumps, path, crs)
    path = _with_number(path, fid, dumps.folder / "parcels.parquet")
    aoi, year, ptype = found
    loaded = parcels.load(path, aoi, year, ptype or None, pid=pid, crs=crs, lake=lake)
    if not loaded.new and _FID not in lake.read_parcels(lake.parcel_set(*found), ["id", _FID]).column_names:
        _add_numbers(lake, path, loaded, pid)
    return loaded


def _add_numbers(lake: Lake, path: str, loaded: parcels.Loaded, pid: str) -> None:
    """Give the parcels in force, which were loaded without, their numbers: the same rows as another version."""
    found = lake.parcel_set(loaded.aoi, loaded.year, loaded.ptype)
    rows = lake.read_parcels(found).drop_columns(["ptype", "version"])
    given = pq.ParquetFile(path).read([pid, _FID])
    numbers = dict(zip(map(str, given[pid].to_pylist()), given[_FID].to_pylist(), strict=True))
    values = pa.array([numbers.get(name) for name in rows["id"].to_pylist()], pa.int64())
    version = hashlib.sha256(f"{loaded.version} {sorted(numbers.items())}".encode()).hexdigest()[:12]
    lake.add_parcels(loaded.aoi, loaded.year, loaded.ptype, version, rows.append_column(_FID, values))


def number(lake: Lake, dumps: Dumps, found: ParcelSet) -> int:
    """Make the table fids (fid, pid) of a parcel set; how many it has.

    Raises:
        NotFoundError: the set has no numbers.
        InvalidInputError: a number stands twice or is none.
    """
    table = lake.read_parcels(found, ["id", _FID])
    if _FID not in table.column_names:
        raise NotFoundError(f"the parcels of {found.name} have no {_FID}; give the dump of the parcels by parcels= too")
    try:
        numbers = table[_FID].cast(pa.int64())
    except pa.ArrowException as error:
        raise InvalidInputError(
            f"{_FID} of {found.name} holds what is no number ({error}); name another by fid="
        ) from error
    if numbers.null_count or len(numbers.unique()) < table.num_rows:
        raise InvalidInputError(
            f"{_FID} of {found.name} is missing or doubled in some rows; name another column by fid="
        )
    dumps.table("fids", pa.table({"fid": numbers, "pid": table["id"]}))
    return int(table.num_rows)


def _with_geometry(dumps: Dumps, path: str, crs: str | None) -> str:
    """A CSV as GeoParquet."""
    rows = dumps.read(_in_utf8(dumps, path)).to_arrow_table()
    known = {name.lower(): name for name in rows.column_names}
    column = next((known[name] for name in _GEOMETRIES if name in known), None)
    if column is None:
        raise InvalidInputError(
            f"{path} has none of the columns {', '.join(_GEOMETRIES)}; give the parcels with geometry"
        )
    try:
        shapes = [geometry(text) if text else None for text in rows[column].to_pylist()]
    except (ShapelyError, ValueError) as error:
        raise InvalidInputError(f"{path}: {column} is neither WKT nor WKB in hexadecimal digits ({error})") from error
    srids = {int(shapely.get_srid(shape)) for shape in shapes if shape is not None} - {0}
    if crs is None and len(srids) != 1:
        raise InvalidInputError(f"{path} does not say its coordinate system; give it by crs=, as EPSG:2154")
    system = CRS.from_user_input(crs or srids.pop())
    columns = {name: rows[name] for name in rows.column_names if name != column}
    columns["geometry"] = pa.array(shapely.to_wkb(shapes), pa.binary())
    return _write(pa.table(columns), system, dumps.folder / "from_csv.parquet")


def _in_utf8(dumps: Dumps, path: str) -> str:
    """A CSV as it is, or a copy in UTF-8 of one that is in another encoding; a guess of which is logged."""
    if not path.lower().endswith(".csv") or not Path(path).is_file():
        return path
    decision = encoding_of(Path(path))
    if decision.note:
        log.warning("%s: %s", path, decision.note)
    if decision.codec.startswith("utf-8"):
        return path
    copy = dumps.folder / Path(path).name
    codec = decision.codec
    with Path(path).open(encoding=codec, errors="replace") as source, copy.open("w", encoding="utf-8") as target:
        shutil.copyfileobj(source, target)
    return str(copy)


def _with_number(path: str, fid: str, target: Path) -> str:
    """A copy of the file in which the number is called as the lake does."""
    found = vectors.read(path, key=fid)
    names = found.columns.column_names
    if names.count(fid) != 1:
        raise InvalidInputError(f"{path} has no column {fid!r}; say fid= one of: {', '.join(names)}")
    numbered = found.columns.rename_columns([_FID if name == fid else name for name in names])
    if "geometry" in names:  # a further one, beside that of the file
        numbered = numbered.drop_columns("geometry")
    outlines = pa.array(shapely.to_wkb(found.geometries), pa.binary())
    return _write(numbered.append_column("geometry", outlines), found.crs, target)


def _write(table: pa.Table, crs: CRS | None, target: Path) -> str:
    """Write GeoParquet."""
    described: dict[str, Any] = {"encoding": "WKB", "geometry_types": [], "crs": crs.to_json_dict() if crs else None}
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": described}}
    pq.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), target)
    return str(target)
