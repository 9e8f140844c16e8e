"""cbm-lake years: rules over several years, and changes of land use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cbm_lake.cli.shared import Format, Ptype, Shown, err, out, picture_file, say, show, table_file
from cbm_lake.errors import InvalidInputError

if TYPE_CHECKING:
    import pyarrow as pa

app = typer.Typer(no_args_is_help=True, help="Rules over several years, and parcels that resemble no crop.")


class Holds(StrEnum):
    """What a rule may say of a parcel."""

    yes = "yes"
    no = "no"
    cannot_say = "cannot say"


Aoi = Annotated[str, typer.Argument(metavar="AOI", help="Area, for instance ms.")]
Year = Annotated[int, typer.Argument(metavar="YEAR", help="Year of the declaration.")]
To = Annotated[
    Path | None,
    typer.Option(
        "--to", callback=table_file, help="Also write the rows there: .csv, .xlsx, .parquet, .gpkg, .geojson."
    ),
]
Only = Annotated[Holds | None, typer.Option("--only", help="Only the parcels of which the rule says that.")]
Slivers = Annotated[float, typer.Option("--slivers", help="Share of a parcel that is left out of account, 0 to 1.")]
Grass = Annotated[
    list[str] | None,
    typer.Option("--grass", help="What is grass: a code of HCAT, =CODE of the agency, or a word; may be repeated."),
]
Confidence = Annotated[float, typer.Option("--confidence", help="Of a ploughing marker, from which on it counts.")]
_HIDDEN = ["years", "pids_before", "compared_by"]


@app.callback()
def callback() -> None:
    """Rules over several years, and parcels that resemble no crop."""


@app.command("rotation")
def rotation(
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    years: Annotated[int, typer.Option("--years", help="Successive years in which the crop has to change.")] = 2,
    exempt: Annotated[
        list[str] | None,
        typer.Option("--exempt", help="Crops without rotation: code of HCAT, =CODE or word; may be repeated."),
    ] = None,
    digits: Annotated[int, typer.Option("--digits", help="Of HCAT: 6 groups, 8 crops, 10 winter and summer.")] = 8,
    slivers: Slivers = 0.05,
    only: Only = None,
    to: To = None,
    output: Shown = Format.table,
) -> None:
    """Crop rotation (GAEC 7): land with the same crop in successive years."""
    from cbm_lake import years as rules

    with _working():
        findings = rules.rotation(aoi, year, ptype, years=years, exempt=exempt, digits=digits, slivers=slivers)
    _report(findings, only, to, output)


@app.command("grassland")
def grassland(
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    years: Annotated[int, typer.Option("--years", help="Successive years of grass.")] = 5,
    grass: Grass = None,
    slivers: Slivers = 0.05,
    confidence: Confidence = 0.7,
    only: Only = None,
    to: To = None,
    output: Shown = Format.table,
) -> None:
    """Permanent grassland, and what of it was ploughed and resown."""
    from cbm_lake import years as rules

    with _working():
        findings = rules.grassland(aoi, year, ptype, years=years, grass=grass, slivers=slivers, confidence=confidence)
    _report(findings, only, to, output)


@app.command("fallow")
def fallow_again(
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    years: Annotated[int, typer.Option("--years", help="Successive years of fallow.")] = 2,
    fallow: Annotated[
        list[str] | None,
        typer.Option("--fallow", help="What is fallow: a code of HCAT, =CODE or a word; may be repeated."),
    ] = None,
    slivers: Slivers = 0.05,
    only: Only = None,
    to: To = None,
    output: Shown = Format.table,
) -> None:
    """Fallow after fallow."""
    from cbm_lake import years as rules

    with _working():
        findings = rules.fallow(aoi, year, ptype, years=years, fallow=fallow, slivers=slivers)
    _report(findings, only, to, output)


@app.command("sensitive")
def sensitive(
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    areas: Annotated[str | None, typer.Option("--areas", help="Parcel set (ptype) of the sensitive areas.")] = None,
    column: Annotated[str | None, typer.Option("--column", help="Or the column that says it of a parcel.")] = None,
    years: Annotated[int, typer.Option("--years", help="Successive years, in the others no ploughing.")] = 5,
    grass: Grass = None,
    slivers: Slivers = 0.05,
    confidence: Confidence = 0.7,
    only: Only = None,
    to: To = None,
    output: Shown = Format.table,
) -> None:
    """Sensitive grassland (GAEC 9) that was ploughed for the first time."""
    from cbm_lake import years as rules

    with _working():
        findings = rules.sensitive(
            aoi,
            year,
            ptype,
            areas=areas,
            column=column,
            years=years,
            grass=grass,
            slivers=slivers,
            confidence=confidence,
        )
    _report(findings, only, to, output)


@app.command("reference")
def reference(
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    areas: Annotated[str, typer.Option("--areas", help="Parcel set (ptype) of the reference parcels.")] = "reference",
    claimed: Annotated[str | None, typer.Option("--claimed", help="Column of the claimed area in hectares.")] = None,
    buffer: Annotated[float, typer.Option("--buffer", help="Metres along the perimeter that are tolerated.")] = 1.25,
    most: Annotated[float, typer.Option("--most", help="Square metres that are tolerated at most.")] = 10_000,
    only: Only = None,
    to: To = None,
    output: Shown = Format.table,
) -> None:
    """Area grown beyond the reference parcels (LPIS)."""
    from cbm_lake import years as rules

    with _working():
        findings = rules.reference(aoi, year, ptype, areas=areas, claimed=claimed, buffer=buffer, most=most)
    _report(findings, only, to, output)


@app.command("landuse")
def landuse(
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    most: Annotated[int | None, typer.Option("--most", help="Only the first so many candidates.")] = None,
    before: Annotated[bool, typer.Option("--before/--no-before", help="Compare with the year before.")] = True,
    picture: Annotated[
        Path | None, typer.Option("--map", callback=picture_file, help="Draw them on a map: .png, .svg or .pdf.")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", callback=table_file, help="Also write the candidates there: .gpkg, .geojson, .parquet, .csv."
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also show and write the parcels that are no candidates.")
    ] = False,
    output: Shown = Format.table,
) -> None:
    """Rank parcels whose season resembles no crop: water, sealed ground, forest."""
    from cbm_lake import years as rules
    from cbm_lake.years.changed import candidates

    with _working():
        seasons = rules.land_use(aoi, year, ptype, before=before)
        ranked = candidates(seasons, most)
        if picture is not None:
            rules.show_land_use(aoi, year, ptype, rows=seasons, file=picture)
    rows = seasons if every else ranked
    _write(rows, to)
    brief = ["rank", "pid", "crop_name", "kind", "reason", "before", "looks", "area_m2"]
    show(rows.select(brief) if output is Format.table else rows, output, digits={"area_m2": 0})
    if output is Format.table:
        counts = Counter(seasons["verdict"].to_pylist())
        unseen = f"{counts['cannot say']:,} were seen too little"
        say(f"{counts['candidate']:,} candidates of {seasons.num_rows:,} parcels; {unseen}")
        if picture is not None:
            out.print(str(picture), highlight=False, soft_wrap=True)


@contextmanager
def _working() -> Iterator[None]:
    with err.status("comparing years"):
        yield


def _report(findings: pa.Table, only: Holds | None, to: Path | None, output: Format) -> None:
    """Write and show the findings, and count them by rule."""
    import pyarrow.compute as pc

    rows = findings if only is None else findings.filter(pc.equal(findings["holds"], only.value))
    _write(rows, to)
    digits = {"parcel_m2": 0, "area_m2": 0, "most_m2": 0, "share": 2}
    show(rows.drop_columns(_HIDDEN) if output is Format.table else rows, output, digits=digits)
    if output is Format.table:
        counts = Counter(zip(findings["rule"].to_pylist(), findings["holds"].to_pylist(), strict=True))
        for rule in dict.fromkeys(findings["rule"].to_pylist()):
            said = ", ".join(f"{counts[rule, each.value]:,} {each.value}" for each in Holds if counts[rule, each.value])
            say(f"{rule}: {said}")


def _write(rows: pa.Table, to: Path | None) -> None:
    from cbm_lake import years as rules

    if to is None:
        return
    if to.is_dir():
        raise InvalidInputError(f"{to} is a folder; name a file, for instance {to / 'found.gpkg'}")
    count = rules.write(rows, to)
    err.print(f"{count:,} rows written to {to}", highlight=False, soft_wrap=True)
