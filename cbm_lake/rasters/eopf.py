"""Reader of bands in EOPF Zarr products: one Zarr store per Sentinel-2 product (Zarr format 2 or 3).

    …/S2A_MSIL2A_…_N0511_….zarr/measurements/reflectance/r10m/b04

The pixels that come out are the stored numbers of the product as ESA made it (DN, 0 is nodata), so that the catalogue's
`boa_offset` holds for them as it does for the same product in JPEG 2000: the array's own scale_factor and add_offset
are not applied. Stores that hold reflectance itself as floats, scale and offset applied, are turned back into DN.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import zarr
from affine import Affine
from obstore.exceptions import BaseError
from zarr.storage import ObjectStore

from cbm_lake.errors import SourceError
from cbm_lake.geo.windows import PixelArray, Window
from cbm_lake.storage import ranges
from cbm_lake.storage.access import explained, is_remote, zarr_store
from cbm_lake.storage.stores import Remote, folder_store, is_distant, local_path, redacted

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Client

    from cbm_lake.storage.access import ZarrArray, ZarrStore

ProductStore: TypeAlias = "ZarrStore | ObjectStore[Client]"
"""Where zarr finds a product."""

log = logging.getLogger(__name__)

_STORE = re.compile(r"^(?P<root>.*?\.zarr)(?:/(?P<path>.*?))?/*$")
_BASELINE = re.compile(r"_N(?P<baseline>\d{4})_")
_OFFSET_SINCE: Final = "0400"
_OFFSET: Final = -1000
_QUANTIFICATION: Final = 10_000
_METADATA: Final = ("zarr.json", ".zarray", ".zgroup")
_COORDINATES: Final = frozenset({"x", "y", "spatial_ref", "crs"})
_ZARR_ERRORS: Final = (OSError, ValueError, RuntimeError, KeyError, TypeError, BaseError)
"""What zarr, its stores and its codecs raise; zarr's own errors are ValueErrors."""


def holds(href: str) -> bool:
    """Whether a path or URL points into a Zarr store."""
    return bool(_STORE.match(href))


def stamp(href: str) -> str:
    """The stamp of an array's metadata, which changes when it is rewritten; see `ranges.stamp`.

    Empty where no metadata can be read: `Band.inspect` says why.
    """
    for name in _METADATA:
        with contextlib.suppress(SourceError):
            return ranges.stamp(f"{href.rstrip('/')}/{name}")
    return ""


@dataclass(frozen=True, eq=False)
class Band:
    """One band of a product."""

    href: str
    array: ZarrArray
    epsg: int
    transform: Affine
    offset: int | None
    """Where the store holds reflectance: what the product's DN have to be shifted by to become 10,000 times that."""

    @classmethod
    def inspect(cls, href: str) -> Band:
        """Read the metadata of an array, or of a group that has one band.

        Raises:
            SourceError: it is missing or unreadable, has no coordinate system, or is not north-up.
        """
        try:
            array, around = _opened(href)
            epsg, transform = _epsg(array, around), _transform(array, around)
        except _ZARR_ERRORS as error:
            raise _unreadable(href, error) from None  # its text may have a signature
        if epsg is None or transform is None or transform.b or transform.d or transform.e >= 0:
            raise SourceError(
                f"{redacted(href)} has no known coordinate system or is not north-up", advice="leave out this scene"
            )
        return cls(href, array, epsg, transform, _offset(href) if array.dtype.kind == "f" else None)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        rows, columns = self.array.shape
        return rows, columns

    @property
    def chunk(self) -> tuple[int, int]:
        """Rows and columns of what is decoded together."""
        rows, columns = self.array.chunks
        return rows, columns

    @property
    def dtype(self) -> str:
        """Of the pixels that `read` gives."""
        return "uint16" if self.offset is not None else self.array.dtype.newbyteorder("=").name

    @property
    def nodata(self) -> float | None:
        """What the array declares to be nodata."""
        if self.offset is not None:
            return None
        declared = self.array.attrs.get("_FillValue", self.array.attrs.get("fill_value", self.array.fill_value))
        return float(declared) if isinstance(declared, int | float | np.number) else None

    def read(self, window: Window) -> PixelArray:
        """The DN of a window.

        Raises:
            SourceError: chunks are damaged or out of reach.
        """
        try:
            pixels = np.asarray(self.array[window.slices])
        except _ZARR_ERRORS as error:
            raise _unreadable(self.href, error) from None
        if self.offset is not None:
            return _to_dn(pixels, self.offset)
        return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _to_dn(reflectance: PixelArray, offset: int) -> npt.NDArray[np.uint16]:
    """The DN of which (DN + offset) / 10000 is the reflectance; 0 where that is NaN, and nowhere else."""
    numbers = np.rint(reflectance.astype(np.float64) * _QUANTIFICATION - offset)
    missing = np.isnan(numbers)
    return np.where(missing, 0, np.clip(np.where(missing, 1, numbers), 1, 65535)).astype(np.uint16)


def _offset(href: str) -> int:
    """BOA_ADD_OFFSET of the product by the processing baseline in its name, which also decides in the catalogue."""
    baseline = _BASELINE.search(href)
    if baseline is None:
        raise SourceError(
            f"{redacted(href)} holds reflectance instead of numbers, and its name lacks the processing baseline "
            "(…_N0511_…) that tells how to turn it back; give the store its product's name"
        )
    return _OFFSET if baseline["baseline"] >= _OFFSET_SINCE else 0


def _opened(href: str) -> tuple[ZarrArray, list[zarr.Group]]:
    """The array, and the groups that it is in, innermost first."""
    parts = _STORE.match(href)
    if parts is None:
        raise SourceError(f"{redacted(href)} is in no Zarr store (a folder or URL that ends in .zarr)")
    store, path = _store(parts["root"]), parts["path"] or ""
    node = zarr.open(store, path=path, mode="r")
    if isinstance(node, zarr.Group):
        names = [name for name, array in node.arrays() if name not in _COORDINATES and array.ndim == 2]
        if len(names) != 1:
            raise SourceError(
                f"{redacted(href)} is a group of {len(names)} bands ({', '.join(names)}); name one of them"
            )
        node, path = cast("ZarrArray", node[names[0]]), f"{path}/{names[0]}"
    if node.ndim != 2 or node.dtype.kind not in "uif":
        raise SourceError(
            f"{redacted(href)} is no band: it has {node.ndim} dimensions of {node.dtype}", advice="leave out this scene"
        )
    return node, list(_parents(store, path))


def _store(root: str) -> ProductStore:
    """Where zarr finds the product: a folder, or a web or object store."""
    if is_remote(root) or not is_distant(root):
        return zarr_store(local_path(root))
    return ObjectStore(folder_store(root), read_only=True)


def _parents(store: ProductStore, path: str) -> Iterator[zarr.Group]:
    """The group that a path is in, and the root, where the product's own attributes are."""
    for group in dict.fromkeys((path.strip("/").rpartition("/")[0], "")):
        try:
            yield zarr.open_group(store, path=group, mode="r")
        except (FileNotFoundError, zarr.errors.GroupNotFoundError):
            log.debug("no group %s in %s", group or "at the root", store)


def _epsg(array: ZarrArray, around: list[zarr.Group]) -> int | None:
    """The coordinate system: of the array, its group, its grid mapping, or the whole product."""
    for attributes in (array.attrs, *(group.attrs for group in around)):
        discovery = cast("dict[str, Any]", attributes.get("stac_discovery", {}))
        other = cast("dict[str, Any]", attributes.get("other_metadata", {}))
        stated = attributes.get("proj:code") or attributes.get("proj:epsg")
        stated = stated or other.get("horizontal_CRS_code") or other.get("horizontal_crs_code")
        properties = discovery.get("properties", {})
        stated = stated or properties.get("proj:code") or properties.get("proj:epsg")
        if stated:
            return int(str(stated).rpartition(":")[2])
    mapping = str(array.attrs.get("grid_mapping", "spatial_ref"))
    if around and mapping in around[0]:
        import pyproj

        return pyproj.CRS.from_wkt(str(around[0][mapping].attrs["crs_wkt"])).to_epsg()
    return None


def _transform(array: ZarrArray, around: list[zarr.Group]) -> Affine | None:
    """The transform from (column, row): as stated, otherwise from the bounding box or from the pixel centres."""
    rows, columns = array.shape
    stated = cast("list[float] | None", array.attrs.get("proj:transform"))
    if stated:
        return Affine(*stated[:6])
    box = cast("list[float] | None", array.attrs.get("proj:bbox"))
    if box:
        left, bottom, right, top = box
        return Affine((right - left) / columns, 0, left, 0, (bottom - top) / rows, top)
    if around and "x" in around[0] and "y" in around[0] and min(rows, columns) > 1:
        x, y = (np.asarray(around[0][name][:], np.float64) for name in ("x", "y"))  # type: ignore[index]
        across, down = (x[-1] - x[0]) / (columns - 1), (y[-1] - y[0]) / (rows - 1)
        return Affine(across, 0, x[0] - across / 2, 0, down, y[0] - down / 2)
    return None


def _unreadable(href: str, error: Exception) -> SourceError:
    advice = Remote(href).advice(error) if is_distant(href) else ""
    advice = advice or "fetch it again or leave out this scene"
    return SourceError(f"band {redacted(href)} cannot be read: {explained(error)}; {advice}")
