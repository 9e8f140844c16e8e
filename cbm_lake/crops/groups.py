"""Groups of crops that cannot be told apart, and size classes of parcels: the cells of which an error is promised."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from cbm_lake.crops.features import Bools, Floats, Ints, Objects

OTHER: Final = "rare crops"
"""Group of the crops that have few parcels and no related ones."""
HCAT_DIGITS: Final = 10
"""Of a code of the hierarchical crop and agriculture taxonomy of EuroCrops; two digits per level, 00 is unspecific."""
APART: Final = 0.75
"""Two crops are apart where the models rank a parcel of the one before one of the other so often (area under the ROC
curve): halfway between guessing and never failing."""
PAIR_SAMPLE: Final = 2_000
"""Parcels of a crop by which it is compared with another, at most."""


def related(code: str) -> list[str]:
    """The parents of an HCAT code from the nearest to the farthest below the first level; none of other codes."""
    if len(code) != HCAT_DIGITS or not code.isdigit():
        return []
    parents = [code[:digits].ljust(HCAT_DIGITS, "0") for digits in (8, 6, 4)]
    return list(dict.fromkeys(parent for parent in parents if parent != code))


def join_rare(counts: Mapping[str, int], fewest: int) -> dict[str, str]:
    """Group by crop: itself where it has enough parcels, else the nearest parent with which its likes have enough.

    Args:
        counts: parcels by crop.
        fewest: parcels that a group needs.
    """
    groups = {code: code for code, count in counts.items() if count >= fewest}
    rare = sorted(counts.keys() - groups.keys())
    for level in range(3):
        pools: defaultdict[str, list[str]] = defaultdict(list)
        for code in rare:
            parents = related(code)
            if parents:
                pools[parents[min(level, len(parents) - 1)]].append(code)
        for parent, members in pools.items():
            if sum(counts[code] for code in members) >= fewest:
                groups |= dict.fromkeys(members, f"{parent} (few)")
        rare = [code for code in rare if code not in groups]
    return groups | dict.fromkeys(rare, OTHER)


def merge_confused(
    groups: Mapping[str, str], names: Sequence[str], probability: Floats, classes: Ints, usable: Bools, seed: int
) -> dict[str, str]:
    """Merge the crops that the models cannot tell apart, the least separable pair first.

    Args:
        groups: group by crop, after `join_rare`; only crops that are groups of their own are merged.
        names: of the classes.
        probability: (n, classes), cross-predicted.
        classes: (n,) class of the declared crop, -1 for none.
        usable: (n,) parcels that were predicted.
        seed: of the sample by which crops are compared.
    """
    sets = [[number] for number, name in enumerate(names) if groups[name] == name]
    rows = [_sample(np.flatnonzero(usable & (classes == one)), seed) for (one,) in sets]
    apart = np.full((len(sets), len(sets)), np.inf)
    for first in range(len(sets)):
        for second in range(first):
            apart[first, second] = _separability(probability, rows[first], rows[second], sets[first], sets[second])
    while apart.size and apart.min() < APART:
        first, second = divmod(int(np.argmin(apart)), len(sets))
        sets[second] += sets[first]
        rows[second] = np.concatenate([rows[second], rows[first]])
        apart[first, :] = apart[:, first] = np.inf
        sets[first] = []
        for other in range(len(sets)):
            if other != second and sets[other]:
                pair = max(other, second), min(other, second)
                apart[pair] = _separability(probability, rows[pair[0]], rows[pair[1]], sets[pair[0]], sets[pair[1]])
    merged = {names[one]: " + ".join(names[each] for each in sorted(members)) for members in sets for one in members}
    return {**groups, **merged}


def _sample(rows: Ints, seed: int) -> Ints:
    if len(rows) <= PAIR_SAMPLE:
        return rows
    return np.sort(np.random.default_rng([seed, 3]).choice(rows, PAIR_SAMPLE, replace=False))


def _separability(probability: Floats, first: Ints, second: Ints, of_first: list[int], of_second: list[int]) -> float:
    """Area under the ROC curve of the logarithm of the ratio of two groups' probabilities; 1 where one is empty."""
    from scipy.stats import rankdata

    if not len(first) or not len(second):
        return 1.0
    rows = np.concatenate([first, second])
    ratio = [
        np.log(probability[np.ix_(rows, np.array(members, np.int64))].sum(axis=1) + 1e-6)
        for members in (of_first, of_second)
    ]
    ranks = rankdata(ratio[0] - ratio[1])
    wins = ranks[: len(first)].sum() - len(first) * (len(first) + 1) / 2
    return float(wins / (len(first) * len(second)))


def size_classes(area_m2: Floats, limits: Sequence[float]) -> tuple[Ints, list[str]]:
    """The number of each parcel's size class, and the classes' names; areas that are not known are a class.

    Args:
        area_m2: (n,) square metres, NaN where unknown.
        limits: between the classes, ascending, in square metres.
    """
    hectares = [f"{limit / 10_000:g}" for limit in limits]
    if not limits:
        names = ["all sizes"]
    else:
        names = [f"below {hectares[0]} ha"]
        names += [f"{low} to {high} ha" for low, high in itertools.pairwise(hectares)]
        names.append(f"{hectares[-1]} ha and more")
    numbers = np.searchsorted(np.asarray(limits, float), area_m2, side="right").astype(np.int64)
    return np.where(np.isfinite(area_m2), numbers, len(names)), [*names, "unknown size"]


def texts(codes: Objects) -> tuple[list[str], Ints]:
    """The crops that are declared, sorted, and the number of each parcel's; -1 where none is."""
    cleaned = [str(code).strip() if code is not None and code == code else "" for code in codes]  # noqa: PLR0124 - NaN
    names = sorted({code for code in cleaned if code})
    numbers = {name: number for number, name in enumerate(names)}
    return names, np.array([numbers.get(code, -1) for code in cleaned], np.int64)
