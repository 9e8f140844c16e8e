"""Widget for crop checks: the ranked list of doubtful declarations, a map of them, and one parcel's picture."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import Any, Final

import geopandas as gpd
import ipywidgets
import pyarrow as pa

from cbm_lake import show
from cbm_lake.cards import palette
from cbm_lake.errors import InvalidInputError, NotFoundError, counted
from cbm_lake.ipycbm.choice import STYLE, ParcelSet, ParcelSetKey
from cbm_lake.ipycbm.panel import Panel, rendered
from cbm_lake.ipycbm.parcel_map import parcel_map
from cbm_lake.lake import Lake, open_lake
from cbm_lake.markers.cropchecks import likely_in_words, promise

VERDICTS: Final = {"disagrees": palette.BAD, "cannot say": palette.DOUBTFUL, "agrees": palette.GOOD}
"""The verdicts, and their colours."""
_MOST: Final = 500
"""Rows of a list: each has a button."""
_WIDTHS: Final = {"rank": 50, "verdict": 90, "declared": 170, "likely": 240, "p-value": 70, "since": 90}
"""The columns beside the button of the parcel, and their widths in pixels."""
Row = Mapping[str, Any]


def panel(lake: Lake | None = None) -> ipywidgets.Widget:
    """Build the widget: the list, and one parcel of it."""
    parcels = ParcelSet(lake)
    look = Look(lake, parcels)

    def listed(key: ParcelSetKey, verdict: str, crop: str, most: int) -> pa.Table:
        opened, params = lake or open_lake(), {**key, "ptype": key["ptype"] or ""}
        rows = opened.query("crops.listed", **params, verdict=verdict or None, crop=crop.strip() or None, most=most)
        if rows.num_rows:
            return rows.append_column("promise", pa.array([_promised(opened, params)] * rows.num_rows))
        if opened.query("markers.crop_runs_of", **params).num_rows:
            raise NotFoundError("no parcel has this verdict and crop; choose others")
        raise NotFoundError("the crops were not checked yet; check them first, by cbm-lake crops check")

    form = Panel(
        "list",
        listed,
        render=lambda rows: _listed(rows, lambda pid: None if form.is_old else look.choose(pid), lake),
        after=look.take,
        context={"key": parcels},
        verdict=ipywidgets.Dropdown(
            options=[("all", ""), *((name, name) for name in VERDICTS)], description="verdict", style=STYLE
        ),
        crop=ipywidgets.Text(description="crop", placeholder="a part of its name; empty for all", style=STYLE),
        most=ipywidgets.BoundedIntText(value=50, min=1, max=_MOST, description="at most", style=STYLE),
    )
    return ipywidgets.VBox([parcels, form, look])


def _promised(lake: Lake, key: dict[str, Any]) -> str:
    """What the last check promised, in words."""
    runs = lake.query("markers.crop_runs_of", **key).to_pylist()
    return "; ".join(filter(None, (promise(run["alpha"], run["settings"]) for run in runs)))


def _listed(rows: pa.Table, choose: Callable[[str], None], lake: Lake | None) -> ipywidgets.Widget:
    """The list of parcels, each with a button, and their map."""
    first: Row = rows.slice(0, 1).to_pylist()[0]
    some = f"the first {rows.num_rows:,} of {first['total']:,} parcels" if rows.num_rows < first["total"] else ""
    words = [some or counted(rows.num_rows, "parcel"), f"data up to {first['day']}", first["promise"]]
    heading = ipywidgets.HTML(f"<b>{html.escape('; '.join(filter(None, words)))}</b>")
    lines = [_line(row, choose) for row in rows.drop_columns(["geometry", "epsg"]).to_pylist()]
    listing = ipywidgets.VBox([_titles(), *lines], layout={"max_height": "420px", "overflow": "auto"})
    tabs = ipywidgets.Tab([listing, _map(rows, choose, lake)], titles=["ranked", "on a map"])
    return ipywidgets.VBox([heading, tabs])


def _titles() -> ipywidgets.Widget:
    return ipywidgets.HBox(
        [ipywidgets.HTML("<b>parcel</b>", layout={"width": "130px"}), _cells(dict.fromkeys(_WIDTHS))]
    )


def _line(row: Row, choose: Callable[[str], None]) -> ipywidgets.Widget:
    """A parcel: a button that opens it, and what is said of it."""
    button = ipywidgets.Button(description=row["pid"], tooltip=row["reason"], layout={"width": "130px"})
    button.on_click(lambda _: choose(row["pid"]))
    texts = {
        "rank": row["rank"],
        "verdict": row["verdict"],
        "declared": row["declared"] or row["crop_group"],
        "likely": likely(row),
        "p-value": None if row["p_value"] is None else f"{row['p_value']:.3g}",
        "since": row["since"],
    }
    return ipywidgets.HBox([button, _cells(texts)])


def likely(row: Row) -> str:
    """The likely groups of crops with their probabilities: maize (0.90), sunflower (0.06)."""
    return ", ".join(likely_in_words(row["likely"], row["probability"]))


def _cells(texts: Mapping[str, object]) -> ipywidgets.HTML:
    """The cells of a line; titles where a column has no text at all."""
    titles = all(text is None for text in texts.values())
    cells = []
    for name, width in _WIDTHS.items():
        text = name if titles else "" if texts[name] is None else str(texts[name])
        colour = f"; color: {VERDICTS[text]}" if name == "verdict" and text in VERDICTS else ""
        weight = "; font-weight: bold" if titles else ""
        style = f"display: inline-block; width: {width}px; padding-left: 8px; overflow: hidden; white-space: nowrap"
        cells.append(f'<span style="{style}{colour}{weight}" title="{html.escape(text)}">{html.escape(text)}</span>')
    return ipywidgets.HTML("".join(cells))


def _map(rows: pa.Table, choose: Callable[[str], None], lake: Lake | None) -> ipywidgets.Widget:
    """The parcels of the list in the colours of their verdicts; a click opens one."""
    pids, verdicts = rows["pid"].to_pylist(), rows["verdict"].to_pylist()
    shapes = gpd.GeoSeries.from_wkb(rows["geometry"].to_numpy(), index=pids, crs=rows["epsg"][0].as_py())
    colours = {pid: VERDICTS.get(verdict, palette.PALE) for pid, verdict in zip(pids, verdicts, strict=True)}
    legend = " · ".join(f'<b style="color: {colour}">{name}</b>' for name, colour in VERDICTS.items())
    return ipywidgets.VBox([ipywidgets.HTML(legend), parcel_map(shapes, colours, choose, lake)])


class Look(Panel):
    """One parcel of the list: what is said of it, and its curve before the bands of its crops."""

    def __init__(self, lake: Lake | None, parcels: ParcelSet) -> None:
        self._lake = lake
        self.pid = ipywidgets.Combobox(description="parcel", placeholder="list first; type to search", style=STYLE)
        super().__init__("look", self._draw, redraws=True, context={"key": parcels}, pid=self.pid)

    def take(self, rows: pa.Table) -> None:
        """Offer the parcels of a list, the most doubtful first."""
        self.pid.options = rows["pid"].to_pylist()

    def choose(self, pid: str) -> None:
        """Open a parcel."""
        self.pid.value = pid
        self.submit()

    def _draw(self, key: ParcelSetKey, pid: str) -> ipywidgets.Widget:
        if not pid.strip():
            raise InvalidInputError("no parcel is chosen; press list, then a parcel, or type")
        opened = self._lake or open_lake()
        where: dict[str, Any] = {**key, "pid": pid.strip(), "lake": opened}
        figure = show.crop_check.by_pid(**where)
        params = {name: where[name] for name in ("aoi", "year", "pid")}
        (row,) = opened.query("crops.verdict_of", **params, ptype=key["ptype"] or "").to_pylist()
        said = f"parcel {row_of(row, pid.strip())}"
        return ipywidgets.VBox([ipywidgets.HTML(f"<b>{html.escape(said)}</b>"), rendered(figure)])


def row_of(row: Row, pid: str) -> str:
    """What is said of a parcel in a line."""
    parts = [f"{pid}: {row['verdict']}: {row['reason']}", likely(row) and f"likely {likely(row)}"]
    since = f"the same since {row['since']}" if row["since"] else ""
    return "; ".join(filter(None, (*parts, since, promise(row["alpha"], row["settings"]))))
