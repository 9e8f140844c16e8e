"""What changes rest on: what a lake holds on a night, so that the next one can say what was another since."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow.compute as pc

from cbm_lake.files import installed
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers import cropchecks, memory
from cbm_lake.markers.finding import part_of
from cbm_lake.markers.parameters import CLAIM, Parameters


@dataclass(frozen=True)
class NightBasis:
    """What the lake held when changes were recorded; earlier versions recorded the first three only."""

    scenes: memory.Scenes
    """Those whose rows count."""
    parcels: str
    """Version of the parcel set."""
    how: str
    """Digest of the parameters, scenarios included, and of which scenarios were judged."""
    detected: str | None = None
    """Digest of the parameters without the scenarios."""
    rules: Mapping[str, str] = field(default_factory=dict)
    """Digest of each scenario that was judged."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Digest of each attribute, sampled from rasters, that scenarios ask for."""
    version: str | None = None
    """Of this package."""
    search: tuple[int, int] | None = None
    """Which search wrote the markers, as `Lake.remembered` numbers it."""
    searched: memory.Scenes | None = None
    """The scenes on which that search rested where they were others than `scenes`."""
    searched_how: str | None = None
    """By which parameters, rules and version it searched; None where nobody remembers."""
    parts: int | None = None
    """How often parts of parcels were written."""
    checks: tuple[str, ...] | None = None
    """The runs of which the verdicts on the declared crops are; none where there is no crop check."""

    @classmethod
    def now(
        cls, lake: Lake, parcels: ParcelSet, parameters: Parameters, scenarios: Iterable[str], former: NightBasis | None
    ) -> NightBasis:
        """What it holds now."""
        names, present = list(scenarios), memory.scenes(lake, parcels)
        search = lake.remembered("marked", part_of(parcels))
        if former is not None and former.search == search:
            searched, how = former.searched_scenes, former.searched_how
        else:
            basis = memory.basis_of(lake, parcels, part_of(parcels))
            searched = basis.scenes if basis else present
            how = basis.how if basis else None
        return cls(
            present,
            parcels.version,
            memory.digest([parameters.model_dump_json(), *names]),
            memory.digest([parameters.model_dump_json(exclude={"scenarios"})]),
            {name: memory.digest([parameters.scenarios[name].model_dump_json()]) for name in names},
            _attributes(lake, parcels, parameters, names),
            installed.version(),
            search,
            None if searched == present else searched,
            how,
            lake.puts("divided", part_of(parcels)),
            tuple(run["run"] for run in cropchecks.runs_of(lake, parcels)),
        )

    @property
    def searched_scenes(self) -> memory.Scenes:
        """The scenes on which the markers rest."""
        return self.scenes if self.searched is None else self.searched

    @property
    def is_detailed(self) -> bool:
        """Whether it says of each scenario by which rules it was judged."""
        return self.detected is not None

    @classmethod
    def read(cls, text: str) -> NightBasis:
        """What `text` says."""
        facts: dict[str, Any] = json.loads(text)
        facts.pop("runs", None)
        lists = {name: tuple(facts[name]) for name in ("search", "checks") if facts.get(name) is not None}
        return cls(**{**facts, **lists})

    def noted(self, lake: Lake) -> str:
        """As JSON, and how often runs had been noted by then: which run came before a night, whatever clocks say."""
        return json.dumps({**self.__dict__, "runs": lake.appended().get("runs", 0)}, sort_keys=True)


def asked_attributes(parameters: Parameters, scenario: str) -> list[str]:
    """The attributes, sampled from rasters, that a scenario asks for."""
    return [name for name in parameters.scenarios[scenario].where if not name.startswith(CLAIM)]


def _attributes(lake: Lake, parcels: ParcelSet, parameters: Parameters, scenarios: Iterable[str]) -> dict[str, str]:
    asked = sorted({name for scenario in scenarios for name in asked_attributes(parameters, scenario)})
    if not asked:
        return {}
    rows = lake.query("markers.attributes", **parcels.params)
    there = [name for name in asked if name in rows.column_names]
    pids = rows["pid"].to_pylist()
    return {
        name: memory.digest(map(str, zip(pids, pc.cast(rows[name], "string").to_pylist(), strict=True)))
        for name in there
    }
