"""File inputs (path or upload) and download links."""

from __future__ import annotations

import base64
import html
import io
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import ipywidgets

from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.files import durable
from cbm_lake.ipycbm.choice import STYLE

_LARGEST: Final = 50_000_000
"""Bytes of a file that is handed out in the page; of larger ones it says where they lie."""
_BESIDE: Final = (".shx", ".dbf", ".prj", ".cpg")
"""Extensions of the files that make a shapefile with the .shp."""


class File(ipywidgets.HBox):
    """File input: a path on the server or an upload; `value` is the path.

    Args:
        label: what it is.
        accept: extensions that can be sent, with commas.
        needed: whether there must be one; without one `value` is None.
    """

    def __init__(self, label: str, accept: str, *, needed: bool = True) -> None:
        self.label, self.needed = label, needed
        self.path = ipywidgets.Text(
            description=label, placeholder="path, or send one", style=STYLE, layout={"width": "520px"}
        )
        self.sent = ipywidgets.FileUpload(accept=accept, description="send", layout={"width": "110px"})
        self.sent.observe(lambda change: self._keep(change["new"]), "value")
        super().__init__([self.path, self.sent])

    @property
    def value(self) -> Path | None:
        """Where it lies.

        Raises:
            InvalidInputError: it is needed and not given.
        """
        path = self.path.value.strip()
        if not path and self.needed:
            raise InvalidInputError(f"no file is given for {self.label}; write its path, or send one")
        return Workspace.here().root / path if path else None

    def _keep(self, files: Any) -> None:
        """Save an upload to its own folder, and its path to the field."""
        if files:
            name = Path(files[0]["name"]).name or "sent"
            target = Path(tempfile.mkdtemp(prefix="sent-", dir=Workspace.here().create().temp)) / name
            with durable.replacing(target) as draft:
                draft.write_bytes(bytes(files[0]["content"]))
            self.path.value = str(target)


def downloads(files: Iterable[Path]) -> ipywidgets.HTML:
    """Links to each file and to a .zip of all; large files are listed by path only.

    A shapefile is one .zip of its parts.

    Raises:
        SourceError: one cannot be read.
    """
    whole = {path: _parts(path) for path in files}
    try:
        total = sum(part.stat().st_size for parts in whole.values() for part in parts)
        if total > _LARGEST:
            return _listed(whole, total)
        contents = {path: {part.name: part.read_bytes() for part in parts} for path, parts in whole.items()}
    except OSError as error:
        raise SourceError(f"{error.filename} cannot be read ({error.strerror}); make the results again") from error
    links = [
        _link(path.name, parts[path.name]) if len(parts) == 1 else _link(f"{path.name}.zip", _zipped(parts))
        for path, parts in contents.items()
    ]
    if len(links) > 1:
        links.insert(
            0, _link("all.zip", _zipped({name: data for parts in contents.values() for name, data in parts.items()}))
        )
    return ipywidgets.HTML(f"<p>download: {' · '.join(links)}</p>")


def _parts(path: Path) -> list[Path]:
    """The file with its sidecar files."""
    beside = [path.with_suffix(extension) for extension in _BESIDE] if path.suffix == ".shp" else []
    return [path, *(part for part in beside if part.exists())]


def _listed(files: Iterable[Path], total: int) -> ipywidgets.HTML:
    listed = "".join(f"<li>{html.escape(str(path))}</li>" for path in files)
    return ipywidgets.HTML(f"<p>{total / 1e6:,.0f} MB, too much for a page; the files are:</p><ul>{listed}</ul>")


def _link(name: str, content: bytes) -> str:
    data = base64.b64encode(content).decode("ascii")
    label = html.escape(name, quote=True)
    style = "color: #1a5fb4; text-decoration: underline"
    return f'<a download="{label}" href="data:application/octet-stream;base64,{data}" style="{style}">{label}</a>'


def _zipped(contents: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return out.getvalue()
