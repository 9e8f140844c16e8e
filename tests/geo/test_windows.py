"""Windows of pixel grids: whatever form a library takes, it is the same pixels."""

import numpy as np
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from cbm_lake.geo.windows import Window

SHAPE = 12, 17


@st.composite
def windows(draw):
    row, col = draw(st.integers(0, SHAPE[0] - 1)), draw(st.integers(0, SHAPE[1] - 1))
    return Window(row, col, draw(st.integers(1, SHAPE[0] - row)), draw(st.integers(1, SHAPE[1] - col)))


@given(windows())
def test_slices_and_ranges_are_the_same_pixels(window):
    pixels = np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE)
    one_by_one = [
        [pixels[window.row + down, window.col + across] for across in range(window.width)]
        for down in range(window.height)
    ]
    assert pixels[window.slices].tolist() == one_by_one
    theirs = rasterio.windows.Window.from_slices(*window.ranges)
    assert (theirs.row_off, theirs.col_off, theirs.height, theirs.width) == window


@given(windows(), windows())
def test_a_window_relative_to_another_has_the_same_pixels_in_it(inner, outer):
    big = np.arange(4 * SHAPE[0] * SHAPE[1]).reshape(2 * SHAPE[0], 2 * SHAPE[1])
    inside = inner._replace(row=inner.row + outer.row, col=inner.col + outer.col)
    rows, columns = outer.slices
    part = big[rows.start :, columns.start :]
    assert np.array_equal(part[inside.relative_to(outer).slices], big[inside.slices])
