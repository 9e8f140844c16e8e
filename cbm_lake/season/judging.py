"""The steps that look at signatures: the search for markers, the judgement of lights."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from cbm_lake import markers
from cbm_lake.errors import NotFoundError, some
from cbm_lake.markers import cropchecks, lastday
from cbm_lake.markers.finding import part_of
from cbm_lake.markers.lights import refusals, scenario_names
from cbm_lake.markers.parameters import read as read_parameters
from cbm_lake.season import recording
from cbm_lake.season.file import Area
from cbm_lake.season.step import SHOWN, Context, Done, Progress, digest, joined


@dataclass(frozen=True)
class Judging:
    """What signatures say of the parcels of an area."""

    steps: Context
    area: Area

    def observed(self) -> object:
        """What the search for markers reads."""
        overrides = read_parameters(self.steps.season.parameters).model_dump_json(by_alias=True)
        return [self.steps.counting(self.area), self.steps.parcels(self.area).version, digest(overrides)]

    def written(self) -> object:
        """How often markers were written."""
        return self.steps.lake.puts("marked", part_of(self.steps.parcels(self.area)))

    def marked(self) -> object:
        """What the judgement reads: markers, parts, the declaration, attributes, scenarios, how the scenes stand."""
        lake, options = self.steps.lake, self.steps.season.markers
        scenes = digest(lake.query("changes.scenes", **self.steps.parcels(self.area).params).to_pylist())
        scenarios = options.scenarios if options else None
        later = sorted(row["scene"] for row in self._later())  # which count when their day has come
        others = [lake.puts(name, part_of(self.steps.parcels(self.area))) for name in ("divided", "checked_crops")]
        return [self.observed(), self.written(), others, lake.appended().get("attributes"), scenarios, scenes, later]

    def recorded(self) -> object:
        """Which changes are recorded."""
        aoi, year, ptype = self.area.key
        return self.steps.lake.query("season.recorded", aoi=aoi, year=year, ptype=ptype)["sequence"].to_pylist()

    def find(self, _: Progress) -> Done:
        """Detect the markers of parcels with new observations."""
        if not self.steps.is_extracted(self.area):
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
            if self.steps.is_extracted(self.area):
                raise
            return Done(changed=False)
        reasons = refusals(changes)
        notes = [*reasons.values(), self._unasked(reasons), lastday.left_aside(self._later())]
        return Done(changes.num_rows, note=joined(notes))

    def _later(self) -> list[lastday.Later]:
        """The scenes of days that have not come by the clock; none where that is wrong."""
        params = self.steps.parcels(self.area).params
        rows: list[lastday.Later] = self.steps.lake.query(
            "markers.later", until=lastday.tomorrow(), **params
        ).to_pylist()
        return [] if rows and lastday.is_clock_slow(self.steps.lake, warn=False) else rows

    def _unasked(self, refused: Collection[str]) -> str | None:
        """The scenarios that no parcel of the area has a crop for, but for those that cannot be judged."""
        options = self.steps.season.markers
        parameters, named = read_parameters(self.steps.season.parameters), options.scenarios if options else None
        asked = scenario_names(named, parameters)
        if named is None and not cropchecks.runs_of(self.steps.lake, self.steps.parcels(self.area)):
            asked = [name for name in asked if name not in cropchecks.counting(parameters, asked)]
        aoi, year, ptype = self.area.key
        judged = self.steps.lake.query("season.scenarios", aoi=aoi, year=year, ptype=ptype)["scenario"].to_pylist()
        missing = [name for name in asked if name not in judged and name not in refused]
        return f"no parcel has a crop (or claim) of scenario {some(map(repr, missing), SHOWN)}" if missing else None
