"""Ed25519 signing keys of reports, stored in config/keys/ of the workspace: `make`, `listed`, `signer`, `read`.

    0001-1f3a9c0d5e7b2846.key    the private key (PKCS 8, PEM), for its owner's eyes only
    0001-1f3a9c0d5e7b2846.pub    the public key (PEM), for everybody

The one with the highest number signs. Older ones stay, so that what they signed can be verified.
"""

from __future__ import annotations

import hashlib
import logging
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import FileLock

from cbm_lake.config import Workspace
from cbm_lake.errors import ConfigError, InvalidInputError, NotFoundError, SourceError, of_extra
from cbm_lake.files import durable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

log = logging.getLogger(__name__)

_NAMED: Final = re.compile(r"(?P<number>\d{4,})-(?P<name>[0-9a-f]{16})\.pub")
_LARGEST: Final = 10_000
"""Bytes of the file of a key at most."""
_WAIT: Final = 60
"""Seconds for another process that makes a key."""


@dataclass(frozen=True)
class PublicKey:
    """A public key that verifies signatures."""

    raw: bytes
    """32 bytes."""
    origin: str
    """Where it is from, for messages."""
    number: int = 0
    """Among those of the workspace, from 1; 0 for others."""
    signs: bool = False
    """Whether its private key is here."""

    @property
    def name(self) -> str:
        """Key name: the first 16 hexadecimal digits of its SHA-256."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    @property
    def pem(self) -> str:
        """The key in PEM format."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self._key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether the signature of a message was made with this key."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._key().verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def _key(self) -> Ed25519PublicKey:
        with of_extra("report", "a signature"):
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        return Ed25519PublicKey.from_public_bytes(self.raw)


@dataclass(frozen=True)
class Signer:
    """A private key that signs reports."""

    public: PublicKey
    private: Path

    def sign(self, message: bytes) -> bytes:
        """Sign a message.

        Raises:
            ConfigError: the private key cannot be read.
        """
        return _private(self.private).sign(message)


def make(*, another: bool = False) -> PublicKey:
    """Create a key with which reports are signed from now on.

    Args:
        another: make one although there is one; the older one stays known, but signs no more.

    Raises:
        ConfigError: there is a key already, or the folder cannot be written.
    """
    with of_extra("report", "a key"):
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
    folder = _folder()
    try:
        durable.make_folder(folder, 0o700)
        with FileLock(folder / ".lock", timeout=_WAIT):
            stored = listed()
            if any(key.signs for key in stored) and not another:
                raise ConfigError(f"there is a key already ({stored[-1].name}); another= makes one that replaces it")
            private = Ed25519PrivateKey.generate()
            raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
            number = stored[-1].number + 1 if stored else 1
            stem = f"{number:04d}-{PublicKey(raw, '').name}"
            key = PublicKey(raw, str(folder / f"{stem}.pub"), number, signs=True)
            with durable.replacing(folder / f"{stem}.key", private=True) as draft:
                draft.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            with durable.replacing(folder / f"{stem}.pub") as draft:
                draft.write_text(key.pem, "ascii")
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror or error}; check its rights") from error
    return key


def listed() -> list[PublicKey]:
    """Keys of the workspace, oldest first.

    Raises:
        SourceError: the file of one cannot be read.
        InvalidInputError: it holds no such key.
    """
    keys_here = []
    for file in sorted(_folder().glob("*.pub")):
        match = _NAMED.fullmatch(file.name)
        if match:
            key = read(file)
            if key.name != match["name"]:
                raise InvalidInputError(f"{file} holds the key {key.name}, not the one of its name; restore the file")
            keys_here.append(PublicKey(key.raw, str(file), int(match["number"]), file.with_suffix(".key").exists()))
    return sorted(keys_here, key=lambda key: key.number)


def signer() -> Signer | None:
    """The newest key with a private part in the workspace, or None.

    Raises:
        SourceError, InvalidInputError: as `listed`.
    """
    signing = [key for key in listed() if key.signs]
    return Signer(signing[-1], Path(signing[-1].origin).with_suffix(".key")) if signing else None


def of_name(name: str | None = None) -> PublicKey:
    """Look up a key of the workspace by name or prefix; by default the signing key.

    Raises:
        NotFoundError: there is none, or several begin so.
    """
    stored = listed()
    fitting = (
        [key for key in stored if key.name.startswith(name)] if name else [key for key in stored if key.signs][-1:]
    )
    if len(fitting) != 1:
        problem = f"no key {name}, or several," if name else "no key"
        raise NotFoundError(f"there is {problem} in {_folder()}; make one with cbm-lake report keys make")
    return fitting[0]


def read(source: str | Path | PublicKey) -> PublicKey:
    """Read a public key from a PEM file or PEM text.

    Raises:
        SourceError: the file cannot be read.
        InvalidInputError: it holds no public key of Ed25519.
    """
    if isinstance(source, PublicKey):
        return source
    with of_extra("report", "a signature"):
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
    text, origin = _text_of(source)
    if b"PRIVATE KEY" in text:
        raise InvalidInputError(f"{origin} is a private key, which nobody else should have; give the public one (.pub)")
    try:
        key = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidInputError(f"{origin} is no public key; give the .pub file of the agency that signs") from error
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidInputError(f"{origin} is a public key of another kind; reports are signed with Ed25519")
    return PublicKey(key.public_bytes(Encoding.Raw, PublicFormat.Raw), origin)


def read_all(sources: str | Path | PublicKey | Sequence[str | Path | PublicKey] | None) -> list[PublicKey]:
    """Read public keys from files; an empty list if none are named.

    Raises:
        SourceError, InvalidInputError: as `read`.
    """
    if sources is None:
        return []
    files = [sources] if isinstance(sources, str | Path | PublicKey) else sources
    return [read(source) for source in files]


def _text_of(source: str | Path) -> tuple[bytes, str]:
    if isinstance(source, str) and source.lstrip().startswith("-----BEGIN"):
        return source.encode(), "the text"
    try:
        with Path(source).open("rb") as file:
            return file.read(_LARGEST), str(source)
    except OSError as error:
        raise SourceError(f"the key {source} cannot be read: {error.strerror}; check the path") from error


def _private(file: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            log.warning("%s can be read by others than its owner; take that right away (chmod 600)", file)
        key = load_pem_private_key(file.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"the private key {file} cannot be read ({error}); restore it, or make another") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{file} is no key of Ed25519; restore it, or make another")
    return key


def _folder() -> Path:
    return Workspace.here().config_file.parent / "keys"
