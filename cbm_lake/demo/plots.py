"""Draws what the demonstration's page shows; every number comes out of the lake by SQL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely

from cbm_lake.cube import Cube, Raster
from cbm_lake.lake import Lake

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

CROP_COLOURS: Final = {
    "winter wheat": "#CCBB44",
    "maize": "#4477AA",
    "grassland": "#228833",
    "rapeseed": "#EE6677",
    "sugar beet": "#AA3377",
    "fallow": "#66CCEE",
}
"""Bright scheme of Paul Tol (SRON/EPS/TN/09-002), which colour-blind readers can tell apart."""
OTHER_COLOUR: Final = "#777777"
INK, PALE, GRID = "#1f2a37", "#8a94a0", "#e8ebef"
SCREEN: Final = (3, 8, 9, 10, 11)
"""Scene classes in which the ground is not seen: shadow, clouds, cirrus, snow."""
BRIGHTEST: Final = 0.16
"""Reflectance that is shown at full brightness."""


@dataclass(frozen=True)
class Views:
    """Where the figures get their numbers from."""

    lake: Lake
    sample: Path
    aoi: str
    year: int

    def table(self, query: str, **more: Any) -> pd.DataFrame:
        """The rows of a named query over this area and year."""
        return self.drawn(query, aoi=self.aoi, year=self.year, **more)

    def drawn(self, query: str, **params: Any) -> pd.DataFrame:
        """The rows of a named query; times without a zone, as plots want them."""
        frame = self.lake.query(query, **params).to_pandas()
        for name in frame.select_dtypes("datetimetz"):
            frame[name] = frame[name].dt.tz_localize(None)
        return frame

    @property
    def screen(self) -> dict[str, Any]:
        """The parameter of queries that leave clouded observations out."""
        return {"screen": list(SCREEN)}

    @property
    def truth(self) -> str:
        """What was drawn."""
        return str(self.sample / "truth.parquet")

    @property
    def events(self) -> str:
        """What work was done on the fields."""
        return str(self.sample / "events.parquet")


def colour(crop: str) -> str:
    """The colour of a crop, the same in all figures."""
    return CROP_COLOURS.get(crop, OTHER_COLOUR)


# -- place --------------------------------------------------------------------------------------------------------


def parcel_map(views: Views) -> Any:
    """The parcels by declared crop; hovering shows pid, crop, hectares and the latest clear NDVI."""
    import holoviews as hv

    frame = views.table("parcels.latest_ndvi", **views.screen)
    frame["hectares"] = (frame["area_m2"] / 10_000).round(2)
    frame["seen"] = frame["obstime"].dt.strftime("%-d %b %Y").fillna("never clear")
    fields = {"pid": "parcel", "crop_name": "crop", "hectares": "ha", "ndvi": "latest NDVI", "seen": "on"}
    rows = [
        {**outline, **{name: row[name] for name in fields}}
        for row in frame.sort_values("area_m2", ascending=False).to_dict("records")
        for outline in _outlines(row["geometry"])
    ]
    hints = [(label, "@ndvi{0.00}" if name == "ndvi" else f"@{name}") for name, label in fields.items()]
    polygons = hv.Polygons(rows, kdims=["x", "y"], vdims=list(fields)).opts(
        color=hv.dim("crop_name").categorize(_palette(frame["crop_name"]), OTHER_COLOUR),
        line_color="white",
        line_width=0.8,
        tools=["hover"],
        hover_tooltips=hints,
        hover_line_color=INK,
    )
    return _place(polygons)


def true_colour(views: Views) -> tuple[Any, pd.Timestamp]:
    """The clearest and most varied scene out of the cube in true colour with outlines, and its time."""
    import holoviews as hv

    best = views.table("scenes.clear", **views.screen).iloc[0]
    pixels, bounds = _pixels(views.lake, str(best["scene"]))
    image = hv.RGB(pixels, bounds=bounds, kdims=["x", "y"])
    frame = views.table("parcels.latest_ndvi", **views.screen)
    rows = [outline for wkb in frame["geometry"] for outline in _outlines(wkb)]
    outlines = hv.Polygons(rows, kdims=["x", "y"]).opts(fill_alpha=0, line_color="white", line_width=0.8)
    return _place(image * outlines), best["obstime"]


def _place(element: Any) -> Any:
    """The element as a map: metres, equal scales, room for the whole place."""
    return element.opts(
        xlabel="easting (m, UTM zone 31N)",
        ylabel="northing (m)",
        data_aspect=1,
        responsive=True,
        min_height=300,
        xformatter="%d",
        yformatter="%d",
        xticks=4,
        yticks=5,
        padding=0.01,
        active_tools=[],
    )


def _palette(crops: Iterable[str]) -> dict[str, str]:
    return {crop: colour(crop) for crop in sorted(set(crops))}


def _outlines(wkb: bytes) -> list[dict[str, Any]]:
    """Each part of a parcel with its holes, in the form that holoviews draws."""
    return [
        {
            "x": np.asarray(part.exterior.xy[0]).round(1),
            "y": np.asarray(part.exterior.xy[1]).round(1),
            "holes": [[np.asarray(ring.coords).round(1) for ring in part.interiors]],
        }
        for part in shapely.get_parts(shapely.from_wkb(wkb))
    ]


def _pixels(lake: Lake, scene: str) -> tuple[NDArray[np.uint8], tuple[float, float, float, float]]:
    """Red, green, blue and opacity of a scene out of the cube, and its bounds; what the cube does not hold is clear."""
    assets = lake.sql("select assets from scenes where id = $scene and card = 's2'", scene=scene)["assets"][0].as_py()
    grid = Raster.inspect(assets["B04"]["href"]).grid
    cube = Cube(lake.cube_url("s2", grid.name)).open()
    moment = cube.isel(time=int(np.flatnonzero(cube["scene"].to_numpy() == scene)[0]))
    stored = np.stack([moment[band].to_numpy() for band in ("B04", "B03", "B02")], axis=-1)
    reflectance = (stored.astype(np.float32) + int(moment["boa_offset"])) / 10_000
    shown = (reflectance / BRIGHTEST).clip(0, 1) ** 0.8 * 255
    opacity = np.where(stored.any(axis=-1), 255, 0)
    return np.dstack([shown, opacity]).round().astype(np.uint8), grid.bounds


# -- time ---------------------------------------------------------------------------------------------------------


def crop_curves(views: Views) -> Any:
    """Median NDVI per declared crop over time with the band between the quartiles."""
    import hvplot.pandas  # noqa: F401 - gives tables their .hvplot

    frame = views.table("time_series.crop_ndvi", cloud=0.0, **views.screen)
    curves = None
    for crop, rows in frame.groupby("crop_name"):
        band = rows.hvplot.area(x="day", y="ndvi_p25", y2="ndvi_p75", color=colour(crop), alpha=0.16, hover=False)
        line = rows.hvplot.line(x="day", y="ndvi", color=colour(crop), line_width=2.5, label=crop, hover=False)
        marks = rows.hvplot.scatter(
            x="day", y="ndvi", color=colour(crop), size=30, hover_cols=["crop_name", "ndvi_p25", "ndvi_p75", "parcels"]
        )
        layer = band.opts(line_width=0) * line * marks
        curves = layer if curves is None else curves * layer
    return _season(curves, "NDVI, median per crop", (0, 1), 430).opts(legend_position="right")


def parcel_curve(views: Views, pid: str, declared: str, crops: pd.DataFrame) -> Any:
    """NDVI of one parcel: seen dates filled, hidden ones hollow, what was drawn as a line, farm work as dotted lines.

    Args:
        views: where the numbers come from.
        pid: the parcel.
        declared: its declared crop, whose quartile band is drawn behind.
        crops: rows of time_series.crop_ndvi.
    """
    import hvplot.pandas  # noqa: F401 - gives tables their .hvplot

    rows = views.table("time_series.ndvi", pid=pid, ptype="", **views.screen)
    drawn = views.drawn("demo.drawn", pid=pid, truth=views.truth)
    seen, hidden = rows[rows["cloud"] == 0], rows[rows["cloud"] != 0]
    peers = crops[crops["crop_name"] == declared]
    marks = {"x": "obstime", "y": "ndvi", "size": 55, "hover_cols": ["cloud", "count"]}
    layers = (
        peers.hvplot.area(x="day", y="ndvi_p25", y2="ndvi_p75", color=colour(declared), alpha=0.18, hover=False).opts(
            line_width=0
        )
        * drawn.hvplot.line(x="obstime", y="ndvi", color=INK, line_width=1, hover=False)
        * hidden.hvplot.scatter(**marks, fill_color="white", line_color=PALE, line_width=1.5)
        * seen.hvplot.scatter(**marks, fill_color=colour(declared), line_color="white", line_width=0.8)
        * _work(views, pid, 1.02)
    )
    return _season(layers, "NDVI", (-0.1, 1.32), 300)


def backscatter(views: Views, pid: str) -> Any:
    """VV and VH backscatter of one parcel in dB."""
    return _radar(views, pid, "dB", "backscatter (dB)", (-26, -1))


def coherence(views: Views, pid: str) -> Any:
    """VV and VH six-day coherence of one parcel."""
    return _radar(views, pid, "coherence", "six-day coherence", (0, 1.25))


def _radar(views: Views, pid: str, unit: str, title: str, limits: tuple[float, float]) -> Any:
    import hvplot.pandas  # noqa: F401 - gives tables their .hvplot

    rows = views.table("time_series.radar", pid=pid, ptype="")
    layers = _work(views, pid, limits[0] + 0.8 * (limits[1] - limits[0]))
    for band, shade in (("VV", "#4477AA"), ("VH", "#EE6677")):
        part = rows[(rows["unit"] == unit) & (rows["band"] == band)]
        line = part.hvplot.line(x="obstime", y="value", color=shade, line_width=1.5, hover=False, label=band)
        layers = layers * line * part.hvplot.scatter(x="obstime", y="value", color=shade, size=22)
    return _season(layers, title, limits, 280).opts(legend_position="right")


def _work(views: Views, pid: str, height: float) -> Any:
    """Farm work on a parcel as dotted lines with upright labels that start at that height."""
    import holoviews as hv

    work = views.drawn("demo.work", pid=pid, events=views.events)
    lines = hv.VLines(work["date"]).opts(color=PALE, line_dash="dotted", line_width=1.3)
    labels = hv.Labels({"x": work["date"], "y": [height] * len(work), "text": work["label"]}, ["x", "y"], "text")
    return lines * labels.opts(
        angle=90, text_align="left", text_baseline="bottom", text_font_size="8.5pt", text_color="#5b6672"
    )


def _season(overlay: Any, title: str, limits: tuple[float, float], height: int) -> Any:
    """The overlay with a time axis of months."""
    return overlay.opts(
        xlabel="",
        ylabel=title,
        ylim=limits,
        responsive=True,
        height=height,
        title="",
        show_grid=True,
        active_tools=[],
        show_legend=True,
    )


# -- truth --------------------------------------------------------------------------------------------------------


def agreement(views: Views) -> Any:
    """Extracted against drawn NDVI of all parcels and dates, hidden ones in grey."""
    import holoviews as hv
    import hvplot.pandas  # noqa: F401 - gives tables their .hvplot

    rows = views.table("demo.agreement", truth=views.truth, **views.screen)[["drawn", "extracted", "seen"]].round(3)
    marks = {"x": "drawn", "y": "extracted", "size": 7, "alpha": 0.4, "hover": False}
    parts = {"clouded": (~rows["seen"], "#c3cad2"), "clear": (rows["seen"], "#228833")}
    layers = hv.Slope(1, 0).opts(color=INK, line_width=1, line_dash="dashed")
    for label, (chosen, shade) in parts.items():
        layers = layers * rows[chosen].drop_duplicates().hvplot.scatter(color=shade, label=label, **marks)
    return layers.opts(
        xlabel="drawn NDVI",
        ylabel="extracted NDVI",
        xlim=(-0.1, 1),
        ylim=(-0.3, 1),
        responsive=True,
        height=430,
        show_grid=True,
        legend_position="top_left",
        active_tools=[],
    )
