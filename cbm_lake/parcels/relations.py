"""What became of parcels, from the areas that those of an earlier and a later year share.

Most of a parcel lies in one other at most, if those of a year do not overlap; that is its origin, or its heir. The
relations of pairs follow from these, see `RELATIONS`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cbm_lake.lake.schemas.declared import MERGED, MOVED, PART_OF, SAME, SLIVER, SPLIT
from cbm_lake.zonal.overlaps import Overlaps

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

LEAST_SHARE: Final = 0.05
"""Share of a parcel below which an overlap is a sliver: that of a margin of 1.25 m along a hectare's boundary of 400 m,
the widest by which areas that are measured may differ (Regulation (EU) 809/2014, article 38)."""
ROUNDING: Final = 1e-9
"""Share of an area that is nothing: boundaries that touch share as much, by the rounding of coordinates."""
_MOST: Final = 0.5


class Related(NamedTuple):
    """Pairs of parcels that overlap with their relations, and the parcels of each year without any."""

    later: Ints
    """(p,) index of the later parcel of each pair."""
    earlier: Ints
    """(p,) index of the earlier one."""
    relation: npt.NDArray[np.object_]
    """(p,) a key of RELATIONS."""
    share: Floats
    """(p,) shared area divided by that of the later parcel."""
    share_before: Floats
    """(p,) shared area divided by that of the earlier parcel."""
    new: Ints
    """Later parcels without relation."""
    gone: Ints
    """Earlier parcels without relation."""

    def with_displaced(self, later: Ints, earlier: Ints) -> Related:
        """The same after new and gone parcels were recognised as displaced: pairs that moved, and share nothing."""
        nothing = np.zeros(len(later))
        return Related(
            np.concatenate([self.later, later]),
            np.concatenate([self.earlier, earlier]),
            np.concatenate([self.relation, np.full(len(later), MOVED, object)]),
            np.concatenate([self.share, nothing]),
            np.concatenate([self.share_before, nothing]),
            np.setdiff1d(self.new, later),
            np.setdiff1d(self.gone, earlier),
        )


def relate(pairs: Overlaps, areas: Floats, areas_before: Floats, least_share: float = LEAST_SHARE) -> Related:
    """The relations of pairs of parcels; what pairs share by rounding alone is nothing.

    Args:
        pairs: later parcels (first), earlier ones (second), and the areas that they share.
        areas: (n,) of the later parcels, in the same unit.
        areas_before: (m,) of the earlier parcels.
        least_share: share of the one or the other parcel from which an overlap is no sliver.
    """
    share, share_before = pairs.area / areas[pairs.first], pairs.area / areas_before[pairs.second]
    is_overlap = np.maximum(share, share_before) >= ROUNDING
    later, earlier = pairs.first[is_overlap], pairs.second[is_overlap]
    share, share_before = share[is_overlap], share_before[is_overlap]
    counts = np.maximum(share, share_before) >= least_share - ROUNDING
    counts |= _in_slivers(later, share, counts) | _in_slivers(earlier, share_before, counts)
    has_origin, has_heir = (counts & (each > _MOST + ROUNDING) for each in (share, share_before))
    is_split = has_origin & (np.bincount(earlier[has_origin], minlength=len(areas_before))[earlier] > 1)
    is_merged = has_heir & (np.bincount(later[has_heir], minlength=len(areas))[later] > 1)
    relation = np.full(len(later), PART_OF, object)
    relation[has_origin & has_heir] = MOVED
    relation[is_split] = SPLIT
    relation[is_merged] = MERGED
    relation[is_split & is_merged] = PART_OF
    relation[np.minimum(share, share_before) >= 1 - least_share - ROUNDING] = SAME
    relation[~counts] = SLIVER
    new, gone = _others(later[counts], len(areas)), _others(earlier[counts], len(areas_before))
    return Related(later, earlier, relation, share, share_before, new, gone)


def _in_slivers(parcel: Ints, share: Floats, counts: Flags) -> Flags:
    """Which pairs are of parcels that lie for the most part in others, but in slivers of these alone."""
    covered = np.bincount(parcel, share)
    covered[parcel[counts]] = 0
    return np.asarray(covered[parcel] > _MOST)


def _others(parcel: Ints, number: int) -> Ints:
    """Which of so many parcels are not among these."""
    return np.flatnonzero(np.bincount(parcel, minlength=number) == 0)
