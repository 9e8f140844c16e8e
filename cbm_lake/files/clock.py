"""The clock of the machine, which dates what is written to a lake and decides nothing."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """This moment in UTC, as the machine has it."""
    return datetime.now(UTC)
