"""Parcels with lights of three nights, a crop check and judgements, and what a worklist must say of them, by pandas."""

import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
from factories import parcels

from cbm_lake import markers
from cbm_lake.lake import schemas
from cbm_lake.markers.finding import part_of

SETS = (("ms", 2024, ""), ("ms", 2024, "m"), ("ms", 2023, ""), ("be", 2024, ""))
SCENARIOS = ("mown", "catch crop", "arable")
COLOURS = (*markers.COLOURS, None)
ORDER = ["red", "yellow", "cannot be seen", "not yet due", "green"]
CROPS = ("maize", "Winter wheat", "grassland, temporary", None)
NIGHTS = [datetime(2024, month, 1, 3, tzinfo=UTC) for month in (6, 7, 8)]
SINCE = datetime(2024, 6, 15, tzinfo=UTC)


def of(schema, rows):
    return pa.Table.from_pylist(rows, schema=schema)


def declared(rng, count):
    """Parcels with crops and areas drawn, and pids that sort otherwise as text than as numbers."""
    pids = [str(number) for number in rng.choice(10_000, count, replace=False)]
    names = [CROPS[number] for number in rng.integers(0, len(CROPS), count)]
    rows = parcels(pids, [(name, f"c{number % 5}" if number % 7 else None) for number, name in enumerate(names)])
    place = rows.schema.get_field_index("area")
    return rows.set_column(place, rows.schema.field(place), pa.array(np.round(rng.lognormal(0, 1, count), 3)))


def record_lights(lake, parcels, rng, pids):
    """Lights of three nights, as changes; what holds at the end, and before the second, by parcel and scenario."""
    present, past = {}, {}
    for number, night in enumerate(NIGHTS):
        rows = []
        for pid in pids:
            for scenario in SCENARIOS:
                after = COLOURS[rng.integers(len(COLOURS))]
                before = present.get((pid, scenario))
                if rng.random() < 0.5 or before == after:
                    continue
                present[pid, scenario] = after
                rows.append(
                    {
                        **parcels.params,
                        "kind": "light",
                        "pid": pid,
                        "scenario": scenario,
                        "before": before,
                        "after": after,
                        "reason": f"{after} of {scenario}",
                        "due": date(2024, 7, 1 + SCENARIOS.index(scenario)),
                        "day": night.date(),
                        "recorded": night,
                        "version": "x",
                    }
                )
            if number and rng.random() < 0.2:
                same = {**parcels.params, "kind": "marker", "pid": pid, "marker": "mowing", "number": 1}
                rows.append({**same, "after": "2024-06-12", "day": night.date(), "recorded": night, "version": "x"})
                present.setdefault("mowing", set()).add(pid)
        lake.record_changes(parcels, lambda rows=rows: of(schemas.CHANGES, rows))
        if number == 0:
            past = dict(present)
    return present, past


def judgement(parcels, pid, scenario, decision, decided, who="ann", number=1, **others):
    """A row of judgements."""
    same = {**parcels.params, "pid": pid, "scenario": scenario, "number": number, "decision": decision, "note": "n"}
    same |= {"who": who, "decided": decided, "as_of": decided, "parcels": parcels.version, "version": "x"}
    return {**same, **others}


def judge(lake, *rows):
    lake.add_judgements(lambda: of(schemas.JUDGEMENTS, list(rows)))


class Truth:
    """What a worklist must give, worked out by pandas alone."""

    def __init__(self, lake, key, seed, count=60):
        rng = np.random.default_rng(seed)
        table = declared(rng, count)
        lake.add_parcels(*key, f"v{seed}", table)
        self.key, self.parcels = key, lake.parcel_set(*key)
        self.pids = table["id"].to_pylist()
        names = [
            name or code
            for name, code in zip(table["crop:name"].to_pylist(), table["crop:code"].to_pylist(), strict=True)
        ]
        self.base = pd.DataFrame({"pid": self.pids, "crop": names, "area_ha": table["area"].to_pylist()})
        self.lights, self.past = record_lights(lake, self.parcels, rng, self.pids)
        self.mown = self.lights.pop("mowing", set())
        self.past.pop("mowing", None)
        self._check_crops(lake, rng)
        self._judge(lake, rng)

    def _check_crops(self, lake, rng):
        checked = [pid for pid in self.pids if rng.random() < 0.8]
        ranks = [int(rank) for rank in rng.permutation(len(checked)) + 1]
        verdicts = [("agrees", "disagrees", "cannot say")[number] for number in rng.integers(0, 3, len(checked))]
        same = {**self.parcels.params, "version": self.parcels.version, "run": "r", "day": date(2024, 9, 1)}
        part = part_of(self.parcels)
        rows = [
            {**same, "pid": pid, "verdict": verdict, "reason": "x", "rank": rank if rank % 4 else None, "part": part}
            for pid, rank, verdict in zip(checked, ranks, verdicts, strict=True)
        ]
        lake.put("checked_crops", of(schemas.CROP_CHECKS, rows), part)
        self.checks = {row["pid"]: (row["verdict"], row["rank"]) for row in rows}

    def _judge(self, lake, rng):
        self.judged, rows = {}, []
        for pid in self.pids:
            for scenario in ("", *SCENARIOS):
                if rng.random() < 0.25:
                    decided = datetime(2024, 9, 1, tzinfo=UTC) + timedelta(seconds=int(rng.integers(10**6)))
                    decision = ("confirmed", "refused", "photo", "undecidable")[rng.integers(4)]
                    colour = COLOURS[rng.integers(len(COLOURS))]
                    rows.append(judgement(self.parcels, pid, scenario, decision, decided, colour=colour))
                    self.judged[pid, scenario] = rows[-1]
        judge(lake, *rows)

    def frame(self, scenario=None, since=None):
        """All rows in the order of the desk."""
        rows = [
            row for row in (self.row(pid, scenario, since) for pid in self.pids) if scenario is None or row["colour"]
        ]
        frame = pd.DataFrame(rows).merge(self.base, on="pid")
        frame["severity"] = [ORDER.index(colour) if colour else 9 for colour in frame["colour"]]
        frame = frame.sort_values(["severity", "crop_rank", "pid"], na_position="last", kind="stable")
        return frame.drop(columns="severity").reset_index(drop=True)

    def row(self, pid, scenario, since):
        every = [(ORDER.index(self.lights[pid, name]), name) for name in SCENARIOS if self.lights.get((pid, name))]
        own = [one for one in every if scenario in (None, one[1])]
        colour, name = (ORDER[min(own)[0]], min(own)[1]) if own else (None, None)
        verdict, rank = self.checks.get(pid, (None, None))
        candidates = [self.judged.get((pid, at)) for at in {"", name or ""}]
        standing = max((row for row in candidates if row), key=lambda row: row["decided"], default=None)
        whole = ORDER[min(every)[0]] if every else None  # of the declaration as a whole the worst light
        judged = whole if standing and standing["scenario"] == "" else colour
        return {
            "pid": pid,
            "colour": colour,
            "scenario": name,
            "reason": f"{colour} of {name}" if colour else None,
            "crop_check": verdict,
            "crop_rank": math.nan if rank is None else rank,
            "change": self.change(pid, name, scenario) if since else None,
            "decision": standing and standing["decision"],
            "decided": standing and standing["decided"],
            "outdated": "light" if standing and standing["colour"] != judged else None,
        }

    def change(self, pid, name, scenario):
        texts = []
        for other in sorted(SCENARIOS, key=lambda other: (other != name, other)):
            then, now = self.past.get((pid, other)), self.lights.get((pid, other))
            if then != now and scenario in (None, other):
                text = f"{then or 'none'} → {now or 'none'}"
                texts.append(text if other == name else f"{other}: {text}")
        texts += ["mowing"] if pid in self.mown else []
        return "; ".join(texts) or None
