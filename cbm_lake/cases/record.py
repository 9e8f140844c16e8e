"""Decisions on cases: opened, notified, answered, closed, opened again; appended to the lake, never overwritten."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final, TypeAlias

import pyarrow as pa
import shapely

from cbm_lake.cases import lineage, photos
from cbm_lake.config import current_user
from cbm_lake.errors import InvalidInputError, NotFoundError, some, wrong_argument
from cbm_lake.files import clock, installed
from cbm_lake.files.dates import day_of
from cbm_lake.geo.reprojection import reprojected
from cbm_lake.lake import Lake, lake_or_default, schemas
from cbm_lake.lake.arguments import checked
from cbm_lake.qa.inspection import VERDICTS

STATUSES: Final = ("open", "notified", "answered", "closed")
"""How a case may stand."""
_AFTER: Final = {
    "notified": ("open", "answered"),
    "answered": ("notified", "answered"),
    "closed": ("open", "notified", "answered"),
    "open": ("closed",),
    "given another date": ("notified",),
}
"""The status that a case must have before a decision gives it another; that of a new date leaves it notified."""
_FOLDER: Final = "photos"
"""In the lake; not below a table's folder, where files that its log does not name are deleted."""
Row: TypeAlias = dict[str, Any]
Names: TypeAlias = str | Sequence[str]


@checked
def notify(
    cases: Names,
    *,
    answer_by: date | str | None = None,
    notices: Mapping[str, str] | None = None,
    note: str = "",
    who: str | None = None,
    lake: Lake | None = None,
) -> pa.Table:
    """Record that the farmers of open cases were told, in one commit; see `notices` for what is sent to them.

    Args:
        cases: identifiers, or the beginnings of them.
        answer_by: day until which an answer is expected.
        notices: SHA-256 of what was sent, by the identifier of the case.
        note: free text.
        who: see `open_cases`.
        lake: the lake; None is the workspace's.

    Returns:
        The cases as they stand then.

    Raises:
        NotFoundError: there is no such case, or several begin so.
        InvalidInputError: one of them is notified already, or closed, or the day is past; nothing is recorded.
    """
    lake = lake_or_default(lake)
    extra = {"answer_by": deadline(answer_by)}
    digests = dict(notices or {})
    return _decide(cases, "notified", note, who, lake, lambda case: {**extra, "notice": digests.get(case["case_id"])})


@checked
def reschedule(
    cases: Names,
    answer_by: date | str,
    note: str,
    *,
    who: str | None = None,
    lake: Lake | None = None,
) -> pa.Table:
    """Give notified cases another day until which an answer is expected, in one commit; they stay notified.

    The day that they had stays in the history. Where somebody else decides on one of them meanwhile, nothing is
    recorded: that decision was not known when this one was made.

    Args:
        cases: identifiers, or the beginnings of them.
        answer_by: the new day.
        note: why; it is kept.
        who: see `open_cases`.
        lake: the lake; None is the workspace's.

    Returns:
        The cases as they stand then.

    Raises:
        NotFoundError: there is no such case, or several begin so.
        InvalidInputError: no reason is given, the day is past, or one of the cases is not notified; nothing is
            recorded.
    """
    lake = lake_or_default(lake)
    if not note.strip():
        raise InvalidInputError("say why the cases are given another date; the reason is kept")
    day = deadline(answer_by)
    if day is None:
        raise InvalidInputError(
            "say until which day an answer is expected: answer_by=, such as 2027-09-01",
            plain="say until which day an answer is expected, such as 2027-09-01",
        )
    seen = {case["case_id"]: case["number"] for case in of_names(lake.at(None), as_list(cases) or ())}

    def dated(case: Row) -> Row:
        if case["number"] != seen[case["case_id"]]:
            by = f"{case['who']} on {case['decided']:%Y-%m-%d %H:%M} UTC"
            raise InvalidInputError(f"meanwhile {by} decided on case {case['case_id']}; look at its history, and again")
        return {"answer_by": day, "status": "notified"}

    return _decide(cases, "given another date", note, who, lake, dated)


@checked
def answer(
    case: str,
    note: str = "",
    *,
    files: Names = (),
    who: str | None = None,
    lake: Lake | None = None,
) -> pa.Table:
    """Record the answer to a notice, with geotagged photos; a case may be answered several times.

    What the EXIF of a photo says is compared with the parcel, the time of the notice, and all photos of other cases;
    contradictions are recorded with it. The photo is stored in the lake under its digest.

    Args:
        case: identifier, or the beginning of one.
        note: the answer.
        files: photos: JPEG, TIFF, PNG or WebP.
        who: see `open_cases`.
        lake: the lake; None is the workspace's.

    Returns:
        The case as it stands then.

    Raises:
        NotFoundError: there is no such case, or several begin so.
        InvalidInputError: it was not notified, a file is no photo, or neither a text nor a photo is given.
        SourceError: a file cannot be read, or the lake not be written.
    """
    lake = lake_or_default(lake)
    paths = as_list(files) or ()
    if not note.strip() and not paths:
        raise InvalidInputError("an answer needs a text or a photo")
    pictures = [photos.read(path) for path in paths]
    current = lake.at(None)
    for photo in pictures:
        current.store_file(_file(photo), photo.content)

    def judged(row: Row) -> Row:
        earlier = current.query("cases.photos").to_pylist()
        shape = reprojected(shapely.from_wkb(row["geometry"]), row["epsg"], 4326)
        return {"photos": [_photo(photo, row, shape, earlier) for photo in pictures]}

    return _decide(case, "answered", note, who, lake, judged)


@checked
def close(
    cases: Names,
    outcome: str,
    note: str = "",
    *,
    who: str | None = None,
    lake: Lake | None = None,
) -> pa.Table:
    """Close cases with an outcome, in one commit; arguments, results and errors are those of `notify`.

    Args:
        cases: identifiers, or the beginnings of them.
        outcome: conforming, nonconforming or inconclusive.
        note: free text.
        who: see `open_cases`.
        lake: the lake; None is the workspace's.
    """
    lake = lake_or_default(lake)
    if outcome not in VERDICTS:
        raise InvalidInputError(f"outcome {outcome!r} is unknown; give {', '.join(VERDICTS)}")
    return _decide(cases, "closed", note, who, lake, lambda _: {"outcome": outcome})


@checked
def reopen(cases: Names, note: str, *, who: str | None = None, lake: Lake | None = None) -> pa.Table:
    """Open closed cases again, in one commit; arguments, results and errors are those of `notify`.

    Raises:
        InvalidInputError: no reason is given, or one of them is not closed.
    """
    lake = lake_or_default(lake)
    if not note.strip():
        raise InvalidInputError("say why the cases are opened again; the reason is kept")
    return _decide(cases, "open", note, who, lake, lambda _: {})


def listed(
    aoi: str | None = None,
    year: int | None = None,
    ptype: str | None = None,
    *,
    statuses: Names | None = None,
    scenarios: Names | None = None,
    pids: Names | None = None,
    lake: Lake | None = None,
) -> pa.Table:
    """The cases as they stand, rows of the view `cases`, with pids_now.

    pids_now names the declared parcels that lie where the parcel of the case was, largest part first: after a parcel
    set was replaced they may be others. Arguments limit the cases; None is all.

    Raises:
        InvalidInputError: there is no such status.
    """
    lake = lake_or_default(lake)
    unknown = sorted(set(as_list(statuses) or ()) - set(STATUSES))
    if unknown:
        raise InvalidInputError(f"no case is {unknown[0]!r}; choose from {', '.join(STATUSES)}")
    key = {"aoi": aoi and aoi.lower(), "year": year, "ptype": ptype}
    limits = {"statuses": as_list(statuses), "scenarios": as_list(scenarios), "pids": as_list(pids)}
    return lineage.with_present(lake, lake.query("cases.listed", **key, **limits))


def history(case: str, *, lake: Lake | None = None) -> pa.Table:
    """All decisions on a case, the first one first; columns of schemas.DECISIONS.

    Raises:
        NotFoundError: there is no such case, or several begin so.
    """
    lake = lake_or_default(lake)
    (row,) = of_names(lake, [case])
    return lake.query("cases.history", case_id=row["case_id"])


def of_names(lake: Lake, names: Sequence[str]) -> list[Row]:
    """The cases of some identifiers, or the beginnings of them, in their order, each once.

    Raises:
        NotFoundError: there is no such case, or several begin so.
    """
    rows: list[Row] = lake.query("cases.of_ids", ids=list(names)).to_pylist()
    cases: dict[str, Row] = {}
    for name in names:
        matches = [row for row in rows if row["case_id"].startswith(name)] if name else []
        if len(matches) != 1:
            problem = f"{len(matches)} cases begin with" if matches else "there is no case"
            raise NotFoundError(f"{problem} {name!r}; cbm-lake cases list shows those that there are")
        cases[matches[0]["case_id"]] = matches[0]
    return list(cases.values())


def _decide(names: Names, status: str, note: str, who: str | None, lake: Lake, extra: Callable[[Row], Row]) -> pa.Table:
    """Record a decision on cases that stand so that it can be made, whoever else decides at the same time."""
    current = lake.at(None)
    cases = of_names(current, as_list(names) or ())
    ids = [case["case_id"] for case in cases]
    common = {"status": status, "note": note.strip(), "who": who or current_user()}

    def rows() -> pa.Table:
        standing: list[Row] = current.query("cases.of_ids", ids=ids).to_pylist()
        check_status(standing, status)
        now = clock.now()
        return as_table(
            {
                **{name: case[name] for name in ("case_id", "aoi", "year", "ptype", "pid", "scenario")},
                **common,
                **extra(case),
                "number": case["number"] + 1,
                "decided": now,
                "as_of": lake.as_of or now,
            }
            for case in standing
        )

    if cases:
        current.decide(rows)
    return current.query("cases.of_ids", ids=ids)


def check_status(cases: Iterable[Row], status: str) -> None:
    """Raise InvalidInputError unless each case stands so that it may get the status."""
    for case in cases:
        if case["status"] not in _AFTER[status]:
            by = f"{case['who']} on {case['decided']:%Y-%m-%d %H:%M} UTC"
            action = "opened again" if status == "open" else status
            raise InvalidInputError(
                f"case {case['case_id']} of parcel {case['pid']} is {case['status']}, by {by}, and cannot be {action}; "
                f"that is for cases that are {' or '.join(_AFTER[status])}"
            )


def out_of_order(decisions: Sequence[Row]) -> list[str]:
    """What of the decisions on a case, in their order, cannot have been decided so, in words."""
    differences = []
    for number, decision in enumerate(decisions, 1):
        if decision["number"] != number:
            differences.append(f"decision {number} is not there; number {decision['number']} stands in its place")
            break
        before = decisions[number - 2]["status"] if number > 1 else None
        new_date = before == decision["status"] == "notified" and decision["answer_by"] is not None
        allowed = decision["status"] == "open" if before is None else before in _AFTER[decision["status"]]
        if not (allowed or new_date):
            differences.append(f"decision {number} ({decision['status']}, {decision['who']}) cannot follow {before}")
    return differences


def as_table(decisions: Iterable[Row]) -> pa.Table:
    """Decisions as rows of the table."""
    origin = {"version": installed.version()}
    return pa.Table.from_pylist([{**decision, **origin} for decision in decisions], schema=schemas.DECISIONS)


def _photo(photo: photos.Photo, case: Row, shape: shapely.Geometry, earlier: list[Row]) -> Row:
    """The record of a photo."""
    judged = photos.judge(photo, shape, case["year"], case["notified"], clock.now())
    others = [row for row in earlier if row["case_id"] != case["case_id"]]
    same = [row["pid"] for row in others if photo.pixels_sha256 == row["pixels_sha256"]]
    copies = [f"the same picture was handed in for parcel {some(sorted(set(same)))}"] if same else []
    fields = ("name", "sha256", "pixels_sha256", "clock", "lon", "lat", "direction")
    return {
        **{name: getattr(photo, name) for name in fields},
        "file": _file(photo),
        "taken": photo.timestamp,
        "distance": judged.distance,
        "contradictions": [*judged.contradictions, *copies],
    }


def _file(photo: photos.Photo) -> str:
    return f"{_FOLDER}/{photo.sha256}"


def as_list(names: Names | None) -> list[str] | None:
    """One name, or several, as a list."""
    return None if names is None else [names] if isinstance(names, str) else list(names)


def as_json(parameters: Mapping[str, Any] | None) -> str | None:
    """Parameters by which a light is judged, as they are recorded; None where they are the default ones."""
    return json.dumps(parameters, sort_keys=True, default=str) if parameters else None


def deadline(answer_by: date | str | None) -> date | None:
    """A day until which an answer is expected.

    Raises:
        InvalidInputError: it is no day, or past (UTC).
    """
    day, today = as_day(answer_by), clock.now().date()
    if day is not None and day < today:
        raise wrong_argument("answer_by", f"{day} is past; nobody can answer by then: give {today} or a later day")
    return day


def as_day(day: date | str | None) -> date | None:
    """A day that may be text, see `day_of`."""
    return None if day is None else day_of(day)
