"""Writes the HTML page of the demonstration, which needs no network."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Final

from cbm_lake.cards import palette
from cbm_lake.demo import plots
from cbm_lake.demo.plots import Views
from cbm_lake.lake import queries

if TYPE_CHECKING:
    import pandas as pd
    from holoviews import Element

CARDS: Final = {
    "s2": "Sentinel-2 reflectance",
    "bs": "Sentinel-1 backscatter",
    "c6": "Sentinel-1 six-day coherence",
}
EXAMPLES: Final = {
    "whole": ("Grown as declared", "The curve stays with its peers from growth to harvest."),
    "mown": ("A mown meadow", "Each cut takes the NDVI down within days; then the sward grows back."),
    "split": ("Two crops in one parcel", "{crop} grows in one half, {second} in the other: the mean is neither."),
    "wrong_crop": ("Another crop than declared", "What grows is {crop}: the curve leaves the band of its peers."),
}
"""Heading and words for each kind of example."""
FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def write(views: Views, path: Path) -> None:
    """Write the page; all numbers come from SQL queries on the lake."""
    import holoviews as hv
    from bokeh.embed import components

    hv.extension("bokeh", logo=False)
    examples = views.table("demo.examples", truth=views.truth, events=views.events).to_dict("records")
    moment, figures = _figures(views, examples)
    models = {name: _styled(hv.render(figure)) for name, figure in figures.items()}
    models["image"].x_range, models["image"].y_range = (
        models["map"].x_range,
        models["map"].y_range,
    )  # they move together
    script, parts = components(models)
    words = {
        **_summary(views),
        **_accuracy(views),
        "crop_key": _crop_key(views),
        "image_date": f"{moment:%-d %B %Y}",
        "examples": "\n".join(_article(row, parts[row["example"]]) for row in examples),
        "radar_parcel": _caption(examples[0]),
        "sql_text": html.escape(queries.get("time_series.crop_months").sql.strip()),
        "sql_rows": _months(views),
        "library": _library(),
        "script": script,
    }
    template = Template((Path(__file__).parent / "page.html").read_text("utf-8"))
    text = template.substitute(words, **{f"{name}_figure": part for name, part in parts.items()})
    path.write_text(text, encoding="utf-8")


def _library() -> str:
    """The JavaScript that draws, inline; of bokeh alone, since its render() adds links to files of other packages."""
    from bokeh.resources import Resources

    return "".join(f"<script>{text}</script>" for text in Resources(mode="inline", components=["bokeh"]).js_raw)


def _figures(views: Views, examples: list[dict[str, Any]]) -> tuple[pd.Timestamp, dict[str, Element]]:
    """The time of the image, and all figures by name; the radar is that of the first example."""
    crops = views.table("time_series.crop_ndvi", cloud=0.0, **views.screen)
    crops = crops[crops["parcels"] > 0]  # days on which the sky over all parcels of a crop is unknown have no median
    image, moment = plots.true_colour(views)
    first = examples[0]["pid"]
    figures = {
        "map": plots.parcel_map(views),
        "image": image,
        "crops": plots.crop_curves(crops),
        "agreement": plots.agreement(views),
        "backscatter": plots.backscatter(views, first),
        "coherence": plots.coherence(views, first),
    }
    for row in examples:
        figures[row["example"]] = plots.parcel_curve(views, row["pid"], row["declared"], crops)
    return moment, figures


def _styled(figure: Any) -> Any:
    """The figure in the looks of the page."""
    from bokeh.models import DatetimeTickFormatter, MonthsTicker

    figure.toolbar.logo = None
    figure.toolbar.autohide = True
    figure.outline_line_color = None
    figure.background_fill_color = figure.border_fill_color = None
    for axis in figure.axis:
        axis.axis_line_color = axis.major_tick_line_color = palette.EDGE
        axis.minor_tick_line_color = None
        axis.major_label_text_font = axis.axis_label_text_font = FONT
        axis.major_label_text_font_size = axis.axis_label_text_font_size = "9pt"
        axis.major_label_text_color = axis.axis_label_text_color = palette.PALE
        axis.axis_label_text_font_style = "normal"
        if isinstance(axis.formatter, DatetimeTickFormatter):
            axis.formatter = DatetimeTickFormatter(days="%-d %b", months="%b", years="%b", context=None)
            axis.ticker = MonthsTicker(months=list(range(12)))
    figure.grid.grid_line_color = palette.GRID
    for legend in figure.legend:
        legend.border_line_color = None
        legend.background_fill_alpha = 0.8
        legend.label_text_font, legend.label_text_font_size = FONT, "9pt"
        legend.label_text_color = palette.INK
    return figure


# -- words --------------------------------------------------------------------------------------------------------


def _summary(views: Views) -> dict[str, str]:
    """Key figures and the table of what was extracted."""
    cards = views.table("status.extraction")
    crops = views.table("parcels.crops")
    season = views.frame_of("scenes.status")
    figures = {
        "scenes": f"{cards['scenes'].sum():,}",
        "parcels": f"{crops['parcels'].sum():,}",
        "hectares": f"{crops['hectares'].sum():,.0f}",
        "crops": f"{len(crops)}",
        "signatures": f"{cards['signatures'].sum():,}",
        "statistics": f"{cards['statistics'].sum() * 8:,}",
    }
    rows = [
        (CARDS[row["card"]], f"{row['scenes']}", f"{row['signatures']:,}", f"{row['seconds']:.1f} s")
        for row in cards.to_dict("records")
    ]
    first, last = season["first_day"].min(), season["last_day"].max()
    table = _table(("card", "scenes", "signatures", "first scene begun to last scene done"), rows)
    return {**figures, "cards": table, "season": f"{first:%-d %B} to {last:%-d %B %Y}"}


def _accuracy(views: Views) -> dict[str, str]:
    """How well extracted and drawn NDVI agree, in words and as a table."""
    frame = views.table("demo.accuracy", truth=views.truth, **views.screen)
    rows = [
        (
            row["observations"],
            f"{row['pairs']:,}",
            f"{row['r']:.4f}",
            f"{row['rmse']:.4f}",
            f"{row['worst']:.3f}",
        )
        for row in frame.to_dict("records")
    ]
    head = ("observations", "pairs", "Pearson's r", "root mean square difference", "largest difference")
    return {"accuracy": _table(head, rows)}


def _months(views: Views) -> str:
    """The answer of the query that the page quotes, a row per crop and a column per month."""
    import calendar

    frame = views.table("time_series.crop_months", **views.screen)
    wide = frame.pivot_table(index="crop", columns="month", values="ndvi")
    rows = [
        (str(crop), *(f"{value:.2f}" for value in row)) for crop, row in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    return _table(("crop", *(calendar.month_abbr[int(month)] for month in wide.columns)), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    titles = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


def _crop_key(views: Views) -> str:
    """The crops with their colours and numbers of parcels."""
    frame = views.table("parcels.crops")
    return "".join(
        f'<span class="key"><i style="background:{plots.colour(row["crop_name"])}"></i>{html.escape(row["crop_name"])}'
        f" <small>{row['parcels']}</small></span>"
        for row in frame.to_dict("records")
    )


def _article(row: Mapping[str, Any], figure: str) -> str:
    """One example parcel: heading, words, figure."""
    title, text = EXAMPLES[row["example"]]
    words = html.escape(text.format(**row))
    return f"<article><h3>{title}</h3><p><b>{_caption(row)}.</b> {words[0].upper()}{words[1:]}</p>{figure}</article>"


def _caption(row: Mapping[str, Any]) -> str:
    return html.escape(f"Parcel {row['pid']}, declared as {row['declared']}, {row['area_m2'] / 10_000:.1f} ha")
