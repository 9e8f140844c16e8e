"""Readies holoviews for interactive figures; in notebooks its scripts come with the figures, without any network."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from types import ModuleType


class _Run(NamedTuple):
    """One run of a cell of a notebook."""

    cell: str
    """Its identifier; "" where the front end gives none."""
    number: int


_WITH_SCRIPTS: Final[list[_Run]] = []
"""The run whose output holds the scripts; none in a kernel that has drawn nothing."""


def drawing() -> ModuleType:
    """holoviews with its renderer of bokeh.

    In a notebook the scripts (about 3 MB) go into the output of the first cell that draws an interactive figure, and
    again when that cell is run again: so each notebook has them once, and shows its figures when it is opened later.
    """
    import holoviews as hv

    run = _run()
    if run is None:
        if "bokeh" not in hv.Store.renderers:
            hv.extension("bokeh", logo=False)
    elif not _WITH_SCRIPTS or (run != _WITH_SCRIPTS[-1] and run.cell == _WITH_SCRIPTS[-1].cell != ""):
        hv.extension("bokeh", logo=False, inline=True)
        _WITH_SCRIPTS[:] = [run]
    library: ModuleType = hv
    return library


def _run() -> _Run | None:
    """The run of a cell that is under way; None outside of notebooks."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    return _Run(shell.get_parent().get("metadata", {}).get("cellId", ""), shell.execution_count)
