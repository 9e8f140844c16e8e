"""Small tables made in code, with answers known by hand.

Three parcels of area ms in 2024 stand side by side in EPSG:32631, 100 m wide, 10 m apart, their lower left corners at
(500000, 4800000), (500110, 4800000) and (500220, 4800000). x = 500000 is the central meridian of UTM zone 31, so the
first parcel's western edge lies exactly on 3 degrees east.
"""

import hashlib
import os
import shutil
from datetime import UTC, datetime

import pyarrow as pa
import pytest
import shapely
from pyproj import Transformer

from cbm_lake import cards
from cbm_lake.lake import schemas
from cbm_lake.lake.snapshots import ParcelSet

X, Y, SIDE, STEP = 500_000, 4_800_000, 100, 110
PIDS = ("0012", "12", "a/b")
CROPS = (("wheat", "1"), ("wheat", "1"), (None, None))
DAY = datetime(2024, 5, 1, 10, 40, tzinfo=UTC)


def outline(number, size=SIDE):
    """The square of the parcel with that number."""
    return shapely.box(X + STEP * number, Y, X + STEP * number + size, Y + size)


def degrees(x, y, epsg=32631):
    """A place of the area in lon, lat."""
    return Transformer.from_crs(epsg, 4326, always_xy=True).transform(x, y)


def parcels(pids=PIDS, crops=CROPS, epsg=32631, **others):
    """Rows of schemas.PARCELS: squares of one hectare."""
    rows = []
    for number, (pid, (name, code)) in enumerate(zip(pids, crops, strict=True)):
        shape = outline(number)
        lon, lat = degrees(shape.centroid.x, shape.centroid.y, epsg)
        box = dict(zip(("xmin", "ymin", "xmax", "ymax"), shape.bounds, strict=True))
        rows.append(
            {
                "id": pid,
                "geometry": shape.wkb,
                "bbox": box,
                "area": 1.0004,
                "crop:code": code,
                "crop:name": name,
                "epsg": epsg,
                "centroid_lon": lon,
                "centroid_lat": lat,
            }
        )
    table = pa.Table.from_pylist(rows, schema=schemas.PARCELS)
    for name, values in others.items():
        table = table.append_column(name, pa.array(values))
    return table


def parcel_set(aoi="ms", year=2024, ptype="", version="v1"):
    """A parcel set by its name, for signatures that need no outlines."""
    return ParcelSet(aoi, year, ptype, version, "", "")


def scene(name, obstime=DAY, *, card="s2", acquisition=None, baseline="05.10", **others):
    """A row of schemas.SCENES; `acquisition` says of which it is a processing."""
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": name,
        "geometry": shapely.box(2.9, 43, 3.1, 44).wkb,
        "bbox": {"xmin": 2.9, "ymin": 43.0, "xmax": 3.1, "ymax": 44.0},
        "assets": {"B04": {"href": f"/data/{name}/B04.tif", "type": "image/tiff"}},
        "datetime": obstime,
        "proj:code": "EPSG:32631",
        "grid:code": "MGRS-31TEJ",
        "s2:processing_baseline": baseline,
        "card": card,
        "reference": f"{name}.SAFE",
        "sensor": "S2A",
        "boa_offset": -1000,
        "acquisition": acquisition or name,
        "source": "made here",
        "ingested": datetime.now(UTC),
        "eo:cloud_cover": 12.5,
        **others,
    }


def scenes(*rows):
    """Scenes as a table; a text stands for a scene of that name."""
    return pa.Table.from_pylist([scene(row) if isinstance(row, str) else row for row in rows], schema=schemas.SCENES)


def band(name, mean, count=100):
    """The eight statistics of a band whose values are spread evenly about the mean."""
    values = (count, mean, 10, mean - 20, mean + 20, mean - 7, mean, mean + 7)
    return {f"{name}_{key}": value for key, value in zip(cards.statistics.STORED, values, strict=True)}


def signature(pid, name="A", obstime=DAY, *, aoi="ms", year=2024, ptype="", red=400, nir=1200, scl=None, **others):
    """A row of signatures of s2: NDVI is (1200 - 400) / (1200 + 400) = 0.5 unless told."""
    classes = {f"scl_{value}": (scl or {4: 25}).get(value, 0) for value in cards.CLASSES}
    return {
        "aoi": aoi,
        "year": year,
        "ptype": ptype,
        "pid": pid,
        "scene": name,
        "obstime": obstime,
        "reference": f"{name}.SAFE",
        "rule": "centre",
        "extraction": 0,
        **band("B04", red),
        **band("B08", nir),
        **classes,
        **others,
    }


def number(scene, *, card="s2", aoi="ms", year=2024, ptype="", parcels="v1"):
    """The number of the extraction of a scene over a parcel set."""
    return int.from_bytes(hashlib.sha256(f"{card}/{aoi}/{year}/{ptype}/{parcels}/{scene}".encode()).digest()[:8]) >> 1


def write(lake, rows, parcels=None, scene="A", card="s2", attempt=0, **others):
    """Write signatures as the extraction of a scene does, and record it as done; each attempt at it has its number."""
    found = parcels or parcel_set()
    done = {"card": card, "aoi": found.aoi, "year": found.year, "ptype": found.ptype, "parcels": found.version}
    extraction = number(scene, **done) + attempt
    place = rows.schema.get_field_index("extraction")
    rows = rows.set_column(place, rows.schema.field(place), pa.array([extraction] * rows.num_rows, pa.int64()))
    lake.write_signatures(card, rows, extraction)
    lake.record(entry(scene, **done, **({"extraction": extraction} | others)))


def signatures(*rows, card="s2"):
    """Signatures as a table."""
    return pa.Table.from_pylist(list(rows), schema=schemas.signatures(card))


def entry(name, status="done", finished=DAY, *, card="s2", aoi="ms", year=2024, ptype="", parcels="v1", **others):
    """A row of the ledger."""
    key = {"card": card, "aoi": aoi, "year": year, "ptype": ptype, "parcels": parcels}
    return {
        **key,
        "scene": name,
        "extraction": number(name, **key),
        "base": None,
        "bands": ["B04", "B08"],
        "rule": "centre",
        "boa_offset": -1000,
        "cube": False,
        "status": status,
        "problem": None if status == "done" else "broken",
        "rows": 3,
        "started": finished,
        "finished": finished,
        "version": "0.1",
        **others,
    }


def fill(lake, *, names=("A", "B"), pids=PIDS, ptype=""):
    """Parcels, and for each scene one signature per parcel, recorded as done; the lake."""
    lake.add_parcels("ms", 2024, ptype, "v1", parcels(pids, [("wheat", "1")] * len(pids)))
    lake.add_scenes(scenes(*(scene(name, day(number)) for number, name in enumerate(names))))
    for number, name in enumerate(names):
        rows = [signature(pid, name, day(number), ptype=ptype) for pid in sorted(pids)]
        write(lake, signatures(*rows), parcel_set(ptype=ptype), name, finished=day(number))
    return lake


def copied(prepared, lake):
    """An empty lake with the files of a prepared one, fifty times faster than preparing another; the lake."""
    shutil.copytree(prepared.url, lake.url, dirs_exist_ok=True)
    return lake


def day(number):
    """The moment of the scene with that number: every tenth day from 1 January on."""
    return datetime(2024, 1 + number // 3, 1 + 10 * (number % 3), 10, 40, tzinfo=UTC)


def powerless():
    """What to put before a command so that the rights of files hold for it, also when root runs the tests."""
    if os.geteuid():
        return []
    if not shutil.which("setpriv"):
        pytest.skip("no setpriv, and rights do not bind root")
    return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
