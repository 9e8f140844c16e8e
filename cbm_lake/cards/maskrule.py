"""The mask of clear pixels as rows and the ledger state it in their column `mask`.

SCL 3,8,9,10,11                             the classes that are screened; pixels of no class are never clear
SCL 3,8,9,10,11 dilated 1                   the same grown by one pixel of the classification to all sides
SCL 3,8,9,10,11 and cloud_probability > 40  the same, and where another raster has such values, or none
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from cbm_lake.errors import InvalidInputError, quoted

_TEXT: Final = re.compile(
    r"(?P<name>\S+) (?P<classes>\d+(?:,\d+)*)(?: dilated (?P<dilate>\d+))?(?: and (?P<other>\S.*))?", re.DOTALL
)


@dataclass(frozen=True)
class MaskRule:
    """Which pixels of a scene are not clear, in words."""

    classification: str
    """Name of the band of classes."""
    classes: tuple[int, ...]
    """Those that are screened."""
    dilate: int = 0
    """By how many pixels of the classification they are grown."""
    other: str | None = None
    """A further raster and its values that are masked, as a caller writes them."""

    def __str__(self) -> str:
        grown = f" dilated {self.dilate}" if self.dilate else ""
        other = f" and {self.other}" if self.other else ""
        return f"{self.classification} {','.join(map(str, self.classes))}{grown}{other}"

    @classmethod
    def parse(cls, text: str) -> MaskRule:
        """The mask that a row or the ledger states.

        Raises:
            InvalidInputError: it is none.
        """
        parts = _TEXT.fullmatch(text)
        if parts is None:
            raise InvalidInputError(f"{quoted(text)} is no mask of clear pixels, such as 'SCL 3,8,9,10,11'")
        classes = tuple(map(int, parts["classes"].split(",")))
        return cls(parts["name"], classes, int(parts["dilate"] or 0), parts["other"])
