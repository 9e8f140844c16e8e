"""Fair scheduling of server work between accounts: concurrency, queue and time limits of each."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

_HOUR: Final = 3600.0


class BusyError(Exception):
    """It is not their turn; `seconds` says when to ask again, `status` whether they (429) or all (503) are too many."""

    def __init__(self, reason: str, status: int, seconds: float) -> None:
        super().__init__(reason)
        self.status, self.seconds = status, seconds


@dataclass(frozen=True)
class Allowance:
    """How much may be worked at once."""

    each: int = 2
    """Questions of one account."""
    all: int = 4
    """Questions of all accounts."""
    waiting: int = 2
    """Further questions of one account that wait; more are refused at once."""
    patience: float = 10.0
    """Seconds for which a question waits at most."""
    seconds: float = 3600.0
    """Seconds of work an hour of one account, and so many at once after a rest."""


class Turns:
    """Gives turns by an allowance; of one event loop."""

    def __init__(self, allowance: Allowance) -> None:
        self.allowance = allowance
        self._changed = asyncio.Condition()
        self._working: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()
        self._remaining: dict[str, tuple[float, float]] = {}

    @asynccontextmanager
    async def turn(self, who: str) -> AsyncIterator[None]:
        """A turn of an account, when it comes.

        Raises:
            BusyError: the account has too many questions already, or used its seconds up, or the server is busy.
        """
        self._check_seconds(who)
        await self._wait(who)
        began = time.monotonic()
        try:
            yield
        finally:
            self._spend(who, time.monotonic() - began)
            self._working[who] -= 1
            self._working += Counter()  # without those that have none
            async with self._changed:
                self._changed.notify_all()

    async def _wait(self, who: str) -> None:
        if not self._is_free(who):
            if self._waiting[who] >= self.allowance.waiting:
                raise self._busy(who)
            self._waiting[who] += 1
            try:
                async with asyncio.timeout(self.allowance.patience), self._changed:
                    await self._changed.wait_for(lambda: self._is_free(who))
                    self._working[who] += 1
                    return
            except TimeoutError as error:
                raise self._busy(who) from error
            finally:
                self._waiting[who] -= 1
                self._waiting += Counter()
        self._working[who] += 1

    def _is_free(self, who: str) -> bool:
        return self._working[who] < self.allowance.each and self._working.total() < self.allowance.all

    def _busy(self, who: str) -> BusyError:
        if self._working[who] >= self.allowance.each:
            most = (
                f"{self.allowance.each} of your questions are being answered, as many as one account may have at once"
            )
            return BusyError(f"{most}; ask again when one of them has ended", 429, self.allowance.patience)
        most = (
            f"{self.allowance.all} questions of all accounts are being answered, as many as this server answers at once"
        )
        return BusyError(f"{most}; ask again a little later", 503, self.allowance.patience)

    def _seconds_left(self, who: str) -> float:
        remaining, since = self._remaining.get(who, (self.allowance.seconds, 0.0))
        return min(self.allowance.seconds, remaining + (time.monotonic() - since) * self.allowance.seconds / _HOUR)

    def _check_seconds(self, who: str) -> None:
        remaining = self._seconds_left(who)
        if remaining <= 0:
            reason = f"your questions have used up their {self.allowance.seconds:g} seconds an hour; ask again later"
            raise BusyError(reason, 429, max(1.0, (1 - remaining) * _HOUR / self.allowance.seconds))

    def _spend(self, who: str, seconds: float) -> None:
        self._remaining[who] = (self._seconds_left(who) - seconds, time.monotonic())
        if len(self._remaining) > 10_000:
            rested = [name for name in self._remaining if self._seconds_left(name) >= self.allowance.seconds]
            for name in rested:
                del self._remaining[name]
