"""Holds what a caller gives against the annotations of a public function, once, at its door."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from pydantic import ConfigDict, ValidationError, validate_call

from cbm_lake.errors import InvalidInputError

P = ParamSpec("P")
R = TypeVar("R")


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """The function, to which numbers may come as text, and what is of another kind is one line of InvalidInputError."""
    strict: Callable[P, R] = validate_call(config=ConfigDict(arbitrary_types_allowed=True))(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return strict(*args, **kwargs)
        except ValidationError as error:
            if error.title != function.__name__:
                raise
            raise InvalidInputError(f"{function.__name__}: {_told(function, error)}") from error

    return call


def _told(function: Callable[..., object], error: ValidationError) -> str:
    """Which argument, what came, and what is wanted."""
    first = error.errors()[0]
    place = first["loc"][0]
    names = function.__code__.co_varnames
    name = names[place] if isinstance(place, int) and place < len(names) else place
    wanted = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    given = repr(first["input"]) if len(repr(first["input"])) <= 60 else type(first["input"]).__name__
    return f"{name}={given} is not right: {wanted}"
