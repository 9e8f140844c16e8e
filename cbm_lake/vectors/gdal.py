"""What GDAL reads, straight to Arrow: integers with gaps stay integers, which pandas would make floats."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyogrio

from cbm_lake.errors import InvalidInputError, some
from cbm_lake.vectors.charsets import (
    UTF_8,
    Decision,
    Declared,
    codec_of,
    codec_of_driver,
    decide,
    distinct,
    recoded_columns,
    texts_of,
)
from cbm_lake.vectors.features import Features, Geometries, Opened, coordinate_system, without
from cbm_lake.vectors.shapes import of_wkb
from cbm_lake.vectors.textfiles import has_numbers_for_ids, recoded

ROW_NUMBERS: Final = ("fid", "ogc_fid")
"""Names by which the file's own numbering of its rows is asked for, in whatever capitals."""
_JSON: Final = (".geojson", ".json", ".geojsonl", ".geojsons", ".ndjson")
_RECODED: Final = (*_JSON, ".gml", ".xml", ".kml")
_WIDE: Final = "ISO-8859-1"
"""Each byte becomes the character of its number: so no byte is lost, and names of columns can be read at all."""


def read(source: Opened) -> Features:
    """The features of the layer asked for, or of the only one that has geometries."""
    ending = Path(source.path).suffix.lower()
    content, note = _content(source, ending)
    opened = content or source.path
    layer, layers = _layer(source, opened)
    shapefile = _dbf(source.path, layer)
    options = {"ENCODING": _WIDE} if shapefile else {"DATE_AS_STRING": "YES"} if ending in _JSON else {}
    meta, table = pyogrio.read_arrow(opened, layer=layer, return_fids=True, **options)
    number = _geometry_column(table, meta["geometry_name"])
    geometries = _geometries(opened, layer, table.column(number))
    columns, notes = _texts(source, without(table, number), meta, shapefile)
    columns, said = _with_row_numbers(source, columns, meta, ending)
    crs = coordinate_system(meta["crs"])
    return Features(source.name, columns, geometries, crs, (*filter(None, (note, *layers)), *notes, *said))


def _content(source: Opened, ending: str) -> tuple[bytes | None, str]:
    """The file's content where it must be recoded first."""
    path = Path(source.path)
    return recoded(path, source.encoding) if ending in _RECODED and path.is_file() else (None, "")


def _layer(source: Opened, opened: str | bytes) -> tuple[str, tuple[str, ...]]:
    """The layer to read, and what to say where it was chosen for the user."""
    layers = pyogrio.list_layers(opened)
    fitting = [str(name) for name, kind in layers if kind is not None]
    if source.layer in fitting:
        return str(source.layer), ()
    if len(fitting) == 1 and source.layer is None:
        said = f"layer {fitting[0]} is read, the only one of {len(layers)} with geometries"
        return fitting[0], (said,) if len(layers) > 1 else ()
    if len(fitting) == 1 and isinstance(opened, bytes) and source.layer == Path(source.path).stem:
        return fitting[0], ()  # in memory a file has another name
    problem = (
        f"no layer {source.layer!r}" if source.layer is not None
        else "several layers" if fitting
        else "no layer of geometries"
    )  # fmt: skip
    raise InvalidInputError(f"{source.name} has {problem}; its layers: {some(fitting) or 'none'}; say which by layer=")


def _geometry_column(table: pa.Table, name: str) -> int:
    """The position of the geometry: an attribute may have its name."""
    marked = [
        number
        for number, field in enumerate(table.schema)
        if (field.metadata or {}).get(b"ARROW:extension:name") in (b"geoarrow.wkb", b"ogc.wkb")
    ]
    named = [number for number in marked if table.schema.field(number).name == (name or "wkb_geometry")]
    return (named or marked)[-1]


def _geometries(opened: str | bytes, layer: str, values: pa.ChunkedArray) -> Geometries:
    try:
        return of_wkb(values)
    except NotImplementedError:  # arcs, which this slower way of reading turns into short lines
        wkb = pyogrio.raw.read(opened, layer=layer, columns=[])[2]
        return of_wkb(pa.chunked_array([pa.array(wkb, pa.binary())]))


# -- row numbers -------------------------------------------------------------------------------------------------------


def _with_row_numbers(
    source: Opened, columns: pa.Table, meta: dict[str, Any], ending: str
) -> tuple[pa.Table, tuple[str, ...]]:
    """The columns with the file's own numbering where it is asked for, and with the numbers of GeoJSON's features."""
    names = columns.column_names[1:]
    numbers, columns = columns.column(0), without(columns, 0)
    path = Path(source.path)
    if ending in _JSON and "id" not in names and path.is_file() and has_numbers_for_ids(path):
        return columns.append_column("id", numbers), ()
    key = source.key
    own = key is not None and key not in names and (key == meta["fid_column"] or key.lower() in ROW_NUMBERS)
    if not own:
        return columns, ()
    return columns.append_column(str(key), numbers), (row_number_note(str(key)),)


def row_number_note(key: str) -> str:
    """What to say where row numbers are the identifiers."""
    return f"{key} is the file's own numbering of its rows; another delivery may number other parcels so"


# -- texts -------------------------------------------------------------------------------------------------------------


def _texts(
    source: Opened, columns: pa.Table, meta: dict[str, Any], shapefile: Path | None
) -> tuple[pa.Table, list[str]]:
    """The columns with names and texts in UTF-8, and what to say of them. The first one is the row number."""
    wide = shapefile is not None
    texts = distinct(texts_of(columns), wide=wide)
    if wide:
        texts |= {name.encode("latin-1") for name in columns.column_names if not name.isascii()}
    elif _all_valid(texts):
        unused = (
            source.encoding not in (None, UTF_8) and bool(texts) and Path(source.path).suffix.lower() not in _RECODED
        )
        return columns, ["all texts are in UTF-8; encoding= changes nothing"] if unused else []
    decision = _decision(source, texts, shapefile)
    columns, damages = recoded_columns(columns, decision.codec, wide=wide)
    if wide:
        names = [_renamed(name, decision.codec) for name in columns.column_names]
        columns = columns.rename_columns(names)
    return columns, [*([decision.note] if decision.note else []), *damages]


def _decision(source: Opened, texts: set[bytes], shapefile: Path | None) -> Decision:
    declared = _declared(shapefile) if shapefile else None
    try:
        return decide(texts, declared, source.encoding)
    except InvalidInputError as error:
        raise InvalidInputError(f"{source.name}: {error}") from error


def _all_valid(texts: set[bytes]) -> bool:
    try:
        b"\n".join(texts).decode()
    except UnicodeDecodeError:
        return False
    return True


def _renamed(name: str, codec: str) -> str:
    return name if name.isascii() else name.encode("latin-1").decode(codec, "ignore")


def _dbf(path: str, layer: str) -> Path | None:
    """The table of a shapefile; None where this is none, or one at a distance."""
    shape = Path(path) / f"{layer}.shp" if Path(path).is_dir() else Path(path)
    return _beside(shape, ".dbf") if shape.suffix.lower() in (".shp", ".shx", ".dbf") else None


def _beside(shape: Path, ending: str) -> Path | None:
    """A file of the same name with another ending, in whatever capitals."""
    if not shape.parent.is_dir():
        return None
    wanted = shape.stem.lower() + ending
    return next((file for file in shape.parent.iterdir() if file.name.lower() == wanted), None)


def _declared(dbf: Path) -> Declared | None:
    """What the .cpg, or else the table's language driver, says of the encoding; None where it is nothing definite."""
    for ending in (".cpg", ".cst"):
        file = _beside(dbf, ending)
        label = file.read_text("latin-1").strip().strip("\0\x1a") if file else ""
        codec = codec_of(label)
        if codec:
            return Declared(codec, f"its {ending} says {label}")
    with dbf.open("rb") as table:
        head = table.read(30)
    codec = codec_of_driver(head[29]) if len(head) == 30 else None
    return Declared(codec, f"its language driver says {codec}") if codec else None


def as_found(name: str, columns: pa.Table) -> tuple[pa.Table, list[str]]:
    """Columns whose texts GDAL handed on as they stand in the file, in UTF-8, and what to say of them."""
    texts = distinct(texts_of(columns), wide=False)
    if _all_valid(texts):
        return columns, []
    decision = decide(texts)
    columns, damages = recoded_columns(columns, decision.codec, wide=False)
    return columns, [*([decision.note] if decision.note else []), *damages]
