"""Areas that polygons share equal those of exact arithmetic, and shapely's wherever these are right."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import MultiPolygon, Polygon, box

from cbm_lake.zonal.overlaps import outlines, overlaps

SQUARE = box(0, 0, 10, 10)
COMB = Polygon([(0, 0), (10, 0), *((x, 9 * (number % 2) + 1) for number, x in enumerate(range(10, -1, -1)))])


def shared(one, other):
    """The area that two polygons share, 0 where they are no pair."""
    pairs = overlaps(np.array([one], object), np.array([other], object))
    return float(pairs.area.sum())


def edges(polygon):
    """Left and right end of each edge as fractions, and 1 where the polygon is below, -1 where it is above."""
    for part in shapely.get_parts(shapely.orient_polygons(polygon)):
        for ring in (part.exterior, *part.interiors):
            points = [(Fraction(x), Fraction(y)) for x, y in ring.coords]
            for begin, end in pairwise(points):
                if begin[0] != end[0]:
                    yield (*min(begin, end), *max(begin, end), 1 if begin[0] > end[0] else -1)


def exact(one, other):
    """The shared area in rational numbers: the signed sum of what each two strips below an edge share."""
    all_edges = [list(edges(one)), list(edges(other))]
    base = min(min(edge[1], edge[3]) for edge in (*all_edges[0], *all_edges[1]))
    total = Fraction(0)
    for x0, y0, x1, y1, sign in all_edges[0]:
        for u0, v0, u1, v1, sign_of_other in all_edges[1]:
            first, last = max(x0, u0), min(x1, u1)
            if first < last:
                above = [
                    (y0 + (y1 - y0) * (x - x0) / (x1 - x0) - base, v0 + (v1 - v0) * (x - u0) / (u1 - u0) - base)
                    for x in (first, last)
                ]
                total += sign * sign_of_other * (last - first) * mean_of_lower(*above)
    return total


def mean_of_lower(first, last):
    """The mean of the lower of two lines, of which the heights at both ends are given."""
    gaps = first[0] - first[1], last[0] - last[1]
    if gaps[0] * gaps[1] >= 0:
        return (min(first) + min(last)) / 2
    share = gaps[0] / (gaps[0] - gaps[1])
    crossing = first[0] + (last[0] - first[0]) * share
    return share * (min(first) + crossing) / 2 + (1 - share) * (crossing + min(last)) / 2


# -- by pencil ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "area"),
    [
        (SQUARE, 100),
        (box(5, 5, 20, 20), 25),
        (box(2, 2, 4, 4), 4),
        (box(-5, -5, 20, 20), 100),
        (box(10, 0, 20, 10), 0),  # a common side
        (box(10, 2, 20, 7), 0),  # a part of a side
        (box(10, 10, 20, 20), 0),  # a corner
        (box(30, 0, 40, 10), 0),
        (Polygon([(0, 0), (10, 0), (10, 10)]), 50),
        (Polygon([(5, -5), (15, 5), (5, 15), (-5, 5)]), 100),  # through the four corners
        (Polygon([(5, 0), (10, 5), (5, 10), (0, 5)]), 50),
        (Polygon([(-1, -1), (20, -1), (20, 20), (-1, 20)], [[(2, 2), (8, 2), (8, 8), (2, 8)]]), 64),
        (MultiPolygon([box(-5, -5, 1, 1), box(9, 9, 15, 15), box(20, 20, 30, 30)]), 2),
        (Polygon([(0, 0), (0, 10), (5, 10), (10, 10), (10, 5), (10, 0), (3, 0)]), 100),  # turned, and more vertices
        (box(0, 0, 10, 1e-6), 1e-5),
        (box(4, -5, 4 + 2**-20, 15), 10 * 2**-20),
    ],
)
def test_shared_areas_are_those_of_a_drawing(other, area):
    assert shared(SQUARE, other) == pytest.approx(area, rel=1e-12, abs=1e-12)
    assert shared(other, SQUARE) == pytest.approx(area, rel=1e-12, abs=1e-12)


def test_parcels_declared_again_share_their_whole_area_to_the_bit():
    assert shared(COMB, Polygon(COMB.exterior.coords)) == COMB.area


def test_what_is_missing_or_empty_or_no_polygon_overlaps_with_nothing():
    none = [None, Polygon(), MultiPolygon(), shapely.Point(1, 1), shapely.LineString([(0, 0), (9, 9)])]
    pairs = overlaps(np.array([*none, SQUARE], object), np.array([SQUARE, *none], object))
    assert [list(column) for column in pairs] == [[5], [0], [100]]
    assert len(overlaps(np.array([], object), np.array([SQUARE], object)).area) == 0
    assert len(overlaps(np.array([SQUARE], object), np.array([], object)).area) == 0


def test_polygons_with_infinite_coordinates_overlap_with_nothing():
    lost = shapely.transform(SQUARE, lambda xy: np.where(xy > 5, np.inf, xy))
    assert shared(lost, SQUARE) == 0


def test_pairs_come_in_the_order_of_both_sets():
    squares = np.array([box(x, 0, x + 3, 1) for x in (4, 0, 2)], object)
    pairs = overlaps(squares, squares)
    assert list(zip(pairs.first, pairs.second, strict=True)) == [(0, 0), (0, 2), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]


def test_outlines_of_chunks_are_those_of_the_whole():
    shapes = np.array(
        [
            SQUARE,
            None,
            Polygon(),
            SQUARE.difference(box(2, 2, 3, 3)),
            MultiPolygon([box(0, 0, 1, 1), box(2, 2, 3, 3)]),
            COMB,
        ],
        object,
    )
    whole, chunked = outlines([shapes]), outlines([shapes[:1], shapes[1:3], shapes[3:]])
    for one, other in zip(whole, chunked, strict=True):
        np.testing.assert_array_equal(one, other)
    assert list(np.diff(whole.parcels)) == [1, 0, 0, 2, 2, 1]


# -- random layouts ----------------------------------------------------------------------------------------------------

corners = st.tuples(st.integers(0, 6), st.integers(0, 6)) | st.tuples(st.floats(0, 6), st.floats(0, 6))
slivers = st.builds(
    lambda x, y, power: box(x, y, x + 10.0**-power, y + 4), st.integers(0, 6), st.integers(0, 6), st.integers(1, 7)
)
rings = st.lists(corners, min_size=3, max_size=8, unique=True).map(
    lambda points: shapely.make_valid(Polygon(points), method="structure", keep_collapsed=False)
)


def polygonal(geometry):
    parts = shapely.get_parts(geometry)
    return MultiPolygon([part for part in parts if part.geom_type == "Polygon"])


@st.composite
def layouts(draw):
    """Polygons with holes, islands, slivers and spikes, many with vertices and sides in common."""
    shape = draw(rings)
    for other in draw(st.lists(rings | slivers, max_size=3)):
        operation = draw(st.sampled_from([shapely.union, shapely.difference, shapely.symmetric_difference]))
        shape = operation(polygonal(shape), polygonal(other))
    shape = polygonal(shape)
    return shapely.transform(shape, lambda xy: xy * 16 + (600_000, 6_700_000)) if draw(st.booleans()) else shape


def usable(shape):
    return bool(shapely.is_valid(shape) and shape.area > 1e-9)


@pytest.mark.thorough
@settings(max_examples=150)
@given(layouts().filter(usable), layouts().filter(usable))
def test_shared_areas_are_exact_on_random_layouts(one, other):
    least = min(one.area, other.area)
    assert abs(shared(one, other) - float(exact(one, other))) <= 1e-9 * least
    assert shared(one, one) == one.area
    assert shared(one, shapely.normalize(shapely.reverse(one))) == pytest.approx(one.area, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_shared_areas_equal_those_of_shapely_on_random_landscapes(seed):
    points = np.random.default_rng(seed).uniform(0, 1000, (300, 2)) + np.array([600_000, 6_700_000])
    cells = shapely.get_parts(shapely.voronoi_polygons(shapely.multipoints(points)))
    moved = shapely.transform(shapely.buffer(cells, 3), lambda xy: xy + np.sin(xy[:, ::-1] * 0.7))
    moved = shapely.make_valid(
        shapely.difference(moved, shapely.buffer(shapely.centroid(cells), 5)), method="structure"
    )
    pairs = overlaps(cells, moved)
    areas = np.zeros((len(cells), len(moved)))
    areas[pairs.first, pairs.second] = pairs.area
    peer = shapely.area(shapely.intersection(cells[:, None], moved[None, :]))
    least = np.minimum(shapely.area(cells)[:, None], shapely.area(moved)[None, :])
    np.testing.assert_allclose(areas / least, peer / least, rtol=0, atol=1e-9)


def test_thousands_of_vertices_are_no_special_case():
    rng = np.random.default_rng(1)
    angle = np.linspace(0, 2 * np.pi, 20_000, endpoint=False)
    stars = [
        Polygon(np.column_stack([np.cos(angle), np.sin(angle)]) * (100 + rng.uniform(-1, 1, (len(angle), 1))) + shift)
        for shift in (0, 7)
    ]
    assert shared(*stars) == pytest.approx(shapely.intersection(*stars).area, rel=1e-9)


def test_a_landscape_that_is_divided_anew_loses_nothing():
    rng = np.random.default_rng(2)
    frame = box(0, 0, 1000, 1000)
    years = []
    for _ in range(2):
        points = shapely.multipoints(rng.uniform(0, 1000, (200, 2)))
        cells = shapely.get_parts(shapely.voronoi_polygons(points, extend_to=frame))
        cells = shapely.intersection(cells, frame)
        years.append(cells[shapely.area(cells) > 0])
    pairs = overlaps(*years)
    for rows, cells in zip((pairs.first, pairs.second), years, strict=True):
        np.testing.assert_allclose(np.bincount(rows, pairs.area) / shapely.area(cells), 1, rtol=1e-9)


def test_shared_areas_of_real_outlines_equal_those_of_shapely(realdata):
    gpd = pytest.importorskip("geopandas")
    shapes = gpd.read_file(realdata / "parcels" / "fr_rpg_near_lyon.geojson").geometry.make_valid().to_numpy()
    shapes = shapes[np.isin(shapely.get_type_id(shapes), (3, 6))]
    metres = 1 if shapely.bounds(shapes).max() > 400 else 1e-5
    for drawn_again in (
        shapely.transform(shapes, lambda xy: xy + np.array([3.0, -2.0]) * metres),
        shapely.buffer(shapes, 2 * metres),
        shapely.simplify(shapes, metres),
    ):
        pairs = overlaps(drawn_again, shapes)
        peer = shapely.area(shapely.intersection(drawn_again[pairs.first], shapes[pairs.second]))
        np.testing.assert_allclose(
            pairs.area / shapely.area(drawn_again)[pairs.first],
            peer / shapely.area(drawn_again)[pairs.first],
            rtol=0,
            atol=1e-9,
        )
        met = shapely.STRtree(shapes).query(drawn_again, predicate="intersects")
        total = shapely.area(shapely.intersection(drawn_again[met[0]], shapes[met[1]])).sum()
        assert pairs.area.sum() == pytest.approx(total, rel=1e-9)
