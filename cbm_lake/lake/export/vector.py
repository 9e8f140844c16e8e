"""GeoPackage and FlatGeobuf export by GDAL, which reads the rows as Arrow batches."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError

from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.geo.vectors import check_whole
from cbm_lake.lake.export import values
from cbm_lake.lake.export.formats import FLATGEOBUF, GEOPACKAGE, Format, no_rows
from cbm_lake.lake.export.geography import Layer, kinds_of

log = logging.getLogger(__name__)


def write(layer: Layer, path: Path, kind: Format) -> int:
    """Write the rows, geometries in the coordinate system of the layer; returns how many.

    Raises:
        SourceError: the file cannot be written.
        InvalidInputError: a column has a value that the format cannot hold.
    """
    stream = _Stream(layer, kind)
    geometry_type, complete = _survey(layer, kind)
    epsg = layer.crs.to_epsg()
    try:
        pyogrio.write_arrow(
            stream.reader(),
            path,
            driver="GPKG" if kind is GEOPACKAGE else kind.name,
            layer=re.sub(r"\W", "_", path.stem),
            geometry_name=layer.geometry,
            geometry_type=geometry_type,
            crs=f"EPSG:{epsg}" if epsg else layer.crs.to_wkt(),
            **_options(layer, kind, complete=complete),
        )
        check_whole(path, layer.rows, len(layer.schema.names) - 1)
    except (DataSourceError, DataLayerError, RuntimeError) as error:
        if stream.problem:
            raise stream.problem from error
        raise SourceError(f"cannot write {path.name}: {error}; check the folder and the free space") from error
    stream.tell(path.name)
    return layer.rows


class _Stream:
    """The rows in GDAL's types; what is wrong with a column is remembered, for GDAL loses the error."""

    def __init__(self, layer: Layer, kind: Format) -> None:
        self.problem: InvalidInputError | None = None
        self._layer, self._kind = layer, kind
        self._rounded: set[str] = set()
        self._nulls: set[str] = set()

    def reader(self) -> pa.RecordBatchReader:
        schema = self._fitted(no_rows(self._layer.schema)).schema
        return pa.RecordBatchReader.from_batches(schema, self._batches())

    def tell(self, name: str) -> None:
        """Warn of times that were cut, and of numbers that became null."""
        values.warn_of_nulls(name, self._nulls)
        if self._rounded:
            names = ", ".join(sorted(self._rounded))
            log.warning("%s holds milliseconds: the times of %s are cut to them", self._kind.name, names)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._layer.batches():
                pairs = zip(batch.schema.names, batch.columns, strict=True)
                self._rounded |= {name for name, column in pairs if values.is_rounded(column)}
                self._nulls |= values.without_json(batch, nested=True)
                if self._kind is GEOPACKAGE:
                    self._nulls |= values.with_nan(batch)
                yield self._fitted(batch)
        except InvalidInputError as error:
            self.problem = error
            raise

    def _fitted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        fitted = values.replaced(batch, values.ogr_of, self._kind.name, but=self._layer.geometry)
        fields = [self._field(before, after) for before, after in zip(batch.schema, fitted.schema, strict=True)]
        return pa.RecordBatch.from_arrays(fitted.columns, schema=pa.schema(fields))

    def _field(self, before: pa.Field, after: pa.Field) -> pa.Field:
        """The field as GDAL is to understand it: which texts are JSON, and what the column says."""
        if before.name == self._layer.geometry:
            return pa.field(after.name, after.type)
        comment = (before.metadata or {}).get(b"description")
        metadata = {b"GDAL:OGR:comment": comment} if comment else {}
        if values.is_nested(before.type) or before.name in self._layer.json_columns:
            metadata[b"ARROW:extension:name"] = b"arrow.json"
        return pa.field(after.name, after.type, metadata=metadata or None)


def _survey(layer: Layer, kind: Format) -> tuple[str, bool]:
    """The type that all geometries have, or that of any; and whether all rows have one that is not empty.

    Raises:
        InvalidInputError: the format would lose heights or measures.
    """
    kinds: set[str] = set()
    measured = False
    complete = layer.rows > 0
    for batch in layer.batches():
        shapes = shapely.from_wkb(batch.column(layer.geometry).to_numpy(zero_copy_only=False))
        kinds |= kinds_of(shapes)
        measured |= bool(shapely.has_m(shapes).any())
        complete &= not (shapely.is_missing(shapes) | shapely.is_empty(shapes)).any()
    if kind is FLATGEOBUF and len(kinds) > 1 and any(name.endswith(" Z") for name in kinds):
        raise InvalidInputError(
            f"{kind.name} has no heights in a file of {', '.join(sorted(kinds))}; write .gpkg, or one type alone"
        )
    if kind is FLATGEOBUF and measured:
        raise InvalidInputError(f"{kind.name} is written without measures (M); write .gpkg, or leave them out")
    return (kinds.pop() if len(kinds) == 1 else "Unknown"), complete


def _options(layer: Layer, kind: Format, *, complete: bool) -> dict[str, str]:
    if kind is FLATGEOBUF:
        return {"SPATIAL_INDEX": "YES" if complete else "NO"}  # which knows no row without a geometry
    used = {name.lower() for name in layer.schema.names if name != layer.geometry}
    return {"FID": _free("row_number", used), "GEOMETRY_NAME": _free("geom", used)}


def _free(name: str, used: Iterable[str]) -> str:
    """The name, or the first one like it, that no column has."""
    return next(free for free in (name + "_" * more for more in count()) if free not in used)
