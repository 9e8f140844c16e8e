"""Inputs for what is to be got of parcels, of which only that is offered which there is."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date
from typing import Any, Final

import ipywidgets
import pandas as pd

from cbm_lake import get
from cbm_lake.cards import CARDS, S2, Card
from cbm_lake.get.several import Wanted
from cbm_lake.ipycbm.backgrounds import BackgroundTicks
from cbm_lake.ipycbm.choice import STYLE, Days, ParcelSet, ParcelSetKey, Ticks
from cbm_lake.lake import Lake
from cbm_lake.parcel import sources
from cbm_lake.parcel.inventory import band_key
from cbm_lake.parcel.sources import LakeSource
from cbm_lake.progress import Tell

SERIES: Final = {
    S2.name: S2.picture,
    "scl": "scene classes",
    **{card.name: card.picture if card.is_optical else card.quantity.name for card in CARDS.values() if card is not S2},
    "weather": "weather",
}
"""Time series, and what they are called."""
FOLDERS: Final = (("temp (may be cleared away)", "temp"), ("data (kept)", "data"))
_WIDEST: Final = 50_000
"""Metres a side of chips."""


def labels(card: Card) -> dict[str, str]:
    """Bands of a card as they are asked for, and in words: {"B08": "Band 8: near infrared (10 m)"}."""
    words = {band_key(card.name, band.name): band.label for band in card.bands}
    if card.classification:
        words[band_key(card.name, card.classification.name)] = (
            f"{card.classification.name}: scene classes ({card.classification.metres} m)"
        )
    return words


class Bands(ipywidgets.VBox):
    """Checkboxes of the bands of all cards by their names; `value` is those that are ticked: B08, bs VV."""

    def __init__(self) -> None:
        self._ticks = {card.name: Ticks(labels(card), (), SERIES[card.name]) for card in CARDS.values()}
        super().__init__([ipywidgets.Label("chips of these bands"), *self._ticks.values()])

    @property
    def boxes(self) -> dict[str, ipywidgets.Checkbox]:
        """The checkboxes by what they ask for."""
        return {band: box for ticks in self._ticks.values() for band, box in ticks.boxes.items()}

    @property
    def offered(self) -> tuple[str, ...]:
        """The bands that can be seen."""
        return tuple(band for ticks in self._visible() for band in ticks.offered)

    @property
    def value(self) -> tuple[str, ...]:
        """The bands."""
        return tuple(band for ticks in self._visible() for band in ticks.value)

    def offer(self, bands: Collection[str]) -> None:
        """Show the boxes of these bands alone."""
        for ticks in self._ticks.values():
            ticks.layout.display = None if set(bands) & set(ticks.boxes) else "none"
            ticks.offer(bands)

    def _visible(self) -> Iterator[Ticks]:
        return (ticks for ticks in self._ticks.values() if ticks.layout.display != "none")


def inputs(series: tuple[str, ...] = (S2.name,)) -> dict[str, ipywidgets.Widget]:
    """The inputs by the names of the arguments of `got`; these time series are ticked."""
    year = date.today().year
    return {
        "series": Ticks(SERIES, series, "time series"),
        "bands": Bands(),
        "days": Days(date(year, 1, 1), date(year, 12, 31)),
        "chipsize": ipywidgets.BoundedIntText(
            value=1280,
            min=100,
            max=_WIDEST,
            description="chip width, m",
            tooltip="metres a side of each chip; the parcel is in its middle",
            style=STYLE,
        ),
        "images": BackgroundTicks(),
        "folder": ipywidgets.Dropdown(
            options=FOLDERS,
            description="folder",
            tooltip="where the files are put; temp is what can be fetched again",
            style=STYLE,
            layout={"width": "360px"},
        ),
    }


def narrowed(inputs: dict[str, Any], parcels: ParcelSet, lake: Lake | None) -> str:
    """Offer only what there is of an area, and say in words what there is not; a server offers all it knows.

    Raises:
        SourceError: the lake or the server fails.
    """
    cards = parcels.extracted
    source = sources.here(lake)
    bands = {band for card in CARDS.values() for band in labels(card)}
    if isinstance(source, LakeSource):
        rows = source.lake.query("scenes.bands").to_pylist()
        bands = {band_key(row["card"], row["band"]) for row in rows}
    inputs["bands"].offer(bands)
    inputs["series"].offer({*cards, *(["scl"] if S2.name in cards else []), "weather"})
    absent = [card.title for name, card in CARDS.items() if name not in cards]
    return f"not extracted over this area: {', '.join(absent)}" if absent and parcels.aoi.value else ""


def request(
    series: tuple[str, ...], bands: tuple[str, ...], days: tuple[date, date], chipsize: int, images: tuple[str, ...]
) -> Wanted:
    """What the inputs say."""
    return Wanted(series, bands, *days, chipsize, images)


def got(
    key: ParcelSetKey,
    pids: list[str],
    request: Wanted,
    folder: str,
    progress: Tell,
    lake: Lake | None = None,
) -> pd.DataFrame:
    """Get parcels one by one, optionally moving each to data/ at once; one row per step."""
    rows = []
    for number, pid in enumerate(pids):

        def step(done: int, steps: int, what: str = "", before: int = number) -> None:
            progress(before * steps + done, len(pids) * steps, what)

        steps_of_parcel = get.several.by_pids(
            key["aoi"], key["year"], [pid], request, key["ptype"], lake=lake, progress=step
        )
        if folder == "data" and steps_of_parcel["problem"].isna().any():
            get.folders.keep(key["aoi"], key["year"], pid)
        rows.append(steps_of_parcel)
    return pd.concat(rows, ignore_index=True)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per parcel: data obtained and missing, each reason once."""
    lines: list[dict[str, Any]] = []
    for pid, steps in rows.groupby("pid", sort=False):
        lacking = steps[steps["problem"].notna()]
        reasons = lacking.groupby("problem", sort=False)["what"].agg(", ".join)
        parts = ", ".join(steps[steps["problem"].isna()]["what"])
        problems = "; ".join(f"{step}: {problem}" for problem, step in reasons.items())
        lines.append({"parcel": pid, "got": parts, "not got": problems})
    return pd.DataFrame(lines)
