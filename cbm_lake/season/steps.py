"""The steps of a night run, in order; each calls one public verb and says what came of it.

    parcels ─► catalogue ─► extract ─► guard ─► markers ─► lights ─► exports ─► compact

Every step is idempotent. Those whose verb does not see by itself that nothing has changed have a state: of what they
read (the extractions that count, the version of the parcels, parameters) before they begin, and of what they wrote. A
step whose state is that of the journal is not done again.
"""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pyarrow.compute as pc

from cbm_lake import extract, guard, markers, parcels
from cbm_lake.card2db import Ingested
from cbm_lake.errors import NoSceneError, NotFoundError, SourceError, some
from cbm_lake.extract.causes import as_before
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers.finding import part_of
from cbm_lake.markers.lights import refusals
from cbm_lake.markers.parameters import read as read_parameters
from cbm_lake.season import recording
from cbm_lake.season.file import Area, Export, Season
from cbm_lake.season.journal import Key
from cbm_lake.season.sources import Source
from cbm_lake.storage.store import translated

Progress = Callable[[int, int], None]
"""Called with the number done and the total, 0 where that is not known."""
_SHOWN = 5
"""Scenes or refusals that a line names."""


@dataclass(frozen=True)
class Done:
    """What came of a step."""

    rows: int = 0
    scenes: int = 0
    note: str | None = None
    """What is odd about it."""
    changed: bool = True
    """False where there was nothing to do."""


@dataclass(frozen=True)
class Step:
    """One step over one area, source or file."""

    key: Key
    work: Callable[[Progress], Done]
    reads: Callable[[], object] | None = None
    """Of what it is made, as JSON; None: the verb sees by itself what is to be done."""
    wrote: Callable[[], object] = lambda: None
    """What is there of it, as JSON."""

    def state(self, read: object) -> str:
        """What it is made of, and what is there of it."""
        return digest([version("cbm-lake"), read, self.wrote()])


def digest(document: object) -> str:
    """A short text that is another one for another document."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Steps:
    """The steps of a season over a lake."""

    season: Season
    lake: Lake
    run: str
    """Identifier of the run."""

    def __iter__(self) -> Iterator[Step]:
        """All steps; each is made when those before it are done. Areas without parcels have no steps but that one."""
        for area in self.season.areas:
            loading = _Parcels(self, area)
            yield Step(_key("parcels", area), loading.load, loading.reads, loading.wrote)
        for source in self.season.sources:
            yield from self._catalogue(source)
        there = [area for area in self.season.areas if self.declared(area) is not None]
        for area in there:
            for card in self.season.extract:
                yield Step(_key("extract", area, card), _Extraction(self, area, card).extract)
        for area in there:
            yield from self._judging(area)
        for export in self.season.exports:
            yield Step(
                Key("export", what=export.path),
                _Export(self, export).write,
                _Export(self, export).reads,
                _Export(self, export).wrote,
            )
        if self.season.compact is not None:
            yield Step(Key("compact"), self._compact)

    def declared(self, area: Area) -> ParcelSet | None:
        """The parcel set in force of an area; None where none was loaded."""
        return next((one for one in self.lake.parcel_sets() if (one.aoi, one.year, one.ptype) == area.key), None)

    def parcels(self, area: Area) -> ParcelSet:
        """The parcel set in force of an area.

        Raises:
            NotFoundError: none was loaded.
        """
        return self.lake.parcel_set(*area.key)

    def counting(self, area: Area) -> list[dict[str, object]]:
        """Which extractions count over an area: one row, or none where nothing does."""
        aoi, year, ptype = area.key
        counted: list[dict[str, object]] = self.lake.query(
            "season.counting", aoi=aoi, year=year, ptype=ptype
        ).to_pylist()
        return counted

    def _catalogue(self, source: Source) -> Iterator[Step]:
        for aoi in source.areas(area.aoi.lower() for area in self.season.areas):
            yield Step(Key("catalogue", aoi=aoi, what=source.name), _Cataloguing(self, source, aoi).take)

    def _judging(self, area: Area) -> Iterator[Step]:
        judging = _Judging(self, area)
        if self.season.guard and "s2" in self.season.extract:
            yield Step(_key("guard", area), judging.guard, judging.extracted)
        if self.season.markers is not None:
            yield Step(_key("markers", area), judging.find, judging.observed, judging.written)
            yield Step(_key("lights", area), judging.record, judging.marked, judging.recorded)

    def _compact(self, _: Progress) -> Done:
        """Merge signature files where there are many."""
        assert self.season.compact is not None  # noqa: S101 - the caller's question
        due = [card for card in self.season.extract if self.lake.uncompacted(card) >= self.season.compact.files]
        merged = sum(self.lake.compact(card) for card in due)
        return Done(note=f"{merged} files merged" if merged else None, changed=merged > 0)


def _key(step: str, area: Area, what: str | None = None) -> Key:
    aoi, year, ptype = area.key
    return Key(step, aoi, year, ptype, what)


@dataclass(frozen=True)
class _Parcels:
    """Loading of a parcel set whose file has changed."""

    steps: Steps
    area: Area

    def reads(self) -> object:
        """The file's stamp, and how it is read."""
        if self.area.parcels is None:
            return None
        return [self.area.parcels.model_dump(), _stamps(self.steps.season.path(self.area.parcels.path))]

    def wrote(self) -> object:
        """The version in force: one that somebody else has loaded since is replaced by that of the file."""
        declared = self.steps.declared(self.area)
        return None if declared is None else declared.version

    def load(self, _: Progress) -> Done:
        """Load the file; without one, see that the set is in the lake."""
        if self.area.parcels is None:
            self.steps.parcels(self.area)
            return Done(changed=False)
        options = self.area.parcels.model_dump(exclude={"path"})
        path = self.steps.season.path(self.area.parcels.path)
        loaded = parcels.load(path, *self.area.key, **options, lake=self.steps.lake)
        notes = [loaded.outcome if loaded.new else "", *loaded.notes]
        return Done(loaded.parcels if loaded.new else 0, note=_joined(notes), changed=loaded.new)


def _stamps(path: str, *, companions: bool = True) -> object:
    """Size and time of a file, of its companions of the same name, or of the files of a folder; "" of a URL."""
    if "://" in path:
        return ""
    file = Path(path)
    with translated("look at", path):
        pattern = f"{glob.escape(file.stem)}.*" if companions else glob.escape(file.name)
        files = file.rglob("*") if file.is_dir() else file.parent.glob(pattern)
        return sorted((one.name, one.stat().st_size, one.stat().st_mtime_ns) for one in files if one.is_file())


@dataclass(frozen=True)
class _Cataloguing:
    """Cataloguing of a source, the whole season anew: what came late is found, what is known costs little."""

    steps: Steps
    source: Source
    aoi: str | None

    def take(self, progress: Progress) -> Done:
        """Catalogue it.

        Raises:
            SourceError: it cannot be read, or gave less than it has.
        """
        season = self.steps.season
        span = season.span(self.aoi)
        assert span is not None  # noqa: S101 - every area has a season
        done = self.source.catalogue(self.steps.lake, self.aoi, span, season.path, progress)
        if done.missing:
            raise SourceError(f"{self._counted(done)}, but it was not whole: {some(done.missing, _SHOWN)}; run again")
        refused = f"{len(done.skipped)} refused: {some(done.skipped, _SHOWN)}" if done.skipped else ""
        again = f"{done.changed} changed, to be extracted again" if done.changed else ""
        return Done(scenes=done.new + done.changed, note=_joined([again, refused]), changed=done.new + done.changed > 0)

    def _counted(self, done: Ingested) -> str:
        return f"{done.found} scenes, {done.new} of them new, were catalogued"


@dataclass(frozen=True)
class _Extraction:
    """Extraction of one card over an area."""

    steps: Steps
    area: Area
    card: str

    def extract(self, progress: Progress) -> Done:
        """Extract what is not done yet."""
        season = self.steps.season
        period, (aoi, year, ptype) = season.period(self.area), self.area.key
        options = season.extract[self.card].model_dump()
        try:
            todo = extract.plan(
                self.card,
                period.start,
                period.end,
                aoi=aoi,
                year=year,
                ptype=ptype,
                lake=self.steps.lake,
                progress=progress,
                **options,
            )
        except NoSceneError as error:
            return Done(note=str(error), changed=False)
        done = extract.run(todo, workers=season.workers, progress=progress)
        discarded = f"{done.discarded:,} pixels were no measurement" if done.discarded else ""
        note = _joined([as_before(done.still_failing), discarded])
        return Done(done.rows, done.scenes, note, changed=done.scenes > 0)


@dataclass(frozen=True)
class _Judging:
    """What signatures say of the parcels of an area."""

    steps: Steps
    area: Area

    def extracted(self) -> object:
        """What the guard reads."""
        return self.steps.counting(self.area)

    def observed(self) -> object:
        """What the search for markers reads."""
        overrides = read_parameters(self.steps.season.parameters).model_dump_json(by_alias=True)
        return [self.steps.counting(self.area), self.steps.parcels(self.area).version, digest(overrides)]

    def written(self) -> object:
        """How often markers were written."""
        return self.steps.lake.puts("marked", part_of(self.steps.parcels(self.area)))

    def marked(self) -> object:
        """What the judgement reads: markers, the declaration, attributes, scenarios, how the scenes stand."""
        lake, options = self.steps.lake, self.steps.season.markers
        scenes = digest(lake.query("changes.scenes", **self.steps.parcels(self.area).params).to_pylist())
        scenarios = options.scenarios if options else None
        return [self.observed(), self.written(), lake.appended().get("attributes"), scenarios, scenes]

    def recorded(self) -> object:
        """Which changes are recorded."""
        aoi, year, ptype = self.area.key
        return self.steps.lake.query("season.recorded", aoi=aoi, year=year, ptype=ptype)["sequence"].to_pylist()

    def guard(self, _: Progress) -> Done:
        """Check the offsets of the scenes; those that a person has cleared are not marked again."""
        if not self.extracted_any():
            return Done(changed=False)
        lake = self.steps.lake
        marked = guard.suspects(lake=lake)["scene"].to_pylist()
        cleared = lake.query("season.cleared")["scene"].to_pylist()
        result = guard.scenes(*self.area.key, but=cleared, lake=lake)
        suspect = result.filter(pc.equal(result["verdict"], "suspect"))["scene"].to_pylist()
        new = set(suspect) - {*cleared, *marked}
        note = f"left out as suspect: {some(sorted(new), _SHOWN)}; `cbm-lake guard list` says why" if new else None
        return Done(scenes=result.num_rows, note=note)

    def extracted_any(self) -> bool:
        """Whether anything counts over the area."""
        return bool(self.steps.counting(self.area))

    def find(self, _: Progress) -> Done:
        """Detect the markers of parcels with new observations."""
        if not self.extracted_any():
            return Done(changed=False)
        result = markers.find(
            *self.area.key, parameters=self.steps.season.parameters, only_new=True, lake=self.steps.lake
        )
        return Done(result.num_rows)

    def record(self, _: Progress) -> Done:
        """Judge every scenario, and record what has changed since the last run."""
        options = self.steps.season.markers
        scenarios = options.scenarios if options else None
        try:
            changes = recording.record(
                self.steps.lake,
                self.steps.parcels(self.area),
                scenarios=scenarios,
                parameters=self.steps.season.parameters,
                run=self.steps.run,
            )
        except NotFoundError:
            if self.extracted_any():
                raise
            return Done(changed=False)
        reasons = refusals(changes)
        return Done(changes.num_rows, note=_joined([*reasons.values(), self._unasked(reasons)]))

    def _unasked(self, refused: Collection[str]) -> str | None:
        """The scenarios that no parcel of the area has a crop for, but for those that cannot be judged."""
        options = self.steps.season.markers
        scenarios_of = read_parameters(self.steps.season.parameters).scenarios
        usual = [name for name, scenario in scenarios_of.items() if not getattr(scenario, "example", False)]
        asked = (options.scenarios if options else None) or usual
        aoi, year, ptype = self.area.key
        judged = self.steps.lake.query("season.scenarios", aoi=aoi, year=year, ptype=ptype)["scenario"].to_pylist()
        missing = [name for name in asked if name not in judged and name not in refused]
        return f"no parcel has a crop (or claim) of scenario {some(map(repr, missing), _SHOWN)}" if missing else None


@dataclass(frozen=True)
class _Export:
    """An export, written anew when the lake's content is another or the file is not what was written."""

    steps: Steps
    export: Export

    def reads(self) -> object:
        """The content of the whole lake, for SQL can be about any of its areas, and what is exported."""
        lake = self.steps.lake
        content = lake.query("season.content").to_pylist()
        written = [[one.name, one.version, *_written(lake, one)] for one in lake.parcel_sets()]
        appended = {name: count for name, count in lake.appended().items() if name not in _UNEXPORTED}
        scenes = [path.removeprefix(lake.url) for path in lake.snapshot().scenes]
        return [self.export.model_dump(), content, written, appended, scenes]

    def wrote(self) -> object:
        """Size and time of the file, of all files of the same name where it is a shapefile."""
        return _stamps(self._path, companions=Path(self._path).suffix.lower() == ".shp")

    def write(self, _: Progress) -> Done:
        """Write the file."""
        options = self.export.model_dump(include={"pseudonymous", "identifiers", "neutralise"})
        return Done(self.steps.lake.export(self.export.what, self._path, **options, **self.export.params))

    @property
    def _path(self) -> str:
        return self.steps.season.path(self.export.path)


_UNEXPORTED = ("runs", "ledger", "files", "rasters", "slots")
"""Tables whose growth is no change of what is exported: journals of work."""


def _written(lake: Lake, parcels: ParcelSet) -> list[int]:
    """How often markers and parts of a parcel set were written."""
    return [lake.puts(name, part_of(parcels)) for name in ("marked", "divided")]


def _joined(texts: Iterable[str | None]) -> str | None:
    return "; ".join(filter(None, texts)) or None
