"""The command line: the same words as the Python verbs; it parses, calls one of them and shows the answer."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from cbm_lake.errors import InvalidInputError, LakeError

if TYPE_CHECKING:
    import pyarrow as pa

    from cbm_lake.card2db import Ingested
    from cbm_lake.extract import Extracted

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Checks by Monitoring on open storage. The workspace is the current folder, or CBM_LAKE_HOME.",
)
card2db_app = typer.Typer(
    no_args_is_help=True, help="Catalogue scenes: from a STAC API, STAC files, SAFE folders, CREODIAS."
)
parcels_app = typer.Typer(no_args_is_help=True, help="Load declared parcels.")
extract_app = typer.Typer(no_args_is_help=True, help="Take the statistics of every parcel in every scene.")
get_app = typer.Typer(no_args_is_help=True, help="Get the data of one parcel; files go to temp/<aoi>/<year>/<pid>/.")
for word, group in {"card2db": card2db_app, "parcels": parcels_app, "extract": extract_app, "get": get_app}.items():
    app.add_typer(group, name=word)

out = Console()
err = Console(stderr=True)

Aoi = Annotated[str, typer.Option("--aoi", help="Area, for instance ms.")]
Year = Annotated[int, typer.Option("--year", help="Year of the declaration.")]
Ptype = Annotated[str | None, typer.Option("--ptype", help="Which of several parcel sets; without it the main one.")]
Start = Annotated[str, typer.Option("--start", help="First day, 2024-03-01.")]
End = Annotated[str, typer.Option("--end", help="Last day, included.")]
CardName = Annotated[str, typer.Option("--card", help="s2 (Sentinel-2), bs (backscatter) or c6 (coherence).")]


class Format(StrEnum):
    """How rows are shown."""

    table = "table"
    csv = "csv"
    json = "json"


Shown = Annotated[Format, typer.Option("--format", help="How rows are shown.")]


def main() -> None:
    """Run the command line; an error of the lake is one line and exit status 1."""
    try:
        app()
    except LakeError as error:
        err.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)


@app.callback()
def settings(
    lake: Annotated[str | None, typer.Option("--lake", help="Folder or URL of the lake; else the workspace's.")] = None,
) -> None:
    """Options of every command."""
    if lake is not None:
        os.environ["CBM_LAKE_LAKE__URL"] = lake


@app.command()
def init() -> None:
    """Make a workspace: config/main.json, temp/ and data/."""
    from cbm_lake.config import Workspace

    workspace = Workspace.here().create()
    out.print(
        f"workspace {workspace.root}: settings in {workspace.config_file}, lake in {workspace.lake_url}", soft_wrap=True
    )


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where to put the sample and its workspace.")] = Path("demo"),
    workers: Annotated[int | None, typer.Option("--workers", help="Processes; one per core without it.")] = None,
) -> None:
    """Run the main job end to end on a generated sample and write a page that shows the result."""
    from cbm_lake.demo import run

    run(folder, workers=workers, console=out)


# -- card2db ------------------------------------------------------------------------------------------------------


@card2db_app.command("stac")
def card2db_stac(
    url: Annotated[str, typer.Argument(help="STAC API, or its short name: earth-search, cdse, planetary-computer.")],
    start: Start,
    end: End,
    aoi: Annotated[str | None, typer.Option("--aoi", help="Area whose parcels the scenes are to cover.")] = None,
    bbox: Annotated[str | None, typer.Option("--bbox", help="Instead: west,south,east,north in degrees.")] = None,
    card: CardName = "s2",
    collection: Annotated[
        str | None, typer.Option("--collection", help="Without it, the provider's usual one.")
    ] = None,
) -> None:
    """Catalogue what a STAC API has."""
    from cbm_lake import card2db

    geometry = _numbers(bbox) if bbox else None
    with _bar("cataloguing scenes") as progress:
        found = card2db.stac(
            aoi=aoi,
            start=start,
            end=end,
            card=card,
            url=url,
            collection=collection,
            geometry=geometry,
            progress=progress,
        )
    _ingested(found)


@card2db_app.command("items")
def card2db_items(
    path: Annotated[str, typer.Argument(help="STAC item, item collection, catalogue, or a folder of items.")],
    card: CardName = "s2",
) -> None:
    """Catalogue static STAC files."""
    from cbm_lake import card2db

    _ingested(card2db.items(path, card=card))


@card2db_app.command("geoparquet")
def card2db_geoparquet(
    path: Annotated[str, typer.Argument(help="STAC-GeoParquet file.")], card: CardName = "s2"
) -> None:
    """Catalogue a STAC-GeoParquet file."""
    from cbm_lake import card2db

    _ingested(card2db.geoparquet(path, card=card))


@card2db_app.command("safe")
def card2db_safe(folder: Annotated[Path, typer.Argument(help="A .SAFE folder, or a folder that holds some.")]) -> None:
    """Catalogue Sentinel-2 products on disk."""
    from cbm_lake import card2db

    with _bar("cataloguing products") as progress:
        found = card2db.safe(folder, progress=progress)
    _ingested(found)


@card2db_app.command("creodias")
def card2db_creodias(
    start: Start,
    end: End,
    aoi: Annotated[str | None, typer.Option("--aoi", help="Area whose parcels the scenes are to cover.")] = None,
    bbox: Annotated[str | None, typer.Option("--bbox", help="Instead: west,south,east,north in degrees.")] = None,
    card: CardName = "s2",
    option: Annotated[
        str | None, typer.Option("--option", help="Product type, instead of the card's usual one.")
    ] = None,
    url: Annotated[str | None, typer.Option("--url", help="Another feed, or a file with a saved answer.")] = None,
) -> None:
    """Catalogue what the OpenSearch feed of CREODIAS has."""
    from cbm_lake import card2db

    geometry = _numbers(bbox) if bbox else None
    with _bar("cataloguing scenes") as progress:
        found = card2db.creodias(None, aoi, start, end, card, option, url=url, geometry=geometry, progress=progress)
    _ingested(found)


def _ingested(found: Ingested) -> None:
    out.print(f"{found.found} scenes found, {found.new} new")
    for reason in found.skipped:
        err.print(f"skipped {reason}", style="yellow", markup=False, soft_wrap=True)


# -- parcels, extract, status -------------------------------------------------------------------------------------


@parcels_app.command("load")
def parcels_load(
    path: Annotated[str, typer.Argument(help="Shapefile (also zipped), GeoPackage, GeoJSON or GeoParquet.")],
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    pid: Annotated[
        str | None, typer.Option("--pid", help="Column of the parcel's identifier; guessed without it.")
    ] = None,
    crop_name: Annotated[str | None, typer.Option("--crop-name", help="Column of the crop's name.")] = None,
    crop_code: Annotated[str | None, typer.Option("--crop-code", help="Column of the crop's code.")] = None,
    layer: Annotated[str | None, typer.Option("--layer", help="Layer of a file that has several.")] = None,
    crs: Annotated[
        str | None, typer.Option("--crs", help="Coordinate system, where the file names none: EPSG:2154.")
    ] = None,
) -> None:
    """Load the declared parcels of an area and year."""
    from cbm_lake import parcels

    with err.status("loading parcels"):
        loaded = parcels.load(
            path, aoi, year, ptype, pid=pid, crop_name=crop_name, crop_code=crop_code, layer=layer, crs=crs
        )
    news = "loaded" if loaded.new else "were there already"
    mended = f", {loaded.repaired} geometries mended" if loaded.repaired else ""
    size = f"{loaded.parcels:,} parcels, {loaded.area_ha:,.1f} ha, EPSG:{loaded.epsg}"
    out.print(f"{size}: {news}{mended} (version {loaded.version})")


def _extract(
    card: str,
    start: Start,
    end: End,
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    bands: Annotated[str | None, typer.Option("--bands", help="B02,B03,… without it the card's usual ones.")] = None,
    cube: Annotated[bool, typer.Option(help="Also keep the pixels round the parcels in the cube.")] = True,
    rule: Annotated[
        str, typer.Option("--rule", help="Which pixels belong to a parcel: centre or coverage.")
    ] = "centre",
    workers: Annotated[
        int | None, typer.Option("--workers", help="Processes here; one per core without it, 0 is none.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", help="Running Dask scheduler, tcp://host:8786.")
    ] = None,
) -> None:
    from cbm_lake import extract

    with err.status("planning: reading headers, indexing parcels"):
        todo = extract.plan(
            card,
            start,
            end,
            aoi=aoi,
            year=year,
            ptype=ptype,
            bands=bands.split(",") if bands else None,
            cube=cube,
            rule=rule,
        )
    out.print(f"{len(todo.jobs)} scenes to extract over {todo.parcel_count:,} parcels, {todo.done} done before")
    with _bar(f"extracting {card}", parcels=todo.parcel_count) as progress:
        done = extract.run(todo, workers=workers, scheduler=scheduler, progress=progress)
    _extracted(done)


def _extracted(done: Extracted) -> None:
    out.print(f"{done.scenes} scenes extracted, {done.rows:,} signatures written")


def _extract_command(card: str, sensor: str) -> None:
    """Give a card its command; the options are those of `_extract`."""
    import functools
    import inspect

    command = functools.partial(_extract, card)
    functools.update_wrapper(command, _extract)
    signature = inspect.signature(_extract, eval_str=True)
    command.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[value for name, value in signature.parameters.items() if name != "card"]
    )
    extract_app.command(card, help=f"Extract {sensor}.")(command)


_extract_command("s2", "Sentinel-2: statistics of the bands and counts of the scene classes")
_extract_command("bs", "Sentinel-1 backscatter")
_extract_command("c6", "Sentinel-1 six-day coherence")


@app.command()
def status(shown: Shown = Format.table) -> None:
    """Say what is catalogued, loaded, extracted and failed, and why."""
    from cbm_lake.lake import open_lake

    lake = open_lake()
    for title, name in {"scenes": "scenes.status", "parcels": "status.parcels", "failed": "scenes.failed"}.items():
        _show(lake.query(name), shown, title)


@app.command()
def compact(card: Annotated[str | None, typer.Argument(help="s2, bs or c6; all without it.")] = None) -> None:
    """Merge signature files into few large ones ordered by parcel: look-ups become fast."""
    from cbm_lake.lake import open_lake

    with err.status("compacting"):
        fewer = open_lake().compact(card)
    out.print(f"{fewer} files fewer")


# -- get, sql, export ---------------------------------------------------------------------------------------------


@get_app.command("parcel-info")
def get_parcel_info(
    aoi: Aoi,
    year: Year,
    pid: Annotated[str | None, typer.Option("--pid", help="Identifier of the parcel.")] = None,
    lon: Annotated[float | None, typer.Option("--lon", help="Or a place: degrees east …")] = None,
    lat: Annotated[float | None, typer.Option("--lat", help="… and degrees north.")] = None,
    polygon: Annotated[
        str | None, typer.Option("--polygon", help="Or a polygon: lon_lat-lon_lat-… or GeoJSON.")
    ] = None,
    ptype: Ptype = None,
    wgs84: Annotated[bool, typer.Option("--wgs84", help="Outline in degrees.")] = False,
) -> None:
    """Show what is declared of a parcel, as JSON."""
    from cbm_lake.get import parcel_info

    if pid is not None:
        answer = parcel_info.by_pid(aoi, year, pid, ptype, wgs84=wgs84)
    elif lon is not None and lat is not None:
        answer = parcel_info.by_location(aoi, year, lon, lat, ptype, wgs84=wgs84)
    elif polygon is not None:
        answer = parcel_info.by_polygon(aoi, year, polygon, ptype, wgs84=wgs84)
    else:
        raise InvalidInputError("which parcel? give --pid, --lon and --lat, or --polygon")
    out.print_json(json.dumps(answer))


@get_app.command("time-series")
def get_time_series(
    aoi: Aoi,
    year: Year,
    pid: Annotated[str, typer.Option("--pid", help="Identifier of the parcel.")],
    tstype: Annotated[str, typer.Option("--tstype", help="s2, bs or c6.")] = "s2",
    ptype: Ptype = None,
    band: Annotated[str, typer.Option("--band", help="One band only.")] = "",
    shown: Shown = Format.table,
) -> None:
    """Show a parcel's statistics over time."""
    import pyarrow as pa

    from cbm_lake.get import time_series

    frame = time_series.by_pid(aoi, year, pid, tstype, ptype, band)
    if "hist" in frame:
        frame["hist"] = frame["hist"].map(json.dumps)
    _show(pa.Table.from_pandas(frame, preserve_index=False), shown)


@app.command()
def sql(
    statement: Annotated[
        str, typer.Argument(help="A SELECT over scenes, parcels, s2, bs, c6, …; or a named query; or `list`.")
    ],
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="name=value of a $name in the statement.")
    ] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="As the lake was at that moment.")] = None,
    shown: Shown = Format.table,
) -> None:
    """Run SQL, or a query of sql/ by its name; `sql list` says which there are and what they answer."""
    from cbm_lake import queries
    from cbm_lake.lake import open_lake

    if statement == "list":
        for query in queries.load().values():
            out.print(f"{query.name}: {query.description}", markup=False, soft_wrap=True)
        return
    lake = open_lake(as_of=as_of)
    ask = lake.query if statement in queries.load() else lake.sql
    _show(ask(statement, **_params(param)), shown)


@app.command()
def export(
    what: Annotated[str, typer.Argument(help="A view (s2, parcels, …), a named query, or a SELECT.")],
    path: Annotated[Path, typer.Argument(help="File to write: .parquet, .csv, .gpkg, .geojson, .arrow.")],
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="name=value of a $name in the statement.")
    ] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="As the lake was at that moment.")] = None,
) -> None:
    """Write rows of the lake to a file for other tools."""
    from cbm_lake.lake import open_lake

    with err.status(f"writing {path}"):
        rows = open_lake(as_of=as_of).export(what, path, **_params(param))
    out.print(f"{rows:,} rows written to {path}", soft_wrap=True)


# -- showing ------------------------------------------------------------------------------------------------------


def _params(pairs: list[str] | None) -> dict[str, Any]:
    """name=value options; null, true, false, lists and quoted text are read as JSON.

    Everything else is text, which SQL takes as a number where it wants one: a pid 0012 or 1200 stays as written.
    """
    values: dict[str, Any] = {}
    for pair in pairs or []:
        name, sign, text = pair.partition("=")
        if not sign:
            raise InvalidInputError(f"--param {pair!r} is not of the form name=value")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        values[name] = text if isinstance(value, (int, float)) and not isinstance(value, bool) else value
    return values


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError as error:
        raise InvalidInputError(f"{text!r} is no box; write west,south,east,north in degrees") from error


def _show(rows: pa.Table, shown: Format, title: str | None = None) -> None:
    if shown is Format.csv:
        import pyarrow.csv

        from cbm_lake.export import as_text

        pyarrow.csv.write_csv(as_text(rows), sys.stdout.buffer)
    elif shown is Format.json:
        for row in rows.to_pylist():
            sys.stdout.write(json.dumps(_plain(row)) + "\n")
    else:
        table = Table(*rows.column_names, title=title, title_justify="left")
        for row in rows.slice(0, 200).to_pylist():
            table.add_row(*(Text(_cell(value)) for value in row.values()))
        out.print(table if rows.num_rows else f"{title or 'answer'}: no rows")
        if rows.num_rows > 200:
            out.print(f"… {rows.num_rows - 200:,} more rows; --format csv or `export` gives all")


def _plain(value: Any) -> Any:
    """A value as JSON can say it: times as text, NaN, which JSON does not know, as null."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value if isinstance(value, (str, int, type(None))) else _cell(value)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else str(value)


@contextmanager
def _bar(title: str, *, parcels: int = 0) -> Iterator[Any]:
    """A progress bar to call with (done, total); it says the rate in parcels where their number is given."""
    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    columns += [TextColumn("{task.fields[rate]}"), TimeElapsedColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=err) as progress:
        task = progress.add_task(title, total=None, rate="")

        def advance(done: int, total: int) -> None:
            elapsed = progress.tasks[0].elapsed or 0
            rate = f"{done * parcels / elapsed:,.0f} parcels/s" if parcels and elapsed else ""
            progress.update(task, completed=done, total=total or None, rate=rate)

        yield advance


if __name__ == "__main__":
    main()
