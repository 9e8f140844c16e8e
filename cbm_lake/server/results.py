"""Results for download without login: expiring folders with unguessable names.

Each account has room for so many, and all together for so many bytes: what one account asks for takes no other's
results away, and the disk does not fill.
"""

from __future__ import annotations

import hmac
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cbm_lake.errors import NotFoundError
from cbm_lake.server.turns import BusyError

_TOKEN: Final = re.compile(r"[0-9a-f]{64}")
_NAME: Final = re.compile(r"[\w.-]{1,250}")
_SWEEP: Final = 60.0
"""Seconds between looks for what has expired."""
_OF_OWNER: Final = 16
"""Digits of a folder's name that are the same for all of one account; the other 192 bits nobody can guess."""


@dataclass(frozen=True)
class Room:
    """How much may be kept."""

    folders: int = 2_000
    """Of one account."""
    bytes: int = 2_000_000_000
    """Of one account."""
    all_bytes: int = 20_000_000_000
    """Of all accounts."""


class Results:
    """Folders of results below a root.

    Args:
        root: where they are; made when it is needed, readable by the owner only.
        seconds: for how long a result can be fetched.
        room: how much may be kept.
    """

    def __init__(self, root: Path, seconds: float, room: Room | None = None) -> None:
        self.root, self.seconds, self.room = root, seconds, room or Room()
        self._secret = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._swept = 0.0

    def folder(self, owner: str, *question: object) -> Path:
        """The folder of an account's question: the same for the same one asked again soon, so nothing is made twice.

        Raises:
            BusyError: the account, or all together, have no room for another.
        """
        self._sweep()
        period = int(time.time() / (self.seconds / 2))
        prefix = self._digest("owner", owner)[:_OF_OWNER]
        folder = self.root / (prefix + self._digest("question", owner, *question, period)[_OF_OWNER:])
        if not folder.is_dir():
            with self._lock:
                self._check_room(prefix)
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def link(self, file: Path) -> str:
        """The path by which a file of a folder is fetched."""
        return f"/static/tmp/{file.parent.name}/{file.name}"

    def find(self, token: str, name: str) -> Path:
        """The file of a link.

        Raises:
            NotFoundError: there is none, or it has expired.
        """
        if _TOKEN.fullmatch(token) and _NAME.fullmatch(name) and not name.startswith("."):
            file = self.root / token / name
            if file.is_file() and file.parent.stat().st_ctime > time.time() - self.seconds:
                return file
        raise NotFoundError("this link leads nowhere or has expired; ask again")

    def _digest(self, *parts: object) -> str:
        return hmac.digest(self._secret, "\0".join(map(str, parts)).encode(), "sha256").hex()

    def _check_room(self, prefix: str) -> None:
        """Refuse another folder where there is no room for it."""
        sizes = {folder: _size(folder) for folder in self._folders()}
        folders = [folder for folder in sizes if folder.name.startswith(prefix)]
        room = self.room
        if len(folders) >= room.folders or sum(sizes[folder] for folder in folders) >= room.bytes:
            most = f"at most {room.folders} results and {room.bytes} bytes for one account"
            reason = f"{len(folders)} results of yours are kept, of {most}; ask again when they have expired"
            raise BusyError(reason, 429, self._wait(folders))
        if sum(sizes.values()) >= room.all_bytes:
            reason = "there is no room for further results on this server; ask again when some have expired"
            raise BusyError(reason, 503, self._wait(list(sizes)))

    def _wait(self, folders: list[Path]) -> float:
        """Seconds until the oldest of these folders is deleted."""
        oldest = min((_changed(folder) for folder in folders), default=time.time())
        return max(1.0, oldest + self.seconds + _SWEEP - time.time())

    def _folders(self) -> Iterator[Path]:
        if self.root.is_dir():
            yield from (folder for folder in self.root.iterdir() if _TOKEN.fullmatch(folder.name))

    def _sweep(self) -> None:
        """Delete the folders that have expired."""
        with self._lock:
            if time.monotonic() - self._swept < _SWEEP:
                return
            self._swept = time.monotonic()
        for folder in self._folders():
            if _changed(folder) < time.time() - self.seconds:
                shutil.rmtree(folder, ignore_errors=True)


def _changed(folder: Path) -> float:
    """When a folder was last changed; now where it has gone meanwhile."""
    try:
        return folder.stat().st_ctime
    except FileNotFoundError:
        return time.time()


def _size(folder: Path) -> int:
    """Bytes of the files of a folder, as far as they are there."""
    total = 0
    try:
        for file in folder.iterdir():
            total += file.stat().st_size
    except FileNotFoundError:
        pass
    return total
