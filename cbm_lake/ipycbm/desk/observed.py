"""What the lake says of a parcel's year, read once for all that draw it, and ahead of the parcels that come next."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from cbm_lake import cards
from cbm_lake.cards import Card, Index
from cbm_lake.errors import LakeError
from cbm_lake.lake import Lake, open_lake
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.lake.snapshots import Snapshot
from cbm_lake.parcel.chips import Reader
from cbm_lake.parcel.declaration import Parcel
from cbm_lake.parcel.series import TimeSeries
from cbm_lake.show import computing
from cbm_lake.show.peers import Peers
from cbm_lake.show.reading import Event, Reading

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
Row = Mapping[str, Any]
_DECIDED: Final = frozenset({"judged", "inspections", "decisions"})
"""Tables of what people decided, on which nothing here rests: a decision makes the page no slower."""
_MOST: Final = 64
"""Parcels that are remembered."""
_THREADS: Final = 4
_NOTHING: Final[Row] = MappingProxyType({"lights": None, "crop_check": None, "changes": 0, "latest": None})
"""Of a parcel of which nothing is said."""
RADAR: Final = ("bs", "c6")


@dataclass(frozen=True, eq=False)
class Observed:
    """A parcel's year."""

    reading: Reading
    """Of this parcel alone."""
    parcel: Parcel
    optical: TimeSeries
    """As its card screens clouds; that of Sentinel-2 where no optical card saw the parcel."""
    radar: Mapping[str, TimeSeries]
    """By card; only those that saw the parcel."""
    weather: pd.DataFrame
    """See `Reading.weather`, of the year alone."""
    work: tuple[Event, ...]
    about: Row
    """The row of sql/worklist/about.sql, of nothing where there is none."""
    bands: dict[str, Peers] = field(default_factory=dict)
    """Bands of peers that were read, by index."""
    _curves: dict[str, pd.DataFrame] = field(default_factory=dict)

    @cached_property
    def screen(self) -> tuple[int, ...]:
        """Scene classes that count as clouds."""
        return screen_of(self.optical.card)

    def curve(self, index: Index) -> pd.DataFrame:
        """See `show.computing.index_curve`; worked out once."""
        if index.name not in self._curves:
            self._curves[index.name] = computing.index_curve(self.optical, index, self.screen)
        return self._curves[index.name]

    @cached_property
    def scenes(self) -> pd.DataFrame:
        """scene and clear_share (0 to 1, NaN where not known) of each optical look, by its time (naive UTC)."""
        columns = ["obstime", "scene", "clear_share", "share"]
        rows = self.optical.table.select(columns).to_pandas()
        rows = rows.assign(time=rows["obstime"].dt.tz_convert(None)).sort_values(["time", "share"], kind="stable")
        return rows.drop_duplicates("time", keep="last").set_index("time")


def screen_of(card: Card) -> tuple[int, ...]:
    """The classes of a card that count as clouds."""
    return cards.screened(cards.CLOUD_CLASSES, card)


def of_parcels(snapshot: Snapshot) -> Snapshot:
    """A snapshot without the versions of what people decided."""
    return replace(snapshot, versions=tuple(each for each in snapshot.versions if each[0] not in _DECIDED))


class Observations:
    """Reads and remembers what the lake says of parcels; what it remembers is of the newest snapshot alone.

    Threads that ask for the same parcel wait for one reading of it.

    Args:
        lake: the lake; None is the one that the settings name, whenever it is asked.
        most: parcels that are remembered, those asked for last.
    """

    def __init__(self, lake: Lake | None = None, most: int = _MOST) -> None:
        self._lake, self._most = lake, most
        self.pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="evidence")
        """Threads in which parts of a parcel are read."""
        self.since: datetime | None = None
        """From which moment on the workbench counts changes."""
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._pixels: Reader | None = None
        self._years: OrderedDict[tuple[ParcelKey, datetime | None], Future[Observed]] = OrderedDict()

    @property
    def lake(self) -> Lake:
        """The lake that is read."""
        return self._lake or open_lake()

    def of(self, key: ParcelKey, since: datetime | None = None) -> Observed:
        """A parcel's year; `since`: of which moment on its changes are counted.

        Raises:
            NotFoundError: no such parcel.
        """
        future, mine = self._future((key, since))
        if mine:
            try:
                future.set_result(self._read(key, since))
            except BaseException as error:
                future.set_exception(error)
                with self._lock:  # an error is no answer for the next who asks
                    if self._years.get((key, since)) is future:
                        del self._years[key, since]
                raise
        return future.result()

    def prefetch(self, keys: Iterable[ParcelKey], since: datetime | None = None) -> None:
        """Read parcels ahead, one after another; those that cannot be read are left to who asks for them."""
        for key in keys:
            try:
                self.of(key, since)
            except LakeError:
                continue

    @property
    def reader(self) -> Reader:
        """What reads pixels of the newest snapshot; it remembers headers and slots of cubes."""
        self._renew()
        with self._lock:
            if self._pixels is None:
                self._pixels = Reader(self.lake)
            return self._pixels

    def is_current(self, observed: Observed) -> bool:
        """Whether nothing was written to the lake since this was read."""
        self._renew()
        with self._lock:
            return any(future.done() and future.result() is observed for future in self._years.values())

    def _future(self, asked: tuple[ParcelKey, datetime | None]) -> tuple[Future[Observed], bool]:
        """What answers, and whether the caller is to work it out."""
        self._renew()
        with self._lock:
            mine = asked not in self._years
            future = self._years.setdefault(asked, Future())
            self._years.move_to_end(asked)
            while len(self._years) > self._most:
                self._years.popitem(last=False)
        return future, mine

    def _renew(self) -> None:
        """Forget what is of an earlier snapshot."""
        snapshot = of_parcels(self.lake.snapshot())
        with self._lock:
            if snapshot != self._snapshot:
                self._years.clear()
                self._snapshot, self._pixels = snapshot, None

    def _read(self, key: ParcelKey, since: datetime | None) -> Observed:
        reading = Reading.of(self.lake)
        [parcel] = reading.parcels(key.aoi, key.year, key.pid, key.ptype)
        present = reading.lake.snapshot().tables
        radar = {card: self._later(reading.series, parcel, card) for card in RADAR if f"signatures_{card}" in present}
        weather = self._later(_of_year, reading, parcel)
        work = self._later(reading.work, parcel)
        about = self._later(partial(_about, since=since), reading.lake, key)
        optical = _optical(reading.lake, parcel, present)
        series = {card: later.result() for card, later in radar.items()}
        seen = {card: one for card, one in series.items() if one.table.num_rows}
        return Observed(reading, parcel, optical, seen, weather.result(), tuple(work.result()), about.result())

    def _later(self, work: Callable[..., T], *arguments: object) -> Future[T]:
        return self.pool.submit(work, *arguments)


def _optical(lake: Lake, parcel: Parcel, present: Mapping[str, object]) -> TimeSeries:
    """The looks of the first optical card that saw the parcel; no rows of Sentinel-2 where none did."""
    optical = [card for card in cards.CARDS.values() if card.is_optical and f"signatures_{card.name}" in present]
    several = (_looks(lake, parcel, card) for card in optical)
    return next((series for series in several if series.table.num_rows), None) or _looks(lake, parcel, cards.S2)


def _looks(lake: Lake, parcel: Parcel, card: Card) -> TimeSeries:
    query, screen = f"time_series.looks_{card.name}", list(screen_of(card))
    return TimeSeries(parcel, card, lake.query(query, screen=screen, **parcel.key.params))


def _of_year(reading: Reading, parcel: Parcel) -> pd.DataFrame:
    """The weather of the parcel's year."""
    days = reading.weather(parcel)
    return days[days["time"].dt.year == parcel.year] if len(days) else days


def _about(lake: Lake, key: ParcelKey, since: datetime | None) -> Row:
    rows: list[Row] = lake.query("worklist.about", **key.params, since=since).to_pylist()
    return rows[0] if rows else _NOTHING
