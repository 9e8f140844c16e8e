"""Masks looked up from grids of their own: by pencil, against numpy pixel by pixel, and against rasterstats."""

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterstats import zonal_stats
from scipy import ndimage

from cbm_lake import zonal
from cbm_lake.zonal import masks
from cbm_lake.zonal.masks import CLEAR, MASKED, UNKNOWN, PixelMask

BAND = Affine(10, 0, 500_000, 0, -10, 4_800_000)
SQUARE = shapely.box(500_000, 4_799_960, 500_040, 4_800_000)


def coarse(codes, transform=None, outside=UNKNOWN):
    return PixelMask(np.array(codes, np.uint8), transform or BAND * Affine.scale(2), outside)


def test_a_pixel_of_twenty_metres_covers_its_four_of_ten():
    mask = coarse([[MASKED, CLEAR], [CLEAR, UNKNOWN]])
    expected = [[2, 2, 0, 0], [2, 2, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert mask.resampled(BAND, (4, 4)).tolist() == expected
    index = zonal.build_index([SQUARE], BAND, (4, 4))
    layers = (mask.on(index.transform, index.shape),)
    assert masks.touched(index, layers).tolist() == [True]
    positions, ends = masks.clear_pixels(index, layers, np.array([0]))
    assert positions.tolist() == [2, 3, 6, 7, 8, 9, 12, 13]
    assert ends.tolist() == [0, 8]


def test_what_lies_beside_the_mask_has_the_code_of_outside():
    mask = coarse([[CLEAR]], BAND * Affine.translation(1, 1))
    assert mask.resampled(BAND, (3, 3)).tolist() == [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
    assert coarse([[CLEAR]], outside=MASKED).resampled(BAND, (2, 4)).tolist() == [[0, 0, 2, 2], [0, 0, 2, 2]]


def test_of_two_masks_the_worse_code_counts():
    index = zonal.build_index([SQUARE], BAND, (4, 4))
    first, second = coarse([[MASKED, CLEAR], [CLEAR, UNKNOWN]]), coarse([[CLEAR, MASKED], [CLEAR, MASKED]])
    layers = tuple(mask.on(index.transform, index.shape) for mask in (first, second))
    assert masks.touched(index, layers).tolist() == [True]
    assert masks.clear_pixels(index, layers, np.array([0]))[0].tolist() == [8, 9, 12, 13]


@given(st.integers(0, 2**32 - 1), st.integers(0, 5))
def test_growing_equals_a_maximum_over_a_square(seed, pixels):
    masked = np.random.default_rng(seed).random((9, 13)) < 0.1
    expected = ndimage.maximum_filter(masked, 2 * pixels + 1, mode="constant")
    assert np.array_equal(masks.dilated(masked, pixels), expected)


@st.composite
def worlds(draw):
    """A band, polygons on it, and a mask on a grid that begins and ends elsewhere."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    size = draw(st.sampled_from([5, 10, 20, 30, 60]))
    shape = (draw(st.integers(5, 40)), draw(st.integers(5, 40)))
    shift = [10 * value for value in draw(st.tuples(st.integers(-8, 8), st.integers(-8, 8)))]
    transform = Affine(size, 0, BAND.c + shift[0], 0, -size, BAND.f + shift[1])
    codes = rng.choice(3, (draw(st.integers(1, 60)), draw(st.integers(1, 60))), p=[0.7, 0.05, 0.25]).astype(np.uint8)
    middles = rng.uniform(0, 10 * max(shape), (6, 2))
    shapes = [
        shapely.affinity.translate(shapely.Point(0, 0).buffer(rng.uniform(5, 120), 3), BAND.c + x, BAND.f - y)
        for x, y in middles
    ]
    pixels = rng.integers(0, 4, shape) * rng.integers(1, 4000, shape)
    return shapes, pixels.astype(np.uint16), PixelMask(codes, transform, draw(st.sampled_from([UNKNOWN, MASKED])))


@settings(deadline=None, max_examples=60)
@given(worlds())
def test_statistics_of_clear_pixels_equal_rasterstats_of_the_masked_band(world):
    shapes, band, mask = world
    codes = np.full(band.shape, mask.outside)  # one by one: the pixel of the mask that each centre lies in
    for row, col in np.ndindex(*band.shape):
        at = ~mask.transform * (BAND * (col + 0.5, row + 0.5))
        across, down = int(np.floor(at[0])), int(np.floor(at[1]))
        if 0 <= down < mask.codes.shape[0] and 0 <= across < mask.codes.shape[1]:
            codes[row, col] = mask.codes[down, across]
    assert np.array_equal(mask.resampled(BAND, band.shape), codes)
    index = zonal.build_index(shapes, BAND, band.shape)
    layers = (mask.on(index.transform, index.shape),)
    names = "count mean std min max percentile_25 percentile_50 percentile_75"
    truth = zonal_stats(shapes, np.where(codes == CLEAR, band, 0), affine=BAND, nodata=0, stats=names)
    hidden = zonal_stats(shapes, (codes == MASKED).astype(np.uint8), affine=BAND, nodata=0, stats="count")
    assert masks.touched(index, layers).tolist() == [row["count"] > 0 for row in hidden]
    parcels = np.arange(len(shapes))[::2]
    positions, ends = masks.clear_pixels(index, layers, parcels)
    mine = zonal.pool_statistics(zonal.pool_of(index, band)[positions], ends).to_pylist()
    for row, expected in zip(mine, truth[::2], strict=True):
        assert row["count"] == expected["count"]
        for name in ("mean", "std", "min", "max"):
            assert row[name] == pytest.approx(
                expected[name] or np.nan if expected[name] != 0 else 0, nan_ok=True, abs=1e-6
            )
        for name in ("25", "50", "75"):
            value = expected[f"percentile_{name}"]
            assert row[f"p{name}"] == pytest.approx(np.nan if value is None else value, nan_ok=True)
