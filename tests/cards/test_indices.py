"""An index is data: what follows from it in SQL and figures, against numpy."""

from dataclasses import replace

import numpy as np
import pytest
from factories import DAY, band, fill, parcels, signature, signatures, write
from hypothesis import given, settings
from hypothesis import strategies as st

from cbm_lake import cards, show
from cbm_lake.cards import indices
from cbm_lake.cards.indices import Index, Linear, normalized_difference
from cbm_lake.lake import Lake, derived
from cbm_lake.show import views

BANDS = {"B02": 400.0, "B03": 600.0, "B04": 500.0, "B08": 3000.0, "B11": 1500.0, "B12": 1200.0}
BY_PENCIL = {
    "ndvi": (3000 - 500) / 3500,
    "ndwi": (600 - 3000) / 3600,
    "ndmi": (3000 - 1500) / 4500,
    "evi": 2.5 * 0.25 / (0.3 + 6 * 0.05 - 7.5 * 0.04 + 1),
    "bsi": (1500 + 500 - 3000 - 400) / 5400,
    "ndti": (1500 - 1200) / 2700,
}
SAVI = Index(
    "savi",
    "SAVI",
    Linear({"nir": 1.5, "red": -1.5}),
    Linear({"nir": 1.0, "red": 1.0}, 0.5),
    limits=(0.0, 0.9),
    axis=(0.0, 1.0),
    cmap="YlGn",
    description="green vegetation where much soil shows",
    source="Huete (1988), doi:10.1016/0034-4257(88)90106-X",
)
dn = st.floats(1, 12_000, width=32)


@pytest.fixture
def lake(tmp_path, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_HOME", str(tmp_path))
    lake = Lake(str(tmp_path / "data" / "lake"))
    lake.add_parcels("ms", 2024, "", "v1", parcels())
    others = {name: value for one, mean in BANDS.items() for name, value in band(one, mean).items()}
    write(lake, signatures(*(signature(pid, obstime=DAY, **others) for pid in ("0012", "12"))))
    return lake


def test_there_are_six_and_each_says_its_range_its_colours_and_its_source():
    assert set(cards.INDICES) == set(BY_PENCIL)
    for index in cards.INDICES.values():
        assert index.limits[0] < index.limits[1]
        assert index.axis[0] < index.axis[1]
        assert index.bands == tuple(sorted(index.bands))
        assert "(" in index.source


@pytest.mark.parametrize("name", BY_PENCIL)
def test_sql_says_the_same_as_numpy_and_the_pencil(name, lake):
    index = cards.INDICES[name]
    arguments = ", ".join(f"{band}_mean" for band in index.bands)
    values = lake.sql(f"select {name}({arguments}) as v from s2")["v"].to_pylist()  # noqa: S608
    assert values == lake.sql(f"select {name} as v from observations")["v"].to_pylist()  # noqa: S608
    assert values == [pytest.approx(BY_PENCIL[name], rel=1e-6)] * 2
    assert index.of(BANDS) == pytest.approx(BY_PENCIL[name])


@pytest.mark.parametrize("name", BY_PENCIL)
def test_an_index_of_reflectances_is_that_of_dn(name):
    reflectances = {band: value / 10_000 for band, value in BANDS.items()}
    assert cards.INDICES[name].of(reflectances, scale=1) == pytest.approx(BY_PENCIL[name])


def test_a_macro_whose_formula_has_a_constant_takes_the_scale(lake):
    (row,) = lake.sql("select evi(0.04, 0.05, 0.3, scale := 1) as v").to_pylist()
    assert row["v"] == pytest.approx(BY_PENCIL["evi"])


@pytest.mark.parametrize("name", BY_PENCIL)
def test_there_is_no_value_where_a_band_is_missing_or_the_denominator_is_not_positive(name, lake):
    index = cards.INDICES[name]
    zeros = ", ".join("0" for _ in index.bands)
    nulls = ", ".join(["null::float", *("100::float" for _ in index.bands[1:])])
    if not index.has_constant:
        assert lake.sql(f"select {name}({zeros}) as v")["v"].to_pylist() == [None]
        assert np.isnan(index.of(dict.fromkeys(index.bands, 0.0)))
    assert lake.sql(f"select {name}({nulls}) as v")["v"].to_pylist() == [None]
    assert np.isnan(index.of({**dict.fromkeys(index.bands, 100.0), index.bands[0]: np.nan}))


@settings(max_examples=50, deadline=None)
@given(
    low=st.lists(dn, min_size=4, max_size=4), more=st.lists(st.floats(0, 3000), min_size=4, max_size=4), at=st.randoms()
)
def test_what_lies_between_the_quartiles_of_all_bands_lies_between_both_ends(low, more, at):
    for index in cards.INDICES.values():
        bottom = dict(zip(index.bands, low, strict=False))
        top = {band: bottom[band] + add for band, add in zip(index.bands, more, strict=False)}
        if index.has_constant:
            continue  # the denominator of EVI may change its sign, where there is no value
        inside = index.of({band: at.uniform(bottom[band], top[band]) for band in index.bands})
        least, most = index.between(bottom, top)
        assert least - 1e-9 <= inside <= most + 1e-9


def test_the_ends_are_of_opposite_quartiles():
    low, high = {"B04": 400.0, "B08": 2900.0}, {"B04": 600.0, "B08": 3100.0}
    least, most = cards.INDICES["ndvi"].between(low, high)
    assert least == pytest.approx((2900 - 600) / 3500)
    assert most == pytest.approx((3100 - 400) / 3500)


def test_a_card_without_a_band_has_no_such_index():
    assert cards.INDICES["ndmi"].bands_of(cards.CARDS["ls"]) == ("nir08", "swir16")
    assert cards.INDICES["ndmi"].bands_of(cards.BS) == ()


def test_a_further_index_is_one_entry_of_data(lake, monkeypatch):
    monkeypatch.setitem(indices._BY_NAME, "savi", SAVI)
    expected = 1.5 * 0.25 / (0.35 + 0.5)
    fresh = Lake(lake.url)
    assert fresh.sql("select savi from observations")["savi"].to_pylist() == [pytest.approx(expected)] * 2
    key = {"aoi": "ms", "year": 2024, "ptype": "", "screen": [3, 8, 9, 10, 11]}
    rows = fresh.query("time_series.observations", **key, pid="12").to_pylist()
    assert rows[0]["savi"] == pytest.approx(expected)
    (day,) = fresh.query("time_series.crop_of_index", **key, index="savi", crop="wheat", without="12").to_pylist()
    assert (day["band"], day["mean"]) == ("savi", pytest.approx(expected))
    pixels = {"B04": np.array([[500, 0]], np.uint16), "B08": np.array([[3000, 3000]], np.uint16)}
    drawn = views.view("savi")
    assert drawn.values(pixels)[0, 0] == pytest.approx(expected)
    assert np.isnan(drawn.values(pixels)[0, 1])
    figure = show.time_series.index("ms", 2024, "12", index="savi")
    assert figure.axes[0].get_title(loc="left") == "SAVI"
    points = [line.get_ydata() for line in figure.axes[0].lines if len(line.get_ydata()) == 1]
    assert points[0][0] == pytest.approx(expected)


def test_the_macro_of_an_index_is_written_from_its_data():
    assert derived.index_macro(SAVI) == (
        "create macro savi(red, nir, scale := 0.0001) as (1.5::double * nir - 1.5::double * red) / "
        "nullif(greatest((nir + red + 0.5::double / scale), 0), 0)"
    )


def test_bands_of_an_index_may_be_any_that_sentinel_2_has(lake, monkeypatch):
    ndre = replace(cards.INDICES["ndvi"], name="ndre", **_difference("nir08", "rededge1"))
    assert ndre.bands == ("B05", "B8A")
    assert ndre.of({"B05": 1000, "B8A": 3000}) == pytest.approx(0.5)
    monkeypatch.setitem(indices._BY_NAME, "ndre", ndre)
    assert Lake(lake.url).sql("select ndre(1000, 3000) as value")["value"].to_pylist() == [pytest.approx(0.5)]


def _difference(plus, minus):
    numerator, denominator = normalized_difference([plus], [minus])
    return {"numerator": numerator, "denominator": denominator}


def test_a_difference_of_sums_is_over_their_sum():
    above, below = normalized_difference(["nir"], ["red", "blue"])
    assert above.weights == {"nir": 1, "red": -1, "blue": -1}
    assert below.weights == {"nir": 1, "red": 1, "blue": 1}


def test_indices_of_a_lake_that_lacks_bands_are_null(tmp_path):
    lake = fill(Lake(str(tmp_path / "lake")))
    (row, *_) = lake.sql("select ndvi, evi, bsi, ndwi, ndmi from observations").to_pylist()
    assert row == {"ndvi": 0.5, "evi": None, "bsi": None, "ndwi": None, "ndmi": None}
