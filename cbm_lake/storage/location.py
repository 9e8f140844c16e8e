"""Fragments of raster hrefs: the band of the file, and the unit in which it is stored.

An href may end in a fragment: `…/x.tif#band=2`, `…/x.tif#unit=db`, `…/x.tif#band=2&unit=db`. Any other # belongs to the
file's name.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

DECIBELS: Final = "db"
_FRAGMENT = re.compile(
    r"(?P<path>.+)#(?:band=(?P<band>[1-9]\d{0,4})(?:&unit=(?P<unit>db))?|unit=(?P<only>db))", re.DOTALL
)


class Location(NamedTuple):
    """The parts of an href."""

    path: str
    """Path or URL without the fragment."""
    band: int = 0
    """Its number, from 1; 0 for the only one."""
    unit: str = ""
    """db for decibels; empty for the card's own unit."""

    @classmethod
    def of(cls, href: str) -> Location:
        """Parse an href."""
        match = _FRAGMENT.fullmatch(href)
        if not match:
            return cls(href)
        return cls(match["path"], int(match["band"] or 0), match["unit"] or match["only"] or "")

    @property
    def href(self) -> str:
        """The href that says this; without a fragment for the only band in the card's own unit."""
        parts = [f"band={self.band}"] if self.band else []
        parts += [f"unit={self.unit}"] if self.unit else []
        return f"{self.path}#{'&'.join(parts)}" if parts else self.path
