"""Supported dtypes of pixels, and the treatment of nodata, NaN and masks."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from cbm_lake.errors import InvalidInputError
from cbm_lake.zonal.compiled import Number, Pixels

KINDS: Final[dict[str, type[np.uint16 | np.int32 | np.float64]]] = {
    "uint8": np.uint16,
    "uint16": np.uint16,
    "int16": np.int32,
    "int32": np.int32,
    "float32": np.float64,
    "float64": np.float64,
}
"""What pixels are widened to for the statistics: three kinds to compile instead of six."""

WIDER: Final = {"int8": "int16", "uint32": "float64", "float16": "float32"}
"""Types that are converted first, which is exact."""

Missing = tuple[bool, bool, Number]
"""Whether NaN can occur, whether nodata can, and nodata in the type that kernels see."""


def two_dimensional(array: Pixels) -> Pixels:
    """The array, if it is one band.

    Raises:
        InvalidInputError: it has other than two dimensions.
    """
    if array.ndim != 2:
        raise InvalidInputError(f"the array has {array.ndim} dimensions: give one band, rows by columns")
    return array


def unmasked(array: Pixels, nodata: float | None) -> tuple[Pixels, float | None]:
    """An array of one of KINDS without a mask, and its nodata: converted where that is exact.

    Raises:
        InvalidInputError: there are no statistics of its type.
    """
    if array.dtype.name in WIDER:
        wider = np.dtype(WIDER[array.dtype.name])
        if nodata is not None and array.dtype.kind == "f":
            with np.errstate(over="ignore"):
                nodata = float(np.float64(nodata).astype(array.dtype))
        array = array.astype(wider)
    if not isinstance(array, np.ma.MaskedArray):
        return array, nodata
    if not np.ma.is_masked(array):
        return array.data, nodata
    _, possible, value = missing(nodata, array)
    if array.dtype.kind != "f" and not possible:
        wide = np.ma.masked_array(array.data, array.mask, np.float64)  # which has all integers of 32 bits
        return wide.filled(np.nan), nodata
    return array.filled(value if possible else np.nan), nodata


def kind(array: Pixels) -> type[np.uint16 | np.int32 | np.float64]:
    """The dtype in which statistics of this array are computed.

    Raises:
        InvalidInputError: there are none of its type.
    """
    if array.dtype.name not in KINDS:
        raise InvalidInputError(
            f"statistics of {array.dtype} are not provided: convert it to one of {', '.join(KINDS)}"
        )
    return KINDS[array.dtype.name]


def missing(nodata: float | None, array: Pixels) -> Missing:
    """What means in an array that a pixel has no value.

    Raises:
        InvalidInputError: there are no statistics of its type.
    """
    widened = kind(array)
    real = widened is np.float64
    if nodata is None or math.isnan(nodata):
        return real, False, widened(0)
    if real:
        with np.errstate(over="ignore"):
            stored = np.float64(nodata).astype(array.dtype)  # -9999.9 has more digits than float32
        return True, bool(np.isinf(stored)) == math.isinf(nodata), np.float64(stored)
    limits = np.iinfo(widened.__name__)
    possible = float(nodata).is_integer() and limits.min <= nodata <= limits.max
    return False, possible, widened(nodata if possible else 0)
