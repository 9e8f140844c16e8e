"""A search of what is new gives what a search of everything gives."""

from datetime import timedelta

import factories
import nights
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cbm_lake import markers
from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import Lake

pytestmark = pytest.mark.thorough


EVENTS = st.one_of(
    *nights.EVENTS,
    st.tuples(st.just("crops"), st.integers(1, 7)),
    st.tuples(st.just("some"), st.integers(0, 7)),
    st.tuples(st.just("compact")),
)
NIGHTS = st.lists(st.lists(EVENTS, max_size=3), min_size=2, max_size=4)


def crops(lake, count):
    nights.declare(lake, f"c{count}", [("grassland", "1")] * count + [("maize", "3")] * (8 - count))


HAPPENS = {
    **nights.HAPPENS,
    "crops": crops,
    "some": lambda lake, place: markers.find(**nights.AREA, pids=[nights.PIDS[place]], lake=lake),
    "compact": lambda lake: lake.compact(),
}
"""What may happen to a lake between two nights."""


def begun(url):
    lake = Lake(str(url))
    nights.declare(lake)
    for number in range(8, 24, 4):
        nights.extract(lake, number)
    markers.find(**nights.AREA, parameters=HOW, lake=lake)
    return lake


HOW = {"peers": {"least": 3}, "clear": {"dates": 3}}


def rows(table):
    return table.replace_schema_metadata().to_pylist()


def check(lake):
    """Both searches give the same rows, in the same order, and the lake has them."""
    new = rows(markers.find(**nights.AREA, parameters=HOW, only_new=True, lake=lake))
    kept = rows(lake.sql("select * from marked"))
    everything = rows(markers.find(**nights.AREA, parameters=HOW, lake=Lake(lake.url)))
    assert new == everything
    assert sorted(map(repr, kept)) == sorted(map(repr, [{name: row[name] for name in kept[0]} for row in everything]))


@pytest.mark.slow
@given(seasons=NIGHTS)
@example(seasons=[[("scene", 0, [0])], [("scene", 8, [0])]])  # a scene that is extracted once more, over other parcels
@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_whatever_happens_between_nights_a_search_of_what_is_new_gives_the_same_rows(seasons, tmp_path_factory):
    explore(seasons, tmp_path_factory.mktemp("nights"))


@pytest.mark.slow
@given(seasons=NIGHTS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_over_many_random_nights_a_search_of_what_is_new_gives_the_same_rows(seasons, tmp_path_factory):
    explore(seasons, tmp_path_factory.mktemp("nights"))


def explore(seasons, folder):
    """Nights of a lake; each search of what is new rests on the one before, and all are compared with a full one."""
    lake = begun(folder / "lake")
    for events in seasons:
        for event in events:
            HAPPENS[event[0]](lake, *event[1:])
        new = rows(markers.find(**nights.AREA, parameters=HOW, only_new=True, lake=lake))
        parcels = lake.parcel_set("ms", 2024)
        assert new == rows(searched(lake, parcels))


def searched(lake, parcels):
    """What a search of everything gives, which leaves no trace in the lake."""
    from cbm_lake.markers import finding, series
    from cbm_lake.markers.parameters import read

    how = read(HOW)
    observations = series.read(lake, parcels, how)
    return finding.table(finding.search(observations, parcels.year, how), observations, parcels)


def test_only_parcels_with_something_new_are_searched(tmp_path):
    lake = begun(tmp_path / "lake")
    nights.extract(lake, 25, places=[1, 5])
    looked = markers.find(**nights.AREA, parameters=HOW, only_new=True, lake=lake)
    clear = [place for place in (1, 5) if nights.row(25, place, "x", 0)["scl_9"] == 0]
    assert int(looked.schema.metadata[b"searched"]) == len(clear) > 0
    assert int(markers.find(**nights.AREA, parameters=HOW, only_new=True, lake=lake).schema.metadata[b"searched"]) == 0


def test_a_scene_that_is_published_again_with_another_day_is_read_on_that_day(tmp_path):
    lake = begun(tmp_path / "lake")
    check(lake)
    name, later = nights.name_of(12), nights.obstime(12) + timedelta(days=2)
    entry = factories.scene(name, later, acquisition="A12", baseline="05.11", revision="again")
    lake.add_scenes(factories.scenes(entry))
    seen = [nights.row(12, place, name, 0) | {"obstime": later, "extraction": 77} for place in range(8)]
    lake.write_signatures("s2", factories.signatures(*seen), 77)
    lake.record(factories.entry(name, finished=nights.obstime(26), revision="again", extraction=77))
    check(lake)


def test_other_parameters_search_everything(tmp_path):
    lake = begun(tmp_path / "lake")
    other = {**HOW, "mowing": {"drop": 0.3}}
    looked = markers.find(**nights.AREA, parameters=other, only_new=True, lake=lake)
    assert looked.schema.metadata[b"searched"] == b"8"


def test_a_lost_or_damaged_memory_means_a_search_of_everything(tmp_path):
    lake = begun(tmp_path / "lake")
    (file,) = (tmp_path / "lake" / "searches").rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:-9] + b"123456789")
    assert markers.find(**nights.AREA, parameters=HOW, only_new=True, lake=lake).schema.metadata[b"searched"] == b"8"
    check(lake)


def test_some_parcels_or_what_is_new_but_not_both(tmp_path):
    lake = begun(tmp_path / "lake")
    with pytest.raises(InvalidInputError, match="either some parcels"):
        markers.find(**nights.AREA, pids=["p1"], only_new=True, lake=lake)
