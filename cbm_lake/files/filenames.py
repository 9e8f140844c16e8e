"""Names of a lake's plain files: sequence number, timestamp, and identity of the content.

    scenes/000012-20240630T120000000000Z-1f2e3d4c.parquet
    parcels/aoi=ms/year=2024/main-000007-20240630T120000000000Z-0123456789ab_01234567.parquet

The numbers decide what is in force, so that a wrong clock changes nothing; time travel goes by the timestamps. Names of
version 0.1 have no number: they come before all others, in the order of their timestamps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cbm_lake.files import clock

_ORDER: Final = r"(?:(?P<sequence>\d{6,})-)?(?P<stamp>\d{8}T\d{12}Z)"
_SCENES: Final = re.compile(rf"{_ORDER}-")
_PARCELS: Final = re.compile(
    rf"/aoi=(?P<aoi>[^/]+)/year=(?P<year>\d+)/(?P<ptype>\w+)-{_ORDER}-(?P<version>\w+)(?:-b2[0-9a-f]+)?\.parquet$"
)
_MAIN: Final = "main"


@dataclass(frozen=True, order=True)
class Order:
    """The sort key of files: which of several is later."""

    sequence: int
    """1, 2, …; 0 of files of version 0.1."""
    stamp: str
    """When the file was written, by the clock of who wrote it; sorts as time does."""


def stamp(timestamp: datetime) -> str:
    """A timestamp as formatted in file names, which sorts chronologically."""
    return timestamp.astimezone(UTC).strftime("%Y%m%dT%H%M%S%fZ")


def following(there: Iterable[Order]) -> Order:
    """The order of a new file after the existing ones."""
    return Order(1 + max((other.sequence for other in there), default=0), stamp(clock.now()))


def scenes(order: Order, unique: str) -> str:
    """The name, in the lake, of a file of the catalogue."""
    return f"scenes/{_text(order)}-{unique}.parquet"


def order_of_scenes(path: str) -> Order:
    """What the name of a file of the catalogue says; of one that somebody else named, its first part as the time."""
    name = path.rpartition("/")[2]
    parts = _SCENES.match(name)
    return _order(parts) if parts else Order(0, name.split("-")[0])


def parcels(aoi: str, year: int, ptype: str, order: Order, version: str) -> str:
    """The name, in the lake, of a file of parcels."""
    return f"parcels/aoi={aoi}/year={year}/{ptype or _MAIN}-{_text(order)}-{version}.parquet"


def parts_of_parcels(path: str) -> tuple[str, int, str, str, Order] | None:
    """Area, year, kind, version and order of a file of parcels; None for other files."""
    parts = _PARCELS.search(path)
    if parts is None:
        return None
    ptype = "" if parts["ptype"] == _MAIN else parts["ptype"]
    return parts["aoi"], int(parts["year"]), ptype, parts["version"], _order(parts)


def _text(order: Order) -> str:
    return f"{order.sequence:06}-{order.stamp}"


def _order(parts: re.Match[str]) -> Order:
    return Order(int(parts["sequence"] or 0), parts["stamp"])
