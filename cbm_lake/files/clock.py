"""The system clock, which timestamps what is written to a lake but decides nothing."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The current time in UTC, by the clock of the machine."""
    return datetime.now(UTC)
