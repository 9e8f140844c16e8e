"""A small season night by night: parcels, and scenes over them that come, come late, are reprocessed or left out."""

from datetime import UTC, datetime, timedelta

import factories
import numpy as np
from hypothesis import strategies as st

from cbm_lake.lake import Lake
from cbm_lake.scenes import leave_out, put_back

AREA = {"aoi": "ms", "year": 2024}
PIDS = tuple(f"p{number}" for number in range(8))
CROPS = [("grassland", "1")] * 4 + [("winter wheat", "2")] * 4
START = datetime(2024, 3, 1, 10, 40, tzinfo=UTC)
EVERYWHERE = range(len(PIDS))
SHARES = (0, 0, 0, 1)
"""A look in four is clouded."""


def declare(lake, version="v1", crops=None, shifted=()):
    """Load the parcels; those at the places `shifted` with other outlines."""
    rows = factories.parcels(PIDS, crops or CROPS)
    if shifted:
        shapes = [factories.outline(n, 80 if n in shifted else factories.SIDE).wkb for n in range(len(PIDS))]
        place = rows.schema.get_field_index("geometry")
        rows = rows.set_column(place, rows.schema.field(place), [shapes])
    lake.add_parcels("ms", 2024, "", version, rows)


def name_of(number, edition=0):
    return f"S{number:02}E{edition}"


def obstime(number):
    return START + timedelta(days=5 * number)


def ndvi(number, place, edition):
    """What a scene sees of a parcel: grass that is cut now and then, wheat that ripens; noise tells scenes apart."""
    rng = np.random.default_rng([number, place, edition])
    if place < 4:
        level = 0.45 if (number + 3 * place) % 9 == 0 else 0.8
    else:
        level = 0.2 + 0.65 * np.exp(-(((number - 16 - place % 2) / 8) ** 2))
    return float(level + 0.03 * rng.standard_normal())


def row(number, place, name, edition):
    value = ndvi(number, place, edition)
    clouded = np.random.default_rng([7, number, place, edition]).choice(SHARES)
    red = 2000 * (1 - value)
    sky = {"scl": {9: 25}} if clouded else {}
    return factories.signature(PIDS[place], name, obstime(number), red=red, nir=4000 - red, **sky)


def extract(lake, number, edition=0, places=EVERYWHERE, version="v1"):
    """Catalogue a scene, or a newer processing of it, and extract it over some parcels."""
    name = name_of(number, edition)
    baseline = f"05.{10 + edition}"
    acquisition = f"A{number}"
    if not lake.sql("select 1 from scenes where id = $id", id=name).num_rows:
        lake.add_scenes(
            factories.scenes(factories.scene(name, obstime(number), acquisition=acquisition, baseline=baseline))
        )
    rows = [row(number, place, name, edition) for place in places]
    parcels = factories.parcel_set(version=version)
    again = {"attempt": attempts(lake, name), "finished": obstime(number)}
    factories.write(lake, factories.signatures(*rows), parcels, name, **again)


def attempts(lake, name):
    """How often a scene was extracted: what is done once more has another number, as the planner gives it."""
    return lake.sql("select count(*) as count from ledger where scene = $name", name=name)["count"][0].as_py()


def waves(lake, number, places=EVERYWHERE):
    """Extract a scene of coherence."""
    name = f"C{number:02}"
    rows = []
    for place in places:
        rng = np.random.default_rng([9, number, place])
        value = float(0.4 + 0.1 * rng.standard_normal())
        known = {"aoi": "ms", "year": 2024, "ptype": "", "pid": PIDS[place], "scene": name, "obstime": obstime(number)}
        known |= {"reference": name, "rule": "centre", "extraction": 0}
        rows.append(known | {f"{b}_mean": value for b in ("VV", "VH")} | {f"{b}_count": 25 for b in ("VV", "VH")})
    again = {"attempt": attempts(lake, name), "finished": obstime(number)}
    factories.write(lake, factories.signatures(*rows, card="c6"), scene=name, card="c6", **again)


def toggle(lake, number, edition=0):
    """Leave a scene out, or put it back."""
    name = name_of(number, edition)
    if lake.sql("select 1 from scenes where id = $id and left_out is not null", id=name).num_rows:
        put_back(name, "it was right", who="x", lake=lake)
    else:
        leave_out(name, "it was wrong", who="x", lake=lake)


def opened(url):
    return Lake(str(url))


def toggle_if_there(lake, number):
    """Leave a scene out, or put it back, where it was catalogued."""
    if lake.sql("select 1 from scenes where id = $id", id=name_of(number)).num_rows:
        toggle(lake, number)


NUMBERS = st.integers(0, 30)
PLACES = st.sets(st.integers(0, 7), min_size=1).map(sorted)
EVENTS = (
    st.tuples(st.just("scene"), NUMBERS, PLACES),
    st.tuples(st.just("scene"), NUMBERS, PLACES),
    st.tuples(st.just("reprocessed"), NUMBERS, PLACES),
    st.tuples(st.just("coherence"), NUMBERS, PLACES),
    st.tuples(st.just("toggle"), NUMBERS),
    st.tuples(st.just("outlines"), st.sets(st.integers(0, 7), max_size=2)),
)
"""What is drawn of what may happen to a lake between two nights."""
HAPPENS = {
    "scene": lambda lake, number, places: extract(lake, number, places=places),
    "reprocessed": lambda lake, number, places: extract(lake, number, 1, places),
    "coherence": waves,
    "toggle": toggle_if_there,
    "outlines": lambda lake, places: declare(lake, f"o{sorted(places)}", shifted=places),
}
