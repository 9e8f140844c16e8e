"""Allow-list of SQL for untrusted users: one SELECT over the lake's views, with pure functions only.

The statement is taken apart by DuckDB's own parser, and every part of what it says must be on a list here. What is on
no list is refused, so that a new feature of DuckDB is refused until it is put here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, TypeAlias

import duckdb

from cbm_lake import cards
from cbm_lake.errors import InvalidInputError

Node: TypeAlias = dict[str, Any]
"""A part of a statement as DuckDB parses it, in JSON."""
VIEWS: Final = frozenset(
    {
        *cards.CARDS,
        *(f"{card}_long" for card in cards.CARDS),
        *("scenes", "parcels", "sc", "extractions", "markers", "parts", "changes", "lights", "runs"),
        *("observations", "weather", "weather_cells", "parcel_attributes", "parcel_attributes_long"),
        *("crop_checks", "crop_runs", "lineage", "judgements"),
    }
)
"""What may be read."""

_LONGEST: Final = 20_000
"""Characters of a statement."""
_TOO_DEEP: Final = "the statement is nested too deep; take it apart with subqueries or ask in parts"
_PLAIN: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
"""A name that DuckDB cannot take for a file."""
_PARTS: Final = frozenset(
    [
        "SELECT_NODE",
        "SET_OPERATION_NODE",
        "BASE_TABLE",
        "TABLE_FUNCTION",
        "JOIN",
        "SUBQUERY",
        "EMPTY",
        "EXPRESSION_LIST",
        "ORDER_MODIFIER",
        "LIMIT_MODIFIER",
        "LIMIT_PERCENT_MODIFIER",
        "DISTINCT_MODIFIER",
        "ORDER_DEFAULT",
        "ASCENDING",
        "DESCENDING",
    ]
)
"""Kinds of query nodes, table references and modifiers."""
_EXPRESSIONS: Final = frozenset(
    [
        "BETWEEN",
        "CASE",
        "CAST",
        "COLUMN_REF",
        "COMPARISON",
        "CONJUNCTION",
        "CONSTANT",
        "FUNCTION",
        "LAMBDA",
        "LAMBDA_REF",
        "OPERATOR",
        "PARAMETER",
        "POSITIONAL_REFERENCE",
        "STAR",
        "SUBQUERY",
        "TYPE",
        "WINDOW",
    ]
)
_BEFORE: Final = "select\n"
"""Before a condition that is parsed."""
_NOT_IN_CONDITIONS: Final = frozenset({"SUBQUERY", "PARAMETER", "STAR", "WINDOW", "POSITIONAL_REFERENCE"})
_NOT_OF_A_ROW: Final = frozenset({"range", "generate_series", "repeat", "random"})
"""Functions that say nothing of a row and fill any memory, or something else each time."""
_TABLE_FUNCTIONS: Final = frozenset({"unnest", "range", "generate_series"})
_COMPUTING: Final = """
    share_of sky_of is_seen is_observable
    + - * / // % ^ ** || & | ~ << >> @ ! ~~ !~~ ~~* !~~* ~~~ -> ->> && <-> <@ @>
    abs ceil ceiling floor round trunc sign sqrt cbrt exp ln log log2 log10 pow power mod gcd lcm greatest least
    pi radians
    degrees sin cos tan asin acos atan atan2 isnan isinf isfinite add subtract multiply divide random
    count count_star sum avg mean min max median mode mad stddev stddev_pop stddev_samp var_pop var_samp
    variance
    covar_pop covar_samp corr regr_slope regr_intercept regr_r2 regr_count quantile quantile_cont quantile_disc
    approx_quantile approx_count_distinct arg_max arg_min max_by min_by first last any_value arbitrary bool_and
    bool_or
    bit_and bit_or string_agg group_concat list array_agg histogram skewness kurtosis entropy product fsum
    count_if
    row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value
    lower upper length len strlen trim ltrim rtrim substring substr left right replace reverse concat concat_ws
    split
    split_part string_split str_split starts_with ends_with prefix suffix contains instr strpos position
    like_escape
    not_like_escape ilike_escape regexp_matches regexp_full_match regexp_replace regexp_extract ascii chr
    unicode
    levenshtein format printf lpad rpad repeat hash md5
    date_part datepart extract date_trunc datetrunc date_diff datediff date_sub datesub year month day hour
    minute second
    week weekofyear isoyear isodow dayofweek dayofyear quarter yearweek epoch epoch_ms epoch_us to_timestamp
    make_date
    make_timestamp strftime strptime last_day dayname monthname age now current_date today to_days to_hours
    to_minutes
    to_months to_years to_weeks time_bucket timezone
    list_value list_extract array_extract list_element list_slice array_slice list_contains list_has
    list_has_any
    list_has_all list_position list_sum list_avg list_min list_max list_count list_median list_sort list_reverse
    list_distinct list_unique list_filter list_transform list_apply list_reduce list_aggregate list_concat
    list_zip flatten
    array_length list_where unnest range generate_series struct_pack struct_extract row map map_keys map_values
    map_extract
    cardinality element_at
    coalesce ifnull nullif if constant_or_null typeof grouping grouping_id
"""
_FUNCTIONS: Final = frozenset([*_COMPUTING.split(), *cards.INDICES])
"""Functions, operators and macros that only compute with what they are given."""


def check(statement: str) -> None:
    """Let a statement pass that only reads the lake's views.

    Raises:
        InvalidInputError: it is not one SELECT, or something in it is not allowed; the message names it.
    """
    if len(statement) > _LONGEST:
        raise InvalidInputError(f"the statement has {len(statement)} characters; at most {_LONGEST} are taken")
    statements = _parsed(statement)
    if len(statements) != 1:
        raise InvalidInputError("send one statement at a time")
    for part, subqueries in _dicts(statements[0]):
        _check_part(part, VIEWS | subqueries)


def check_condition(condition: str) -> None:
    """Let a condition on the columns of one table pass, as it stands after `where`, and nothing else.

    Raises:
        InvalidInputError: it is more than a condition, or reads other tables, or something in it is not allowed.
    """
    if len(condition) > _LONGEST:
        raise InvalidInputError(f"the condition has {len(condition)} characters; at most {_LONGEST} are taken")
    document = _document(f"{_BEFORE}{condition}\n")
    if document["error"]:
        reason = str(document.get("error_message", "no reason told")).partition("\n")[0]
        raise InvalidInputError(f"this is no condition: {reason}{_marked(condition, document)}")
    statements = document["statements"]
    if len(statements) != 1:
        raise InvalidInputError("give one condition, not several statements")
    node = statements[0]["node"]
    if not _is_one_expression(node):
        advice = "give only what stands after 'where': area_ha > 2 and crop = 'maize'"
        raise InvalidInputError(f"this is more than a condition; {advice}")
    for part, _ in _dicts(node["select_list"]):
        if part.get("class") in _NOT_IN_CONDITIONS:
            raise InvalidInputError(f"a {part['class'].lower()} is not allowed in a condition")
        if str(part.get("function_name")).lower() in _NOT_OF_A_ROW:
            raise InvalidInputError(f"the function {part['function_name']} is not allowed in a condition")
        _check_part(part, frozenset())


def _is_one_expression(node: Node) -> bool:
    """Whether a query selects one expression without a name, from nothing, and does nothing else."""
    parts = {name for name, value in node.items() if value not in ({}, [], None)}
    if parts - {"type", "select_list", "from_table", "aggregate_handling"}:
        return False
    expressions = node.get("select_list", [])
    is_plain = node["type"] == "SELECT_NODE" and node["from_table"]["type"] == "EMPTY"
    return is_plain and len(expressions) == 1 and "alias" not in expressions[0]


def _marked(condition: str, document: Node) -> str:
    """The line of a condition at which it cannot be read, with a mark below it, as DuckDB shows it; or nothing."""
    position = int(document.get("position") or -1) - len(_BEFORE)
    if not 0 <= position < len(condition):
        return ""
    before, rest = condition[:position].rpartition("\n")[2], condition[position:].partition("\n")[0]
    prefix = f"LINE {condition[:position].count(chr(10)) + 1}: "
    return f"\n\n{prefix}{before}{rest}\n{' ' * (len(prefix) + len(before))}^"


def _parsed(statement: str) -> list[Node]:
    document = _document(statement)
    if document["error"]:
        reason = document.get("error_message", "no reason told").partition("\n")[0]
        raise InvalidInputError(f"only a SELECT can be run: {reason}")
    parsed: list[Node] = document["statements"]
    return parsed


def _document(statement: str) -> Node:
    """What DuckDB's parser makes of a statement, or the error that it has with it."""
    with _parser().cursor() as connection:
        try:
            (text,) = connection.execute(
                "select json_serialize_sql($text::varchar, skip_null := true, skip_empty := true)", {"text": statement}
            ).fetchone() or ("",)
        except duckdb.Error as error:
            raise InvalidInputError(f"this SQL cannot be read: {str(error).partition(chr(10))[0]}") from error
    try:
        document: Node = json.loads(text)
    except RecursionError as error:
        raise InvalidInputError(_TOO_DEEP) from error
    if "expression depth" in str(document.get("error_message")):
        raise InvalidInputError(_TOO_DEEP)
    return document


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    """A connection that nothing is run on but its parser."""
    return duckdb.connect()


def _dicts(value: object) -> Iterator[tuple[Node, frozenset[str]]]:
    """Every part of a parsed statement, at any depth, itself first; each with the subqueries that WITH names there."""
    waiting: list[tuple[object, frozenset[str]]] = [(value, frozenset())]
    while waiting:
        part, named = waiting.pop()
        if isinstance(part, dict):
            yield part, named
            for entry in part.get("cte_map", {}).get("map", []):
                waiting.append((entry["value"], named))  # which sees those before it, and a table of its own name
                named |= {_name_of_subquery(entry["key"])}
            waiting.extend((inner, named) for name, inner in part.items() if name != "cte_map")
        elif isinstance(part, list):
            waiting.extend((inner, named) for inner in part)


def _name_of_subquery(name: str) -> str:
    if not _PLAIN.fullmatch(name):
        raise InvalidInputError(f"{name!r} cannot name a subquery here; take letters, digits and _")
    return name.lower()


def _check_part(part: Node, tables: frozenset[str]) -> None:
    kind = part.get("type")
    if "class" in part:
        if part["class"] not in _EXPRESSIONS:
            raise InvalidInputError(f"{part['class'].lower().replace('_', ' ')} expressions are not allowed here")
        if part["class"] in ("FUNCTION", "WINDOW"):
            _check_function(part)
    elif isinstance(kind, str):
        if kind not in _PARTS:
            raise InvalidInputError(f"{kind.lower().replace('_', ' ')} is not allowed here")
        if kind == "BASE_TABLE":
            _check_table(part, tables)
        if kind == "TABLE_FUNCTION" and part["function"]["function_name"].lower() not in _TABLE_FUNCTIONS:
            raise InvalidInputError(f"the table function {part['function']['function_name']} is not allowed here")


def _check_function(part: Node) -> None:
    name = part["function_name"].lower()
    if name not in _FUNCTIONS or len(part.get("qualified_name", {}).get("path", [name])) != 1:
        raise InvalidInputError(f"the function {name} is not allowed here")


def _check_table(part: Node, tables: frozenset[str]) -> None:
    path = part.get("qualified_name", {}).get("path", [part["table_name"]])
    if len(path) != 1 or path[0].lower() not in tables or "at_clause" in part:
        raise InvalidInputError(f"there is no table {'.'.join(path)!r} here; there are: {', '.join(sorted(VIEWS))}")
