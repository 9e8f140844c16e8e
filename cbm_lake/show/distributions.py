"""Small plots of a parcel's pixels on one date: index histogram, or red against near-infrared scatter plot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.ticker import FixedLocator

from cbm_lake.cards import palette
from cbm_lake.show import computing
from cbm_lake.show.rendering import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from cbm_lake.cards import Index
    from cbm_lake.parcel.declaration import Parcel
    from cbm_lake.parcel.images import Image

Draw = Callable[["Axes", "Image"], None]
"""Draws what an image shows of the parcel's pixels into axes."""

_BINS: Final = 30
_RED, _NIR = (0.0, 0.3), (0.0, 0.6)
"""Reflectances of the axes: fields are rarely brighter."""
_MOST: Final = 4_000
"""Points of all dates that are drawn behind each date."""


@dataclass(frozen=True)
class Pixels:
    """The pixels of a parcel in the images of a row."""

    row: Row
    inside: NDArray[np.bool_]

    @classmethod
    def of(cls, row: Row, parcel: Parcel) -> Pixels:
        """Mask of the pixels whose centre lies in the parcel; if none, those that it touches."""
        images = row.images
        return cls(row, computing.inside(parcel.outline, parcel.epsg, images.epsg, images.transform, images.size))

    def values(self, image: Image) -> NDArray[np.float64]:
        """Values of the row's view in an image, valid pixels only."""
        values = self.row.view.values(image.bands)[self.inside]
        return values[np.isfinite(values)]

    def reflectance(self, image: Image, band: str) -> NDArray[np.float64]:
        """Reflectance of a band in an image, NaN where it is nodata."""
        stored = image.bands[band][self.inside].astype(np.float64)
        return np.where(stored > 0, stored / 10_000, np.nan)


def histogram(pixels: Pixels, index: Index) -> Draw:
    """Plot the histogram of the parcel's pixels, with limits common to all dates and a line at the median.

    What lies beyond the axis counts in its outermost bars. The tallest bar of a cloud-free date fills the axes.
    """
    edges = np.linspace(*index.axis, _BINS + 1)
    clear = _clear(pixels.row.images.images)
    tallest = max((float(_shares(pixels.values(image), edges).max()) for image in clear), default=1.0)

    def draw(axes: Axes, image: Image) -> None:
        values = pixels.values(image)
        colour = palette.NDVI if image.cloud <= computing.CLEAR_SKY else palette.CLOUD
        axes.bar(edges[:-1], _shares(values, edges), np.diff(edges), align="edge", color=colour)
        if values.size:
            axes.axvline(float(np.median(values)), color=palette.INK, linewidth=0.9, linestyle=":")
        axes.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.05 * max(tallest, 1e-9)))
        _grid(axes, np.arange(edges[0] + 0.2, edges[-1], 0.2), ())

    return draw


def scatter(pixels: Pixels) -> Draw:
    """Plot red against near infrared of the parcel's pixels, over those of all clear dates in pale grey."""
    behind = [_pair(pixels, image) for image in _clear(pixels.row.images.images)]
    cloud = np.hstack(behind) if behind else np.empty((2, 0))
    cloud = cloud[:, :: max(1, cloud.shape[1] // _MOST)]

    def draw(axes: Axes, image: Image) -> None:
        axes.plot(*cloud, ".", color=palette.EDGE, markersize=1, markeredgewidth=0, zorder=1)
        colour = palette.RED if image.cloud <= computing.CLEAR_SKY else palette.GREY
        axes.plot(*_pair(pixels, image), ".", color=colour, markersize=2, markeredgewidth=0, zorder=2)
        axes.plot((0, 0.3), (0, 0.3), color=palette.PALE, linewidth=0.6, linestyle=":", zorder=0)  # NDVI 0
        axes.set(xlim=_RED, ylim=_NIR)
        _grid(axes, np.arange(0.1, 0.3, 0.1), np.arange(0.1, 0.6, 0.1))

    return draw


def _pair(pixels: Pixels, image: Image) -> NDArray[np.float64]:
    """Red and near infrared (2, pixels), clipped to the axis limits."""
    red, nir = (pixels.reflectance(image, band) for band in ("B04", "B08"))
    return np.vstack([red.clip(*_RED), nir.clip(*_NIR)])


def _shares(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of values per bin; values beyond the bins count in the outermost."""
    counts, _ = np.histogram(values.clip(edges[0], edges[-1]), edges)
    return np.asarray(counts / max(values.size, 1), np.float64)


def _clear(images: Sequence[Image]) -> list[Image]:
    """The cloud-free images; all of them if no cloud share is known."""
    judged = [image for image in images if not np.isnan(image.cloud)]
    return [image for image in judged if image.cloud <= computing.CLEAR_SKY] if judged else list(images)


def _grid(axes: Axes, across: Iterable[float], up: Iterable[float]) -> None:
    """Pale grid lines without tick labels; the legend below the figure explains them."""
    axes.xaxis.set_major_locator(FixedLocator(list(across)))
    axes.yaxis.set_major_locator(FixedLocator(list(up)))
    axes.tick_params(length=0, labelbottom=False, labelleft=False)
    axes.grid(color=palette.GRID, linewidth=0.6)
    axes.set_axisbelow(True)
