"""Workspace (config/main.json, temp/, data/) and settings."""

from __future__ import annotations

import getpass
import json
import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from cbm_lake.config import settings
from cbm_lake.config.settings import Config
from cbm_lake.errors import ConfigError
from cbm_lake.files import durable
from cbm_lake.files.absolute import absolute

log = logging.getLogger(__name__)

HOME: Final = "CBM_LAKE_HOME"
"""Variable with the folder of the workspace."""
LAKE: Final = "CBM_LAKE_LAKE__URL"
"""Variable with the folder or URL of the lake."""
UMASK: Final = "CBM_LAKE_UMASK"
"""Variable with the umask of commands."""
_OTHERS: Final = 0o007
"""The rights of those who are neither the owner nor in the group."""


VISITOR: Final = "CBM_LAKE_VISITOR"
"""Variable with the account that opened the web page, in the process of that page."""


def current_user() -> str:
    """The account that opened the web page, else the user of the settings (set.user), else of the computer."""
    return os.environ.get(VISITOR) or Workspace.here().config.set.user or account()


def account() -> str:
    """The user of the computer."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user has a number only
        return "unknown"


def get_value(keys: Sequence[str]) -> Any:
    """Get a setting by section and key, with the original library's signature: ["paths", "temp"].

    Passwords and keys come as asterisks.

    Raises:
        ConfigError: there is no such setting.
    """
    setting: Any = Workspace.here().config.model_dump(mode="json", by_alias=True)
    for key in [keys] if isinstance(keys, str) else keys:
        if not isinstance(setting, dict) or key not in setting:
            raise ConfigError(f"{'.'.join(keys)} is no setting; see docs/reference.md")
        setting = setting[key]
    return setting


def set_value(keys: Sequence[str], value: Any) -> None:
    """Store a setting in config/main.json, with the original's signature: set_value(["api", "url"], "https://…").

    Raises:
        ConfigError: there is no such setting, or the value is invalid.
    """
    if isinstance(keys, str) or len(keys) < 2:
        raise ConfigError(f"{keys!r} is no setting; give its section and its key, such as ['api', 'url']")
    for key in reversed(keys[2:]):
        value = {key: value}
    Workspace.here().configure(keys[0], **{keys[1]: value})


@dataclass(frozen=True)
class Workspace:
    """A folder with config/main.json, data/ and temp/."""

    root: Path

    @classmethod
    def here(cls) -> Workspace:
        """The workspace named by CBM_LAKE_HOME, else the current folder; later changes of directory have no effect.

        Nothing is written; see `create`. Child processes get it by `environment`.

        Raises:
            ConfigError: the current folder is no more.
        """
        _lake_of_environment()  # whose folder is not changed by a later chdir either
        return cls(_absolute(os.environ.get(HOME, "")))

    @property
    def config_file(self) -> Path:
        """Path of the settings file."""
        return self.root / "config" / "main.json"

    @cached_property
    def config(self) -> Config:
        """The effective settings."""
        return self._validate(self._read())

    @property
    def data(self) -> Path:
        """The user's own folder, which also contains the default lake."""
        return self.root / self.config.paths.data

    @property
    def temp(self) -> Path:
        """Folder to which `get` writes: temp/<aoi>/<year>/<pid>/."""
        return self.root / self.config.paths.temp

    @property
    def lake_url(self) -> str:
        """Folder or URL of the lake; relative paths in the settings are relative to the workspace."""
        url = self.config.lake.url
        if url and url == os.environ.get(LAKE):
            return _lake_of_environment()
        return url if "://" in url else str(self.root / url) if url else str(self.data / "lake")

    def environment(self) -> dict[str, str]:
        """Environment variables that give a child process the same workspace and lake."""
        lake = _lake_of_environment()
        return {HOME: str(self.root)} | ({LAKE: lake} if lake else {})

    def prepare(self, path: Path | str) -> None:
        """Create the workspace before the first file is written to it; does nothing for paths outside.

        Raises:
            ConfigError: as of `create`.
        """
        folders = (self.root, self.data, self.temp)
        if any(Path(path).is_relative_to(folder) for folder in folders) and not (
            self.config_file.exists() and self.data.is_dir() and self.temp.is_dir()
        ):
            self.create()

    def create(self) -> Workspace:
        """Create what is missing; existing files are not changed.

        Raises:
            ConfigError: a folder or file cannot be written, or config/main.json is wrong.
        """
        with self._writing():
            _make(self.config_file.parent)
            if not self.config_file.exists():
                self._write(settings.defaults())
            for folder in (self.data, self.temp):
                _make(folder)
        return self

    def configure(self, section: str, **values: Any) -> Workspace:
        """Change settings in the file and return the updated workspace; environment values are not stored.

        Args:
            section: a key of config/main.json, for instance "api".
            values: settings of that section by their names in the file; None takes one out, a dict changes only what
                it names.

        Raises:
            ConfigError: a setting is unknown or wrong, or the file cannot be read or written; it stays as it was.
        """
        document = self._read() if self.config_file.exists() else settings.defaults()
        self._validate(document)
        document[section] = _changed(document.get(section, {}), values)
        self._validate(document)
        is_new = not self.config_file.exists()
        with self._writing():
            _make(self.config_file.parent)
            self._write(document)
        changed = Workspace(self.root)
        return changed.create() if is_new else changed

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigError(
                f"workspace {self.root} cannot be written ({error.strerror}); set CBM_LAKE_HOME to a folder of yours"
            ) from error

    def _read(self) -> dict[str, Any]:
        try:
            document = json.loads(self.config_file.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{self.config_file} cannot be read: {error}; mend it or delete it for a new one"
            ) from error
        if not isinstance(document, dict):
            raise ConfigError(f"{self.config_file} must hold a JSON object; mend it or delete it for a new one")
        return document

    def _validate(self, document: dict[str, Any]) -> Config:
        return settings.read(document, str(self.config_file))

    def _write(self, document: dict[str, Any]) -> None:
        """Replace the file atomically, readable by its owner only (it may hold passwords)."""
        with durable.replacing(self.config_file, private=True) as draft:
            draft.write_text(json.dumps(document, indent=4), encoding="utf-8")


def _absolute(folder: str) -> Path:
    """Absolute path as of the first use in this process, regardless of later chdir."""
    try:
        return absolute(folder)
    except OSError as error:
        raise ConfigError("the current folder is no more; change to another or set CBM_LAKE_HOME") from error


def _lake_of_environment() -> str:
    """Folder or URL in CBM_LAKE_LAKE__URL, or ""."""
    lake = os.environ.get(LAKE, "")
    return lake if not lake or "://" in lake else str(_absolute(lake))


def close_to_others() -> None:
    """Restrict files that this process creates to the owner and the group (umask).

    The process's umask says what the group may; CBM_LAKE_UMASK says all (022: everybody may read).

    Raises:
        ConfigError: CBM_LAKE_UMASK is no umask.
    """
    umask = _umask()
    os.umask(os.umask(0o077) | _OTHERS if umask is None else umask)


def _umask() -> int | None:
    """Value of CBM_LAKE_UMASK, or None."""
    text = os.environ.get(UMASK, "")
    if text and not re.fullmatch(r"[0-7]{1,4}", text):
        raise ConfigError(f"{UMASK}={text!r} is no umask; write it as 027, or 022 where everybody may read")
    return int(text, 8) if text else None


def _make(folder: Path) -> None:
    """Create a folder of the workspace if missing, private unless configured otherwise."""
    if folder.is_dir():
        return
    folder.mkdir(mode=0o777 & ~_OTHERS, parents=True, exist_ok=True)
    umask = _umask()
    if umask is not None:
        folder.chmod(0o777 & ~umask)


def _changed(section: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Updated settings; None removes one."""
    changed = {name: value for name, value in section.items() if values.get(name, value) is not None}
    for name, value in values.items():
        if isinstance(value, dict):
            changed[name] = _changed(section.get(name, {}), value)
        elif value is not None:
            changed[name] = value
    return changed
