"""Reads vector files of any GDAL format or GeoParquet: columns, geometries and coordinate system."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
from pyproj.exceptions import CRSError
from shapely.errors import ShapelyError

from cbm_lake.errors import InvalidInputError, SourceError, some
from cbm_lake.files.charsets import asked
from cbm_lake.geo.vectors import archives, gdal, parquet, sheets
from cbm_lake.geo.vectors.features import Features, Geometries, Opened, coordinate_system
from cbm_lake.geo.vectors.gdal import ROW_NUMBERS
from cbm_lake.geo.vectors.written import check_whole

__all__ = [
    "ROW_NUMBERS",
    "Features",
    "Geometries",
    "check_whole",
    "column_names",
    "coordinate_system",
    "read",
    "read_noted",
]

log = logging.getLogger(__name__)

_IN_ARCHIVE: Final = re.compile(rf"/\S*{archives.EXTRACTED}\w+/")
"""The folder in which a file of an archive is for as long as it is read."""
_FOR_PROGRAMMERS: Final = re.compile(r"; It might help to specify|\. Set SHAPE_RESTORE_SHX")
"""Where advice of GDAL begins that no user can follow."""
_UNUSED: Final = "does not support open option"
"""What GDAL says of an option that is given by the ending of a file, where its content is another format: ESRI JSON."""


def read(path: str, layer: str | None = None, *, key: str | None = None) -> Features:
    """Read a vector file; like `read_noted`, but notes are logged as warnings."""
    features = read_noted(path, layer, key=key)
    for note in features.notes:
        log.warning("%s: %s", path, note)
    return features


def read_noted(
    path: str,
    layer: str | None = None,
    *,
    key: str | None = None,
    numbered: bool = False,
    encoding: str | None = None,
) -> Features:
    """Read a vector file, with notes on what was assumed.

    Args:
        path: shapefile, GeoPackage, FileGDB, FlatGeobuf, GeoJSON (any of them also in a .zip), GeoParquet (a file or a
            folder of parts), Arrow, CSV or Excel with a column of WKT or WKB, or what else GDAL reads.
        layer: which layer of a file that has several, or which file of an archive.
        key: a column that is needed; where only the file's own numbering of its rows has that name, that is given.
        numbered: whether "fid" or "OGC_FID" as key is that numbering in any file, where no column has that name.
        encoding: of the texts of a shapefile, CSV or other file of text, where what the file says is wrong or missing.

    Raises:
        SourceError: the file is not there or cannot be read.
        InvalidInputError: it has no features, or several layers and `layer` is none of them; `encoding` is not known,
            or the texts are not in it.
    """
    if "://" not in path and not path.startswith("/vsi") and not Path(path).exists():
        raise SourceError(f"there is no file {path}; check the path")
    codec = asked(encoding)
    with _readable(path) as warned, archives.opened(path, layer) as (file, inner):
        features = _reader(path, file)(Opened(path, file, inner, codec, key, numbered))
    features = replace(features, notes=(*features.notes, *dict.fromkeys(warned)))
    features = _numbered(features, key) if numbered else features
    if not len(features):
        raise InvalidInputError(f"{path} holds no parcels; give a file that has some")
    return features


def column_names(path: str, layer: str | None = None) -> list[str]:
    """The names of columns as far as the metadata of a file say them; no row is read.

    There may be more: ids of GeoJSON's features, names in another encoding than UTF-8. None are given of what is
    read in no other way than as a whole.

    Args:
        path: of the file, on this machine.
        layer: of the file; None is the first one.
    """
    file = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if file.suffix.lower() in parquet.PARQUET or _is_parquet(file):
                return [*pq.read_schema(file).names] if file.is_file() else []
            return [str(name) for name in pyogrio.read_info(path, layer=layer)["fields"]]
    except (OSError, RuntimeError, ValueError, pa.ArrowException):
        return []


def _reader(name: str, file: str) -> Callable[[Opened], Features]:
    path = Path(file)
    extension = path.suffix.lower()
    if extension == ".xls":
        raise InvalidInputError(f"{name} is in Excel's old format; save it as .xlsx")
    if extension in sheets.CSV:
        return sheets.read_csv
    if extension in sheets.SHEETS:
        return sheets.read_sheet
    if extension in (*parquet.PARQUET, *parquet.ARROW) or parquet.is_folder_of_parts(path) or _is_parquet(path):
        _refuse_mixture(name, path)
        return parquet.read
    return gdal.read


def _refuse_mixture(name: str, path: Path) -> None:
    """Refuse a folder that mixes Parquet files, which would be read as parts, with other formats."""
    files = sorted(path.iterdir()) if path.is_dir() else []
    others = [file.name for file in files if file.suffix.lower() in set(archives.FILES) - set(parquet.PARQUET)]
    if others:
        parts = [file.name for file in files if file.suffix.lower() in parquet.PARQUET]
        raise InvalidInputError(f"{name} holds files of several formats: {some([*parts, *others])}; give one of them")


def _is_parquet(path: Path) -> bool:
    """Whether a file starts with the Parquet magic bytes."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _numbered(features: Features, key: str | None) -> Features:
    """Append row numbers if requested and the file has none."""
    names = features.columns.column_names
    if key is None or key.lower() not in ROW_NUMBERS or key in names:
        return features
    numbers = pa.array(range(len(features)), pa.int64())
    columns = features.columns.append_column(key, numbers)
    return replace(features, columns=columns, notes=(*features.notes, gdal.row_number_note(key)))


@contextmanager
def _readable(path: str) -> Iterator[list[str]]:
    """Convert errors and warnings of the reading libraries to one line that names the file."""
    warned: list[str] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield warned
    except SourceError:
        raise
    except InvalidInputError as error:
        if path in str(error):
            raise
        raise InvalidInputError(f"{path}: {error}", plain=f"{path}: {error.plain}") from error
    except (
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
        IndexError,
        NotImplementedError,
        ShapelyError,
        CRSError,
        pa.ArrowException,
    ) as error:
        reason = _FOR_PROGRAMMERS.split(_IN_ARCHIVE.sub("", " ".join(str(error).split())))[0]
        raise SourceError(f"{path} cannot be read ({reason}); check the file or convert it to GeoPackage") from error
    said = [_IN_ARCHIVE.sub("", str(warning.message)) for warning in caught]
    warned += [text for text in said if _UNUSED not in text]
