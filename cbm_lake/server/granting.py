"""Databases for SQL by accounts with limited areas, which neither contain nor name anything of other areas.

It is written by the server before the reader's statement is looked at: the rows of tables that all areas share (ledger,
scenes, weather cells) stand in it as far as they are theirs, and its views name the files of their areas alone. What
the views say is worked out from these, so a row never depends on what another area has. Of scenes a reader sees those
whose footprint meets parcels of these areas, and those that were extracted over them, or failed; the verdict of the
offset guard only on the latter, for on others the data of other areas gave it.

For the same areas and the same moment of the lake it is written once.
"""

from __future__ import annotations

import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cbm_lake.lake import Lake, queries, tables
from cbm_lake.lake.database import Database, Part, files_of
from cbm_lake.lake.snapshots import Snapshot, aoi_and_year
from cbm_lake.storage.datafiles import DataFile
from cbm_lake.storage.delta import Table
from cbm_lake.storage.store import Store

Aois = tuple[str, ...] | None
"""Areas that may be read; None is all."""
Ask: TypeAlias = Callable[..., pa.Table]
"""Runs a named query with its parameters."""
_BY_SCENE: Final = ("stac_scenes", "obsids", "exclusions", "suspects")
"""Tables of which rows of some scenes are given."""
_BY_AREA: Final = ("ledger", "measured_shifts", "runs", "weather_boxes", "checks_of_crops")
"""Tables that are not in partitions, of which rows of some areas are given."""
_ROOM: Final = (-0.01, -0.01, 0.01, 0.01)
"""Degrees that a place is wider on each side: between its corners the edge of a scene bends away from its footprint."""
_CACHED: Final = 32
"""Databases that are kept for their next reader."""
_FORGOTTEN: Final = 7 * 86_400.0
"""Seconds after which a database that nobody has deleted is."""


@dataclass
class _Written:
    """A database file, and its number of present readers."""

    folder: Path
    snapshot: Snapshot
    readers: int = 0
    superseded: bool = False

    @property
    def file(self) -> Path:
        return self.folder / "lake.duckdb"


class Grants:
    """The databases of a lake's readers.

    Args:
        lake: which.
        root: the folder that they are written to; it is made when it is needed, for the owner only.
    """

    def __init__(self, lake: Lake, root: Path) -> None:
        self._lake, self._root = lake, root
        self._store = Store(lake.url)
        self._by_name = tables.of(self._store)
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._written: dict[Aois, _Written] = {}
        self._whole: Database | None = None

    @contextmanager
    def database(self, aois: Aois) -> Iterator[Path]:
        """The file of the database for these areas, as the lake is now; it stays as long as it is read.

        Raises:
            SourceError: a file of the lake cannot be read, or the database not be written.
        """
        key = None if aois is None else tuple(sorted(set(aois)))
        written = self._read(key, self._lake.snapshot())
        try:
            yield written.file
        finally:
            with self._lock:
                written.readers -= 1
                self._clean(written)

    def close(self) -> None:
        """Delete all of them."""
        with self._lock:
            for written in self._written.values():
                shutil.rmtree(written.folder, ignore_errors=True)
            self._written, self._whole = {}, None

    def _read(self, aois: Aois, snapshot: Snapshot) -> _Written:
        """The database for these areas, with one reader more."""
        current = self._current(aois, snapshot)
        if current is None:
            with self._writing:
                current = self._current(aois, snapshot) or self._write(aois, snapshot)
        return current

    def _current(self, aois: Aois, snapshot: Snapshot) -> _Written | None:
        with self._lock:
            written = self._written.pop(aois, None)
            if written is None:
                return None
            self._written[aois] = written  # as the one that was read last
            if written.snapshot != snapshot or not written.file.exists():
                return None
            written.readers += 1
            return written

    def _write(self, aois: Aois, snapshot: Snapshot) -> _Written:
        if self._whole is None or self._whole.snapshot != snapshot:
            self._whole = Database(self._store, self._by_name, snapshot)
        self._sweep()
        written = _Written(self._root / uuid.uuid4().hex, snapshot, readers=1)
        written.folder.mkdir(mode=0o700, parents=True)
        with ExitStack() as undo:
            undo.callback(shutil.rmtree, written.folder, ignore_errors=True)
            _write(self._store, self._by_name, self._whole, aois, written.file)
            undo.pop_all()
        with self._lock:
            former = [self._written.pop(aois)] if aois in self._written else []
            self._written[aois] = written
            former += [self._written.pop(key) for key in list(self._written)[:-_CACHED]]
            for one in former:
                one.superseded = True
                self._clean(one)
        return written

    def _sweep(self) -> None:
        """Delete what servers left that were killed; one that still uses such a database writes it anew."""
        if self._root.is_dir():
            for folder in self._root.iterdir():
                with suppress(FileNotFoundError):  # another server was quicker
                    if folder.stat().st_mtime < time.time() - _FORGOTTEN:
                        shutil.rmtree(folder, ignore_errors=True)

    def _clean(self, written: _Written) -> None:
        if written.superseded and not written.readers:
            shutil.rmtree(written.folder, ignore_errors=True)


def _write(store: Store, by_name: dict[str, Table], whole: Database, aois: Aois, file: Path) -> None:
    """Write the database of some areas."""
    part = Part(
        _files(by_name, whole.snapshot, aois), _rows(by_name, whole, aois), _returning(whole, by_name, aois), file
    )
    snapshot = _narrowed(whole.snapshot, aois)
    connection = Database(store, by_name, snapshot, part).connection
    paths = [file.path for files in part.files.values() for file in files]
    readable = pa.table({"path": pa.array([*paths, *snapshot.parcels, *snapshot.all_parcels], pa.string())})
    with queries.translated():
        connection.from_arrow(readable).create("readable")
        connection.close()


def _narrowed(snapshot: Snapshot, aois: Aois) -> Snapshot:
    """A snapshot with the parcel files of some areas alone."""
    if aois is None:
        return snapshot

    def theirs(paths: Sequence[str]) -> tuple[str, ...]:
        return tuple(path for path in paths if aoi_and_year(path)[0] in aois)

    parcels, all_parcels, former = map(theirs, (snapshot.parcels, snapshot.all_parcels, snapshot.former))
    return replace(snapshot, parcels=parcels, all_parcels=all_parcels, former=former)


def _files(by_name: dict[str, Table], snapshot: Snapshot, aois: Aois) -> Mapping[str, Sequence[DataFile]]:
    """The files of tables in partitions, in the order of their names; none of all other tables."""
    return {
        name: sorted(
            (file for file in files if aois is None or file.partition["aoi"] in aois),
            key=lambda file: file.path,
        )
        if "aoi" in by_name[name].partitions and not name.startswith("aside_")
        else []
        for name, files in files_of(by_name, snapshot).items()
    }


def _rows(by_name: dict[str, Table], whole: Database, aois: Aois) -> dict[str, pa.Table]:
    """The rows of tables that all areas share; of those that no view needs, none."""

    def ask(step: str, **params: object) -> pa.Table:
        return whole.rows(queries.get(f"granted.{step}").sql, params)

    contents = {name: by_name[name].schema.empty_table() for name in by_name if "aoi" not in by_name[name].partitions}
    contents |= {name: ask(name, aois=None if aois is None else list(aois)) for name in _BY_AREA}
    extracted, seen = None, None
    if aois is not None:
        extracted = ask("extracted", aois=list(aois))["scene"].to_pylist()
        seen = sorted(visible(lambda name, **params: whole.rows(queries.get(name).sql, params), whole.snapshot, aois))
    for name in _BY_SCENE:
        contents[name] = ask(name, scenes=extracted if name == "suspects" else seen)
    return contents


def visible(ask: Ask, snapshot: Snapshot, aois: tuple[str, ...]) -> set[str]:
    """The scenes (card/id) that who may read some areas sees: those over their parcels, or extracted over them."""
    paths = list(_narrowed(snapshot, aois).parcels)
    met = _meeting(ask("granted.footprints"), ask("granted.places", paths=paths)) if paths else []
    return {*ask("granted.extracted", aois=list(aois))["scene"].to_pylist(), *met}


def _meeting(footprints: pa.Table, places: pa.Table) -> list[str]:
    """The scenes whose footprint meets one of the places."""
    sides = (places[side].to_numpy() for side in ("west", "south", "east", "north"))
    boxes = shapely.STRtree(shapely.box(*(side + room for side, room in zip(sides, _ROOM, strict=True))))
    shapes = shapely.from_wkb(footprints["geometry"].to_pylist(), on_invalid="ignore")
    met, _ = boxes.query(shapes, predicate="intersects")
    scenes: list[str] = footprints["scene"].take(pa.array(np.unique(met))).to_pylist()
    return scenes


def _returning(whole: Database, by_name: dict[str, Table], aois: Aois) -> dict[str, pa.Table]:
    """The rows of signatures that count but are still set aside."""
    returning = {name: whole.returning(name) for name in by_name if name.startswith("signatures_")}
    if aois is None:
        return returning
    theirs = pa.array(list(aois), pa.string())
    return {name: coming.filter(pc.is_in(coming["aoi"], theirs)) for name, coming in returning.items()}
