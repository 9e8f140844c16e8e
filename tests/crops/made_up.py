"""Made-up seasons: crops with seasons of their own, parcels in blocks with weather of their own, noise and clouds."""

import numpy as np
import pyarrow as pa

from cbm_lake.crops import Season

DAYS = np.arange(19_360, 19_720, 10)


def season(
    count: int = 600,
    crops: int = 6,
    *,
    seed: int = 0,
    noise: float = 0.08,
    quantities: int = 4,
    extent_m: float = 200_000,
    days: np.ndarray = DAYS,
    clouds: float = 0.3,
) -> Season:
    """A season of parcels whose declarations are all right; crops are c0, c1 …, frequent ones first."""
    luck = np.random.default_rng([seed, 77])
    share = 1 / np.arange(1, crops + 1)
    crop = luck.choice(crops, count, p=share / share.sum())
    x, y = luck.uniform(3_000_000, 3_000_000 + extent_m, count), luck.uniform(2_000_000, 2_000_000 + extent_m, count)
    late = 8 * np.sin(x / 60_000) + luck.normal(0, 4, count)
    time = (days - days[0]) / 360
    values = {}
    for number in range(quantities):
        shape = np.random.default_rng([seed, 78, number])
        peak, width, height = (
            shape.uniform(0.2, 0.8, crops),
            shape.uniform(0.08, 0.2, crops),
            shape.uniform(0.3, 1, crops),
        )
        phase = (time[None, :] - (peak[crop] + late / 360)[:, None]) / width[crop][:, None]
        curve = (height[crop] * luck.lognormal(0, 0.15, count))[:, None] * np.exp(-(phase**2) / 2)
        curve = (curve + luck.normal(0, noise, curve.shape)).astype(np.float32)
        curve[luck.random(curve.shape) < clouds] = np.nan
        values[f"q{number:02}"] = curve
    return Season(
        pids=pa.array([f"p{number:06}" for number in range(count)]),
        x=x,
        y=y,
        area_m2=luck.lognormal(9.4, 0.8, count),
        codes=np.array([f"c{one}" for one in crop], object),
        days=days,
        values=values,
    )


def plant(codes: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes of which a share is another one that occurs, drawn by its frequency; and which were planted."""
    luck = np.random.default_rng([seed, 79])
    planted = np.zeros(len(codes), bool)
    planted[luck.choice(len(codes), round(share * len(codes)), replace=False)] = True
    declared = codes.copy()
    for row in np.flatnonzero(planted):
        while declared[row] == codes[row]:
            declared[row] = codes[luck.integers(len(codes))]
    return declared, planted
