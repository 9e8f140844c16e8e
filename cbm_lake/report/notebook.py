"""Exports notebooks to HTML or PDF: `from_notebook`."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from cbm_lake.errors import ConfigError, InvalidInputError, SourceError, of_extra
from cbm_lake.get import folders

_MOST: Final = 100_000_000
"""Bytes of a notebook at most."""
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
_SECONDS: Final = 120
"""For which a browser may print."""


def from_notebook(
    path: str | Path, *, with_code: bool = True, folder: str | Path | None = None, run: bool = False, pdf: bool = False
) -> Path:
    """Export a notebook to a self-contained HTML file, or to PDF with a local Chromium.

    Args:
        path: the notebook, with its outputs.
        with_code: whether the code is shown too.
        folder: output folder; defaults to that of the notebook.
        run: execute it first, in its own folder.
        pdf: as PDF.

    Raises:
        InvalidInputError: it is no notebook, or a cell fails.
        ConfigError: a package is missing, or the folder cannot be written.
    """
    with of_extra("report", "a notebook's report"):
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError
        from nbconvert import HTMLExporter
    source = Path(path)
    try:
        if source.stat().st_size > _MOST:
            raise InvalidInputError(f"{source} has more than {_MOST:,} bytes; clear some outputs")
        read = nbformat.reads(source.read_text("utf-8"), as_version=4)
    except OSError as error:
        raise SourceError(f"{source} cannot be read: {error.strerror}; check the path") from error
    except (ValueError, nbformat.ValidationError) as error:
        raise InvalidInputError(f"{source} is no notebook ({' '.join(str(error).split())[:200]})") from error
    if run:
        try:
            NotebookClient(read, resources={"metadata": {"path": str(source.parent)}}).execute()
        except CellExecutionError as error:
            raise InvalidInputError(f"{source}: a cell fails: {error.ename}: {error.evalue}") from error
    exporter = HTMLExporter(exclude_input=not with_code, exclude_input_prompt=True, embed_images=True)
    page, _ = exporter.from_notebook_node(read, {"metadata": {"name": source.stem}})
    target = Path(folder) if folder else source.parent
    if pdf:
        return folders.write_bytes(target / f"{source.stem}.pdf", _printed(page))
    return folders.write_file(target / f"{source.stem}.html", page)


def _printed(page: str) -> bytes:
    """Print a page to PDF."""
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        raise ConfigError(f"a PDF of a notebook wants one of {', '.join(_BROWSERS)}; install one, or print the HTML")
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name, "page.html"), Path(name, "page.pdf")
        source.write_text(page, "utf-8")
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
        command += [f"--user-data-dir={name}/profile", f"--print-to-pdf={target}", source.as_uri()]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS)  # noqa: S603 - our own words
            return target.read_bytes()
        except (subprocess.SubprocessError, OSError) as error:
            raise ConfigError(f"{browser} made no PDF ({error}); print the HTML instead") from error
