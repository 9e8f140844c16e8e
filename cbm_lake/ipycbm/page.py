"""Page with all widgets, as served by `cbm-lake app`."""

from __future__ import annotations

import html
import importlib
from typing import Final

import ipywidgets

from cbm_lake.cards import palette
from cbm_lake.config import Workspace
from cbm_lake.errors import LakeError
from cbm_lake.ipycbm import changes, cleaning, guide, opened
from cbm_lake.ipycbm.heartbeat import Heartbeat
from cbm_lake.ipycbm.panel import explained
from cbm_lake.ipycbm.texts import Texts
from cbm_lake.lake import Lake

TABS: Final = {
    "workbench": "desk.bench",
    "settings": "config_panel",
    "catalogue": "card2db_panel",
    "extract": "extract_panel",
    "get": "get_panel",
    "view": "view_panel",
    "FOI": "foi_panel",
    "QA": "qa_panel",
    "crops": "crops_panel",
}
"""Titles and the modules whose `panel()` they show, in the order of the work."""


def page(first: str = "workbench", lake: Lake | None = None) -> ipywidgets.Widget:
    """Build the page: one tab per task, each created when it is first opened."""
    tabs = ipywidgets.Tab([ipywidgets.VBox() for _ in TABS], titles=list(TABS))

    def show(number: int | None) -> None:
        if number is None:
            return
        if tabs.children[number].children:
            changes.refresh_within(tabs.children[number])
        else:
            tabs.children[number].children = (_first_opened(list(TABS.values())[number], lake),)

    tabs.observe(lambda change: show(change["new"]), "selected_index")
    tabs.selected_index = list(TABS).index(first)
    show(tabs.selected_index)  # the first one is selected from the beginning, which is no change
    opened.introduce()
    opened.listen()
    url = html.escape(lake.url if lake else Workspace.here().lake_url)
    heading = f"<h1 style='margin: 0 12px 0 0; display: inline; font-size: 18px'>cbm-lake</h1>{url}"
    whole = ipywidgets.VBox([ipywidgets.HTML(heading), tabs, Heartbeat(Texts("bench"))])
    whole.add_class("cbm-page")
    return cleaning.offered(whole)


def _first_opened(module: str, lake: Lake | None) -> ipywidgets.Widget:
    """The widget of a task, or the reason why there is none."""
    try:
        panel = importlib.import_module(f"cbm_lake.ipycbm.{module}").panel(lake)
    except (LakeError, ImportError) as error:
        return ipywidgets.HTML(f"<p style='color: {palette.BAD}'>{explained(error)}</p>")
    return guide.explained(name, panel) if (name := module.removesuffix("_panel")) in guide.ABOUT else panel
