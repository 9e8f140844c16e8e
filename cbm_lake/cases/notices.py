"""Notices: what is sent to the farmers of cases, as tables, maps and reports; and the replay of what was decided."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from cbm_lake import report
from cbm_lake.cases import opening, record
from cbm_lake.cases.record import Names, Row
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.get import folders
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.arguments import checked

TABLES: Final = (".csv", ".gpkg", ".xlsx", ".parquet", ".geojson")
"""Extensions of tables of notices."""


@checked
def notices(
    cases: Names,
    target: str | Path,
    *,
    answer_by: date | str | None = None,
    note: str = "",
    who: str | None = None,
    record_it: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
    lake: Lake | None = None,
) -> list[Path]:
    """Write the notices of cases to files, and record that they were notified.

    The record is made after all files are complete: a notice that was not written is not recorded.

    Args:
        cases: identifiers, or the beginnings of them.
        target: a file .csv, .gpkg, .xlsx, .parquet or .geojson with a row for each case; or a folder, into which a
            report of each case is written (PDF): first what is asked, until when and by which number to answer, then
            the evidence as of the time when the case was opened. It names no other parcel.
        answer_by: day until which an answer is expected.
        note: what the notice says.
        who: notifies; None is the user of the settings (set.user), else of the computer.
        record_it: False writes the files only.
        progress: called with the number of reports written, and their total.
        lake: the lake; None is the workspace's.

    Returns:
        The files.

    Raises:
        NotFoundError: there is no such case, or several begin so.
        InvalidInputError: one of them cannot be notified, the day is past, or the extension is unknown; nothing is
            written.
        SourceError: a file cannot be written.
    """
    lake = lake_or_default(lake)
    target = Path(target)
    rows = record.of_names(lake, [cases] if isinstance(cases, str) else list(cases))
    if target.suffix and target.suffix.lower() not in TABLES:
        raise InvalidInputError(f"notices are written as {', '.join(TABLES)}, or as reports into a folder")
    until = record.deadline(answer_by)
    if record_it:
        record.check_status(rows, "notified")
    digests: dict[str, str] = {}
    if target.suffix:
        files = [_table(lake, rows, target, until)]
    else:
        files = _reports(lake, rows, target, until, note, progress)
        digests = {
            row["case_id"]: hashlib.sha256(file.read_bytes()).hexdigest() for row, file in zip(rows, files, strict=True)
        }
    if record_it:
        ids = [row["case_id"] for row in rows]
        record.notify(ids, answer_by=until, notices=digests, note=note, who=who, lake=lake)
    return files


def _table(lake: Lake, rows: Sequence[Row], target: Path, answer_by: date | None) -> Path:
    lake.export("cases.notices", target, ids=[row["case_id"] for row in rows], answer_by=answer_by)
    return target


def _reports(
    lake: Lake,
    rows: Sequence[Row],
    folder: Path,
    answer_by: date | None,
    note: str,
    progress: Callable[[int, int], None],
) -> list[Path]:
    """The report of each case, of the parcel as it was when the case was opened, with what is asked first."""
    files = []
    for number, row in enumerate(rows, 1):
        opened = opening.openings(lake, row)[-1]
        notice = report.Notice(
            case=row["case_id"],
            scenario=row["scenario"],
            colour=row["colour"],
            reason=row["reason"],
            day=row["day"],
            answer_by=answer_by or row["answer_by"],
            note=note.strip(),
        )
        written = report.parcel(
            row["aoi"],
            row["year"],
            row["pid"],
            row["ptype"] or None,
            folder=folder,
            formats=("pdf",),
            name=f"notice_{row['case_id']}",
            notes="",
            notice=notice,
            lake=lake.at(opened["as_of"].isoformat()),
        )
        files.append(written.files["pdf"])
        progress(number, len(rows))
    return files


@dataclass(frozen=True)
class Replay:
    """The result of replaying a case."""

    case_id: str
    differences: tuple[str, ...]
    """What is not as it was recorded; empty when all is."""

    @property
    def equal(self) -> bool:
        """Whether all is as it was recorded."""
        return not self.differences


@checked
def verify(case: str, *, lake: Lake | None = None) -> Replay:
    """Replay a case: its light is judged again on the lake as of then, its photos are compared with their digests.

    Its decisions, numbered from 1 on, must each be one that could be made on how the case stood.

    The reports of notices are verified by `report.verify`.

    Raises:
        NotFoundError: there is no such case, or several begin so.
    """
    lake = lake_or_default(lake)
    (row,) = record.of_names(lake, [case])
    differences: list[str] = []
    for opened in opening.openings(lake, row):
        differences += _replayed(lake.at(opened["as_of"].isoformat()), opened)
    decisions = record.history(row["case_id"], lake=lake).to_pylist()
    differences += record.out_of_order(decisions)
    for decision in decisions:
        for photo in decision["photos"] or ():
            content = lake.stored_file(photo["file"])
            if content is None:
                differences.append(f"photo {photo['name']} is gone")
            elif hashlib.sha256(content).hexdigest() != photo["sha256"]:
                differences.append(f"photo {photo['name']} is not the one that was handed in")
    return Replay(row["case_id"], tuple(differences))


def _replayed(lake: Lake, opened: Row) -> list[str]:
    try:
        light = opening.light(lake, opened)
    except NotFoundError as error:
        return [f"its light cannot be judged again: {error}"]
    if light is None:
        return ["its parcel has no light in that scenario as of then"]
    return [
        f"{name} was {opened[name]}, and is {light[name]} when judged again as of then"
        for name in opening.LIGHT
        if opened[name] != light[name]
    ]


def save_photo(case: str, name: str, folder: str | Path, *, lake: Lake | None = None) -> Path:
    """Write a photo of a case, by its name there, to a file in a folder.

    Raises:
        NotFoundError: there is no such case or photo.
        ConfigError: the file cannot be written.
    """
    lake = lake_or_default(lake)
    for decision in record.history(case, lake=lake).to_pylist():
        for photo in decision["photos"] or ():
            if name in (photo["name"], photo["sha256"]) and (content := lake.stored_file(photo["file"])):
                return folders.write_bytes(Path(folder) / Path(photo["name"]).name, content)
    raise NotFoundError(f"case {case} has no photo {name!r}; cbm-lake cases history shows those that it has")
