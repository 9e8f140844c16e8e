"""What a notice asks of a farmer: the lines that stand first in the report of a case's parcel."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from cbm_lake.report.facts import Facts


@dataclass(frozen=True)
class Notice:
    """What a farmer is asked about a parcel."""

    case: str
    """Identifier of the case, which an answer has to give."""
    scenario: str
    """What is checked."""
    colour: str
    """Of the light that the case was opened for."""
    reason: str
    """Of that light."""
    day: date
    """As of whose end it was judged."""
    answer_by: date | None
    """Day until which an answer is expected."""
    note: str = ""
    """What the agency has to say besides."""


def lines(sealed: Facts) -> list[list[str]]:
    """The lines of a notice as pairs of a title and a text; none of a report that is no notice."""
    notice = sealed["others"].get("notice")
    if notice is None:
        return []
    parcel, key = sealed["facts"]["parcel"], sealed["key"]
    crop = parcel["crop_name"] or parcel["crop_code"] or "no crop declared"
    which, area = f"{key['pid']} ({key['aoi'].upper()} {key['year']})", f"{parcel['area_m2'] / 10_000:,.2f} ha"
    until = notice["answer_by"]
    by = f"by {_day(until)}" if until else "soon: no day is set"
    return [
        ["Which parcel", f"{which}: {crop}, {area}"],
        ["What was checked", notice["scenario"] or "the declaration as a whole"],
        ["What the satellites show", f"{notice['reason']} ({notice['colour']}, as of {_day(notice['day'])})"],
        ["What is asked", "Tell us whether this is right, and what was done on the parcel and when. Photos help."],
        ["Answer", by],
        ["How", f"Write to your paying agency and give the number of the case: {notice['case']}"],
        *([["Remark", notice["note"]]] if notice["note"] else []),
    ]


def _day(text: str) -> str:
    return f"{date.fromisoformat(text):%-d %B %Y}"
