"""Compiled search for falls of NDVI on a part of a parcel: two classes of change, each contiguous, with a sharp edge.

Between two consecutive clear looks at a parcel every pixel has a change. Its pixels are split in two classes
(threshold of Otsu 1979, IEEE Trans. Syst. Man Cybern. 9, 62), which are made contiguous by iterated conditional modes
(Besag 1986, J. R. Stat. Soc. B 48, 259); of a small parcel they are the two sides of the best straight edge. The split
counts where one class fell and the other did not, by far more than the noise between neighbouring pixels, and where a
step describes the change better than a surface of second order, by the difference of BIC (Schwarz 1978, Ann. Stat. 6,
461) that Raftery (1995, Sociol. Methodol. 25, 111) calls very strong.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from cbm_lake.markers.subparcel.edges import TERMS, is_edge, is_wide, levels, sharpness, surface
from cbm_lake.markers.subparcel.how import How, Labels, Values
from cbm_lake.markers.subparcel.lines import LINE, fit, share_of
from cbm_lake.zonal.compiled import Floats, Ints, Ints32, compiled

MOST: Final = 4
"""Events of one parcel that are returned; later ones are dropped."""
FIELDS: Final = (
    *("before", "after", "fell", "stayed", "noise", "evidence", "level", "confirmed"),
    *("angle", "distance", "straight"),
)
"""Of an event: numbers of the two looks, mean change of the part and of the rest, noise of a pixel's change, difference
of BIC, NDVI of the part afterwards, 1 where the next look confirms it, 0 where there is none; and the best line (see
`lines.fit`), with 1 where it is the edge."""
_STRAIGHT: Final = 1.5
"""Greatest sum of squares, relative to that of contiguous classes, at which a line is the edge."""
_ROUNDS: Final = 10
_RATIO: Final = 1.4826 / 1.4142135623730951
"""From the median of absolute differences of two pixels to the standard deviation of one, for normal noise."""


@compiled
def search(
    ndvi: Values,
    day: Ints,
    offsets: Ints,
    row: Ints32,
    col: Ints32,
    how: How,
    fields: Floats,
    labels: Labels,
    looks: Ints,
) -> None:
    """Search all parcels of a batch.

    Args:
        ndvi: (looks, pixels), NaN where not clear; the pixels of each parcel in row-major order.
        day: of each look, ascending.
        offsets: where the pixels of each parcel begin.
        row: of each pixel.
        col: of each pixel.
        how: the thresholds.
        fields: (parcels, MOST, FIELDS), NaN; filled with the events.
        labels: (MOST, pixels); filled with the class of each pixel in each event.
        looks: (parcels,); filled with the number of clear looks at each parcel.
    """
    for parcel in range(len(offsets) - 1):
        begin, end = offsets[parcel], offsets[parcel + 1]
        seen = ndvi[:, begin:end]
        clear = _clear(seen, day, how.share)
        looks[parcel] = len(clear)
        if end - begin < 2 * how.pixels or len(clear) < 2:
            continue
        beside = _neighbours(row[begin:end], col[begin:end])
        number = 0
        for k in range(len(clear) - 1):
            if number == MOST:
                break
            label = labels[number, begin:end]
            if _event(seen, day, clear, k, row[begin:end], col[begin:end], beside, how, fields[parcel, number], label):
                number += 1


@compiled
def _clear(seen: Values, day: Ints, share: float) -> Ints:
    """The looks that see enough of a parcel, one a day."""
    clear = np.empty(len(seen), np.int64)
    number = 0
    for look in range(len(seen)):
        count = 0
        for i in range(seen.shape[1]):
            count += not np.isnan(seen[look, i])
        repeated = number > 0 and day[clear[number - 1]] == day[look]
        if count > 0 and count >= share * seen.shape[1] and not repeated:
            clear[number] = look
            number += 1
    return clear[:number]


@compiled
def _neighbours(row: Ints32, col: Ints32) -> Ints32:
    """The pixels above, below, left and right of each pixel, (pixels, 4); -1 where there is none."""
    top, left = row.min(), col.min()
    grid = np.full((row.max() - top + 3, col.max() - left + 3), np.int32(-1))
    for i in range(len(row)):
        grid[row[i] - top + 1, col[i] - left + 1] = i
    beside = np.empty((len(row), 4), np.int32)
    for i in range(len(row)):
        y, x = row[i] - top + 1, col[i] - left + 1
        beside[i, 0], beside[i, 1] = grid[y - 1, x], grid[y + 1, x]
        beside[i, 2], beside[i, 3] = grid[y, x - 1], grid[y, x + 1]
    return beside


@compiled
def _event(
    seen: Values,
    day: Ints,
    clear: Ints,
    k: int,
    row: Ints32,
    col: Ints32,
    beside: Ints32,
    how: How,
    fields: Floats,
    labels: Labels,
) -> bool:
    """Fill in the event between clear looks k and k + 1, if there is one."""
    before, after = seen[clear[k]], seen[clear[k + 1]]
    change = (after - before).astype(np.float64)
    if not _split(change, how, labels):
        return False
    used = labels >= 0
    y, x, values = row[used].astype(np.float64), col[used].astype(np.float64), change[used]
    smooth = surface(values, y - y.mean(), x - x.mean()) + len(values) * how.noise**2
    fell, stayed, noise, squares, straight = 0.0, 0.0, 0.0, 0.0, 0.0
    line = np.full(LINE, np.nan)
    if len(values) <= how.small:
        line = fit(y, x, values)
        fell, stayed, noise, squares = _by_line(change, row, col, line, how, labels)
        straight = 1.0
    if not _holds(fell, stayed, noise, smooth, squares, len(values), how):
        fell, stayed, noise, squares = _by_class(change, beside, how, labels)
        if not _holds(fell, stayed, noise, smooth, squares, len(values), how) or not is_wide(labels, beside, how):
            return False
        if sharpness(change, beside, labels) < how.sharpness * (stayed - fell):
            return False
        line = fit(y, x, values)
        straight = 1.0 if line[4] + len(values) * how.noise**2 <= _STRAIGHT * squares else 0.0
    confirmed = _confirmed(seen, day, clear, k, labels, how)
    is_lag = fell > -how.drop
    differed = abs(_mean(before, labels, 1) - _mean(before, labels, 0))
    if confirmed < 0 or (is_lag and differed > (stayed - fell) / 3):
        return False
    evidence = _evidence(smooth, squares, len(values))
    fields[0], fields[1], fields[2], fields[3] = clear[k], clear[k + 1], fell, stayed
    fields[4], fields[5], fields[6], fields[7] = noise, evidence, _mean(after, labels, 1), confirmed
    fields[8], fields[9], fields[10] = line[0], line[1], straight
    return True


@compiled
def _holds(fell: float, stayed: float, noise: float, smooth: float, squares: float, n: int, how: How) -> bool:
    """Whether one class fell, or did not grow, unlike the other, by more than the noise, and better than a surface."""
    contrast = stayed - fell
    has_fallen = fell <= -how.drop and stayed > fell / 2 and contrast >= how.drop
    lags = fell <= how.lag / 4 and contrast >= how.lag and stayed > 0
    return (has_fallen or lags) and contrast >= how.contrast * noise and _evidence(smooth, squares, n) >= how.evidence


@compiled
def _evidence(smooth: float, step: float, n: int) -> float:
    """Difference of BIC between a surface of second order and a step, by their sums of squares over n pixels."""
    return float(n * np.log(smooth / step) + (TERMS - 4) * np.log(n))


@compiled
def _by_line(
    change: Floats, row: Ints32, col: Ints32, line: Floats, how: How, labels: Labels
) -> tuple[float, float, float, float]:
    """Label the pixels by a line; mean changes, noise and sum of squares, zeros where a side is too small for it."""
    cos, sin = np.cos(line[0]), np.sin(line[0])
    fell = min(line[2], line[3])
    near = np.int8(line[2] == fell)
    count, deep = np.zeros(2), np.zeros(2, np.int64)
    for i in range(len(labels)):
        if labels[i] < 0:
            continue
        inside = line[1] - col[i] * cos - row[i] * sin
        share = share_of(inside, cos, sin)
        labels[i] = near if inside > 0 else 1 - near
        count[near] += share
        count[1 - near] += 1 - share
        deep[labels[i]] += abs(inside) >= 1.0
    n = count.sum()
    if count.min() < how.pixels - 0.5 or deep.min() < 2:
        return 0.0, 0.0, 0.0, 1.0
    return fell, max(line[2], line[3]), np.sqrt(line[4] / max(n - 4, 1.0)), line[4] + n * how.noise**2


@compiled
def _by_class(change: Floats, beside: Ints32, how: How, labels: Labels) -> tuple[float, float, float, float]:
    """Label the pixels by class, contiguous; mean changes, noise and sum of squares, but for mixtures at the edge."""
    _split(change, how, labels)
    _contiguous(change, beside, how, _noise(change, beside, labels, how.noise), labels)
    fell, stayed = levels(change, beside, labels)
    squares = 0.0
    for i in range(len(change)):
        if labels[i] >= 0:
            level = fell if labels[i] == 1 else stayed
            if is_edge(beside, labels, i):
                level = min(max(change[i], fell), stayed)
            squares += (change[i] - level) ** 2 + how.noise**2
    return fell, stayed, _noise(change, beside, labels, how.noise), squares


@compiled
def _split(change: Floats, how: How, labels: Labels) -> bool:
    """Label the pixels by Otsu's threshold; False where the lowest and highest do not differ enough."""
    order = np.sort(change[~np.isnan(change)])
    n, k = len(order), how.pixels
    if n < 2 * k:
        return False
    low, high = order[:k].mean(), order[n - k :].mean()
    if low > how.lag / 4 or high - low < (how.drop if low <= -how.drop else how.lag):
        return False
    total, below, best, threshold = order.sum(), order[: k - 1].sum(), -1.0, 0.0
    for i in range(k, n - k + 1):
        below += order[i - 1]
        between = i * (n - i) * (below / i - (total - below) / (n - i)) ** 2
        if between > best:
            best, threshold = between, (order[i - 1] + order[i]) / 2
    for i in range(len(change)):
        labels[i] = -1 if np.isnan(change[i]) else np.int8(change[i] < threshold)
    return True


@compiled
def _noise(change: Floats, beside: Ints32, labels: Labels, least: float) -> float:
    """The standard deviation of a pixel's change, by the differences of neighbours of one class."""
    steps = np.empty(2 * len(change))
    number = 0
    for i in range(len(change)):
        for j in (beside[i, 1], beside[i, 3]):
            if j >= 0 and labels[i] >= 0 and labels[i] == labels[j]:
                steps[number] = abs(change[i] - change[j])
                number += 1
    return max(least, float(np.median(steps[:number])) * _RATIO) if number else least


@compiled
def _contiguous(change: Floats, beside: Ints32, how: How, noise: float, labels: Labels) -> None:
    """Make the labels contiguous, in place."""
    for _ in range(_ROUNDS):
        fell, stayed = levels(change, beside, labels)
        changed = 0
        for i in range(len(change)):
            if labels[i] < 0:
                continue
            votes = 0
            for j in beside[i]:
                if j >= 0 and labels[j] >= 0:
                    votes += 1 if labels[j] == 1 else -1
            preference = ((change[i] - stayed) ** 2 - (change[i] - fell) ** 2) / (2 * noise**2)
            label = 1 if preference + how.contiguity * votes > 0 else 0
            changed += label != labels[i]
            labels[i] = label
        if not changed:
            break
    for kind in (1, 0):
        _absorb(beside, kind, how.pixels, labels)


@compiled
def _absorb(beside: Ints32, label: int, pixels: int, labels: Labels) -> None:
    """Give connected pixels of a label that are too few to the other."""
    done = np.zeros(len(labels), np.bool_)
    stack = np.empty(len(labels), np.int64)
    for first in range(len(labels)):
        if done[first] or labels[first] != label:
            continue
        stack[0], size, at = first, 1, 0
        done[first] = True
        while at < size:
            for j in beside[stack[at]]:
                if j >= 0 and labels[j] == label and not done[j]:
                    done[j] = True
                    stack[size] = j
                    size += 1
            at += 1
        if size < pixels:
            for member in stack[:size]:
                labels[member] = 1 - label


@compiled
def _confirmed(seen: Values, day: Ints, clear: Ints, k: int, labels: Labels, how: How) -> float:
    """1 where the part is still low at the next look, by itself or relative to the rest, 0 where no look is near.

    -1 where it is not: a cloud was missed.
    """
    if k + 2 >= len(clear) or day[clear[k + 2]] - day[clear[k + 1]] > how.days:
        return 0.0
    before, after, later = seen[clear[k]], seen[clear[k + 1]], seen[clear[k + 2]]
    start = _mean(before, labels, 1), _mean(before, labels, 0)
    fell, stayed = _mean(after, labels, 1) - start[0], _mean(after, labels, 0) - start[1]
    own, rest = _mean(later, labels, 1) - start[0], _mean(later, labels, 0) - start[1]
    is_low = own <= how.confirmed * min(fell, 0.0) or rest - own >= how.confirmed * (stayed - fell)
    return 1.0 if is_low else -1.0


@compiled
def _mean(values: Values, labels: Labels, kind: int) -> float:
    """The mean over one class, of pixels that were seen."""
    total, number = 0.0, 0
    for i in range(len(values)):
        if labels[i] == kind and not np.isnan(values[i]):
            total += values[i]
            number += 1
    return total / number if number else np.nan
