"""Compilation of kernels by numba, cached on disk, and the array layout that they accept."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from numba.core import event

log = logging.getLogger(__name__)

Ints = npt.NDArray[np.int64]
Ints32 = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[Any]
Number = np.integer[Any] | np.floating[Any] | float
"""A pixel, or a number of the same kind."""
Function = TypeVar("Function", bound=Callable[..., Any])

_COMPILED: set[Callable[..., Any]] = set()


def compiled(function: Function) -> Function:
    """The function as machine code without the interpreter's lock, cached on disk wherever a folder is writable."""
    _COMPILED.add(function)
    try:
        return cast("Function", numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # numba found no writable folder: compile in every process
        return cast("Function", numba.njit(nogil=True)(function))


class _CompileNotice(event.Listener):
    """Logs once per process that kernels are being compiled, which is after a miss of the disk cache."""

    def __init__(self) -> None:
        self.said = False
        self.depth = 0
        self.began = 0.0

    def on_start(self, event: event.Event) -> None:
        if event.data["dispatcher"].py_func not in _COMPILED:
            return
        self.depth += 1
        self.began = self.began if self.depth > 1 else time.perf_counter()
        if not self.said:
            self.said = True
            log.warning("compiling the statistics kernels for this machine, about 20 seconds, once …")

    def on_end(self, event: event.Event) -> None:
        if event.data["dispatcher"].py_func not in _COMPILED:
            return
        self.depth -= 1
        if self.depth == 0:
            log.info("compiled in %.1f s", time.perf_counter() - self.began)


event.register("numba:compile", _CompileNotice())  # type: ignore[no-untyped-call]


def frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A contiguous, native, read-only view: the only layout that kernels are compiled for."""
    view = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).view()
    view.flags.writeable = False
    return view
