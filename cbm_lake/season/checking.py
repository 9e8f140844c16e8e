"""The step that checks whether declared crops grow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow.compute as pc

from cbm_lake import crops
from cbm_lake.errors import counted
from cbm_lake.markers import cropchecks
from cbm_lake.markers.finding import part_of
from cbm_lake.markers.lastday import last_day
from cbm_lake.markers.lights import scenario_names
from cbm_lake.markers.parameters import Parameters
from cbm_lake.markers.parameters import read as read_parameters
from cbm_lake.season.file import Area
from cbm_lake.season.step import Context, Done, Progress, digest


@dataclass(frozen=True)
class Checking:
    """The check of the declared crops of an area."""

    steps: Context
    area: Area

    def observed(self) -> object:
        """What the check reads."""
        options, groups = self.steps.season.crops, self.steps.season.groups
        return [
            self.steps.counting(self.area),
            self.steps.parcels(self.area).version,
            self.steps.lake.appended().get("attributes"),
            digest(options.model_dump() if options else None),
            digest(groups.read_text("utf-8") if isinstance(groups, Path) else groups),
            self._parameters().clear.model_dump(mode="json"),
            self._day(),
        ]

    def written(self) -> object:
        """How often verdicts were written."""
        return self.steps.lake.puts("checked_crops", part_of(self.steps.parcels(self.area)))

    def _day(self) -> date | None:
        """The due date of the lights that rest on the check, once it has come: what is seen later turns none of them.

        None is the last day with a scene: before that date, and where each parcel claims a date of its own.
        """
        parameters, markers = self._parameters(), self.steps.season.markers
        names = scenario_names(markers.scenarios if markers else None, parameters)
        parcels = self.steps.parcels(self.area)
        due, last = cropchecks.last_due(parameters, names, parcels.year), last_day(self.steps.lake, parcels)
        return due if due is not None and last is not None and last >= due else None

    def _parameters(self) -> Parameters:
        return read_parameters(self.steps.season.parameters)

    def check(self, progress: Progress) -> Done:
        """Check the crops, where anything was seen."""
        options = self.steps.season.crops
        if options is None or not self.steps.is_extracted(self.area):
            return Done(changed=False)
        rows = crops.check(
            *self.area.key,
            alpha=options.alpha,
            day=self._day(),
            by=options.by,
            groups=self.steps.season.groups,
            seed=options.seed,
            since=options.since,
            settings=options.settings,
            parameters=self.steps.season.parameters,
            progress=progress,
            lake=self.steps.lake,
        )
        accused = rows.filter(pc.equal(rows["verdict"], "disagrees")).num_rows
        return Done(rows.num_rows, note=f"{counted(accused, 'declaration')} disagree with what was seen")
