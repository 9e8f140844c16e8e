"""The version of this package that is installed."""

from __future__ import annotations

from functools import cache
from importlib import metadata


@cache
def version() -> str:
    """The version, which every record of what was done bears; its file is read once, as that takes milliseconds."""
    return metadata.version("cbm-lake")
