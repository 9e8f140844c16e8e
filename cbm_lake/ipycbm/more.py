"""Getting more inside view: what the chosen parcel lacks, or another parcel of the lake."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import ipywidgets

from cbm_lake import get
from cbm_lake.cards import CARDS, S2
from cbm_lake.config import Workspace
from cbm_lake.ipycbm import wanted
from cbm_lake.ipycbm.choice import STYLE, Examples, ParcelSet, ParcelSetKey
from cbm_lake.ipycbm.panel import Panel, rendered, text
from cbm_lake.lake import Lake
from cbm_lake.parcel import basemaps
from cbm_lake.progress import Tell

if TYPE_CHECKING:
    import pandas as pd

    from cbm_lake.ipycbm.holdings import Holdings
    from cbm_lake.ipycbm.view_panel import Kept, Parcel
    from cbm_lake.parcel.inventory import Inventory

_CHIPS: Final = ("B04", "B08", "SCL")
"""Bands that are suggested where a parcel has no chips."""


class More(ipywidgets.Accordion):
    """Two folded forms: what the parcel lacks, ticked already, and another parcel.

    Args:
        parcels: the choice of the page.
        holdings: what there is of it.
        lake: whose; None is that of the settings.
        after: called with the key of a parcel that was got.
    """

    def __init__(self, parcels: Kept, holdings: Holdings, lake: Lake | None, after: Callable[[Parcel], None]) -> None:
        self._lake, self._holdings, self._after = lake, holdings, after
        self.lacking = ipywidgets.HTML()
        self.this = Panel(
            "get what is missing",
            self._get_this,
            stops=True,
            render=_rendered,
            context={"parcel": parcels},
            **wanted.inputs(series=()),
        )
        parcel_set = ParcelSet(lake)
        pid = ipywidgets.Text(description="parcel", placeholder="its identifier", style=STYLE)
        self.other = Panel(
            "get this parcel", self._get_other, stops=True, render=_rendered, context={"key": parcel_set, "pid": pid}
        )

        def take(example: str) -> None:
            pid.value = example

        examples = Examples(parcel_set, take)
        another = ipywidgets.VBox([parcel_set, ipywidgets.HBox([pid, examples]), self.other])
        super().__init__(
            [ipywidgets.VBox([self.lacking, self.this]), another],
            titles=["get what this parcel lacks", "get another parcel"],
            selected_index=None,
        )
        holdings.listeners.append(self._offer)

    def _offer(self, parcel: Parcel, stock: Inventory) -> None:
        """Offer what there is, and tick what the parcel's folders lack of it."""
        inputs = self.this.inputs
        aoi, year, pid = parcel
        lacking = lacks(parcel, stock)
        series = {*stock.series, *(["scl"] if S2.name in stock.series else []), *(["weather"] if stock.weather else [])}
        inputs["series"].offer(series)
        inputs["bands"].offer(stock.bands())
        inputs["days"].set_year(year)
        for name in ("series", "bands", "images"):
            for word, box in inputs[name].boxes.items():
                box.value = word in lacking[name]
        self.lacking.value = html.escape(f"parcel {pid} of {aoi} {year}: {_in_words(lacking)}")

    def _get_this(self, parcel: Parcel, folder: str, progress: Tell, **what: Any) -> pd.DataFrame:
        aoi, year, pid = parcel
        key: ParcelSetKey = {"aoi": aoi, "year": year, "ptype": self._holdings.options(parcel)["ptype"]}
        return self._got(key, pid, wanted.request(**what), folder, progress)

    def _get_other(self, key: ParcelSetKey, pid: str, progress: Tell) -> pd.DataFrame:
        named = text(pid, needed="the parcel")
        return self._got(key, named, get.several.Wanted(series=()), "temp", progress)

    def _got(
        self, key: ParcelSetKey, pid: str, request: get.several.Wanted, folder: str, progress: Tell
    ) -> pd.DataFrame:
        rows = wanted.got(key, [pid], request, folder, progress, lake=self._lake)
        if rows["problem"].isna().any():
            self._after((key["aoi"], key["year"], pid))
        return rows


def lacks(parcel: Parcel, stock: Inventory) -> dict[str, list[str]]:
    """What the folders of a parcel have no file of, though there is some: time series, chips, backgrounds."""
    temp = get.folders.place(*parcel, "")
    folders = [temp, Workspace.here().data / temp.relative_to(Workspace.here().temp)]

    def has(pattern: str) -> bool:
        return any(next(folder.glob(pattern), None) is not None for folder in folders)

    kinds = [*stock.series, *(["weather"] if stock.weather else [])]
    offered = stock.bands()
    return {
        "series": [kind for kind in kinds if not has(f"time_series_{kind}*.csv")],
        "bands": [] if has(f"{get.folders.CHIPS}/*.tif") else [band for band in _CHIPS if band in offered],
        "images": [] if has("backgrounds/*.tif") or S2.name not in (stock.images or {}) else [basemaps.SENTINEL],
    }


def _in_words(lacking: dict[str, list[str]]) -> str:
    """What the folders lack, as the form names it."""
    bands = {band: words for card in CARDS.values() for band, words in wanted.labels(card).items()}
    named = {
        "time series": [wanted.SERIES[kind] for kind in lacking["series"]],
        "chips": [bands[band] for band in lacking["bands"]],
        "backgrounds": lacking["images"],
    }
    words = "; ".join(f"{what}: {', '.join(names)}" for what, names in named.items() if names)
    return f"its folder lacks {words}" if words else "its folder has a file of each kind"


def _rendered(rows: pd.DataFrame) -> ipywidgets.Widget:
    return rendered(wanted.summary(rows))
