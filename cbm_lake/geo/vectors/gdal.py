"""Reads GDAL vector formats to Arrow, so that integer columns with nulls stay integers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyogrio
from pyproj import CRS

from cbm_lake.errors import InvalidInputError, some
from cbm_lake.files.charsets import (
    UTF_8,
    Declared,
    codec_of,
    codec_of_driver,
    decide,
    distinct,
    recoded_columns,
    texts_of,
)
from cbm_lake.files.textfiles import numbers_for_ids, recoded
from cbm_lake.geo.vectors import mapinfo
from cbm_lake.geo.vectors.features import Features, Opened, coordinate_system, without
from cbm_lake.geo.vectors.shapes import has_arcs

ROW_NUMBERS: Final = ("fid", "ogc_fid")
"""Names that request the file's own row numbers, in any case."""
_JSON: Final = (".geojson", ".json", ".geojsonl", ".geojsons", ".ndjson")
_RECODED: Final = (*_JSON, ".gml", ".xml", ".kml")
_INT64: Final = 2**63
_WIDE: Final = "ISO-8859-1"
"""Each byte becomes the character of its number: so no byte is lost, and names of columns can be read at all."""


def read(source: Opened) -> Features:
    """Read the requested layer, or the only one with geometries."""
    path = Path(source.path)
    if path.suffix.lower() not in mapinfo.ENDINGS or not path.is_file():
        return _read(source)
    with mapinfo.named(path, source.encoding) as (named, note):
        features = _read(replace(source, path=named, encoding=None))
        return replace(features, notes=(*filter(None, (note,)), *features.notes))


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer as stored in its file."""

    columns: pa.Table
    """Its attributes in UTF-8; the first column is the file's own numbering of its rows."""
    wkb: pa.ChunkedArray | None
    """None where it has no geometries."""
    crs: CRS | None
    fid: str
    """What the file calls the numbering."""
    notes: tuple[str, ...]


def read_layer(source: Opened, opened: str | bytes, layer: str | int) -> Layer:
    """Read a layer with decoded text.

    Args:
        source: the file.
        opened: its path, or its content where that was recoded.
        layer: name, or position where the content is opened.
    """
    extension = Path(source.path).suffix.lower()
    shapefile = _dbf(source.path, layer)
    options = {"ENCODING": _WIDE} if shapefile else {"DATE_AS_STRING": "YES"} if extension in _JSON else {}
    meta, table = pyogrio.read_arrow(opened, layer=layer, return_fids=True, **options)
    number = _geometry_column(table, meta["geometry_name"])
    columns, notes = _texts(source, without(table, number), shapefile)
    wkb = None if number is None else table.column(number)
    return Layer(columns, wkb, coordinate_system(meta["crs"]), meta["fid_column"], tuple(notes))


def _read(source: Opened) -> Features:
    extension = Path(source.path).suffix.lower()
    content, note = _content(source, extension)
    opened = content or source.path
    layer, layer_notes = _layer(source, opened)
    content_of_layer = read_layer(source, opened, layer)
    columns, said = _with_row_numbers(source, content_of_layer, content if extension in _JSON else b"")
    geometries = _geometries(opened, layer, content_of_layer.wkb)
    columns = _copied(columns)
    return Features(
        source.name,
        columns,
        geometries,
        content_of_layer.crs,
        (*filter(None, (note, *layer_notes)), *content_of_layer.notes, *said),
    )


def _content(source: Opened, extension: str) -> tuple[bytes | None, str]:
    """Recoded content of the file, if recoding is necessary."""
    path = Path(source.path)
    return recoded(path, source.encoding) if extension in _RECODED and path.is_file() else (None, "")


def _layer(source: Opened, opened: str | bytes) -> tuple[str | int, tuple[str, ...]]:
    """Select the layer, with a note if it was chosen automatically."""
    layers = pyogrio.list_layers(opened)
    if isinstance(opened, bytes) and len(layers) == 1 and source.layer in (None, Path(source.path).stem):
        return 0, ()  # in memory a file has another name each time
    fitting = [str(name) for name, kind in layers if kind is not None]
    if source.layer in fitting:
        return str(source.layer), ()
    if len(fitting) == 1 and source.layer is None:
        said = f"layer {fitting[0]} is read, the only one of {len(layers)} with geometries"
        return fitting[0], (said,) if len(layers) > 1 else ()
    problem = (
        f"no layer {source.layer!r}"
        if source.layer is not None
        else "several layers"
        if fitting
        else "no layer of geometries"
    )
    problem = f"{source.name} has {problem}; its layers: {some(fitting) or 'none'}"
    raise InvalidInputError(
        f"{problem}; say which by layer=", plain=f"{problem}; save the one that is meant in a file of its own"
    )


def _geometry_column(table: pa.Table, name: str) -> int | None:
    """Position of the geometry, if any; an attribute may share its name."""
    marked = [
        number
        for number, field in enumerate(table.schema)
        if (field.metadata or {}).get(b"ARROW:extension:name") in (b"geoarrow.wkb", b"ogc.wkb")
    ]
    named = [number for number in marked if table.schema.field(number).name == (name or "wkb_geometry")]
    return next(reversed(named or marked), None)


def _geometries(opened: str | bytes, layer: str | int, values: pa.ChunkedArray | None) -> pa.ChunkedArray:
    """WKB with curves linearised, by another, slower reader."""
    values = values if values is not None else pa.chunked_array([], pa.binary())
    if not has_arcs(values):
        return values
    return pa.chunked_array([pa.array(pyogrio.raw.read(opened, layer=layer, columns=[])[2], pa.binary())])


def _copied(table: pa.Table) -> pa.Table:
    """Copy columns, since GDAL's batches are freed only as a whole and geometries dominate them."""
    batches = [batch.take(pa.array(range(batch.num_rows), pa.int64())) for batch in table.to_batches()]
    return pa.Table.from_batches(batches, table.schema)


# -- row numbers -------------------------------------------------------------------------------------------------------


def _with_row_numbers(source: Opened, layer: Layer, json: bytes | None) -> tuple[pa.Table, list[str]]:
    """Add the file's row numbers if requested, and GeoJSON feature ids.

    Args:
        source: the file.
        layer: of it.
        json: content of a GeoJSON file that was recoded, None of one that was not, empty of another format.
    """
    numbers, columns = layer.columns.column(0), without(layer.columns, 0)
    notes: list[str] = []
    if json != b"" and "id" not in columns.column_names and Path(source.path).is_file():
        columns, notes = _with_ids(columns, numbers_for_ids(json or Path(source.path)))
    key = source.key
    is_row_number = key == layer.fid or (source.numbered and key is not None and key.lower() in ROW_NUMBERS)
    if key is None or key in columns.column_names or not is_row_number:
        return columns, notes
    return columns.append_column(key, numbers), [*notes, row_number_note(key)]


def _with_ids(columns: pa.Table, ids: list[int | str | None] | None) -> tuple[pa.Table, list[str]]:
    """Add GeoJSON feature ids, if there are any."""
    if ids is None or len(ids) != columns.num_rows:
        return columns, []
    whole = all(type(value) is int and abs(value) < _INT64 for value in ids)
    texts = [value if value is None else str(value) for value in ids]
    columns = columns.append_column("id", pa.array(ids, pa.int64()) if whole else pa.array(texts, pa.string()))
    if ids not in (list(range(len(ids))), list(range(1, len(ids) + 1))):
        return columns, []
    return columns, ["the ids of its features only count the rows; another delivery may give them to other parcels"]


def row_number_note(key: str) -> str:
    """Note for files in which row numbers serve as identifiers."""
    return f"{key} is the file's own numbering of its rows; another delivery may number other parcels so"


# -- texts -------------------------------------------------------------------------------------------------------------


def _texts(source: Opened, columns: pa.Table, shapefile: Path | None) -> tuple[pa.Table, list[str]]:
    """Names and texts decoded to UTF-8, with notes. The first column is the row number."""
    wide = shapefile is not None
    texts = distinct(texts_of(columns), wide=wide)
    if wide:
        texts |= {name.encode("latin-1") for name in columns.column_names if not name.isascii()}
    elif not texts:
        as_text = Path(source.path).suffix.lower() in _RECODED
        unused = source.encoding not in (None, UTF_8) and not as_text
        return columns, ["all texts are in UTF-8; encoding= changes nothing"] if unused else []
    decision = decide(texts, _declared(shapefile) if shapefile else None, source.encoding)
    columns, damages = recoded_columns(columns, decision.codec, wide=wide)
    if wide:
        columns = columns.rename_columns([_renamed(name, decision.codec) for name in columns.column_names])
    return columns, [*([decision.note] if decision.note else []), *damages]


def _renamed(name: str, codec: str) -> str:
    return name if name.isascii() else name.encode("latin-1").decode(codec, "ignore")


def _dbf(path: str, layer: str | int) -> Path | None:
    """Table of a local Shapefile, else None.

    Raises:
        InvalidInputError: its name has other capitals, by which GDAL passes it over.
    """
    shape = Path(path) / f"{layer}.shp" if Path(path).is_dir() else Path(path)
    table = _beside(shape, ".dbf") if shape.suffix.lower() in (".shp", ".shx", ".dbf") else None
    if table is not None and table.stem != shape.stem:
        raise InvalidInputError(f"its table is called {table.name}; name it as {shape.name} in the same capitals")
    return table


def _beside(shape: Path, extension: str) -> Path | None:
    """Sidecar file with another extension, ignoring case."""
    if not shape.parent.is_dir():
        return None
    sought = shape.stem.lower() + extension
    return next((file for file in shape.parent.iterdir() if file.name.lower() == sought), None)


def _declared(dbf: Path) -> Declared | None:
    """Encoding declared by the .cpg, else by the language driver; None if ambiguous."""
    for extension in (".cpg", ".cst"):
        file = _beside(dbf, extension)
        label = file.read_text("latin-1").strip().strip("\0\x1a") if file else ""
        codec = codec_of(label)
        if codec:
            return Declared(codec, f"its {extension} says {label}")
    with dbf.open("rb") as table:
        head = table.read(30)
    codec = codec_of_driver(head[29]) if len(head) == 30 else None
    return Declared(codec, f"its language driver says {codec}") if codec else None
