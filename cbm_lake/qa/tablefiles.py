"""Reads quality assessment tables from CSV, Parquet, GeoParquet, Shapefile, GeoPackage, or a zip of one."""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
from pyproj import CRS
from pyproj.exceptions import CRSError
from shapely.errors import ShapelyError

from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.files import archives
from cbm_lake.files.textfiles import delimiter_of, encoding_of
from cbm_lake.geo.geoparquet import GeometryColumn, primary_column
from cbm_lake.geo.vectors import coordinate_system
from cbm_lake.geo.vectors.archives import extract
from cbm_lake.geo.vectors.features import Opened, without
from cbm_lake.geo.vectors.gdal import read_layer
from cbm_lake.qa.tables import TEXT, TableType

log = logging.getLogger(__name__)

_PARQUET: Final = (".parquet", ".geoparquet")
_VECTOR: Final = (".shp", ".gpkg")
_EXTENSIONS: Final = (".csv", *_PARQUET, *_VECTOR)


@dataclass(frozen=True)
class Shapes:
    """Geometries as stored in a file."""

    values: pa.ChunkedArray
    """WKB, or WKT (also with SRID=…;), or WKB in hexadecimal digits."""
    crs: CRS | None


@dataclass(frozen=True)
class Source:
    """A parsed table: relevant columns in lower case, geometries kept apart."""

    name: str
    """The file, or what else it came from, for messages."""
    table: TableType
    frame: pd.DataFrame
    shapes: Shapes | None

    def missing(self) -> list[str]:
        """Required columns that are absent."""
        return [name for name in self.table.columns if name not in self.frame.columns]

    def ids(self) -> pa.Array:
        """Row labels: the id column as text, null where missing."""
        return text(self.frame[self.table.id])


def read(source: str | Path | pa.Table, table: TableType) -> Source:
    """Read a table from a file or an Arrow table.

    Raises:
        SourceError: the file is not there or cannot be read.
        InvalidInputError: unsupported format, or duplicate column names.
    """
    if isinstance(source, pa.Table):
        return _from_arrow(f"{table.name} table", source, table)
    path = Path(source)
    if not path.is_file():
        raise SourceError(f"{path} is {'a folder' if path.is_dir() else 'not there'}; give the path of a file")
    if path.suffix.lower() == ".zip":
        with tempfile.TemporaryDirectory(prefix="cbm-lake-") as folder:
            return _read_file(_unzipped(path, folder), str(path), table)
    return _read_file(path, str(path), table)


def text(values: pd.Series) -> pa.Array:
    """A column as text, whole numbers without decimals, null where pandas sees none."""
    if pd.api.types.is_float_dtype(values):
        array = pa.array(values.to_numpy(float), from_pandas=True)
        valid = array.drop_null().to_numpy()
        whole = bool(((np.trunc(valid) == valid) & (np.abs(valid) < 2**53)).all())
        return (array.cast(pa.int64()) if whole else array).cast(pa.string())
    absent = values.isna().to_numpy()
    return pa.array(values.astype(object).where(~absent, "").map(str), pa.string(), mask=absent)


def numbers(values: pd.Series) -> pa.Array:
    """A column as float64, null where it is not a number."""
    if pd.api.types.is_object_dtype(values) or pd.api.types.is_string_dtype(values):
        values = pd.to_numeric(values.map(str, na_action="ignore"), errors="coerce")
    return pa.array(values.astype(float).to_numpy(), pa.float64(), from_pandas=True)


def _read_file(path: Path, name: str, table: TableType) -> Source:
    extension = path.suffix.lower()
    if extension not in _EXTENSIONS:
        raise InvalidInputError(
            f"{name} has the ending {extension!r}; give one of: {', '.join((*_EXTENSIONS, '.zip'))}"
        )
    with _readable(name):
        if extension == ".csv":
            return _read_csv(path, name, table)
        if extension in _PARQUET:
            return _read_parquet(path, name, table)
        return _read_vector(path, name, table)


def _unzipped(path: Path, folder: str) -> Path:
    """Extract the first supported file of a zip archive with its sidecar files."""
    with _readable(str(path)), archives.opened(path) as archive:
        names = [member.filename for member in archives.files_of(archive)]
        member = next((name for name in names if name.lower().endswith(_EXTENSIONS)), None)
        if member is None:
            raise InvalidInputError(f"{path} holds no file of: {', '.join(_EXTENSIONS)}; put one of them into it")
        return extract(path, archive, member, folder)


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Convert errors and warnings of the reading libraries to one line that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # more values than columns: they would be lost
            warnings.simplefilter("ignore", pd.errors.DtypeWarning)
            yield
    except (SourceError, InvalidInputError):
        raise
    except (
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
        NotImplementedError,
        ShapelyError,
        CRSError,
        pa.ArrowException,
        pd.errors.ParserWarning,
    ) as error:
        raise SourceError(f"{name} cannot be read ({' '.join(str(error).split())}); check the file") from error


# -- csv -------------------------------------------------------------------------------------------------------------


def _read_csv(path: Path, name: str, table: TableType) -> Source:
    needed = {*table.columns, *table.texts, *table.geometry_names}
    as_text = {*table.texts, *table.geometry_names}
    encoding, delimiter, header = _opening(path)
    columns = _lowered(header, name)
    frame = pd.read_csv(
        path,
        sep=delimiter,
        encoding=encoding,
        encoding_errors="replace",
        header=0,
        names=columns,
        index_col=False,
        dtype={column: "object" for column in columns if column in as_text},
        low_memory=False,
    )
    frame = frame[[column for column in columns if column in needed]]
    for column in set(table.numbers) & set(frame.columns):
        if pd.api.types.is_integer_dtype(frame[column]):
            frame[column] = frame[column].astype(float)  # CSV does not tell 2 from 2.0
    geometry = _first(frame.columns, table.geometry_names)
    shapes = None
    if geometry:
        shapes = Shapes(pa.chunked_array([pa.array(frame[geometry], pa.large_string(), from_pandas=True)]), None)
    return Source(name, table, frame.drop(columns=geometry or []), shapes)


def _opening(path: Path) -> tuple[str, str, list[str]]:
    """Encoding, delimiter and header names of a CSV file."""
    encoding = _encoding(path)
    with path.open(encoding=encoding, errors="replace") as file:
        delimiter = delimiter_of(file.readline(), usual=";")
    header = pd.read_csv(path, sep=delimiter, encoding=encoding, header=None, nrows=1, dtype=str, keep_default_na=False)
    return encoding, delimiter, [str(column) for column in header.iloc[0]]


def _encoding(path: Path) -> str:
    """Encoding from the byte order mark, else guessed from the text; guesses are logged."""
    decision = encoding_of(path)
    if decision.note:
        log.warning("%s: %s", path, decision.note)
    return decision.codec


# -- Parquet, GDAL, Arrow ----------------------------------------------------------------------------------------------


def _read_parquet(path: Path, name: str, table: TableType) -> Source:
    read = pq.ParquetFile(path).read()  # read_table would add the columns of a path like aoi=…/year=…
    primary = _primary(read)
    if primary and primary.encoding != "WKB":
        geometries = gpd.read_parquet(path, columns=[primary.name]).geometry
        position = read.column_names.index(primary.name)
        read = read.set_column(position, primary.name, pa.array(geometries.to_wkb(), pa.large_binary()))
    return _from_arrow(name, read, table)


def _primary(table: pa.Table) -> GeometryColumn | None:
    """Primary geometry column of GeoParquet metadata, if the table has it."""
    column = primary_column(table.schema)
    return column if column and column.name in table.column_names else None


def _field_crs(field: pa.Field) -> CRS | None:
    """Coordinate system of a geoarrow.wkb field."""
    metadata = json.loads((field.metadata or {}).get(b"ARROW:extension:metadata", b"{}"))
    return coordinate_system(metadata.get("crs"))


def _read_vector(path: Path, name: str, table: TableType) -> Source:
    layers = pyogrio.list_layers(path)[:, 0].tolist()
    named = [layer for layer in layers if str(layer).lower() == table.name]
    layer = (named or layers)[0]
    if len(layers) > 1:
        log.warning("%s has the layers %s; %s is read", name, ", ".join(map(str, layers)), layer)
    read = read_layer(Opened(name, str(path), None, None, None), str(path), layer)
    for note in read.notes:
        log.warning("%s: %s", name, note)
    attributes = without(read.columns, 0)
    if read.wkb is None:
        return _from_arrow(name, attributes, table)
    shapes = Shapes(_binary(read.wkb), read.crs)
    return Source(name, table, _frame(name, attributes, table), shapes if table.has_geometry else None)


def _from_arrow(name: str, read: pa.Table, table: TableType) -> Source:
    primary = _primary(read)
    geometry = primary.name if primary else _first(read.column_names, table.geometry_names)
    shapes = None
    if geometry and table.has_geometry:
        crs = coordinate_system(primary.crs) if primary else _field_crs(read.schema.field(geometry))
        shapes = Shapes(_binary(read[geometry]), crs)
    return Source(name, table, _frame(name, read.drop_columns(geometry or []), table), shapes)


def _binary(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Cast geometries to large_binary, for more than 2 GB."""
    if isinstance(values.type, pa.BaseExtensionType):
        values = pa.chunked_array([chunk.storage for chunk in values.chunks], values.type.storage_type)
    wide = pa.large_binary() if pa.types.is_binary(values.type) else pa.large_string()
    return values.cast(values.type if pa.types.is_large_binary(values.type) else wide)


def _frame(name: str, read: pa.Table, table: TableType) -> pd.DataFrame:
    """Relevant columns, in lower case."""
    read = read.rename_columns(_lowered(read.column_names, name))
    needed = {*table.columns, *table.texts}
    columns = {column: read[column] for column in read.column_names if column in needed}
    plain = {name: _undictionaried(values) for name, values in columns.items()}
    return pa.table(plain).to_pandas() if plain else pd.DataFrame(index=range(read.num_rows))


def _undictionaried(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def _lowered(names: list[str], source: str) -> list[str]:
    lowered = [name.lower() for name in names]
    double = sorted({name for name in lowered if name and lowered.count(name) > 1})
    if double:
        raise InvalidInputError(f"{source} has several columns named {', '.join(double)}; keep one of each")
    return [name or f"unnamed {number}" for number, name in enumerate(lowered)]


def _first(names: Iterable[object], candidates: tuple[str, ...]) -> str | None:
    """First known name among the columns, in any case."""
    spelling = {str(name).lower(): str(name) for name in names}
    return next((spelling[name] for name in candidates if name in spelling), None)


def inferred(values: pd.Series, kind: tuple[str, ...]) -> str:
    """Column type as pandas infers it: "object" for text, int64 for integers of any width."""
    if kind == TEXT or pd.api.types.is_string_dtype(values) or pd.api.types.is_object_dtype(values):
        return "object"
    return "int64" if pd.api.types.is_integer_dtype(values) else str(values.dtype)
