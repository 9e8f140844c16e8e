"""Version 1 of the FOI check: shares rounded as by the original SQL, clusters by area."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.errors import InvalidInputError
from cbm_lake.foi import cardinality, components, heterogeneity, outputs, tracing
from cbm_lake.foi.classes import read_classes
from cbm_lake.foi.parcels import Parcels
from cbm_lake.foi.rasters import Thematic
from cbm_lake.foi.result import (
    MOST,
    Foi,
    Settings,
    by_file,
    check_names,
    check_range,
    output_folder,
    parcels_of,
    to_lake,
)
from cbm_lake.foi.survey import Survey, reproject, survey
from cbm_lake.geo.vectors import Geometries
from cbm_lake.lake import Lake
from cbm_lake.lake.arguments import checked
from cbm_lake.progress import Wish, during, reported

_CONNECTIVITY: Final = 8


@checked
def v1(
    reference_data: str | Path | None,
    raster_classif_file: str | Path,
    yaml_file: str | Path | Mapping[Any, Any],
    pre_min_het: float = 30,
    pre_max_het: float = 70,
    area_threshold: float = 2000,
    db: Any = None,
    *,
    aoi: str | None = None,
    year: int | None = None,
    ptype: str | None = None,
    lake: Lake | None = None,
    layer: str | None = None,
    folder: str | Path | None = None,
    progress: Wish = "auto",
) -> Foi:
    """Check every parcel for heterogeneity (foi_h) and several classes (foi_c), with clusters by area.

    Pixels count whose centre lies in the parcel, also those of value 0 where it is a class; pixels beyond the raster
    and its nodata do not. Files <name>_foih_v1, <name>_foic_v1 and <name>_foic_clusters_v1 (.shp, .gpkg, .parquet) are
    written.

    Args:
        reference_data: parcels, their identifier first; None: those of the lake, by aoi and year.
        raster_classif_file: one band of class values.
        yaml_file: names of classes by value, `category_map: {0: none, 1: grass, …}`, or such a dict.
        pre_min_het: least share of a class in % that makes a parcel heterogeneous, included.
        pre_max_het: greatest, included.
        area_threshold: clusters of more m2 count, where diagonal neighbours are connected.
        db: not used: no database is needed.
        aoi: area, for parcels of the lake.
        year: of their declaration.
        ptype: which of several parcel sets.
        lake: where the table of all parcels is also written, to foi/; with aoi that of the workspace unless given.
        layer: of a file that has several.
        folder: where files go, else foi/output_data in the workspace.
        progress: called with the number of blocks of the raster read and of all blocks, and where it takes three
            arguments what is done; "auto" is a bar in a notebook or on a terminal, None is nothing.

    Raises:
        InvalidInputError: thresholds, classes or parcels are wrong, or parcels hold values that are no class.
        SourceError: a file cannot be read.
        NotFoundError: the lake has no such parcels.
        ConfigError: the folder cannot be written.
    """
    check_range(pre_min_het, pre_max_het)
    classes = read_classes(yaml_file)
    raster = Thematic.inspect(raster_classif_file)
    settings = Settings(0, _CONNECTIVITY, _pixels(area_threshold, raster), zero_counts=True)
    parcels, lake = parcels_of(reference_data, aoi, year, ptype, lake, layer)
    check_names(classes, parcels)
    shapes = reproject(parcels, raster.crs)
    with reported(progress, "FOI") as tell:
        pixels = survey(shapes, raster, classes, zero_counts=True, progress=during(tell, "reading the raster"))
    corners = cardinality.corners(shapes, raster.transform)
    clusters = components.clusters(pixels.index, pixels.codes, _CONNECTIVITY, settings.more_than, corners)
    several = cardinality.of_several_classes(clusters, len(parcels))
    foih = _foih(pixels, classes, pre_min_het, pre_max_het)
    foic = {"temp_id": pa.array(np.arange(1, len(parcels) + 1)), "foi_c": pa.array(several.astype(np.int32))}
    runs = components.runs(pixels.index, pixels.codes, _CONNECTIVITY, settings.more_than, several)
    layers = {
        "foih_v1": _layer(parcels, foih),
        "foic_v1": _layer(parcels, foic),
        "foic_clusters_v1": _clusters(*tracing.polygons(runs, raster.transform), classes, raster),
    }
    named = {f"{parcels.name}_{kind}": outputs.Layer(rows) for kind, rows in layers.items()}
    files = outputs.write(output_folder(folder), named, {})
    table = _layer(parcels, foih | foic | _more(pixels, clusters, classes), lower=False)
    flagged = int(pc.sum(foih["foi_h"]).as_py())
    return Foi(
        parcels.name,
        1,
        len(parcels),
        flagged,
        int(several.sum()),
        {},
        {},
        by_file(files, parcels.name),
        to_lake(lake, f"{parcels.name}_foi_v1", table, parcels),
        table,
        parcels,
        raster,
        classes,
        settings,
    )


def _pixels(area: float, raster: Thematic) -> float:
    """An area in m2 as a number of pixels."""
    if not 0 <= area < math.inf:
        raise InvalidInputError(f"area threshold {area!r} is no area; give 0 m2 or more")
    if raster.crs is not None and raster.crs.is_geographic:
        raise InvalidInputError(f"raster {raster.path} is in degrees, so areas in m2 cannot be told; warp it to metres")
    return min(round(area / raster.pixel_area, 6), MOST)  # 2000 m2 of pixels of 0.1 m are 200,000, not a little less


def _foih(pixels: Survey, classes: Mapping[int, str], low: float, high: float) -> dict[str, pa.Array]:
    """Pixels of each class, of all, shares in %, foi_h."""
    names = [name.lower() for name in classes.values()]
    rounded = heterogeneity.rounded_shares(pixels.counts)
    columns = {name: pa.array(pixels.counts[:, number]) for number, name in enumerate(names)}
    columns["total"] = pa.array(pixels.counts.sum(axis=1).astype(np.int32))
    columns |= {f"p_{name}": pa.array(rounded[:, number], from_pandas=True) for number, name in enumerate(names)}
    flags = heterogeneity.rounded_between(rounded, low, high)
    return columns | {"foi_h": pa.array(flags.astype(np.int32))}


def _more(pixels: Survey, clusters: components.Clusters, classes: Mapping[int, str]) -> dict[str, pa.Array]:
    """Columns of the table that the files lack."""
    number = pixels.index.n_parcels
    described = {"clusters": cardinality.described(clusters, classes, number)}
    return described | heterogeneity.largest(pixels.counts, list(classes.values()))


def _layer(parcels: Parcels, columns: dict[str, pa.Array], *, lower: bool = True) -> pa.Table:
    """The parcels with results beside them; the names of their own columns in lower case, as a database gives them."""
    names = parcels.columns.column_names
    attributes = parcels.columns
    if lower and len({name.lower() for name in names}) == len(names):
        attributes = attributes.rename_columns([name.lower() for name in names])
    return outputs.with_geometries(outputs.beside(attributes, columns), parcels.geometries, parcels.crs)


def _clusters(
    clusters: components.Clusters, shapes: Geometries, classes: Mapping[int, str], raster: Thematic
) -> pa.Table:
    """The clusters of parcels with foi_c = 1, in the raster's coordinate system."""
    columns = {
        "id": np.arange(1, len(shapes) + 1),
        "temp_id": clusters.parcel + 1,
        "pixelvalue": np.array(list(classes))[clusters.code],
        "area": clusters.size * raster.pixel_area,
    }
    return outputs.with_geometries(pa.table(columns), shapes, raster.crs)
