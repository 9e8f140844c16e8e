"""The steps of a night run, in order; each calls one public verb and says what came of it.

    parcels ─► catalogue ─► extract ─► guard ─► shifts (─► extract shifted) ─► markers (─► crops) ─► lights ─►
    exports ─► compact

Every step is idempotent. Those whose verb does not see by itself that nothing has changed have a state: of what they
read (the extractions that count, the version of the parcels, parameters) before they begin, and of what they wrote. A
step whose state is that of the journal is not done again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cbm_lake.cards import S2
from cbm_lake.season.checking import Checking
from cbm_lake.season.exporting import Exporting
from cbm_lake.season.file import Area
from cbm_lake.season.gathering import Cataloguing, Extracting, Loading
from cbm_lake.season.guarding import Guarding
from cbm_lake.season.journal import Key
from cbm_lake.season.judging import Judging
from cbm_lake.season.sources import Source
from cbm_lake.season.step import Context, Done, Progress, Step, key_of


@dataclass(frozen=True)
class Steps(Context):
    """The steps of a season over a lake."""

    def __iter__(self) -> Iterator[Step]:
        """All steps; each is made when those before it are done. Those of areas without parcels are not run."""
        for area in self.season.areas:
            loading = Loading(self, area)
            yield Step(key_of("parcels", area), loading.load, loading.reads, loading.wrote)
        for source in self.season.sources:
            yield from self._catalogue(source)
        for area in self.season.areas:
            yield from self._over([area], self._extracting(area))
        for area in self.season.areas:
            yield from self._over([area], (*self._guarding(area), *self._judging(area)))
        yield from self._over(self.season.areas, self._exporting())
        if self.season.compact is not None:
            yield Step(Key("compact"), self._compact)

    def _over(self, areas: Sequence[Area], steps: Iterable[Step]) -> Iterator[Step]:
        """The steps over areas; where the lake has parcels of none of them, they are not run, and say so."""
        if any(self.declared(area) is not None for area in areas):
            yield from steps
            return
        yield from (Step(step.key, lambda _: Done(note="no parcels were loaded", tried=False)) for step in steps)

    def _extracting(self, area: Area) -> Iterator[Step]:
        for card in self.season.extract:
            yield Step(key_of("extract", area, card), Extracting(self, area, card).extract)

    def _exporting(self) -> Iterator[Step]:
        for export in self.season.exports:
            exporting = Exporting(self, export)
            yield Step(Key("export", what=export.path), exporting.write, exporting.reads, exporting.wrote)

    def _catalogue(self, source: Source) -> Iterator[Step]:
        for aoi in source.areas(area.aoi.lower() for area in self.season.areas):
            yield Step(Key("catalogue", aoi=aoi, what=source.name), Cataloguing(self, source, aoi).take)

    def _guarding(self, area: Area) -> Iterator[Step]:
        """The guards, of Sentinel-2 alone."""
        if S2.name not in self.season.extract:
            return
        guarding = Guarding(self, area)
        if self.season.guard.offsets:
            yield Step(key_of("guard", area), guarding.offsets, guarding.extracted)
        if self.season.guard.shifts:
            yield Step(key_of("shifts", area), guarding.shifts, guarding.seen)
        if self.season.moves(S2.name):
            again = Extracting(self, area, S2.name).again
            yield Step(key_of("extract shifted", area, S2.name), again, guarding.displaced)

    def _judging(self, area: Area) -> Iterator[Step]:
        judging = Judging(self, area)
        if self.season.markers is not None:
            yield Step(key_of("markers", area), judging.find, judging.observed, judging.written)
        if self.season.crops is not None:
            checking = Checking(self, area)
            yield Step(key_of("crops", area), checking.check, checking.observed, checking.written)
        if self.season.markers is not None:
            yield Step(key_of("lights", area), judging.record, judging.marked, judging.recorded)

    def _compact(self, _: Progress) -> Done:
        """Merge signature files where there are many."""
        assert self.season.compact is not None  # noqa: S101 - the caller's question
        due = [card for card in self.season.extract if self.lake.uncompacted(card) >= self.season.compact.files]
        merged = sum(self.lake.compact(card) for card in due)
        return Done(note=f"{merged} files merged" if merged else None, changed=merged > 0)
