"""`workflow`: runs the steps from a parcel file to images of the sampled parcels.

    connect ─► parcels ─► tables ─► catalogue ─► configure ─► extract ─► get ─► view

What is done is seen from the lake, and what was asked for is kept in config/, so that the same call goes on where an
earlier one ended. A step that lacks something says what, and the way ends there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from cbm_lake import card2db, cards, extract, get, parcels
from cbm_lake.config import Workspace
from cbm_lake.errors import ConfigError, InvalidInputError, NotFoundError
from cbm_lake.extract.planning import days
from cbm_lake.files import durable
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.arguments import checked
from cbm_lake.progress import Tell, reported
from cbm_lake.qa.inspection import sampled_parcels
from cbm_lake.qa.plots import plot_ndvi

Progress = Callable[[str, int, int], None]
"""Called with the step's name, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Settings:
    """Settings of the workflow, which may be completed step by step."""

    parcels: str | None = None
    """File of the declared parcels."""
    pid: str | None = None
    """Its column of the identifier."""
    scenes: str | None = None
    """Where scenes are catalogued from: a folder of SAFE products, STAC files, a .parquet, or a STAC API."""
    start: str | None = None
    """First day."""
    end: str | None = None
    """Last day."""
    bands: tuple[str, ...] | None = None
    """Without them the usual ones."""
    sample: str | None = None
    """extraction_id of a sample, whose parcels are got and viewed; takes the place of earlier pids."""
    pids: tuple[str, ...] | None = None
    """Instead of a sample: these parcels; takes the place of an earlier sample."""


class _LackingError(NotFoundError):
    """A required setting is missing."""


@dataclass(frozen=True)
class Step:
    """One step and its status."""

    name: str
    status: str
    """done, or missing."""
    message: str
    """What was done, or what is missing."""

    def __str__(self) -> str:
        return f"{self.name}: {self.status} - {self.message}"


@dataclass(frozen=True)
class _Way:
    """Context shared by the steps."""

    lake: Lake
    aoi: str
    year: int
    ptype: str | None
    settings: Settings
    workers: int | None
    progress: Progress | None

    def need(self, *names: str) -> None:
        """Raise NotFoundError unless all those settings are given."""
        missing = [f"{name}=" for name in names if getattr(self.settings, name) is None]
        if missing:
            raise _LackingError(f"give {' and '.join(missing)}")

    def progress_of(self, step: str) -> Callable[[int, int], None]:
        """Progress callback of a step."""
        return lambda done, total: self.progress(step, done, total) if self.progress else None

    def pids(self) -> list[str]:
        """Parcels to get and to view, limited by the settings."""
        if self.settings.pids:
            return list(self.settings.pids)
        if self.settings.sample is None:
            raise _LackingError("which parcels? give the name of a sample that was drawn, or parcels")
        return sampled_parcels(self.settings.sample)[: Workspace.here().config.set.plimit]


@checked
def workflow(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    workers: int | None = None,
    lake: Lake | None = None,
    progress: Progress | Literal["auto"] | None = "auto",
    **settings: Any,
) -> list[Step]:
    """Run as many steps as the settings allow; the last step in the list is the first that lacks something.

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set; None is the main one.
        workers: processes for the extraction; see `extract.extract`.
        lake: the lake; None is the workspace's.
        progress: called from steps that take long; "auto" is a bar in a notebook or on a terminal, None is nothing.
        settings: of `Settings`; they are kept for later calls with the same aoi, year and ptype, those excepted that
            the step which ended the way could not use.

    Raises:
        InvalidInputError: a setting is unknown or wrong, or a step refuses its input.
        SourceError: a file, server or scene failed.
    """
    lake = lake_or_default(lake)
    aoi, year, kind = parcels.check_set(aoi, year, ptype)
    file = Workspace.here().config_file.with_name("_".join(filter(None, ["workflow", aoi, str(year), kind])) + ".json")
    stored = _stored_settings(file)
    merged = _with(stored, settings)
    with reported("auto" if progress == "auto" else None, "workflow") as tell:
        callback = progress if callable(progress) else partial(_named, tell)
        return _gone(_Way(lake, aoi, year, kind or None, merged, workers, callback), stored, file)


def _named(tell: Tell, step: str, done: int, total: int) -> None:
    tell(done, total, step)


def _gone(way: _Way, stored: Settings, file: Path) -> list[Step]:
    """Go the steps until one lacks something."""
    steps: list[Step] = []
    useless: tuple[str, ...] = ()
    try:
        for name, step in STEPS.items():
            useless = _USED.get(name, ())
            steps.append(Step(name, "done", step(way)))
        useless = ()
    except _LackingError as lacking:
        useless = ()
        steps.append(Step(name, "missing", str(lacking)))
    except NotFoundError as error:
        steps.append(Step(name, "missing", error.plain))
    finally:
        _keep(file, replace(way.settings, **{name: getattr(stored, name) for name in useless}))
    return steps


def _stored_settings(file: Path) -> Settings:
    """Settings of earlier calls."""
    try:
        return Settings(**json.loads(file.read_text("utf-8"))) if file.exists() else Settings()
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{file} cannot be read ({error}); mend or delete it") from error


def _with(stored: Settings, changes: dict[str, Any]) -> Settings:
    """Merge settings with those of this call."""
    names = {item.name for item in fields(Settings)}
    if unknown := sorted(set(changes) - names):
        raise InvalidInputError(f"no setting {', '.join(unknown)}; there are: {', '.join(sorted(names))}")
    fresh = {name: value for name, value in changes.items() if value is not None}
    if fresh.get("sample") and fresh.get("pids"):
        raise InvalidInputError("a sample and parcels are given; give one of them")
    if "sample" in fresh or "pids" in fresh:
        stored = replace(stored, sample=None, pids=None)
    settings = replace(stored, **fresh)
    if fresh.get("bands"):
        cards.S2.check_bands(tuple(fresh["bands"]))
    if settings.start and settings.end:
        days(settings.start, settings.end)
    return settings


def _keep(file: Path, settings: Settings) -> None:
    """Store the settings for later calls, if there are any."""
    if settings == Settings() and not file.exists():
        return
    try:
        with durable.replacing(file) as draft:
            draft.write_text(json.dumps(asdict(settings), indent=4), "utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written ({error.strerror}); check the folder's rights") from error


# -- the steps ----------------------------------------------------------------------------------------------------


def _connect(way: _Way) -> str:
    way.lake.snapshot()
    return f"lake {way.lake.url}"


def _parcels(way: _Way) -> str:
    if way.settings.parcels is not None:
        loaded = parcels.load(way.settings.parcels, way.aoi, way.year, way.ptype, pid=way.settings.pid, lake=way.lake)
        return f"{loaded.parcels:,} parcels, {loaded.area_ha:,.1f} ha, {'loaded' if loaded.new else 'loaded before'}"
    try:
        way.lake.parcel_set(way.aoi, way.year, way.ptype)
    except NotFoundError as error:
        raise _LackingError(
            f"{error}: give the file of the parcels and, where it is not guessed, the column of their identifier"
        ) from error
    return "loaded before"


def _tables(way: _Way) -> str:
    way.lake.prepare("s2")
    return "signatures and ledger are there"


def _catalogue(way: _Way) -> str:
    if way.settings.scenes is None:
        count = way.lake.sql("select count(*) as n from scenes where card = 's2'")["n"][0].as_py()
        if not count:
            raise _LackingError("no scene is catalogued; give the scenes (a folder, a STAC file, or a STAC API)")
        return f"{count} scenes, catalogued before"
    ingested = _ingest(way, way.settings.scenes)
    return f"{ingested.found} scenes found, {ingested.new} new"


def _ingest(way: _Way, scenes: str) -> card2db.Ingested:
    progress = way.progress_of("catalogue")
    path = Path(scenes)
    if path.suffix == ".parquet":
        return card2db.geoparquet(path, lake=way.lake)
    if path.is_dir() and (path.suffix == ".SAFE" or any(path.rglob("*.SAFE"))):
        return card2db.safe(path, lake=way.lake, progress=progress)
    if path.exists():
        return card2db.items(path, lake=way.lake, progress=progress)
    way.need("start", "end")
    return card2db.stac(way.aoi, way.settings.start, way.settings.end, url=scenes, lake=way.lake, progress=progress)


def _configure(way: _Way) -> str:
    way.need("start", "end")
    bands = way.settings.bands or cards.S2.default_bands
    return f"{way.settings.start} to {way.settings.end}, {', '.join(bands)}"


def _extract(way: _Way) -> str:
    done = extract.s2(
        way.settings.start or "",
        way.settings.end or "",
        aoi=way.aoi,
        year=way.year,
        ptype=way.ptype,
        bands=way.settings.bands,
        workers=way.workers,
        lake=way.lake,
        progress=way.progress_of("extract"),
    )
    return f"{done.scenes} scenes extracted, {done.skipped} before; {done.rows:,} signatures written"


def _get(way: _Way) -> str:
    pids = way.pids()
    for number, pid in enumerate(pids, 1):
        get.parcel_info.by_pid(way.aoi, way.year, pid, way.ptype, lake=way.lake)
        get.time_series.by_pid(way.aoi, way.year, pid, "s2", way.ptype, lake=way.lake)
        way.progress_of("get")(number, len(pids))
    return f"{len(pids)} parcels in {Workspace.here().temp / way.aoi / str(way.year)}"


def _view(way: _Way) -> str:
    parcel_set = way.lake.parcel_set(way.aoi, way.year, way.ptype)
    key = parcel_set.params
    pids = way.pids()
    for pid in pids:
        rows = way.lake.query("time_series.ndvi", **key, pid=pid, screen=list(cards.CLOUD_CLASSES))
        figure = plot_ndvi(rows, f"{parcel_set.name}, parcel {pid}")
        with durable.replacing(get.folders.place(parcel_set.aoi, parcel_set.year, pid, "ndvi.png")) as draft:
            figure.savefig(draft, dpi=110)
    return f"{len(pids)} pictures ndvi.png beside what was got"


STEPS: Final[dict[str, Callable[[_Way], str]]] = {
    "connect": _connect,
    "parcels": _parcels,
    "tables": _tables,
    "catalogue": _catalogue,
    "configure": _configure,
    "extract": _extract,
    "get": _get,
    "view": _view,
}
"""The steps in their order."""
_USED: Final = {
    "parcels": ("parcels", "pid"),
    "catalogue": ("scenes",),
    "get": ("sample", "pids"),
}
"""The settings that a step alone uses: where they are wrong they are not kept."""
