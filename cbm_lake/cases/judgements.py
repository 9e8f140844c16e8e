"""Judgements: what an analyst decides of a parcel's light, and what was drawn then; appended, never overwritten.

A judgement is of one scenario, or of the declaration as a whole. The last one stands; who withdraws it makes the one
before stand again. All of them stay, withdrawals too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from cbm_lake.cases import judgedlights
from cbm_lake.cases.record import Names, Row, as_json, as_list
from cbm_lake.config import current_user
from cbm_lake.errors import InvalidInputError
from cbm_lake.files import clock, installed
from cbm_lake.lake import Lake, lake_or_default, schemas
from cbm_lake.lake.arguments import checked
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.markers.parameters import document

DECISIONS: Final = ("confirmed", "refused", "photo", "undecidable")
"""What can be decided: the light is right, it is wrong, a photo is asked of the farmer, nobody can say."""
WITHDRAWN: Final = "withdrawn"
"""The decision of a row that says that an earlier one stands no more."""
_LARGEST: Final = 100_000
"""Characters of what was drawn."""


@checked
def judge(
    aoi: str,
    year: int,
    pid: str,
    decision: str,
    note: str = "",
    *,
    ptype: str | None = None,
    scenario: str | None = None,
    shown: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | str | Path | None = None,
    expected: int | None = None,
    who: str | None = None,
    lake: Lake | None = None,
) -> pa.Table:
    """Record what is decided of a parcel's light.

    A judgement that somebody made meanwhile is no obstacle: this one stands then, and says which one stood before
    (former_decision, former_who). Who gives the number of the judgement that was seen is refused where it is another.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of the parcel.
        decision: one of `DECISIONS`.
        note: free text.
        ptype: which parcel set; None is the main one.
        scenario: the one whose light is judged; None is the declaration as a whole.
        shown: what was drawn when it was decided, as JSON takes it: day of the image, scene, layer, index …. Where it
            names a parcel (aoi, year, ptype, pid) or a scenario, it has to be this one.
        parameters: see `markers.traffic_light`, by which the light is judged then; None takes the light that the last
            night recorded, else judges it by the default rules. What they say, also of a file, is recorded.
        expected: number of the judgement that was seen, 0 for none; None is whichever stands.
        who: decides it; None is the user of the settings (set.user), else of the computer.
        lake: what was looked at, also as of a timestamp; None is the workspace's lake as it is now.

    Returns:
        The judgement, a row of the view `judgements`.

    Raises:
        NotFoundError: no such parcel, or it has no light in that scenario.
        InvalidInputError: the decision or scenario is unknown, another parcel was drawn, or another judgement stands
            than the expected one; nothing is recorded.
        SourceError: the lake cannot be written.
    """
    lake = lake_or_default(lake)
    scenario = scenario or ""
    if decision not in DECISIONS:
        raise InvalidInputError(f"decision {decision!r} is unknown; give {', '.join(DECISIONS)}")
    own = document(parameters)
    key = ParcelKey.of(aoi, year, pid, ptype)
    common = {
        **key.params,
        "scenario": scenario,
        "decision": decision,
        "shown": _drawn({**key.params, "scenario": scenario}, shown),
        "parameters": as_json(own),
        **_declared(lake, key),
        **judgedlights.light_of(lake, key, scenario, own),
    }
    return _append(lake, common, lambda standing: {"replaces": standing["number"]}, note, who, expected)


@checked
def withdraw(
    aoi: str,
    year: int,
    pid: str,
    note: str = "",
    *,
    ptype: str | None = None,
    scenario: str | None = None,
    whose: str | None = None,
    expected: int | None = None,
    who: str | None = None,
    lake: Lake | None = None,
) -> pa.Table:
    """Withdraw the judgement that stands, so that the one before stands again; both stay in the history.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of the parcel.
        note: why.
        ptype: which parcel set; None is the main one.
        scenario: see `judge`.
        whose: judgement it is; None is that of who withdraws it. Nobody withdraws another's by mistake.
        expected: see `judge`.
        who: see `judge`.
        lake: see `judge`.

    Returns:
        The judgement that stands then, a row of the view `judgements`; no row where none does.

    Raises:
        NotFoundError: no such parcel set.
        InvalidInputError: no judgement stands, or it is another's; the message says whose. Nothing is recorded.
        SourceError: the lake cannot be written.
    """
    lake = lake_or_default(lake)
    key = ParcelKey.of(aoi, year, pid, ptype)
    version = lake.at(None).parcel_set(key.aoi, key.year, key.ptype).version
    common = {**key.params, "scenario": scenario or "", "decision": WITHDRAWN, "parcels": version}
    owner = whose or who or current_user()

    def withdrawn(standing: Row) -> Row:
        if standing["number"] is None:
            raise InvalidInputError(f"no judgement of parcel {key} stands{_of(common)}; there is nothing to withdraw")
        if standing["who"] != owner:
            raise InvalidInputError(
                f"{_in_words(standing)} stands on parcel {key}{_of(common)}, and is not {owner}'s; "
                f"to withdraw it all the same, say whose it is: {standing['who']}"
            )
        return {"withdraws": standing["number"]}

    return _append(lake, common, withdrawn, note, who, expected)


def judgements(
    aoi: str | None = None,
    year: int | None = None,
    ptype: str | None = None,
    *,
    decisions: Names | None = None,
    scenarios: Names | None = None,
    pids: Names | None = None,
    people: Names | None = None,
    history: bool = False,
    lake: Lake | None = None,
) -> pa.Table:
    """The judgements that stand, rows of the view `judgements`; arguments limit them, None is all.

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: parcel set, "" the main one.
        decisions: some of `DECISIONS`.
        scenarios: names of scenarios; "" is the declaration as a whole.
        pids: identifiers of parcels.
        people: who decided.
        history: all that was ever decided instead, withdrawals too, in order: columns of schemas.JUDGEMENTS and
            `stands`, whether it is what counts now.
        lake: the lake; None is the workspace's.

    Raises:
        InvalidInputError: there is no such decision.
    """
    lake = lake_or_default(lake)
    unknown = sorted(set(as_list(decisions) or ()) - {*DECISIONS, *([WITHDRAWN] if history else [])})
    if unknown:
        raise InvalidInputError(f"no judgement is {unknown[0]!r}; choose from {', '.join(DECISIONS)}")
    limits = {"decisions": decisions, "scenarios": scenarios, "pids": pids, "people": people}
    key = {"aoi": aoi and aoi.lower(), "year": year, "ptype": ptype}
    question = "cases.judged" if history else "cases.judgements"
    return lake.query(question, **key, **{name: as_list(value) for name, value in limits.items()})


def _declared(lake: Lake, key: ParcelKey) -> Row:
    """What is recorded of a parcel as it is declared."""
    parcels = lake.parcel_set(key.aoi, key.year, key.ptype)
    (row,) = lake.query("parcels.by_pid", **key.params).to_pylist()
    return {"parcels": parcels.version, **{name: row[name] for name in ("crop_name", "crop_code", "epsg", "geometry")}}


def _append(
    lake: Lake, common: Row, extra: Callable[[Row], Row], note: str, who: str | None, expected: int | None
) -> pa.Table:
    """Append a row by what stands then, whoever else decides at the same time; what stands afterwards."""
    current = lake.at(None)
    limits = {"scenarios": [common["scenario"]], "pids": [common["pid"]], "decisions": None, "people": None}
    asked = {**{name: common[name] for name in ("aoi", "year", "ptype")}, **limits}

    def rows() -> pa.Table:
        earlier = current.query("cases.judged", **asked).to_pylist()
        standing = next((row for row in earlier if row["stands"]), dict.fromkeys(schemas.JUDGEMENTS.names))
        if expected is not None and expected != (standing["number"] or 0):
            raise InvalidInputError(_meanwhile(common, standing))
        now = clock.now()
        row = {
            **common,
            **extra(standing),
            "number": max((row["number"] for row in earlier), default=0) + 1,
            "note": note.strip(),
            "who": who or current_user(),
            "decided": now,
            "as_of": lake.as_of or now,
            "version": installed.version(),
        }
        return pa.Table.from_pylist([row], schema=schemas.JUDGEMENTS)

    current.add_judgements(rows)
    return current.query("cases.judgements", **asked)


def _meanwhile(common: Row, standing: Row) -> str:
    """That another judgement stands than was seen, in words."""
    which = f"parcel {common['pid']}{_of(common)}"
    if standing["number"] is None:
        return f"the judgement of {which} was withdrawn meanwhile; look at it, and again"
    return f"{_in_words(standing)} stands on {which} by now; look at it, and again"


def _in_words(standing: Row) -> str:
    """A judgement in words."""
    return f"{standing['decision']!r} by {standing['who']} on {standing['decided']:%Y-%m-%d %H:%M} UTC"


def _of(common: Row) -> str:
    return f" in the scenario {common['scenario']!r}" if common["scenario"] else ""


def _drawn(judged: Row, shown: Mapping[str, Any] | None) -> str | None:
    """What was drawn, as JSON.

    Raises:
        InvalidInputError: it is of another parcel or scenario than is judged, or no JSON, or too long.
    """
    if shown is None:
        return None
    for name, value in judged.items():
        if name in shown and str(shown[name] or "") != str(value):
            raise InvalidInputError(
                f"what was drawn is of {name} {shown[name]!r}, the judgement of {value!r}; look at what is judged first"
            )
    try:
        text = json.dumps(shown, sort_keys=True, default=str, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"what was drawn cannot be kept as JSON: {error}") from error
    if len(text) > _LARGEST:
        raise InvalidInputError(f"what was drawn has more than {_LARGEST:,} characters; keep names and days alone")
    return text
