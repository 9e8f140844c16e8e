"""The light of a parcel that is judged: of one scenario, or of the declaration as a whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cbm_lake import markers
from cbm_lake.cases.record import Row
from cbm_lake.errors import NotFoundError
from cbm_lake.lake import Lake
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.markers.lastday import last_day

WORST: Final = ("red", "yellow", "cannot be seen", "not yet due", "green")
"""Colours of lights in the order in which parcels are looked at."""
_COLUMNS: Final = ("scenario", "colour", "reason", "due", "day")


def light_of(lake: Lake, key: ParcelKey, scenario: str, parameters: Mapping[str, Any] | None) -> Row:
    """The light of a scenario as the last night recorded it, else as it is judged now; of "" the worst of all.

    Returns:
        day, colour, reason, due; and lights, JSON of all, of a declaration as a whole. Of that nothing where the
        parcel has no light.

    Raises:
        NotFoundError: the parcel has no light in that scenario.
        InvalidInputError: there is no such scenario.
    """
    named = [scenario] if scenario else None
    lights = [] if parameters else _recorded(lake, key, named)
    lights = lights or _judged(lake, key, named, parameters)
    if scenario and not lights:
        raise NotFoundError(f"parcel {key} has no light in the scenario {scenario!r}; it does not apply to it")
    judged = lights[0] if scenario else worst(lights)
    columns = {name: judged[name] for name in ("day", "colour", "reason", "due")} if judged else {}
    return columns if scenario else {**columns, "lights": json.dumps(lights, default=str) if lights else None}


def worst(lights: Sequence[Row]) -> Row | None:
    """Of all lights of a parcel that which is most worth a look, as that of the declaration as a whole; None of none.

    Its scenario is "", its reason says which one it is of.
    """
    if not lights:
        return None
    first = min(lights, key=lambda row: (WORST.index(row["colour"]), row["scenario"]))
    return {**first, "scenario": "", "reason": f"{first['scenario']}: {first['reason']}"}


def _recorded(lake: Lake, key: ParcelKey, scenarios: Sequence[str] | None) -> list[Row]:
    """Lights as nights recorded them."""
    params = {name: value for name, value in key.params.items() if name != "pid"}
    rows: list[Row] = lake.query("cases.lights", **params, pids=[key.pid], scenarios=scenarios).to_pylist()
    return rows


def _judged(
    lake: Lake, key: ParcelKey, scenarios: Sequence[str] | None, parameters: Mapping[str, Any] | None
) -> list[Row]:
    """Lights as they are judged now; none where no markers were found yet and no scenario is named."""
    of, ptype = (key.aoi, key.year), key.ptype or None
    try:
        table = markers.traffic_light(*of, ptype, scenarios=scenarios, pids=[key.pid], parameters=parameters, lake=lake)
    except NotFoundError:
        if scenarios:
            raise
        return []
    day = last_day(lake, lake.parcel_set(*of, ptype))
    return [{name: row.get(name, day) for name in _COLUMNS} for row in table.to_pylist()]
