"""The workbench: worklist, map, evidence, images of the year and decision bar of one parcel after another."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import ipywidgets
import traitlets

from cbm_lake import cases
from cbm_lake.errors import LakeError, NotFoundError
from cbm_lake.files import clock
from cbm_lake.ipycbm import opened
from cbm_lake.ipycbm.desk import address
from cbm_lake.ipycbm.desk.deciding import OWN, Decisions
from cbm_lake.ipycbm.desk.decisionbar import DecisionBar
from cbm_lake.ipycbm.desk.desks import DESKS
from cbm_lake.ipycbm.desk.loading import Loader, Slot
from cbm_lake.ipycbm.desk.state import Request, State
from cbm_lake.ipycbm.desk.topbar import TopBar
from cbm_lake.ipycbm.heartbeat import Heartbeat
from cbm_lake.ipycbm.panel import reporting
from cbm_lake.ipycbm.texts import Texts, speak
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.lake.snapshots import ParcelSet

_REQUESTED: Final = ("aoi", "year", "ptype", "pid", "day", "compared", "layer", "index", "desk", "subject")
"""Traits of the state on which a picture depends."""
_LISTED: Final = ("desk", "subject", "aoi", "year", "ptype", "where", "search")
"""Traits on which the rows of the worklist depend."""
_AREAS: Final = ("map", "evidence", "strip")


@dataclass(frozen=True)
class Parts:
    """What the workbench is made of; each is a widget too."""

    worklist: Any
    map: Any
    evidence: Any
    strip: Any


class Workbench(ipywidgets.Box):
    """The page, over one state.

    Args:
        state: what is chosen, and what the address carries.
        lake: the lake.
        make: makes the parts; None makes those of the library.
    """

    def __init__(self, state: State, lake: Lake, make: Callable[[State, Lake], Parts] | None = None) -> None:
        super().__init__()
        self.state, self.lake, self._make = state, lake, make or _parts
        self._seen: object = None
        self._ahead_of: ParcelKey | None = None
        self._looking = threading.Lock()
        self.add_class("cbm-bench")
        self._build(Texts("bench"))

    def _build(self, texts: Texts) -> None:
        """Make everything in the language of the texts."""
        state = self.state
        state.unobserve_all()
        self.texts = texts
        self.problem = ipywidgets.HTML()
        self.problem.add_class("cbm-problem")
        self.bar = DecisionBar(texts, self._hear)
        self.decisions = Decisions(state, self.lake, self.bar, texts, self._advance)
        self.top = TopBar(state, self.lake, texts, self._speak)
        self.parts = self._make(state, self.lake)
        self.loader = Loader(
            {
                "map": Slot(self.parts.map, ("key", "day", "compared", "layer")),
                "evidence": Slot(self.parts.evidence, ("key", "index")),
                "strip": Slot(self.parts.strip, ("key", "layer")),
                OWN: Slot(self.decisions.part),
            },
            self._follow,
        )
        self.address = address.Address(state, texts.language)
        self.heartbeat = Heartbeat(texts, self._look_again)
        self._connect()
        self._visit()
        self.bar.offer(DESKS[state.desk].choices)
        state.observe(lambda _: self._visit(), ["aoi", "year", "ptype"])
        state.observe(self._forget_day, "pid")
        state.observe(self._request, list(_REQUESTED))
        state.observe(lambda _: self._list(), [*_LISTED])
        state.observe(lambda _: self.bar.offer(DESKS[state.desk].choices), "desk")
        self.children = self._arranged()
        self._begin()

    def _arranged(self) -> list[ipywidgets.Widget]:
        """The cells of the page, with their names for who cannot see them."""
        self.cells = {name: _cell(name, getattr(self.parts, name)) for name in ("worklist", *_AREAS)}
        return [self.top, self.problem, *self.cells.values(), self.bar, self.address, self.heartbeat]

    def _begin(self) -> None:
        """Draw what is chosen; without a choice the first parcel without a decision."""
        self._seen = self._version()
        self._list()
        self._request(None)

    def _visit(self) -> None:
        """Have the evidence count what has changed since the last visit."""
        state = self.state
        if self.parts.evidence.has_trait("since"):
            key = state.aoi, state.year, state.ptype
            self.parts.evidence.since = cases.last_visit(*key, who=opened.visitor(), lake=self.lake)

    def _list(self) -> None:
        """Count the rows of another list, and show its first parcel where none is chosen."""
        self.problem.value = ""
        with reporting(self.problem):
            self._count()
            if not self.state.pid:
                self.state.pid = self.parts.worklist.next_open("") or self.parts.worklist.step("", 1) or ""

    def _forget_day(self, change: Mapping[str, Any]) -> None:
        """Another parcel is shown at its own clearest day."""
        if change["old"]:
            with self.state.hold_trait_notifications():
                self.state.day = self.state.compared = ""

    def _request(self, change: Mapping[str, Any] | None) -> None:
        """Have the parts draw what is chosen; what stands is read again for another scenario, sample or desk."""
        state = self.state
        if not state.pid:
            self.loader.clear()
            return
        again = (OWN,) if change is not None and change["name"] in ("desk", "subject") else ()
        self.loader.ask(self._asked(), again=again)
        self._follow()

    def _asked(self) -> Request:
        state = self.state
        return Request(state.key, state.day, state.compared, state.layer, state.index, clock.now())

    def _follow(self) -> None:
        """Fade what is not what is chosen, and say what can be decided."""
        for name, standing in self.loader.standings().items():
            if name in self.cells:
                is_old = standing.loading or (standing.drawn is not None and standing.drawn.key != self.state.key)
                (self.cells[name].add_class if is_old else self.cells[name].remove_class)("cbm-old")
        self.decisions.follow(self.loader)
        self._name_day()
        self._read_ahead()

    def _name_day(self) -> None:
        """Let the curve and the strip mark the image that the map chose as the clearest one."""
        standing, state = self.loader.standings()["map"], self.state
        drawn = standing.drawn
        if drawn and drawn.day and not standing.loading and not state.day and drawn.key == state.key:
            self.loader.name_day(drawn.key, drawn.day.isoformat())
            state.day = drawn.day.isoformat()

    def _read_ahead(self) -> None:
        """Have the parts read the next parcel while a person looks at this one."""
        key = self.state.key
        if key == self._ahead_of or not self.loader.drawn_of(key):
            return
        self._ahead_of = key
        table = self.parts.worklist
        pids = dict.fromkeys(pid for pid in (table.next_open(key.pid), table.step(key.pid, 1)) if pid)
        for part in (self.parts.evidence, self.parts.strip, self.parts.map):
            if hasattr(part, "prefetch"):
                part.prefetch([replace(key, pid=pid) for pid in pids])

    def _hear(self, content: Mapping[str, Any]) -> None:
        """Answer a button or key of the decision bar."""
        number = content.get("number")
        match content.get("kind"):
            case "decide":
                self.decisions.decide(str(content.get("choice")), str(content.get("note", "")), number or 0)
            case "undo":
                self.decisions.undo()
            case "report":
                self.decisions.report(number or 0)
            case "next":
                self._choose(self.parts.worklist.next_open(self.state.pid))
            case "step":
                self._choose(self.parts.worklist.step(self.state.pid, int(content["by"])))
            case "day":
                self.parts.map.step(int(content["by"]))

    def _choose(self, pid: str | None) -> None:
        if pid is not None:
            self.state.pid = pid

    def _advance(self, key: ParcelKey | None) -> None:
        """Show what has become of the list, and go on: to a parcel, or to the next one without a decision."""
        before = self.state.key
        self._refresh()
        if key is None:
            pid = self.parts.worklist.next_open(before.pid)
            if pid is None:
                self.decisions.say("all_decided")
            key = replace(before, pid=pid or before.pid)
        if key == before:
            self.loader.ask(self._asked(), again=(OWN,))
        elif self.state.key == before:  # unless a person has chosen another meanwhile
            with self.state.hold_trait_notifications():
                for name, value in key.params.items():
                    self.state.set_trait(name, value)

    def _refresh(self) -> None:
        self._seen = self._version()
        self.parts.worklist.refresh()
        self._count()

    def _count(self) -> None:
        done, total = self.parts.worklist.progress()
        self.bar.progress = self.texts("progress", done=f"{done:,}", total=f"{total:,}") if total else ""

    def _look_again(self) -> None:
        """Look in a thread whether others have decided; the page calls it every few seconds while somebody looks."""
        if self._looking.acquire(blocking=False):
            threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        try:
            if self._version() != self._seen:
                self._refresh()
                if self.state.pid:
                    self.loader.ask(self._asked(), again=(OWN,))
        except LakeError as error:
            self.bar.said = error.plain
        finally:
            self._looking.release()

    def _version(self) -> object:
        """Version of the table of the desk's decisions."""
        return dict(self.lake.at(None).snapshot().versions).get(DESKS[self.state.desk].table)

    def _speak(self, language: str) -> None:
        """Say everything in another language."""
        speak(language)
        former = self.children
        self._build(Texts("bench"))
        for widget in former:
            widget.close()

    def _connect(self) -> None:
        """Let the line above choose the colours, and the parts know them and what stands."""
        traitlets.link((self.bar, "theme"), (self.top.colours, "value"))
        self.bar.observe(lambda _: self._paint(), "dark")
        self._paint()
        if self.parts.evidence.has_trait("decision"):
            traitlets.dlink((self.bar, "standing"), (self.parts.evidence, "decision"))

    def _paint(self) -> None:
        """Tell the parts that draw with colours of their own which theme is on the screen."""
        for part in (self.parts.map, self.parts.evidence, self.parts.strip, self.parts.worklist):
            if part.has_trait("theme"):
                part.theme = "dark" if self.bar.dark else "light"


def workbench(
    aoi: str | None = None,
    year: int | None = None,
    ptype: str | None = None,
    pid: str = "",
    *,
    desk: str = "season",
    subject: str = "",
    lake: Lake | None = None,
) -> ipywidgets.Widget:
    """The workbench of a parcel set, shown when it is the last line of a cell.

    On the page of `cbm-lake app` the address stands above the arguments.

    Args:
        aoi: area; None is the first one that there is, with its last year.
        year: of the declarations; None is the last one of the area.
        ptype: which parcel set; None is the main one.
        pid: the parcel that is shown first; "" is the first one without a decision.
        desk: "season" (lights), "sample" (a QA sample) or "cases".
        subject: the scenario, "" for all; or the name of the sample.
        lake: the lake; None is the workspace's.

    Raises:
        InvalidInputError: there is no such desk.
    """
    lake = lake_or_default(lake)
    arguments = {"desk": desk, "subject": subject, "aoi": aoi, "year": year, "ptype": ptype, "pid": pid}
    values = {name: str(value) for name, value in arguments.items() if value} | address.asked()
    if language := address.language_of(values):
        speak(language)
    texts = Texts("bench")
    state = State()
    problems = [
        texts("bad_value", what=name, value=_quoted(value)) for name, value in address.restore(state, values).items()
    ]
    problems += _settle(state, lake, texts)
    if not state.aoi:
        return ipywidgets.HTML(f"<p>{html.escape(texts('no_parcels'))}</p>")
    page = Workbench(state, lake)
    page.bar.said = " · ".join(problems)
    return page


def panel(lake: Lake | None = None) -> ipywidgets.Widget:
    """Build the widget, as the first tab of the page."""
    return workbench(lake=lake)


def _settle(state: State, lake: Lake, texts: Texts) -> list[str]:
    """Let the state name a parcel set and parcel that there are; says what it named otherwise."""
    sets = lake.parcel_sets()
    if not sets:
        return []
    problems = []
    wanted_sets = [each for each in sets if _fits(each, state)]
    if not wanted_sets:
        name = f"{state.aoi} {state.year or ''} {state.ptype}".strip()
        problems.append(texts("no_such_set", name=_quoted(name), other=sets[-1].name))
    chosen_set = (wanted_sets or sets)[-1]
    state.aoi, state.year, state.ptype = chosen_set.aoi, chosen_set.year, chosen_set.ptype
    try:
        if state.pid:
            lake.query("parcels.by_pid", **state.key.params)
    except NotFoundError:
        problems.append(texts("no_such_parcel", pid=_quoted(state.pid), name=chosen_set.name))
        state.pid = ""
    return problems


def _fits(parcels: ParcelSet, state: State) -> bool:
    """Whether a parcel set is the one that a state names, as far as it names one."""
    named = (not state.aoi or parcels.aoi == state.aoi) and (not state.year or parcels.year == state.year)
    return named and parcels.ptype == state.ptype


def _quoted(value: str) -> str:
    """A value of a link as it may stand in a message: short, and in quotation marks."""
    return repr(value if len(value) <= 60 else value[:60] + "…")


def _cell(name: str, widget: ipywidgets.Widget) -> ipywidgets.Box:
    """A cell of the page."""
    cell = ipywidgets.Box([widget])
    cell.add_class("cbm-cell")
    cell.add_class(f"cbm-cell-{name}")
    return cell


def _parts(state: State, lake: Lake) -> Parts:
    """The parts of the library."""
    from cbm_lake.ipycbm.desk.evidence import Evidence
    from cbm_lake.ipycbm.desk.observed import Observations
    from cbm_lake.ipycbm.desk.scenemap import SceneMap
    from cbm_lake.ipycbm.desk.strip import Strip
    from cbm_lake.ipycbm.desk.worklist import Worklist

    observations = Observations(lake)
    return Parts(
        Worklist(state, lake), SceneMap(state, lake), Evidence(state, observations), Strip(state, observations)
    )
