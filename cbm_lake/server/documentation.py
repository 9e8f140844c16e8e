"""The documentation page, which lists all endpoints from the OpenAPI description without external resources."""

from __future__ import annotations

from collections import defaultdict
from importlib.resources import files
from typing import Any, TypeAlias

from jinja2 import Environment

Json: TypeAlias = dict[str, Any]
"""An object of an OpenAPI description."""


def page(description: Json) -> str:
    """The page as HTML."""
    groups: dict[str, list[Json]] = defaultdict(list)
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            groups[operation.get("tags", ["other"])[0]].append(_operation(path, method, operation))
    template = files("cbm_lake.server").joinpath("apidocs.html").read_text("utf-8")
    return (
        Environment(autoescape=True, trim_blocks=True)
        .from_string(template)
        .render(title=description["info"]["title"], groups=groups)
    )


def _operation(path: str, method: str, operation: Json) -> Json:
    return {
        "path": path,
        "method": method.upper(),
        "says": operation.get("description") or operation["summary"],
        "parameters": [_parameter(one) for one in operation.get("parameters", ())],
        "body": "requestBody" in operation and operation["operationId"],
    }


def _parameter(one: Json) -> Json:
    schema = one["schema"]
    kinds = [schema, *schema.get("anyOf", ())]
    named = [", ".join(map(str, kind["enum"])) if "enum" in kind else kind.get("type", "") for kind in kinds]
    default = "" if one.get("required") else repr(schema.get("default", ""))
    return {
        "name": one["name"],
        "place": one["in"],
        "type": " or ".join(name for name in named if name and name != "null"),
        "default": "must be given" if one.get("required") else default.strip("'"),
        "says": one.get("description", ""),
    }
