"""Lakes to be damaged, and what can happen to a file."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cbm_lake import card2db, extract, parcels
from cbm_lake.demo import sample
from cbm_lake.errors import LakeError
from cbm_lake.lake import Lake

SEASON = {"start": "2024-01-01", "end": "2024-12-31", "aoi": "demo", "year": 2024}
BANDS = ("B04", "B05")


def build(root: Path) -> Lake:
    """A lake of 3 scenes over the sample's parcels, extracted into cubes; its logs are summed up, and go on after."""
    made = sample.write(root / "sample", dates=3, size=160)
    lake = Lake(str(root / "lake"))
    card2db.items(str(made.items["s2"]), lake=lake)
    parcels.load(str(made.parcels), "demo", 2024, pid="parcel_id", lake=lake)
    days = sorted(str(row["day"]) for row in lake.sql("select datetime::date as day from stac_scenes").to_pylist())
    extract.s2(days[0], days[1], aoi="demo", year=2024, bands=BANDS, workers=0, lake=lake)
    lake.compact()
    extract.s2(**SEASON, bands=BANDS, workers=0, lake=lake)
    return lake


def files(lake: Lake) -> list[str]:
    """Every file of a lake by its name in it."""
    root = Path(lake.url)
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def kind(name: str) -> str:
    """What sort of file it is: the name without what differs between files of a sort."""
    folder, _, file = name.rpartition("/")
    parts = folder.split("/")
    if parts[0] == "cubes":
        inner = name.split(".zarr/")[1]
        return "cubes " + ("block" if inner.count("/") > 2 else inner)
    ending = file.rpartition(".")[2] if file[0] != "_" else file
    log = " log" if "_delta_log" in name else ""
    return f"{parts[0]}{log} {'checkpoint' if 'checkpoint.' in file else ending}"


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def garbage(path: Path) -> None:
    size = path.stat().st_size
    path.write_bytes((b"\xa5\x5a garbage " * (size // 11 + 1))[:size])


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def deleted(path: Path) -> None:
    path.unlink()


WHOLESALE: dict[str, Callable[[Path], None]] = {
    "deleted": deleted,
    "emptied": emptied,
    "cut": cut,
    "garbage": garbage,
    "zeros": zeros,
}


def turned(position: int, bit: int) -> Callable[[Path], None]:
    """One bit is turned."""

    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[position] ^= 1 << bit
        path.write_bytes(data)

    return damage


@dataclass
class Damaged:
    """A file of a lake while it is damaged; it is as it was afterwards."""

    path: Path
    damage: Callable[[Path], None]

    def __enter__(self) -> None:
        state = self.path.stat()
        self._kept, self._times = self.path.read_bytes(), (state.st_atime_ns, state.st_mtime_ns)
        self.damage(self.path)

    def __exit__(self, *_: object) -> None:
        self.path.write_bytes(self._kept)
        os.utime(self.path, ns=self._times)


def answers(lake: Lake) -> dict[str, object]:
    """What readers get: numbers, or the text of the error that names what is wrong."""
    opened = Lake(lake.url)
    questions = {
        "s2": lambda: opened.sql("select * from s2 order by pid, scene").to_pylist(),
        "parcels": lambda: opened.sql("select pid, area_m2, version from parcels order by pid").to_pylist(),
        "scenes": lambda: opened.sql("select id, obstime, boa_offset, status from scenes order by id").to_pylist(),
        "series": lambda: _series(opened),
        "cube": lambda: _pixels(opened),
    }
    found: dict[str, object] = {}
    for name, ask in questions.items():
        try:
            found[name] = ask()
        except LakeError as error:
            found[name] = error
    return found


def _series(lake: Lake) -> object:
    pid = lake.sql("select min(pid) as pid from parcels").to_pylist()[0]["pid"]
    return lake.query("time_series.s2", aoi="demo", year=2024, ptype="", pid=pid, bands=list(BANDS)).to_pylist()


def _pixels(lake: Lake) -> object:
    return {
        resolution: {
            name: values.values.tobytes()
            for name, values in lake.cube("s2", aoi="demo", year=2024, resolution=resolution).variables.items()
            if values.dtype.kind in "iuf"
        }
        for resolution in (10, 20)
    }


def copy(lake: Lake, target: Path) -> Lake:
    """A copy to be damaged; times are those of the original."""
    shutil.copytree(lake.url, target)
    return Lake(str(target))
