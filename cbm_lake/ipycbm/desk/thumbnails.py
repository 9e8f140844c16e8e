"""Small images of a parcel, one per look: what there is, then the pixels, drawn as the calendar figure draws them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

import imagecodecs
import numpy as np
import shapely
from affine import Affine

from cbm_lake.cards import INDICES
from cbm_lake.errors import SourceError
from cbm_lake.ipycbm.desk.observed import Observed
from cbm_lake.parcel import chips
from cbm_lake.parcel.chips import Reader, Scene
from cbm_lake.parcel.images import Images
from cbm_lake.show import rendering
from cbm_lake.show.reading import chipsize_for
from cbm_lake.show.views import View

if TYPE_CHECKING:
    import xarray as xr

_SOON: Final = 24
"""Looks of which the first images are drawn before the others."""


@dataclass(frozen=True)
class Overflight:
    """One overflight of a parcel."""

    scene: Scene
    cloud: float | None
    """Share of the parcel's pixels that are clouded, 0 to 1; None of radar, and where it is not known."""
    clouded: bool
    """Whether it is not usable."""
    why_not: str | None

    @property
    def day(self) -> date:
        """When, in UTC."""
        return self.scene.obstime.date()


@dataclass(frozen=True)
class Thumbnail:
    """The image of a look."""

    png: bytes
    """Empty where the scene cannot be read."""
    outline: str
    """Of the parcel, as a path of SVG in a square of 100 units."""


Thumbnails = Mapping[str, Thumbnail]
"""By scene."""


def looks(observed: Observed, view: View) -> list[Overflight]:
    """The overflights in the parcel's year, by time.

    The cloud share of a day is that of its statistics, as in the curve.
    """
    parcel, first, last = observed.parcel, date(observed.parcel.year, 1, 1), date(observed.parcel.year, 12, 31)
    scenes = chips.covering(
        observed.reading.lake, parcel.lon, parcel.lat, first, last, card=view.card.name, chipsize=chipsize_for([parcel])
    )
    scenes = [scene for scene in scenes if set(view.bands) <= dict(scene.hrefs).keys()]
    shares = _shares(observed) if view.card is observed.optical.card else {}
    return [_look(scene, shares, optical=view.card.is_optical) for scene in scenes]


def _look(scene: Scene, shares: Mapping[date, tuple[float, str | None]], *, optical: bool) -> Overflight:
    if not optical:
        return Overflight(scene, None, clouded=False, why_not=None)
    cloud, why_not = shares.get(scene.obstime.date(), (np.nan, "unknown"))
    return Overflight(scene, None if np.isnan(cloud) else cloud, clouded=why_not is not None, why_not=why_not)


def _shares(observed: Observed) -> dict[date, tuple[float, str | None]]:
    """Cloud share of each day with statistics, and why it is not usable."""
    index = next(index for index in INDICES.values() if index.bands_of(observed.optical.card))
    rows = observed.curve(index)
    days = (time.date() for time in rows["time"])
    return {
        day: (float(cloud), why_not or None)
        for day, cloud, why_not in zip(days, rows["cloud"], rows["why_not"], strict=True)
    }


def drawn(
    observed: Observed, view: View, seen: Sequence[Overflight], reader: Reader, pool: Executor
) -> Iterator[tuple[Thumbnails, bool]]:
    """The images of looks, in colours of common limits, and whether these are all.

    Where there are many, some of the whole year come first.
    """
    reader.prepare([look.scene for look in seen], view.bands)
    step = max(1, len(seen) // _SOON)
    order = [look for first in range(step) for look in seen[first::step]]
    size, parcel = chipsize_for([observed.parcel]), observed.parcel

    def read(look: Overflight) -> xr.Dataset | None:
        try:
            return reader.dataset(look.scene, view.bands, parcel.lon, parcel.lat, size)
        except SourceError:
            return None

    parts: dict[str, xr.Dataset | None] = {}
    for number, (look, part) in enumerate(zip(order, pool.map(read, order), strict=True), start=1):
        parts[look.scene.id] = part
        if number == _SOON < len(order):
            yield _rendered(observed, view, seen, parts), False
    yield _rendered(observed, view, seen, parts), True


def _rendered(
    observed: Observed, view: View, seen: Sequence[Overflight], parts: Mapping[str, xr.Dataset | None]
) -> Thumbnails:
    """The images that were read; without those that hold no pixel of the scene."""
    thumbnails = {scene: Thumbnail(b"", "") for scene, part in parts.items() if part is None}
    grids: dict[tuple[int, tuple[float, ...], int], list[Overflight]] = {}
    for look in seen:
        part = parts.get(look.scene.id)
        if part is not None and any(part[band].to_numpy().any() for band in view.bands):
            grid = part.attrs["epsg"], part.attrs["transform"], part.sizes["x"]
            grids.setdefault(grid, []).append(look)
    for (epsg, transform, size), group in grids.items():
        images = _images([(look, parts[look.scene.id]) for look in group], view)
        outline = observed.parcel.outline_in(epsg)
        row = rendering.row("", view, images, outline, None)
        path = outline_path(outline, Affine(*transform), size)
        for look, image in zip(group, images.images, strict=True):
            png = bytes(imagecodecs.png_encode(np.ascontiguousarray(rendering.rgba(row, image)), level=1))
            thumbnails[look.scene.id] = Thumbnail(png, path)
    return thumbnails


def _images(parts: Sequence[tuple[Overflight, xr.Dataset | None]], view: View) -> Images:
    """Images of one grid, each with its cloud share; radar has none."""
    import xarray as xr

    datasets = [part for _, part in parts if part is not None]
    clouds = [0.0 if not view.card.is_optical else np.nan if look.cloud is None else look.cloud for look, _ in parts]
    times = np.array([look.scene.obstime.replace(tzinfo=None) for look, _ in parts], "datetime64[us]")
    bands = {band: (("time", "y", "x"), np.stack([part[band].to_numpy() for part in datasets])) for band in view.bands}
    data = xr.Dataset(
        {**bands, "cloud": ("time", clouds)},
        coords={"time": times, "y": datasets[0]["y"], "x": datasets[0]["x"]},
        attrs={name: datasets[0].attrs[name] for name in ("epsg", "transform")},
    )
    return Images(data)


def outline_path(outline: shapely.Geometry, transform: Affine, size: int) -> str:
    """The rings of a geometry as a path of SVG, in a square of 100 units that is `size` pixels wide."""
    rings = []
    for ring in shapely.get_rings(shapely.get_parts(outline)):
        x, y = ~transform * shapely.get_coordinates(ring).T
        points = [f"{100 * column / size:.1f} {100 * line / size:.1f}" for column, line in zip(x, y, strict=True)]
        rings.append(f"M{'L'.join(points)}Z")
    return "".join(rings)
