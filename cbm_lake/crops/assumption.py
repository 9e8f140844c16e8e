"""Whether the declarations are as the promise of accusations assumes, and where they are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cbm_lake.crops import accusations
from cbm_lake.crops.accusations import Declared, Mixture
from cbm_lake.crops.features import Bools, Floats, Ints, Season
from cbm_lake.crops.learning import Matrix
from cbm_lake.crops.settings import Settings

PLANTED: Final = 5
"""Groups as which each parcel is planted, to learn what wrong declarations look like."""
STRATUM: Final = 400
"""Parcels of a stratum of how well they are seen, at least."""
STRATA: Final = 8
SIDES: Final = 4
"""Regions into which the extent is cut from west to east, and from south to north."""
ROUNDS: Final = 3
LEVELS: Final = (0.01, 0.05, 0.1)
"""Expected shares of correct ones among the accused at which the assumption is tested."""


@dataclass(frozen=True, eq=False)
class Suspicion:
    """How probable it is that declarations are wrong, and where that cannot be said."""

    mixture: Mixture
    wrong: npt.NDArray[np.float64]
    """(n,) probability that the declaration is wrong; NaN where nothing was predicted."""
    doubtful: Bools
    """(n,) more of its like look wrong than wrong declarations explain: nobody is accused among them."""
    doubts: list[str]
    """By what these differ from others, in words."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Declarations, and what wrong declarations of the same parcels would look like."""

    rows: Ints
    """(m,) parcels."""
    planted: Ints
    """(m, PLANTED) groups."""
    declared: Declared
    by_planted: Declared

    def without(self, doubtful: Bools) -> Sample:
        """Of the parcels that are not doubtful."""
        keep = ~doubtful[self.rows]
        each = np.repeat(keep, PLANTED)
        return Sample(
            self.rows[keep],
            self.planted[keep],
            Declared(self.declared.scores[keep], self.declared.stratum[keep]),
            Declared(self.by_planted.scores[each], self.by_planted.stratum[each]),
        )


def suspicion(
    season: Season, by_group: Matrix, probability: Matrix, group: Ints, usable: Bools, settings: Settings
) -> Suspicion:
    """Estimate the mixture, and again without the parcels of which it does not hold, up to three times.

    Args:
        season: of n parcels.
        by_group: (n, groups) plausibility.
        probability: (n, groups)
        group: (n,) declared.
        usable: (n,) parcels that were predicted and have a declared crop.
        settings: seed, share of wrong declarations.
    """
    doubts: list[str] = []
    doubtful = np.zeros(len(group), bool)
    share = np.bincount(group[usable], minlength=by_group.shape[1])
    if (share > 0).sum() < 2:
        none = Mixture(0, 0, np.zeros(1), np.ones(1))
        return Suspicion(none, np.where(usable, 0.0, np.nan), doubtful, doubts)
    stratum = _strata(season, usable)
    sample = _sample(by_group, group, stratum, usable, share / share.sum(), settings.seed)
    parts = _parts(season, probability, group, usable) | {"how often they were seen": stratum}
    for attempt in range(ROUNDS + 1):
        left = sample.without(doubtful)
        if not len(left.rows) or attempt == ROUNDS:
            break
        mixture = accusations.fit(left.declared, left.by_planted, int(stratum.max()) + 1, settings.wrong_share)
        more = _excess(mixture, left, parts)
        if not more:
            break
        doubts += more.keys() - set(doubts)
        doubtful |= np.any(list(more.values()), axis=0)
    wrong = np.full(len(group), np.nan)
    wrong[usable] = mixture.wrong_probability(by_group[usable, group[usable]], stratum[usable])
    return Suspicion(mixture, wrong, doubtful & usable, sorted(doubts))


def _strata(season: Season, usable: Bools) -> Ints:
    """(n,) quantiles of how often a parcel is seen."""
    count = sum((np.isfinite(values).sum(axis=1) for values in season.values.values()), np.zeros(len(usable), np.int64))
    strata = int(np.clip(usable.sum() // STRATUM, 1, STRATA))
    quantiles = np.arange(1, strata) / strata
    limits = np.unique(np.quantile(count[usable], quantiles)) if usable.any() else quantiles
    return np.searchsorted(limits, count, side="right").astype(np.int64)


def _sample(by_group: Matrix, group: Ints, stratum: Ints, usable: Bools, share: Floats, seed: int) -> Sample:
    luck = np.random.default_rng([seed, 5])
    rows = np.flatnonzero(usable)
    if len(rows) > accusations.MOST:
        rows = np.sort(luck.choice(rows, accusations.MOST, replace=False))
    own, ends = share[group[rows], None], np.cumsum(share)
    point = luck.random((len(rows), PLANTED)) * (1 - own)
    point += np.where(point >= (ends - share)[group[rows], None], own, 0)  # past the declared group
    planted = np.minimum(np.searchsorted(ends, point, side="right"), np.flatnonzero(share)[-1])
    return Sample(
        rows,
        planted,
        Declared(by_group[rows, group[rows]], stratum[rows]),
        Declared(np.take_along_axis(by_group[rows], planted, 1).reshape(-1), np.repeat(stratum[rows], PLANTED)),
    )


def _parts(season: Season, probability: Matrix, group: Ints, usable: Bools) -> dict[str, Ints]:
    """Partitions of the parcels, by what they are named: the number of each parcel's part, (n,)."""
    likeliest = probability.max(axis=1)
    limits = np.quantile(likeliest[usable], [0.25, 0.5, 0.75])
    west, south = (np.minimum(_position(values) * SIDES, SIDES - 1).astype(np.int64) for values in (season.x, season.y))
    return {
        "declared crop": group,
        "likeliest crop": probability.argmax(axis=1).astype(np.int64),
        "region": west * SIDES + south,
        "certainty": np.searchsorted(limits, likeliest, side="right").astype(np.int64),
    }


def _position(values: Floats) -> Floats:
    """Between the least and the greatest: 0 to 1."""
    return np.asarray((values - values.min()) / max(float(np.ptp(values)), 1e-9))


def _excess(mixture: Mixture, sample: Sample, parts: Mapping[str, Ints]) -> dict[str, Bools]:
    """By the name of a partition (n,) the parcels of the parts in which too many are accused."""
    declared = mixture.wrong_probability(sample.declared.scores, sample.declared.stratum)
    planted = mixture.wrong_probability(sample.by_planted.scores, sample.by_planted.stratum).reshape(-1, PLANTED)
    more: dict[str, Bools] = {}
    for level in LEVELS:
        accused = accusations.accused(declared, level)
        if not accused.any():
            continue
        among = planted >= declared[accused].min()
        for name, part in parts.items():
            of_planted = sample.planted if name == "declared crop" else part[sample.rows, None] + 0 * sample.planted
            count = int(part.max()) + 1
            share = mixture.estimate * accusations.HALF_STEP
            expected = share / PLANTED * np.bincount(of_planted[among], minlength=count)
            bad = accusations.excessive(np.bincount(part[sample.rows[accused]], minlength=count), expected, level)
            if bad.any():
                more[name] = more.get(name, False) | (bad[part] & (part >= 0))
    return more
