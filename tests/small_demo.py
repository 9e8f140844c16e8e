"""A workspace with a small generated sample in its lake: parcels, Sentinel-2 images, backscatter."""

from cbm_lake import card2db, extract, parcels
from cbm_lake.config import Workspace
from cbm_lake.demo import sample


def make(folder, dates=9):
    """Make it there; CBM_LAKE_HOME must name the folder."""
    Workspace.here().create()
    drawn = sample.write(folder / "sample", size=160, dates=dates)
    parcels.load(drawn.parcels, "demo", 2024, pid="parcel_id", crop_name="crop_name", crop_code="crop_code")
    for card in ("s2", "bs"):
        card2db.items(drawn.items[card], card=card)
        extract.run(extract.plan(card, "2024-03-01", "2024-10-31", aoi="demo", year=2024), workers=0)
    return folder
