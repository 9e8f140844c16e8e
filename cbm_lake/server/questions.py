"""Shared parameters and response forms of the endpoints of the original."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

import orjson
from fastapi import Query, Request
from pydantic import AfterValidator, WithJsonSchema
from starlette.responses import Response

from cbm_lake import cards
from cbm_lake.parcel import chips

_EMPTY: Final = b"{}"

NOT_ANSWERED: Final = "X-Not-Answered"
"""The header that tells what was asked for and is not in the answer, where the original is silent."""


def _one_of(*names: str) -> Callable[[str], str]:
    """A check that a text is one of these."""

    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"Input should be {', '.join(names)}")
        return name

    return check


CardName = Annotated[str, AfterValidator(_one_of(*cards.CARDS)), Query(json_schema_extra={"enum": [*cards.CARDS]})]
_SERIES: Final = (*cards.CARDS, "scl")
SeriesName = Annotated[str, AfterValidator(_one_of(*_SERIES)), Query(json_schema_extra={"enum": [*_SERIES]})]
"""A card, or the scene classes of Sentinel-2 alone."""
_DECISIONS: Final = ("confirmed", "refused", "photo", "undecidable", "withdrawn")
Decision = Annotated[
    str, AfterValidator(_one_of(*_DECISIONS)), WithJsonSchema({"type": "string", "enum": [*_DECISIONS]})
]
"""What is decided of a light; the history has withdrawals too."""
Aoi = Annotated[str, Query(min_length=1, max_length=50, description="Area.")]
Year = Annotated[int, Query(ge=1900, le=2200, description="Year of the declaration.")]
Pid = Annotated[str, Query(max_length=200, description="Identifier of the parcel.")]
Ptype = Annotated[str, Query(max_length=50, description="Which parcel set; empty is the main one.")]
Lon = Annotated[float, Query(ge=-180, le=180, description="Degrees east.")]
Lat = Annotated[float, Query(ge=-90, le=90, description="Degrees north.")]
Flag = Annotated[str, Query(max_length=10, description="True, or anything else for no.")]
Chipsize = Annotated[int, Query(ge=1, le=chips.LARGEST, description="Metres a side.")]


def is_true(flag: str) -> bool:
    """Whether a flag is on: only that exact word is."""
    return flag == "True"


def answered(answer: object, headers: dict[str, str] | None = None) -> Response:
    """An answer; one that says that nothing was found is exactly two bytes, by which clients know it."""
    body = orjson.dumps(answer, option=orjson.OPT_NON_STR_KEYS) if answer else _EMPTY
    return Response(body, media_type="application/json", headers=headers)


def too_many(things: str, most: int) -> Response:
    """The original's answer, which is that of nothing, where more is asked for than is made; a header tells it."""
    return answered({}, {NOT_ANSWERED: f"more than {most} {things}; ask for less"})


def nothing(_: Request, __: Exception) -> Response:
    """The original's answer where there is nothing to ask."""
    return answered({})
