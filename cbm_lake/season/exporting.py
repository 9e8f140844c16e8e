"""The last step but one: exports are written anew where the lake's content, their definition or the file is another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers.finding import part_of
from cbm_lake.season.file import Export
from cbm_lake.season.gathering import stamps
from cbm_lake.season.step import Context, Done, Progress


@dataclass(frozen=True)
class Exporting:
    """An export, written anew when the lake's content is another or the file is not what was written."""

    steps: Context
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
        return stamps(self._path, companions=Path(self._path).suffix.lower() == ".shp")

    def write(self, _: Progress) -> Done:
        """Write the file."""
        options = self.export.model_dump(include={"pseudonymous", "identifiers", "neutralise"})
        return Done(self.steps.lake.export(self.export.what, self._path, **options, **self.export.params))

    @property
    def _path(self) -> str:
        return self.steps.season.path(self.export.path)


_UNEXPORTED: Final = ("runs", "ledger", "files", "rasters", "slots")
"""Tables whose growth is no change of what is exported: journals of work."""


def _written(lake: Lake, parcels: ParcelSet) -> list[int]:
    """How often markers and parts of a parcel set were written."""
    return [lake.puts(name, part_of(parcels)) for name in ("marked", "divided")]
