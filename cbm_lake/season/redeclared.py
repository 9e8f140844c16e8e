"""Which parcels were declared otherwise since a night, and what of them: outline, crop, or what they claim."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from cbm_lake.errors import NotFoundError
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers import cropchecks
from cbm_lake.markers.detectors import claims
from cbm_lake.markers.judging import PEERS
from cbm_lake.markers.parameters import CLAIM, Parameters, Scenario
from cbm_lake.markers.rules import markers_of
from cbm_lake.season.differences import compared

PARCELS: Final = pa.schema([(name, pa.string()) for name in ("kind", "scenario", "marker", "pid", "what")])
"""kind, scenario and marker say of which changes it is a cause; null is all."""
_CROPS: Final = ("crop:name", "crop:code")


@dataclass(frozen=True)
class Asked:
    """What is asked of the declaration."""

    parameters: Parameters
    scenarios: list[str]

    @property
    def columns(self) -> list[str]:
        """The agency's columns that scenarios and detectors ask for."""
        named = {column for name in self.scenarios for column in claims_of(self.parameters.scenarios[name])}
        return sorted(named | self._of_detectors)

    @property
    def _of_detectors(self) -> set[str]:
        return {column for _, column in claims(self.parameters.detectors)}

    def by(self, column: str) -> Iterator[Mapping[str, str | None]]:
        """Of which changes a column can be the cause."""
        if column in self._of_detectors:
            yield {}
            return
        if column in _CROPS:
            yield from ({"kind": "marker", "marker": marker} for marker in PEERS)
        for name in self.scenarios:
            scenario = self.parameters.scenarios[name]
            rests_on_crops = name in (*compared_scenarios(self), *checked_scenarios(self))
            by_crop = scenario.crops or scenario.codes or rests_on_crops
            if by_crop if column in _CROPS else column in claims_of(scenario):
                yield {"kind": "light", "scenario": name}


def compared_scenarios(asked: Asked) -> list[str]:
    """The scenarios that compare parcels with others."""
    return [name for name in asked.scenarios if markers_of(asked.parameters.scenarios[name]) & set(PEERS)]


def checked_scenarios(asked: Asked) -> list[str]:
    """The scenarios that count the verdicts of a crop check."""
    return cropchecks.counting(asked.parameters, asked.scenarios)


def claims_of(scenario: Scenario) -> set[str]:
    """The agency's columns that a scenario asks for."""
    dates = [scenario.due, *(each for rule in scenario.rules for each in (rule.due, rule.from_, rule.to))]
    columns = {day.column for choice in dates if choice for day in choice if day.column}
    columns |= {name.removeprefix(CLAIM) for name in scenario.where if name.startswith(CLAIM)}
    return columns | ({scenario.claimed.removeprefix(CLAIM)} if scenario.claimed else set())


def redeclared(lake: Lake, parcels: ParcelSet, before: str, asked: Asked) -> pa.Table | None:
    """What is declared otherwise than in an earlier version of a parcel set; None where that is no more there."""
    former = lake.parcel_version(parcels, before)
    if former is None:
        return None
    try:
        was, now = (_declared(lake, one, asked.columns) for one in (former, parcels))
    except NotFoundError:
        return None
    rows: list[dict[str, Any]] = []
    for row in compared("declared", {"was": was, "now": now}).to_pylist():
        applies: Iterable[Mapping[str, str | None]] = [{}] if row["field"] is None else asked.by(row["field"])
        rows += [{"pid": row["pid"], "what": row["what"], **one} for one in applies]
    return pa.Table.from_pylist(rows, schema=PARCELS)


def _declared(lake: Lake, parcels: ParcelSet, columns: list[str]) -> pa.Table:
    """Of each parcel and field its value as text: long rows pid, field, value; field outline is its geometry."""
    there = set(lake.schema_of_parcels(parcels).names)
    named = [name for name in (*_CROPS, *columns) if name in there]
    table = lake.read_parcels(parcels, sorted({"id", "geometry", *named}))
    parts = [_long(table["id"], "outline", table["geometry"].cast(pa.binary()))]
    parts += [
        _long(table["id"], name, compared("texts", {"given": pa.table({"value": table[name]})})["value"])
        for name in named
    ]
    return pa.concat_tables(parts)


def _long(pids: pa.ChunkedArray, field: str, values: pa.ChunkedArray) -> pa.Table:
    texts = values if pa.types.is_binary(values.type) else values.cast(pa.string()).cast(pa.binary())
    return pa.table({"pid": pids.cast(pa.string()), "field": pa.repeat(field, len(pids)), "value": texts})
