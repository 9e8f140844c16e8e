"""Which pixels of a class hang together inside each parcel: compiled labelling of runs, no loop over parcels.

A run is a stretch of pixels of one class inside one span of a parcel. Runs of a row are united with those of the row
above that they touch; what is united is a cluster. Every parcel is labelled by itself, so that parcels which overlap
share nothing.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cbm_lake.zonal.compiled import Ints, Ints32, Pixels, compiled, frozen
from cbm_lake.zonal.spans import SpanIndex

Codes = npt.NDArray[np.int16]

BATCH: Final = 1 << 20
"""Pixels whose clusters are looked for at once by one thread."""

NOT_COUNTED: Final = -1
UNKNOWN: Final = -2
_FIELDS: Final = 6
"""Of a run: row, first column, column after the last, code, parent, and of a run that is its own parent the size of
the cluster."""


class Held(NamedTuple):
    """The pixels of all parcels, as kernels read them."""

    codes: Codes
    row: Ints32
    """Of each span, like the two that follow."""
    col: Ints32
    length: Ints32
    offsets: Ints
    """Where each parcel's spans begin."""
    places: Ints
    """Where each parcel's pixels begin among the codes."""
    reach: int
    """1 where pixels that meet at a corner hang together, else 0."""


class Clusters(NamedTuple):
    """Pixels of one class of one parcel that hang together, by parcel, class, and place from the upper left."""

    parcel: Ints
    """The parcel's number in the index."""
    code: Codes
    """The number of the class."""
    size: Ints
    """In pixels."""


class Runs(NamedTuple):
    """The pixels of clusters as stretches of a row."""

    parcel: Ints
    cluster: Ints
    """Unique over all parcels, ascending with them."""
    piece: Ints
    """Unique too: pixels of a cluster that hang together by their sides, whatever the connectivity."""
    code: Codes
    row: Ints
    col: Ints
    """The first column."""
    length: Ints
    size: Ints
    """Of the whole cluster, in pixels."""


def encode(pool: Pixels, classes: npt.NDArray[np.int64], ignored: npt.NDArray[np.int64]) -> Codes:
    """For every pixel the number of its class, NOT_COUNTED for the values ignored, UNKNOWN for all others.

    Args:
        pool: pixels of any integer type.
        classes: pixel values, each once; their places are the numbers.
        ignored: pixel values that do not count; what is also a class is a class.
    """
    ignored = np.setdiff1d(ignored, classes)
    values = np.concatenate([classes, ignored])
    numbers = np.concatenate([np.arange(len(classes)), np.full(len(ignored), NOT_COUNTED)]).astype(np.int16)
    order = np.argsort(values)
    codes = np.empty(len(pool), np.int16)
    _encode(frozen(pool), frozen(values[order]), frozen(numbers[order]), codes)
    return codes


def count(codes: Codes, offsets: Ints, number: int) -> npt.NDArray[np.int32]:
    """How many pixels of each of so many classes every parcel has, (parcels, classes)."""
    counts = np.zeros((len(offsets) - 1, number), np.int32)
    _count(frozen(codes), frozen(offsets), counts)
    return counts


def clusters(
    index: SpanIndex, codes: Codes, connectivity: int, more_than: float, corners: Ints, *, threads: int = 2
) -> Clusters:
    """All clusters of more than so many pixels.

    Clusters of one class stand in the order in which their first block of 2 x 2 pixels is met, counted from the
    parcel's corner: the order in which OpenCV numbers components.

    Args:
        index: the parcels.
        codes: the class of each of their pixels, as `encode` gives it.
        connectivity: 4 or 8 neighbours.
        more_than: pixels.
        corners: row and column from which blocks are counted, (parcels, 2).
        threads: how many threads share the work.
    """

    held = _held(index, codes, connectivity)

    def label(batch: tuple[int, int]) -> Any:
        first, last = batch
        room = int((np.diff(index.pixel_offsets[first : last + 1]) // (int(more_than) + 1)).sum())
        found = np.empty((5, room), np.int64)
        number = _clusters(held, first, last, float(more_than), frozen(corners), found)
        return found[:, :number].copy()

    parcel, code, size, row, col = np.concatenate(_each(label, index, threads), axis=1)
    order = np.lexsort((col, row, code, parcel))
    return Clusters(parcel[order], code[order].astype(np.int16), size[order])


def runs(
    index: SpanIndex,
    codes: Codes,
    connectivity: int,
    more_than: float,
    wanted: npt.NDArray[np.bool_],
    *,
    threads: int = 2,
) -> Runs:
    """The runs of all clusters of more than so many pixels in the parcels wanted, parcel by parcel from the top."""

    held, wanted = _held(index, codes, connectivity), frozen(wanted)

    def label(batch: tuple[int, int]) -> Any:
        most, total = _room(held, *batch, wanted)
        found = np.empty((8, total), np.int64)
        number = _kept_runs(held, *batch, float(more_than), wanted, most, found)
        found[1:3] += index.pixel_offsets[batch[0]]  # no batch has more runs than pixels
        return found[:, :number].copy()

    parcel, cluster, piece, code, *others = np.concatenate(_each(label, index, threads), axis=1)
    return Runs(parcel, cluster, piece, code.astype(np.int16), *others)


def _each(label: Any, index: SpanIndex, threads: int) -> list[Any]:
    """What `label` says of each batch of parcels, and of no parcel."""
    batches = [(0, 0), *_batches(index.pixel_offsets)]
    with ThreadPoolExecutor(threads) as workers:
        return list(workers.map(label, batches))


def _batches(ends: Ints) -> list[tuple[int, int]]:
    """First and last + 1 of consecutive parcels that hold about BATCH pixels together, at least one parcel."""
    steps = np.arange(0, ends[-1], BATCH)
    firsts = np.unique(np.searchsorted(ends[:-1], steps, side="right") - 1)
    return list(zip(firsts.tolist(), [*firsts[1:].tolist(), len(ends) - 1], strict=True)) if len(firsts) else []


def _held(index: SpanIndex, codes: Codes, connectivity: int) -> Held:
    spans = frozen(index.row), frozen(index.col), frozen(index.length)
    return Held(frozen(codes), *spans, frozen(index.offsets), frozen(index.pixel_offsets), int(connectivity == 8))


# Kernels.


@compiled
def _encode(pool: Pixels, values: Ints, numbers: Codes, codes: Codes) -> None:
    """Write the number that belongs to each pixel's value, or UNKNOWN; `values` ascend."""
    previous, code = np.int64(0), np.int16(UNKNOWN)
    for i in range(len(pool)):
        value = np.int64(pool[i])
        if i == 0 or value != previous:
            place = np.searchsorted(values, value)
            known = place < len(values) and values[place] == value
            code = numbers[place] if known else np.int16(UNKNOWN)
            previous = value
        codes[i] = code


@compiled
def _count(codes: Codes, offsets: Ints, counts: Ints32) -> None:
    """Count the pixels of each class in every parcel."""
    for parcel in range(len(offsets) - 1):
        for i in range(offsets[parcel], offsets[parcel + 1]):
            if codes[i] >= 0:
                counts[parcel, codes[i]] += 1


@compiled
def _count_runs(held: Held, parcel: int) -> int:
    """How many runs of classes a parcel has."""
    number, place = 0, held.places[parcel]
    for span in range(held.offsets[parcel], held.offsets[parcel + 1]):
        previous = -1
        for i in range(place, place + held.length[span]):
            number += held.codes[i] >= 0 and held.codes[i] != previous
            previous = held.codes[i]
        place += held.length[span]
    return number


@compiled
def _room(held: Held, first: int, last: int, wanted: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """How many runs the parcel has that has most, and all parcels wanted together."""
    most, total = 0, 0
    for parcel in range(first, last):
        if wanted[parcel]:
            number = _count_runs(held, parcel)
            most, total = max(most, number), total + number
    return most, total


@compiled
def _split(held: Held, parcel: int, found: Ints32) -> int:
    """Write the runs of a parcel, each a cluster of its own; their number."""
    number, place = 0, held.places[parcel]
    for span in range(held.offsets[parcel], held.offsets[parcel + 1]):
        previous = -1
        for k in range(held.length[span]):
            code = held.codes[place + k]
            if code >= 0 and code != previous:
                found[number, 0], found[number, 1], found[number, 3] = held.row[span], held.col[span] + k, code
                found[number, 4], found[number, 5] = number, 0
                number += 1
            if code >= 0:
                found[number - 1, 2] = held.col[span] + k + 1
                found[number - 1, 5] += 1
            previous = code
        place += held.length[span]
    return number


@compiled
def _root(found: Ints32, run: int) -> int:
    """The first run of the cluster; the way there is made shorter for the next time."""
    while found[run, 4] != run:
        found[run, 4] = found[found[run, 4], 4]
        run = found[run, 4]
    return run


@compiled
def _join(found: Ints32, one: int, other: int) -> None:
    """Make two runs' clusters one, which has the size of both."""
    one, other = _root(found, one), _root(found, other)
    if one == other:
        return
    low, high = min(one, other), max(one, other)
    found[high, 4] = low
    found[low, 5] += found[high, 5]


@compiled
def _unite_runs(found: Ints32, number: int, reach: int) -> None:
    """Unite the runs that touch runs of their class in the row above; reach 1: also at a corner."""
    above, begin = 0, 0  # the row above is above:begin where it is the very next one
    for run in range(number):
        row = found[run, 0]
        if row != found[begin, 0]:
            above = begin if found[begin, 0] == row - 1 else run
            begin = run
        while above < begin and found[above, 2] + reach <= found[run, 1]:
            above += 1
        other = above
        while other < begin and found[other, 1] < found[run, 2] + reach:
            if found[other, 3] == found[run, 3]:
                _join(found, run, other)
            other += 1


@compiled
def _label(held: Held, parcel: int, reach: int, found: Ints32) -> int:
    """Write the runs of a parcel with their clusters; their number."""
    number = _split(held, parcel, found)
    _unite_runs(found, number, reach)
    return number


@compiled
def _clusters(held: Held, first: int, last: int, more_than: float, corners: Ints, result: Ints) -> int:
    """Write parcel, code, size, and row and column of the first block of all clusters that are large enough."""
    most = 0
    for parcel in range(first, last):
        most = max(most, _count_runs(held, parcel))
    room, place = np.empty((most, _FIELDS), np.int32), np.empty(most, np.int64)
    written = 0
    for parcel in range(first, last):
        for run in range(_label(held, parcel, held.reach, room)):
            root = _root(room, run)
            if room[root, 5] <= more_than:
                continue
            row, col = (room[run, 0] - corners[parcel, 0]) // 2, (room[run, 1] - corners[parcel, 1]) // 2
            if root == run:
                place[run] = written
                result[0, written], result[1, written], result[2, written] = parcel, room[run, 3], room[run, 5]
                result[3, written], result[4, written] = row, col
                written += 1
            elif row == result[3, place[root]] and col < result[4, place[root]]:
                result[4, place[root]] = col
    return written


@compiled
def _kept_runs(
    held: Held, first: int, last: int, more_than: float, wanted: npt.NDArray[np.bool_], most: int, result: Ints
) -> int:
    """Write the runs of all clusters that are large enough, of the parcels wanted; none has more runs than `most`."""
    room, sides = np.empty((most, _FIELDS), np.int32), np.empty((most, _FIELDS), np.int32)
    written, before = 0, 0
    for parcel in range(first, last):
        if not wanted[parcel]:
            continue
        number = _label(held, parcel, held.reach, room)
        _label(held, parcel, 0, sides)
        for run in range(number):
            root = _root(room, run)
            if room[root, 5] <= more_than:
                continue
            result[0, written], result[1, written] = parcel, before + root
            result[2, written], result[3, written] = before + _root(sides, run), room[run, 3]
            result[4, written], result[5, written] = room[run, 0], room[run, 1]
            result[6, written], result[7, written] = room[run, 2] - room[run, 1], room[root, 5]
            written += 1
        before += number
    return written
