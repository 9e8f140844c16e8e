"""The traffic light: the colour that the rules of a scenario give to each parcel from its markers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.arguments import checked
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers.finding import part_of
from cbm_lake.markers.parameters import Parameters, Rule, Scenario, Season, Where, read
from cbm_lake.markers.series import check_pids

log = logging.getLogger(__name__)

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@checked
def traffic_light(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    scenarios: Sequence[str] | None = None,
    parameters: Mapping[str, Any] | str | Path | None = None,
    pids: Sequence[str] | None = None,
    lake: Lake | None = None,
) -> pa.Table:
    """The colour of each parcel in each scenario that applies to it, with the reason.

    The markers are those that `find` wrote to the lake; nothing is detected again.

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set; None is the main one.
        scenarios: names of scenarios; None is all.
        parameters: overrides of cbm_lake/markers/defaults.yaml; only the scenarios and their rules matter.
        pids: only these parcels.
        lake: the lake; None is the workspace's.

    Returns:
        pid, crop_name, scenario, colour (green, yellow or red), reason, and the marker that decided: how many there
        were (events), date_start of the first and date_end of the last, and the greatest confidence; null where the
        rule counts no marker or requires its absence.

    Raises:
        NotFoundError: no such parcels were loaded, one of `pids` is not among them, or no markers were found yet; or a
            scenario asks for an attribute that no raster gave, see `cbm_lake.parcels.describe`.
        InvalidInputError: there is no such scenario, or a parameter is unknown or out of range.
    """
    lake = lake_or_default(lake)
    resolved = read(parameters)
    unknown = sorted(set(scenarios or ()) - set(resolved.scenarios))
    if unknown:
        raise InvalidInputError(f"there is no scenario {unknown[0]!r}; there are: {', '.join(resolved.scenarios)}")
    evidence = _evidence(lake, lake.parcel_set(aoi, year, ptype), pids)
    parts = [_scenario_colours(evidence, name, resolved) for name in scenarios or resolved.scenarios]
    return pa.concat_tables(parts).sort_by([("pid", "ascending")])


@dataclass(frozen=True, eq=False)
class _Evidence:
    """The markers of some parcels as columns, one entry per marker."""

    year: int
    pids: pa.Array
    crops: pa.Array
    codes: pa.Array
    parcel: Ints
    """Index of the parcel."""
    marker: npt.NDArray[np.object_]
    kind: npt.NDArray[np.object_]
    start: npt.NDArray[np.datetime64]
    end: npt.NDArray[np.datetime64]
    confidence: npt.NDArray[np.float64]
    unseen: Flags
    """Whether each parcel was not observable."""
    gap: npt.NDArray[np.float64]
    """Longest gap without a clear observation of each parcel, in days."""
    attributes: pa.Table
    """Attributes of each parcel sampled from rasters, by column."""


def _evidence(lake: Lake, parcels: ParcelSet, pids: Sequence[str] | None) -> _Evidence:
    key = {"aoi": parcels.aoi, "year": parcels.year}
    requested = None if pids is None else list(pids)
    declared = lake.query("markers.declared", **key, ptype=parcels.ptype, pids=requested)
    check_pids(declared["pid"], requested or (), parcels)
    rows = lake.query("markers.of_parcels", **key, part=part_of(parcels), pids=requested)
    if not rows.num_rows:
        raise NotFoundError(f"no markers of {parcels.name} were found yet; find them first (`cbm-lake markers find`)")
    declared_pids = declared["pid"].combine_chunks()
    rows = rows.filter(pc.is_in(rows["pid"], declared_pids))
    parcel = pc.index_in(rows["pid"], declared_pids).to_numpy().astype(np.int64)
    marker = rows["marker"].to_numpy()
    observed = marker == "observed"
    unseen, gap = np.ones(len(declared_pids), bool), np.full(len(declared_pids), np.inf)
    unseen[parcel[observed]] = ~rows["observable"].to_numpy()[observed].astype(bool)
    gap[parcel[observed]] = rows["value_3"].to_numpy()[observed]
    return _Evidence(
        parcels.year,
        declared_pids,
        declared["crop_name"].combine_chunks(),
        declared["crop_code"].combine_chunks(),
        parcel,
        marker,
        rows["marker_type"].to_numpy(),
        rows["date_start"].to_numpy().astype("datetime64[D]"),
        rows["date_end"].to_numpy().astype("datetime64[D]"),
        np.nan_to_num(rows["confidence"].to_numpy()),
        unseen,
        gap,
        _attributes(lake, parcels, declared_pids),
    )


def _attributes(lake: Lake, parcels: ParcelSet, pids: pa.Array) -> pa.Table:
    """The columns of parcel_attributes in the order of `pids`; null where a parcel has none."""
    key = parcels.params
    rows = lake.query("markers.attributes", **key)
    return rows.take(pc.index_in(pids, rows["pid"].combine_chunks()))


def _scenario_colours(evidence: _Evidence, name: str, parameters: Parameters) -> pa.Table:
    """The colours of the parcels in one scenario."""
    scenario = parameters.scenarios[name]
    asked = _asked(evidence, scenario) & _described(evidence, scenario, name)
    decided = np.full(len(asked), -1)
    events = np.zeros(len(asked), np.int64)
    first, last = (np.full(len(asked), np.datetime64("NaT", "D")) for _ in range(2))
    confidence = np.full(len(asked), np.nan)
    for number, rule in enumerate(scenario.rules):
        counted = _counted(evidence, rule)
        holds = asked & (decided < 0) & _holds(evidence, rule, counted)
        decided[holds] = number
        some = counted & holds[evidence.parcel]
        np.add.at(events, evidence.parcel[some], 1)
        np.fmin.at(first, evidence.parcel[some], evidence.start[some])
        np.fmax.at(last, evidence.parcel[some], evidence.end[some])
        np.fmax.at(confidence, evidence.parcel[some], evidence.confidence[some])
    coloured = np.flatnonzero(decided >= 0)
    none = events[coloured] == 0
    rules = [scenario.rules[number] for number in decided[coloured]]
    return pa.table(
        {
            "pid": evidence.pids.take(pa.array(coloured)),
            "crop_name": evidence.crops.take(pa.array(coloured)),
            "scenario": pa.array([name] * len(coloured), pa.string()),
            "colour": pa.array([rule.colour for rule in rules], pa.string()),
            "reason": pa.array([rule.reason for rule in rules], pa.string()),
            "events": pa.array(events[coloured], mask=none),
            "date_start": pa.array(first[coloured], pa.date32()),
            "date_end": pa.array(last[coloured], pa.date32()),
            "confidence": pa.array(confidence[coloured], pa.float64(), from_pandas=True),
        }
    )


def _asked(evidence: _Evidence, scenario: Scenario) -> Flags:
    """Mask of the parcels whose crop, by name or code, a scenario applies to; all where it names neither."""
    if scenario.crops is None and scenario.codes is None:
        return np.ones(len(evidence.pids), bool)
    names = pc.utf8_lower(evidence.crops)
    asked = pc.is_in(evidence.codes, pa.array(scenario.codes or (), pa.string())).to_numpy(zero_copy_only=False)
    for crop in scenario.crops or ():
        named = pc.fill_null(pc.match_substring(names, crop.lower()), False)
        asked = asked | named.to_numpy(zero_copy_only=False)
    return np.asarray(asked, bool)


def _described(evidence: _Evidence, scenario: Scenario, name: str) -> Flags:
    """Mask of the parcels whose attributes satisfy a scenario; those without a value do not."""
    fits = np.ones(len(evidence.pids), bool)
    for attribute, where in scenario.where.items():
        if attribute not in evidence.attributes.column_names:
            raise NotFoundError(
                f"scenario {name!r} asks for {attribute!r}, which no raster gave; describe parcels by one"
            )
        values = evidence.attributes[attribute]
        if values.null_count:
            log.warning("scenario %r asks nothing of %d parcels without %s", name, values.null_count, attribute)
        fits &= _fits(values, where)
    return fits


def _fits(values: pa.ChunkedArray, where: Where) -> Flags:
    """Mask of the values that satisfy a condition; null does not."""
    fits = pc.is_valid(values)
    if where.among is not None:
        fits = pc.and_(fits, pc.is_in(pc.cast(values, pa.string()), pa.array([str(one) for one in where.among])))
    for bound, holds in ((where.at_least, pc.greater_equal), (where.at_most, pc.less_equal)):
        if bound is not None:
            if pa.types.is_string(values.type):
                raise InvalidInputError("texts of classes are asked for by among, not by at_least or at_most")
            fits = pc.and_(fits, pc.fill_null(holds(values, bound), False))
    return np.asarray(fits.to_numpy(), bool)


def _counted(evidence: _Evidence, rule: Rule) -> Flags:
    """Mask of the markers that a rule counts."""
    counted = np.asarray(evidence.marker == rule.marker) & (evidence.confidence >= rule.confidence)
    if rule.type is not None:
        counted &= evidence.kind == rule.type
    if rule.from_ is not None or rule.to is not None:
        first, last = Season(start=rule.from_ or "01-01", end=rule.to or "12-31").days(evidence.year)
        start, end = np.datetime64(first, "D"), np.datetime64(last, "D")
        counted &= (evidence.start <= end) & (evidence.end >= start)
    return counted


def _holds(evidence: _Evidence, rule: Rule, counted: Flags) -> Flags:
    """Mask of the parcels that satisfy all conditions of a rule."""
    number = np.bincount(evidence.parcel[counted], minlength=len(evidence.pids))
    holds = np.ones(len(evidence.pids), bool)
    if rule.unseen is not None:
        holds &= evidence.unseen == rule.unseen
    if rule.gap is not None:
        holds &= evidence.gap > rule.gap
    if rule.at_least is not None:
        holds &= number >= rule.at_least
    if rule.at_most is not None:
        holds &= number <= rule.at_most
    return holds
