"""Decorators that validate the arguments of public functions, and accept call forms of earlier versions."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeAlias, TypeVar

import numpy as np
from pydantic import ConfigDict, ValidationError, validate_call

from cbm_lake.errors import InvalidInputError, argument_in_words, quoted

P = ParamSpec("P")
R = TypeVar("R")
Args: TypeAlias = tuple[object, ...]
Kwargs: TypeAlias = dict[str, object]
_NUMBERS = ("int", "float", "int | None", "float | None")
"""Annotations of numeric arguments."""
Order: TypeAlias = Callable[[Args, Kwargs], tuple[Args, Kwargs]]
"""Reorders the arguments of a call into the function's own order."""


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that numbers may be passed as text, and wrong types raise a one-line InvalidInputError."""
    strict: Callable[P, R] = validate_call(config=ConfigDict(arbitrary_types_allowed=True))(function)
    signature = inspect.signature(function)
    numbers = [name for name, each in signature.parameters.items() if str(each.annotation) in _NUMBERS]

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind_partial(*args, **kwargs).arguments if _has_flags(args, kwargs) else {}
        for name in numbers:
            if isinstance(bound.get(name), bool | np.bool_):  # which pydantic takes for 0 and 1
                problem = f"{bound[name]} is not right: a number"
                raise InvalidInputError(
                    f"{function.__name__}: {name}={problem}", plain=f"{argument_in_words(str(name))} {problem}"
                )
        try:
            return strict(*args, **kwargs)
        except ValidationError as error:
            if error.title != function.__name__:
                raise
            name, problem = _explained(function, error)
            raise InvalidInputError(
                f"{function.__name__}: {name}={problem}", plain=f"{argument_in_words(str(name))} {problem}"
            ) from error

    return call


def _has_flags(args: Args, kwargs: Kwargs) -> bool:
    return any(isinstance(value, bool | np.bool_) for value in (*args, *kwargs.values()))


def _explained(function: Callable[..., object], error: ValidationError) -> tuple[str, str]:
    """The name of an invalid argument, and its value and what is expected."""
    first = error.errors()[0]
    argument = first["loc"][0]
    names = function.__code__.co_varnames
    name = names[argument] if isinstance(argument, int) and argument < len(names) else argument
    expected = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return str(name), f"{quoted(first['input'])} is not right: {expected}"


def also(order: Order | None = None, /, **names: str) -> Callable[[Callable[P, R]], Callable[..., R]]:
    """Decorate a function so that it also accepts the call form of another library or of an earlier version.

    Args:
        order: reorders the positional arguments of another form; None where there is no other.
        names: aliases of arguments, mapped to their names here; all aliases of an argument are equivalent.

    Raises:
        InvalidInputError: in a call, one argument under two names.
    """

    def around(function: Callable[P, R]) -> Callable[..., R]:
        plain: Callable[..., R] = function

        @functools.wraps(function)
        def call(*args: object, **kwargs: object) -> R:
            if order is not None:
                args, kwargs = order(args, kwargs)
            for name in [name for name in kwargs if name in names]:
                if names[name] in kwargs:
                    raise InvalidInputError(f"{function.__name__}: {name} is {names[name]}; give one of them")
                kwargs[names[name]] = kwargs.pop(name)
            return plain(*args, **kwargs)

        return call

    return around


def ptype_stood_at(position: int, is_other: Callable[[object], bool], now: int | None = None) -> Order:
    """An `order` for `also`: calls of version 0.1 with ptype at a position where something else is expected now.

    Args:
        position: which one.
        is_other: whether a value is what is expected there now; else None and texts are a ptype.
        now: the position of ptype in the function's own order, where documents name it at both.
    """

    def order(args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
        if len(args) <= position:
            return args, kwargs
        value = args[position]
        if not (value is None or isinstance(value, str)) or is_other(value):
            return args, kwargs
        others = (*args[:position], *args[position + 1 :])
        if now is None or len(others) <= now:
            return others, {"ptype": value, **kwargs}
        if value not in (None, others[now]):
            raise InvalidInputError(f"ptype is {value!r} at one position and {others[now]!r} at another; give one")
        return others, kwargs

    return order


def is_number(value: object) -> bool:
    """Whether a value is a number or the text of one; True and False are not."""
    if isinstance(value, (bool, np.bool_)):
        return False
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True
