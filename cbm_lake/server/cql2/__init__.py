"""CQL2 (https://docs.ogc.org/is/21-065r2/21-065r2.html): filters of features, as text and as JSON, for every door.

Both encodings become one tree of JSON, the tree a condition of DuckDB: names are looked up among the queryables, values
are constants of the expression and never a part of SQL text, and spatial predicates are worked out with shapely.
"""

from cbm_lake.server.cql2.compiling import MOST_NODES, OPERATORS, Condition, SpatialTest, compiled
from cbm_lake.server.cql2.queryables import Kind, Queryable, Queryables, document, of_schema
from cbm_lake.server.cql2.text import LONGEST, parse
from cbm_lake.server.cql2.values import Tree, geometry, instant, moment

__all__ = [
    "LONGEST",
    "MOST_NODES",
    "OPERATORS",
    "Condition",
    "Kind",
    "Queryable",
    "Queryables",
    "SpatialTest",
    "Tree",
    "compiled",
    "document",
    "geometry",
    "instant",
    "moment",
    "of_schema",
    "parse",
]
