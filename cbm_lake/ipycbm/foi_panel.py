"""Widget for FOI checks: thematic raster, check, list of suspicious parcels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import geopandas as gpd
import ipywidgets
import pandas as pd
import pyarrow.compute as pc

from cbm_lake import foi
from cbm_lake.cards import palette
from cbm_lake.errors import InvalidInputError
from cbm_lake.ipycbm.choice import STYLE, ParcelSet, ParcelSetKey
from cbm_lake.ipycbm.files import File, downloads
from cbm_lake.ipycbm.panel import Panel, rendered
from cbm_lake.ipycbm.parcel_map import parcel_map
from cbm_lake.lake import Lake
from cbm_lake.progress import Tell

if TYPE_CHECKING:
    from cbm_lake.foi.result import Foi
    from cbm_lake.foi.thematic import Made

_LISTED: Final = 50
_COLOURS: Final = {2: palette.BAD, 1: palette.DOUBTFUL}
"""Of parcels with both flags, and with one."""


def panel(lake: Lake | None = None) -> ipywidgets.Widget:
    """Build the widget: the steps from top to bottom."""
    source = Source(lake)
    raster = File("raster", ".tif,.tiff")
    classes = File("classes", ".yml,.yaml")
    look = Look()
    versions = ipywidgets.Tab([_v2(source, raster, classes, look), _v1(source, raster, classes, look)])
    versions.titles = ("version 2", "version 1")
    return ipywidgets.VBox(
        [
            _title("1. Parcels"),
            source,
            _title("2. A raster with one class per pixel: yours, or one made here"),
            _make(source, raster, classes),
            raster,
            classes,
            _title("3. The check"),
            versions,
            _title("4. One parcel"),
            look,
        ]
    )


class Source(ipywidgets.Tab):
    """Input for parcels of the lake or of a file; `value` is the keyword arguments."""

    def __init__(self, lake: Lake | None = None) -> None:
        self.parcels = ParcelSet(lake)
        self.file = File("parcels", ".zip,.gpkg,.parquet,.geojson")
        super().__init__([self.parcels, self.file], titles=["of the lake", "of a file"])

    @property
    def value(self) -> dict[str, Any]:
        """Keyword arguments vector_file, aoi, year, ptype and lake.

        Raises:
            InvalidInputError: nothing is chosen.
        """
        if self.selected_index == 0:
            return {"vector_file": None, "lake": self.parcels.lake, **self.parcels.value}
        return {"vector_file": self.file.value}


def _title(text: str) -> ipywidgets.HTML:
    return ipywidgets.HTML(f"<h3 style='margin: 12px 0 0'>{text}</h3>")


def _make(source: Source, raster: File, classes: File) -> Panel:
    """Create the raster from the lake, and fill in its path and classes."""

    def make(parcels: ParcelSetKey, method: Any, clusters: int, periods: int, progress: Tell) -> Made:
        return foi.thematic(
            **parcels, method=method, clusters=clusters, periods=periods, lake=source.parcels.lake, progress=progress
        )

    def put(thematic_raster: Made) -> None:
        raster.path.value, classes.path.value = str(thematic_raster.raster), str(thematic_raster.classes)

    methods = [("clusters: pixels alike", "clusters"), ("crops: learnt as declared", "crops")]
    return Panel(
        "make a raster",
        make,
        stops=True,
        context={"parcels": source.parcels},
        after=put,
        render=lambda thematic: rendered(f"{thematic.raster}: {', '.join(thematic.category_map.values())}"),
        method=ipywidgets.Dropdown(options=methods, description="method", style=STYLE),
        clusters=ipywidgets.BoundedIntText(value=6, min=2, max=250, description="clusters", style=STYLE),
        periods=ipywidgets.BoundedIntText(value=8, min=1, max=50, description="periods", style=STYLE),
    )


def _v2(source: Source, raster: File, classes: File, look: Look) -> Panel:
    def check(
        source: dict[str, Any],
        raster: Path,
        classes: Path,
        buffer: float,
        share: tuple[int, int],
        connectivity: int,
        threshold: float,
        progress: Tell,
    ) -> Foi:
        settings = (buffer, *share, connectivity, threshold)
        return foi.v2(source["vector_file"], raster, classes, *settings, **_of_lake(source), progress=progress)

    form = Panel(
        "check",
        check,
        stops=True,
        context={"source": source, "raster": raster, "classes": classes},
        after=lambda result: look.take(result, form),
        render=lambda result: results(result, lambda pid: look.choose(pid, result, form), source.parcels.lake),
        buffer=ipywidgets.BoundedFloatText(value=-10, min=-500, max=0, description="buffer, m", style=STYLE),
        share=_share(),
        connectivity=ipywidgets.Dropdown(options=[8, 4], description="connectivity", style=STYLE),
        threshold=ipywidgets.BoundedFloatText(value=20, min=0, max=1e9, description="clusters, px >", style=STYLE),
    )
    form.listeners.append(look.follow)
    return form


def _v1(source: Source, raster: File, classes: File, look: Look) -> Panel:
    def check(
        source: dict[str, Any], raster: Path, classes: Path, share: tuple[int, int], area: float, progress: Tell
    ) -> Foi:
        return foi.v1(source["vector_file"], raster, classes, *share, area, **_of_lake(source), progress=progress)

    form = Panel(
        "check",
        check,
        stops=True,
        context={"source": source, "raster": raster, "classes": classes},
        after=lambda result: look.take(result, form),
        render=lambda result: results(result, lambda pid: look.choose(pid, result, form), source.parcels.lake),
        share=_share(),
        area=ipywidgets.BoundedFloatText(value=2000, min=0, max=1e12, description="clusters, m² >", style=STYLE),
    )
    form.listeners.append(look.follow)
    return form


def _share() -> ipywidgets.IntRangeSlider:
    return ipywidgets.IntRangeSlider(
        value=(30, 70), min=0, max=100, description="share, %", style=STYLE, layout={"width": "420px"}
    )


def _of_lake(source: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments of a parcel set in the lake; none for a file."""
    return {name: value for name, value in source.items() if name != "vector_file"}


def results(result: Foi, choose: Callable[[str], None], lake: Lake | None) -> ipywidgets.Widget:
    """Results of a check: counts, most suspicious parcels, maps, and files."""
    maps = ipywidgets.Tab(
        [
            parcel_map(*_suspected(result), choose, lake),
            rendered(foi.plot_map(result, "foi_h")),
            rendered(foi.plot_map(result, "foi_c")),
        ],
        titles=["suspected parcels", "foi_h", "foi_c"],
    )
    counted = ipywidgets.HTML(f"<b>{rendered(str(result)).value}</b>")
    return ipywidgets.VBox([counted, maps, rendered(result.ranked(_LISTED)), downloads(result.files.values())])


def _suspected(result: Foi) -> tuple[gpd.GeoSeries, dict[str, str]]:
    """Geometries and colours of flagged parcels, those with both flags first."""
    flags = pc.add(pc.fill_null(result.table["foi_h"], 0), pc.fill_null(result.table["foi_c"], 0)).to_pandas()
    pids = result.source.ids.to_pandas().astype(str)
    order = flags[flags > 0].sort_values(ascending=False, kind="stable").index
    shapes = gpd.GeoSeries(result.source.geometries[order], index=pd.Index(pids[order]), crs=result.source.crs)
    return shapes, {pids[row]: _COLOURS[int(flags[row])] for row in order}


class Look(Panel):
    """View of one parcel of the last check: raster, geometry and clusters; gone when the check is of other inputs."""

    def __init__(self) -> None:
        self.checked: Foi | None = None
        self._form: Panel | None = None
        self.pid = ipywidgets.Combobox(description="parcel", placeholder="check first; type to search", style=STYLE)
        super().__init__("show", self._draw, redraws=True, locked=self.why_locked, pid=self.pid)

    def why_locked(self) -> str:
        """Why no parcel can be shown now; "" if one can."""
        is_old = self._form is not None and self._form.is_old
        return "locked: the check is of other inputs than those above; check again" if is_old else ""

    def follow(self) -> None:
        """Take the view away when the check becomes old."""
        if self.why_locked() and self.result.children:
            self.clear()
        self.refresh()

    def take(self, result: Foi, form: Panel) -> None:
        """Offer the parcels of a check, most suspicious first, and clear the view of another one."""
        self.checked, self._form = result, form
        self.clear()
        ranked = result.ranked()
        self.pid.options = [str(pid) for pid in ranked.column(1).to_pylist()]
        self.pid.value = self.pid.options[0] if self.pid.options else ""

    def choose(self, pid: str, result: Foi, form: Panel) -> None:
        """Select a parcel of a check, unless that is of other inputs."""
        if form.is_old:
            return
        if result is not self.checked:
            self.take(result, form)
        self.pid.value = pid
        self.submit()

    def _draw(self, pid: str) -> Any:
        if self.checked is None:
            raise InvalidInputError("nothing is checked yet; check first, then choose a parcel")
        return foi.plot_clusters(self.checked, pid)
