"""Runs the main workflow end to end on the generated sample, step by step."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from cbm_lake import card2db, extract, parcels, zonal
from cbm_lake.config import Workspace
from cbm_lake.demo import page, sample
from cbm_lake.demo.plots import SCREEN, Views
from cbm_lake.errors import InvalidInputError
from cbm_lake.files import installed
from cbm_lake.lake import Lake, open_lake, queries

AOI, YEAR, FIRST, LAST = "demo", 2024, "2024-03-01", "2024-10-31"
CARDS: Final = {"s2": "Sentinel-2", "bs": "Sentinel-1 backscatter", "c6": "Sentinel-1 coherence"}
QUESTION: Final = "time_series.crop_months"
"""The query that is shown with its answer."""
ROWS_SHOWN: Final = 8


@dataclass
class _Step:
    """One step under way."""

    progress: Progress
    task: TaskID
    outcome: str = ""
    """What came of it; the step says so itself."""
    new: bool = True
    """False where all was there already."""

    def advance(self, done: int, total: int, rate: str = "") -> None:
        """Move the bar."""
        self.progress.update(self.task, completed=done, total=total or None, rate=rate)

    def done(self, outcome: str, *, new: bool) -> None:
        """Report the result of a step."""
        self.outcome, self.new = outcome, new


class _Steps:
    """The steps so far, shown on a console."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.seconds: dict[str, float] = {}
        self.news = False
        """Whether any step had something to do."""

    @contextmanager
    def __call__(self, title: str) -> Iterator[_Step]:
        """A step with its bar, which gives way to a line that says what came of it and how long it took."""
        columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
        columns += [TextColumn("{task.fields[rate]}"), TimeElapsedColumn()]
        started = time.perf_counter()
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as progress:
            step = _Step(progress, progress.add_task(title, total=None, rate=""))
            yield step
        self.seconds[title] = seconds = time.perf_counter() - started
        self.news |= step.new
        line = f"[green]✓[/] {title:<34} {step.outcome:<58} [dim]{seconds:5.1f} s[/]"
        self.console.print(line, highlight=False, soft_wrap=True)


def run(folder: Path, *, workers: int | None = None, console: Console, size: int = 480, dates: int = 24) -> Path:
    """Generate the sample and its workspace, run the main workflow on it, and return the path of the page.

    A second time in the same folder adds nothing.

    Args:
        folder: where sample, workspace and results go; it becomes the workspace of this process.
        workers: processes; None is one per core, 0 is this process itself.
        console: where progress and results are shown.
        size: width of the invented place in pixels of 10 m.
        dates: number of Sentinel-2 scenes.

    Raises:
        InvalidInputError: the folder holds another sample.
    """
    root = folder.resolve()
    os.environ["CBM_LAKE_HOME"] = str(root)
    workspace = Workspace.here().create()
    lake = open_lake(str(workspace.data / "lake"))  # its own, whatever the settings say: these parcels are invented
    console.print(f"[bold]cbm-lake demo[/] in {root}", highlight=False, soft_wrap=True)
    steps = _Steps(console)
    written = _sample(steps, root / "sample", size=size, dates=dates)
    _catalogue(steps, lake, written)
    _extract(steps, lake, workers)
    _compact(steps, lake)
    files = _write(steps, lake, written, root)
    _summarise(steps, lake, root)
    _ask(console, lake)
    _point(console, lake, folder, files, news=steps.news)
    return files["page"]


# -- steps --------------------------------------------------------------------------------------------------------


def _sample(steps: _Steps, folder: Path, *, size: int, dates: int) -> sample.Sample:
    """The sample, generated unless a mark says that this very one is there."""
    mark = folder / "complete.json"
    meant = {"folder": str(folder), "size": size, "dates": dates, "version": installed.version()}
    with steps("generating the sample") as step:
        former = json.loads(mark.read_text("utf-8")) if mark.exists() else None
        if former not in (None, meant):
            raise InvalidInputError(
                f"{folder} holds another sample (size {former['size']}, {former['dates']} dates, "
                f"made in {former['folder']} by version {former['version']}); "
                f"delete {folder.parent} or choose another folder"
            )
        if former is None:
            sample.write(folder, size=size, dates=dates, progress=step.advance)
            mark.write_text(json.dumps(meant), encoding="utf-8")
        step.done("images, parcels, truth: " + ("there already" if former else "written"), new=not former)
    return sample.Sample(
        folder,
        folder / "parcels.gpkg",
        folder / "truth.parquet",
        folder / "events.parquet",
        {card: folder / f"{card}.json" for card in CARDS},
    )


def _catalogue(steps: _Steps, lake: Lake, written: sample.Sample) -> None:
    """Scenes and parcels into the lake."""
    for card, title in CARDS.items():
        with steps(f"cataloguing {title}") as step:
            ingested = card2db.items(written.items[card], card=card, lake=lake, progress=step.advance)
            step.done(f"{ingested.found} scenes, {_new(ingested.new)}", new=ingested.new > 0)
    with steps("loading parcels") as step:
        loaded = parcels.load(
            written.parcels, AOI, YEAR, pid="parcel_id", crop_name="crop_name", crop_code="crop_code", lake=lake
        )
        step.done(f"{loaded.parcels} parcels, {loaded.area_ha:,.0f} ha, {_new(loaded.new)}", new=loaded.new)


def _extract(steps: _Steps, lake: Lake, workers: int | None) -> None:
    """Every parcel's statistics of every scene; the processes are started once for all cards."""
    if steps.news or lake.query("status.extraction", aoi=AOI, year=YEAR).num_rows < len(CARDS):
        with steps("compiling the kernels") as step:
            seconds = zonal.warm_up()
            step.done("compiled for this machine, once" if seconds > 5 else "ready", new=False)
    plans = {}
    for card, title in CARDS.items():
        with steps(f"planning {title}") as step:
            plans[card] = plan = extract.plan(card, FIRST, LAST, aoi=AOI, year=YEAR, lake=lake)
            step.done(f"{len(plan.jobs)} scenes to extract, {plan.done} done before", new=bool(plan.jobs))
    with _cluster(steps, workers, max(len(plan.jobs) for plan in plans.values())) as scheduler:
        for card, plan in plans.items():
            if plan.jobs or plan.failed:
                _run(steps, plan, f"extracting {CARDS[card]}", scheduler)


def _run(steps: _Steps, plan: extract.Plan, title: str, scheduler: str | None) -> None:
    """Carry out one plan."""
    with steps(title) as step:
        started = time.perf_counter()

        def advance(done: int, total: int) -> None:
            speed = done * plan.parcel_count / (time.perf_counter() - started)
            step.advance(done, total, f"{speed:,.0f} parcels/s")

        result = extract.run(plan, workers=0, scheduler=scheduler, progress=advance)
        speed = result.scenes * plan.parcel_count / (time.perf_counter() - started)
        step.done(f"{result.scenes} scenes, {result.rows:,} signatures, {speed:,.0f} parcels/s", new=True)


@contextmanager
def _cluster(steps: _Steps, workers: int | None, jobs: int) -> Iterator[str | None]:
    """The address of a Dask scheduler with processes on this machine, or None where none are needed."""
    if workers == 0 or not jobs:
        yield None
        return
    import logging

    from distributed import LocalCluster

    with steps("starting worker processes") as step:
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
            host="127.0.0.1",
            silence_logs=logging.ERROR,
            env=Workspace.here().environment(),
        )
        step.done(f"{len(cluster.workers)} on this machine", new=True)
    with cluster:
        yield cluster.scheduler_address


def _compact(steps: _Steps, lake: Lake) -> None:
    with steps("compacting") as step:
        merged = lake.compact()
        step.done(f"{merged} files merged" if merged else "nothing to merge", new=merged > 0)


def _write(steps: _Steps, lake: Lake, written: sample.Sample, root: Path) -> dict[str, Path]:
    """The page, and Parquet for other tools."""
    files = {
        "page": root / "report.html",
        "signatures": root / "export" / "signatures_s2.parquet",
        "parcels": root / "export" / "parcels_ndvi.parquet",
    }
    if not steps.news and all(file.exists() for file in files.values()):
        return files
    with steps("drawing the page") as step:
        page.write(Views(lake, written.folder, AOI, YEAR), files["page"])
        step.done(f"{files['page'].stat().st_size / 1e6:.1f} MB", new=False)
    with steps("exporting Parquet") as step:
        rows = lake.export("s2", files["signatures"])
        lake.export("parcels.latest_ndvi", files["parcels"], aoi=AOI, year=YEAR, screen=list(SCREEN))
        step.done(f"{rows:,} signatures, and the parcels with their latest NDVI", new=False)
    return files


def _new(count: int) -> str:
    """Whether something came in, in words."""
    if isinstance(count, bool):
        return "new" if count else "there already"
    return f"{count} new" if count else "all there already"


# -- results ------------------------------------------------------------------------------------------------------


def _summarise(steps: _Steps, lake: Lake, root: Path) -> None:
    """A short table of what the lake holds."""
    cards = lake.query("status.extraction", aoi=AOI, year=YEAR).to_pylist()
    declared = lake.query("parcels.crops", aoi=AOI, year=YEAR).to_pylist()
    stored = [file.stat().st_size for file in (root / "data" / "lake" / "cubes").rglob("*") if file.is_file()]
    table = Table(show_header=False, title="what the lake holds", title_justify="left", title_style="bold")
    table.add_column()
    table.add_column(justify="right")
    table.add_row("scenes", " + ".join(f"{row['scenes']} {row['card']}" for row in cards))
    table.add_row("parcels", f"{sum(row['parcels'] for row in declared):,} of {len(declared)} crops")
    table.add_row("signatures, one per parcel and scene", f"{sum(row['signatures'] for row in cards):,}")
    table.add_row("statistics, eight per signature and band", f"{sum(row['statistics'] for row in cards) * 8:,}")
    table.add_row("cube", f"{sum(stored) / 1e6:.0f} MB in {len(stored)} files")
    table.add_row("seconds, all steps", f"{sum(steps.seconds.values()):.1f}")
    steps.console.print(table)


def _ask(console: Console, lake: Lake) -> None:
    """A question in SQL and the beginning of its answer."""
    rows = lake.query(QUESTION, aoi=AOI, year=YEAR, screen=list(SCREEN))
    table = Table(*rows.column_names, caption=f"first {ROWS_SHOWN} of {rows.num_rows} rows", caption_justify="left")
    for row in rows.slice(0, ROWS_SHOWN).to_pylist():
        table.add_row(*(str(value) for value in row.values()))
    console.print(f"\n[bold]a question in SQL[/] (sql/{QUESTION.replace('.', '/')}.sql)", highlight=False)
    console.print(queries.get(QUESTION).sql.strip(), style="cyan", markup=False, highlight=False, soft_wrap=True)
    console.print(table)


def _point(console: Console, lake: Lake, folder: Path, files: dict[str, Path], *, news: bool) -> None:
    """Say where everything lies and what to try next."""
    if not news:
        console.print("\nEverything was there already.")
    places = {
        "page": files["page"],
        "Parquet": files["signatures"],
        "GeoParquet": files["parcels"],
        "lake": lake.url,
    }
    console.print()
    for name, path in places.items():
        console.print(f"[bold]{name:<11}[/]{path}", highlight=False, soft_wrap=True)
    here, first = shlex.quote(str(folder)), lake.sql("select min(pid) as pid from parcels")["pid"][0].as_py()
    console.print("\ntry next:", highlight=False)
    program = "cbm-lake" if shutil.which("cbm-lake") else os.path.relpath(Path(sys.executable).with_name("cbm-lake"))
    season = shlex.quote(str(folder / "sample" / "season.yaml"))
    commands = {
        "status": "what the lake has",
        f"get time-series --aoi {AOI} --year {YEAR} --pid {first}": "a parcel's season",
        f"run {season}": "a night: farm work and traffic lights",
        "app": "the workbench, in a browser",
    }
    for command, purpose in commands.items():
        console.print(f"  CBM_LAKE_HOME={here} {program} {command}  # {purpose}", highlight=False, soft_wrap=True)
