"""A durable zarr store for the metadata and axes of local cubes, whose files are renamed once their bytes are on disk.

Zarr's own store gives a file its name first: after a loss of power it could have the name of a description and none of
its bytes, and the cube could not be opened any more. Blocks of pixels are synced by who writes them.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from zarr.storage import LocalStore

from cbm_lake.files import durable
from cbm_lake.storage.access import is_remote, zarr_store

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer

    from cbm_lake.storage.access import ZarrStore


class DurableStore(LocalStore):
    """A folder whose files appear whole and outlast a loss of power."""

    async def set(self, key: str, value: Buffer) -> None:
        """Write a file, also over one that is there."""
        await asyncio.to_thread(_replace, Path(self.root) / key, value.to_bytes())

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write a file unless it is there."""
        await asyncio.to_thread(durable.create, Path(self.root) / key, value.to_bytes())


def store(url: str) -> ZarrStore | DurableStore:
    """What a cube's descriptions are written with."""
    return zarr_store(url) if is_remote(url) else DurableStore(url)


def _replace(file: Path, content: bytes) -> None:
    with durable.replacing(file) as draft:
        draft.write_bytes(content)
