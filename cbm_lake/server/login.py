"""Authentication of requests to the REST service and the page, with bounded work for unauthenticated clients.

A recently verified login is recognised at once. Any other must be hashed, which is slow on purpose: it counts against
the rate limit of the address, and then one at a time is hashed (by all cores) while a few wait.
"""

from __future__ import annotations

import asyncio
import base64
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from cbm_lake.server.accounts import Account, Accounts, LockedOutError
from cbm_lake.server.limits import Rate, RefusalError, retry_after, sender_of

CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="Login Required"'}
_OF_OPENEO: Final = "basic//"
"""What clients of openEO write before a token that they got for name and password."""
_HASHED_AT_ONCE: Final = 1
_NICENESS: Final = 2
"""By how much hashing gives way to those who are logged in."""
_MOST_WAITING: Final = 20
"""Passwords that wait to be hashed; more are sent away."""
_MOST_OF_ADDRESS: Final = 8
"""Of these, those of one address."""
_LONGEST: Final = 4096
"""Characters of a header Authorization; no name and password have more."""
_STRANGERS: Final = (2.0, 20.0)
"""Requests a second of an address without a login that is known, and so many at once after a rest."""

_Key = tuple[str, str, str]
"""Name, password, address."""


class Door:
    """Lets accounts in by name and password or token."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts
        self._strangers = Rate(*_STRANGERS)
        self._hashers = ThreadPoolExecutor(_HASHED_AT_ONCE, "login", _give_way)
        self._hashing: dict[_Key, asyncio.Task[Account | None]] = {}

    async def enter(self, header: str, address: str) -> Account:
        """Whose login the header Authorization is.

        Raises:
            RefusalError: nobody's (401), the address or the name is to wait (429), or too many log in at once (503).
        """
        address = sender_of(address)
        scheme, _, value = header.partition(" ")
        account = None
        if scheme.lower() == "bearer":
            account = self.accounts.check_token(value.strip().removeprefix(_OF_OPENEO))
        elif scheme.lower() == "basic":
            name, password = credentials(header)
            if name:
                return await self.by_password(name, password, address)
        if account is None:
            self._strangers.ask(address)
            raise _nobody()
        return account

    def close(self) -> None:
        """End the threads that hash."""
        self._hashers.shutdown(wait=False, cancel_futures=True)

    async def by_password(self, name: str, password: str, address: str) -> Account:
        """Whose name and password these are; errors are those of `enter`."""
        address = sender_of(address)
        if not name or len(name) + len(password) > _LONGEST:
            self._strangers.ask(address)
            raise _nobody()
        try:
            account = self.accounts.recognised(name, password, address)
            if account is None:
                account = await self._hashed((name, password, address))
        except LockedOutError as error:
            self._strangers.ask(address)  # beyond the allowance all names are answered alike
            raise RefusalError(429, str(error), retry_after(error.seconds)) from error
        if account is None:
            raise _nobody()
        return account

    async def _hashed(self, key: _Key) -> Account | None:
        """Whose password it is, by argon2; who asks with the same one meanwhile waits for the same answer."""
        task = self._hashing.get(key)
        if task is None:
            self._make_room(key)
            task = asyncio.ensure_future(self._checked(key))
            self._hashing[key] = task
            task.add_done_callback(lambda _: self._hashing.pop(key, None))
        return await asyncio.shield(task)

    def _make_room(self, key: _Key) -> None:
        name, _, address = key
        try:
            self._strangers.ask(address)
        except RefusalError:
            self.accounts.count_if_wrong(name, address)
            raise
        of_address = sum(other == address for _, _, other in self._hashing)
        if of_address >= _MOST_OF_ADDRESS or len(self._hashing) >= _HASHED_AT_ONCE + _MOST_WAITING:
            raise RefusalError(503, "too many log in at once; wait a little", retry_after(2))

    async def _checked(self, key: _Key) -> Account | None:
        account = await asyncio.get_running_loop().run_in_executor(self._hashers, self.accounts.check, *key)
        if account is not None:
            self._strangers.give_back(key[2])
        return account


def _give_way() -> None:
    """Let this thread, and those that it begins, have less of the processor, where threads have shares of it."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def credentials(header: str) -> tuple[str, str]:
    """Name and password of HTTP Basic; empty where there are none that can be read."""
    if len(header) > _LONGEST:
        return "", ""
    scheme, _, value = header.partition(" ")
    try:
        text = base64.b64decode(value.strip(), validate=True).decode("utf-8")
    except ValueError:  # no base64, no ASCII, no UTF-8
        return "", ""
    name, _, password = text.partition(":")
    return (name, password) if scheme.lower() == "basic" else ("", "")


def _nobody() -> RefusalError:
    return RefusalError(401, "Could not verify.", CHALLENGE)
