"""The processes that there are, as `GET /processes` lists them: what is not listed here is refused by its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias

Schema: TypeAlias = Mapping[str, object]
"""A JSON schema."""
_CUBE: Final[Schema] = {"type": "object", "subtype": "datacube"}
_CALLBACK: Final[Schema] = {"type": "object", "subtype": "process-graph"}
_NUMBER: Final[Schema] = {"type": ["number", "null"]}
_ANY: Final[Schema] = {}
_LIST: Final[Schema] = {"type": "array", "items": {"type": ["number", "boolean", "null"]}}
_TEXT: Final[Schema] = {"type": "string"}
_BANDS: Final[Schema] = {"type": "array", "items": {"type": "string", "subtype": "band-name"}}
_EXTENT: Final[Schema] = {"type": ["array", "null"], "subtype": "temporal-interval", "minItems": 2, "maxItems": 2}
_SPACE: Final[Schema] = {"type": ["object", "null"], "subtype": "bounding-box"}
_GEOJSON: Final[Schema] = {"type": "object", "subtype": "geojson"}
_BOOLEAN: Final[Schema] = {"type": ["boolean", "null"]}
PERIODS: Final = ("day", "week", "dekad", "month", "season", "year")
FORMATS: Final = ("JSON", "CSV", "Parquet", "GeoParquet", "netCDF")


@dataclass(frozen=True)
class Parameter:
    """A parameter of a process."""

    name: str
    description: str
    schema: Schema = field(default_factory=dict)
    optional: bool = False
    default: object = None

    @property
    def document(self) -> dict[str, object]:
        """As openEO writes it."""
        described: dict[str, object] = {"name": self.name, "description": self.description, "schema": self.schema}
        return {**described, "optional": True, "default": self.default} if self.optional else described


@dataclass(frozen=True)
class Process:
    """A process."""

    id: str
    summary: str
    parameters: tuple[Parameter, ...]
    returns: Schema
    categories: tuple[str, ...]

    @property
    def document(self) -> dict[str, object]:
        """As openEO writes it."""
        return {
            "id": self.id,
            "summary": self.summary,
            "description": f"{self.summary}.",
            "categories": list(self.categories),
            "parameters": [parameter.document for parameter in self.parameters],
            "returns": {"description": "The result.", "schema": self.returns},
        }


_DATA: Final = Parameter("data", "A data cube.", _CUBE)
_CONTEXT: Final = Parameter("context", "Not used: nothing but null.", _ANY, optional=True)
_VALUES: Final = Parameter("data", "Numbers; what is no measurement does not count.", _LIST)
_IGNORE: Final = Parameter("ignore_nodata", "Nothing but true.", _BOOLEAN, optional=True, default=True)
_X: Final = Parameter("x", "A number.", _NUMBER)
_Y: Final = Parameter("y", "A number.", _NUMBER)


def _at_the_ends() -> tuple[Process, ...]:
    """What loads, limits and saves."""
    bands = Parameter("bands", "Names, or common names such as red.", _BANDS)
    optional_bands = Parameter("bands", "Names, or common names such as red.", _BANDS, optional=True)
    url = Parameter("url", "Address of a parcel set here: …/ogc/collections/parcels_ms_2024/items?ids=…", _TEXT)
    uploaded = Parameter("data", "Polygons in degrees.", _GEOJSON)
    options = Parameter("options", "None are known.", {"type": "object"}, optional=True)
    space = Parameter("spatial_extent", "A box, or GeoJSON, in degrees.", _SPACE)
    return (
        _cube(
            "load_collection",
            "Load a card of the lake: the scenes that count",
            Parameter("id", "s2, bs, …", {"type": "string", "subtype": "collection-id"}),
            space,
            Parameter("temporal_extent", "First moment, and the one after the last.", _EXTENT),
            optional_bands,
        ),
        _cube(
            "filter_temporal", "Limit a cube to an interval of time", _DATA, Parameter("extent", "As above.", _EXTENT)
        ),
        _cube("filter_bands", "Limit a cube to bands", _DATA, bands),
        _cube("filter_bbox", "Limit a cube to a box", _DATA, Parameter("extent", "In degrees.", _SPACE)),
        _cube("filter_spatial", "Limit a cube to polygons", _DATA, Parameter("geometries", "GeoJSON.", _GEOJSON)),
        _cube("load_geojson", "Polygons that are sent", uploaded, Parameter("properties", "", _LIST, optional=True)),
        _cube("load_url", "A parcel set of the lake", url, Parameter("format", "GeoJSON.", _TEXT), options),
        _cube("save_result", "Say the format", _DATA, Parameter("format", ", ".join(FORMATS), _TEXT), options),
    )


def _of_pixels() -> tuple[Process, ...]:
    """What makes other cubes of a cube's pixels."""
    reducer = Parameter("reducer", "What is made of the values.", _CALLBACK)
    dimension = Parameter("dimension", "t or bands.", _TEXT)
    return (
        _cube(
            "mask",
            "Pixels where a mask is not zero become no-data",
            _DATA,
            Parameter("mask", "A cube of the same card.", _CUBE),
            Parameter("replacement", "Instead of no-data.", _NUMBER, optional=True),
        ),
        _cube(
            "ndvi",
            "(nir - red) / (nir + red) of every pixel",
            _DATA,
            Parameter("nir", "Band.", _TEXT, optional=True, default="nir"),
            Parameter("red", "Band.", _TEXT, optional=True, default="red"),
            Parameter("target_band", "Name of a band to add.", {"type": ["string", "null"]}, optional=True),
        ),
        _cube("apply", "Apply a process to every pixel", _DATA, Parameter("process", "On x.", _CALLBACK), _CONTEXT),
        _cube("reduce_dimension", "Make one value of a dimension's", _DATA, reducer, dimension, _CONTEXT),
        _cube(
            "aggregate_temporal_period",
            "Make one value of those of each period",
            _DATA,
            Parameter("period", "", {"type": "string", "enum": list(PERIODS)}),
            reducer,
            Parameter("dimension", "t.", {"type": ["string", "null"]}, optional=True),
            _CONTEXT,
        ),
        _cube(
            "aggregate_spatial",
            "Statistics of the pixels whose centre is in each polygon",
            _DATA,
            Parameter("geometries", "A parcel set (load_url), or GeoJSON.", _ANY),
            reducer,
            Parameter("target_dimension", "Nothing but null.", {"type": ["string", "null"]}, optional=True),
            _CONTEXT,
        ),
    )


def _cube(name: str, summary: str, *parameters: Parameter) -> Process:
    return Process(name, summary, parameters, _CUBE, ("cubes",))


def _number(name: str, summary: str, *parameters: Parameter) -> Process:
    return Process(name, summary, parameters, _NUMBER, ("math",))


def _of_series() -> tuple[Process, ...]:
    probabilities = Parameter("probabilities", "0 to 1, or a number of equal parts.", _ANY, optional=True)
    parts = Parameter("q", "Number of equal parts.", _NUMBER, optional=True)
    condition = Parameter("condition", "Nothing but null.", _ANY, optional=True)
    plain = {
        "mean": "Arithmetic mean",
        "median": "Median",
        "min": "Smallest value",
        "max": "Greatest value",
        "sd": "Standard deviation of the sample (n - 1)",
        "variance": "Variance of the sample (n - 1)",
        "sum": "Sum",
    }
    return (
        *(_number(name, summary, _VALUES, _IGNORE) for name, summary in plain.items()),
        _number("count", "Number of measurements", _VALUES, condition, _CONTEXT),
        Process("quantiles", "Quantiles (type 7)", (_VALUES, probabilities, parts, _IGNORE), _LIST, ("math",)),
        Process("array_create", "Values side by side", (Parameter("data", "", _LIST),), _LIST, ("arrays",)),
        Process(
            "array_element",
            "One of a list's",
            (
                _VALUES,
                Parameter("index", "From 0.", {"type": "integer"}, optional=True),
                Parameter("label", "Of a band.", _TEXT, optional=True),
                Parameter("return_nodata", "Nothing but false.", _BOOLEAN, optional=True, default=False),
            ),
            _ANY,
            ("arrays",),
        ),
    )


def _of_numbers() -> tuple[Process, ...]:
    two = {"add": "x + y", "subtract": "x - y", "multiply": "x * y", "divide": "x / y"}
    compared = {"lt": "x < y", "lte": "x <= y", "gt": "x > y", "gte": "x >= y"}
    one = {"absolute": "|x|", "sqrt": "Square root", "not": "Whether x is false"}
    either = {"and": "Whether both are true", "or": "Whether one is true", "xor": "Whether one alone is true"}
    delta = Parameter("delta", "Nothing but null.", _ANY, optional=True)
    case = Parameter("case_sensitive", "Of texts.", _BOOLEAN, optional=True, default=True)
    bounds = (Parameter("min", "", _NUMBER), Parameter("max", "", _NUMBER))
    open_end = Parameter("exclude_max", "Whether max does not count.", _BOOLEAN, optional=True, default=False)
    ranges = (Parameter("inputMin", "", _NUMBER), Parameter("inputMax", "", _NUMBER))
    outputs = (
        Parameter("outputMin", "", _NUMBER, optional=True, default=0),
        Parameter("outputMax", "", _NUMBER, optional=True, default=1),
    )
    return (
        *(_number(name, summary, _X, _Y) for name, summary in (two | compared | either).items()),
        *(_number(name, summary, _X, _Y, delta, case) for name, summary in {"eq": "x = y", "neq": "x ≠ y"}.items()),
        *(_number(name, summary, _X) for name, summary in one.items()),
        _number("ln", "Natural logarithm", _X),
        _number("power", "base to the power of p", Parameter("base", "", _NUMBER), Parameter("p", "", _NUMBER)),
        _number("normalized_difference", "(x - y) / (x + y)", _X, _Y),
        _number("between", "Whether min ≤ x ≤ max", _X, *bounds, open_end),
        _number("clip", "x, between min and max", _X, *bounds),
        _number("linear_scale_range", "x from one range to another, clipped", _X, *ranges, *outputs),
        _number(
            "if",
            "One of two values",
            Parameter("value", "", _ANY),
            Parameter("accept", "", _ANY),
            Parameter("reject", "", _ANY, optional=True),
        ),
    )


ALL: Final = MappingProxyType({one.id: one for one in (*_at_the_ends(), *_of_pixels(), *_of_series(), *_of_numbers())})
"""Every process by its name."""
