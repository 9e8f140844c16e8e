"""Get information, time series, chips and backgrounds of several parcels in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

from cbm_lake.cards import CARDS, S2
from cbm_lake.errors import InvalidInputError, LakeError, NotFoundError
from cbm_lake.get import background, chip_images, parcel_info, time_series
from cbm_lake.lake import Lake
from cbm_lake.lake.options import checked_options
from cbm_lake.parcel import basemaps, inventory
from cbm_lake.progress import Wish, reported

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Wanted:
    """What to get of each parcel."""

    series: Sequence[str] = ("s2",)
    """Time series: s2, scl, bs, c6, weather."""
    bands: Sequence[str] = ()
    """Bands of chips; of another card than Sentinel-2 with its name before: bs VV."""
    start_date: date | str = ""
    """Of chips, the first day."""
    end_date: date | str = ""
    """Of chips, the last day, included."""
    chipsize: int = 1280
    """Metres a side of chips."""
    backgrounds: Sequence[str] = ()
    """Names of tile servers."""


@checked_options
def by_pids(
    aoi: str,
    year: int,
    pids: str | Sequence[str],
    wanted: Wanted | None = None,
    ptype: str | None = None,
    *,
    lake: Lake | None = None,
    progress: Wish = "auto",
) -> pd.DataFrame:
    """Get several parcels, files under temp/<aoi>/<year>/<pid>/; failures are collected and do not stop the others.

    Args:
        aoi: area.
        year: of the declaration.
        pids: identifiers, or one; one that is named twice is got once.
        wanted: what of each, beside the information that always comes; the series of Sentinel-2 without it.
        ptype: which parcel set.
        lake: the lake; None is what the settings say, the workspace's lake or a server.
        progress: called with the number of steps done, and the total, and where it takes three arguments the parcel and
            step; "auto" is a bar in a notebook or on a terminal, None is nothing.

    Returns:
        One row per step: pid, what, problem (None where it was got).

    Raises:
        InvalidInputError: no parcel is named, or chips are wanted without dates.
    """
    import pandas as pd

    wanted = wanted or Wanted()
    named = [pids] if isinstance(pids, str) else pids
    if not named:
        raise InvalidInputError("no parcel is named; give at least one identifier")
    if wanted.bands and not (wanted.start_date and wanted.end_date):
        raise InvalidInputError(
            "chips need a first and a last day; give start_date and end_date",
            plain="chips need a first and a last day; give both",
        )
    steps = [step for pid in dict.fromkeys(named) for step in _steps(aoi, year, pid, wanted, ptype, lake)]
    rows = []
    with reported(progress, "get") as tell:
        for number, (pid, step_name, step) in enumerate(steps):
            tell(number, len(steps), f"parcel {pid}: {step_name}")
            done, problem = _tried(step)
            rows.append({"pid": pid, "what": done or step_name, "problem": problem})
        tell(len(steps), len(steps))
    return pd.DataFrame(rows)


def _steps(
    aoi: str, year: int, pid: str, request: Wanted, ptype: str | None, lake: Lake | None
) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """Steps of a parcel, by name."""
    key: dict[str, Any] = {"aoi": aoi, "year": year, "pid": pid, "ptype": ptype, "lake": lake}
    yield pid, "information", partial(parcel_info.by_pid, **key)
    for kind in request.series:
        by_kind = time_series.weather if kind == "weather" else partial(time_series.by_pid, tstype=kind)
        yield pid, f"series {kind}", partial(by_kind, **key)
    for tms in request.backgrounds:
        yield pid, f"background {tms}", partial(_background, tms=tms, **key)
    if request.bands:
        key |= {"start_date": request.start_date, "end_date": request.end_date, "chipsize": request.chipsize}
        for card, bands in _by_card(request.bands).items():
            names = ", ".join(inventory.band_key(card, band) for band in bands)
            yield pid, f"chips {names}", partial(_chips, **key, band=bands, card=card)


def _by_card(bands: Sequence[str]) -> dict[str, list[str]]:
    """Bands by their cards: "bs VV" is VV of bs; without a card's name they are of Sentinel-2."""
    sorted_bands: dict[str, list[str]] = {}
    for band in bands:
        card, _, name = band.partition(" ")
        if card in CARDS and name:
            sorted_bands.setdefault(card, []).append(name)
        else:
            sorted_bands.setdefault(S2.name, []).append(band)
    return sorted_bands


def _background(tms: str, **key: Any) -> str:
    """Get a background and describe its source, which may differ from the requested one."""
    (file,) = background.by_pid(tms=tms, **key)
    return f"background {basemaps.caption(basemaps.tags(file), tms)}"


def _chips(band: Sequence[str], card: str, **key: Any) -> None:
    """Get chips of a card.

    Raises:
        NotFoundError: there is no scene of it over the parcel in those days.
    """
    if chip_images.by_pid(band=band, card=card, **key).empty:
        when = f"from {key['start_date']} to {key['end_date']}"
        raise NotFoundError(f"no scene of {CARDS[card].title} is over the parcel {when}; choose other days or bands")


def _tried(step: Callable[[], Any]) -> tuple[str, str | None]:
    """Run a step; returns its description ("" if none) and its error."""
    try:
        answer = step()
    except LakeError as error:
        return "", error.plain
    return answer if isinstance(answer, str) else "", None
