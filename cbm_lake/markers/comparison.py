"""What lights rest on of the comparison with other parcels, which the search wrote: it is final on one day for all."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.errors import InvalidInputError
from cbm_lake.markers import rules
from cbm_lake.markers.claims import NEVER
from cbm_lake.markers.events import Events
from cbm_lake.markers.history import History
from cbm_lake.markers.judging import PEERS
from cbm_lake.markers.kernels import FIELDS
from cbm_lake.markers.parameters import Parameters, Scenario, When
from cbm_lake.markers.rules import Ints, Windows, as_date


def compared(rows: pa.Table, seen: History) -> int:
    """The last day that the markers in the lake may rest on: NEVER where no clear look is later than their search."""
    observed = rows.filter(pc.equal(rows["marker"], "observed"))
    last = np.full(len(seen.pids), np.iinfo(np.int32).min)
    ends = observed["date_end"].cast(pa.int32()).fill_null(np.iinfo(np.int32).min).to_numpy()
    last[pc.index_in(observed["pid"], seen.pids).to_numpy()] = ends
    season, parameters = seen.parameters.season.days(seen.year), seen.parameters
    until = parameters.peers.last_day(seen.year, season[1])
    later = seen.until(season[1], np.arange(len(seen.pids))).ndvi
    later = later.take((later.day > last[later.owner]) & (later.day <= until + parameters.spike.days))
    return int(later.day.min()) - 1 if len(later.day) else NEVER


def markers_of(rows: pa.Table, pids: pa.Array) -> list[Events]:
    """The markers of the comparison with other parcels, as the search wrote them."""
    of_marker = {marker: rows.filter(pc.equal(rows["marker"], marker)) for marker in PEERS}
    return [Events.of_rows(marker, some, pids, FIELDS[3:]) for marker, some in of_marker.items()]


def dues(scenario: Scenario, days: Windows) -> list[Ints]:
    """When each rule that counts a comparison with other parcels is due."""
    return [due for rule, due in zip(scenario.rules, days.rule_due, strict=True) if rule.marker in PEERS]


def check(name: str, scenario: Scenario, days: Windows, parameters: Parameters, year: int) -> None:
    """Refuse what is asked of the comparison with other parcels before it is final.

    Args:
        name: of the scenario.
        scenario: that counts its markers.
        days: of the scenario, for some parcels.
        parameters: say up to which day parcels are compared.
        year: of the declaration.

    Raises:
        InvalidInputError: the scenario or one of its rules over such a marker is due before, or a rule is early; or it
            is due and counts homogeneity.
    """
    if scenario.due is not None and "homogeneity" in rules.markers_of(scenario):
        raise InvalidInputError(f"scenario {name!r} counts homogeneity, which rests on the whole season; leave out due")
    final = parameters.peers.last_day(year, rules.season_end(parameters, year))
    right = final + parameters.spike.days + 1  # nothing changes the comparison any more
    compared = f"compares with other parcels up to {as_date(final)} (`peers: until`)"
    for number, rule in enumerate(scenario.rules):
        if rule.marker not in PEERS:
            continue
        title = f"rule {number + 1} of scenario {name!r}, which counts {rule.marker}, {compared} and is"
        if rule.early:
            raise InvalidInputError(f"{title} early; leave out early")
        _check_due(title, rule.due, days.rule_due[number], right, final)
    _check_due(f"scenario {name!r} {compared} and is", scenario.due, days.due, right, final)


def _check_due(title: str, asked: When | None, due: Ints, right: int, final: int) -> None:
    if asked is not None and due.min() < right:
        raise InvalidInputError(
            f"{title} due on {as_date(due.min())}; due {right - final} days after {as_date(final)} is right"
        )
