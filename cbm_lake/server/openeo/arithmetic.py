"""Callbacks of process graphs as functions of arrays: arithmetic of bands and pixels, reduction of a dimension.

Values are float64 of any shape, NaN where there is no measurement. What is true is 1, what is false 0; NaN is neither,
and `and`, `or` follow the three-valued logic of openEO.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from cbm_lake.errors import quoted
from cbm_lake.server.openeo import processes, refusals
from cbm_lake.server.openeo.graph import Graph, Json, Node, callback

Floats: TypeAlias = npt.NDArray[np.float64]

LONGEST: Final = tuple(map(str, range(1000)))
"""Labels along t, whose number is not known before scenes are looked up."""


@dataclass(frozen=True)
class Stack:
    """The values along a dimension."""

    labels: tuple[str, ...]
    arrays: Sequence[Floats]


Value: TypeAlias = "Floats | Stack"


@dataclass(frozen=True)
class Function:
    """A callback that can be applied."""

    graph: Graph
    parameter: str
    """What it is applied to: data (a `Stack`), or x."""

    @classmethod
    def of(cls, process: str, parameter: str, value: Json, argument: str) -> Function:
        """The callback of a process.

        Raises:
            OpenEoError: it is no graph, or has a process that is none of numbers.
        """
        graph = callback(process, parameter, value)
        for node in graph.nodes:
            if node.process not in _NUMBERS and node.process not in _SERIES and node.process not in _LISTS:
                raise refusals.invalid(process, parameter, f"{node.process!r} is no process of numbers")
            for unsupported, usual in _USUAL.items():
                if node.arguments.get(unsupported, usual) not in (usual, None):
                    raise refusals.invalid(node.process, unsupported, f"nothing but {usual!r} is supported")
            for parameter_named in _parameters(node.arguments.values()):
                if parameter_named != argument:
                    raise refusals.invalid(process, parameter, f"there is no parameter {quoted(parameter_named)} here")
        return cls(graph, argument)

    def used(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the labels of a dimension that the function looks at.

        Raises:
            OpenEoError: it asks for one that there is not.
        """
        names: set[str] = set()
        for node in self.graph.nodes:
            if self.parameter in _parameters(node.arguments.values()):
                names.update([_element(node, labels)] if node.process == "array_element" else labels)
        return tuple(label for label in labels if label in names)

    def check(self, labels: Sequence[str]) -> None:
        """Try the function on one pixel, as numbers and lists are told apart only when it is worked.

        Args:
            labels: of the dimension that is reduced; of single numbers they do not matter.

        Raises:
            OpenEoError: a list stands where a number is needed, or the other way round.
        """
        one: Floats = np.zeros(1)
        self(one if self.parameter == "x" else Stack(tuple(labels), [one] * len(labels)), one.shape)

    def __call__(self, value: Value, shape: tuple[int, ...]) -> Floats:
        """The function's value, in that shape."""
        results: dict[str, Value] = {}
        with np.errstate(all="ignore"):
            for node in self.graph.nodes:
                arguments = {name: self._argument(one, value, results) for name, one in node.arguments.items()}
                results[node.id] = _worked(node, arguments)
        result = results[self.graph.result]
        if isinstance(result, Stack):
            raise refusals.invalid(self.graph.nodes[-1].process, "data", "the result is a list, not one value")
        return np.broadcast_to(result, shape)

    def _argument(self, argument: Json, value: Value, results: Mapping[str, Value]) -> Value:
        if isinstance(argument, Mapping):
            if "from_node" in argument:
                return results[str(argument["from_node"])]
            if "from_parameter" in argument:
                return value
        elif isinstance(argument, str):
            return Stack((argument,), ())  # the label of a band
        elif isinstance(argument, Sequence):
            values = [self._argument(one, value, results) for one in argument]
            flat = [one for part in values for one in (part.arrays if isinstance(part, Stack) else [part])]
            return Stack(tuple(map(str, range(len(flat)))), flat)
        elif argument is None or isinstance(argument, (int, float)):
            return np.asarray(np.nan if argument is None else argument, np.float64)
        raise refusals.graph_invalid(f"{quoted(argument)} is no value")


def _parameters(values: object) -> set[str]:
    """The parameters that arguments refer to."""
    names, remaining = set(), list(values) if not isinstance(values, str) else []  # type: ignore[call-overload]
    while remaining:
        value = remaining.pop()
        if isinstance(value, Mapping):
            if isinstance(value.get("from_parameter"), str):
                names.add(str(value["from_parameter"]))
        elif isinstance(value, Sequence) and not isinstance(value, str):
            remaining += list(value)
    return names


def _element(node: Node, labels: tuple[str, ...]) -> str:
    """Which label an array_element takes."""
    label, index = node.arguments.get("label"), node.arguments.get("index")
    if isinstance(label, str) and label in labels:
        return label
    if label is None and isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(labels):
        return labels[index]
    name = "label" if label is not None else "index"
    reason = f"there is no {quoted(label if label is not None else index)}; there are: {', '.join(labels)}"
    raise refusals.OpenEoError("ArrayElementNotAvailable", f"{reason} (parameter {name!r} in process 'array_element')")


def _worked(node: Node, arguments: Mapping[str, Value]) -> Value:
    """The value of a node."""
    if node.process in _NUMBERS:
        return _NUMBERS[node.process](*_in_order(node.process, arguments))
    data = arguments["data"]
    if not isinstance(data, Stack):
        raise refusals.invalid(node.process, "data", "this is a list of numbers, not one number")
    if node.process == "array_element":
        return data.arrays[data.labels.index(_element(node, data.labels))]
    if node.process == "array_create":
        return data
    if not data.arrays:
        return np.asarray(0.0 if node.process == "count" else np.nan)
    return _SERIES[node.process](np.stack(np.broadcast_arrays(*data.arrays)))


def _in_order(process: str, arguments: Mapping[str, Value]) -> Iterator[Floats]:
    """The numbers that a process takes, in the order of its parameters; what is left out has its default."""
    for parameter in processes.ALL[process].parameters:
        value = arguments.get(parameter.name)
        if isinstance(value, Stack):
            raise refusals.invalid(process, parameter.name, "this is one number, not a list or a text")
        if parameter.name not in _USUAL:
            yield np.asarray(parameter.default, np.float64) if value is None else value


def _logical(decides: float, x: Floats, y: Floats) -> Floats:
    """`or` (1 decides) and `and` (0 decides) of three-valued logic."""
    otherwise = np.where(np.isnan(x) | np.isnan(y), np.nan, 1 - decides)
    return np.where((_truth(x) == decides) | (_truth(y) == decides), decides, otherwise)


def _truth(x: Floats) -> Floats:
    return np.where(np.isnan(x), np.nan, x != 0)


def _compared(x: Floats, y: Floats, true: npt.NDArray[np.bool_]) -> Floats:
    return np.where(np.isnan(x) | np.isnan(y), np.nan, true)


def _between(x: Floats, low: Floats, high: Floats, exclude_max: Floats) -> Floats:
    inside = (x >= low) & np.where(exclude_max != 0, x < high, x <= high)
    return np.where(np.isnan(x) | np.isnan(low) | np.isnan(high), np.nan, inside)


def _either(value: Floats, accept: Floats, reject: Floats) -> Floats:
    return np.where(_truth(value) == 1, accept, reject)


def _scaled(x: Floats, low: Floats, high: Floats, least: Floats, most: Floats) -> Floats:
    return (np.clip(x, low, high) - low) / (high - low) * (most - least) + least


_NUMBERS: Final[dict[str, Callable[..., Floats]]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "absolute": np.abs,
    "sqrt": np.sqrt,
    "ln": np.log,
    "power": np.power,
    "normalized_difference": lambda x, y: (x - y) / (x + y),
    "lt": lambda x, y: _compared(x, y, x < y),
    "lte": lambda x, y: _compared(x, y, x <= y),
    "gt": lambda x, y: _compared(x, y, x > y),
    "gte": lambda x, y: _compared(x, y, x >= y),
    "eq": lambda x, y: _compared(x, y, x == y),
    "neq": lambda x, y: _compared(x, y, x != y),
    "and": lambda x, y: _logical(0.0, x, y),
    "or": lambda x, y: _logical(1.0, x, y),
    "xor": lambda x, y: _compared(x, y, (x != 0) != (y != 0)),
    "not": lambda x: 1 - _truth(x),
    "between": _between,
    "clip": np.clip,
    "linear_scale_range": _scaled,
    "if": _either,
}
"""Processes of single numbers; their arguments are openEO's, in its order."""
_LISTS: Final = frozenset({"array_element", "array_create"})
_USUAL: Final[dict[str, object]] = {
    "ignore_nodata": True,
    "return_nodata": False,
    "context": None,
    "condition": None,
    "delta": None,
    "case_sensitive": True,
}
"""Arguments that change what is computed, and the one value of each that there is."""


def _count(values: Floats) -> Floats:
    return np.asarray(np.sum(~np.isnan(values), axis=0), np.float64)


def _mean(values: Floats) -> Floats:
    return np.asarray(np.nansum(values, axis=0) / _count(values))  # 0 / 0 is NaN


def _median(values: Floats) -> Floats:
    ordered, number = np.sort(values, axis=0), _count(values).astype(int)  # NaN comes last
    middle = (np.take_along_axis(ordered, np.maximum(n, 0)[np.newaxis], 0) for n in ((number - 1) // 2, number // 2))
    lower, upper = middle
    return np.asarray((lower[0] + upper[0]) / 2)


def _variance(values: Floats) -> Floats:
    """Of the sample; NaN of less than two values."""
    number = _count(values)
    return np.where(number > 1, np.nansum((values - _mean(values)) ** 2, axis=0) / (number - 1), np.nan)


def _sum(values: Floats) -> Floats:
    return np.where(_count(values) > 0, np.nansum(values, axis=0), np.nan)


_SERIES: Final[dict[str, Callable[[Floats], Floats]]] = {
    "mean": _mean,
    "median": _median,
    "min": lambda values: np.fmin.reduce(values, axis=0),
    "max": lambda values: np.fmax.reduce(values, axis=0),
    "sum": _sum,
    "sd": lambda values: np.sqrt(_variance(values)),
    "variance": _variance,
    "count": _count,
}
"""Reducers of a list of arrays, of shape (values, …)."""
