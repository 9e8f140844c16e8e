"""A model for tests of what is round it: the nearest mean curve, so simple that each answer is known beforehand."""

import numpy as np

from cbm_lake.crops.model import Judged


def judge(season, settings=None):
    """Every parcel is of the crop whose mean NDVI, of all parcels that declare it, is nearest."""
    values = np.nan_to_num(season.values["NDVI"])
    seen = np.isfinite(season.values["NDVI"]).any(axis=1) & np.not_equal(season.codes, None)
    crops = sorted(set(season.codes[seen]))
    means = np.array([np.median(values[seen & (season.codes == crop)], axis=0) for crop in crops])
    distance = np.linalg.norm(values[:, None] - means, axis=2)
    nearest = np.array(crops, object)[distance.argmin(axis=1)]
    agrees = nearest == season.codes
    verdict = np.where(seen, np.where(agrees, "agrees", "disagrees"), "cannot say").astype(object)
    order = np.lexsort((season.pids.to_pylist(), agrees))
    rank = np.zeros(len(verdict), np.int64)
    rank[order[seen[order]]] = np.arange(1, seen.sum() + 1)
    return Judged(
        pids=season.pids,
        groups=np.where(seen, season.codes, None),
        size_classes=np.full(len(verdict), "small", object),
        p_value=np.where(seen, np.where(agrees, 0.5, 0.01), np.nan),
        likely=[[str(crop)] if there else [] for crop, there in zip(nearest, seen, strict=True)],
        probability=[[0.9] if there else [] for there in seen],
        verdict=verdict,
        reason=np.full(len(verdict), "by the nearest mean", object),
        rank=rank,
        fold=np.where(seen, 0, -1),
        group_of={crop: crop for crop in crops},
        figures={
            "accuracy": float(agrees[seen].mean()),
            "accuracy_of_groups": float(agrees[seen].mean()),
            "undecided": float(1 - seen.mean()),
            "nothing": float("nan"),
        },
    )


def judge_by_day(season, settings, days):
    """The same until each of several days."""
    for day in days:
        yield day, judge(season.until(day), settings)
