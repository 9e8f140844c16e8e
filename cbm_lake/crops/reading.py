"""Reads the season of a parcel set from the lake: Sentinel-2, backscatter and coherence on one calendar."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake import cards
from cbm_lake.cards import BS, C6, S2, Card
from cbm_lake.crops.calendar import STEP, Calendar
from cbm_lake.crops.declarations import Declared
from cbm_lake.crops.features import Season
from cbm_lake.errors import NotFoundError
from cbm_lake.lake import Lake
from cbm_lake.lake.looks import count, in_words
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers.groups import EPOCH
from cbm_lake.markers.parameters import Clear

Floats = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]
"""Called with the number done and the total."""

_AT_ONCE: Final = 20_000
"""Parcels whose steps are aggregated at once, in some 300 MB."""
_CARDS: Final = (S2, BS, C6)
_INDICES: Final = ("ndvi", "ndwi", "ndmi", "ndti")
"""Indices of each step, from the means of the bands."""
_STATIC: Final = ("elevation", "slope")
"""Attributes of parcels that tell of their site."""


@dataclass(frozen=True, eq=False)
class Observed:
    """What the lake has of a parcel set until a day."""

    season: Season
    missing: tuple[str, ...]
    """What was not extracted, or never seen, in words."""


def read(
    lake: Lake,
    parcels: ParcelSet,
    declared: Declared,
    calendar: Calendar,
    clear: Clear,
    progress: Progress | None = None,
) -> Observed:
    """Read the season of a parcel set; nothing that was seen after the calendar's last day is part of it.

    Args:
        lake: the lake.
        parcels: the set.
        declared: its declarations.
        calendar: the days.
        clear: what counts as seen, as the search for markers has it.
        progress: called as parcels are read.

    Raises:
        NotFoundError: nothing was seen of any parcel; the message says whether nothing was extracted, or why no look
            counts.
    """
    quantities: dict[str, Floats] = {}
    for number, card in enumerate(_CARDS):
        part = _Part(number, len(_CARDS), progress or (lambda _done, _total: None))
        how = {**parcels.params, "first": calendar.first, "last": calendar.last, "step": STEP, **_seen(card, clear)}
        quantities |= _of_card(card, _gathered(lake, declared, (len(declared), calendar.steps), card, how, part))
    if not quantities:
        raise NotFoundError(_why_nothing(lake, parcels, calendar, clear))
    seen = np.any([np.isfinite(values).any(axis=0) for values in quantities.values()], axis=0)
    begin, end = np.flatnonzero(seen)[[0, -1]]
    within = slice(begin, end + 1)
    season = Season(
        pids=declared.pids,
        x=declared.x,
        y=declared.y,
        area_m2=declared.area_m2,
        codes=declared.codes,
        days=calendar.middles[within],
        values={name: np.ascontiguousarray(values[:, within]) for name, values in quantities.items()},
        static=_static(lake, parcels, declared.pids),
    )
    return Observed(season, tuple(_missing(quantities)))


@dataclass(frozen=True)
class _Part:
    """The progress of one part of several."""

    number: int
    parts: int
    progress: Progress

    def __call__(self, done: int, total: int) -> None:
        self.progress(self.number * total + done, self.parts * total)


def _gathered(
    lake: Lake, declared: Declared, shape: tuple[int, int], card: Card, how: Mapping[str, Any], progress: Progress
) -> dict[str, Floats]:
    """The means of each band of a card: (parcels, steps), NaN where nothing was seen; none of bands without any."""
    bands = {band: np.full(shape, np.nan, np.float32) for band in cards.CARD_BANDS[card.name]}
    for least, greatest, done in _blocks(declared.pids):
        rows = lake.query(f"crops.steps_{card.name}", **how, least=least, greatest=greatest)
        index = rows["place"].to_numpy(), rows["number"].to_numpy()
        for band, values in bands.items():
            values[index] = rows[f"{band}_mean"].to_numpy()
        progress(done, len(declared))
    return {band: values for band, values in bands.items() if np.isfinite(values).any()}


def _seen(card: Card, clear: Clear) -> dict[str, Any]:
    """Parameters of a card's statement: what counts as seen."""
    if card.is_optical:
        return {**clear.seen, **clear.sky}
    return {**clear.seen, "decibels": card.quantity.decibels}


def _blocks(pids: pa.Array) -> Iterator[tuple[str, str, int]]:
    """The first and the last pid of each block, and how many parcels it ends with."""
    for begin in range(0, len(pids), _AT_ONCE):
        end = min(begin + _AT_ONCE, len(pids))
        yield pids[begin].as_py(), pids[end - 1].as_py(), end


def _of_card(card: Card, bands: Mapping[str, Floats]) -> dict[str, Floats]:
    """The quantities of a card by name: bands and indices, decibels and their ratio, or coherence."""
    if card is S2:
        return {**bands, **dict(_indices(bands))}
    if card is C6:
        return {"coherence": _mean(list(bands.values()))} if bands else {}
    ratio = {"VH/VV": bands["VH"] - bands["VV"]} if {"VH", "VV"} <= bands.keys() else {}
    return {**bands, **ratio}


def _indices(bands: Mapping[str, Floats]) -> Iterator[tuple[str, Floats]]:
    """The indices of which all bands were extracted, by name: NDVI."""
    for index in map(cards.INDICES.__getitem__, _INDICES):
        if bands.keys() >= set(index.bands):
            yield index.column, index.of({band: bands[band] for band in index.bands}, scale=1).astype(np.float32)


def _mean(arrays: list[Floats]) -> Floats:
    """The mean of those arrays that have a value."""
    number = np.sum([np.isfinite(array) for array in arrays], axis=0)
    total = np.sum([np.nan_to_num(array) for array in arrays], axis=0, dtype=np.float32)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan).astype(np.float32)


def _static(lake: Lake, parcels: ParcelSet, pids: pa.Array) -> dict[str, Floats]:
    """The attributes of the site that rasters gave, NaN where a parcel has none."""
    rows = lake.query("markers.attributes", **parcels.params)
    row = pc.index_in(pids, rows["pid"].combine_chunks())
    names = [name for name in _STATIC if name in rows.column_names and not pa.types.is_string(rows[name].type)]
    return {
        name: rows[name].combine_chunks().take(row).cast(pa.float32()).to_numpy(zero_copy_only=False) for name in names
    }


def _missing(quantities: Mapping[str, Floats]) -> Iterator[str]:
    """The bands of Sentinel-2 and the cards that tell nothing."""
    bands = [band for band in cards.CARD_BANDS[S2.name] if band not in quantities]
    if len(bands) == len(cards.CARD_BANDS[S2.name]):
        yield S2.title
    elif bands:
        yield f"{', '.join(bands)} of {S2.title}"
    if "VV" not in quantities and "VH" not in quantities:
        yield BS.title
    if "coherence" not in quantities:
        yield C6.title


def _why_nothing(lake: Lake, parcels: ParcelSet, calendar: Calendar, clear: Clear) -> str:
    """Why nothing was seen: nothing extracted, or what became of all looks."""
    days = {"first": calendar.first, "last": calendar.last}
    counts = count(lake, "markers.looks", **parcels.params, **days, pids=None, **clear.seen, **clear.sky)
    if counts.get("looks"):
        return f"nothing can be said of {parcels.name}: {in_words(counts)}"
    span = " to ".join(str(EPOCH + timedelta(day)) for day in days.values())
    return f"nothing was extracted over {parcels.name} from {span}; extract Sentinel-2 first"
