"""The pixel rule: which pixels of a raster belong to a parcel, as rows and the ledger state it in their column `rule`.

centre                              pixels whose centre is inside the parcel
coverage                            pixels weighted by the share of them that is inside
centre, 5 m inside                  the same of the parcel without a margin of 5 m: its inner buffer
centre, too small for 5 m inside    the whole parcel, since too few pixels would be left of it
centre, moved +5.0 -1.5 m           the parcel moved eastwards and northwards, with the shift of the scene
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from cbm_lake.errors import InvalidInputError, quoted, wrong_argument

METHODS: Final = ("centre", "coverage")
"""centre: a pixel belongs to a parcel when its centre is inside; coverage: pixels weigh by the part that is inside."""

WIDEST_BUFFER: Final = 100.0
"""The widest inner buffer in metres: it leaves nothing of a parcel that is narrower than 200 m."""

_INSIDE = re.compile(
    r"(?P<method>\w+)(?:, (?P<small>too small for )?(?P<metres>[\d.]+(?:e-\d+)?) m inside)?"
    r"(?:, moved (?P<east>[+-]\d+\.\d) (?P<north>[+-]\d+\.\d) m)?"
)


@dataclass(frozen=True)
class PixelRule:
    """Which pixels of a raster belong to a parcel."""

    method: str = "centre"
    """One of `METHODS`."""
    inner_buffer: float = 0.0
    """Width in metres of the margin inside the parcel's boundary, and round its holes, whose pixels do not count."""
    too_small: bool = False
    """Whether the parcel counts as a whole nevertheless, since too few pixels would be left of it."""
    moved: tuple[float, float] = (0.0, 0.0)
    """Metres eastwards and northwards, in tenths, by which the parcel is moved: the shift of the scene."""

    def __str__(self) -> str:
        moved = ", moved {:+.1f} {:+.1f} m".format(*self.moved) if any(self.moved) else ""
        if not self.inner_buffer:
            return f"{self.method}{moved}"
        return f"{self.method}, {'too small for ' if self.too_small else ''}{self._margin} m inside{moved}"

    @property
    def _margin(self) -> str:
        """The shortest decimal form of the buffer that is read back as the same number."""
        short = f"{self.inner_buffer:.12g}"
        return short if float(short) == self.inner_buffer else repr(self.inner_buffer)

    @property
    def of_small(self) -> PixelRule:
        """The rule of parcels that are too small for its inner buffer."""
        return replace(self, too_small=bool(self.inner_buffer))

    def index_name(self, grid: str) -> str:
        """The name of the pixel index of a parcel set on a grid: one for each buffer and shift, whatever the method."""
        inside = f"_{self._margin}m_inside" if self.inner_buffer else ""
        moved = "_moved_{:+.1f}_{:+.1f}m".format(*self.moved) if any(self.moved) else ""
        return f"{grid}{inside}{moved}"

    @classmethod
    def parse(cls, text: str) -> PixelRule:
        """The rule that a row or the ledger states.

        Raises:
            InvalidInputError: it is none.
        """
        parts = _INSIDE.fullmatch(text)
        if not parts or parts["method"] not in METHODS:
            raise InvalidInputError(f"{quoted(text)} is no pixel rule, such as 'centre' or 'centre, 5 m inside'")
        metres = parts["metres"]
        moved = (float(parts["east"] or 0), float(parts["north"] or 0))
        return cls(parts["method"], checked_buffer(float(metres)) if metres else 0.0, bool(parts["small"]), moved)


def checked_method(rule: str) -> str:
    """Validate a caller's rule.

    Raises:
        InvalidInputError: it is none of `METHODS`.
    """
    if rule not in METHODS:
        raise InvalidInputError(f"unknown rule {rule!r}; choose from {', '.join(METHODS)}")
    return rule


def checked_buffer(inner_buffer: object) -> float:
    """The width of an inner buffer in metres.

    Raises:
        InvalidInputError: it is no number from 0 to `WIDEST_BUFFER`.
    """
    is_number = isinstance(inner_buffer, int | float | np.integer | np.floating) and not isinstance(inner_buffer, bool)
    if not is_number or not 0 <= inner_buffer <= WIDEST_BUFFER:  # type: ignore[operator]
        raise wrong_argument(
            "inner_buffer",
            f"{quoted(inner_buffer)} is no width of a margin inside parcels; "
            f"give metres, from 0 (none) to {WIDEST_BUFFER:g}",
        )
    return float(inner_buffer) + 0.0  # type: ignore[arg-type]  # -0.0 is 0
