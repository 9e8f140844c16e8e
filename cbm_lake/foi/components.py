"""Connected components of equal class inside each parcel: compiled run-based labelling.

A run is a stretch of pixels of one class inside one span of a parcel. Runs of a row are united with those of the row
above that they touch; what is united is a cluster. Every parcel is labelled by itself, so that parcels which overlap
share nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

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


class ClassPixels(NamedTuple):
    """Class pixels of all parcels, in the layout of the kernels."""

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
    """1 if diagonal neighbours are connected, else 0."""


class Clusters(NamedTuple):
    """Connected pixels of one class in one parcel, ordered by parcel, class and position."""

    parcel: Ints
    """The parcel's number in the index."""
    code: Codes
    """The number of the class."""
    size: Ints
    """In pixels."""


class Runs(NamedTuple):
    """Pixels of clusters as run lengths within rows."""

    parcel: Ints
    cluster: Ints
    """Unique over all parcels, ascending with them."""
    piece: Ints
    """Unique per edge-connected part of a cluster, for either connectivity."""
    code: Codes
    row: Ints
    col: Ints
    """The first column."""
    length: Ints
    size: Ints
    """Of the whole cluster, in pixels."""


def encode(pool: Pixels, classes: npt.NDArray[np.int64], ignored: npt.NDArray[np.int64]) -> Codes:
    """Encode each pixel as a class index; NOT_COUNTED for ignored values, UNKNOWN for all others.

    Args:
        pool: pixels of any integer type.
        classes: pixel values, each once; their places are the numbers.
        ignored: pixel values that do not count, unless they are also classes.
    """
    ignored = np.setdiff1d(ignored, classes)
    values = np.concatenate([classes, ignored])
    numbers = np.concatenate([np.arange(len(classes)), np.full(len(ignored), NOT_COUNTED)]).astype(np.int16)
    order = np.argsort(values)
    codes = np.empty(len(pool), np.int16)
    _encode(frozen(pool), frozen(values[order]), frozen(numbers[order]), codes)
    return codes


def count(codes: Codes, offsets: Ints, number: int) -> npt.NDArray[np.int32]:
    """Number of pixels per parcel and class, (parcels, classes)."""
    counts = np.zeros((len(offsets) - 1, number), np.int32)
    _count(frozen(codes), frozen(offsets), counts)
    return counts


def clusters(
    index: SpanIndex, codes: Codes, connectivity: int, more_than: float, corners: Ints, *, threads: int = 2
) -> Clusters:
    """All clusters larger than a number of pixels.

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

    pixels = _class_pixels(index, codes, connectivity)

    def label(batch: tuple[int, int]) -> Ints:
        first, last = batch
        room = int((np.diff(index.pixel_offsets[first : last + 1]) // (int(more_than) + 1)).sum())
        results = np.empty((5, room), np.int64)
        number = _clusters(pixels, first, last, float(more_than), frozen(corners), results)
        return results[:, :number].copy()

    parcel, code, size, row, col = np.concatenate(_map_batches(label, index, threads), axis=1)
    order = np.lexsort((col, row, code, parcel))
    return Clusters(parcel[order], code[order].astype(np.int16), size[order])


def runs(
    index: SpanIndex,
    codes: Codes,
    connectivity: int,
    more_than: float,
    selected: npt.NDArray[np.bool_],
    *,
    threads: int = 2,
) -> Runs:
    """Runs of all clusters larger than a number of pixels in selected parcels, by parcel from the top."""

    pixels, selected = _class_pixels(index, codes, connectivity), frozen(selected)

    def label(batch: tuple[int, int]) -> Ints:
        most, total = _run_counts(pixels, *batch, selected)
        results = np.empty((8, total), np.int64)
        number = _large_runs(pixels, *batch, float(more_than), selected, most, results)
        results[1:3] += index.pixel_offsets[batch[0]]  # no batch has more runs than pixels
        return results[:, :number].copy()

    parcel, cluster, piece, code, *others = np.concatenate(_map_batches(label, index, threads), axis=1)
    return Runs(parcel, cluster, piece, code.astype(np.int16), *others)


def _map_batches(label: Callable[[tuple[int, int]], Ints], index: SpanIndex, threads: int) -> list[Ints]:
    """What `label` says of each batch of parcels, and of no parcel."""
    batches = [(0, 0), *_batches(index.pixel_offsets)]
    with ThreadPoolExecutor(threads) as workers:
        return list(workers.map(label, batches))


def _batches(ends: Ints) -> list[tuple[int, int]]:
    """First and last + 1 of consecutive parcels that hold about BATCH pixels together, at least one parcel."""
    steps = np.arange(0, ends[-1], BATCH)
    firsts = np.unique(np.searchsorted(ends[:-1], steps, side="right") - 1)
    return list(zip(firsts.tolist(), [*firsts[1:].tolist(), len(ends) - 1], strict=True)) if len(firsts) else []


def _class_pixels(index: SpanIndex, codes: Codes, connectivity: int) -> ClassPixels:
    spans = frozen(index.row), frozen(index.col), frozen(index.length)
    return ClassPixels(
        frozen(codes), *spans, frozen(index.offsets), frozen(index.pixel_offsets), int(connectivity == 8)
    )


# Kernels.


@compiled
def _encode(pool: Pixels, values: Ints, numbers: Codes, codes: Codes) -> None:
    """Write the number that belongs to each pixel's value, or UNKNOWN; `values` ascend."""
    previous, code = np.int64(0), np.int16(UNKNOWN)
    for i in range(len(pool)):
        value = np.int64(pool[i])
        if i == 0 or value != previous:
            position = np.searchsorted(values, value)
            listed = position < len(values) and values[position] == value
            code = numbers[position] if listed else np.int16(UNKNOWN)
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
def _count_runs(pixels: ClassPixels, parcel: int) -> int:
    """How many runs of classes a parcel has."""
    number, position = 0, pixels.places[parcel]
    for span in range(pixels.offsets[parcel], pixels.offsets[parcel + 1]):
        previous = -1
        for i in range(position, position + pixels.length[span]):
            number += pixels.codes[i] >= 0 and pixels.codes[i] != previous
            previous = pixels.codes[i]
        position += pixels.length[span]
    return number


@compiled
def _run_counts(pixels: ClassPixels, first: int, last: int, selected: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """How many runs the parcel has that has most, and all parcels wanted together."""
    most, total = 0, 0
    for parcel in range(first, last):
        if selected[parcel]:
            number = _count_runs(pixels, parcel)
            most, total = max(most, number), total + number
    return most, total


@compiled
def _split(pixels: ClassPixels, parcel: int, table: Ints32) -> int:
    """Write the runs of a parcel, each a cluster of its own; their number."""
    number, position = 0, pixels.places[parcel]
    for span in range(pixels.offsets[parcel], pixels.offsets[parcel + 1]):
        previous = -1
        for k in range(pixels.length[span]):
            code = pixels.codes[position + k]
            if code >= 0 and code != previous:
                table[number, 0], table[number, 1], table[number, 3] = pixels.row[span], pixels.col[span] + k, code
                table[number, 4], table[number, 5] = number, 0
                number += 1
            if code >= 0:
                table[number - 1, 2] = pixels.col[span] + k + 1
                table[number - 1, 5] += 1
            previous = code
        position += pixels.length[span]
    return number


@compiled
def _root(table: Ints32, run: int) -> int:
    """The first run of the cluster; the way there is made shorter for the next time."""
    while table[run, 4] != run:
        table[run, 4] = table[table[run, 4], 4]
        run = table[run, 4]
    return run


@compiled
def _join(table: Ints32, one: int, other: int) -> None:
    """Make two runs' clusters one, which has the size of both."""
    one, other = _root(table, one), _root(table, other)
    if one == other:
        return
    low, high = min(one, other), max(one, other)
    table[high, 4] = low
    table[low, 5] += table[high, 5]


@compiled
def _unite_runs(table: Ints32, number: int, reach: int) -> None:
    """Unite the runs that touch runs of their class in the row above; reach 1: also at a corner."""
    above, begin = 0, 0  # the row above is above:begin where it is the very next one
    for run in range(number):
        row = table[run, 0]
        if row != table[begin, 0]:
            above = begin if table[begin, 0] == row - 1 else run
            begin = run
        while above < begin and table[above, 2] + reach <= table[run, 1]:
            above += 1
        other = above
        while other < begin and table[other, 1] < table[run, 2] + reach:
            if table[other, 3] == table[run, 3]:
                _join(table, run, other)
            other += 1


@compiled
def _label(pixels: ClassPixels, parcel: int, reach: int, table: Ints32) -> int:
    """Write the runs of a parcel with their clusters; their number."""
    number = _split(pixels, parcel, table)
    _unite_runs(table, number, reach)
    return number


@compiled
def _clusters(pixels: ClassPixels, first: int, last: int, more_than: float, corners: Ints, result: Ints) -> int:
    """Write parcel, code, size, and row and column of the first block of all clusters that are large enough."""
    most = 0
    for parcel in range(first, last):
        most = max(most, _count_runs(pixels, parcel))
    table, positions = np.empty((most, _FIELDS), np.int32), np.empty(most, np.int64)
    written = 0
    for parcel in range(first, last):
        for run in range(_label(pixels, parcel, pixels.reach, table)):
            root = _root(table, run)
            if table[root, 5] <= more_than:
                continue
            row, col = (table[run, 0] - corners[parcel, 0]) // 2, (table[run, 1] - corners[parcel, 1]) // 2
            if root == run:
                positions[run] = written
                result[0, written], result[1, written], result[2, written] = parcel, table[run, 3], table[run, 5]
                result[3, written], result[4, written] = row, col
                written += 1
            elif row == result[3, positions[root]] and col < result[4, positions[root]]:
                result[4, positions[root]] = col
    return written


@compiled
def _large_runs(
    pixels: ClassPixels,
    first: int,
    last: int,
    more_than: float,
    selected: npt.NDArray[np.bool_],
    most: int,
    result: Ints,
) -> int:
    """Write the runs of all clusters that are large enough, of the parcels wanted; none has more runs than `most`."""
    table, sides = np.empty((most, _FIELDS), np.int32), np.empty((most, _FIELDS), np.int32)
    written, before = 0, 0
    for parcel in range(first, last):
        if not selected[parcel]:
            continue
        number = _label(pixels, parcel, pixels.reach, table)
        _label(pixels, parcel, 0, sides)
        for run in range(number):
            root = _root(table, run)
            if table[root, 5] <= more_than:
                continue
            result[0, written], result[1, written] = parcel, before + root
            result[2, written], result[3, written] = before + _root(sides, run), table[run, 3]
            result[4, written], result[5, written] = table[run, 0], table[run, 1]
            result[6, written], result[7, written] = table[run, 2] - table[run, 1], table[root, 5]
            written += 1
        before += number
    return written
