"""A generated landscape some of whose declared parcels are truly woods, houses or water."""

from unittest import mock

from cbm_lake import card2db, extract, parcels
from cbm_lake.config import Workspace
from cbm_lake.demo import landscape, sample

COVERS = {"forest": "forest", "built": "sealed or bare", "water": "water"}
"""What is planted, and what it should be called."""


def make(folder, *, size=320, dates=16, each=3, seed=2024, cards=("s2",), aoi="demo"):
    """Load and extract it; the true cover by pid of what was planted. CBM_LAKE_HOME must name the folder."""
    planted = {}
    falsify = landscape._falsify

    def plant(table, rng):
        falsify(table, rng)
        large = table.index[(table["shape"] == "plain") & (table.area > 8_000) & (table["kinds"] == "whole")]
        for number, row in enumerate(rng.permutation(large)[: each * len(COVERS)]):
            cover = list(COVERS)[number % len(COVERS)]
            table.loc[row, "crop"] = cover
            planted[str(table.at[row, "pid"])] = cover

    Workspace.here().create()
    passes = sample._radar_passes
    with (
        mock.patch.object(landscape, "_falsify", plant),
        mock.patch.object(sample, "_radar_passes", lambda count: passes(count)[: count if "bs" in cards else 1]),
    ):
        drawn = sample.write(folder / "sample", size=size, dates=dates, seed=seed)
    parcels.load(drawn.parcels, aoi, 2024, pid="parcel_id", crop_name="crop_name", crop_code="crop_code")
    for card in cards:
        card2db.items(drawn.items[card], card=card)
        extract.run(extract.plan(card, "2024-03-01", "2024-10-31", aoi=aoi, year=2024), workers=0)
    return planted
