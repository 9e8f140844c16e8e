"""Atomic replacement of several output files: drafts replace the old files together once all are written."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import SoftFileLock
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio.errors import RasterioError

from cbm_lake.errors import ConfigError
from cbm_lake.files import durable

_WAIT: Final = 60
"""Seconds for which a run waits for another that moves its files to the same folder; it needs far less than one."""
_OF: Final = {
    ".shp": (".cpg", ".prj", ".qix", ".sbn", ".sbx"),
    ".gpkg": (".gpkg-journal", ".gpkg-shm", ".gpkg-wal"),
    ".tif": (".tif.aux.xml", ".tif.ovr"),
}
"""What lies beside a file and tells of its contents (coordinate system, encoding, indexes, statistics): beside a newer
one it would be wrong."""
_FIRST_READ: Final = (".shp", ".gpkg", ".parquet", ".tif")
"""The files that a reader opens first; they come last, when what belongs to them is there."""


@contextmanager
def drafts(folder: Path) -> Iterator[Path]:
    """Context manager: a folder whose files replace those in `folder` together on success, none on error.

    Runs that move files there at the same time do so one after another, so that the files are those of one run.

    Raises:
        ConfigError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".foi-", dir=folder))
        try:
            yield draft
            with SoftFileLock(folder / ".foi.lock", timeout=_WAIT):
                _move(draft, folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except (OSError, DataSourceError, DataLayerError, RasterioError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{folder} cannot be written ({reason}); check its rights and the free space") from error


def _move(draft: Path, folder: Path) -> None:
    written = sorted(draft.iterdir(), key=lambda path: (path.suffix in _FIRST_READ, path.name))
    for path in written:
        if (folder / path.name).is_dir():
            raise IsADirectoryError(f"{folder / path.name} is a folder")
    for path in written:
        for extension in _OF.get(path.suffix, ()):
            (folder / f"{path.stem}{extension}").unlink(missing_ok=True)
    durable.publish({path: folder / path.name for path in written})
