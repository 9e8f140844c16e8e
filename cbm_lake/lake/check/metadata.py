"""Integrity of a cube's Zarr metadata, compared with what `Cube.extend` writes for its grid and scenes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import zarr

from cbm_lake import cards
from cbm_lake.errors import LakeError
from cbm_lake.lake.check.looking import UNREADABLE, Looking, reason
from cbm_lake.rasters import Grid, cf
from cbm_lake.rasters.cube import Cube, Slot
from cbm_lake.storage.access import zarr_store

Document: TypeAlias = dict[str, Any]
"""A zarr.json of a group or an array, or a part of it."""
_ALONG_TIME: Final = ("time", *cf.ALONG_TIME)
_FLAGS: Final = "counts"
"""What a command that is running, or was killed, has not written yet."""
_CHECKSUM: Final = {"name": "crc32c"}
"""A codec that arrays of version 0.1 do not have."""
_LATER: Final = "nothing while a command is running; else run `cbm-lake compact`"


def check_metadata(looking: Looking, card: str, grid: str, slots: pa.Table, used: int, advice: str) -> None:
    """Compare the descriptions and axes of a cube with what they must be; differences are findings.

    A cube that no extraction has filled may be half made, as version 0.1 left its own: it is opened only.

    Args:
        looking: the look.
        card: of the cube.
        grid: of the cube.
        slots: rows of schemas.SLOTS.
        used: places along time that extractions have filled.
        advice: what to do about a file.
    """
    folder = f"cubes/{card}/{grid}.zarr"
    stored = _documents(looking, folder, advice)
    if not looking.has(f"{folder}/zarr.json"):
        looking.fault("cubes", "the description of the cube is missing", f"{folder}/zarr.json", advice)
    stated = _grid(looking, folder, stored, advice) if used and "zarr.json" in stored else None
    if stated is None:
        return
    if stated.name != grid:
        problem = f"the cube is on grid {stated.name} by its own description"
        looking.fault("cubes", problem, f"{folder}/{cf.GRID_MAPPING}/zarr.json", advice)
        return
    bands = [name.partition("/")[0] for name, document in stored.items() if len(document.get("shape", ())) == 3]
    dtypes = {name: cards.get(card).cube_dtype(name) for name in bands}
    with TemporaryDirectory() as scratch:
        right = Cube(str(Path(scratch) / f"{grid}.zarr"))
        right.extend(stated, dtypes, _slots(slots, card, grid), card=cards.get(card))
        documents = _read_all(Path(right.url))
        wrong = set(_differing(stored, documents))
        for name in sorted(wrong):
            if name in stored or not looking.has(f"{folder}/{name}"):  # otherwise reported already
                looking.fault("cubes", "the description is not what was written", f"{folder}/{name}", advice)
        sound = documents.keys() - wrong
        _check_consolidated(looking, folder, {name: stored[name] for name in sound | {"zarr.json"}}, advice)
        _check_axes(looking, folder, right.url, {name.partition("/")[0] for name in sound}, used, advice)


def _grid(looking: Looking, folder: str, documents: dict[str, Document], advice: str) -> Grid | None:
    """The grid of a cube by its own description; None where it cannot be read, which is a finding."""
    try:
        return Cube(looking.store.path(folder)).grid()
    except (LakeError, *UNREADABLE) as error:
        lacking = [name for name in (cf.GRID_MAPPING, "y", "x") if f"{name}/zarr.json" not in documents]
        if not lacking or not looking.has(f"{folder}/{lacking[0]}/zarr.json"):
            file = f"{folder}/{(lacking or [cf.GRID_MAPPING])[0]}/zarr.json"
            looking.fault("cubes", f"the grid cannot be read: {reason(error)}", file, advice)
        return None


def _documents(looking: Looking, folder: str, advice: str) -> dict[str, Document]:
    """The zarr.json of group and arrays that are JSON, by their names in the cube; others are findings."""
    documents = {}
    for name in looking.names(folder, "zarr.json"):
        try:
            document = json.loads(looking.store.read_bytes(name) or b"")
            documents[name.removeprefix(f"{folder}/")] = dict(document)
        except UNREADABLE as error:
            looking.fault("cubes", f"the array cannot be opened: {reason(error)}", name, advice)
    return documents


def _read_all(root: Path) -> dict[str, Document]:
    return {str(file.relative_to(root)): json.loads(file.read_text()) for file in root.rglob("zarr.json")}


def _slots(slots: pa.Table, card: str, grid: str) -> list[Slot]:
    rows = {row["slot"]: row for row in slots.to_pylist() if (row["card"], row["grid"]) == (card, grid)}
    return [Slot(row["scene"], row["obstime"], row["boa_offset"]) for _, row in sorted(rows.items())]


def _differing(documents: dict[str, Document], right: dict[str, Document]) -> Iterator[str]:
    """The descriptions that say something else, lengths in time aside, and those that are missing."""
    for name, document in right.items():
        there = documents.get(name)
        if there is None or _normal(there) != _normal(document, codecs_of=there):
            yield name


def _normal(document: Document, codecs_of: Document | None = None) -> Document:
    """A description without its length in time and its consolidated part; without checksums where others have none."""
    plain = {key: value for key, value in document.items() if key != "consolidated_metadata"}
    shape = plain.get("shape", [])
    if len(shape) == 3 or plain.get("dimension_names") == ["time"]:
        plain["shape"] = [None, *shape[1:]]
    if codecs_of is not None and _CHECKSUM not in _codecs(codecs_of):
        plain = json.loads(json.dumps(plain))
        codecs = _codecs(plain)
        codecs[:] = [codec for codec in codecs if codec != _CHECKSUM]
    return plain


def _codecs(document: Document) -> list[Document]:
    """The codecs of an array's values, or none where that cannot be known."""
    codecs: list[Document] = document.get("codecs", [_CHECKSUM])
    sharded = [codec for codec in codecs if codec.get("name") == "sharding_indexed"]
    return sharded[0].get("configuration", {}).get("codecs", [_CHECKSUM]) if sharded else codecs


def _check_consolidated(looking: Looking, folder: str, documents: dict[str, Document], advice: str) -> None:
    """The group's copy of the descriptions that are sound: it may lag behind in length, and in nothing else."""
    file = f"{folder}/zarr.json"
    consolidated = (documents["zarr.json"].get("consolidated_metadata") or {}).get("metadata", {})
    arrays = {name.partition("/")[0]: document for name, document in documents.items() if "/" in name}
    if any(
        name in consolidated and _normal(consolidated[name]) != _normal(document) for name, document in arrays.items()
    ):
        looking.fault("cubes", "the description is not what was written", file, advice)
    elif any(consolidated.get(name) != document for name, document in arrays.items()):
        problem = (
            "the description that readers see first lags behind the arrays' own: a command broke off, or is running"
        )
        looking.note("cubes", problem, file, _LATER)


def _check_axes(looking: Looking, folder: str, right: str, sound: set[str], used: int, advice: str) -> None:
    """The values along the axes whose descriptions are sound: along time those of places that are used."""
    expected = zarr.open_group(right, mode="r", use_consolidated=False)
    for name, array in expected.arrays():
        if array.ndim == 3 or name not in sound:
            continue
        try:
            there = zarr.open_array(zarr_store(looking.store.path(folder)), path=name, mode="r")
            values = np.asarray(there[...])
        except UNREADABLE as error:
            files = looking.names(f"{folder}/{name}/c") or [f"{folder}/{name}/zarr.json"]
            looking.fault("cubes", f"the values along the axis cannot be read: {reason(error)}", files[0], advice)
            continue
        expected_values = np.asarray(array[...])
        if name in _ALONG_TIME:
            length = 0 if name == _FLAGS else min(used, len(expected_values))
            expected_values, values = expected_values[:length], values[:length]
        if not np.array_equal(expected_values, values):
            problem = "the values along the axis are not those of the cube"
            looking.fault("cubes", problem, f"{folder}/{name}/c/0", advice)
