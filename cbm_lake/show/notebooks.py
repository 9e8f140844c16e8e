"""Interactive figures in notebooks and as pages: all that a browser needs comes with them, without any network."""

from __future__ import annotations

import base64
import io
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from types import ModuleType

    from cbm_lake.show.style import Interactive


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


def page(figure: Interactive) -> str:
    """An interactive figure as an HTML page of its own (1.5 MB and its data; 3 MB with a slider)."""
    hv = drawing()
    if not figure.traverse(specs=[hv.HoloMap]):
        from bokeh.embed import file_html
        from bokeh.resources import Resources

        root = hv.render(figure, backend="bokeh")
        return file_html(root, Resources(mode="inline"), title="cbm-lake")
    import panel

    pane: Any = panel.panel(figure)
    written = io.StringIO()
    pane.save(written, title="cbm-lake", embed=True, progress=False, resources="inline")
    return _with_styles(written.getvalue(), Path(panel.__file__).with_name("dist"))


def _with_styles(html: str, folder: Path) -> str:
    """The page with the style sheets of panel in it, which it would ask a server for."""

    def inlined(link: re.Match[str]) -> str:
        return f"data:text/css;base64,{base64.b64encode((folder / link[1]).read_bytes()).decode()}"

    return re.sub(r"https://cdn\.holoviz\.org/panel/[\w.]+/dist/([\w/.-]+\.css)(?:\?v=[\w.]+)?", inlined, html)
