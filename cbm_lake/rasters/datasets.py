"""The lake's cubes as lazy xarray datasets, and the `counts` attribute of cubes for external readers.

What counts is decided by the named query `cube.slots`; how a dataset looks by `cf`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypedDict

import numpy as np
import pyarrow as pa

from cbm_lake import cards
from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.rasters import Grid, cf
from cbm_lake.rasters.blocks import Sizes
from cbm_lake.rasters.cf import Slot
from cbm_lake.rasters.cube import Cube
from cbm_lake.rasters.selection import Choice, extent_of, window_of
from cbm_lake.storage.store import Store

if TYPE_CHECKING:
    import xarray as xr

    from cbm_lake.lake.pixels import Pixels

log = logging.getLogger(__name__)

CUBES: Final = pa.schema(
    [
        ("grid", pa.string()),
        ("epsg", pa.int32()),
        ("resolution", pa.float64()),  # in the units of the coordinate system
        ("rows", pa.int64()),
        ("columns", pa.int64()),
        ("bands", pa.list_(pa.string())),
        ("scenes", pa.int64()),  # that count
        ("first", pa.timestamp("us", tz="UTC")),
        ("last", pa.timestamp("us", tz="UTC")),
    ]
)
_READERS: Final = 16
"""Cubes that are opened concurrently, as they may be remote."""


class SlotInCube(TypedDict):
    """A row of the query cube.slots: a slot that counts, and the bands that were extracted there."""

    grid: str
    slot: int
    scene: str
    obstime: datetime
    boa_offset: int
    bands: list[str]


@dataclass(frozen=True)
class CountingCube:
    """A cube and the slots of it that count, by number, with the bands that were extracted."""

    lake: Pixels
    name: str
    cube: Cube
    grid: Grid
    bands: tuple[str, ...]
    slots: Mapping[int, Slot]
    extracted: Mapping[int, frozenset[str]]

    def open(self, choice: Choice) -> xr.Dataset:
        """The stored DN of the selected dates and bands; a band that was not extracted on a date is nodata there.

        A block that is damaged or was lost is a SourceError when it is read.
        """
        slots = {number: slot for number, slot in self.slots.items() if choice.contains(slot)}
        card = choice.card
        opened = self.cube.open(slots, self._written(card.name, slots), card.highest)[list(choice.bands or self.bands)]
        order = sorted(slots, key=lambda number: slots[number].obstime)
        for name in opened.data_vars:
            lacking = [name not in self.extracted[number] for number in order]
            if any(lacking) and not card.is_classes(str(name)):
                extracted = ~np.array(lacking)[:, None, None]
                opened[name] = opened[name].copy(data=opened[name].data * extracted.astype(opened[name].dtype))
        return opened

    def _written(self, card: str, slots: Mapping[int, Slot]) -> dict[tuple[int, str], Sizes]:
        """The sizes of the blocks that were written, by slot and band, as far as the ledger says."""
        sizes: dict[tuple[int, str], dict[tuple[int, int], set[int]]] = {}
        scenes = sorted({slot.scene for slot in slots.values()})
        for row in self.lake.query("cube.blocks", card=card, scenes=scenes).to_pylist():
            if row["grid"] == self.name:
                of_band = sizes.setdefault((row["slot"], row["band"]), {})
                of_band.setdefault((row["row"], row["col"]), set()).add(row["bytes"])
        return dict(sizes)


def cubes_of(lake: Pixels, choice: Choice) -> list[CountingCube]:
    """The cubes of a card, area and year of which at least one slot counts, in the order of their grids' names.

    Raises:
        NotFoundError: the grid that is named is not among them.
        SourceError: one is damaged.
    """
    rows = lake.query("cube.slots", card=choice.card.name, grid=None, aoi=choice.aoi, year=choice.year).to_pylist()
    by_grid: dict[str, list[SlotInCube]] = {}
    for row in rows:
        by_grid.setdefault(row["grid"], []).append(row)
    names = [name for name in sorted(by_grid) if choice.grid in (None, name)]
    if by_grid and not names:
        raise NotFoundError(f"no cube {choice.grid} holds {choice.card.name}; there are: {', '.join(sorted(by_grid))}")
    with ThreadPoolExecutor(_READERS) as pool:
        cubes = pool.map(lambda name: _cube_of(lake, choice.card.name, name, by_grid[name]), names)
        return [cube for cube in cubes if cube is not None]


def _cube_of(lake: Pixels, card: str, name: str, rows: list[SlotInCube]) -> CountingCube | None:
    cube = Cube(lake.cube_url(card, name))
    slots = {row["slot"]: Slot(row["scene"], row["obstime"], row["boa_offset"]) for row in rows}
    extracted = {row["slot"]: frozenset(row["bands"]) for row in rows}
    try:
        return CountingCube(lake, name, cube, cube.grid(), tuple(cube.bands()), slots, extracted)
    except NotFoundError as error:
        log.warning("%s; the lake remembers %d scenes of it", error, len(slots))
        return None


def table(lake: Pixels, card: str, aoi: str | None, year: int | None) -> pa.Table:
    """A row per cube; see `CUBES`."""
    rows = []
    for cube in cubes_of(lake, Choice.of(card, aoi, year)):
        times = [slot.obstime for slot in cube.slots.values()]
        rows.append(
            {
                "grid": cube.name,
                "epsg": cube.grid.epsg,
                "resolution": cube.grid.transform.a,
                "rows": cube.grid.shape[0],
                "columns": cube.grid.shape[1],
                "bands": list(cube.bands),
                "scenes": len(times),
                "first": min(times),
                "last": max(times),
            }
        )
    return pa.Table.from_pylist(rows, schema=CUBES)


def cube(lake: Pixels, choice: Choice, *, harmonised: bool) -> xr.Dataset:
    """See `Pixels.cube`."""
    extent = extent_of(lake, choice.aoi, choice.year) if choice.aoi else None
    there = [cube for cube in cubes_of(lake, choice) if extent is None or window_of(cube.grid, extent)]
    cubes = [cube for cube in there if choice.fits(cube.name, cube.grid, cube.bands)]
    listing = "; ".join(f"{cube.name} ({', '.join(cube.bands)}; {len(cube.slots)} scenes)" for cube in cubes or there)
    if not there:
        raise NotFoundError(f"no cube of {choice} holds a scene that counts; extract with a cube first")
    if not cubes:
        raise NotFoundError(f"no single cube holds {choice}; there are: {listing}")
    if len(cubes) > 1:
        raise InvalidInputError(f"{len(cubes)} cubes hold {choice}; choose a grid, bands or a resolution: {listing}")
    opened = cubes[0].open(choice)
    window = window_of(cubes[0].grid, extent) if extent else None
    if not opened.sizes["time"]:
        raise NotFoundError(f"no scene of {choice} is in the cube {cubes[0].name}; extract with a cube first")
    if window:
        rows, columns = window.slices
        opened = opened.isel(y=rows, x=columns)
    return cf.harmonised(opened, choice.card) if harmonised else opened


def publish(lake: Pixels, card: str) -> None:
    """Write to the cubes which slots count, for readers unaware of the lake's ledger.

    Cubes of version 0.1 get the attributes that they lack. Several may do so at once: who finds afterwards that
    something else counts by now does it again. A cube that is damaged, or just being made, is left as it is.
    """
    names = [name.removesuffix(".zarr") for name in Store(lake.url).folders(f"cubes/{card}")]
    with ThreadPoolExecutor(_READERS) as pool:
        list(pool.map(lambda name: _publish(lake, card, name), names))


def _publish(lake: Pixels, card: str, name: str) -> None:
    cube, written = Cube(lake.cube_url(card, name)), None
    try:
        grid = cube.grid()
        while written != (current := _slots(lake, card, name)):
            cube.extend(grid, {}, *current, cards.get(card))
            written = current
    except (NotFoundError, SourceError) as error:
        log.warning("the cube %s does not say which of its scenes count: %s", name, error)


def _slots(lake: Pixels, card: str, name: str) -> tuple[list[Slot], set[int]]:
    """All slots of a cube, and the numbers of those that count."""
    rows = lake.query("extractions.slots", card=card, grid=name).to_pylist()
    counting = lake.query("cube.slots", card=card, grid=name, aoi=None, year=None)["slot"].to_pylist()
    return [Slot(row["scene"], row["obstime"], row["boa_offset"]) for row in rows], set(counting)
