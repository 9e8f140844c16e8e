"""Images of a parcel: as a sheet, one by one, on a map, and as a calendar."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import ipywidgets

from cbm_lake import show
from cbm_lake.cards import CLOUD_CLASSES, INDICES
from cbm_lake.errors import NotFoundError
from cbm_lake.ipycbm.chip_map import ChipMap, legend
from cbm_lake.ipycbm.choice import STYLE, Days
from cbm_lake.ipycbm.colours import Colours, Look, showable, view_names
from cbm_lake.ipycbm.panel import Panel, rendered
from cbm_lake.parcel.sources import LakeSource
from cbm_lake.show import rendering, views
from cbm_lake.show.reading import Reading, Season, chipsize_for

if TYPE_CHECKING:
    from cbm_lake.ipycbm.holdings import Holdings
    from cbm_lake.ipycbm.view_panel import Kept, Parcel
    from cbm_lake.parcel.inventory import Inventory
    from cbm_lake.show.rendering import Row

_WAYS: Final = (
    ("on a map, with a slider", "map"),
    ("all on a sheet", "sheet"),
    ("one by one, with a slider", "single"),
)


def chips(parcels: Kept, holdings: Holdings) -> Panel:
    """Form of images of a parcel."""
    colours = Colours()

    def draw(parcel: Parcel, days: tuple[date, date], look: Look, way: str) -> object:
        options = holdings.options(parcel)
        reading = Reading.of(options.pop("lake", None))
        if way == "sheet":
            return _sheet(parcel, days, look, reading, options)
        rows = [_row(parcel, days, look, name, reading, options) for name in look.views]
        if way == "single":
            return ipywidgets.VBox([_single(row) for row in rows])
        lake = reading.source.lake if isinstance(reading.source, LakeSource) else None
        maps = [ChipMap(row, lake) for row in rows]
        for other in maps[1:]:  # all show the same place and day
            ipywidgets.link((maps[0].map, "center"), (other.map, "center"))
            ipywidgets.link((maps[0].map, "zoom"), (other.map, "zoom"))
        return ipywidgets.VBox(maps)

    def offer(_: Parcel, stock: Inventory) -> None:
        colours.offer(stock.bands())

    holdings.listeners.append(offer)
    return Panel(
        "show",
        draw,
        context={"parcel": parcels},
        days=_days(parcels),
        look=colours,
        way=ipywidgets.Dropdown(options=_WAYS, description="how", style=STYLE),
    )


def _days(parcels: Kept) -> Days:
    """Input of days that follows the year of the parcel."""
    days = Days(date(date.today().year, 1, 1), date(date.today().year, 12, 31))

    def follow(_: object = None) -> None:
        if parcels.year.value:
            days.set_year(int(parcels.year.value))

    parcels.year.observe(follow, "value")
    follow()
    return days


def _sheet(
    parcel: Parcel, days: tuple[date, date], look: Look, reading: Reading, options: Mapping[str, Any]
) -> ipywidgets.Widget:
    """All images, one row for each view, and between which numbers their colours run."""
    colours: dict[str, Any] = {"cmap": look.cmap, "percentile": look.percentile, "limits": look.limits}
    if len(look.views) > 1:
        figure = show.chip_images.grid(*parcel, *days, list(look.views), lake=reading, **colours, **options)
    else:
        figure = show.chip_images.by_pid(*parcel, *days, look.views[0], lake=reading, **colours, **options)
    rows = (_row(parcel, days, look, name, reading, options) for name in look.views)
    return ipywidgets.VBox([*(ipywidgets.HTML(legend(row)) for row in rows), rendered(figure)])


def _row(
    parcel: Parcel, days: tuple[date, date], look: Look, name: str, reading: Reading, options: Mapping[str, Any]
) -> Row:
    """The images of one view."""
    aoi, year, pid = parcel
    kind = views.view(name)
    (declared,) = reading.parcels(aoi, year, pid, options["ptype"])
    season = Season.of(*days, chipsize_for([declared]), CLOUD_CLASSES, kind.card.name)
    images = reading.images(declared, season, kind.bands)
    outline = declared.outline_in(images.epsg)
    limits = look.limits if kind.scaled or len(look.views) == 1 else None
    return rendering.row(declared.label, kind, images, outline, look.cmap, percentile=look.percentile, limits=limits)


def _single(row: Row) -> ipywidgets.Widget:
    """Figures of a row, one visible at a time."""
    return slider(
        {
            f"{image.obstime:%Y-%m-%d}": rendering.single(row, image, f"Parcel {row.label}")
            for image in row.images.images
        }
    )


def slider(figures: dict[str, Any]) -> ipywidgets.Widget:
    """Titled figures, one visible at a time."""
    if not figures:
        raise NotFoundError("there are no images between these days; choose others")
    images = [rendered(figure) for figure in figures.values()]
    position = ipywidgets.SelectionSlider(
        options=[(title, n) for n, title in enumerate(figures)], layout={"width": "60%"}
    )
    stack = ipywidgets.Stack(images, selected_index=0)
    ipywidgets.jslink((position, "index"), (stack, "selected_index"))
    return ipywidgets.VBox([position, stack])


def year(parcels: Kept, holdings: Holdings) -> Panel:
    """Form of the calendar of a parcel."""

    def draw(parcel: Parcel, cells: str, view: str | None) -> object:
        of = holdings.options(parcel)
        if cells == "scatter":
            return show.calendar.scatter(*parcel, **of)
        if cells == "histograms":
            return show.calendar.histograms(
                *parcel, index=view if view is not None and view in INDICES else "ndvi", **of
            )
        return show.calendar.by_pid(*parcel, bands=view or "true colour", **of)

    cells = [("images", "images"), ("histograms of an index", "histograms"), ("red and near infrared", "scatter")]
    names = view_names()
    view = ipywidgets.Dropdown(
        options=[(words, name) for name, words in names.items()], description="images of", style=STYLE
    )

    def offer(_: Parcel, stock: Inventory) -> None:
        before, there = view.value, showable(stock.bands())
        view.options = [(names[name], name) for name in there]
        view.value = before if before in there else next(iter(there), None)

    holdings.listeners.append(offer)
    return Panel(
        "show",
        draw,
        context={"parcel": parcels},
        cells=ipywidgets.Dropdown(options=cells, description="each day", style=STYLE),
        view=view,
    )
