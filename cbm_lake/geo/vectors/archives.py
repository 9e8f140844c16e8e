"""Selects the single vector file of a zip archive; ambiguous archives are refused by name."""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from cbm_lake.errors import InvalidInputError, SourceError, some
from cbm_lake.files import archives

FILES: Final = (
    ".shp",
    ".gpkg",
    ".geojson",
    ".fgb",
    ".gml",
    ".parquet",
    ".geoparquet",
    ".pq",
    ".parq",
    ".tab",
    ".mif",
    ".sqlite",
)
"""Extensions of files of geometries."""
_OTHER_FILES: Final = (".json", ".geojsonl", ".kml", ".csv", ".xlsx", ".ods", ".feather", ".arrow")
"""Extensions of files that may contain or describe geometries; used if there are no others."""
_PACKED: Final = re.compile(r"\.(7z|rar|tar|tgz|gz|bz2|tbz|xz|zst|lz4|z)(\.\d+)?$", re.IGNORECASE)
_MAGIC: Final = {
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
EXTRACTED: Final = "cbm-lake-"
"""How the names of folders begin to which files are extracted or copied while they are read."""


@contextmanager
def opened(path: str, layer: str | None) -> Iterator[tuple[str, str | None]]:
    """Resolve a path and layer, extracting the single vector file of a zip archive while it is open.

    Args:
        path: a file, or a zip archive with one file, or with several of which `layer` selects one.
        layer: of the file; or which file of the archive ("2024/parcels", with or without extension), or both
            ("2024/parcels.gpkg/layer").

    Raises:
        SourceError: it is an archive of another kind, encrypted or damaged.
        InvalidInputError: it holds no file of geometries, or several.
    """
    _refuse_packed(path)
    if not _is_zip(path):
        if _begins_as_zip(path):  # a spreadsheet, or KMZ: GDAL unpacks it in memory
            with archives.opened(path) as archive:
                archives.refuse_encrypted(path, archive.infolist())
        yield path, layer
        return
    with archives.opened(path) as archive, tempfile.TemporaryDirectory(prefix=EXTRACTED) as folder:
        member, rest = _select(path, archive, layer)
        try:
            file = str(extract(path, archive, member, folder))
        except NotImplementedError:  # compressed in another way, which GDAL may know
            file = f"/vsizip/{{{Path(path).absolute()}}}/{member}"
        yield file, rest


def _refuse_packed(path: str) -> None:
    kind = _PACKED.search(path)
    packing = kind[1] if kind and Path(path).is_file() else _magic(path)
    if packing:
        raise SourceError(f"{path} is an archive ({packing}), which is not opened; unpack it and give the file in it")


def _magic(path: str) -> str | None:
    if not Path(path).is_file():
        return None
    with Path(path).open("rb") as file:
        start = file.read(8)
    return next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)


def _is_zip(path: str) -> bool:
    """Whether a file is a zip archive, other than Excel or OpenDocument."""
    extension = Path(path).suffix.lower()
    if extension in (".zip", ".shz"):
        return Path(path).is_file()
    return not extension.startswith((".xls", ".ods", ".kmz", ".mbtiles")) and _begins_as_zip(path)


def _begins_as_zip(path: str) -> bool:
    if not Path(path).is_file():
        return False
    with Path(path).open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _select(path: str, archive: zipfile.ZipFile, layer: str | None) -> tuple[str, str | None]:
    """Select the member and layer to read."""
    members = _members(archive)
    if not members:
        raise _without_geometries(path, archive)
    if layer is None and len(members) == 1:
        return members[0], None
    fitting = [(member, rest) for member in members for rest in _rests(member, layer)]
    whole = [(member, rest) for member, rest in fitting if rest is None]
    if len(whole or fitting) == 1:
        return (whole or fitting)[0]
    if len(members) == 1:
        return members[0], layer
    problem = f"holds several files: {some(members)}"
    if layer is not None:
        problem = f"holds no file {layer!r}, or several, but {some(members)}"
    raise InvalidInputError(
        f"{path} {problem}; say which by layer=, as {_stem(members[0])}",
        plain=f"{path} {problem}; give the one that is meant in an archive of its own",
    )


def _rests(member: str, layer: str | None) -> Sequence[str | None]:
    """Layer within a member for a requested layer: None for its only one, nothing if another member is meant."""
    if layer is None:
        return []
    file = PurePosixPath(member)
    names = dict.fromkeys((member, _stem(member), file.name, file.stem))
    if layer in names:
        return [None]
    return [layer[len(name) + 1 :] for name in names if layer.startswith(f"{name}/")][:1]


def _members(archive: zipfile.ZipFile) -> list[str]:
    """Vector files, File Geodatabases, and folders of Parquet parts."""
    names = [member.filename for member in archives.files_of(archive)]
    names = [name for name in names if not PurePosixPath(name).name.startswith((".", "_"))]
    folders = {folder: None for name in names if (folder := _folder(name))}
    files = [name for name in names if not _folder(name)]
    for extensions in (FILES, _OTHER_FILES):
        matching = [name for name in files if name.lower().endswith(extensions)]
        if matching or folders:
            return [*folders, *matching]
    return []


def _folder(name: str) -> str | None:
    """File Geodatabase or Parquet folder that contains a member."""
    for parent in reversed(PurePosixPath(name).parents):
        if parent.suffix.lower() in (".gdb", ".parquet", ".geoparquet"):
            return str(parent)
    if name.lower().endswith(".gdbtable"):  # a geodatabase whose folder has another name, or none
        return str(PurePosixPath(name).parent)
    return None


def extract(path: str | Path, archive: zipfile.ZipFile, member: str, folder: str) -> Path:
    """Extract a vector file and its sidecar files; returns its path.

    Args:
        path: of the archive.
        archive: opened by `files.archives.opened`.
        member: a file, or a folder of files: a File Geodatabase, or parts of Parquet.
        folder: an empty one.

    Raises:
        SourceError: as of `files.archives.extract`.
        NotImplementedError: it is packed in a way that Python does not know.
    """
    stem = _stem(member).lower()
    members = [
        info
        for info in archive.infolist()
        if not info.is_dir()
        and (member == "." or info.filename.startswith(f"{member}/") or _stem(info.filename).lower() == stem)
    ]
    archives.refuse_encrypted(path, members)
    for info in members:
        archives.extract(path, archive, info, folder)
    inside = Path(folder) / member
    if inside.is_file():
        _name_alike(inside)
    return _as_geodatabase(inside) if inside.is_dir() and not inside.suffix else inside


def _name_alike(file: Path) -> None:
    """Rename sidecar files to the same case, as GDAL requires."""
    for other in file.parent.iterdir():
        stem, extension = other.name[: len(file.stem)], other.name[len(file.stem) :]
        if extension.startswith(".") and stem != file.stem and stem.lower() == file.stem.lower():
            other.rename(other.with_name(file.stem + extension))


def _as_geodatabase(folder: Path) -> Path:
    """Rename a folder of File Geodatabase files to an extension that GDAL recognises."""
    named = folder / "geodatabase.gdb"
    files = [file for file in folder.iterdir() if file.is_file()]
    named.mkdir()
    for file in files:
        file.rename(named / file.name)
    return named


def _stem(name: str) -> str:
    """Path without extensions: parcels.shp.xml belongs to parcels.shp."""
    file = PurePosixPath(name.removesuffix(".xml"))
    return str(file.with_suffix("")) if file.suffix else str(file)


def _without_geometries(path: str, archive: zipfile.ZipFile) -> InvalidInputError:
    names = [name for name in archive.namelist() if not name.endswith("/")]
    inner = [name for name in names if _PACKED.search(name) or name.lower().endswith(".zip")]
    if inner:
        return InvalidInputError(f"{path} holds other archives: {some(inner)}; unpack it and give one of them")
    return InvalidInputError(f"{path} holds {some(names) or 'nothing'}, but no vector file; give one that does")
