"""Writes the demonstration's page: one HTML file that needs no network."""

from __future__ import annotations

import html
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Final

from cbm_lake.demo import plots
from cbm_lake.demo.plots import INK, Views

if TYPE_CHECKING:
    import pandas as pd

CARDS: Final = {"s2": "Sentinel-2", "bs": "Sentinel-1 backscatter", "c6": "Sentinel-1 coherence"}
EXAMPLES: Final = {
    "whole": ("As declared", "{crop}, grown as declared: the curve runs inside the band of its peers."),
    "mown": ("Mowing", "{declared}, cut several times: each cut takes the NDVI down within days, then it grows back."),
    "split": ("Two crops in one parcel", "declared as {declared}, but {second} grows in one half: its mean NDVI is neither."),
    "wrong_crop": ("Another crop than declared", "declared as {declared}, but {crop} grows: its curve leaves the band of its peers."),
}  # fmt: skip
"""Heading and words for each kind of example."""


def write(views: Views, path: Path) -> None:
    """Write the page; every figure on it is asked of the lake by SQL."""
    import holoviews as hv
    from bokeh.embed import components
    from bokeh.resources import Resources

    hv.extension("bokeh", logo=False)
    figures, words = _contents(views)
    drawn = {name: _styled(hv.render(figure)) for name, figure in figures.items()}
    script, parts = components(drawn)
    template = Template((Path(__file__).parent / "page.html").read_text("utf-8"))
    library = Resources(mode="inline", components=["bokeh"]).render()
    text = template.substitute(words, **{f"{name}_figure": part for name, part in parts.items()})
    path.write_text(text.replace("<!--library-->", library).replace("<!--script-->", script), encoding="utf-8")


def _contents(views: Views) -> tuple[dict[str, Any], dict[str, str]]:
    """The figures and the words of the page by the names that the template uses."""
    examples = views.table("demo.examples", truth=views.truth, events=views.events)
    crops = views.table("time_series.crop_ndvi", cloud=0.0, **views.screen)
    image, moment = plots.true_colour(views)
    figures = {
        "map": plots.parcel_map(views),
        "image": image,
        "crops": plots.crop_curves(crops),
        "agreement": plots.agreement(views),
    }
    for row in examples.to_dict("records"):
        figures[row["example"]] = plots.parcel_curve(views, row["pid"], row["declared"], crops)
    radar = examples.loc[examples["example"] == "whole"].iloc[0]
    figures["backscatter"] = plots.backscatter(views, radar["pid"])
    figures["coherence"] = plots.coherence(views, radar["pid"])
    words = {
        "legend": _legend(views),
        "image_date": f"{moment:%-d %B %Y}",
        "radar_parcel": html.escape(f"{radar['pid']} · {radar['declared']} · {radar['area_m2'] / 10_000:.1f} ha"),
        **_summary(views),
        **_accuracy(views),
        **{f"{row['example']}_title": _example_title(row) for row in examples.to_dict("records")},
    }
    return figures, words
