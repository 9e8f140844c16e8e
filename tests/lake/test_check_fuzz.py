"""Whatever happens to a file of a lake, `check --deep` names it, and no reader gives other numbers in silence."""

import random
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import damage
import pytest

from cbm_lake.errors import LakeError
from cbm_lake.lake import Lake
from cbm_lake.lake.check import check

pytestmark = pytest.mark.slow

ROUNDS = 8
"""How often one bit is turned in every file."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return damage.build(tmp_path_factory.mktemp("fuzz"))


def findings(lake, *, deep=True):
    """The files that are named, with severity."""
    return {(row["file"], row["severity"]) for row in check(Lake(lake.url), deep=deep).to_pylist()}


def shuffled(lake, seed):
    """Its files in an order that is always the same."""
    names = damage.files(lake)
    random.Random(seed).shuffle(names)  # noqa: S311 - an order, no secret
    return names


def test_the_lake_that_is_damaged_is_whole(lake):
    assert findings(lake) == set()


def test_what_happens_to_a_whole_file_is_told(lake):
    """Each of these is done to every file by itself."""
    tried, missed = Counter(), []
    chosen = {damage.kind(name): name for name in shuffled(lake, 3)}
    for kind, name in sorted(chosen.items()):
        for what, act in damage.WHOLESALE.items():
            path = Path(lake.url) / name
            if what == "zeros" and not path.read_bytes().strip(b"\0"):
                continue
            with damage.Damaged(path, act):
                tried[kind] += 1
                if not findings(lake, deep=what in ("garbage", "zeros")):
                    missed.append((kind, what, name))
    print(f"{sum(tried.values())} files of {len(tried)} kinds were damaged, {len(missed)} unnoticed: {missed}")  # noqa: T201
    assert missed == []


def test_one_turned_bit_is_told_wherever_it_is(lake):
    """One bit in every file at once: each must be named; those that are not are tried alone."""
    chance, tried, missed = random.Random(7), Counter(), []  # noqa: S311 - places, no secrets
    for _ in range(ROUNDS):
        chosen = {}
        for name in damage.files(lake):
            size = (Path(lake.url) / name).stat().st_size
            if size:
                chosen[name] = damage.turned(chance.randrange(size), chance.randrange(8))
        with ExitStack() as stack:
            for name, act in chosen.items():
                stack.enter_context(damage.Damaged(Path(lake.url) / name, act))
            found = findings(lake)
        for name, act in chosen.items():
            tried[damage.kind(name)] += 1
            if not any(file == name for file, _ in found):
                with damage.Damaged(Path(lake.url) / name, act):
                    if not findings(lake):
                        missed.append((name, act))
    print(f"{sum(tried.values())} bits were turned, {len(missed)} unnoticed: {[name for name, _ in missed]}")  # noqa: T201
    assert [name for name, _ in missed] == []


def _is_silently_wrong(right, found):
    return [name for name, value in found.items() if not isinstance(value, LakeError) and value != right[name]]


def _is_of_rows(name):
    """Files that DuckDB reads, which verifies no checksum of a page: `check --deep` alone sees a turned bit."""
    return name.endswith(".parquet") and "_delta_log" not in name


def test_readers_give_the_right_numbers_or_say_what_is_wrong(lake):
    chance = random.Random(11)  # noqa: S311 - places, no secrets
    right, wrong, tried = damage.answers(lake), [], 0
    assert not [value for value in right.values() if isinstance(value, LakeError)]
    by_kind = {damage.kind(name): name for name in shuffled(lake, 11)}
    for name in by_kind.values():
        path = Path(lake.url) / name
        size = path.stat().st_size
        bits = [] if _is_of_rows(name) else [damage.turned(chance.randrange(size), chance.randrange(8)) for _ in "ab"]
        for act in [*damage.WHOLESALE.values(), *bits] if size else []:
            with damage.Damaged(path, act):
                tried += 1
                wrong += [(question, name, act) for question in _is_silently_wrong(right, damage.answers(lake))]
    print(f"{tried} damages were read through, {len(wrong)} answers wrong in silence: {wrong}")  # noqa: T201
    assert wrong == []
