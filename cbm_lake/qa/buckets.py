"""Fills sample buckets with ranked parcels; names are encoded as integers for speed on millions of rows.

One phase goes through its rows in the order of their rank and starts again from the top whenever a bucket has been
filled. To go through all rows again would cost rows times buckets. But a row whose holding was called in and whose
parcel was offered can add nothing more in its phase, so a new start only looks at the rows that called in a holding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

PER_HOLDING: Final = 3
"""So many parcels of a holding come into a bucket when the holding is called in."""
SHARE_OF_HOLDINGS: Final = 0.03
"""The share of all holdings from which a sample under the 3 % rule is taken."""


@dataclass(frozen=True)
class Ranked:
    """Rows of a parcel list by rank, best first; ties in file order."""

    parcels: Ints
    """Number of each row's parcel identifier, which several holdings may share."""
    holdings: Ints
    groups: Ints
    """Number of each row's group in order of first appearance in the file."""
    covered: Mask

    @cached_property
    def parcel(self) -> Sequence[int]:
        """Parcels as Python integers, which are faster to read one by one."""
        return self.parcels.data

    @cached_property
    def holding(self) -> Sequence[int]:
        """Holdings as Python integers."""
        return self.holdings.data

    @cached_property
    def group(self) -> Sequence[int]:
        """Groups as Python integers."""
        return self.groups.data

    def of_parcel(self, parcel: int) -> list[int]:
        """Rows of a parcel identifier, best first."""
        return _members(self._by_parcel, parcel)

    def of_holding(self, holding: int) -> list[int]:
        """Rows of a holding, best first."""
        return _members(self._by_holding, holding)

    @cached_property
    def best_of_holding(self) -> Mask:
        """Mask of the best row of each holding."""
        rows, starts = self._by_holding
        best = np.zeros(len(self.holdings), np.bool_)
        best[rows[np.asarray(starts[:-1], np.int64)]] = True
        return best

    @cached_property
    def _by_parcel(self) -> tuple[Ints, list[int]]:
        return _grouped(self.parcels)

    @cached_property
    def _by_holding(self) -> tuple[Ints, list[int]]:
        return _grouped(self.holdings)


def _grouped(numbers: Ints) -> tuple[Ints, list[int]]:
    """Rows ordered by number, and where those of each number begin."""
    rows = np.argsort(numbers, kind="stable").astype(np.int32)
    return rows, [0, *np.cumsum(np.bincount(numbers)).tolist()]


def _members(grouped: tuple[Ints, list[int]], number: int) -> list[int]:
    rows, starts = grouped
    members: list[int] = rows[starts[number] : starts[number + 1]].tolist()
    return members


class Buckets:
    """Current state of the buckets, and the two ways to add rows."""

    def __init__(self, ranked: Ranked, targets: Sequence[int]) -> None:
        self.ranked = ranked
        self.targets = targets
        self.size = [0] * len(targets)
        self.unfilled = sum(target > 0 for target in targets)
        self.rows: list[int] = []
        """Chosen rows in the order in which they were added."""
        self.sampled = bytearray(int(ranked.holdings.max(initial=-1)) + 1)
        """Which holdings have a row among them."""
        self.holdings = 0
        self._added = bytearray(len(ranked.groups))

    def add(self, row: int, *, beyond: bool = False) -> bool:
        """Add a row to the bucket of its group; returns whether it was added.

        Args:
            row: its number; one that is in its bucket is not added again.
            beyond: also when the bucket is full.
        """
        group = self.ranked.group[row]
        if self._added[row] or (self.is_full(group) and not beyond):
            return False
        self._added[row] = 1
        self.rows.append(row)
        self.size[group] += 1
        self.unfilled -= self.size[group] == self.targets[group]
        holding = self.ranked.holding[row]
        self.holdings += not self.sampled[holding]
        self.sampled[holding] = 1
        return True

    def full(self) -> set[int]:
        """Groups whose bucket is full."""
        return {group for group in range(len(self.targets)) if self.is_full(group)}

    def is_full(self, group: int) -> bool:
        """Whether a bucket has reached its target; a target of 0 always counts as reached."""
        return self.size[group] >= self.targets[group]

    def call_in(self, holding: int, live: bytearray, *, count_chosen: bool = False) -> None:
        """Add the best rows of a holding, at most three per bucket, parcel by parcel.

        Args:
            holding: its number.
            live: which rows may be added.
            count_chosen: whether rows of the holding that were chosen before count towards the three.
        """
        rows = self.ranked.of_holding(holding)
        parcels: dict[int, list[int]] = {}
        for row in rows:
            if live[row]:
                parcels.setdefault(self.ranked.parcel[row], []).append(row)
        counts = Counter(self.ranked.group[row] for row in rows if count_chosen and self._added[row])
        for row in chain.from_iterable(parcels.values()):
            group = self.ranked.group[row]
            if counts[group] < PER_HOLDING:
                counts[group] += self.add(row)

    def offer(self, parcel: int, live: bytearray) -> None:
        """Add the rows of one parcel identifier, of any holding, without the limit of three."""
        for row in self.ranked.of_parcel(parcel):
            if live[row]:
                self.add(row)

    def fill_empty(self, rest: Mask) -> None:
        """For each empty bucket, add all rows of its group from the holding of the group's best row in `rest`."""
        for group in [number for number, size in enumerate(self.size) if not size and self.targets[number]]:
            rows = np.flatnonzero(rest & (self.ranked.groups == group))
            for row in rows[self.ranked.holdings[rows] == self.ranked.holdings[rows[:1]]].tolist():
                self.add(row)

    def sampled_rows(self) -> Mask:
        """Mask of the rows that belong to sampled holdings."""
        return np.frombuffer(self.sampled, np.bool_)[self.ranked.holdings]


class _Phase:
    """One way through a part of the list, from its top again after each change to it."""

    def __init__(self, selection: Selection, part: Mask, met: bytearray) -> None:
        self.selection = selection
        self.buckets = selection.buckets
        self.ranked = selection.buckets.ranked
        self.met = met
        """Holdings that have been called in."""
        self.live = bytearray(part)
        """Rows that have not left the list."""
        self.rest = np.zeros(len(part), np.bool_)
        """Rows that the 3 % rule has cut away."""
        self._mask = np.frombuffer(self.live, np.bool_)  # the same bytes
        self._rows: Sequence[int] = np.flatnonzero(part).data
        self._upcoming = iter(self._rows)
        self._head = 0
        self._offered = bytearray(int(self.ranked.parcels.max(initial=-1)) + 1)
        self._callers: list[int] = []
        """Rows that called in a holding and whose parcel has not been offered on its own."""

    def run(self, limit: int | None = None) -> None:
        """Go through the list until every bucket is full or the list is at its end.

        Args:
            limit: number of holdings in the sample at which the list is reduced to them.
        """
        while self.buckets.unfilled and self._pass_changes_list(limit):
            self._callers = [row for row in self._callers if not self._is_spent(row)]

    def leave(self, group: int) -> None:
        """Remove the rows of a group from the list, except retained ones."""
        self._mask[(self.ranked.groups == group) & ~self.selection.retained] = False

    def _pass_changes_list(self, limit: int | None) -> bool:
        """Process rows until one leads to a change of the list, and change it; False when all were processed."""
        if self.selection.is_behind and self._top_is_spent():  # it adds nothing, yet the next full bucket is seen here
            return self._settle(limit)
        for row in self._remaining():
            self._process(row)
            if self._settle(limit):
                return True
            if not self.buckets.unfilled:
                break
        return False

    def _remaining(self) -> Iterator[int]:
        """The rows from the top that can still change anything."""
        for row in chain(tuple(self._callers), self._upcoming):
            if self.live[row] and not self._is_spent(row):
                yield row

    def _is_spent(self, row: int) -> bool:
        """Whether processing the row can add nothing: its parcel was offered and its holding called in."""
        return bool(self._offered[self.ranked.parcel[row]] and self.met[self.ranked.holding[row]])

    def _process(self, row: int) -> None:
        holding, parcel = self.ranked.holding[row], self.ranked.parcel[row]
        if self.met[holding]:
            self.buckets.offer(parcel, self.live)
            self._offered[parcel] = 1
        else:
            self.met[holding] = 1
            self.buckets.call_in(holding, self.live, count_chosen=self.selection.count_chosen)
            self._callers.append(row)

    def _top_is_spent(self) -> bool:
        """Whether processing the first row of the list can add nothing."""
        while self._head < len(self._rows) and not self.live[self._rows[self._head]]:
            self._head += 1
        return self._head < len(self._rows) and self._is_spent(self._rows[self._head])

    def _settle(self, limit: int | None) -> bool:
        """Change the list as the last row demands: one full bucket leaves, other holdings leave; whether it did."""
        reached = limit is not None and not self.selection.is_cut and self.buckets.holdings >= limit
        group = self.selection.next_full()
        if group is not None:
            self.leave(group)
        if reached:
            self.selection.is_cut = True
            self.rest = self._mask & ~self.buckets.sampled_rows()
            self._mask &= self.buckets.sampled_rows()
        return reached or group is not None


class Selection:
    """Sample selection: phases over covered and not covered rows, and the 3 % rule."""

    def __init__(
        self, ranked: Ranked, targets: Sequence[int], *, covered_first: bool = False, retain: bool = False
    ) -> None:
        self.buckets = Buckets(ranked, targets)
        self.count_chosen = covered_first
        self.retained = ranked.best_of_holding if retain else np.zeros(len(ranked.groups), np.bool_)
        """Rows that stay on the list when their bucket is full, so that a holding is called in at its best rank."""
        self.is_cut = False
        self._remaining: list[int] = []

    @property
    def is_behind(self) -> bool:
        """Whether a full bucket still has rows on the list: they are removed bucket by bucket, one per restart."""
        return len(self._remaining) < len(self.buckets.targets) - self.buckets.unfilled

    def next_full(self) -> int | None:
        """Pop a full bucket whose rows have not been removed from the list yet."""
        if not self.is_behind:
            return None
        groups = range(len(self.buckets.targets))
        group = next(group for group in groups if self.buckets.is_full(group) and group not in self._remaining)
        self._remaining.append(group)
        return group

    def run(self, limit: int | None) -> list[int]:
        """The chosen rows in the order in which they were added.

        Args:
            limit: number of holdings of the 3 % rule, or None without it.
        """
        covered = self.buckets.ranked.covered
        first = covered if self.count_chosen else np.ones(len(covered), np.bool_)
        phase = _Phase(self, first, self._nobody())
        phase.run(limit)
        others = self._uncovered(limit) if self.count_chosen and self.buckets.unfilled else np.zeros_like(covered)
        if self.is_cut:
            self.buckets.fill_empty(phase.rest)
            self.buckets.fill_empty(others)
        return self.buckets.rows

    def _uncovered(self, limit: int | None) -> Mask:
        """Go on with rows that are not covered; returns those of holdings that were not in the sample before."""
        uncovered = ~self.buckets.ranked.covered
        sampled = self.buckets.sampled_rows()
        met = self._nobody()
        first, others = _Phase(self, uncovered & sampled, met), _Phase(self, uncovered & ~sampled, met)
        for group in self._remaining:
            first.leave(group)
            others.leave(group)
        first.run()
        if limit is None:
            others.run()  # with the rows of buckets that the holdings of the sample have filled just now
        return uncovered & ~sampled

    def _nobody(self) -> bytearray:
        return bytearray(len(self.buckets.sampled))


def select(
    ranked: Ranked,
    targets: Sequence[int],
    *,
    limit: int | None = None,
    covered_first: bool = False,
    retain: bool = False,
) -> list[int]:
    """Select the rows of the sample, in the order in which they are added.

    Args:
        ranked: the list; without its not covered rows where only covered ones may be chosen.
        targets: how many rows each bucket is to have.
        limit: number of holdings of the 3 % rule, counted in the whole list; None: all may be chosen.
        covered_first: whether covered rows come before the others.
        retain: whether a holding's best row stays on the list when its bucket is full.
    """
    return Selection(ranked, targets, covered_first=covered_first, retain=retain).run(limit)
