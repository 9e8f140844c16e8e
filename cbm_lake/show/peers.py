"""Band of a parcel's peers: median and outer deciles of the other parcels that declare its crop, step by step."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from cbm_lake import cards
from cbm_lake.cards import Classes, palette, scene_classes
from cbm_lake.errors import InvalidInputError
from cbm_lake.parcel.declaration import Parcel
from cbm_lake.parcel.sources import LakeSource, Source
from cbm_lake.show.panels import Line
from cbm_lake.show.reading import Reading

if TYPE_CHECKING:
    import pandas as pd

    from cbm_lake.cards import Index

FEWEST: Final = 10
"""Peers from which a step has a band: a tenth of fewer is no parcel. The markers ask as many of a crop."""
MOST: Final = 1000
"""Peers that are asked at most, the nearest ones: their deciles are sure to about two hundredths of the parcels."""
STEP: Final = 10
"""Days of a step, counted from 1 January of the year of the declaration."""
LOW, HIGH = 0.1, 0.9
"""Quantiles between which the band lies: four of five peers are inside."""
_LONGEST: Final = 40
"""Letters of a crop's name in the legend."""


class Peers(NamedTuple):
    """The bands of a panel, or why there is none."""

    lines: tuple[Line, ...] = ()
    note: str = ""


def obstacle(source: Source, parcel: Parcel) -> str:
    """Why the peers of a parcel cannot be known; "" where they can."""
    if not isinstance(source, LakeSource):
        return "a server does not tell how other parcels are; read from a lake"
    return "" if parcel.crop or parcel.code else f"no crop is declared of parcel {parcel.pid}"


def of_index(reading: Reading, parcel: Parcel, index: Index, screen: Classes, card: str = "s2") -> Peers:
    """The band of an index of the bands' means, on usable looks."""
    how = {"index": index.name, "screen": list(scene_classes(screen))}
    rows = _asked(reading, parcel, f"peers_index_{card}", {**how, "group": None})
    return _bands(_crop(parcel), rows, {index.name: palette.GREY}, cards.get(card))


def of_group(reading: Reading, parcel: Parcel, group: str, index: Index, screen: Classes, colour: str) -> Peers:
    """The band of an index of the other parcels that declare a group of crops, but for those that a check accuses."""
    how = {"index": index.name, "screen": list(scene_classes(screen)), "group": group}
    rows = reading.lake.query("time_series.peers_index_s2", **_scope(parcel), **how).to_pandas()
    return _bands(group, rows, {index.name: colour}, cards.get("s2"))


def of_bands(reading: Reading, parcel: Parcel, bands: Sequence[str], screen: Classes, card: str = "s2") -> Peers:
    """The bands of reflectance, or of indices of pixels, on usable looks."""
    how = {"bands": list(bands), "screen": list(scene_classes(screen))}
    colours = {band: palette.BANDS.get(band, palette.GREY) for band in bands}
    return _bands(_crop(parcel), _asked(reading, parcel, f"peers_{card}", how), colours, cards.get(card))


def of_radar(reading: Reading, parcel: Parcel, card: str) -> Peers:
    """The bands of backscatter (dB) or coherence, by polarisation."""
    colours = {band: palette.BANDS[band] for band in ("VV", "VH")}
    rows = _asked(reading, parcel, f"peers_{card}", {"bands": [*colours]})
    return _bands(_crop(parcel), rows, colours, cards.get(card))


def _asked(reading: Reading, parcel: Parcel, question: str, how: Mapping[str, object]) -> pd.DataFrame | str:
    """The answer to a question about the peers, or why they cannot be known."""
    reason = obstacle(reading.source, parcel)
    return reason or reading.lake.query(f"time_series.{question}", **_scope(parcel), **how).to_pandas()


def _bands(crop: str, rows: pd.DataFrame | str, colours: Mapping[str, str], card: cards.Card) -> Peers:
    """A line with its band for each quantity in `colours`, or a note where there are too few peers."""
    if isinstance(rows, str):
        return Peers(note=f"no band of peers: {rows}")
    asked, others = (int(rows[name].max()) if len(rows) else 0 for name in ("peers", "others"))
    counted = rows[rows["parcels"] >= FEWEST]
    if counted.empty:
        return Peers(note=_too_few(rows, others, crop))
    label = _label(asked, others, crop)
    curves = {band: _curve(counted[counted["band"] == band], band, card) for band in colours}
    return Peers(tuple(Line(label, colours[band], rows, ":") for band, rows in curves.items() if len(rows)))


def _curve(rows: pd.DataFrame, band: str, card: cards.Card) -> pd.DataFrame:
    """Rows of a curve: time, value (the median), low, high, cloud and count.

    Decibels are of the quantiles of linear power, whose order they keep.
    """
    values = rows[["median", "low", "high"]].rename(columns={"median": "value"}).astype(np.float64)
    values *= card.unit if band in card.resolutions else 1
    if card.quantity.decibels:
        values = 10 * np.log10(values.where(values > 0))
    return values.assign(time=rows["at"], cloud=0.0, count=rows["parcels"]).reset_index(drop=True)


def _label(asked: int, others: int, crop: str) -> str:
    """What the band is, and of which parcels, for the legend."""
    which = f"{others:,}" if asked == others else f"the {asked:,} nearest of {others:,}"
    share = f"{100 * LOW:.0f} to {100 * HIGH:.0f} %"
    return f"median and {share} of {which} other parcels of {_short(crop)}, by {STEP} days"


def _too_few(rows: pd.DataFrame, others: int, crop: str) -> str:
    if others < FEWEST:
        number = f"{others} other {'parcel' if others == 1 else 'parcels'}" if others else "no other parcel"
        return f"no band of peers: {number} of {_short(crop)}, {FEWEST} are needed"
    most = int(rows["parcels"].max()) if rows["parcels"].notna().any() else 0
    seen = f"{most} of the {others:,} of {_short(crop)} at most were seen clear within {STEP} days"
    return f"no band of peers: {seen}, {FEWEST} are needed"


def _short(crop: str) -> str:
    return textwrap.shorten(crop, _LONGEST, placeholder=" …")


def _scope(parcel: Parcel) -> dict[str, object]:
    """Query parameters that select the peers and the calendar."""
    scope = {name: value for name, value in parcel.key.params.items() if name != "pid"}
    near = {"without": parcel.pid, "crop": _crop(parcel), "lon": parcel.lon, "lat": parcel.lat, "most": MOST}
    return {**scope, **near, "step": STEP, "low": LOW, "high": HIGH}


def _crop(parcel: Parcel) -> str:
    """The crop by whose name, or code where there is none, peers are chosen."""
    return parcel.crop or parcel.code or ""


def required(source: Source, parcels: Sequence[Parcel]) -> None:
    """Check that the band of peers can be drawn.

    Raises:
        InvalidInputError: of several parcels, or one without a crop, or from a server.
    """
    if len(parcels) > 1:
        raise InvalidInputError("other parcels of the crop are drawn behind one parcel, not behind several; give one")
    reason = obstacle(source, parcels[0])
    if reason:
        raise InvalidInputError(f"there is no band of peers: {reason}")
