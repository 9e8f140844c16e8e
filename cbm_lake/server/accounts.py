"""Accounts of the REST service in config/users.json: grants, passwords, tokens, and lockout after failed logins.

Passwords are stored as argon2 hashes, tokens as SHA-256 of 256 random bits. Checking takes the same time whether a name
exists or not. The file is reread whenever it has changed, so that a removed account loses access at once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from cbm_lake.errors import ConfigError, InvalidInputError, NotFoundError
from cbm_lake.files import durable
from cbm_lake.server import sessions

_HASHER: Final = PasswordHasher()
_NOBODY: Final = _HASHER.hash(secrets.token_urlsafe())
"""The hash that passwords of unknown names are checked against."""
_SHORTEST: Final = 8
_SECRET: Final = 32
"""Bytes of a secret."""
_REMEMBERED: Final = 300.0
"""Seconds since its last use for which a correct password is not hashed again: argon2 is slow on purpose."""
_FAILURES: Final = 10
"""Wrong passwords for a name from an address within _LOCKED seconds; then that address is refused for that name."""
_LOCKED: Final = 900.0
_MOST_FAILING: Final = 10_000
"""Names and addresses whose failures are counted; of more, those that are over are forgotten."""


class Token(BaseModel):
    """A bearer token, of which only the hash is stored."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    expires: datetime


class User(BaseModel):
    """One account in the file."""

    model_config = ConfigDict(frozen=True)

    hash: str
    """argon2, with its parameters and salt."""
    aois: tuple[str, ...] = ()
    """Areas whose data may be read."""
    admin: bool = False
    """May read all areas."""
    auditor: bool = False
    """May read who looked at what, of all areas; administrators may not without it."""
    tokens: tuple[Token, ...] = ()
    revoked: int = 0
    """How often all its tokens were revoked."""


@dataclass(frozen=True)
class Account:
    """An authenticated user."""

    name: str
    aois: tuple[str, ...]
    admin: bool
    auditor: bool = False

    def may_read(self, aoi: str) -> bool:
        """Whether the user may read the data of an area."""
        return self.admin or aoi.lower() in self.aois


class LockedOutError(Exception):
    """Too many wrong passwords; `seconds` says for how long."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many wrong passwords; try again in {seconds:.0f} seconds")
        self.seconds = seconds


class Accounts:
    """The accounts of a workspace, always as its file is at present."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.Lock()
        self._loaded: tuple[object, dict[str, User]] = (None, {})
        self._secret = secrets.token_bytes(_SECRET)
        self._remembered: dict[bytes, tuple[float, str, str]] = {}
        self._failures: dict[tuple[str, str], list[float]] = {}

    # -- administration ---------------------------------------------------------------------------------------------

    def add(
        self, name: str, password: str, aois: tuple[str, ...] = (), *, admin: bool = False, auditor: bool = False
    ) -> None:
        """Create an account, or replace the password and areas of an existing one; its tokens are revoked."""
        if len(password) < _SHORTEST:
            raise InvalidInputError(f"the password is too short; take at least {_SHORTEST} characters")
        user = User(hash=_HASHER.hash(password), aois=_areas(aois), admin=admin, auditor=auditor)
        with self._changing() as users:
            users[_name(name)] = user

    def remove(self, name: str) -> None:
        """Delete an account.

        Raises:
            NotFoundError: there is none of that name.
        """
        with self._changing() as users:
            del users[self._registered(users, name)]

    def grant(
        self, name: str, aois: tuple[str, ...], *, admin: bool | None = None, auditor: bool | None = None
    ) -> None:
        """Let an account read more areas; `admin` makes it an administrator's, or no longer, `auditor` lets it read
        who looked at what, or no longer.

        Raises:
            NotFoundError: there is none of that name.
        """
        with self._changing() as users:
            key = self._registered(users, name)
            user = users[key]
            change: dict[str, object] = {"aois": _areas((*user.aois, *aois))}
            change |= {right: is_on for right, is_on in (("admin", admin), ("auditor", auditor)) if is_on is not None}
            users[key] = user.model_copy(update=change)

    def revoke(self, name: str, aois: tuple[str, ...]) -> None:
        """Revoke areas or, with none named, all tokens of an account.

        Raises:
            NotFoundError: there is none of that name.
        """
        with self._changing() as users:
            key = self._registered(users, name)
            remaining = tuple(aoi for aoi in users[key].aois if aoi not in _areas(aois))
            ended: dict[str, object] = {"tokens": (), "revoked": users[key].revoked + 1}
            users[key] = users[key].model_copy(update={"aois": remaining} if aois else ended)

    def token(self, name: str, days: int = 90) -> str:
        """A new bearer token of an account; it cannot be shown again.

        Raises:
            NotFoundError: there is none of that name.
        """
        return self.issue(name, days)[0]

    def issue(self, name: str, days: int = 90) -> tuple[str, datetime]:
        """A new bearer token of an account, and when it ends; errors are those of `token`."""
        token, now = secrets.token_urlsafe(32), datetime.now(UTC)
        issued = Token(sha256=hashlib.sha256(token.encode()).hexdigest(), expires=now + timedelta(days=days))
        with self._changing() as users:
            key = self._registered(users, name)
            valid = [each for each in users[key].tokens if each.expires > now]
            users[key] = users[key].model_copy(update={"tokens": (*valid, issued)})
        return token, issued.expires

    def users(self) -> dict[str, User]:
        """All accounts by name, in alphabetical order."""
        return dict(sorted(self._users().items()))

    # -- checking -----------------------------------------------------------------------------------------------------

    def check(self, name: str, password: str, address: str = "") -> Account | None:
        """The user of a name and password, or None, without a hint of what was wrong.

        Raises:
            LockedOutError: that address has given too many wrong ones for that name.
        """
        account = self.recognised(name, password, address)
        if account is not None:
            return account
        name = _folded(name)
        user = self._users().get(name)
        if _verified(user.hash if user else _NOBODY, password) and user is not None:
            with self._lock:
                self._failures.pop((name, address), None)
                now = time.monotonic()
                self._remembered = {k: entry for k, entry in self._remembered.items() if entry[0] > now}
                self._remembered[self._digest(name, password)] = (now + _REMEMBERED, name, user.hash)
            return _account(name, user)
        with self._lock:
            self._failures.setdefault((name, address), []).append(time.monotonic())
        return None

    def recognised(self, name: str, password: str, address: str = "") -> Account | None:
        """Whose password this is, without the slow work of hashing: None unless it was used, and right, lately.

        Raises:
            LockedOutError: that address has given too many wrong passwords for that name.
        """
        name = _folded(name)
        self._refuse_locked((name, address))
        user = self._users().get(name)
        digest, now = self._digest(name, password), time.monotonic()
        with self._lock:
            until, _, against = self._remembered.get(digest, (0.0, "", ""))
            if user is None or now >= until or against != user.hash:
                return None
            self._remembered[digest] = (now + _REMEMBERED, name, user.hash)
        return _account(name, user)

    def count_if_wrong(self, name: str, address: str) -> None:
        """Count a password that is not hashed as wrong where another one of that name was right lately.

        Else an address that is to wait could go on guessing: the right one would be recognised.
        """
        name = _folded(name)
        user, now = self._users().get(name), time.monotonic()
        with self._lock:
            entries = (entry for entry in self._remembered.values() if entry[1] == name)
            if user and any(until > now and against == user.hash for until, _, against in entries):
                self._failures.setdefault((name, address), []).append(now)

    def session(self, name: str, seconds: int) -> str:
        """A bearer token for a short time, of which nothing is stored; what ends all tokens of the account ends it too.

        Raises:
            ConfigError: the service has no secret, and none can be made.
        """
        if not self._key.exists():
            self._make_secret()
        return sessions.issued(_folded(name), self._signing(self._users()[_folded(name)]), seconds)

    def check_token(self, token: str) -> Account | None:
        """The user of a token, or None where it is unknown or expired."""
        if (name := sessions.name_of(token)) is not None:
            user = self._users().get(name)
            is_valid = user is not None and self._key.exists() and sessions.is_valid(token, self._signing(user))
            return _account(name, user) if user and is_valid else None
        digest, now = hashlib.sha256(token.encode()).hexdigest(), datetime.now(UTC)
        account = None
        for name, user in self._users().items():
            for issued in user.tokens:
                if hmac.compare_digest(issued.sha256, digest) and issued.expires > now:
                    account = _account(name, user)
        return account

    def account(self, name: str) -> Account | None:
        """The account of that name as it is now; None where there is none."""
        user = self._users().get(_folded(name))
        return None if user is None else _account(name, user)

    def may_read(self, name: str, aoi: str) -> bool:
        """Whether there is an account of that name now that may read the data of an area."""
        account = self.account(name)
        return account is not None and account.may_read(aoi)

    @property
    def _key(self) -> Path:
        """The file with the secret that sessions are signed with; deleting it ends all of them."""
        return self.file.with_name("sessions.key")

    def _make_secret(self) -> None:
        try:
            durable.create(self._key, secrets.token_bytes(_SECRET), private=True)
        except OSError as error:
            raise ConfigError(f"{self._key} cannot be written ({error.strerror}); check its folder's rights") from error

    def _signing(self, user: User) -> bytes:
        """What the sessions of an account are signed with."""
        try:
            secret = self._key.read_bytes()
        except OSError as error:
            raise ConfigError(f"{self._key} cannot be read ({error.strerror}); check its rights") from error
        if len(secret) != _SECRET:
            raise ConfigError(f"{self._key} is no secret; delete it, and a new one is made")
        return hmac.digest(secret, f"{user.hash}\0{user.revoked}".encode(), "sha256")

    def _refuse_locked(self, key: tuple[str, str]) -> None:
        since = time.monotonic() - _LOCKED
        with self._lock:
            if len(self._failures) > _MOST_FAILING:
                self._failures = {pair: times for pair, times in self._failures.items() if times[-1] > since}
            failures = [timestamp for timestamp in self._failures.get(key, ()) if timestamp > since]
        if len(failures) >= _FAILURES:
            raise LockedOutError(failures[-_FAILURES] - since)

    def _digest(self, name: str, password: str) -> bytes:
        return hmac.digest(self._secret, f"{name}\0{password}".encode(), "sha256")

    # -- the file -----------------------------------------------------------------------------------------------------

    def _users(self) -> dict[str, User]:
        try:
            state = self.file.stat()
        except FileNotFoundError:
            return {}
        stamp = (state.st_ino, state.st_mtime_ns, state.st_size)
        with self._lock:
            if self._loaded[0] != stamp:
                self._loaded = (stamp, self._read())
            return self._loaded[1]

    def _read(self) -> dict[str, User]:
        try:
            document = json.loads(self.file.read_text("utf-8"))
            return {name: User.model_validate(entry) for name, entry in document.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, ValidationError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"{self.file} cannot be read: {reason}; mend it or delete it for a new one") from error

    @contextmanager
    def _changing(self) -> Iterator[dict[str, User]]:
        """The accounts, to be changed; written atomically, readable by the owner only, by one writer at a time."""
        try:
            self.file.parent.mkdir(mode=0o770, parents=True, exist_ok=True)
            with FileLock(self.file.with_suffix(".lock"), timeout=30):
                users = self._read()
                yield users
                self._write({name: user.model_dump(mode="json") for name, user in sorted(users.items())})
        except OSError as error:
            raise ConfigError(f"{self.file} cannot be written ({error.strerror}); check its folder's rights") from error

    def _write(self, document: Mapping[str, object]) -> None:
        with durable.replacing(self.file, private=True) as draft:
            draft.write_text(json.dumps(document, indent=4), encoding="utf-8")

    def _registered(self, users: dict[str, User], name: str) -> str:
        key = name.strip().lower()
        if key not in users:
            raise NotFoundError(f"there is no account {name!r}; there are: {', '.join(sorted(users)) or 'none yet'}")
        return key


def _account(name: str, user: User) -> Account:
    return Account(name, user.aois, user.admin, user.auditor)


def _folded(name: str) -> str:
    return name.strip().lower()


def _verified(hashed: str, password: str) -> bool:
    try:
        return _HASHER.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


def _name(name: str) -> str:
    """The normalised form of a name: lower case, without colon, which HTTP Basic does not allow."""
    normal = name.strip().lower()
    if not normal or ":" in normal or not normal.isprintable():
        raise InvalidInputError(f"{name!r} cannot be a user's name; take letters, digits, . _ - and @")
    return normal


def _areas(aois: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({aoi.strip().lower() for aoi in aois if aoi.strip()}))
