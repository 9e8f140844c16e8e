"""Integrity of cubes: expected metadata, missing blocks, and blocks that cannot be decoded."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import duckdb
import pyarrow as pa
import zarr

from cbm_lake.errors import LakeError
from cbm_lake.lake import queries, schemas
from cbm_lake.lake.check.looking import RESTORE, UNREADABLE, Looking, Row, answers, reason
from cbm_lake.lake.check.metadata import check_metadata
from cbm_lake.lake.check.remedies import Remedies
from cbm_lake.rasters.blocks import Blocks, has_checksums
from cbm_lake.storage.access import zarr_store

_BLOCK: Final = re.compile(r"^(?P<band>[^/]+)/c/(?P<slot>\d+)/(?P<row>\d+)/(?P<col>\d+)$")
_FILE: Final = re.compile(r"^(zarr\.json|[^/]+/zarr\.json|[^/]+/c(/[\d/]+)?)$")

Array: TypeAlias = "zarr.Array[Any]"


class BlockPosition(NamedTuple):
    """Which block of a cube: its band, its slot, and its numbers down and across."""

    band: str
    slot: int
    row: int
    col: int


@dataclass
class Recorded:
    """The expected content of a cube, according to the tables."""

    card: str
    grid: str
    scenes: dict[int, str]
    """Scene of each slot."""
    listed: dict[int, str]
    """The same by the list of places alone."""
    due: dict[BlockPosition, list[int]]
    """The blocks that extractions wrote, with the sizes that they may have."""

    @property
    def folder(self) -> str:
        """Of the cube, in the lake."""
        return f"cubes/{self.card}/{self.grid}.zarr"

    @property
    def bands(self) -> set[str]:
        """Those that must be there."""
        return {position.band for position in self.due}

    def file(self, position: BlockPosition) -> str:
        """The file of a block, in the lake."""
        return f"{self.folder}/{position.band}/c/{position.slot}/{position.row}/{position.col}"


def check_cubes(looking: Looking, positions: pa.Table | None, ledger: pa.Table, remedies: Remedies) -> None:
    """Check every cube that exists or that the tables refer to.

    Args:
        looking: the pass.
        positions: rows of schemas.SLOTS; None where they cannot be read.
        ledger: rows of schemas.EXTRACTIONS.
        remedies: what to extract again.
    """
    slots = schemas.SLOTS.empty_table() if positions is None else positions
    connection = duckdb.connect()
    connection.register("ledger", ledger)
    connection.register("slots", slots)
    recorded = _recorded(connection, slots)
    for name in looking.names("cubes"):
        parts = name.split("/")
        if len(parts) > 3 and parts[2].endswith(".zarr"):
            key = parts[1], parts[2].removesuffix(".zarr")
            recorded.setdefault(key, Recorded(*key, {}, {}, {}))
        else:
            looking.note("cubes", "a file that belongs to no cube", name, "delete it")
    if positions is not None:
        _check_slots(looking, recorded, remedies)
    lengths = [row for cube in recorded.values() for row in _check_cube(looking, cube, remedies, slots)]
    schema = pa.schema([("card", "string"), ("grid", "string"), ("band", "string"), ("length", "int64")])
    connection.register("arrays", pa.Table.from_pylist(lengths, schema=schema))
    connection.register("filled", connection.sql(queries.get("check.filled").sql).to_arrow_table())
    for row in answers(connection, "cubes"):
        _check_length(looking, row, remedies)


def _recorded(connection: duckdb.DuckDBPyConnection, slots: pa.Table) -> dict[tuple[str, str], Recorded]:
    """The expected content of all cubes, by card and grid."""
    cubes: dict[tuple[str, str], Recorded] = {}
    for row in slots.select(["card", "grid", "slot", "scene"]).to_pylist():
        key = row["card"], row["grid"]
        cube = cubes.setdefault(key, Recorded(*key, {}, {}, {}))
        cube.scenes[row["slot"]] = cube.listed[row["slot"]] = row["scene"]
    for row in answers(connection, "blocks"):
        key = row["card"], row["grid"]
        cube = cubes.setdefault(key, Recorded(*key, {}, {}, {}))
        cube.scenes.setdefault(row["slot"], row["scene"])
        position = BlockPosition(row["band"], row["slot"], row["row"], row["col"])
        cube.due[position] = sorted({*cube.due.get(position, ()), *row["sizes"]})
    return cubes


def _check_slots(looking: Looking, recorded: dict[tuple[str, str], Recorded], remedies: Remedies) -> None:
    """Slots that extractions refer to, but that the table of slots lacks or assigns to another scene."""
    for row in remedies.done:
        for position in row["slots"] or () if row["cube"] else ():
            cube = recorded.get((row["card"], position["grid"]))
            if cube is None or cube.listed.get(position["slot"]) != row["scene"]:
                problem = f"scene {row['scene']} has no place in the list of places of the cube {position['grid']}"
                again = remedies.of_scene(row["card"], row["scene"], cubes=True)
                looking.fault("slots", problem, "slots", f"{RESTORE}; or {again}")


def _check_length(looking: Looking, row: Row, remedies: Remedies) -> None:
    """A cube that is shorter than the list of its scenes: a fault where extractions speak of what is not there."""
    cube = f"cubes/{row['card']}/{row['grid']}.zarr"
    if row["band"] is None and looking.names(cube):
        return  # unreadable arrays are reported already
    missing = "the cube is missing" if row["band"] is None else f"band {row['band']} has {row['length']} places"
    if row["used"] > (row["length"] or 0):
        problem = f"{missing}, but {row['used']} scenes have a place in it"
        advice = f"{RESTORE}; or {remedies.of_cube(row['card'], row['grid'])}: statistics are not concerned, chips are"
        looking.fault("cubes", problem, cube, advice)
    else:
        problem = f"{missing}, but {row['wanted']} were reserved: an extraction broke off, or is running"
        looking.note("cubes", problem, cube, "nothing; the next extraction makes room")


def _check_cube(looking: Looking, cube: Recorded, remedies: Remedies, slots: pa.Table) -> list[Row]:
    """Check the metadata and the blocks of a cube; returns its bands and their lengths."""
    names = looking.names(cube.folder)
    if not names:
        return []
    inside = [name.removeprefix(f"{cube.folder}/") for name in names]
    advice = f"{RESTORE}; or delete it and {remedies.of_cube(cube.card, cube.grid)}"
    for name in inside:
        if not _FILE.match(name):
            looking.note("cubes", "a file that belongs to no array of its cube", f"{cube.folder}/{name}", "delete it")
    arrays = _arrays(looking, cube, inside, advice)
    used = 1 + max((position.slot for position in cube.due), default=-1)
    if sorted(cube.listed) == list(range(len(cube.listed))):  # otherwise missing slots are reported
        check_metadata(looking, cube.card, cube.grid, slots, used, advice)
    there = _present(inside)
    for position in sorted(cube.due.keys() - {position for positions in there.values() for position in positions}):
        if position.band in arrays:
            _tell(looking, cube, remedies, position, "it is missing")
    for band, array in arrays.items():
        _check_blocks(looking, cube, remedies, array, there.get(band, []))
    return [
        {"card": cube.card, "grid": cube.grid, "band": band, "length": array.shape[0]} for band, array in arrays.items()
    ]


def _present(inside: Iterable[str]) -> dict[str, list[BlockPosition]]:
    """The blocks among the files of a cube, by band."""
    positions: dict[str, list[BlockPosition]] = {}
    for parts in filter(None, map(_BLOCK.match, inside)):
        position = BlockPosition(parts["band"], int(parts["slot"]), int(parts["row"]), int(parts["col"]))
        positions.setdefault(parts["band"], []).append(position)
    return positions


def _arrays(looking: Looking, cube: Recorded, inside: Iterable[str], advice: str) -> dict[str, Array]:
    """The bands by name, those that cannot be opened, or are missing, being findings."""
    described = {name.partition("/")[0] for name in inside if name.count("/") == 1 and name.endswith("/zarr.json")}
    blocks = {match["band"] for match in map(_BLOCK.match, inside) if match}
    for band in sorted((cube.bands | blocks) - described):
        looking.fault("cubes", "the description of the array is missing", f"{cube.folder}/{band}/zarr.json", advice)
    arrays = {}
    for name in sorted(described):
        try:
            array = zarr.open(zarr_store(looking.store.path(cube.folder)), path=name, mode="r")
        except UNREADABLE as error:
            file = f"{cube.folder}/{name}/zarr.json"
            looking.fault("cubes", f"the array cannot be opened: {reason(error)}", file, advice)
            continue
        if isinstance(array, zarr.Array) and array.ndim == 3:
            arrays[name] = array
    bare = [name for name, array in arrays.items() if not has_checksums(array)]
    if bare and looking.deep:
        problem = f"blocks of {', '.join(bare)} carry no checksums, as version 0.1 made them: turned bits may go unseen"
        again = f"delete the folder {cube.folder} and {advice.partition('delete it and ')[2]}"
        looking.note("cubes", problem, cube.folder, f"nothing; or {again}")
    return arrays


def _check_blocks(
    looking: Looking, cube: Recorded, remedies: Remedies, array: Array, positions: list[BlockPosition]
) -> None:
    """The blocks of a band: their sizes as they were written, else their own indexes; on a deep look their pixels."""
    named = {cube.file(position): position for position in positions}
    url = looking.store.path(cube.folder)

    def look(name: str) -> None:
        position = named[name]
        sizes, size = cube.due.get(position), looking.size(name)
        problem = ""
        if not size:
            problem = "it is empty"
        elif sizes is not None and size not in sizes:
            problem = f"it has {size:,} bytes, {' or '.join(f'{other:,}' for other in sizes)} were written"
        elif position.slot < array.shape[0] and (sizes is None or looking.reads_all(name)):
            problem = _unreadable(
                Blocks(url, position.band, position.slot, array), array, position, deep=looking.reads_all(name)
            )
        if problem:
            _tell(looking, cube, remedies, position, problem)

    looking.each(look, sorted(named))


def _unreadable(blocks: Blocks, array: Array, position: BlockPosition, *, deep: bool) -> str:
    """The damage of a block by its index and, if deep, its pixels; "" where there is none, or it was deleted."""
    _, slot, row, col = position
    _, *size = array.shards or array.chunks
    try:
        problem = blocks.index_problem((row, col)) if (row, col) in blocks.sizes else ""
        if deep and not problem:
            array[slot, row * size[0] : (row + 1) * size[0], col * size[1] : (col + 1) * size[1]]
    except (LakeError, *UNREADABLE) as error:
        return reason(error)
    return problem


def _tell(looking: Looking, cube: Recorded, remedies: Remedies, position: BlockPosition, problem: str) -> None:
    scene = cube.scenes.get(position.slot)
    whose = f"of scene {scene}" if scene else "of no scene"
    again = remedies.of_scene(cube.card, scene, cubes=True) if scene else "delete it"
    is_extracted = scene is not None and any((r["card"], r["scene"]) == (cube.card, scene) for r in remedies.done)
    advice = again if is_extracted else "delete it: no extraction that has ended needs it"
    looking.fault("cubes", f"the block {whose} is damaged: {problem}", cube.file(position), advice)
