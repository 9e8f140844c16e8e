"""What a season will cost: scaled as the work scales, and measured by doing it."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cbm_lake as cbm
from cbm_lake.errors import InvalidInputError
from cbm_lake.extract import machine as module
from cbm_lake.extract.machine import Machine

MACHINE = Machine(
    index=5e-6,
    reading=8e-9,
    keeping=8e-9,
    statistics=7e-9,
    writing=1e-7,
    compacting=2e-7,
    row_bytes=17,
    pixel_bytes=1.2,
)


def test_a_season_small_enough_for_pencil():
    found = cbm.estimate(100_000, 10, 4, machine=MACHINE, pixels=200)
    read = 10 * 10_980**2 * 4.25
    seconds = {stage.name: stage.hours * 3600 for stage in found.stages}
    assert seconds == pytest.approx(
        {
            "indexing": 1.0,
            "reading scenes": read * 8e-9,
            "keeping pixels": read * 8e-9,
            "statistics": 1e6 * 200 * 4.25 * 7e-9,
            "writing signatures": 0.4,
            "compaction": 0.8,
        }
    )
    assert found.hours * 3600 == pytest.approx(sum(seconds.values()))
    assert found.rows == 1_000_000
    assert found.signatures == 4e6 * 17
    assert found.cubes == pytest.approx(read * 1.2)
    assert found.bound.name in ("reading scenes", "keeping pixels")
    assert "1,000,000 signatures in 0.0" in str(found)
    assert found.to_table()["percent"].to_pylist() == pytest.approx(
        [100 * value / sum(seconds.values()) for value in seconds.values()]
    )


def test_indices_and_an_inner_buffer_cost_what_they_add():
    machine = replace(MACHINE, shrinking=2e-5, indices=6e-8)
    plain = cbm.estimate(100_000, 10, 4, machine=machine, pixels=225)
    more = cbm.estimate(100_000, 10, 4, machine=machine, pixels=225, indices=2, inner_buffer=5)
    before, after = ({stage.name: stage.hours * 3600 for stage in one.stages} for one in (plain, more))
    assert after["indexing"] == pytest.approx(2 * before["indexing"] + 100_000 * 2 * 2e-5)
    assert after["statistics"] == pytest.approx(1e6 * 14**2 * (4.25 * 7e-9 + 2 * 6e-8))
    assert after["writing signatures"] == pytest.approx(before["writing signatures"] * 6 / 4)
    assert more.worker_memory > plain.worker_memory


@pytest.mark.parametrize("wrong", [{"indices": -1}, {"indices": 99}, {"inner_buffer": -5}, {"inner_buffer": 500}])
def test_indices_and_buffers_that_cannot_be_are_refused(wrong):
    with pytest.raises(InvalidInputError, match=f"{next(iter(wrong))}="):
        cbm.estimate(1000, 10, machine=MACHINE, **wrong)


NUMBERS = {"parcels": st.integers(1, 2_000_000), "scenes": st.integers(1, 200), "bands": st.integers(1, 10)}


@given(st.fixed_dictionaries(NUMBERS), st.sampled_from(list(NUMBERS)), st.integers(1, 5))
def test_more_work_never_costs_less(numbers, more, times):
    less = cbm.estimate(**numbers, machine=MACHINE)
    other = cbm.estimate(**{**numbers, more: numbers[more] * times}, machine=MACHINE)
    assert other.hours >= less.hours * 0.999
    assert other.signatures == pytest.approx(less.signatures * times)


@given(st.integers(1, 64))
def test_workers_share_all_but_compaction(workers):
    one, many = (cbm.estimate(500_000, 73, 8, workers=n, machine=MACHINE) for n in (1, workers))
    for alone, shared in zip(one.stages, many.stages, strict=True):
        assert shared.hours == pytest.approx(alone.hours / (1 if alone.name == "compaction" else workers))


def test_without_a_cube_nothing_is_kept():
    found = cbm.estimate(1000, 1, 1, cube=False, machine=MACHINE)
    assert found.cubes == 0
    assert {stage.name: stage.hours for stage in found.stages}["keeping pixels"] == 0


@pytest.mark.parametrize(
    "wrong", [{"parcels": 0}, {"scenes": -1}, {"bands": 0}, {"workers": 0}, {"pixels": float("nan")}]
)
def test_numbers_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InvalidInputError, match=f"{next(iter(wrong))}=.* is no number above 0"):
        cbm.estimate(**{"parcels": 1, "scenes": 1, **wrong}, machine=MACHINE)


@pytest.mark.thorough
def test_a_machine_is_measured_by_doing_the_work(monkeypatch):
    monkeypatch.setattr(module, "_SECONDS", 0.05)
    monkeypatch.setattr(module, "_ROWS", 1_000)
    seen = []
    machine = module.measure(lambda *step: seen.append(step))
    assert seen == [(n, 8) for n in range(1, 9)]
    for item in fields(machine):
        assert 0 <= getattr(machine, item.name) < 1e3, item.name
    assert 1 < machine.row_bytes < 100
    assert 0.3 < machine.pixel_bytes < 2.5
