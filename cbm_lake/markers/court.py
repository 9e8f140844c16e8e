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

from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers import history, rules
from cbm_lake.markers.claims import NEVER, Claims
from cbm_lake.markers.events import Events
from cbm_lake.markers.finding import dates, part_of
from cbm_lake.markers.history import History
from cbm_lake.markers.judging import PEERS, Case, looks_asked, marker_names, settled
from cbm_lake.markers.kernels import FIELDS
from cbm_lake.markers.parameters import CLAIM, EPOCH, Parameters, Scenario, When, Where
from cbm_lake.markers.rules import Evidence, Flags, Ints, Windows, as_date
from cbm_lake.markers.verdicts import Docket

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Judged:
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
    looks: Ints
    """Clear looks from the due date of the rule that decided, or else of the scenario, to the day that is judged."""


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

    def judge(self, name: str) -> _Judged:
        """The verdicts of a scenario."""
        scenario, seen = self.parameters.scenarios[name], self.case.history
        days = rules.windows(name, scenario, self.claims, seen.year, self.parameters)
        asked = _asked(seen.crops, seen.codes, scenario) & self._described(name, scenario)
        if (asked & ~days.complete).any():
            count = (asked & ~days.complete).sum()
            log.warning("scenario %r does not judge %d parcels, whose claim is null", name, count)
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
        early = np.array([[rule.early] for rule in scenario.rules])
        decided = rules.first_rule(evidence, scenario.rules, days, early | (days.rule_due <= last))
        rule = np.where(firm, verdicts.rule, decided)
        due = np.where(rule < 0, days.due, days.rule_due[rule, np.arange(len(rule))])
        due = np.where(days.due <= last, days.due, due)
        return _Judged(parcels, days, rule, cut, firm, evidence, self._looks(parcels, due, last))

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

    def _looks(self, parcels: Ints, due: Ints, last: int) -> Ints:
        looks = self.case.history.looks_at(parcels)
        since = (looks.day >= due[looks.owner]) & (looks.day <= last)
        return np.bincount(looks.owner, since, minlength=len(parcels)).astype(np.int64)

    def colours(self, name: str) -> pa.Table:
        """The colours of the parcels of a scenario."""
        judged, scenario = self.judge(name), self.parameters.scenarios[name]
        said = [self._said(scenario, judged, number) for number in range(len(judged.parcels))]
        there = np.flatnonzero([one is not None for one in said])
        colour, reason = zip(*(one for one in said if one is not None), strict=True) if len(there) else ((), ())
        details = _details(judged, scenario, np.isin(colour, ("not yet due", "cannot be seen")), there)
        seen, rows = self.case.history, pa.array(judged.parcels[there])
        return pa.table(
            {
                "pid": seen.pids.take(rows),
                "crop_name": pa.array(seen.crops, pa.string()).take(rows),
                "scenario": pa.array([name] * len(there), pa.string()),
                "colour": pa.array(colour, pa.string()),
                "reason": pa.array(reason, pa.string()),
                **details,
                "due": dates(judged.days.due[there].astype(np.float64)),
            }
        )

    def _said(self, scenario: Scenario, judged: _Judged, number: int) -> tuple[str, str] | None:
        """Colour and reason of a parcel; None where no rule holds."""
        rule = scenario.rules[judged.rule[number]] if judged.rule[number] >= 0 else None
        if judged.firm[number]:
            return (rule.colour, rule.reason) if rule else None
        due, enough = int(judged.days.due[number]), looks_asked(scenario, self.parameters)
        if rule is not None and rule.early and rule.colour != "red" and (rule.colour == "green" or due > self.day):
            return rule.colour, rule.reason
        if rule is not None and not rule.early and due > self.day:
            due = int(judged.days.rule_due[judged.rule[number], number])
        if due > self.day or self.day < judged.cut[number] or judged.cut[number] < due:
            early_red = rule is not None and rule.early
            return ("yellow", f"not certain yet: {rule.reason}") if rule and early_red else _waits(due)
        if judged.looks[number] < enough:
            return self._unseen(due, int(judged.looks[number]), enough)
        if rule is None or rule.colour not in ("red", "green"):
            return (rule.colour, rule.reason) if rule else None
        return "yellow", f"not certain yet: {rule.reason}"

    def _unseen(self, due: int, looks: int, enough: int) -> tuple[str, str]:
        """What is said of a parcel after its due date without enough clear looks."""
        until = due + self.parameters.judging.wait
        if self.day <= until:
            return "not yet due", f"was due on {as_date(due)}, waits for clear looks until {as_date(until)}"
        return "cannot be seen", f"seen clearly {looks} of {enough} times since it was due on {as_date(due)}"

    def evidence(self, name: str) -> pa.Table:
        """The markers that count for the only parcel, and its clear looks."""
        judged, scenario = self.judge(name), self.parameters.scenarios[name]
        counts = np.zeros(len(judged.evidence.parcel), bool)
        if len(judged.parcels) and judged.rule[0] >= 0:
            counts = _counted(judged, scenario, int(judged.rule[0]))
        markers = judged.evidence.fields[counts]
        looks = self.case.history.until(judged.cut, judged.parcels).ndvi
        seen = np.full((len(looks.day), len(FIELDS)), np.nan)
        seen[:, :3], seen[:, 3] = looks.day[:, None], looks.value
        fields = np.concatenate([markers, seen])
        names = [*judged.evidence.marker[counts], *["look"] * len(seen)]
        return pa.table(
            {
                "marker": pa.array(names, pa.string()),
                "marker_type": pa.array([*judged.evidence.kind[counts], *["s2"] * len(seen)], pa.string()),
                **{f"date_{part}": dates(fields[:, number]) for number, part in enumerate(("start", "main", "end"))},
                **{part: pa.array(fields[:, number + 3], from_pandas=True) for number, part in enumerate(FIELDS[3:])},
            }
        )

    def _described(self, name: str, scenario: Scenario) -> Flags:
        """Mask of the parcels whose attributes and claims satisfy a scenario; those without a value do not."""
        fits = np.ones(len(self.claims), bool)
        if scenario.claimed is not None:
            fits &= self.claims.flags(scenario.claimed.removeprefix(CLAIM), name)
        for attribute, where in scenario.where.items():
            if attribute.startswith(CLAIM):
                fits &= _fits(pa.chunked_array([self.claims.column(attribute.removeprefix(CLAIM), name)]), where)
                continue
            if attribute not in self.attributes.column_names:
                raise NotFoundError(
                    f"scenario {name!r} asks for {attribute!r}, which no raster gave; describe parcels by one"
                )
            values = self.attributes[attribute]
            if values.null_count:
                log.warning("scenario %r asks nothing of %d parcels without %s", name, values.null_count, attribute)
            fits &= _fits(values, where)
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


def _waits(due: int) -> tuple[str, str]:
    return "not yet due", f"is judged on {as_date(due)}"


def _counted(judged: _Judged, scenario: Scenario, number: int) -> Flags:
    return rules.counted(judged.evidence, scenario.rules[number], judged.days.first[number], judged.days.last[number])


def _details(judged: _Judged, scenario: Scenario, nothing: Flags, there: Ints) -> dict[str, pa.Array]:
    """The columns events, date_start, date_end and confidence; null where `nothing` is judged."""
    parcels = len(judged.parcels)
    events = np.zeros(parcels, np.int64)
    first, last, confidence = (np.full(parcels, np.nan) for _ in range(3))
    for number in range(len(scenario.rules)):
        some = _counted(judged, scenario, number) & (judged.rule == number)[judged.evidence.parcel]
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
    return Court(Case(seen, _peers(rows, seen.pids)), attributes, Claims(lake, parcels, seen.pids), judged, compared)


def last_day(lake: Lake, parcels: ParcelSet) -> date | None:
    """The last day on which a scene was taken of which signatures over a parcel set count: lights are judged by it."""
    days: list[date] = lake.query("markers.last_day", **parcels.params)["day"].to_pylist()
    return days[0] if days else None


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
