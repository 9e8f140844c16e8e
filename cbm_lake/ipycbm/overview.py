"""Overview map of an area's parcels, coloured by an attribute; a click shows the NDVI of a parcel."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ipywidgets
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from cbm_lake.cards import CLOUD_CLASSES, observation
from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.ipycbm import drawing, maps
from cbm_lake.ipycbm.choice import STYLE, ParcelSet, ParcelSetKey, offer
from cbm_lake.ipycbm.files import File
from cbm_lake.ipycbm.overlays import Overlay, Picture
from cbm_lake.ipycbm.panel import Panel, reporting
from cbm_lake.lake import Lake, lake_or_default, open_lake

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cbm_lake.ipycbm.drawing import Box, Colouring, Geometries

_WHAT: Final = (
    ("crop", "crop_name"),
    ("crop code", "crop_code"),
    ("area, m²", "area_m2"),
    ("NDVI of a day", "ndvi"),
    ("a column of a file", "file"),
)
_PIXELS: Final = 1200
"""Width of the overlay in pixels."""
_HEIGHT: Final = 520
"""Pixels of the map."""
_CLOUD: Final = 0.2
"""Share of a parcel that may be clouded where its NDVI is shown."""
_PALE: Final = {**observation.WHY_NOT, "unknown": "of unknown sky (no pixel classified)"}
"""Why points are pale, in words."""

Tell = Callable[[str], str]
"""What is shown, as HTML, of a parcel that was clicked."""


def panel(lake: Lake | None = None) -> ipywidgets.Widget:
    """Build the widget: parcel set, colouring attribute, and the map."""
    parcel_set = ParcelSet(lake)
    colour_by = ipywidgets.Dropdown(options=_WHAT, description="coloured by", style=STYLE)
    day = ipywidgets.Dropdown(description="day", style=STYLE, layout={"display": "none"})
    table = File("table", ".parquet,.csv", needed=False)
    column = ipywidgets.Text(description="column", placeholder="its name", style=STYLE)

    def draw(key: ParcelSetKey, colour_by: str, day: str | None, table: Path | None, column: str) -> ipywidgets.Widget:
        opened = lake or open_lake()
        rows = opened.query("parcels.declared", **_named(key), outlines=True)
        values = _values(opened, rows, key, colour_by, day, table, column)
        geometries, colouring = drawing.Geometries.of(rows), drawing.coloured(values)
        return Overview(geometries, colouring, lambda pid: tell(opened, key, pid), opened)

    form = Panel(
        "draw the map",
        draw,
        context={"key": parcel_set},
        colour_by=colour_by,
        day=day,
        table=table,
        column=column,
    )

    def follow(_: object = None) -> None:
        day.layout.display = None if colour_by.value == "ndvi" else "none"
        table.layout.display = column.layout.display = None if colour_by.value == "file" else "none"
        if colour_by.value == "ndvi":
            with reporting(form.message):
                offer(day, days(parcel_set.value, lake), last=True)

    for one in (colour_by, parcel_set.aoi, parcel_set.year, parcel_set.ptype):
        one.observe(follow, "value")
    follow()
    return ipywidgets.VBox([parcel_set, form])


def _named(key: ParcelSetKey) -> dict[str, Any]:
    """Key as query parameters."""
    return {**key, "ptype": key["ptype"] or ""}


def days(key: ParcelSetKey, lake: Lake | None = None) -> list[str]:
    """Days with Sentinel-2 signatures."""
    lake = lake_or_default(lake)
    return [str(day) for day in lake.query("scenes.days", card="s2", **_named(key))["day"].to_pylist()]


def _values(
    lake: Lake, rows: pa.Table, key: ParcelSetKey, colour_by: str, day: str | None, table: Path | None, column: str
) -> Any:
    """Values that colour the parcels, in row order; null where unknown."""
    if colour_by == "ndvi":
        if not day:
            raise NotFoundError("nothing is extracted of these parcels yet; extract Sentinel-2 first")
        rows_on_day = lake.query("parcels.ndvi_on", **_named(key), day=day, screen=list(CLOUD_CLASSES), cloud=_CLOUD)
        return matched(rows["pid"], rows_on_day["pid"], rows_on_day["value"])
    if colour_by == "file":
        if table is None:
            raise InvalidInputError("no table is given; write the path of a .parquet or .csv, or send one")
        return matched(rows["pid"], *of_file(table, column.strip()))
    return rows[colour_by]


def matched(pids: Any, candidates: Any, values: Any) -> pa.Array:
    """Values aligned to the pids; null where missing."""
    position = pa.compute.index_in(pids.combine_chunks(), pa.chunked_array(candidates).combine_chunks())
    return pa.chunked_array(values).combine_chunks().take(position)


def of_file(file: Path, column: str) -> tuple[Any, Any]:
    """Identifiers of a table (its column pid, else the first) and one other column.

    Raises:
        InvalidInputError: there is no such column.
        SourceError: the file cannot be read.
    """
    try:
        rows = _csv(file) if file.suffix == ".csv" else pq.read_table(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(f"{file} cannot be read: {error}; give a .parquet or a .csv") from error
    if column not in rows.column_names:
        names = ", ".join(rows.column_names)
        raise InvalidInputError(f"{file.name} has no column {column!r}; there are: {names}")
    pids = rows["pid" if "pid" in rows.column_names else rows.column_names[0]]
    return pids.cast(pa.string()), rows[column]


def _csv(file: Path) -> pa.Table:
    """Read CSV with identifiers as text."""
    with file.open("rb") as opened:
        first = opened.readline().decode("utf-8-sig", "replace").split(",")[0].strip().strip('"')
    options = pyarrow.csv.ConvertOptions(column_types={"pid": pa.string(), first: pa.string()})
    return pyarrow.csv.read_csv(file, convert_options=options)


def tell(lake: Lake, key: ParcelSetKey, pid: str) -> str:
    """NDVI of a parcel over the year, as HTML."""
    rows = lake.query("time_series.observations", **_named(key), pid=pid, screen=list(CLOUD_CLASSES))
    rows = rows.filter(rows["ndvi"].is_valid())
    heading = f"<b>parcel {html.escape(pid)}</b>"
    if not rows.num_rows:
        return f"{heading}: nothing is extracted of it yet"
    looks = rows["why_not"].to_pylist()
    curve = drawing.curve(rows["obstime"].to_pylist(), rows["ndvi"].to_pylist(), [look is not None for look in looks])
    counts = Counter(look for look in looks if look)
    pale = ", ".join(f"{count} {_PALE[look]}" for look, count in sorted(counts.items()))
    return f"{heading}: NDVI of {rows.num_rows} scenes{f', pale: {pale}' if pale else ''}<br>{curve}"


def layer(view: Any, geometries: Geometries, colours: NDArray[np.uint8], problem: ipywidgets.HTML) -> Overlay:
    """Rasterized parcels as an overlay that follows the map's view."""

    def paint(box: Box) -> Picture:
        return Picture(geometries.painted(box, _PIXELS, colours), box)

    return Overlay(view, paint, problem, first=paint(geometries.extent), name="parcels")


def beneath(view: Any, parcel_set: ParcelSet) -> Panel:
    """Button that overlays the parcels, coloured by crop, on an existing map."""
    before: list[Overlay] = []

    def show(key: ParcelSetKey) -> str:
        rows = (parcel_set.lake or open_lake()).query("parcels.declared", **_named(key), outlines=True)
        geometries, colouring = drawing.Geometries.of(rows), drawing.coloured(rows["crop_name"])
        while before:
            before.pop().remove()
        before.append(layer(view, geometries, colouring.colours, form.message))
        return f"{rows.num_rows:,} parcels"

    form = Panel("show the parcels", show, context={"key": parcel_set})
    return form


class Overview(ipywidgets.VBox):
    """Map of all parcels; `under` shows the parcel that was clicked."""

    def __init__(self, geometries: Geometries, colouring: Colouring, tell: Tell, lake: Lake | None = None) -> None:
        self._geometries, self._tell = geometries, tell
        self.under = ipywidgets.HTML("a click on a parcel shows its NDVI")
        self.map, ground = maps.blank(lake, **maps.showing(geometries.extent, _HEIGHT), height=_HEIGHT)
        self.overlay = layer(self.map, geometries, colouring.colours, self.under)
        self.map.on_interaction(self._clicked)
        super().__init__([ipywidgets.HTML(drawing.key(colouring)), self.map, ground, self.under])

    def _clicked(self, **event: Any) -> None:
        if event.get("type") != "click":
            return
        lat, lon = event["coordinates"]
        with reporting(self.under):
            pid = self._geometries.at(lon, lat)
            self.under.value = "there is no parcel" if pid is None else self._tell(pid)
