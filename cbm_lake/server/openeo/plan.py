"""What a process graph asks for: layers, polygons, statistics and a format, checked before anything is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Final, TypeAlias

from cbm_lake import cards
from cbm_lake.errors import quoted
from cbm_lake.server.openeo import geometries, processes, refusals
from cbm_lake.server.openeo.arithmetic import LONGEST, Function
from cbm_lake.server.openeo.geometries import Geometries, Sets
from cbm_lake.server.openeo.graph import Graph, Json, Node, callback, read
from cbm_lake.server.openeo.layers import Apply, Layer, Mask, OfBands, OfPeriod, OfTime, Select, Time, needs

_MOST_QUANTILES: Final = 100


@dataclass(frozen=True)
class Output:
    """A statistic of the pixels of a polygon."""

    name: str
    """mean, median, min, max, sd, variance, sum, count or q and a probability."""
    probability: float | None = None
    """Of a quantile, the median among them."""


@dataclass(frozen=True)
class Aggregated:
    """Statistics of polygons."""

    layer: Layer
    geometries: Geometries
    outputs: tuple[Output, ...]


@dataclass(frozen=True)
class Plan:
    """What is to be computed, and how it is written."""

    aggregated: Aggregated
    format: str


_Result: TypeAlias = "Layer | Geometries | Aggregated | Plan"


def of_document(document: Json, sets: Sets, collections: Sequence[str]) -> Plan:
    """The plan of a process graph.

    Args:
        document: the graph.
        sets: the parcel sets that may be read.
        collections: the names of the cards that may be read.

    Raises:
        OpenEoError: a process, an argument or the graph is not supported.
    """
    graph = read(document)
    planner = _Planner(graph, sets, collections)
    for node in graph.nodes:
        if node.process not in _CUBES:
            raise refusals.OpenEoError(
                "ProcessGraphInvalid", f"process {node.process!r} works on numbers: it is used in callbacks only"
            )
        planner.results[node.id] = _CUBES[node.process](planner, node)
    result = planner.results[graph.result]
    if isinstance(result, Aggregated):
        result = Plan(result, "JSON")
    if not isinstance(result, Plan):
        raise refusals.graph_invalid("the result is a cube of pixels or polygons; end with aggregate_spatial")
    needs(result.aggregated.layer)  # says which labels of bands there are not
    return result


@dataclass
class _Planner:
    graph: Graph
    sets: Sets
    collections: Sequence[str]

    def __post_init__(self) -> None:
        self.results: dict[str, _Result] = {}

    def layer(self, node: Node, parameter: str = "data") -> Layer:
        """The cube of pixels that is an argument."""
        result = self._result(node, parameter)
        if not isinstance(result, Layer):
            raise refusals.invalid(node.process, parameter, "this is no cube of pixels")
        return result

    def _result(self, node: Node, parameter: str) -> _Result | None:
        argument = node.arguments.get(parameter)
        if isinstance(argument, Mapping) and isinstance(argument.get("from_node"), str):
            return self.results[str(argument["from_node"])]
        return None

    def polygons(self, node: Node) -> Geometries:
        """The polygons that are an argument."""
        argument, result = node.arguments["geometries"], self._result(node, "geometries")
        if isinstance(result, geometries.Declared | geometries.Uploaded):
            return result
        if isinstance(argument, str):
            return geometries.of_address(argument, self.sets, node.process)
        return geometries.of_geojson(argument, node.process, "geometries")

    def aggregated(self, node: Node) -> Aggregated:
        """The statistics that are an argument."""
        result = self._result(node, "data")
        if not isinstance(result, Aggregated):
            reason = "cubes of pixels are not written here; aggregate_spatial comes first"
            raise refusals.invalid(node.process, "data", reason)
        return result


# -- cubes --------------------------------------------------------------------------------------------------------


def _load_collection(planner: _Planner, node: Node) -> Layer:
    name = node.arguments["id"]
    if name not in planner.collections or not isinstance(name, str):
        listing = ", ".join(planner.collections) or "none"
        raise refusals.OpenEoError(
            "CollectionNotFound", f"there is no collection {quoted(name)}; those that you may read: {listing}"
        )
    card = cards.get(name)
    layer = _limited(Layer(card, card.rasters), node, node.arguments["temporal_extent"], "temporal_extent")
    space = node.arguments["spatial_extent"]
    layer = layer if space is None else _within(layer, node, space, "spatial_extent")
    bands = node.arguments.get("bands")
    return layer if bands is None else _selected(layer, node, bands)


def _filter_temporal(planner: _Planner, node: Node) -> Layer:
    return _limited(planner.layer(node), node, node.arguments["extent"], "extent")


def _filter_bands(planner: _Planner, node: Node) -> Layer:
    return _selected(planner.layer(node), node, node.arguments["bands"])


def _filter_bbox(planner: _Planner, node: Node) -> Layer:
    return _within(planner.layer(node), node, node.arguments["extent"], "extent")


def _filter_spatial(planner: _Planner, node: Node) -> Layer:
    import shapely

    polygons = planner.polygons(node)
    if isinstance(polygons, geometries.Declared):
        raise refusals.invalid(node.process, "geometries", "give GeoJSON; parcel sets go to aggregate_spatial")
    layer = planner.layer(node)
    return replace(layer, areas=(*layer.areas, shapely.union_all(polygons.shapes)))


def _within(layer: Layer, node: Node, space: Json, parameter: str) -> Layer:
    """A layer whose pixels beyond an area do not count."""
    import shapely

    if isinstance(space, Mapping) and "type" in space:
        area = shapely.union_all(geometries.of_geojson(space, node.process, parameter).shapes)
    else:
        area = geometries.box(space, node.process, parameter)
    return replace(layer, areas=(*layer.areas, area))


def _limited(layer: Layer, node: Node, extent: Json, parameter: str) -> Layer:
    """A layer without what is before or after an interval."""
    if extent is None:
        return layer
    if layer.time is not Time.SCENES:
        raise refusals.invalid(node.process, parameter, "filter the time before it is aggregated")
    if not isinstance(extent, Sequence) or isinstance(extent, str) or len(extent) != 2:
        raise refusals.invalid(node.process, parameter, "write two moments, [first, the one after the last]")
    start, end = (_moment(value, node, parameter) for value in extent)
    start = max(filter(None, (layer.start, start)), default=None)
    end = min(filter(None, (layer.end, end)), default=None)
    if start is not None and end is not None and start >= end:
        reason = f"the temporal extent is empty: {start:%Y-%m-%d %H:%M} is not before {end:%Y-%m-%d %H:%M}"
        raise refusals.OpenEoError("TemporalExtentEmpty", f"{reason} (the end does not count)")
    return replace(layer, start=start, end=end)


def _moment(value: Json, node: Node, parameter: str) -> datetime | None:
    if value is None:
        return None
    try:
        if isinstance(value, str) and len(value) == len("2024-01-01"):
            return datetime.combine(date.fromisoformat(value), time(), UTC)
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise refusals.invalid(node.process, parameter, f"{quoted(value)} is no moment, such as 2024-05-01")


def _selected(layer: Layer, node: Node, bands: Json) -> Layer:
    """A layer with some of its bands, in the order in which they are named."""
    if not isinstance(bands, Sequence) or isinstance(bands, str) or not bands:
        raise refusals.invalid(node.process, "bands", "name a band at least, in a list")
    names = tuple(dict.fromkeys(_band(layer, node, "bands", name) for name in bands))
    return layer.then(Select(), labels=names)


def _band(layer: Layer, node: Node, parameter: str, name: Json) -> str:
    """The label of a band by its name or common name."""
    labels = layer.labels or ()
    if isinstance(name, str):
        if name in labels:
            return name
        common = layer.card.aliases.get(name.lower())
        if common in labels and common is not None:
            return common
    reason = f"there is no band {quoted(name)}; there are: {', '.join(labels) or 'none any more'}"
    raise refusals.invalid(node.process, parameter, reason)


def _mask(planner: _Planner, node: Node) -> Layer:
    layer, mask = planner.layer(node), planner.layer(node, "mask")
    if mask.card != layer.card:
        raise refusals.invalid(node.process, "mask", "it is of another collection than the data")
    if mask.time is not layer.time:
        raise refusals.invalid(node.process, "mask", "it has other labels along t than the data")
    later = mask.start is not None and (layer.start is None or mask.start > layer.start)
    earlier = mask.end is not None and (layer.end is None or mask.end < layer.end)
    if later or earlier or any(area not in layer.areas for area in mask.areas):
        raise refusals.invalid(node.process, "mask", "it covers less time or ground than the data")
    if len(mask.bands) > 1 and set(mask.bands) != set(layer.bands):
        raise refusals.invalid(node.process, "mask", "it has other bands than the data; reduce it to one")
    replacement = node.arguments.get("replacement")
    if replacement is not None and (isinstance(replacement, bool) or not isinstance(replacement, (int, float))):
        raise refusals.invalid(node.process, "replacement", "this is a number or null")
    return layer.then(Mask(float("nan") if replacement is None else float(replacement)), mask)


def _ndvi(planner: _Planner, node: Node) -> Layer:
    layer = planner.layer(node)
    nir, red = (_band(layer, node, name, node.arguments.get(name) or name) for name in ("nir", "red"))
    target = node.arguments.get("target_band")
    if target is not None and (not isinstance(target, str) or not target or target in layer.bands):
        raise refusals.OpenEoError("BandExists", f"{quoted(target)} is no name of a new band (process 'ndvi')")
    graph: Json = {
        "nir": {"process_id": "array_element", "arguments": {"data": {"from_parameter": "data"}, "label": nir}},
        "red": {"process_id": "array_element", "arguments": {"data": {"from_parameter": "data"}, "label": red}},
        "ndvi": {
            "process_id": "normalized_difference",
            "arguments": {"x": {"from_node": "nir"}, "y": {"from_node": "red"}},
            "result": True,
        },
    }
    function = Function.of("ndvi", "nir", {"process_graph": graph}, "data")
    if target is None:
        return layer.then(OfBands(function), labels=None)
    return layer.then(OfBands(function, target), labels=(*layer.bands, target))


def _apply(planner: _Planner, node: Node) -> Layer:
    _refuse_context(node)
    function = Function.of("apply", "process", node.arguments["process"], "x")
    function.check(())
    return planner.layer(node).then(Apply(function))


def _reduce_dimension(planner: _Planner, node: Node) -> Layer:
    _refuse_context(node)
    layer, dimension = planner.layer(node), node.arguments["dimension"]
    function = Function.of(node.process, "reducer", node.arguments["reducer"], "data")
    if dimension == "bands" and layer.labels is not None:
        function.check(layer.labels)
        return layer.then(OfBands(function), labels=None)
    if dimension == "t" and layer.time is not Time.NONE:
        function.check(LONGEST)
        return layer.then(OfTime(function), time=Time.NONE)
    there = [*(["t"] if layer.time is not Time.NONE else []), *(["bands"] if layer.labels is not None else [])]
    reason = f"there is no dimension {quoted(dimension)} to reduce; there are: {', '.join(there) or 'x and y only'}"
    raise refusals.OpenEoError("DimensionNotAvailable", f"{reason} (process 'reduce_dimension')")


def _aggregate_temporal_period(planner: _Planner, node: Node) -> Layer:
    _refuse_context(node)
    layer, period = planner.layer(node), node.arguments["period"]
    if period not in processes.PERIODS or not isinstance(period, str):
        reason = f"{quoted(period)} is none; choose from {', '.join(processes.PERIODS)}"
        raise refusals.invalid(node.process, "period", reason)
    if layer.time is not Time.SCENES or node.arguments.get("dimension") not in (None, "t"):
        raise refusals.invalid(node.process, "dimension", "the cube has no scenes along it")
    function = Function.of(node.process, "reducer", node.arguments["reducer"], "data")
    function.check(LONGEST)
    return layer.then(OfPeriod(function, period), time=Time.PERIODS)


def _refuse_context(node: Node) -> None:
    if node.arguments.get("context") is not None:
        raise refusals.invalid(node.process, "context", "nothing but null is supported")


# -- polygons and statistics --------------------------------------------------------------------------------------


def _load_geojson(planner: _Planner, node: Node) -> Geometries:
    if node.arguments.get("properties"):
        raise refusals.invalid(node.process, "properties", "properties of polygons are not read here")
    return geometries.of_geojson(node.arguments["data"], node.process, "data")


def _load_url(planner: _Planner, node: Node) -> Geometries:
    if str(node.arguments["format"]).lower() not in ("", "geojson") or node.arguments.get("options"):
        raise refusals.invalid(node.process, "format", "parcel sets are GeoJSON, without options")
    return geometries.of_address(node.arguments["url"], planner.sets)


def _aggregate_spatial(planner: _Planner, node: Node) -> Aggregated:
    _refuse_context(node)
    if node.arguments.get("target_dimension") is not None:
        raise refusals.invalid(node.process, "target_dimension", "nothing but null is supported")
    outputs = _outputs(callback(node.process, "reducer", node.arguments["reducer"]))
    return Aggregated(planner.layer(node), planner.polygons(node), outputs)


def _outputs(graph: Graph) -> tuple[Output, ...]:
    """The statistics that a reducer asks for: one process, or an array of several."""
    nodes = {node.id: node for node in graph.nodes}
    last = nodes[graph.result]
    listed: Sequence[Node] = [last]
    if last.process == "array_create":
        data = last.arguments["data"]
        references = [one for one in data if isinstance(one, Mapping)] if isinstance(data, Sequence) else []
        names = [str(one.get("from_node")) for one in references]
        if not names or len(names) != len(data) or any(name not in nodes for name in names):  # type: ignore[arg-type]
            raise refusals.invalid("array_create", "data", "this is a list of statistics, each of the pixels")
        listed = [nodes[name] for name in names]
    return tuple(output for node in listed for output in _output(node))


def _output(node: Node) -> list[Output]:
    if node.process not in _STATISTICS:
        advice = f"aggregate_spatial offers {', '.join(_STATISTICS)}"
        raise refusals.invalid("aggregate_spatial", "reducer", f"{node.process!r} is no statistic of pixels; {advice}")
    if node.arguments["data"] != {"from_parameter": "data"}:
        raise refusals.invalid(node.process, "data", "this is the pixels themselves, {from_parameter: data}")
    if node.arguments.get("ignore_nodata") is False or node.arguments.get("condition") is not None:
        raise refusals.invalid(node.process, "ignore_nodata", "what is no measurement never counts")
    if node.process == "quantiles":
        return [Output(f"q{100 * one:g}", one) for one in _probabilities(node)]
    return [Output(node.process, 0.5 if node.process == "median" else None)]


def _probabilities(node: Node) -> list[float]:
    probabilities, parts = node.arguments.get("probabilities"), node.arguments.get("q")
    if parts is None and isinstance(probabilities, int) and not isinstance(probabilities, bool):
        probabilities, parts = None, probabilities  # as clients of the first versions write it
    if probabilities is None and isinstance(parts, int) and 2 <= parts <= _MOST_QUANTILES:
        return [number / parts for number in range(1, parts)]
    listed = probabilities if isinstance(probabilities, Sequence) and not isinstance(probabilities, str) else ()
    numbers = [float(one) for one in listed if isinstance(one, (int, float)) and 0 <= one <= 1]
    if parts is not None or not numbers or len(numbers) != len(listed) or len(numbers) > _MOST_QUANTILES:
        raise refusals.invalid(node.process, "probabilities", "write numbers from 0 to 1, at most 100 of them")
    return numbers


def _save_result(planner: _Planner, node: Node) -> Plan:
    name = str(node.arguments["format"]).lower()
    formats = {one.lower(): one for one in processes.FORMATS}
    if name not in formats:
        listing = ", ".join(processes.FORMATS)
        raise refusals.OpenEoError(
            "FormatUnsupported", f"there is no format {quoted(node.arguments['format'])}; there are: {listing}"
        )
    if node.arguments.get("options"):
        raise refusals.invalid(node.process, "options", "no options are known")
    return Plan(planner.aggregated(node), formats[name])


_STATISTICS: Final = ("mean", "median", "min", "max", "sd", "variance", "sum", "count", "quantiles")
_CUBES: Final[dict[str, Callable[[_Planner, Node], _Result]]] = {
    "load_collection": _load_collection,
    "filter_temporal": _filter_temporal,
    "filter_bands": _filter_bands,
    "filter_bbox": _filter_bbox,
    "filter_spatial": _filter_spatial,
    "mask": _mask,
    "ndvi": _ndvi,
    "apply": _apply,
    "reduce_dimension": _reduce_dimension,
    "aggregate_temporal_period": _aggregate_temporal_period,
    "aggregate_spatial": _aggregate_spatial,
    "load_geojson": _load_geojson,
    "load_url": _load_url,
    "save_result": _save_result,
}
