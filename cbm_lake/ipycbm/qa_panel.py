"""Widget for quality assessment: validate tables, draw the sample, record the inspection, or run it all."""

from __future__ import annotations

import html
import re
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import geopandas as gpd
import ipywidgets
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake import qa, show
from cbm_lake.cards import palette
from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.ipycbm import changes
from cbm_lake.ipycbm.choice import STYLE, WIDE, ParcelSet, ParcelSetKey, offer
from cbm_lake.ipycbm.files import File, downloads
from cbm_lake.ipycbm.panel import Panel, rendered
from cbm_lake.ipycbm.parcel_map import parcel_map
from cbm_lake.lake import Lake, open_lake
from cbm_lake.progress import Tell
from cbm_lake.qa.inspection import VERDICTS
from cbm_lake.qa.sample import OUTPUT
from cbm_lake.qa.targets import RULES

_TABLES: Final = ("gsa", "lpis", "gsa_lpis", "inter", "ua", "regions")
_COVERAGE: Final = (("takes no part", 0), ("covered parcels first", 1), ("covered parcels only", 2))
_NAME: Final = re.compile(r"(.+)_extracted_sample_\d{4}-\d\d-\d\d_\d{6}\.parquet")
"""Of a sample's file, and in it what the sample is called."""
_COLOURS: Final = {
    None: palette.PALE,
    "conforming": palette.GOOD,
    "nonconforming": palette.BAD,
    "inconclusive": palette.DOUBTFUL,
}


def panel(lake: Lake | None = None) -> ipywidgets.Widget:
    """Build the widget: one tab per step."""
    desk = Desk(lake)
    tabs = {
        "validate": _validate(),
        "sample": _sample(desk),
        "inspect": desk,
        "guide": _guide(lake),
    }
    return ipywidgets.Tab(list(tabs.values()), titles=list(tabs))


def _validate() -> Panel:
    table_file = File("table", ".csv,.parquet,.gpkg,.zip")

    def validate(
        table: Path, table_type: str, interventions: Path | None, population: Path | None, progress: Tell
    ) -> qa.Validation:
        return qa.validate(table, table_type, interventions, population, progress)

    return Panel(
        "validate",
        validate,
        stops=True,
        render=_findings,
        table=table_file,
        table_type=ipywidgets.Dropdown(options=_TABLES, description="of type", style=STYLE),
        interventions=File("interventions", ".csv,.parquet", needed=False),
        population=File("parcels", ".csv,.parquet,.gpkg,.zip", needed=False),
    )


def _findings(validation: qa.Validation) -> ipywidgets.Widget:
    """Results of each step, the findings, and the report files."""
    folder = Path(tempfile.mkdtemp(prefix="report-", dir=Workspace.here().create().temp))
    files = [folder / f"validation{extension}" for extension in (".html", ".json", ".parquet")]
    for path in files:
        validation.write(path)
    steps = "".join(f"<li>{html.escape(str(step))}</li>" for step in validation.steps)
    rows = validation.findings.select(["severity", "table", "column", "count", "message"])
    summary = ipywidgets.HTML(f"<b>{html.escape(validation.summary)}</b><ol>{steps}</ol>")
    return ipywidgets.VBox([summary, rendered(rows), downloads(files)])


def _sample(desk: Desk) -> Panel:
    """Draw a sample and open it for inspection."""

    def draw(parcels: Path, targets: Path | None, holding_groups: str, extraction_id: str, **options: Any) -> qa.Sample:
        groups = [group.strip() for group in holding_groups.split(",") if group.strip()]
        named: dict[str, Any] = {"extraction_id": extraction_id.strip() or None, "holding_groups": groups}
        return qa.sample(parcels, targets, **named, **options)

    return Panel(
        "draw the sample",
        draw,
        redraws=False,
        render=_sample_summary,
        changed=("samples",),
        after=lambda sample: desk.take(sample.extraction_id),
        parcels=File("parcel list", ".csv,.parquet"),
        targets=File("targets", ".csv,.parquet", needed=False),
        target_rule=ipywidgets.Dropdown(options=list(RULES), description="target rule", style=STYLE),
        raise_by=ipywidgets.BoundedFloatText(value=0, min=-100, max=1000, description="raised by, %", style=STYLE),
        three_percent=ipywidgets.Checkbox(value=False, description="from 3 % of the holdings", style=STYLE),
        covered_priority=ipywidgets.Dropdown(options=_COVERAGE, description="coverage", style=STYLE),
        noncontributing=ipywidgets.Dropdown(
            options=[("leaves the list", 0), ("keeps its best parcel", 1)], description="full holding", style=STYLE
        ),
        holding_groups=ipywidgets.Text(description="whole holdings", placeholder="groups, with commas", style=STYLE),
        extraction_id=ipywidgets.Text(description="name", placeholder="made up where empty", style=STYLE),
    )


def _sample_summary(sample: qa.Sample) -> ipywidgets.Widget:
    summary = f"sample {sample.extraction_id}: {sample.totals.selected_parcels:,} of {sample.totals.parcels:,} parcels"
    return ipywidgets.VBox(
        [
            ipywidgets.HTML(f"<b>{html.escape(summary)}</b>"),
            rendered(sample.buckets),
            rendered(qa.plot_buckets(sample)),
            downloads(sample.files.values()),
        ]
    )


def samples() -> list[str]:
    """Names of the samples in output/, newest first."""
    files = sorted((Workspace.here().root / OUTPUT).glob("*.parquet"), key=lambda path: path.stat().st_mtime)
    names = [match[1] for path in reversed(files) if (match := _NAME.fullmatch(path.name))]
    return list(dict.fromkeys(names))


@dataclass(frozen=True)
class Opened:
    """An open sample and its inspection progress."""

    sample: str
    key: ParcelSetKey
    """Of the parcel set."""
    judged: pa.Table
    counts: pa.Table


class Seen:
    """Form input that holds the parcel whose images are displayed, for the verdict."""

    watched = ()

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @property
    def value(self) -> dict[str, Any] | str:
        """Parcel, sample and area of the displayed images; or why there are none."""
        return self._desk.inspected or self._desk.why_locked()


class Desk(ipywidgets.VBox):
    """Inspection of a sample: progress, one parcel, its verdict; then the next."""

    def __init__(self, lake: Lake | None = None) -> None:
        self.lake = lake
        self.parcels = ParcelSet(lake)
        self.sample = ipywidgets.Dropdown(options=samples(), description="sample", style=STYLE)
        self.pid = ipywidgets.Combobox(description="parcel", placeholder="type to search", style=STYLE)
        self.opened: str | None = None
        """The sample whose parcels are on the map and in the list."""
        quality = ipywidgets.BoundedFloatText(value=0, min=0, max=99, description="limiting %", style=STYLE)
        key = {"key": self.parcels, "sample": self.sample}
        self.look = Panel("look", self._look, redraws=True, beside=key, pid=self.pid)
        self.stand = Panel(
            "open",
            self._open,
            render=self._overview,
            after=lambda _: self._show(),
            context={"key": self.parcels},
            sample=self.sample,
            limiting_quality=quality,
        )
        self.record = Panel(
            "record",
            self._record,
            fleeting=True,
            changed=("verdicts",),
            after=lambda _: self._next(),
            locked=self.why_locked,
            context={"inspected": Seen(self)},
            verdict=ipywidgets.ToggleButtons(options=VERDICTS, value=None),
            note=ipywidgets.Textarea(placeholder="note", layout=WIDE),
            who=ipywidgets.Text(description="inspector", placeholder="the user of the settings", style=STYLE),
        )
        self.look.listeners.append(self.record.refresh)
        self.pid.observe(self._unchoose, "value")
        super().__init__([self.parcels, self.stand, self.look, self.record])
        changes.subscribe(self.refresh, "samples")

    @property
    def inspected(self) -> dict[str, Any] | None:
        """Parcel, sample and area of the displayed images, if the form agrees; else None."""
        return self.look.result_values if self.opened == self.sample.value else None

    def why_locked(self) -> str:
        """Why no verdict can be recorded now; "" if one can."""
        pid = self.pid.value
        if self.look.busy:
            return f"locked: the pictures of parcel {pid} are loading"
        if self.opened is not None and self.opened != self.sample.value:
            return f"locked: the parcels are of sample {self.opened}, the form says {self.sample.value}; press open"
        if not self.look.result.children:
            return "locked: no pictures are shown; press look"
        if self.look.result_values is None:
            return f"locked: the pictures are not those of parcel {pid or '(none)'} as the form says it; press look"
        return ""

    def _unchoose(self, _: object) -> None:
        """Reset the verdict when the parcel changes."""
        self.record.inputs["verdict"].value = None

    def refresh(self) -> None:
        """Reload the available samples."""
        offer(self.sample, samples())

    def take(self, sample: str) -> None:
        """Select a sample that was drawn."""
        self.refresh()
        self.sample.value = sample

    def choose(self, pid: str) -> None:
        """Open a parcel of the map, if that is of what the form says."""
        if self.stand.is_old:
            self.look.say("this map is not of the sample and the area that the form says; press open")
            return
        self.pid.value = pid
        self.look.submit()

    def _open(self, key: ParcelSetKey, sample: str | None, limiting_quality: float) -> Opened:
        """Verdicts and counts by group; opens the first parcel without a verdict."""
        if not sample:
            raise InvalidInputError("there is no sample yet; draw one first")
        judged = qa.verdicts(sample, lake=self.lake)
        still = [row["gsa_par_id"] for row in judged.to_pylist() if row["verdict"] is None]
        all_pids = dict.fromkeys([*still, *judged["gsa_par_id"].to_pylist()])
        self.pid.options = list(all_pids)
        if self.pid.value not in still:
            self.pid.value = next(iter(all_pids), "")
        self.opened = sample
        counts = qa.inspection_counts(sample, limiting_quality=limiting_quality or None, lake=self.lake)
        return Opened(sample, key, judged, counts)

    def _show(self) -> None:
        self.look.submit()

    def _overview(self, opened: Opened) -> ipywidgets.Widget:
        pids, verdicts = (opened.judged[name].to_pylist() for name in ("gsa_par_id", "verdict"))
        verdict = dict(zip(pids, verdicts, strict=True))
        colours = {pid: _COLOURS[verdicts] for pid, verdicts in verdict.items()}
        legend = " · ".join(f'<b style="color: {colour}">{name or "open"}</b>' for name, colour in _COLOURS.items())
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{opened.sample}_verdicts.csv"
            qa.export_verdicts(opened.sample, path, lake=self.lake)
            handed = downloads([path])
        view = parcel_map(self._geometries(opened.key, list(verdict)), colours, self.choose, self.lake)
        return ipywidgets.VBox([ipywidgets.HTML(legend), view, rendered(opened.counts), handed])

    def _geometries(self, key: ParcelSetKey, pids: list[str]) -> gpd.GeoSeries:
        """Geometries of the parcels that are in the lake."""
        lake = self.lake or open_lake()
        try:
            rows = lake.read_parcels(lake.parcel_set(**key), ["id", "geometry", "epsg"])
        except (NotFoundError, InvalidInputError):  # a sample needs no lake
            return gpd.GeoSeries([], crs=4326)
        rows = rows.filter(pc.is_in(rows["id"], pa.array(pids, pa.string())))
        crs = rows["epsg"][0].as_py() if rows.num_rows else 4326
        return gpd.GeoSeries.from_wkb(rows["geometry"].to_numpy(), index=rows["id"].to_pandas(), crs=crs)

    def _look(self, pid: str) -> Any:
        if not pid:
            raise InvalidInputError("no parcel is chosen; open a sample, then click on the map or type")
        key = self.look.asked["key"]
        if isinstance(key, InvalidInputError):
            raise key
        figures = show.parcel_info.by_pid, show.time_series.ndvi
        of: dict[str, Any] = {"lake": self.lake} if self.lake else {}
        return [figure(key["aoi"], key["year"], pid, key["ptype"], **of) for figure in figures]

    def _record(self, inspected: dict[str, Any] | str, verdict: str | None, note: str, who: str) -> str:
        """Record a verdict on what was displayed when the button was pressed."""
        if verdict is None:
            raise InvalidInputError(f"no verdict is chosen; take {', '.join(VERDICTS)}")
        if isinstance(inspected, str):
            raise InvalidInputError(inspected)
        qa.inspect(
            inspected["sample"], inspected["pid"], verdict, note.strip(), who=who.strip() or None, lake=self.lake
        )
        return f"{inspected['pid']} of sample {inspected['sample']}: {verdict}"

    def _next(self) -> None:
        """Move to the next parcel without a verdict; the last one's images are cleared lest they be judged."""
        self.look.clear()
        self.record.inputs["verdict"].value, self.record.inputs["note"].value = None, ""
        self.stand.submit()


def _guide(lake: Lake | None = None) -> Panel:
    """Run the workflow as far as possible and report what is missing."""

    def go(aoi: str, year: int, workers: int, progress: Tell, **settings: str) -> str:
        def named(step: str, done: int, total: int) -> None:
            progress(done, total, step)

        options: dict[str, Any] = {name: value.strip() or None for name, value in settings.items()}
        steps = qa.workflow(aoi, year, workers=workers, lake=lake, progress=named, **options)
        return "\n".join(map(str, steps))

    def field(label: str, hint: str) -> ipywidgets.Text:
        return ipywidgets.Text(description=label, placeholder=hint, style=STYLE, layout={"width": "520px"})

    return Panel(
        "go on",
        go,
        stops=True,
        changed=("parcels", "scenes", "signatures", "samples", "folders"),
        render=lambda text: ipywidgets.HTML(f"<pre>{html.escape(text)}</pre>"),
        aoi=field("area", "two letters, for instance"),
        year=ipywidgets.IntText(value=date.today().year, description="year", style=STYLE),
        parcels=field("parcels", "file of the declared parcels; empty where they are in the lake"),
        pid=field("identifier", "its column"),
        scenes=field("scenes", "folder of SAFE products, STAC file, .parquet, or a STAC API"),
        start=field("first day", "2024-03-01"),
        end=field("last day", "2024-10-31"),
        sample=field("sample", "its name; its parcels are got and viewed"),
        workers=ipywidgets.BoundedIntText(value=0, min=0, max=256, description="processes", style=STYLE),
    )
