"""GeoJSON export (RFC 7946): a stream of features in degrees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import shapely

from cbm_lake.lake.export import values
from cbm_lake.lake.export.formats import GEOJSON
from cbm_lake.lake.export.geography import Layer, Shapes, transformed

_DIGITS: Final = 9
"""Decimals of a coordinate: a tenth of a millimetre."""


def write(layer: Layer, path: Path) -> int:
    """Write the rows, with geometries in EPSG:4326; returns the number of rows.

    Numbers that JSON does not know (NaN, infinity) become null, which a warning says.
    """
    infinite: set[str] = set()
    separator = ""
    with path.open("w", encoding="utf-8") as file:
        file.write(f'{{"type": "FeatureCollection", "name": {json.dumps(path.stem)}, "features": [')
        for batch in layer.batches():
            infinite |= values.without_json(batch)
            for feature in _features(batch, layer):
                file.write(f"{separator}\n{feature}")
                separator = ","
        file.write("\n]}\n")
    values.warn_of_nulls(path.name, infinite)
    return layer.rows


def _features(batch: pa.RecordBatch, layer: Layer) -> list[str]:
    shapes = shapely.from_wkb(batch.column(layer.geometry).to_numpy(zero_copy_only=False))
    geometries = shapely.to_geojson(_as_standard(shapes))
    texts = values.replaced(
        batch,
        lambda field, column: values.json_texts(field, column, is_json=field.name in layer.json_columns),
        GEOJSON.name,
        but=layer.geometry,
    ).drop_columns([layer.geometry])
    names = [json.dumps(name, ensure_ascii=False) for name in texts.schema.names]
    rows = zip(*(column.to_pylist() for column in texts.columns), strict=True) if names else [()] * batch.num_rows
    return [
        f'{{"type": "Feature", "properties": {{{_members(names, row)}}}, "geometry": {geometry or "null"}}}'
        for row, geometry in zip(rows, geometries, strict=True)
    ]


def _members(names: list[str], row: tuple[str, ...]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in zip(names, row, strict=True))


def _as_standard(shapes: Shapes) -> Shapes:
    """Geometries with outer rings counterclockwise, as the standard has them, and coordinates of nine decimals."""
    turned = shapely.orient_polygons(shapes, exterior_cw=False)
    return transformed(turned, lambda xy: np.round(xy, _DIGITS))
