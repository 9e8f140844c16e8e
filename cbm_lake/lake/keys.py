"""`ParcelKey`: area, year, parcel set and identifier of a declared parcel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from cbm_lake.lake import options

Params: TypeAlias = dict[str, str | int]
"""Values that are bound to the $parameters of a statement."""


@dataclass(frozen=True, slots=True, order=True)
class ParcelKey:
    """A parcel of one area, year and parcel set; equal keys are the same parcel.

    The constructor takes the fields as they are; `of` takes what callers write.
    """

    aoi: str
    """The area, in lower case."""
    year: int
    ptype: str
    """Which of several parcel sets; "" is the main one."""
    pid: str
    """The agency's identifier, as text, exactly as it wrote it."""

    @classmethod
    def of(cls, aoi: object, year: object, pid: object, ptype: object = None) -> ParcelKey:
        """The key in the forms that public functions accept.

        Args:
            aoi: the area, in any case.
            year: a whole number, or the text of one.
            pid: the identifier; a number is one too.
            ptype: the parcel set; None is the main one.

        Raises:
            InvalidInputError: one of them is not what it may be; the message names it.
        """
        return cls(
            str(options.checked_option("aoi", aoi)).lower(),
            int(str(options.checked_option("year", year))),
            str(options.checked_option("ptype", "" if ptype is None else ptype)),
            str(options.checked_option("pid", pid)),
        )

    @property
    def params(self) -> Params:
        """The parameters of a query about this parcel."""
        return {"aoi": self.aoi, "year": self.year, "ptype": self.ptype, "pid": self.pid}

    @property
    def set_name(self) -> str:
        """The name of the parcel set in messages: ms 2024, or ms 2024 m."""
        return f"{self.aoi} {self.year} {self.ptype}".rstrip()

    def __str__(self) -> str:
        return f"{self.pid} of {self.set_name}"
