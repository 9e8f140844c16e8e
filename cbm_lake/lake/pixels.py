"""Pixels of a lake: cubes and catalogued rasters as lazy xarray datasets, and their export to raster files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    import shapely
    import xarray as xr

    from cbm_lake.lake.snapshots import ParcelSet


class Pixels(ABC):
    """The methods of `Lake` about pixels (cubes, cube, stack, export), and the protocol that they need."""

    url: str

    @abstractmethod
    def query(self, name: str, /, **params: object) -> pa.Table:
        """The rows of a named query."""

    @abstractmethod
    def cube_url(self, card: str, grid: str) -> str:
        """The path or URL of a cube."""

    @abstractmethod
    def footprint(self, aoi: str) -> shapely.Geometry:
        """The bounding box in degrees of the parcels of an area."""

    @abstractmethod
    def parcel_sets(self) -> list[ParcelSet]:
        """The parcel sets in force."""

    def cubes(self, card: str = "s2", aoi: str | None = None, year: int | None = None) -> pa.Table:
        """The cubes of a card with current scenes: grid, bands, resolution, number of scenes, first and last date.

        Args:
            card: s2, bs, c6, …, see `cards.CARDS`.
            aoi: only scenes that were extracted over the parcels of this area.
            year: only over its parcels of this year.
        """
        from cbm_lake.rasters import datasets  # here, for it brings zarr and GDAL, which who asks SQL does not need

        return datasets.table(self, card, aoi, year)

    def cube(
        self,
        card: str = "s2",
        aoi: str | None = None,
        year: int | None = None,
        grid: str | None = None,
        *,
        resolution: float | None = None,
        bands: Sequence[str] | None = None,
        start: date | str | None = None,
        end: date | str | None = None,
        harmonised: bool = False,
    ) -> xr.Dataset:
        """Open the current scenes of one cube as a lazy dataset: bands (time, y, x) by time, `scene` along time.

        Included are scenes that were extracted into the cube with their present offset, and are not superseded, suspect
        or left out. Blocks without parcels are nodata.

        Args:
            card: s2, bs, c6, …, see `cards.CARDS`.
            aoi: only scenes extracted over the parcels of this area; the pixels are cut to the box round them.
            year: only over its parcels of this year.
            grid: name of the grid, see `cubes`; not needed where one alone fits the rest.
            resolution: pixel size in metres (degrees, where the grid is in degrees).
            bands: only these.
            start: first day (UTC).
            end: last day, included.
            harmonised: False gives DN as they are stored, with the coordinate boa_offset; nodata is 0, and what is no
                measurement is nodata. True adds the offset: float32, NaN being nodata, reflectance x 10000. Scene
                classes stay as they are.

        Raises:
            InvalidInputError: no such card or band, or several cubes fit; the message lists them.
            NotFoundError: no cube holds such a scene, or the area has no parcels.
        """
        from cbm_lake.rasters import datasets
        from cbm_lake.rasters.selection import Choice

        choice = Choice.of(card, aoi, year, grid, resolution, bands, start, end)
        return datasets.cube(self, choice, harmonised=harmonised)

    def stack(
        self,
        card: str,
        aoi: str,
        start: date | str,
        end: date | str,
        *,
        bands: Sequence[str] | None = None,
        resolution: float | None = None,
        grid: str | None = None,
        epsg: int | None = None,
        year: int | None = None,
        harmonised: bool = False,
    ) -> xr.Dataset:
        """Open catalogued scenes over an area, extracted or not, as a lazy dataset of the form of `cube`.

        Args:
            card: s2, bs, c6, …, see `cards.CARDS`.
            aoi: the pixels are cut to the box round the parcels of this area.
            start: first day (UTC).
            end: last day, included.
            bands: only these; None is the card's usual ones.
            resolution: pixel size in metres (degrees, where the grid is in degrees).
            grid: name of the scenes' own grid, where several fit.
            epsg: coordinate system to resample to by the nearest pixel, for areas in several zones or bands of several
                pixel sizes; needs bands and resolution.
            year: of the area's parcels; None is any.
            harmonised: see `cube`.

        Raises:
            InvalidInputError: no such card or band, dates reversed, or several grids fit; the message lists them.
            NotFoundError: no scene covers the area in that time, or the area has no parcels.
            SourceError: a scene lacks a band, or its header cannot be read; on reading, a raster is missing or damaged.
        """
        from cbm_lake.rasters import stack
        from cbm_lake.rasters.selection import Choice

        choice = Choice.of(card, aoi, year, grid, resolution, bands, start, end)
        return stack.stack(self, choice, epsg, harmonised=harmonised)

    def export_cube(
        self,
        card: str,
        path: str | Path,
        *,
        aoi: str | None = None,
        year: int | None = None,
        grid: str | None = None,
        resolution: float | None = None,
        bands: Sequence[str] | None = None,
        start: date | str | None = None,
        end: date | str | None = None,
        harmonised: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> int:
        """Export the dataset of `cube` to a file or folder; returns the number of rasters.

        The file or folder appears atomically. Blocks are read and written one by one, so that memory does not grow with
        the cube.

        Args:
            card: and aoi, year, grid, resolution, bands, start, end: see `cube`.
            path: .tif is one GeoTIFF with a band for each date and band, by date; .nc is NetCDF with CF; a name without
                extension is a new folder with a cloud-optimized GeoTIFF <date>_<band>.tif for each.
            harmonised: True is reflectance x 10000 as float32 with NaN as nodata, False the stored DN with 0.
            progress: called as parts are written, with their number and the total.

        Raises:
            InvalidInputError: unknown extension, or several cubes fit; the message lists them.
            NotFoundError: no cube holds such a scene, or the area has no parcels.
            SourceError: it cannot be written, or the cube cannot be read.
        """
        from cbm_lake.rasters import pixelfiles

        dataset = self.cube(
            card, aoi, year, grid, resolution=resolution, bands=bands, start=start, end=end, harmonised=harmonised
        )
        return pixelfiles.write(dataset, Path(path), progress)
