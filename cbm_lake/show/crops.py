"""Reference curves of a crop: daily mean and standard deviation of all other parcels that declare it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from cbm_lake import cards
from cbm_lake.cards import Classes, palette, scene_classes
from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import Lake
from cbm_lake.parcel.declaration import Parcel
from cbm_lake.parcel.sources import LakeSource, Source
from cbm_lake.show.curves import Line

if TYPE_CHECKING:
    import pandas as pd

    from cbm_lake.cards import Index


FEWEST: Final = 5
"""Parcels of a day from which their standard deviation is drawn."""


def has_others(source: Source, parcel: Parcel) -> bool:
    """Whether the parcel declares a crop and is read from a lake, which also holds the other parcels."""
    return bool(parcel.crop or parcel.code) and isinstance(source, LakeSource)


def of_index(lake: Lake, parcel: Parcel, index: Index, screen: Classes) -> Line:
    """Reference curve of an index from the crop's other parcels; see `_line`."""
    how = {"index": index.name, "screen": list(scene_classes(screen))}
    rows = lake.query("time_series.crop_of_index", **_scope(parcel), **how)
    return _line(parcel, rows.to_pandas(), palette.GREY)


def of_bands(lake: Lake, parcel: Parcel, bands: Sequence[str], screen: Classes, card: str = "s2") -> dict[str, Line]:
    """Reference curves of reflectance, or of indices of pixels, from the crop's other parcels, by band; see `_line`."""
    how = {"bands": list(bands), "screen": list(scene_classes(screen))}
    rows = lake.query(f"time_series.crop_{card}", **_scope(parcel), **how).to_pandas()
    rows.loc[rows["band"].isin(palette.BANDS), ["mean", "std"]] /= 10_000
    colours = {band: palette.BANDS.get(band, palette.GREY) for band in bands}
    return {band: _line(parcel, rows[rows["band"] == band], colour) for band, colour in colours.items()}


def of_radar(lake: Lake, parcel: Parcel, card: str) -> dict[str, Line]:
    """Reference curves of backscatter (dB) or coherence of the crop's other parcels, by polarisation; see `_line`."""
    rows = lake.query(f"time_series.crop_{card}", **_scope(parcel), bands=["VV", "VH"]).to_pandas()
    return {
        band: _line(parcel, rows[rows["band"] == band], palette.BANDS[band], decibel=cards.get(card).quantity.decibels)
        for band in ("VV", "VH")
    }


def _line(parcel: Parcel, rows: pd.DataFrame, colour: str, *, decibel: bool = False) -> Line:
    """Daily mean over parcels, with low and high one standard deviation off; dB are averaged as linear power."""
    import pandas as pd

    values = pd.DataFrame(
        {"value": rows["mean"], "low": rows["mean"] - rows["std"], "high": rows["mean"] + rows["std"]}
    )
    if decibel:
        values = 10 * np.log10(values.where(values > 0))
        values["low"] = values["low"].fillna(values["value"])  # a deviation larger than the mean has no dB
    values.loc[rows["parcels"] < FEWEST, ["low", "high"]] = np.nan  # the deviation of so few says nothing
    times = pd.to_datetime(rows["day"]) + pd.Timedelta(hours=12)
    curve = values.assign(time=times, cloud=0.0, count=rows["parcels"]).sort_values("time").reset_index(drop=True)
    parcels = int(rows["parcels"].max()) if len(rows) else 0
    return Line(f"{_crop(parcel)}, mean ± std of {parcels} other parcels", colour, curve, ":")


def _scope(parcel: Parcel) -> dict[str, str | int]:
    """Query parameters that select a parcel's crop and exclude the parcel."""
    scope = {name: value for name, value in parcel.key.params.items() if name != "pid"}
    return {**scope, "without": parcel.pid, "crop": _crop(parcel)}


def _crop(parcel: Parcel) -> str:
    crop = parcel.crop or parcel.code
    if not crop:
        raise InvalidInputError(f"no crop is declared of parcel {parcel.pid}; without one there are no others of it")
    return crop
