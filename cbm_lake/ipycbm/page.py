"""Page with all widgets, as served by `cbm-lake app`."""

from __future__ import annotations

import importlib
from typing import Final

import ipywidgets

from cbm_lake.cards import palette
from cbm_lake.config import Workspace
from cbm_lake.errors import LakeError
from cbm_lake.ipycbm import cleaning, guide, opened
from cbm_lake.ipycbm.panel import explained
from cbm_lake.lake import Lake

TABS: Final = {
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


def page(first: str = "get", lake: Lake | None = None) -> ipywidgets.Widget:
    """Build the page: one tab per task, each created when it is first opened."""
    tabs = ipywidgets.Tab([ipywidgets.VBox() for _ in TABS], titles=list(TABS))

    def show(number: int | None) -> None:
        if number is not None and not tabs.children[number].children:
            tabs.children[number].children = (_first_opened(list(TABS.values())[number], lake),)

    tabs.observe(lambda change: show(change["new"]), "selected_index")
    tabs.selected_index = list(TABS).index(first)
    opened.listen()
    title = ipywidgets.HTML(f"<h1 style='margin: 0'>cbm-lake</h1>{lake.url if lake else Workspace.here().lake_url}")
    return cleaning.offered(ipywidgets.VBox([title, tabs]))


def _first_opened(module: str, lake: Lake | None) -> ipywidgets.Widget:
    """The widget of a task, or the reason why there is none."""
    try:
        panel = importlib.import_module(f"cbm_lake.ipycbm.{module}").panel(lake)
    except (LakeError, ImportError) as error:
        return ipywidgets.HTML(f"<p style='color: {palette.BAD}'>{explained(error)}</p>")
    return guide.explained(module.removesuffix("_panel"), panel)
