"""Results to be fetched without a login: folders whose names nobody can guess, and that expire."""

from __future__ import annotations

import hmac
import re
import secrets
import shutil
import threading
import time
from pathlib import Path
from typing import Any, Final

from cbm_lake.errors import NotFoundError

_TOKEN: Final = re.compile(r"[0-9a-f]{64}")
_NAME: Final = re.compile(r"[\w.-]{1,250}")
_SWEEP: Final = 60.0
"""Seconds between looks for what has expired."""


class Results:
    """Folders of results below a root.

    Args:
        root: where they are; made when it is needed, readable by the owner only.
        seconds: for how long a result can be fetched.
    """

    def __init__(self, root: Path, seconds: float) -> None:
        self.root, self.seconds = root, seconds
        self._secret = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._swept = 0.0

    def folder(self, *what: Any) -> Path:
        """The folder of a question: the same for the same one asked again soon, so that nothing is made twice."""
        self._sweep()
        period = int(time.time() / (self.seconds / 2))
        told = "\0".join(map(str, (*what, period)))
        folder = self.root / hmac.digest(self._secret, told.encode(), "sha256").hex()
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

    def _sweep(self) -> None:
        """Delete the folders that have expired."""
        with self._lock:
            if time.monotonic() - self._swept < _SWEEP:
                return
            self._swept = time.monotonic()
        if self.root.is_dir():
            for folder in self.root.iterdir():
                if folder.stat().st_ctime < time.time() - 2 * self.seconds:
                    shutil.rmtree(folder, ignore_errors=True)
