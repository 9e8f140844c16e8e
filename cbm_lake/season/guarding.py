"""The steps of the guards: are the offsets of Sentinel-2's scenes right, and where do the scenes lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow.compute as pc

from cbm_lake import guard
from cbm_lake.errors import NotFoundError, some
from cbm_lake.season.file import Area
from cbm_lake.season.step import SHOWN, Context, Done, Progress, Shift, joined


@dataclass(frozen=True)
class Guarding:
    """What the pixels of Sentinel-2's scenes say of their metadata."""

    steps: Context
    area: Area

    def extracted(self) -> object:
        """What the guard of offsets reads."""
        return self.steps.counting(self.area)

    def seen(self) -> object:
        """What the shift guard reads: the scenes, and the parcels whose borders it looks at."""
        return [self.extracted(), self.steps.parcels(self.area).version]

    def displaced(self) -> object:
        """By how much parcels are moved in which scene."""
        return self.steps.shifted(self.area)

    def offsets(self, _: Progress) -> Done:
        """Check the offsets of the scenes; those that a person has cleared are not marked again."""
        if not self.steps.is_extracted(self.area):
            return Done(changed=False)
        lake = self.steps.lake
        marked = guard.suspects(lake=lake)["scene"].to_pylist()
        cleared = lake.query("season.cleared")["scene"].to_pylist()
        result = guard.scenes(*self.area.key, but=cleared, lake=lake)
        suspect = result.filter(pc.equal(result["verdict"], "suspect"))["scene"].to_pylist()
        new = set(suspect) - {*cleared, *marked}
        note = f"left out as suspect: {some(sorted(new), SHOWN)}; `cbm-lake guard list` says why" if new else None
        return Done(scenes=result.num_rows, note=note)

    def shifts(self, _: Progress) -> Done:
        """Measure the shifts of scenes that were not measured yet; what cannot be decided is said, and no failure."""
        before = self.steps.shifts(self.area)
        try:
            rows: list[Shift] = guard.shifts(*self.area.key, lake=self.steps.lake).to_pylist()
        except NotFoundError:  # no scene of Sentinel-2 counts over the area
            return Done(changed=False)
        new = [row for row in rows if _differs(row, before, "verdict")]
        changed = any(_differs(row, before, "verdict", "east", "north", "error", "reason") for row in rows)
        return Done(scenes=len(new), note=_verdicts(new), changed=changed)


def _differs(row: Shift, before: Mapping[str, Shift], *names: str) -> bool:
    """Whether a scene was not measured before, or something else came of it."""
    other = before.get(row["scene"])
    return other is None or any(row[name] != other[name] for name in names)


def _verdicts(rows: list[Shift]) -> str | None:
    """Which scenes are shifted, and why others are undecided; None where all are where they belong."""
    shifted = [f"{row['scene']} ({_metres(row)})" for row in rows if row["verdict"] == "shifted"]
    reasons = [row["reason"] for row in rows if row["verdict"] == "undecided"]
    undecided = f"{len(reasons)} undecided: {some(dict.fromkeys(reasons), 1)}" if reasons else ""
    return joined([f"shifted: {some(shifted, SHOWN)}" if shifted else "", undecided])


def _metres(row: Shift) -> str:
    return f"{row['east']:+.1f} m east, {row['north']:+.1f} m north"
