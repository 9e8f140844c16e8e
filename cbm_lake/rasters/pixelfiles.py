"""Export of datasets of pixels as multi-band GeoTIFF, NetCDF, or a folder of COGs.

Blocks are computed and written one by one, so that memory does not grow with the dataset. Files and folders appear
atomically.
"""

from __future__ import annotations

import itertools
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import rasterio
import rasterio.shutil
import tifffile
from affine import Affine
from rasterio.errors import RasterioError

from cbm_lake.errors import InvalidInputError, SourceError, of_extra
from cbm_lake.files import durable
from cbm_lake.rasters import CHUNK, Window
from cbm_lake.rasters.cf import GRID_MAPPING
from cbm_lake.storage.store import translated

if TYPE_CHECKING:
    import xarray as xr

    from cbm_lake.rasters import PixelArray

Progress = Callable[[int, int], None]
"""Called with the number of parts written and the total."""
TIFF: Final = (".tif", ".tiff")
NETCDF: Final = (".nc", ".nc4")
_MOST_BANDS: Final = 65_535
"""Maximum number of bands of a TIFF."""
_TILED: Final = {
    "driver": "GTiff",
    "tiled": True,
    "interleave": "band",
    "blockxsize": CHUNK,
    "blockysize": CHUNK,
    "compress": "deflate",
    "BIGTIFF": "IF_SAFER",
}
_COG: Final = {"driver": "COG", "compress": "DEFLATE", "predictor": "YES", "blocksize": CHUNK, "BIGTIFF": "IF_SAFER"}
_SPECIAL = re.compile(r"[^\w-]")
"""What is not put into the name of a file."""


def write(dataset: xr.Dataset, path: Path, progress: Progress | None = None) -> int:
    """Write a dataset of `cf.dataset` to a file, or to a folder for a name without extension; returns how many rasters.

    Args:
        dataset: bands (time, y, x).
        path: .tif is one GeoTIFF with a band for each date and band of the dataset, by date; .nc is NetCDF with CF; a
            folder gets a COG <date>_<band>.tif for each, with the scene's id behind the date where a date has several.
        progress: called as parts are written.

    Raises:
        InvalidInputError: unknown extension, too many bands for a TIFF, or a folder that holds something.
        SourceError: it cannot be written, or a pixel cannot be read.
    """
    count = dataset.sizes["time"] * len(dataset.data_vars)
    extension = path.suffix.lower()
    if extension in TIFF:
        writer = _geotiff
        if count > _MOST_BANDS:
            raise InvalidInputError(f"{count:,} bands do not fit into a TIFF; write NetCDF or a folder, or fewer days")
    elif extension in NETCDF:
        writer = _netcdf
    elif not extension or path.is_dir():
        writer = _folder
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InvalidInputError(f"{path} holds something already; name a new or empty folder")
    else:
        raise InvalidInputError(
            f"cannot export a cube to {path.name!r}: write .tif, .nc, or a folder without an ending"
        )
    with _written(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
            draft = Path(folder) / path.name
            writer(dataset, draft, progress or (lambda *_: None))
            if path.is_dir():
                path.rmdir()
            durable.move(draft, path)
    return count


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """Translate errors of GDAL and HDF5 into one line; errors of this package pass."""
    try:
        with translated("write", str(path)):
            yield
    except (RasterioError, RuntimeError) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise SourceError(f"cannot write {path}: {reason}; check the path, its rights and the free space") from error


# -- TIFF -------------------------------------------------------------------------------------------------------------


def _geotiff(dataset: xr.Dataset, draft: Path, progress: Progress) -> None:
    _tiff(dataset, draft, progress, range(dataset.sizes["time"]), list(map(str, dataset.data_vars)))


def _folder(dataset: xr.Dataset, draft: Path, progress: Progress) -> None:
    draft.mkdir()
    names, bands, done = _dates(dataset), list(map(str, dataset.data_vars)), 0
    total = dataset.sizes["time"] * len(bands)
    for number, name in enumerate(names):
        for band in bands:
            tiled, file = draft / ".tiled.tif", draft / f"{name}_{band}.tif"
            _tiff(dataset, tiled, lambda *_: None, [number], [band])
            rasterio.shutil.copy(tiled, file, **_COG)
            _check_whole(file)
            tiled.unlink()
            progress(done := done + 1, total)


def _dates(dataset: xr.Dataset) -> list[str]:
    """The date of each scene, its id behind it where others have the same date."""
    days = [str(value)[:10] for value in dataset["time"].to_numpy()]
    count = Counter(days)
    scenes = (_SPECIAL.sub("_", str(scene)) for scene in dataset["scene"].to_numpy())
    return [day if count[day] == 1 else f"{day}_{scene}" for day, scene in zip(days, scenes, strict=True)]


def _tiff(dataset: xr.Dataset, draft: Path, progress: Progress, dates: Sequence[int], bands: list[str]) -> None:
    """One tiled GeoTIFF with a band for each of some dates and bands, block by block."""
    layers = [(number, band) for number in dates for band in bands]
    dtype = np.result_type(*(dataset[band].dtype for band in bands))
    nodata = float("nan") if dtype.kind == "f" else 0
    height, width = dataset.sizes["y"], dataset.sizes["x"]
    shape = {"width": width, "height": height, "count": len(layers), "dtype": dtype}
    options = {**_TILED, "predictor": 3 if dtype.kind == "f" else 2, "nodata": nodata}
    corners = [(row, col) for row in range(0, height, CHUNK) for col in range(0, width, CHUNK)]
    windows = [Window(row, col, min(CHUNK, height - row), min(CHUNK, width - col)) for row, col in corners]
    position = {"crs": dataset[GRID_MAPPING].attrs["crs_wkt"], "transform": _transform(dataset)}
    with rasterio.open(draft, "w", **options, **shape, **position) as file:
        for layer, (number, band) in enumerate(layers, 1):
            scene = dataset.isel(time=number)
            for window in windows:
                rows, columns = window.slices
                part = scene[band].isel(y=rows, x=columns)
                file.write(_pixels(part, nodata, dtype), layer, window=window.ranges)
            file.set_band_description(layer, f"{str(scene['time'].to_numpy())[:10]} {band}")
            tags = {"scene": scene["scene"].item(), "obstime": f"{scene['time'].to_numpy()}Z", "band": band}
            file.update_tags(layer, **tags, boa_offset=int(scene["boa_offset"]))
            progress(layer, len(layers))
    _check_whole(draft)


def _pixels(part: xr.DataArray, nodata: float, dtype: np.dtype[np.generic]) -> PixelArray:
    """A block in the file's type; what is nodata in the dataset is so in the file."""
    values = part.to_numpy()
    if np.isnan(nodata):
        declared = 0 if values.dtype.kind != "f" else part.attrs.get("_FillValue", np.nan)
        values = np.where(values == declared, np.nan, values)
    return values.astype(dtype, copy=False)


def _transform(dataset: xr.Dataset) -> Affine:
    """GDAL's transform out of the centres of the pixels."""
    size_x, size_y = dataset.attrs["resolution"]
    left, top = float(dataset["x"][0]) - size_x / 2, float(dataset["y"][0]) - size_y / 2
    return Affine(size_x, 0, left, 0, size_y, top)


def _check_whole(file: Path) -> None:
    """Raise an error where the disk did not take all of a TIFF, which GDAL does not say when it closes one."""
    with rasterio.open(file):  # its directory, which is written last
        size = file.stat().st_size
    with tifffile.TiffFile(file) as tiff:
        for page in tiff.pages:
            tags = page.aspage().tags
            ends = np.add(tags["TileOffsets"].value, tags["TileByteCounts"].value)
            if np.max(ends) > size or not np.all(tags["TileByteCounts"].value):
                raise OSError(f"only {size:,} bytes of it were taken")


# -- NetCDF -----------------------------------------------------------------------------------------------------------


def _netcdf(dataset: xr.Dataset, draft: Path, progress: Progress) -> None:
    from dask.callbacks import Callback

    with of_extra("weather", "NetCDF"):
        import netCDF4  # noqa: F401 - xarray would look for it only when it writes

    transform = " ".join(f"{value:.17g}" for value in _transform(dataset).to_gdal())
    system = dataset[GRID_MAPPING].assign_attrs(GeoTransform=transform)
    block = (1, *(min(CHUNK, dataset.sizes[name]) for name in ("y", "x")))
    layout = {"zlib": True, "complevel": 4, "shuffle": True, "chunksizes": block}
    encoding: dict[str, Mapping[str, object]] = {str(band): layout for band in dataset.data_vars}
    encoding["time"] = {"units": "microseconds since 1970-01-01", "dtype": "int64"}
    tasks, total = itertools.count(1), 1

    def advance(_: object, __: object, graph: Sized, *___: object) -> None:
        nonlocal total
        total = len(graph)
        progress(next(tasks), total)

    with Callback(posttask=advance):  # type: ignore[no-untyped-call]
        dataset.assign_coords({GRID_MAPPING: system}).to_netcdf(draft, engine="netcdf4", encoding=encoding)
    progress(total, total)  # also counts tasks without work, which have no callback
