"""Compound inputs: parcel set, date range, list of identifiers, position on a map."""

from __future__ import annotations

import html
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any, TypedDict

import ipywidgets
from traitlets import Bunch

from cbm_lake.errors import InvalidInputError, LakeError
from cbm_lake.ipycbm import changes
from cbm_lake.lake import Lake
from cbm_lake.parcel import sources

WIDE = {"width": "auto", "flex": "1"}
STYLE = {"description_width": "110px"}


def offer(dropdown: ipywidgets.Dropdown, options: Sequence[object], *, last: bool = False) -> None:
    """Replace the options of a dropdown; a selection that is still among them stays, and nobody hears of a change."""
    values = [option[1] if isinstance(option, tuple) else option for option in options]
    if dropdown.value in values:
        with _quiet(dropdown):
            dropdown.options = options
        dropdown.index = values.index(dropdown.value)
        return
    dropdown.options = options
    if values:
        dropdown.value = values[-1 if last else 0]


@contextmanager
def _quiet(dropdown: ipywidgets.Dropdown) -> Iterator[None]:
    """Other options select nothing: ipywidgets would select the first one for a moment, which all observers follow."""
    dropdown._initializing_traits_ = True
    try:
        yield
    finally:
        dropdown._initializing_traits_ = False


class ParcelSetKey(TypedDict):
    """Keyword arguments that identify a parcel set."""

    aoi: str
    year: int
    ptype: str | None


class ParcelSet(ipywidgets.HBox):
    """Input for area, year and type of parcels; `value` is {"aoi", "year", "ptype"}.

    Args:
        lake: whose; None is that of the settings.
    """

    def __init__(self, lake: Lake | None = None) -> None:
        self.lake = lake
        self.problem = ipywidgets.HTML()
        self._areas = self._parcel_sets()
        self.aoi = ipywidgets.Dropdown(options=sorted(self._areas), description="area", style=STYLE)
        self.year = ipywidgets.Dropdown(description="year", style=STYLE)
        self.ptype = ipywidgets.Dropdown(description="kind", style=STYLE)
        self.aoi.observe(lambda _: self._narrow(), "value")
        self._narrow()
        super().__init__([self.aoi, self.year, self.ptype, self.problem], layout={"flex_flow": "row wrap"})
        changes.subscribe(self.refresh, "parcels", "settings")

    @property
    def value(self) -> ParcelSetKey:
        """The arguments of the library's functions.

        Raises:
            InvalidInputError: there is no area to choose.
        """
        if not (self.aoi.value and self.year.value):
            raise InvalidInputError("there are no parcels yet; load some first, in the catalogue")
        return {"aoi": self.aoi.value, "year": int(self.year.value), "ptype": self.ptype.value or None}

    @property
    def examples(self) -> list[str]:
        """A few identifiers of the parcel set; none where the source names none."""
        kind = f"_{self.ptype.value}" if self.ptype.value else ""
        named: list[object] = self._area.get(f"id_examples_{self.year.value}{kind}") or []
        return [str(pid) for pid in named]

    @property
    def extracted(self) -> tuple[str, ...]:
        """Cards of which something was extracted in the area."""
        return tuple(self._area.get("time_series") or ())

    @property
    def _area(self) -> dict[str, Any]:
        """What the source says of the area."""
        return self._areas.get(self.aoi.value) or {}

    def refresh(self) -> None:
        """Reload the available parcel sets."""
        self.problem.value = ""
        self._areas = self._parcel_sets()
        offer(self.aoi, sorted(self._areas))
        self._narrow()

    def _parcel_sets(self) -> dict[str, Any]:
        try:
            areas: dict[str, Any] = sources.here(self.lake).info(None)["aois"]
        except LakeError as error:
            self.problem.value = html.escape(error.plain)
            return {}
        return areas

    def _narrow(self) -> None:
        area = self._areas.get(self.aoi.value, {"years": [], "datasets": []})
        offer(self.year, area["years"], last=True)
        offer(self.ptype, [("main", ""), *((name, name) for name in area["datasets"])])


class Examples(ipywidgets.HBox):
    """Buttons with identifiers that exist in the chosen parcel set.

    Args:
        parcels: which set.
        take: called with the identifier of the button that is pressed.
    """

    def __init__(self, parcels: ParcelSet, take: Callable[[str], None]) -> None:
        self._parcels, self._take = parcels, take
        super().__init__(layout={"flex_flow": "row wrap", "align_items": "center"})
        for input_ in (parcels.aoi, parcels.year, parcels.ptype):
            input_.observe(lambda _: self._offer(), "value")
        self._offer()

    def _offer(self) -> None:
        buttons = map(self._button, self._parcels.examples)
        self.children = [ipywidgets.Label("for example"), *buttons] if self._parcels.examples else []

    def _button(self, pid: str) -> ipywidgets.Button:
        button = ipywidgets.Button(
            description=pid, tooltip=f"take {pid}: a parcel of this set", layout={"width": "auto"}
        )
        button.on_click(lambda _: self._take(pid))
        return button


class Days(ipywidgets.HBox):
    """Input for a date range; `value` is a pair of dates."""

    def __init__(self, first: date, last: date) -> None:
        self.first = ipywidgets.DatePicker(value=first, description="first day", style=STYLE)
        self.last = ipywidgets.DatePicker(value=last, description="last day", style=STYLE)
        super().__init__([self.first, self.last])

    def set_year(self, year: int) -> None:
        """From its first to its last day."""
        self.first.value, self.last.value = date(year, 1, 1), date(year, 12, 31)

    @property
    def value(self) -> tuple[date, date]:
        """The days.

        Raises:
            InvalidInputError: one is missing, or they are the wrong way round.
        """
        first, last = self.first.value, self.last.value
        if first is None or last is None or first > last:
            raise InvalidInputError(f"{first or 'no day'} to {last or 'no day'} is no time; choose two days")
        return first, last


class Ticks(ipywidgets.HBox):
    """Group of checkboxes, some of which may be hidden; `value` is those that are ticked and can be seen."""

    def __init__(self, words: dict[str, str], ticked: tuple[str, ...], label: str) -> None:
        self.boxes = {word: _tick(description, ticked=word in ticked) for word, description in words.items()}
        super().__init__([ipywidgets.Label(label, layout={"width": "110px"}), *self.boxes.values()])
        self.layout.flex_flow = "row wrap"

    def replace(self, words: dict[str, str]) -> None:
        """Have checkboxes for these words; those that there are stay as they are."""
        boxes = {word: self.boxes.get(word) or _tick(description) for word, description in words.items()}
        if list(boxes) != list(self.boxes):
            self.boxes = boxes
            self.set_trait("children", (self.children[0], *boxes.values()))

    @property
    def offered(self) -> tuple[str, ...]:
        """The words that can be seen."""
        return tuple(word for word, box in self.boxes.items() if box.layout.display != "none")

    def offer(self, words: Collection[str]) -> None:
        """Show the boxes of these words alone; those of which a tick comes or goes by that are said to have changed."""
        for word, box in self.boxes.items():
            before, box.layout.display = box.layout.display, None if word in words else "none"
            if box.value and box.layout.display != before:
                box.notify_change(Bunch(name="value", type="change", owner=box, old=not box.value, new=box.value))

    @property
    def value(self) -> tuple[str, ...]:
        """The words."""
        return tuple(word for word in self.offered if self.boxes[word].value)


def _tick(description: str, *, ticked: bool = False) -> ipywidgets.Checkbox:
    return ipywidgets.Checkbox(value=ticked, description=description, indent=False, layout={"width": "auto"})
