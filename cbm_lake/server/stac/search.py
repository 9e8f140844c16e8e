"""Item search: what a request asks for as one filter of CQL2, its pages, and the fields of items."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple

import pyarrow as pa
from fastapi import Query, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from cbm_lake.errors import InvalidInputError
from cbm_lake.server import cql2, features
from cbm_lake.server.accounts import Account
from cbm_lake.server.cql2 import LONGEST, Tree
from cbm_lake.server.selection import Selection, Wanted, gone, select, selections_of
from cbm_lake.server.stac.documents import Json, stamp
from cbm_lake.server.stac.entries import QUERYABLES

_NEWEST: Final = (("datetime", True), ("collection", False))
"""The order where none is asked for."""
_TOKEN: Final = re.compile(r"([0-9a-f]{16}|empty)\.(\d{1,9})", re.ASCII)
_LARGEST: Final = 10_000
"""Items of a page, also where more are asked for."""
_INNER: Final = "properties."
_ALWAYS: Final = ("type", "id", "collection")


Listed = Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]
"""Texts; one alone is taken for a list of it."""


class Sorting(BaseModel):
    """A property to sort by."""

    field: str = Field(max_length=200)
    direction: Literal["asc", "desc"] = "asc"


class Fields(BaseModel):
    """Which fields of items are wanted."""

    include: list[str] | None = Field(None, max_length=100)
    exclude: list[str] | None = Field(None, max_length=100)


class Search(BaseModel):
    """The body of a search; as parameters of an address its lists have commas."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    collections: Listed | None = Field(None, max_length=100)
    ids: Listed | None = Field(None, max_length=10_000)
    bbox: list[float] | None = Field(None, max_length=6)
    intersects: dict[str, Any] | None = None
    datetime: str | None = Field(None, max_length=200)
    limit: int = Field(10, ge=1)
    filter: dict[str, Any] | bool | str | None = None
    filter_lang: features.FilterLang | None = Field(None, alias="filter-lang")
    filter_crs: str | None = Field(None, alias="filter-crs", max_length=200)
    sortby: list[Sorting] = Field([], max_length=10)
    fields: Fields | None = None
    token: str | None = Field(None, max_length=40)


PARAMETERS: Final = frozenset(field.alias or name for name, field in Search.model_fields.items())
"""Of an address."""


def from_address(
    bbox: Annotated[str | None, Query(max_length=200, description="west,south,east,north in degrees.")] = None,
    intersects: Annotated[str | None, Query(max_length=LONGEST, description="A geometry of GeoJSON.")] = None,
    datetime: Annotated[str | None, Query(max_length=200, description="An instant, or two with a slash.")] = None,
    ids: Annotated[str | None, Query(max_length=LONGEST, description="With commas.")] = None,
    collections: Annotated[str | None, Query(max_length=2_000, description="With commas.")] = None,
    limit: Annotated[int, Query(ge=1, description="Items of a page at most; of more than 10,000 fewer.")] = 10,
    filter: Annotated[str | None, Query(max_length=LONGEST, description="CQL2.")] = None,  # noqa: A002
    filter_lang: Annotated[features.FilterLang, Query(alias="filter-lang")] = "cql2-text",
    filter_crs: Annotated[str | None, Query(alias="filter-crs", max_length=200, description="CRS84 only.")] = None,
    sortby: Annotated[str, Query(max_length=1_000, description="Properties with commas; - before: descending.")] = "",
    fields: Annotated[str, Query(max_length=2_000, description="Fields with commas; - before: without it.")] = "",
    token: Annotated[str | None, Query(max_length=40, description="Of a page, as the link to it has it.")] = None,
) -> Search:
    """The search of an address."""
    listed = [name for name in fields.split(",") if name]
    wish = {
        "include": [name.lstrip("+ ") for name in listed if name[0] != "-"],
        "exclude": [name[1:] for name in listed if name[0] == "-"],
    }
    box = features.box_of(bbox or "")
    order = [{"field": name, "direction": "desc" if down else "asc"} for name, down in features.order_of(sortby)]
    asked = {
        "collections": _listed(collections),
        "ids": _listed(ids),
        "bbox": None if box is None else list(box),
        "intersects": _object(intersects),
        "datetime": datetime,
        "limit": limit,
        "token": token,
        "sortby": order,
        "filter": filter,
        "filter-lang": filter_lang,
        "filter-crs": filter_crs,
        "fields": wish if listed else None,
    }
    try:
        return Search.model_validate(asked)
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInputError(f"{first['loc'][0]}: {first['msg']}") from error


def _listed(text: str | None) -> list[str] | None:
    return text.split(",") if text else None


def _object(text: str | None) -> dict[str, Any] | None:
    try:
        document = json.loads(text) if text else None
    except ValueError as error:
        raise InvalidInputError(f"intersects is no JSON: {error}") from error
    if document is not None and not isinstance(document, dict):
        raise InvalidInputError("intersects is no geometry of GeoJSON")
    return document


class Found(NamedTuple):
    """A page of a search."""

    rows: list[Json]
    total: int
    token: str | None
    """Of the next page; None where there is none."""


def page_of(request: Request, user: Account, entries: pa.Table, search: Search) -> Found:
    """The rows of a page.

    Raises:
        InvalidInputError: the search is wrong.
        HTTPException: its rows have changed since the first page, and are not kept (410).
    """
    wish, limit = Wanted(filter=_filter(search), sort=_order(search)), min(search.limit, _LARGEST)
    state, offset = _parsed(search.token)
    selections, name = selections_of(request), _name(user)
    selection = selections.get(name, wish, state) if state else None
    if selection is None:
        selection = select(entries.to_batches(), wish, QUERYABLES, "id")
        if state not in ("", selection.state):
            raise gone()
    if offset + limit < selection.total:
        selections.keep(name, wish, selection)
    return _page(selection, offset, limit)


def _page(selection: Selection, offset: int, limit: int) -> Found:
    rows = selection.cut(offset, limit).to_pylist()
    more = offset + len(rows) < selection.total and rows
    return Found(rows, selection.total, f"{selection.state}.{offset + limit}" if more else None)


def _name(user: Account) -> str:
    """Selections are of who may read the same areas: what was revoked is not in them."""
    return "stac" if user.admin else f"stac of {','.join(sorted(user.aois))}"


def _parsed(token: str | None) -> tuple[str, int]:
    if token is None:
        return "", 0
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise InvalidInputError(f"{token!r} names no page; follow the link to the next one")
    return match[1], int(match[2])


def _order(search: Search) -> tuple[tuple[str, bool], ...]:
    named = tuple((one.field.removeprefix(_INNER), one.direction == "desc") for one in search.sortby)
    return named or _NEWEST


def _filter(search: Search) -> Tree:
    """All that a search asks for."""
    if search.bbox is not None and search.intersects is not None:
        raise InvalidInputError("bbox and intersects are both given; give one of them")
    trees: list[Tree] = [
        *_among("collection", search.collections),
        *_among("id", search.ids),
        *_within(search),
        *_during(search.datetime),
        *_asked(search),
    ]
    if len(trees) > 1:
        return {"op": "and", "args": trees}
    return trees[0] if trees else None


def _among(name: str, values: Sequence[str] | None) -> list[Tree]:
    return [{"op": "in", "args": [{"property": name}, list(values)]}] if values else []


def _within(search: Search) -> list[Tree]:
    shape: Tree = search.intersects
    if search.bbox is not None:
        shape = {"bbox": list(features.box_of(",".join(map(repr, search.bbox)) or "none") or ())}
    return [] if shape is None else [{"op": "s_intersects", "args": [{"property": "geometry"}, shape]}]


def _during(text: str | None) -> list[Tree]:
    if not text:
        return []
    begin, end = (".." if time is None else stamp(time) for time in cql2.moment(text))
    of_item = {"interval": [{"property": "start_datetime"}, {"property": "end_datetime"}]}
    return [{"op": "t_intersects", "args": [of_item, {"interval": [begin, end]}]}]


def _asked(search: Search) -> list[Tree]:
    features.check_crs({"filter-crs": search.filter_crs or ""})
    if search.filter is None or search.filter == "":
        return []
    if isinstance(search.filter, str):
        return [features.tree_of(search.filter, search.filter_lang or "cql2-text")]
    return [search.filter]


def with_fields(item: Json, fields: Fields | None) -> Json:
    """An item with the fields that are wanted; type, id and collection always. What is included goes before."""
    included, excluded = (fields.include or [], fields.exclude or []) if fields else ([], [])
    selections = {name: item[name] for name in item if not included or name in (*_ALWAYS, *included)}
    for name in {*excluded} - {*included, *_ALWAYS}:
        selections.pop(name, None)
    inner = [name.removeprefix(_INNER) for name in included if name.startswith(_INNER)]
    without = {name.removeprefix(_INNER) for name in {*excluded} - {*included} if name.startswith(_INNER)}
    properties = item["properties"]
    if inner and "properties" not in included:
        selections["properties"] = {name: properties[name] for name in inner if name in properties}
    elif "properties" in selections:
        selections["properties"] = {name: value for name, value in properties.items() if name not in without}
    return selections
