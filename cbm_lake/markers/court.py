"""The verdicts on the parcels of a set as of a day: what is said of each in each scenario, and what that rests on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.errors import InvalidInputError, NotFoundError, counted
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers import comparison, cropchecks, history, partial, rules
from cbm_lake.markers.applying import applies
from cbm_lake.markers.claims import NEVER, Claims
from cbm_lake.markers.claimvalues import Texts
from cbm_lake.markers.cropchecks import Checks
from cbm_lake.markers.detectors import claimed_by
from cbm_lake.markers.finding import dates, part_of
from cbm_lake.markers.groups import CROP_CHECK, PARTIAL
from cbm_lake.markers.judging import PEERS, Case, marker_names, settled
from cbm_lake.markers.lastday import last_day
from cbm_lake.markers.parameters import EPOCH, Parameters, Scenario
from cbm_lake.markers.remembered import Docket
from cbm_lake.markers.rules import Evidence, Flags, Ints, Windows
from cbm_lake.markers.saying import CANNOT_BE_SEEN, NOT_YET_DUE, Said, Saying

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Judgement:
    """The verdicts on the parcels of one scenario."""

    parcels: Ints
    days: Windows
    rule: Ints
    """Number of the rule that decided; -1 for none."""
    cut: Ints
    """The day of whose end the evidence of each is."""
    firm: Flags
    """Whether it is settled."""
    evidence: Evidence
    said: list[Said | None]
    """What is said of those that are not settled; None where no rule holds."""
    unclear: Ints
    """The parcels that cannot be judged for what they claim, beside `parcels`."""
    problems: Texts
    """Why each of these cannot."""
    waiting: Waiting
    """The parcels that wait for a crop check, beside `parcels`."""


@dataclass(frozen=True, eq=False)
class Waiting:
    """Parcels of a scenario on which no crop check counts yet."""

    parcels: Ints
    due: Ints
    """When each is judged, or was to be."""
    reasons: Texts
    """For what each waits."""


@dataclass(frozen=True, eq=False)
class Court:
    """What is judged, and as of the end of which day."""

    case: Case
    attributes: pa.Table
    """Attributes of each parcel sampled from rasters, by column."""
    claims: Claims
    day: int
    compared: int
    """The last day that the comparison with other parcels may rest on."""
    docket: Docket | None = None
    """The verdicts that are remembered; None where they are not asked for."""
    checks: Checks | None = None
    """The last crop check of the parcel set; None where there is none."""

    @property
    def parameters(self) -> Parameters:
        """Those with which everything is judged."""
        return self.case.history.parameters

    def judge(self, name: str) -> Judgement:
        """The verdicts of a scenario."""
        scenario, seen = self.parameters.scenarios[name], self.case.history
        days = rules.windows(name, scenario, self.claims, seen.year, self.parameters)
        asked = applies(name, scenario, seen, self.attributes, self.claims)
        detectors = claimed_by(self.parameters.detectors, rules.markers_of(scenario))
        self.claims.note_dates(sorted(detectors), seen.year, name)
        problems = self.claims.problems(name)
        unclear = np.flatnonzero(asked & (problems != ""))
        asked &= problems == ""
        if (asked & ~days.complete).any():
            count = (asked & ~days.complete).sum()
            log.info("scenario %r does not judge %s without a claim (null)", name, counted(int(count), "parcel"))
        parcels = np.flatnonzero(asked & days.complete)
        parcels, waiting = self._checked(scenario, parcels, days.due[parcels])
        days = days.take(parcels)
        last = self._last(name, scenario, days)
        earlier = self.docket.earlier(name, scenario, parcels, days) if self.docket else None
        verdicts = settled(self.case, scenario, parcels, days, last, earlier)
        if self.docket:
            self.docket.now.note(name, parcels, days, last, verdicts)
        firm = verdicts.day != NEVER
        cut = np.where(firm, verdicts.day, last)
        evidence = self.case.evidence(parcels, cut, days.due)
        said = Saying(self.case, scenario, parcels, days, evidence, self.day, last).said(firm)
        rule = np.array(
            [number if one is None else one.rule for one, number in zip(said, verdicts.rule, strict=True)], np.int64
        )
        return Judgement(parcels, days, rule, cut, firm, evidence, said, unclear, problems[unclear], waiting)

    def _checked(self, scenario: Scenario, parcels: Ints, due: Ints) -> tuple[Ints, Waiting]:
        """Those of some parcels that can be judged, and those that wait for a crop check; neither without any check."""
        nothing = Waiting(parcels[:0], due[:0], np.zeros(0, object))
        if CROP_CHECK not in rules.markers_of(scenario):
            return parcels, nothing
        if self.checks is None:
            return parcels[:0], nothing
        reasons = self.checks.waiting(parcels, due, self.day)
        waits = reasons != ""
        return parcels[~waits], Waiting(parcels[waits], due[waits], reasons[waits])

    def require_checks(self, name: str) -> None:
        """Refuse a scenario that counts the verdicts of a crop check where there is none.

        Raises:
            NotCheckedError: the declared crops were not checked yet.
        """
        if self.checks is None and CROP_CHECK in rules.markers_of(self.parameters.scenarios[name]):
            raise cropchecks.NotCheckedError(
                f"scenario {name!r} asks for a crop check, and none was made yet; make it first (cbm-lake crops check)"
            )

    def _last(self, name: str, scenario: Scenario, days: Windows) -> int:
        """The day as of whose end a scenario is judged: none on which it is due where the comparison is older."""
        counts = rules.markers_of(scenario)
        if not counts & set(PEERS) or not len(days.due):
            return self.day
        comparison.check(name, scenario, days, self.parameters, self.case.history.year)
        first = min(int(due.min()) for due in (days.due, *comparison.dues(scenario, days)))
        if self.compared < self.day and first <= self.day:
            log.warning("scenario %r waits for a search: there are later scenes than those of the markers", name)
            return min(self.day, first - 1)
        return self.day

    def colours(self, name: str) -> pa.Table:
        """The colours of the parcels of a scenario, each with the day that had to come for it (`turned`)."""
        judged, scenario = self.judge(name), self.parameters.scenarios[name]
        said = [_final(scenario, judged, number) for number in range(len(judged.parcels))]
        there = np.flatnonzero([one is not None for one in said])
        rows = [one for one in said if one is not None]
        colour = [one.colour for one in rows]
        reason = _with_areas(judged, scenario, [one.reason for one in rows], there)
        reason = self._with_verdicts(judged, scenario, reason, there)
        details = _details(judged, scenario, np.isin(colour, (NOT_YET_DUE, CANNOT_BE_SEEN)), there)
        details["due"] = dates(np.array([one.due for one in rows], np.float64))
        details["turned"] = dates(np.array([np.nan if one.turned == NEVER else one.turned for one in rows], np.float64))
        lights = self._lights(name, judged.parcels[there], colour, reason, details)
        lights = pa.concat_tables([lights, self._waiting(name, judged.waiting, lights.schema, list(details))])
        if not len(judged.unclear):
            return lights
        self.claims.warn(name, np.isin(np.arange(len(self.claims)), judged.unclear))
        count = len(judged.unclear)
        nothing = {field: pa.nulls(count, lights.schema.field(field).type) for field in details}
        yellow = self._lights(name, judged.unclear, ["yellow"] * count, judged.problems, nothing)
        return pa.concat_tables([lights, yellow])

    def _waiting(self, name: str, waiting: Waiting, schema: pa.Schema, details: Sequence[str]) -> pa.Table:
        """Lights of the parcels that wait for a crop check."""
        count, due = len(waiting.parcels), waiting.due.astype(np.float64)
        columns = {field: pa.nulls(count, schema.field(field).type) for field in details}
        columns["due"] = dates(due)
        columns["turned"] = dates(np.where(waiting.due <= self.day, due, np.nan))
        return self._lights(name, waiting.parcels, [NOT_YET_DUE] * count, waiting.reasons, columns)

    def _with_verdicts(self, judged: Judgement, scenario: Scenario, reasons: Sequence[str], there: Ints) -> list[str]:
        """The reasons of the parcels `there`, with what the crop check says where a rule over it decided."""
        counts = {rule.reason for rule in scenario.rules if rule.marker == CROP_CHECK}
        if self.checks is None or not counts:
            return list(reasons)
        says = self.checks.says[judged.parcels[there]]
        return [
            f"{reason}: {words}" if words and reason in counts else reason
            for reason, words in zip(reasons, says, strict=True)
        ]

    def _lights(
        self,
        name: str,
        parcels: Ints,
        colour: Sequence[str],
        reason: Sequence[str] | Texts,
        details: dict[str, pa.Array],
    ) -> pa.Table:
        """Lights of some parcels in a scenario."""
        seen, rows = self.case.history, pa.array(parcels)
        return pa.table(
            {
                "pid": seen.pids.take(rows),
                "crop_name": pa.array(seen.crops, pa.string()).take(rows),
                "scenario": pa.array([name] * len(parcels), pa.string()),
                "colour": pa.array(colour, pa.string()),
                "reason": pa.array(reason, pa.string()),
                **details,
            }
        )


def _final(scenario: Scenario, judged: Judgement, number: int) -> Said | None:
    """What is said of a parcel; None where no rule holds."""
    if not judged.firm[number]:
        return judged.said[number]
    decided = int(judged.rule[number])
    if decided < 0:
        return None
    rule, due = scenario.rules[decided], int(judged.days.rule_due[decided, number])
    return Said(rule.colour, rule.reason, due, NEVER if rule.early else due, decided)


def counted_by(judged: Judgement, scenario: Scenario, number: int) -> Flags:
    """Mask of the markers that a rule of a scenario counts."""
    return rules.counted(judged.evidence, scenario.rules[number], judged.days.first[number], judged.days.last[number])


def _with_areas(judged: Judgement, scenario: Scenario, reasons: Sequence[str], there: Ints) -> list[str]:
    """The reasons of the parcels `there`; where a rule over parts of parcels decided, with the area of the part."""
    areas: dict[int, str] = {}
    for number, rule in enumerate(scenario.rules):
        if rule.marker in PARTIAL:
            decided = (judged.rule == number)[judged.evidence.parcel]
            areas |= partial.areas(judged.evidence, counted_by(judged, scenario, number) & decided)
    own = {rule.reason for rule in scenario.rules if rule.marker in PARTIAL}
    return [
        f"{reason}: {areas[parcel]}" if reason in own and parcel in areas else reason
        for parcel, reason in zip(there.tolist(), reasons, strict=True)
    ]


def _details(judged: Judgement, scenario: Scenario, nothing: Flags, there: Ints) -> dict[str, pa.Array]:
    """The columns events, date_start, date_end and confidence; null where `nothing` is judged."""
    parcels = len(judged.parcels)
    events = np.zeros(parcels, np.int64)
    first, last, confidence = (np.full(parcels, np.nan) for _ in range(3))
    for number in range(len(scenario.rules)):
        some = counted_by(judged, scenario, number) & (judged.rule == number)[judged.evidence.parcel]
        parcel, fields = judged.evidence.parcel[some], judged.evidence.fields[some]
        np.add.at(events, parcel, 1)
        np.fmin.at(first, parcel, fields[:, 0])
        np.fmax.at(last, parcel, fields[:, 2])
        np.fmax.at(confidence, parcel, fields[:, 6])
    observed = judged.evidence.marker == "observed"
    parcel, fields = judged.evidence.parcel[observed], judged.evidence.fields[observed]
    seen = np.full((parcels, 3), np.nan)
    seen[parcel] = fields[:, [0, 2, 6]]
    absent = (events == 0)[there]
    columns = [
        np.where(absent, each[there], own[there]) for each, own in zip(seen.T, (first, last, confidence), strict=True)
    ]
    start, end, share = (np.where(nothing, np.nan, column) for column in columns)
    return {
        "events": pa.array(events[there], mask=absent | nothing),
        "date_start": dates(start),
        "date_end": dates(end),
        "confidence": pa.array(share, pa.float64(), from_pandas=True),
    }


def court_of(
    lake: Lake,
    parcels: ParcelSet,
    parameters: Parameters,
    scenarios: Sequence[str],
    pids: Sequence[str] | None,
    day: date | str | None,
) -> Court:
    """Read what is judged of a parcel set; arguments and errors are those of `traffic_light`."""
    detected = marker_names(parameters)
    for name in scenarios:
        unknown = sorted(rules.markers_of(parameters.scenarios[name]) - detected)
        if unknown:
            raise InvalidInputError(
                f"scenario {name!r} counts the marker {unknown[0]!r}, which no detector gives; "
                f"there are: {', '.join(sorted(detected))}"
            )
    key = parcels.params
    seen = history.read(lake, parcels, parameters, pids)
    rows = lake.query(
        "markers.of_parcels",
        aoi=parcels.aoi,
        year=parcels.year,
        part=part_of(parcels),
        pids=None if pids is None else list(pids),
    )
    if not rows.num_rows:
        raise NotFoundError(f"no markers of {parcels.name} were found yet; find them first (cbm-lake markers find)")
    until = last_day(lake, parcels) if day is None else _as_day(day)
    judged = parameters.season.days(parcels.year)[0] if until is None else (until - EPOCH).days
    rows = rows.filter(pc.is_in(rows["pid"], seen.pids))
    attributes = lake.query("markers.attributes", **key)
    attributes = attributes.take(pc.index_in(seen.pids, attributes["pid"].combine_chunks()))
    compared = comparison.compared(rows, seen)
    counted = cropchecks.counting(parameters, scenarios)
    checks = cropchecks.read(lake, parcels, seen.pids, pids) if counted else None
    peers, parts = comparison.markers_of(rows, seen.pids), partial.read(lake, parcels, seen.pids, pids)
    case = Case(seen, peers, parts, [checks.events] if checks else ())
    return Court(case, attributes, Claims(lake, parcels, seen.pids), judged, compared, checks=checks)


def _as_day(day: date | str) -> date:
    if isinstance(day, date):
        return date(day.year, day.month, day.day)
    try:
        return date.fromisoformat(day)
    except ValueError as error:
        raise InvalidInputError(f"{day!r} is no day; write it as 2024-06-15") from error
