"""Pseudonyms in exported files: identifiers replaced by keyed hashes, which join but cannot be reversed."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from cbm_lake.config import Workspace
from cbm_lake.errors import ConfigError, InvalidInputError
from cbm_lake.files import durable
from cbm_lake.lake import columns

log = logging.getLogger(__name__)

KEY_FILE: Final = "config/pseudonyms.key"
"""The file of the key in a workspace."""
_SHORTEST: Final = 16
"""Bytes of a key."""
_IDENTIFIERS: Final = frozenset(
    {"pid", "pid_before", "gsa_par_id", "gsa_hol_id", "holding_id", "foi_id", "ogc_fid", "fid"}
)
"""Columns of the lake that say which parcel or holding a row is about, in lower case."""
_LOCATIONS: Final = frozenset({"geometry", "geom", "bbox", "centroid_lon", "centroid_lat", "clon", "clat"})


@dataclass(frozen=True)
class Pseudonyms:
    """A key, and the columns that are replaced in addition to the lake's own identifiers."""

    key: bytes
    further: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return "Pseudonyms(…)"

    def columns(self, names: Sequence[str]) -> list[str]:
        """The columns that are replaced.

        Raises:
            InvalidInputError: none is, or one that was named is not there.
        """
        missing = self.further - set(names)
        if missing:
            raise InvalidInputError(
                f"these rows have no column {', '.join(sorted(missing))}; there are: {', '.join(names)}"
            )
        replaced = self.identifiers(names)
        if not replaced:
            raise InvalidInputError(
                f"these rows have no column of identifiers; name it by identifiers=: {', '.join(names)}"
            )
        _warn(names, replaced)
        return replaced

    def identifiers(self, names: Sequence[str]) -> list[str]:
        """The columns that are replaced, without checks; empty where there are none."""
        lowered = {name.lower() for name in names}
        identifying = _IDENTIFIERS | (
            {"id"} if not lowered & {"pid", "card"} else frozenset()
        )  # a scene has an id as well
        return [name for name in names if name.lower() in identifying or name in self.further]

    def replaced(self, batch: pa.RecordBatch, names: Collection[str]) -> pa.RecordBatch:
        """The batch with the values of the columns replaced."""
        arrays = [
            self._hashed(name, column) if name in names else column
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        ]
        fields = [field.with_type(array.type) for field, array in zip(batch.schema, arrays, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields, batch.schema.metadata))

    def _hashed(self, name: str, column: pa.Array) -> pa.Array:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        try:
            coded = column.cast(pa.string()).dictionary_encode()
        except pa.ArrowException as error:
            raise InvalidInputError(
                f"column {name} is no text or number; leave it out of a file of pseudonyms"
            ) from error
        values = pa.array([self.of(text) for text in coded.dictionary.to_pylist()], pa.string())
        return pa.DictionaryArray.from_arrays(coded.indices, values).cast(pa.string())

    def of(self, identifier: str) -> str:
        """The pseudonym of an identifier: HMAC-SHA256 (RFC 2104), its first 128 bits in hexadecimal digits."""
        return hmac.new(self.key, identifier.encode(), hashlib.sha256).hexdigest()[:32]


def _warn(names: Sequence[str], replaced: Sequence[str]) -> None:
    rest = [name for name in names if name not in replaced]
    locations = [name for name in rest if name.lower() in _LOCATIONS]
    if locations:
        log.warning(
            "%s say where a parcel is, which identifies it: leave them out of files for those who must not know",
            ", ".join(locations),
        )
    others = [name for name in rest if name not in locations and columns.describe(name, names) is None]
    if others:
        log.warning(
            "%s stay as they are: see that they identify nobody, or name them by --identifier", ", ".join(others)
        )


def key_of(workspace: Workspace, file: str | Path | None = None) -> bytes:
    """The key: of that file, else of the setting pseudonyms.key, else of the workspace, where it is made at first.

    Raises:
        ConfigError: it cannot be read or made, or is too short to keep a secret.
    """
    configured = workspace.config.pseudonyms.key.get_secret_value()
    if file is None and configured:
        return _long_enough(configured.encode(), "the setting pseudonyms.key")
    path = workspace.root / KEY_FILE if file is None else Path(file)
    if file is None and not path.exists():
        workspace.prepare(path)
        _make(path)
    try:
        if path.stat().st_mode & 0o077:
            log.warning("the key %s can be read by others; chmod 600 makes it yours alone", path)
        return _long_enough(path.read_bytes().strip(), str(path))
    except OSError as error:
        raise ConfigError(f"the key {path} cannot be read ({error.strerror}); check the path and its rights") from error


def _long_enough(key: bytes, name: str) -> bytes:
    if len(key) < _SHORTEST:
        raise ConfigError(f"{name} has {len(key)} bytes; a key of pseudonyms has at least {_SHORTEST}")
    return key


def _make(path: Path) -> None:
    """A new key, which only its owner can read; that of another process when it was quicker."""
    try:  # on the disk before it is used: what was written with a key that is lost joins with nothing
        if not durable.create(path, f"{secrets.token_hex(32)}\n".encode("ascii"), private=True):
            return
    except OSError as error:
        raise ConfigError(
            f"the key {path} cannot be made ({error.strerror}); check the folder and its rights"
        ) from error
    log.warning("%s is a new key of pseudonyms: keep it and keep it secret; without it no file joins with these", path)
