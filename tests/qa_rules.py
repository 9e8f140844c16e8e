"""The rules of the samples told literally and slowly: what the quick selection is compared with."""

from collections import Counter
from typing import NamedTuple


class Row(NamedTuple):
    gsa_par_id: str
    gsa_hol_id: str
    ua_grp_id: str
    covered: int
    ranking: int


class Literal:
    """The rules as they are told: a list of rows, gone through from the top again after every change to it."""

    def __init__(self, rows, targets, three_percent, covered_priority, noncontributing):
        self.targets, self.priority = targets, covered_priority
        self.buckets = {row.ua_grp_id: [] for row in rows}
        self.order, self.gone, self.rest, self.cut = [], [], [], False
        self.limit = int(0.03 * len({row.gsa_hol_id for row in rows})) if three_percent else None
        existing = [row for row in rows if row.covered] if covered_priority == 2 else rows
        self.ranked = sorted(existing, key=lambda row: row.ranking)
        self.retained = set()
        if noncontributing:
            best = {}
            for row in self.ranked:
                best.setdefault(row.gsa_hol_id, row)
            self.retained = set(best.values())

    def run(self):
        if self.priority != 1:
            self.phase(self.ranked, set(), self.limit)
            others = []
        else:
            self.phase([row for row in self.ranked if row.covered], set(), self.limit)
            others = [] if self.all_full() else self.phases_of_uncovered()
        if self.cut:
            for rest in (self.rest, others):
                self.fill_empty(rest)
        return self.order

    def phases_of_uncovered(self):
        known, met = self.sampled(), set()
        uncovered = [row for row in self.ranked if not row.covered]
        own = [row for row in uncovered if row.gsa_hol_id in known]
        others = [row for row in uncovered if row.gsa_hol_id not in known]
        for group in self.gone:
            own, others = self.without(own, group), self.without(others, group)
        self.phase(own, met, None)
        if self.limit is None:
            self.phase(others, met, None)
        return others

    def phase(self, live, met, limit):
        while not self.all_full():
            for row in live:
                self.process(row, live, met)
                shorter = self.changed(live, limit)
                if shorter is not None:
                    live = shorter
                    break  # from the top again
                if self.all_full():
                    return
            else:
                return

    def process(self, row, live, met):
        if row.gsa_hol_id in met:
            for other in live:
                if other.gsa_par_id == row.gsa_par_id:
                    self.add(other)
            return
        met.add(row.gsa_hol_id)
        own = [other for other in live if other.gsa_hol_id == row.gsa_hol_id]
        taken = Counter(other.ua_grp_id for other in self.order if other.gsa_hol_id == row.gsa_hol_id)
        taken = taken if self.priority == 1 else Counter()
        for parcel in own:
            for other in own:
                if other.gsa_par_id == parcel.gsa_par_id and taken[other.ua_grp_id] < 3:
                    taken[other.ua_grp_id] += self.add(other)

    def changed(self, live, limit):
        full = [group for group in self.buckets if self.is_full(group) and group not in self.gone]
        reached = limit is not None and not self.cut and len(self.sampled()) >= limit
        if not full and not reached:
            return None
        if full:
            self.gone.append(full[0])
            live = self.without(live, full[0])
        if reached:
            self.cut = True
            self.rest = [row for row in live if row.gsa_hol_id not in self.sampled()]
            live = [row for row in live if row.gsa_hol_id in self.sampled()]
        return live

    def fill_empty(self, rest):
        for group in [group for group, rows in self.buckets.items() if not rows]:
            rows = [row for row in rest if row.ua_grp_id == group]
            for row in rows:
                if row.gsa_hol_id == rows[0].gsa_hol_id:
                    self.add(row)

    def without(self, rows, group):
        return [row for row in rows if row.ua_grp_id != group or row in self.retained]

    def add(self, row):
        if row in self.order or self.is_full(row.ua_grp_id):
            return False
        self.buckets[row.ua_grp_id].append(row)
        self.order.append(row)
        return True

    def is_full(self, group):
        return len(self.buckets[group]) >= self.targets[group]

    def all_full(self):
        return all(map(self.is_full, self.buckets))

    def sampled(self):
        return {row.gsa_hol_id for row in self.order}


class Flemish:
    """The Flemish rules as they are told: parcel by parcel, and once more when the holdings are capped."""

    def __init__(self, parcels, ranking, sizes, skip, capping):
        self.rank, self.sizes, self.skip = dict(ranking), sizes, skip
        self.capping = int(capping * len({row[1] for row in parcels})) if 0 < capping < 1 else capping
        self.rows = [row for row in parcels if row[0] in self.rank]
        self.owner = {parcel: holding for parcel, holding, _ in self.rows}
        self.listed = sorted(self.owner, key=self.rank.get)
        self.buckets = {group: [] for _, _, group in self.rows}
        self.met, self.used = set(), set()
        self.gone = {group for group in self.buckets if self.is_full(group)}

    def run(self):
        if self.reaches_cap(self.listed, self.capping):
            chosen = {parcel for bucket in self.buckets.values() for parcel in bucket}
            left = [parcel for parcel in self.listed if self.owner[parcel] in self.used and parcel not in chosen]
            self.reaches_cap(left, -1)
            for group in [group for group, bucket in self.buckets.items() if not bucket]:
                having = [parcel for parcel in self.listed if group in self.groups(parcel)]
                for parcel in [parcel for parcel in having if self.owner[parcel] == self.owner[having[0]]]:
                    self.add(parcel, group)
        return {(group, parcel) for group, bucket in self.buckets.items() for parcel in bucket}

    def reaches_cap(self, listed, capping):
        for parcel in listed:
            if all(map(self.is_full, self.buckets)):
                return False
            seen = [group for group in self.groups(parcel) if group not in self.gone]
            if self.skip and all(map(self.is_full, seen)):
                continue
            if len(self.used) == capping:
                return True
            self.gone |= {group for group in self.buckets if self.is_full(group)}
            self.process(parcel, seen)
        return False

    def process(self, parcel, seen):
        if self.owner[parcel] in self.met:
            for group in seen:
                self.add(parcel, group, beyond=self.skip)
            return
        self.met.add(self.owner[parcel])
        own = [other for other in self.listed if self.owner[other] == self.owner[parcel]]
        for group in self.buckets:
            for other in [other for other in own if group in self.groups(other)][:3]:
                self.add(other, group)

    def groups(self, parcel):
        return [group for other, _, group in self.rows if other == parcel]

    def add(self, parcel, group, beyond=False):
        if (beyond or not self.is_full(group)) and parcel not in self.buckets[group]:
            self.buckets[group].append(parcel)
            self.used.add(self.owner[parcel])

    def is_full(self, group):
        return len(self.buckets[group]) >= self.sizes[group]
