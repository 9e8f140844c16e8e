"""Version 2 of the FOI check: shares and clusters in pixels, optionally of parcels shrunk by a buffer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cbm_lake.errors import InvalidInputError
from cbm_lake.foi import cardinality, components, heterogeneity, outputs
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
from cbm_lake.foi.survey import Survey, buffered, reproject, survey
from cbm_lake.geo.vectors import Geometries
from cbm_lake.lake import Lake
from cbm_lake.lake.arguments import checked
from cbm_lake.progress import Wish, during, reported

Reasons = npt.NDArray[np.int8]

BUFFER_ERROR: Final = "Buffer_error"
ZERO_PIXELS: Final = "Zero pixels"
OUTSIDE: Final = "Non overlapping"
BUFFERED_OUTSIDE: Final = "Buffered non overlapping"
REASONS: Final = (BUFFER_ERROR, ZERO_PIXELS, OUTSIDE, BUFFERED_OUTSIDE)
"""Why a parcel is skipped: nothing is left of it, it has no pixels, it lies off the raster, what is left of it does."""
_AS_SPELT: Final = {BUFFERED_OUTSIDE: "Bufferd non overlapping"}
"""Heading in the list of heterogeneity, as other programs expect it."""
_DONE: Final = -1


@dataclass(frozen=True, eq=False)
class Found:
    """Results for all parcels."""

    survey: Survey
    clusters: components.Clusters
    foih_skipped: Reasons
    foic_skipped: Reasons
    """Place in REASONS, or _DONE."""


@checked
def v2(
    vector_file: str | Path | None,
    raster_file: str | Path,
    yaml_file: str | Path | Mapping[Any, Any],
    negative_buffer: float = 0,
    min_heterogeneity_threshold: float = 30,
    max_heterogeneity_threshold: float = 70,
    connectivity_option: int = 8,
    cluster_threshold: float = 20,
    *,
    aoi: str | None = None,
    year: int | None = None,
    ptype: str | None = None,
    lake: Lake | None = None,
    layer: str | None = None,
    folder: str | Path | None = None,
    progress: Wish = "auto",
) -> Foi:
    """Check every parcel for heterogeneity (foi_h) and several classes (foi_c), with clusters in pixels.

    Pixels count whose centre lies in the buffered parcel and whose value is neither 0 nor the raster's nodata.
    Files <name>_foih_v2, <name>_foic_v2 (.shp, .gpkg, .parquet), <name>_skipped_foih.csv and <name>_skipped_foic.csv
    are written, with _negative_buffer_<metres> after the name where there is a buffer.

    Args:
        vector_file: parcels, their identifier first; None: those of the lake, by aoi and year.
        raster_file: one band of class values.
        yaml_file: names of classes by value, `category_map: {1: grass, …}`, or such a dict.
        negative_buffer: 0, or metres below 0: -10 leaves a margin of 10 m out.
        min_heterogeneity_threshold: least share of a class in % that makes a parcel heterogeneous, included.
        max_heterogeneity_threshold: greatest, included.
        connectivity_option: 8: diagonal neighbours are connected; 4: only edge neighbours.
        cluster_threshold: clusters of more pixels count.
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
    check_range(min_heterogeneity_threshold, max_heterogeneity_threshold)
    _check_clusters(negative_buffer, connectivity_option, cluster_threshold)
    classes = read_classes(yaml_file)
    raster = Thematic.inspect(raster_file)
    parcels, lake = parcels_of(vector_file, aoi, year, ptype, lake, layer)
    check_names(classes, parcels)
    settings = Settings(negative_buffer, connectivity_option, min(cluster_threshold, MOST), zero_counts=False)
    with reported(progress, "FOI") as tell:
        outcome = look(parcels, raster, classes, settings, during(tell, "reading the raster"))
    flags = heterogeneity.between(outcome.survey.counts, min_heterogeneity_threshold, max_heterogeneity_threshold)
    foih, foic = _foih(outcome, classes, flags), _foic(outcome, classes, len(parcels))
    table = _together(parcels, classes, foih, foic, outcome)
    name = f"{parcels.name}_negative_buffer_{abs(negative_buffer):g}" if negative_buffer else parcels.name
    lists = {kind: _lists(parcels, skipped) for kind, skipped in _skipped(outcome).items()}
    files = _write(output_folder(folder), name, parcels, foih, foic, outcome, lists)
    return Foi(
        name,
        2,
        len(parcels),
        _ones(table["foi_h"]),
        _ones(table["foi_c"]),
        lists["foih"],
        lists["foic"],
        by_file(files, name),
        to_lake(lake, f"{name}_foi_v2", table, parcels),
        table,
        parcels,
        raster,
        classes,
        settings,
    )


def _check_clusters(buffer: float, connectivity: int, threshold: float) -> None:
    if not math.isfinite(buffer):
        raise InvalidInputError(f"negative buffer {buffer!r} is no distance; give metres, -10 to leave a margin out")
    if connectivity not in (4, 8):
        raise InvalidInputError(f"connectivity {connectivity!r} is neither 4 nor 8; give one of them")
    if buffer > 0:
        raise InvalidInputError(f"negative buffer {buffer:g} would make parcels larger; give metres below 0, or 0")
    if not 0 <= threshold < math.inf:
        raise InvalidInputError(f"cluster threshold {threshold!r} is no number of pixels; give 0 or more")


def look(
    parcels: Parcels,
    raster: Thematic,
    classes: Mapping[int, str],
    settings: Settings,
    progress: Callable[[int, int], None] | None = None,
) -> Found:
    """Analyse the raster inside the parcels without writing anything."""
    shapes = buffered(parcels, raster, settings.buffer)
    pixels = survey(shapes, raster, classes, zero_counts=False, progress=progress)
    corners = cardinality.corners(reproject(parcels, raster.crs) if settings.buffer else shapes, raster.transform)
    clusters = components.clusters(pixels.index, pixels.codes, settings.connectivity, settings.more_than, corners)
    lost = _lost(parcels, shapes, raster, buffered=bool(settings.buffer))
    pixel_counts = np.diff(pixels.index.pixel_offsets)
    return Found(pixels, clusters, _with_pixels(lost, pixels.counts.sum(axis=1)), _with_pixels(lost, pixel_counts))


def _lost(parcels: Parcels, shapes: Geometries, raster: Thematic, *, buffered: bool) -> Reasons:
    """Reasons to skip parcels regardless of the raster."""
    far = shapely.is_missing(shapes) & ~shapely.is_missing(parcels.geometries)
    empty = (shapely.is_missing(shapes) & ~far) | shapely.is_empty(shapes) | (shapely.area(shapes) == 0)
    outside = ~shapely.intersects(shapely.box(*raster.bounds), shapes)
    off = REASONS.index(BUFFERED_OUTSIDE if buffered else OUTSIDE)
    return np.where(empty, REASONS.index(BUFFER_ERROR), np.where(outside, off, _DONE)).astype(np.int8)


def _with_pixels(lost: Reasons, pixels: npt.NDArray[np.int64]) -> Reasons:
    return np.where((lost == _DONE) & (pixels == 0), REASONS.index(ZERO_PIXELS), lost).astype(np.int8)


def _skipped(outcome: Found) -> dict[str, Reasons]:
    return {"foih": outcome.foih_skipped, "foic": outcome.foic_skipped}


def _lists(parcels: Parcels, skipped: Reasons) -> dict[str, list[object]]:
    return {
        reason: _identifiers(parcels.ids.take(np.flatnonzero(skipped == number)))
        for number, reason in enumerate(REASONS)
    }


def _identifiers(ids: pa.ChunkedArray) -> list[object]:
    """Whole numbers without a point, all else as it is."""
    return [int(value) if isinstance(value, float) and value.is_integer() else value for value in ids.to_pylist()]


def _foih(outcome: Found, classes: Mapping[int, str], flags: npt.NDArray[np.bool_]) -> dict[str, pa.Array]:
    """foi_h, then for each class its pixels and its share in %, then the pixels of all."""
    counts = outcome.survey.counts
    percent = heterogeneity.shares(counts)
    columns = {"foi_h": pa.array(flags.astype(np.int32))}
    for number, name in enumerate(classes.values()):
        columns |= {name: pa.array(counts[:, number]), f"P_{name}": pa.array(percent[:, number])}
    return columns | {"total": pa.array(counts.sum(axis=1).astype(np.int32))}


def _foic(outcome: Found, classes: Mapping[int, str], parcels: int) -> dict[str, pa.Array]:
    flags = cardinality.of_several_classes(outcome.clusters, parcels)
    clusters = cardinality.described(outcome.clusters, classes, parcels)
    return {"foi_c": pa.array(flags.astype(np.int32)), "clusters": clusters}


def _together(
    parcels: Parcels,
    classes: Mapping[int, str],
    foih: dict[str, pa.Array],
    foic: dict[str, pa.Array],
    outcome: Found,
) -> pa.Table:
    """All parcels with both results, null where they were skipped, and the reason."""
    skipped = _skipped(outcome)
    masks = {kind: pa.array(reasons == _DONE) for kind, reasons in skipped.items()}
    columns = {name: pc.if_else(masks["foih"], values, None) for name, values in foih.items()}
    columns |= {name: pc.if_else(masks["foic"], values, None) for name, values in foic.items()}
    columns |= heterogeneity.largest(outcome.survey.counts, list(classes.values()))
    columns |= {f"skipped_{kind}": pa.array([*REASONS, None]).take(pa.array(why)) for kind, why in _numbers(skipped)}
    return outputs.with_geometries(outputs.beside(parcels.columns, columns), parcels.geometries, parcels.crs)


def _numbers(skipped: dict[str, Reasons]) -> list[tuple[str, npt.NDArray[np.int64]]]:
    return [(kind, np.where(reasons == _DONE, len(REASONS), reasons)) for kind, reasons in skipped.items()]


def _write(
    folder: Path,
    name: str,
    parcels: Parcels,
    foih: dict[str, pa.Array],
    foic: dict[str, pa.Array],
    outcome: Found,
    lists: dict[str, dict[str, list[object]]],
) -> list[Path]:
    """Write all files; where they are."""
    layers = {}
    for kind, columns in (("foih", foih), ("foic", foic)):
        done = np.flatnonzero(_skipped(outcome)[kind] == _DONE)
        rows = outputs.beside(parcels.columns, columns).take(done)
        table = outputs.with_geometries(rows, parcels.geometries[done], parcels.crs)
        layers[f"{name}_{kind}_v2"] = outputs.Layer(table, _as_text(rows) if kind == "foic" else {})
    spelt = {_AS_SPELT.get(reason, reason): ids for reason, ids in lists["foih"].items()}
    return outputs.write(folder, layers, {f"{name}_skipped_foih": spelt, f"{name}_skipped_foic": lists["foic"]})


def _as_text(rows: pa.Table) -> dict[str, pa.ChunkedArray]:
    """What a Shapefile of the cardinality holds: the flag as text, and the beginning of the clusters."""
    return {"foi_c": rows["foi_c"].cast(pa.string()), "clusters": outputs.cut(rows["clusters"])}


def _ones(flags: pa.ChunkedArray) -> int:
    return int(pc.sum(flags).as_py() or 0)
