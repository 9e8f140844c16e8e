"""A lake of the same ground in three years, with outlines, curves, weather and lineage that are known by hand.

Area ms, EPSG:32631, squares and rectangles 100 m high; x in metres from `factories.X`:

    2022    C 0 to 200 (wheat)                       N 300 to 400
    2023    B 0 to 200 (maize)                       N 300 to 400
    2024    A 0 to 80    D 80 to 200 (both barley)   N 1300 to 1400

So A is two fifths of B, and B is C with another identifier; N of 2024 lies elsewhere. A look every 20 days, the sixth
clouded; NDVI rises by year and day.
"""

from datetime import UTC, date, datetime, timedelta

import factories
import pyarrow as pa
import shapely
from factories import SIDE, X, Y

from cbm_lake.lake import schemas

OUTLINES = {
    2022: {"C": (0, 200), "N": (300, 400)},
    2023: {"B": (0, 200), "N": (300, 400)},
    2024: {"A": (0, 80), "D": (80, 200), "N": (1300, 1400)},
}
CROPS = {2022: "wheat", 2023: "maize", 2024: "barley"}
LOADED = datetime(2024, 12, 31, tzinfo=UTC)
CLOUDED = 5
"""The number of the look of each year that is clouded."""


def shape(year, pid):
    """The outline of a parcel."""
    west, east = OUTLINES[year][pid]
    return shapely.box(X + west, Y, X + east, Y + SIDE)


def parcels(year):
    """Rows of schemas.PARCELS of a year."""
    pids = tuple(OUTLINES[year])
    rows = factories.parcels(pids, ((CROPS[year], None),) * len(pids)).to_pylist()
    for row in rows:
        outline = shape(year, row["id"])
        lon, lat = factories.degrees(outline.centroid.x, outline.centroid.y)
        box = dict(zip(("xmin", "ymin", "xmax", "ymax"), outline.bounds, strict=True))
        row |= {"geometry": outline.wkb, "bbox": box, "centroid_lon": lon, "centroid_lat": lat}
    return pa.Table.from_pylist(rows, schema=schemas.PARCELS)


def looks(year):
    """The times of the looks of a year: from 5 January on, and with them 29 February."""
    first = datetime(year, 1, 5, 10, 40, tzinfo=UTC)
    times = [first + timedelta(days=20 * number) for number in range(18)]
    return sorted([*times, datetime(year, 2, 29, 10, 40, tzinfo=UTC)] if year == 2024 else times)


def ndvi(year, number):
    """The NDVI of every parcel in a look, by its red and near infrared DN: 0.2 + 0.02 per look + 0.1 per year."""
    value = 0.2 + 0.02 * number + 0.1 * (year - 2022)
    return 2000 * (1 - value), 2000 * (1 + value)


def write_looks(lake, year, times, *, start=0):
    """Scenes and signatures of the parcels of a year."""
    for number, time in enumerate(times, start):
        name, (red, nir) = f"{year}-{number}", ndvi(year, number)
        scl = {9: 25} if number == CLOUDED else {4: 25}
        lake.add_scenes(factories.scenes(factories.scene(name, time)))
        rows = [
            factories.signature(pid, name, time, year=year, red=red, nir=nir, scl=scl) for pid in sorted(OUTLINES[year])
        ]
        factories.write(lake, factories.signatures(*rows), factories.parcel_set(year=year), name, finished=time)


def weather(lake, days):
    """Weather of the area: rows of (day, mean temperature, precipitation); None is not known."""
    key = {"aoi": "ms", "cell": "1", "part": 1, "loaded": LOADED, "sequence": None}
    rows = [
        key | {"meteo_date": day, "tmin": None, "tmax": None, "tmean": mean, "prec": rain} for day, mean, rain in days
    ]
    cell = {**key, "west": 2.0, "south": 43.0, "east": 4.0, "north": 44.0}
    lake.put("weather_days", pa.Table.from_pylist(rows, schema=schemas.WEATHER), 1)
    lake.put("weather_boxes", pa.Table.from_pylist([cell], schema=schemas.WEATHER_CELLS), 1)


def constant_weather(years=(2022, 2023, 2024)):
    """2 degrees and 1 mm on each day of 2022, half a degree and mm more in each later year."""
    for year in years:
        day = date(year, 1, 1)
        while day.year == year:
            yield day, 2.0 + 0.5 * (year - 2022), 1.0 + 0.5 * (year - 2022)
            day += timedelta(days=1)


def relate(lake, *relations, share=None):
    """Lineage: (year, pid, year before, pid before, relation), with the shares of area of the outlines, or that one."""
    rows = []
    for year, pid, year_before, pid_before, relation in relations:
        after, before = shape(year, pid), shape(year_before, pid_before)
        shared = shapely.intersection(after, before).area
        rows.append(
            {
                "aoi": "ms",
                "year": year,
                "ptype": "",
                "year_before": year_before,
                **dict.fromkeys(("version", "version_before"), "v1"),
                "pid": pid,
                "pid_before": pid_before,
                "relation": relation,
                "area_m2": after.area,
                "area_before_m2": before.area,
                "shared_m2": shared,
                "share": shared / after.area if share is None else share,
                "share_before": shared / before.area if share is None else share,
                "part": 7,
                **({"ptype_before": ""} if "ptype_before" in schemas.LINEAGE.names else {}),
                **({"least_share": 0.1} if "least_share" in schemas.LINEAGE.names else {}),
            }
        )
    lake.put("related_parcels", pa.Table.from_pylist(rows, schema=schemas.LINEAGE), 7)


CHAIN = (
    (2023, "B", 2022, "C", "same"),
    (2024, "A", 2023, "B", "split"),
    (2024, "D", 2023, "B", "split"),
    (2023, "N", 2022, "N", "same"),
)


def make(lake, *, lineage=CHAIN):
    """Fill the lake."""
    for year in OUTLINES:
        lake.add_parcels("ms", year, "", "v1", parcels(year))
        write_looks(lake, year, looks(year))
    weather(lake, constant_weather())
    if lineage:
        relate(lake, *lineage)
    return lake
