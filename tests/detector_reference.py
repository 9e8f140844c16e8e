"""What each kind of detector detects in one series, written a second time: plainly, slowly, and apart from the kernels.

A series is a list of (day, value); an event is a list of start, main, end, three values and the confidence.
"""

import itertools

import numpy as np
from scipy.stats import norm

MOST = 12
NAN = float("nan")


def sure(value, threshold):
    """0.5 at the threshold; half of what is missing to 1 for each threshold's worth more."""
    return 1 - 0.5 ** (value / threshold)


def appended(events, event, apart):
    """The events with one more; of two less than `apart` days apart the one of greater value_1."""
    if events and event[1] - events[-1][1] < apart:
        return [*events[:-1], max(events[-1], event, key=lambda one: one[3])]
    return [*events, event] if len(events) < MOST else events


def state(series, low, high, days=0, looks=1):
    """Maximal groups of neighbours with low <= value < high."""
    events = []
    inside = [low <= value < high for _, value in series]
    edges = np.flatnonzero(np.diff([0, *map(int, inside), 0]))
    for first, stop in zip(edges[::2], edges[1::2], strict=True):
        begin, over = series[first][0], series[stop - 1][0]
        if first > 0:
            begin = crossing(series[first - 1], series[first], low, high)
        if stop < len(series):
            over = crossing(series[stop], series[stop - 1], low, high)
        values = [value for _, value in series[first:stop]]
        if over - begin >= days and len(values) >= looks:
            best = series[first + int(np.argmax(values))][0]
            count = len(values)
            event = [begin, best, over, max(values), np.mean(values), count, count / (count + 1)]
            events = appended(events, event, 0)
    return events


def crossing(outside, inside, low, high):
    """Where the straight line between two points meets the bound."""
    bound = low if outside[1] < low else high
    return float(np.interp(bound, *zip(*sorted([(outside[1], outside[0]), (inside[1], inside[0])]), strict=True)))


def peak(series):
    """The highest value."""
    if not series:
        return []
    number = int(np.argmax([value for _, value in series]))
    day, value = series[number]
    before, after = series[max(number - 1, 0)][0], series[min(number + 1, len(series) - 1)][0]
    return [[before, day, after, value, NAN, NAN, 10 / max(day - before, after - day, 10)]]


def drop(series, by, least, within, regain, regrowth, apart, window):
    """Falls from a top over lower and lower values, that recover unless regain is None."""
    events, top = [], 0
    while top < len(series) - 1:
        foot = top
        while foot + 1 < len(series) and series[foot + 1][1] < series[foot][1]:
            if foot > top and series[foot + 1][0] - series[top][0] > within:
                break
            foot += 1
        fall = series[top][1] - series[foot][1]
        if fall >= by and series[top][1] >= least:
            steps = [series[n][1] - series[n + 1][1] for n in range(top, foot)]
            begin, over = series[top + int(np.argmax(steps))][0], series[top + int(np.argmax(steps)) + 1][0]
            after = [value for day, value in series[foot + 1 :] if day - series[foot][0] <= regrowth]
            back = (max(after) - series[foot][1]) / fall if after else NAN
            good = regain is None or not back < regain
            confidence = sure(fall, by) * (0.7 if regain is not None and not after else 1)
            if good and window[0] <= (begin + over) / 2 <= window[1]:
                events = appended(events, [begin, (begin + over) / 2, over, fall, back, NAN, confidence], apart)
        top = max(foot, top + 1)
    return events


def threshold(series, below, by, stays, days, apart):
    """Steps from at least a level to below it, after which nothing reaches `stays` for so many days."""
    events = []
    for number in range(1, len(series)):
        (before, high), (day, low) = series[number - 1 : number + 1]
        after = [value for other, value in series[number + 1 :] if other - day <= days]
        if low < below <= high and high - low >= by and not (after and max(after) >= stays):
            confidence = sure(high - low, by) * (0.7 if days and not after else 1)
            events = appended(events, [before, (before + day) / 2, day, high - low, low, NAN, confidence], apart)
    return events


def gap(series, days, window=None):
    """Neighbours so many days apart; the ends of the window are neighbours, too."""
    dates = [day for day, _ in series]
    if window:
        dates = [window[0], *(day for day in dates if window[0] <= day <= window[1]), window[1]]
    pairs = itertools.pairwise(dates)
    return [[a, (a + b) / 2, b, b - a, NAN, NAN, 1] for a, b in pairs if b - a >= days][:MOST]


def rise(series, by, samples, false_alarm, least_deviation, days):
    """Values that lie too far above the line through those before."""
    events = []
    for number in range(samples, len(series)):
        x, y = np.array(series[number - samples : number], float).T
        slope, level = np.polyfit(x - x[-1], y, 1)
        deviation = np.sqrt(np.mean((y - level - slope * (x - x[-1])) ** 2))
        more = series[number][1] - level
        times = more / max(deviation, least_deviation)
        if more >= by and times > norm.isf(false_alarm):
            begin, over = x[-1] - days, series[number][0]
            event = [begin, (begin + over) / 2, over, more, times, NAN, sure(times, norm.isf(false_alarm))]
            events = appended(events, event, 10)
    return events


def dip(series, by, around, days):
    """Values that lie below the median of those around; nearer than 9 days the deepest."""
    events = []
    for number, (day, value) in enumerate(series):
        others = [v for n, (d, v) in enumerate(series) if n != number and abs(d - day) <= around]
        if len(others) >= 3 and np.median(others) - value >= by:
            deep = np.median(others) - value
            events = appended(events, [day - days, day - days / 2, day, deep, NAN, deep, sure(deep, by)], 9)
    return [[*event[:3], NAN, *event[4:]] for event in events]


def near(event, others, low, high, begin=1, end=1, its_begin=1, its_end=1):
    """Whether another event lies from `low` to `high` days after an event."""
    return any(other[its_begin] - event[end] <= high and other[its_end] - event[begin] >= low for other in others)
