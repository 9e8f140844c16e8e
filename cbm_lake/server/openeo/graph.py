"""Process graphs: read, bounded, and put in the order in which their nodes are worked; nothing here recurses.

A callback (the graph that a process applies to pixels or series) is read by the same rules as a whole graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from cbm_lake.errors import quoted
from cbm_lake.server.openeo import processes, refusals

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

MOST_NODES: Final = 1000
"""Nodes of a graph, those of its callbacks included."""
_DEEPEST: Final = 64
"""Lists and objects within each other in the arguments of a node, of which callbacks are a part."""
_OPAQUE: Final = frozenset({"coordinates", "geometry", "features", "geometries"})
"""Keys of GeoJSON, in which no node is referred to."""


@dataclass(frozen=True)
class Node:
    """One step of a graph."""

    id: str
    process: str
    arguments: Mapping[str, Json]
    needs: tuple[str, ...]
    """The nodes whose results are among its arguments."""


@dataclass(frozen=True)
class Graph:
    """The nodes of a graph in an order in which each follows what it needs, and the one whose result is the graph's."""

    nodes: tuple[Node, ...]
    result: str


def read(document: Json) -> Graph:
    """The graph of a document {node id: {process_id, arguments, result}}.

    Raises:
        OpenEoError: it is none, has a cycle, too many nodes, or a process that there is not.
    """
    if not isinstance(document, Mapping) or not document:
        raise refusals.graph_invalid("a process graph is an object with a node at least, each by its identifier")
    if len(document) > MOST_NODES:
        raise refusals.graph_invalid(f"the graph has {len(document)} nodes; {MOST_NODES} are the most that are read")
    nodes = {name: _node(name, entry) for name, entry in document.items()}
    for node in nodes.values():
        unknown = [need for need in node.needs if need not in nodes]
        if unknown:
            raise refusals.graph_invalid(f"node {quoted(node.id)} needs {quoted(unknown[0])}, which is no node")
    return Graph(tuple(_ordered(nodes)), _result(document))


def _node(name: str, entry: Json) -> Node:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("process_id"), str):
        raise refusals.graph_invalid(f"node {quoted(name)} has no process_id")
    process, arguments = str(entry["process_id"]), entry.get("arguments", {})
    if entry.get("namespace") not in (None, "backend") or process not in processes.ALL:
        raise refusals.unsupported(process)
    if not isinstance(arguments, Mapping):
        raise refusals.graph_invalid(f"the arguments of node {quoted(name)} are no object")
    _check_names(process, arguments)
    return Node(name, process, arguments, tuple(dict.fromkeys(_references(name, arguments))))


def _check_names(process: str, arguments: Mapping[str, Json]) -> None:
    """Raise what is wrong with the names of arguments: none is left out in silence."""
    for parameter in processes.ALL[process].parameters:
        if not parameter.optional and parameter.name not in arguments:
            raise refusals.missing(process, parameter.name)
    names = {parameter.name for parameter in processes.ALL[process].parameters}
    for name, value in arguments.items():
        if name not in names and value is not None:
            raise refusals.OpenEoError(
                "ProcessParameterUnsupported", f"process {process!r} has no parameter {quoted(name)} here"
            )


def _references(name: str, arguments: Mapping[str, Json]) -> Iterator[str]:
    """The nodes that arguments refer to; those inside a callback are the callback's own."""
    remaining: list[tuple[Json, int]] = [(value, 1) for value in arguments.values()]
    while remaining:
        value, depth = remaining.pop()
        if depth > _DEEPEST:
            raise refusals.graph_invalid(f"the arguments of node {quoted(name)} are nested too deeply")
        if isinstance(value, Mapping):
            if isinstance(value.get("from_node"), str):
                yield str(value["from_node"])
            elif "process_graph" not in value:
                remaining += [(one, depth + 1) for key, one in value.items() if key not in _OPAQUE]
        elif isinstance(value, Sequence) and not isinstance(value, str):
            remaining += [(one, depth + 1) for one in value if not isinstance(one, str)]


def _ordered(nodes: Mapping[str, Node]) -> Iterator[Node]:
    """Nodes after what they need (Kahn's algorithm)."""
    missing = {name: len(node.needs) for name, node in nodes.items()}
    users: dict[str, list[str]] = {name: [] for name in nodes}
    for name, node in nodes.items():
        for need in node.needs:
            users[need].append(name)
    ready = [name for name, number in missing.items() if not number]
    done = 0
    while ready:
        name = ready.pop()
        done += 1
        yield nodes[name]
        for user in users[name]:
            missing[user] -= 1
            if not missing[user]:
                ready.append(user)
    if done < len(nodes):
        circle = next(name for name, number in missing.items() if number)
        raise refusals.graph_invalid(f"the graph has a cycle: node {quoted(circle)} needs its own result")


def _result(document: Mapping[str, Json]) -> str:
    """The one node that says that its result is that of the graph; of a single node it need not."""
    results = [name for name, entry in document.items() if isinstance(entry, Mapping) and entry.get("result") is True]
    if len(results) == 1:
        return results[0]
    if not results and len(document) == 1:
        return next(iter(document))
    raise refusals.graph_invalid(f"one node is the result (result: true), not {len(results)}")


def callback(process: str, parameter: str, value: Json) -> Graph:
    """The graph that is an argument of a process.

    Raises:
        OpenEoError: it is none.
    """
    if not isinstance(value, Mapping) or "process_graph" not in value:
        raise refusals.invalid(process, parameter, "this is a process graph, {process_graph: …}")
    return read(value["process_graph"])
