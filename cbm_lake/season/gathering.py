"""The first steps of a night: parcels are loaded, scenes catalogued and extracted."""

from __future__ import annotations

import glob
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path

from cbm_lake import extract, parcels
from cbm_lake.card2db import Ingested
from cbm_lake.errors import NoSceneError, SourceError, some
from cbm_lake.extract import Plan
from cbm_lake.extract.causes import as_before
from cbm_lake.markers import lastday
from cbm_lake.season.file import Area
from cbm_lake.season.sources import Source
from cbm_lake.season.step import SHOWN, Context, Done, Progress, joined
from cbm_lake.storage.store import translated


@dataclass(frozen=True)
class Loading:
    """Loading of a parcel set whose file has changed."""

    steps: Context
    area: Area

    def reads(self) -> object:
        """The file's stamp, and how it is read."""
        if self.area.parcels is None:
            return None
        return [self.area.parcels.model_dump(), stamps(self.steps.season.path(self.area.parcels.path))]

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
        return Done(loaded.parcels if loaded.new else 0, note=joined(notes), changed=loaded.new)


def stamps(path: str, *, companions: bool = True) -> object:
    """Size and time of a file, of its companions of the same name, or of the files of a folder; "" of a URL."""
    if "://" in path:
        return ""
    file = Path(path)
    with translated("look at", path):
        pattern = f"{glob.escape(file.stem)}.*" if companions else glob.escape(file.name)
        files = file.rglob("*") if file.is_dir() else file.parent.glob(pattern)
        return sorted((one.name, one.stat().st_size, one.stat().st_mtime_ns) for one in files if one.is_file())


@dataclass(frozen=True)
class Cataloguing:
    """Cataloguing of a source, the whole season anew: what came late is found, what is known costs little."""

    steps: Context
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
            raise SourceError(f"{self._counted(done)}, but it was not whole: {some(done.missing, SHOWN)}; run again")
        refused = f"{len(done.skipped)} refused: {some(done.skipped, SHOWN)}" if done.skipped else ""
        again = f"{done.changed} changed, to be extracted again" if done.changed else ""
        return Done(scenes=done.new + done.changed, note=joined([again, refused]), changed=done.new + done.changed > 0)

    def _counted(self, done: Ingested) -> str:
        return f"{done.found} scenes, {done.new} of them new, were catalogued"


@dataclass(frozen=True)
class Extracting:
    """Extraction of one card over an area."""

    steps: Context
    area: Area
    card: str

    def extract(self, progress: Progress) -> Done:
        """Extract what is not done yet."""
        todo = self._planned(progress)
        if isinstance(todo, str):
            return Done(note=todo, changed=False)
        done = self._done(todo, progress)
        return replace(done, note=joined([done.note, lastday.left_aside(self._later)]))

    def again(self, progress: Progress) -> Done:
        """Extract scenes again whose shift is known only since they were extracted, with the parcels moved by it.

        A scene that could not be extracted is not tried a second time.
        """
        todo = self._planned(progress)
        if isinstance(todo, str):
            return Done(changed=False)
        todo = replace(todo, jobs=tuple(job for job in todo.jobs if job.before), failed=())
        return self._done(todo, progress) if todo.jobs else Done(changed=False)

    def _planned(self, progress: Progress) -> Plan | str:
        """What is to be done; why there is nothing where no scene is there."""
        season = self.steps.season
        period, (aoi, year, ptype) = season.period(self.area), self.area.key
        last = self._last(period.end)
        if last < period.start:
            return lastday.left_aside(self._later)
        options = season.extract[self.card].model_dump()
        if season.moves(self.card):  # without any shift it would be said that none was measured, which comes next
            options["shifted"] = bool(self.steps.shifts(self.area))
        try:
            return extract.plan(
                self.card,
                period.start,
                last,
                aoi=aoi,
                year=year,
                ptype=ptype,
                lake=self.steps.lake,
                progress=progress,
                **options,
            )
        except NoSceneError as error:
            return joined([str(error), lastday.left_aside(self._later)]) or ""

    @cached_property
    def _later(self) -> list[lastday.Later]:
        """The catalogued scenes of the season whose day has not come by the clock; none where that is wrong."""
        last = self.steps.season.period(self.area).end
        stop = datetime.combine(last, time.min, UTC) + timedelta(days=1)
        rows = self.steps.lake.query("scenes.between", card=self.card, start=lastday.tomorrow(), stop=stop).to_pylist()
        if rows and lastday.is_clock_slow(self.steps.lake):
            return []
        return [lastday.Later(scene=row["id"], day=row["obstime"].date()) for row in rows]

    def _last(self, end: date) -> date:
        """The last day of which scenes are extracted: today where one has a date after it."""
        return min(end, lastday.tomorrow().date() - timedelta(days=1)) if self._later else end

    def _done(self, todo: Plan, progress: Progress) -> Done:
        done = extract.run(todo, workers=self.steps.season.workers, progress=progress)
        discarded = f"{done.discarded:,} pixels were no measurement" if done.discarded else ""
        small = str(done.too_small) if done.too_small else ""
        note = joined([as_before(done.still_failing), discarded, small])
        return Done(done.rows, done.scenes, note, changed=done.scenes > 0)
