"""The clock of the machine, which dates what is written to a lake and decides nothing."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The current time in UTC, by the clock of the machine."""
    return datetime.now(UTC)
