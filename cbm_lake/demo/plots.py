"""Plots of the demonstration page, from SQL queries on the lake."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely

from cbm_lake.cards import palette
from cbm_lake.demo.landscape import EPSG
from cbm_lake.lake import Lake

if TYPE_CHECKING:
    import pandas as pd
    from holoviews import Element
    from numpy.typing import NDArray

CROP_COLOURS: Final = {
    "winter wheat": palette.YELLOW,
    "maize": palette.BLUE,
    "grassland": palette.GREEN,
    "rapeseed": palette.RED,
    "sugar beet": palette.PURPLE,
    "fallow": palette.CYAN,
}
OBSERVATIONS: Final = {
    "clouded": {"color": palette.CLOUD, "size": 3},
    "clear": {"color": palette.GREEN, "size": 4},
    "cut": {"color": palette.PURPLE, "size": 6},
}
"""How the kinds of observations of demo.agreement are drawn, the most telling last."""
SCREEN: Final = (3, 8, 9, 10, 11)
"""Scene classes in which the ground is not seen: shadow, clouds, cirrus, snow."""
MARGIN: Final = 120
"""Metres of ground shown round the parcels."""
BRIGHTEST: Final = 0.16
"""Reflectance that is shown at full brightness."""


@dataclass(frozen=True)
class Views:
    """Queries that the figures are drawn from."""

    lake: Lake
    sample: Path
    aoi: str
    year: int

    def table(self, query: str, **more: object) -> pd.DataFrame:
        """The rows of a named query over this area and year."""
        return self.frame_of(query, aoi=self.aoi, year=self.year, **more)

    def frame_of(self, query: str, **params: object) -> pd.DataFrame:
        """Rows of a named query as a DataFrame with naive timestamps, as plots need them."""
        frame = self.lake.query(query, **params).to_pandas()
        for name in frame.select_dtypes("datetimetz"):
            frame[name] = frame[name].dt.tz_localize(None)
        return frame.astype({"day": "datetime64[us]"}) if "day" in frame else frame

    @property
    def screen(self) -> dict[str, Any]:
        """Query parameter that excludes clouded observations."""
        return {"screen": list(SCREEN)}

    @property
    def truth(self) -> str:
        """The ground truth."""
        return str(self.sample / "truth.parquet")

    @property
    def events(self) -> str:
        """Farm work on the fields."""
        return str(self.sample / "events.parquet")


def colour(crop: str) -> str:
    """Colour of a crop, equal in all figures."""
    return CROP_COLOURS.get(crop, palette.GREY)


# -- place --------------------------------------------------------------------------------------------------------


def parcel_map(views: Views) -> Element:
    """Map of parcels by declared crop; the tooltip shows pid, crop, hectares and the latest clear NDVI."""
    import holoviews as hv

    frame = _parcels(views)
    frame["hectares"] = (frame["area_m2"] / 10_000).round(2)
    frame["seen"] = frame["obstime"].dt.strftime("%-d %b %Y").fillna("never clear")
    fields = {"pid": "parcel", "crop_name": "crop", "hectares": "ha", "ndvi": "latest NDVI", "seen": "on"}
    rows = [
        {**outline, **{name: row[name] for name in fields}}
        for row in frame.sort_values("area_m2", ascending=False).to_dict("records")
        for outline in _outlines(row["outline"])
    ]
    polygons = hv.Polygons(rows, kdims=["x", "y"], vdims=list(fields)).opts(
        color=hv.dim("crop_name").categorize(_palette(frame["crop_name"]), palette.GREY),
        line_color="white",
        line_width=0.8,
        tools=[_hover(frame, **fields)],
        hover_line_color=palette.INK,
    )
    return _locate(polygons, frame)


def true_colour(views: Views) -> tuple[Element, pd.Timestamp]:
    """The clearest and most varied scene of the cube in true colour with geometries, and its timestamp."""
    import holoviews as hv

    best = views.table("scenes.clear", **views.screen).iloc[0]
    pixels, bounds = _pixels(views.lake, str(best["scene"]))
    image = hv.RGB(pixels, bounds=bounds, kdims=["x", "y"])
    frame = _parcels(views)
    rows = [part for shape in frame["outline"] for part in _outlines(shape)]
    outlines = hv.Polygons(rows, kdims=["x", "y"]).opts(fill_alpha=0, line_color="white", line_width=0.8)
    return _locate(image * outlines, frame), best["obstime"]


def _locate(element: Element, parcels: pd.DataFrame) -> Element:
    """The element as a map of the ground round the parcels: metres, equal scales."""
    west, south, east, north = shapely.total_bounds(parcels["outline"])
    return element.opts(
        xlabel=f"easting (m, EPSG:{EPSG})",
        ylabel="northing (m)",
        data_aspect=1,
        responsive=True,
        min_height=300,
        xlim=(west - MARGIN, east + MARGIN),
        ylim=(south - MARGIN, north + MARGIN),
        xticks=4,
        xformatter="%d",
        yformatter="%d",
        active_tools=[],
    )


def _palette(crops: Iterable[str]) -> dict[str, str]:
    return {crop: colour(crop) for crop in sorted(set(crops))}


def _parcels(views: Views) -> pd.DataFrame:
    """The parcels with their latest clear NDVI and, in the coordinates of the images, their geometries."""
    from cbm_lake.geo.reprojection import reprojected

    frame = views.table("parcels.latest_ndvi", **views.screen)
    shapes = shapely.from_wkb(frame["geometry"])
    return frame.assign(outline=reprojected(shapes, int(frame["epsg"].iloc[0]), EPSG))


def _outlines(shape: shapely.Geometry) -> list[dict[str, Any]]:
    """Each part of a parcel with its holes, in the form that holoviews draws."""
    return [
        {
            "x": np.asarray(part.exterior.xy[0]).round(1),
            "y": np.asarray(part.exterior.xy[1]).round(1),
            "holes": [[np.asarray(ring.coords).round(1) for ring in part.interiors]],
        }
        for part in shapely.get_parts(shape)
    ]


def _pixels(lake: Lake, scene: str) -> tuple[NDArray[np.uint8], tuple[float, float, float, float]]:
    """Red, green, blue and opacity of a scene out of the cube, and its bounds; what the cube does not hold is clear."""
    bands = ("B04", "B03", "B02")
    cube = lake.cube("s2", bands=bands, harmonised=True)
    moment = cube.isel(time=int(np.flatnonzero(cube["scene"].to_numpy() == scene)[0]))
    reflectance = np.stack([moment[band].to_numpy() for band in bands], axis=-1) / 10_000
    stretched = (np.nan_to_num(reflectance) / BRIGHTEST).clip(0, 1) ** 0.8 * 255
    opacity = np.where(np.isfinite(reflectance).any(axis=-1), 255, 0)
    half = float(cube["x"][1] - cube["x"][0]) / 2
    west, east, south, north = (float(cube[axis][end]) for axis, end in (("x", 0), ("x", -1), ("y", -1), ("y", 0)))
    bounds = (west - half, south - half, east + half, north + half)
    return np.dstack([stretched, opacity]).round().astype(np.uint8), bounds


# -- time ---------------------------------------------------------------------------------------------------------


def crop_curves(crops: pd.DataFrame) -> Element:
    """Median NDVI per declared crop over time with interquartile band, from rows of time_series.crop_ndvi."""
    import holoviews as hv

    layers = []
    fields = {
        "crop_name": "crop",
        "day": "date",
        "ndvi": "median NDVI",
        "ndvi_p25": "25th percentile",
        "ndvi_p75": "75th percentile",
        "parcels": "clear parcels",
    }
    for crop, rows in crops.groupby("crop_name"):
        shade = colour(str(crop))
        marks = hv.Scatter(rows, "day", ["ndvi", "crop_name", "ndvi_p25", "ndvi_p75", "parcels"])
        marks = marks.opts(color=shade, size=6, tools=[_hover(rows, **fields)])
        layers += [_quartiles(rows), hv.Curve(rows, "day", "ndvi").opts(color=shade, line_width=2.5), marks]
    return _season(hv.Overlay(layers), "NDVI, median per crop", (0, 1), 430)


def parcel_curve(views: Views, pid: str, declared: str, crops: pd.DataFrame) -> Element:
    """NDVI of one parcel: clear dates filled, clouded ones hollow, true NDVI as a line, farm work dotted.

    Args:
        views: where the numbers come from.
        pid: the parcel.
        declared: its declared crop, whose quartile band is drawn behind.
        crops: rows of time_series.crop_ndvi.
    """
    import holoviews as hv

    rows = views.table("time_series.observations", pid=pid, ptype="", **views.screen)
    rows_of_query = views.frame_of("demo.drawn", pid=pid, truth=views.truth)
    layers = [
        _quartiles(crops[crops["crop_name"] == declared]),
        hv.Curve(rows_of_query, "obstime", "ndvi").opts(color=palette.INK, line_width=1),
    ]
    hollow = {"fill_color": "white", "line_color": palette.PALE, "line_width": 1.5}
    looks = hollow, {"fill_color": colour(declared), "line_color": palette.INK, "line_width": 0.6}
    fields = {"obstime": "date", "ndvi": "NDVI", "cloud": "share clouded", "pixels": "pixels"}
    for mask, look in zip((rows["why_not"].notna(), rows["why_not"].isna()), looks, strict=True):
        part = rows.loc[mask, ["obstime", "ndvi", "cloud", "pixels"]]
        marks = hv.Scatter(part, "obstime", ["ndvi", "cloud", "pixels"])
        layers.append(marks.opts(size=7.5, tools=[_hover(part, **fields)], **look))
    return _season(hv.Overlay([*layers, *_work(views, pid, 1.03)]), "NDVI", (-0.1, 1.45), 310).opts(
        yticks=[0, 0.25, 0.5, 0.75, 1]
    )


def backscatter(views: Views, pid: str) -> Element:
    """VV and VH backscatter of one parcel in dB."""
    return _radar(views, pid, "dB", "backscatter (dB)", (-26, -1))


def coherence(views: Views, pid: str) -> Element:
    """VV and VH six-day coherence of one parcel."""
    return _radar(views, pid, "coherence", "six-day coherence", (0, 1.3))


def _radar(views: Views, pid: str, unit: str, title: str, limits: tuple[float, float]) -> Element:
    import holoviews as hv

    rows = views.table("time_series.radar", pid=pid, ptype="")
    layers = _work(views, pid, limits[0] + 0.78 * (limits[1] - limits[0]))
    for band in ("VV", "VH"):
        part = rows.loc[(rows["unit"] == unit) & (rows["band"] == band), ["obstime", "value"]]
        marks = hv.Scatter(part, "obstime", "value")
        layers.append(hv.Curve(part, "obstime", "value").opts(color=palette.BANDS[band], line_width=1.5))
        layers.append(marks.opts(color=palette.BANDS[band], size=5, tools=[_hover(part, obstime="date", value=title)]))
    return _season(hv.Overlay(layers), title, limits, 290)


def _quartiles(rows: pd.DataFrame) -> Element:
    """The middle half of a crop's parcels as a band."""
    import holoviews as hv

    shade = colour(str(rows["crop_name"].iloc[0])) if len(rows) else palette.GREY
    return hv.Area(rows, "day", ["ndvi_p25", "ndvi_p75"]).opts(fill_color=shade, fill_alpha=0.17, line_alpha=0)


def _hover(rows: pd.DataFrame, **labels: str) -> Element:
    """A tool that shows the named columns: dates as days, fractions with two decimals."""
    from bokeh.models import HoverTool

    formats = {"f": "{0.00}", "M": "{%F}"}
    hints = [(label, f"@{{{name}}}{formats.get(rows[name].dtype.kind, '')}") for name, label in labels.items()]
    dates: dict[str, Any] = {f"@{{{name}}}": "datetime" for name in labels if rows[name].dtype.kind == "M"}
    return HoverTool(tooltips=hints, formatters=dates)


def _work(views: Views, pid: str, height: float) -> list[Element]:
    """Farm work on a parcel as dotted lines, and upright labels that start at that height."""
    import holoviews as hv

    work = views.frame_of("demo.work", pid=pid, events=views.events)
    lines = hv.VLines(work["date"]).opts(color=palette.PALE, line_dash="dotted", line_width=1.3)
    labels = hv.Labels({"x": work["date"], "y": [height] * len(work), "text": work["label"]}, ["x", "y"], "text")
    looks = {"angle": 90, "text_align": "left", "text_font_size": "8.5pt", "text_color": palette.PALE}
    return [lines, labels.opts(text_baseline="bottom", **looks)]


def _season(overlay: Element, title: str, limits: tuple[float, float], height: int) -> Element:
    """The overlay on a time axis from March to October."""
    return overlay.opts(
        xlabel="",
        ylabel=title,
        ylim=limits,
        responsive=True,
        height=height,
        padding=(0.02, 0),
        show_grid=True,
        show_legend=False,
        active_tools=[],
    )


# -- truth --------------------------------------------------------------------------------------------------------


def agreement(views: Views) -> Element:
    """Extracted against true NDVI of all parcels and dates, clouded ones in grey."""
    import holoviews as hv

    rows = views.table("demo.agreement", truth=views.truth, **views.screen).round({"drawn": 3, "extracted": 3})
    layers = []
    for observations, look in OBSERVATIONS.items():
        part = rows.loc[rows["observations"] == observations, ["drawn", "extracted"]].drop_duplicates()
        layers.append(hv.Scatter(part, "drawn", "extracted", label=observations).opts(alpha=0.6, **look))
    layers.append(hv.Slope(1, 0).opts(color=palette.INK, line_width=1, line_dash="dashed"))
    return hv.Overlay(layers).opts(
        xlabel="drawn NDVI",
        ylabel="extracted NDVI",
        xlim=(-0.1, 1),
        ylim=(-0.1, 1),
        responsive=True,
        height=430,
        show_grid=True,
        legend_position="bottom_right",
        active_tools=[],
    )
