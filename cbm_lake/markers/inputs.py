"""What detectors need beside NDVI and coherence: further series, and the dates that declarations claim."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cbm_lake.errors import InvalidInputError, counted, some
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers import claimvalues
from cbm_lake.markers.claims import read_column, say_counted
from cbm_lake.markers.detectors import DetectorModel, claims, skipped
from cbm_lake.markers.kinds import CLAIM
from cbm_lake.markers.parameters import Parameters, read
from cbm_lake.markers.signals import Signal, signal

log = logging.getLogger(__name__)


def rows_of(lake: Lake, asked: Signal, key: Mapping[str, Any], how: Mapping[str, Any]) -> pa.Table:
    """The series of all parcels as rows (place, day, value); none where its bands were not extracted.

    Args:
        lake: the lake.
        asked: the series.
        key: parameters of every statement: aoi, year, ptype, pids, first, last, pixels, share.
        how: those of optical statements: screen, cloud, brightest.
    """
    if _not_extracted(lake, asked, key):
        return _empty(place=pa.int32(), day=pa.int32(), value=pa.float32())
    if asked.is_optical:
        name = "markers.index" if asked.is_index else "markers.band_s2"
        return lake.query(name, **key, **how, name=asked.name)
    return lake.query(f"markers.radar_{asked.card}", **key, band=asked.bands[0], decibels=asked.card == "bs")


def images_of(lake: Lake, asked: Signal, key: Mapping[str, Any]) -> pa.Table:
    """The images of a radar series as rows (place, day, orbit, value, weight); none where its band was not extracted.

    Args:
        lake: the lake.
        asked: the series.
        key: parameters of the statement: aoi, year, ptype, pids, last, pixels, share.
    """
    if _not_extracted(lake, asked, key):
        floats = {"value": pa.float64(), "weight": pa.float64()}
        return _empty(place=pa.int32(), day=pa.int32(), orbit=pa.int64(), **floats)
    return lake.query(f"markers.images_{asked.card}", **key, band=asked.bands[0], decibels=asked.card == "bs")


def _empty(**types: pa.DataType) -> pa.Table:
    return pa.table({name: pa.array([], of) for name, of in types.items()})


def say_skipped(lake: Lake, parcels: ParcelSet, parameters: Parameters, missing: frozenset[str]) -> None:
    """Say once which detectors say nothing, and which bands would have to be extracted.

    It is a warning where a scenario counts one of them, or where one is the agency's own; else an information.
    """
    for name in sorted(missing):
        lacking = sorted(skipped(parameters.detectors, frozenset([name])))
        level = logging.WARNING if _are_asked_for(lacking, parameters) else logging.INFO
        text = "%s: %s, so that nothing is said of %s"
        log.log(level, text, parcels.name, _why_skipped(lake, signal(name), parcels.params), ", ".join(lacking))


def _are_asked_for(detectors: Iterable[str], parameters: Parameters) -> bool:
    """Whether a scenario counts one of some detectors, or one is not as in defaults.yaml."""
    counting = {rule.marker for scenario in parameters.scenarios.values() for rule in scenario.rules}
    usual = read(None).detectors
    return any(name in counting or parameters.detectors[name] != usual.get(name) for name in detectors)


def _why_skipped(lake: Lake, of: Signal, key: Mapping[str, Any]) -> str:
    """Why a series has no value."""
    bands = _not_extracted(lake, of, key)
    if not bands:
        return f"no look has a value of {of.name}"
    were = "was" if len(bands) == 1 else "were"
    return f"{of.name} needs {' and '.join(bands)} of card {of.card}, which {were} not extracted there"


def claimed(
    lake: Lake, parcels: ParcelSet, detectors: Mapping[str, DetectorModel], pids: list[str] | None
) -> dict[str, npt.NDArray[np.float64]]:
    """The dates that the parcels' declarations claim, by column: days since 1970-01-01, NaN where there is none.

    Raises:
        InvalidInputError: a detector asks for a column that the parcels do not have, or that has no dates.
    """
    asked = {column: name for name, column in claims(detectors)}
    if not asked:
        return {}
    there = set(lake.schema_of_parcels(parcels).names)
    for column, name in asked.items():
        if column not in there:
            raise InvalidInputError(
                f"detector {name} asks for declared.{column}, but {parcels.name} have no column {column}"
            )
    rows = lake.read_parcels(parcels, sorted({"id", *asked})).sort_by("id")
    is_asked = np.ones(len(rows), bool) if pids is None else np.isin(rows["id"].to_numpy(), pids)
    return {column: _days(rows, column, parcels.year, name)[is_asked] for column, name in asked.items()}


def _not_extracted(lake: Lake, asked: Signal, key: Mapping[str, Any]) -> list[str]:
    """The bands of a series that were not extracted over the parcels."""
    of = {name: key[name] for name in ("aoi", "year", "ptype")}
    return [band for band in asked.bands if not lake.query(f"markers.extracted_{asked.card}", **of, band=band).num_rows]


def _days(rows: pa.Table, column: str, year: int, detector: str) -> npt.NDArray[np.float64]:
    """The dates of a column, NaN where it is null, or cannot be read: how many these are is said."""
    values = rows[column].combine_chunks()
    values = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
    title = f"detector {detector}: {CLAIM}{column}"
    read = read_column(values, claimvalues.days(year), title, claimvalues.DATE)
    say_counted(values, year, title)
    broken = np.flatnonzero(read.problems != "")
    if len(broken):
        pids = rows["id"].take(pa.array(broken)).to_pylist()
        examples = some([f"{pid}: {problem}" for pid, problem in zip(pids, read.problems[broken], strict=True)], 3)
        log.warning(
            "%s cannot be read of %s, so that they have no event: %s", title, counted(len(broken), "parcel"), examples
        )
    return read.values
