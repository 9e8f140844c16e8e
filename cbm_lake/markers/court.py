"""The verdicts on the parcels of a set as of a day: what is said of each in each scenario, and what that rests on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.errors import InvalidInputError, NotFoundError, counted
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers import history, partial, rules
from cbm_lake.markers.claims import NEVER, Claims
from cbm_lake.markers.claimvalues import Texts
from cbm_lake.markers.detectors import claimed_by
from cbm_lake.markers.events import Events
from cbm_lake.markers.finding import dates, part_of
from cbm_lake.markers.groups import PARTIAL
from cbm_lake.markers.history import History
from cbm_lake.markers.judging import PEERS, Case, marker_names, settled
from cbm_lake.markers.kernels import FIELDS
from cbm_lake.markers.lastday import last_day
from cbm_lake.markers.parameters import CLAIM, EPOCH, Parameters, Scenario, When, Where
from cbm_lake.markers.rules import Evidence, Flags, Ints, Windows, as_date
from cbm_lake.markers.saying import CANNOT_BE_SEEN, NOT_YET_DUE, Said, Saying
from cbm_lake.markers.verdicts import Docket

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Judged:
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

    @property
    def parameters(self) -> Parameters:
        """Those with which everything is judged."""
        return self.case.history.parameters

    def judge(self, name: str) -> Judged:
        """The verdicts of a scenario."""
        scenario, seen = self.parameters.scenarios[name], self.case.history
        days = rules.windows(name, scenario, self.claims, seen.year, self.parameters)
        asked = _asked(seen.crops, seen.codes, scenario) & self._described(name, scenario)
        detectors = claimed_by(self.parameters.detectors, rules.markers_of(scenario))
        self.claims.note_dates(sorted(detectors), seen.year, name)
        problems = self.claims.problems(name)
        unclear = np.flatnonzero(asked & (problems != ""))
        asked &= problems == ""
        if (asked & ~days.complete).any():
            count = (asked & ~days.complete).sum()
            log.info("scenario %r does not judge %s without a claim (null)", name, counted(int(count), "parcel"))
        parcels = np.flatnonzero(asked & days.complete)
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
        return Judged(parcels, days, rule, cut, firm, evidence, said, unclear, problems[unclear])

    def _last(self, name: str, scenario: Scenario, days: Windows) -> int:
        """The day as of whose end a scenario is judged: none on which it is due where the comparison is older."""
        counts = rules.markers_of(scenario)
        if not counts & set(PEERS) or not len(days.due):
            return self.day
        if "homogeneity" in counts and scenario.due is not None:
            raise InvalidInputError(
                f"scenario {name!r} counts homogeneity, which rests on the whole season; leave out due"
            )
        final = self.parameters.peers.last_day(
            self.case.history.year, rules.season_end(self.parameters, self.case.history.year)
        )
        _check_comparison(name, scenario, days, final, final + self.parameters.spike.days + 1)
        first = min(int(due.min()) for due in (days.due, *_compared_due(scenario, days)))
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
        details = _details(judged, scenario, np.isin(colour, (NOT_YET_DUE, CANNOT_BE_SEEN)), there)
        details["due"] = dates(np.array([one.due for one in rows], np.float64))
        details["turned"] = dates(np.array([np.nan if one.turned == NEVER else one.turned for one in rows], np.float64))
        lights = self._lights(name, judged.parcels[there], colour, reason, details)
        if not len(judged.unclear):
            return lights
        self.claims.warn(name, np.isin(np.arange(len(self.claims)), judged.unclear))
        count = len(judged.unclear)
        nothing = {field: pa.nulls(count, lights.schema.field(field).type) for field in details}
        yellow = self._lights(name, judged.unclear, ["yellow"] * count, judged.problems, nothing)
        return pa.concat_tables([lights, yellow])

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

    def _described(self, name: str, scenario: Scenario) -> Flags:
        """Mask of the parcels whose attributes and claims satisfy a scenario; those without a value do not."""
        fits = np.ones(len(self.claims), bool)
        if scenario.claimed is not None:
            fits &= self.claims.flags(scenario.claimed.removeprefix(CLAIM), name)
        for attribute, where in scenario.where.items():
            if attribute.startswith(CLAIM):
                fits &= self._claim_fits(name, attribute.removeprefix(CLAIM), where)
                continue
            if attribute not in self.attributes.column_names:
                raise NotFoundError(
                    f"scenario {name!r} asks for {attribute!r}, which no raster gave; describe parcels by one"
                )
            values = self.attributes[attribute]
            if values.null_count:
                without = counted(values.null_count, "parcel")
                log.warning("scenario %r asks nothing of %s without %s", name, without, attribute)
            fits &= _fits(values, where)
        return fits

    def _claim_fits(self, name: str, column: str, where: Where) -> Flags:
        """Mask of the parcels whose claim satisfies a condition, or cannot be read."""
        fits = np.ones(len(self.claims), bool)
        if where.among is not None:
            among = Where(among=where.among)
            fits &= _fits(pa.chunked_array([self.claims.values(column, name)]), among)
        if where.at_least is not None or where.at_most is not None:
            numbers, unreadable = self.claims.numbers(column, name)
            low = -np.inf if where.at_least is None else where.at_least
            high = np.inf if where.at_most is None else where.at_most
            fits &= ((numbers >= low) & (numbers <= high)) | unreadable
        return fits


def _compared_due(scenario: Scenario, days: Windows) -> list[Ints]:
    """When each rule that counts a comparison with other parcels is due."""
    return [due for rule, due in zip(scenario.rules, days.rule_due, strict=True) if rule.marker in PEERS]


def _check_comparison(name: str, scenario: Scenario, days: Windows, final: int, right: int) -> None:
    """Refuse what is asked of the comparison with other parcels before it is final.

    Args:
        name: of the scenario.
        scenario: that counts its markers.
        days: of the scenario, for some parcels.
        final: the last day that is compared.
        right: the first day on which nothing changes the comparison any more.

    Raises:
        InvalidInputError: the scenario or one of its rules over such a marker is due before, or a rule is early.
    """
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


def _final(scenario: Scenario, judged: Judged, number: int) -> Said | None:
    """What is said of a parcel; None where no rule holds."""
    if not judged.firm[number]:
        return judged.said[number]
    decided = int(judged.rule[number])
    if decided < 0:
        return None
    rule, due = scenario.rules[decided], int(judged.days.rule_due[decided, number])
    return Said(rule.colour, rule.reason, due, NEVER if rule.early else due, decided)


def counted_by(judged: Judged, scenario: Scenario, number: int) -> Flags:
    """Mask of the markers that a rule of a scenario counts."""
    return rules.counted(judged.evidence, scenario.rules[number], judged.days.first[number], judged.days.last[number])


def _with_areas(judged: Judged, scenario: Scenario, reasons: Sequence[str], there: Ints) -> list[str]:
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


def _details(judged: Judged, scenario: Scenario, nothing: Flags, there: Ints) -> dict[str, pa.Array]:
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
        raise NotFoundError(f"no markers of {parcels.name} were found yet; find them first (`cbm-lake markers find`)")
    until = last_day(lake, parcels) if day is None else _as_day(day)
    judged = parameters.season.days(parcels.year)[0] if until is None else (until - EPOCH).days
    rows = rows.filter(pc.is_in(rows["pid"], seen.pids))
    attributes = lake.query("markers.attributes", **key)
    attributes = attributes.take(pc.index_in(seen.pids, attributes["pid"].combine_chunks()))
    compared = _compared(rows, seen)
    case = Case(seen, _peers(rows, seen.pids), partial.read(lake, parcels, seen.pids, pids))
    return Court(case, attributes, Claims(lake, parcels, seen.pids), judged, compared)


def _as_day(day: date | str) -> date:
    if isinstance(day, date):
        return date(day.year, day.month, day.day)
    try:
        return date.fromisoformat(day)
    except ValueError as error:
        raise InvalidInputError(f"{day!r} is no day; write it as 2024-06-15") from error


def _compared(rows: pa.Table, seen: History) -> int:
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


def _peers(rows: pa.Table, pids: pa.Array) -> list[Events]:
    """The markers of the comparison with other parcels, as the search wrote them."""
    result = []
    for marker in PEERS:
        some = rows.filter(pc.equal(rows["marker"], marker))
        days = [
            some[f"date_{part}"].cast(pa.int32()).cast(pa.float64()).to_numpy() for part in ("start", "main", "end")
        ]
        values = [some[name].cast(pa.float64()).to_numpy() for name in FIELDS[3:]]
        parcel = pc.index_in(some["pid"], pids).to_numpy().astype(np.int64)
        fields = np.column_stack([*days, *values])
        practice = some["practice"].to_numpy()
        result.append(Events(marker, parcel, fields, some["marker_type"].to_numpy(), practice))
    return result


def _asked(crops: npt.NDArray[np.object_], codes: pa.Array, scenario: Scenario) -> Flags:
    """Mask of the parcels whose crop, by name or code, a scenario applies to; all where it names neither."""
    if scenario.crops is None and scenario.codes is None:
        return np.ones(len(crops), bool)
    names = pc.utf8_lower(pa.array(crops, pa.string()))
    asked = pc.is_in(codes, pa.array(scenario.codes or (), pa.string())).to_numpy(zero_copy_only=False)
    for crop in scenario.crops or ():
        named = pc.fill_null(pc.match_substring(names, crop.lower()), False)
        asked = asked | named.to_numpy(zero_copy_only=False)
    return np.asarray(asked, bool)


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
