"""The line above the workbench: data set, task, scenario or sample, language and theme."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import ipywidgets

from cbm_lake import cases
from cbm_lake.ipycbm.choice import offer
from cbm_lake.ipycbm.desk.state import DESK_NAMES, State
from cbm_lake.ipycbm.qa_panel import samples
from cbm_lake.ipycbm.texts import LANGUAGES, Texts
from cbm_lake.lake import Lake

THEMES: Final = ("auto", "light", "dark")


class TopBar(ipywidgets.HBox):
    """Choices that concern the whole page.

    Args:
        state: what is chosen.
        lake: the lake.
        texts: of the table "bench".
        speak: called with the language that is chosen.
    """

    def __init__(self, state: State, lake: Lake, texts: Texts, speak: Callable[[str], None]) -> None:
        self._state, self._lake, self._texts = state, lake, texts
        sets = [(each.name, (each.aoi, each.year, each.ptype)) for each in lake.parcel_sets()]
        self.set = self._dropdown("set", sets, (state.aoi, state.year, state.ptype))
        desks = [(texts(f"desk_{name}"), name) for name in DESK_NAMES]
        self.desk = self._dropdown("desk", desks, state.desk)
        self.subject = ipywidgets.Dropdown(tooltip=texts("subject_tip"))
        self.language = self._dropdown("language", [(name, code) for code, name in LANGUAGES.items()], texts.language)
        self.colours = self._dropdown("theme", [(texts(f"theme_{name}"), name) for name in THEMES], "auto")
        super().__init__([self.set, self.desk, self.subject, self.language, self.colours])
        self.add_class("cbm-top")
        self.set.observe(self._take_set, "value")
        self.desk.observe(self._take_desk, "value")
        self.subject.observe(self._take_subject, "value")
        self.language.observe(lambda change: speak(change["new"]), "value")
        self.offer_subjects()

    def offer_subjects(self) -> None:
        """Offer the scenarios or samples of the desk and data set."""
        state, texts = self._state, self._texts
        self.subject.description = texts(f"subject_{state.desk}")
        names = _subjects(self._lake, state)
        none = texts("no_sample" if state.desk == "sample" else "all_scenarios")
        options = [(name, name) for name in names]
        if state.desk != "sample" or not names:
            options.insert(0, (none, ""))
        if state.subject and state.subject not in names:
            options.append((state.subject, state.subject))
        before = state.subject
        with self.hold_trait_notifications():
            self.subject.options = options
            values = [value for _, value in options]
            self.subject.value = before if before in values else values[0]
        state.subject = self.subject.value

    def _dropdown(self, name: str, options: Sequence[tuple[str, Any]], value: object) -> ipywidgets.Dropdown:
        dropdown = ipywidgets.Dropdown(
            options=options, description=self._texts(name), tooltip=self._texts(f"{name}_tip")
        )
        offer(dropdown, options)
        if value in [option for _, option in options]:
            dropdown.value = value
        return dropdown

    def _take_set(self, change: dict[str, Any]) -> None:
        aoi, year, ptype = change["new"]
        with self._state.hold_trait_notifications():
            self._state.aoi, self._state.year, self._state.ptype = aoi, year, ptype
            self._state.pid = self._state.day = self._state.compared = ""
        self.offer_subjects()

    def _take_desk(self, change: dict[str, Any]) -> None:
        with self._state.hold_trait_notifications():
            self._state.desk, self._state.subject = change["new"], ""
            self._state.where = self._state.sort = self._state.search = self._state.pid = ""
        self.offer_subjects()

    def _take_subject(self, change: dict[str, Any]) -> None:
        if change["new"] is not None and change["new"] != self._state.subject:
            self._state.subject = change["new"]


def _subjects(lake: Lake, state: State) -> list[str]:
    """The scenarios of lights or cases, or the samples, newest first."""
    if state.desk == "sample":
        return samples()
    if state.desk == "cases":
        rows = cases.listed(state.aoi, state.year, state.ptype, lake=lake)
        return sorted(set(rows["scenario"].to_pylist()))
    key = {"aoi": state.aoi, "year": state.year, "ptype": state.ptype}
    return [name for name in lake.query("season.scenarios", **key)["scenario"].to_pylist() if name]
