"""A lake of squares that grow maize or wheat, as Sentinel-2, backscatter of two orbits and coherence see them."""

from datetime import UTC, datetime, timedelta

import factories
import numpy as np

MAIZE, WHEAT = ("maize", "1"), ("wheat", "2")
FIRST = datetime(2024, 3, 1, 10, 40, tzinfo=UTC)
SCENES = 20
EVERY = 7
"""Days from scene to scene, so that some steps of ten days have two."""
PEAK = {"1": 100, "2": 45}
"""Days after the first scene on which a crop is greenest, by its code."""


def pid(number):
    """The identifier of the parcel with that number; they sort otherwise than the numbers."""
    return f"{number % 7}-{number}"


def declared(count, wrong=()):
    """What each parcel declares: maize and wheat by turns, exchanged for those of `wrong`."""
    return [(WHEAT, MAIZE)[(number % 2 == 0) != (number in wrong)] for number in range(count)]


def moment(scene):
    """When that scene was taken."""
    return FIRST + timedelta(EVERY * scene)


def greenness(number, scene):
    """0 to 1: of the crop that grows there, which is maize on even numbers."""
    peak = PEAK["12"[number % 2]]
    return float(np.exp(-(((EVERY * scene - peak) / 30) ** 2)))


def bands(number, scene):
    """Mean DN of red, near and short-wave infrared."""
    green = greenness(number, scene)
    noise = np.random.default_rng((number, scene)).normal(0, 40, 3)
    return 1700 - 1200 * green + noise[0], 2000 + 2200 * green + noise[1], 2500 - 900 * green + noise[2]


def fill(lake, count=24, *, scenes=SCENES, wrong=(), radar=True, cloudy=lambda _number, _scene: False):
    """The lake with parcels, scenes and signatures; `cloudy` says which looks are clouded."""
    pids = [pid(number) for number in range(count)]
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels(pids, declared(count, wrong)))
    add_optical(lake, count, scenes, cloudy)
    if radar:
        add_radar(lake, count, scenes)
    return lake


def add_optical(lake, count, scenes, cloudy=lambda _number, _scene: False):
    """Sentinel-2's bands B04, B08 and B11."""
    lake.add_scenes(factories.scenes(*(factories.scene(f"S{number}", moment(number)) for number in range(scenes))))
    lake.prepare("s2")
    for scene in range(scenes):
        looks = [optical(number, scene, clouded=cloudy(number, scene)) for number in range(count)]
        factories.write(lake, by_pid(looks), None, f"S{scene}")


def optical(number, scene, *, clouded=False):
    """A row of signatures of Sentinel-2."""
    red, infrared, short = bands(number, scene)
    key = {"red": red, "nir": infrared, "scl": {9: 25} if clouded else {4: 25}, "share": 1.0}
    return factories.signature(pid(number), f"S{scene}", moment(scene), **key, **factories.band("B11", short, 25))


def add_radar(lake, count, scenes):
    """Backscatter by turns of two orbits, of which the second sees twice the power; and coherence."""
    names = [(card, scene) for card in ("bs", "c6") for scene in range(scenes)]
    for card in ("bs", "c6"):
        lake.prepare(card)
    lake.add_scenes(factories.scenes(*(_scene(card, number) for card, number in names)))
    for card, scene in names:
        factories.write(lake, by_pid([radar(card, n, scene) for n in range(count)], card), None, f"{card}{scene}", card)


def _scene(card, number):
    orbit = {"sat:relative_orbit": 10 + number % 2}
    return factories.scene(f"{card}{number}", moment(number), card=card, **orbit)


def radar(card, number, scene):
    """A row of signatures of radar."""
    green = greenness(number, scene)
    level = 0.1 * (1 + green) * (1 + scene % 2) if card == "bs" else 0.7 - 0.4 * green
    values = {f"{band}_mean": level * factor for band, factor in (("VV", 1), ("VH", 0.25 if card == "bs" else 1))}
    counts = {f"{band}_count": 100 for band in ("VV", "VH")}
    key = {"aoi": "ms", "year": 2024, "ptype": "", "pid": pid(number), "scene": f"{card}{scene}"}
    same = {"obstime": moment(scene), "reference": f"{card}{scene}", "rule": "centre", "extraction": 0, "share": 1.0}
    return {**key, **same, **values, **counts}


def by_pid(rows, card="s2"):
    """Signatures as a table in the order of pids."""
    return factories.signatures(*sorted(rows, key=lambda row: row["pid"]), card=card)
