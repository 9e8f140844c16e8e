"""The step that checks whether declared crops grow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from cbm_lake import crops
from cbm_lake.errors import counted
from cbm_lake.markers.finding import part_of
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
        ]

    def written(self) -> object:
        """How often verdicts were written."""
        return self.steps.lake.puts("checked_crops", part_of(self.steps.parcels(self.area)))

    def check(self, progress: Progress) -> Done:
        """Check the crops, where anything was seen."""
        options = self.steps.season.crops
        if options is None or not self.steps.is_extracted(self.area):
            return Done(changed=False)
        rows = crops.check(
            *self.area.key,
            alpha=options.alpha,
            by=options.by,
            groups=self.steps.season.groups,
            seed=options.seed,
            since=options.since,
            settings=options.settings,
            progress=progress,
            lake=self.steps.lake,
        )
        accused = rows.filter(pc.equal(rows["verdict"], "disagrees")).num_rows
        return Done(rows.num_rows, note=f"{counted(accused, 'declaration')} disagree with what was seen")
