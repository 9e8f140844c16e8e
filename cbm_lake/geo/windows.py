"""`Window`: a rectangle of pixels in a raster grid, in rows and columns."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy.typing as npt

PixelArray: TypeAlias = npt.NDArray[Any]
"""Array of pixels, row-major, in the dtype of its raster."""
Ranges: TypeAlias = tuple[tuple[int, int], tuple[int, int]]


class Window(NamedTuple):
    """A rectangle of pixels; row 0 is at the top, column 0 at the left."""

    row: int
    """The first row."""
    col: int
    """The first column."""
    height: int
    """Rows."""
    width: int
    """Columns."""

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices, to index an array (…, y, x)."""
        return slice(self.row, self.row + self.height), slice(self.col, self.col + self.width)

    def relative_to(self, other: Window) -> Window:
        """The same window in coordinates relative to another window's upper left corner."""
        return self._replace(row=self.row - other.row, col=self.col - other.col)

    @property
    def ranges(self) -> Ranges:
        """Row and column ranges (start, stop), which rasterio accepts as a window."""
        return (self.row, self.row + self.height), (self.col, self.col + self.width)
