"""Evalscripts that are understood: bands as they are, and one normalised difference; nothing is run.

    //VERSION=3
    function setup() {
      return {
        input: [{ bands: ["B04", "B08", "dataMask"], units: "DN" }],
        output: [{ id: "red", bands: 1 }, { id: "dataMask", bands: 1 }]
      };
    }
    function evaluatePixel(sample) {
      return { red: [sample.B04], dataMask: [sample.dataMask] };
    }

A value is `sample.BAND`, `(sample.A - sample.B) / (sample.A + sample.B)` or `index(sample.A, sample.B)`, also by a name
that `let`, `const` or `var` gave it. Comments and types of samples do not matter. All else is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from cbm_lake.errors import InvalidInputError, quoted

DATA_MASK: Final = "dataMask"
MOST_CHARACTERS: Final = 20_000
_UNDERSTOOD: Final = (
    "understood are evalscripts whose setup() names input bands and outputs, and whose evaluatePixel(sample) returns "
    "bands as they are, sample.B04, or a normalised difference, index(sample.B08, sample.B04) or "
    "(sample.B08 - sample.B04) / (sample.B08 + sample.B04)"
)
_COMMENT: Final = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_SETUP: Final = re.compile(
    r"function\s+setup\s*\(\s*\)\s*\{\s*return\s*(?P<setup>\{.*?\})\s*;?\s*\}(?=\s*function\b|\s*$)", re.DOTALL
)
_PIXEL: Final = re.compile(
    r"function\s+evaluatePixel\s*\(\s*(?P<sample>\w+)\s*\)\s*\{(?P<body>[^{}]*?)"
    r"return\s*(?P<result>\{[^{}]*\}|\[[^{}]*\])\s*;?\s*\}",
    re.DOTALL,
)
_LET: Final = re.compile(r"(?:let|const|var)\s+(?P<name>\w+)\s*=\s*(?P<value>[^;=]+);")
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<text>\"[^\"\\\n]*\"|'[^'\\\n]*')|(?P<name>[A-Za-z_]\w*)|(?P<rest>[\[\]{},:]|-?\d+(?:\.\d+)?))"
)
_NAME: Final = r"[A-Za-z_]\w*"
_BAND: Final = rf"@?{_NAME}"
"""An operand: a band of the sample, whose name stands behind @, or what has that name."""
_FRACTION: Final = re.compile(rf"\((?P<a>{_BAND})-(?P<b>{_BAND})\)/\((?P<c>{_BAND})\+(?P<d>{_BAND})\)")
_INDEX: Final = re.compile(rf"index\((?P<a>{_BAND}),(?P<b>{_BAND})\)")
_LIST: Final = re.compile(rf"(?P<name>{_NAME})\s*:\s*(?P<values>\[[^\[\]]*\])")
_LISTS: Final = re.compile(rf"\{{\s*{_NAME}\s*:\s*\[[^\[\]]*\]\s*(?:,\s*{_NAME}\s*:\s*\[[^\[\]]*\]\s*)*,?\s*\}}")
Value: TypeAlias = "str | Difference"
"""A band, or a normalised difference."""
_WORDS: Final = {"true": "true", "false": "false", "null": "null"}


@dataclass(frozen=True)
class Difference:
    """(first - second) / (first + second) of two bands."""

    first: str
    second: str


@dataclass(frozen=True)
class Evalscript:
    """What an evalscript asks for."""

    outputs: Mapping[str, Mapping[str, Value]]
    """By the output's id, its values by the names of its bands; without the data mask."""
    units: str
    """DN or REFLECTANCE, of bands."""


def parse(script: object) -> Evalscript:
    """What an evalscript asks for.

    Raises:
        InvalidInputError: it is more than is understood, or none.
    """
    if not isinstance(script, str) or len(script) > MOST_CHARACTERS:
        raise InvalidInputError(f"the evalscript is no text of at most {MOST_CHARACTERS:,} characters")
    text = _COMMENT.sub(" ", script).strip()
    setup, pixel = _SETUP.search(text), _PIXEL.search(text)
    if setup is None or pixel is None:
        raise _refused("it has no setup() that returns an object, or no evaluatePixel(sample) that returns values")
    rest = text.replace(setup[0], " ", 1).replace(pixel[0], " ", 1).strip(" \n\t\r;")
    if rest:
        raise _refused(f"it also says {quoted(rest[:40])}")
    bands, units, outputs = _declared(_object(setup["setup"]))
    values = _values(pixel["sample"], pixel["body"], pixel["result"], outputs)
    return Evalscript(_named(outputs, values, bands), units)


def _refused(problem: str) -> InvalidInputError:
    return InvalidInputError(f"this evalscript is not understood: {problem}; {_UNDERSTOOD}")


# -- setup ------------------------------------------------------------------------------------------------------------


def _object(text: str) -> dict[str, Any]:
    """An object of JavaScript without anything that is computed."""
    tokens, position = [], 0
    while position < len(text.rstrip()):
        token = _TOKEN.match(text, position)
        if token is None:
            raise _refused(f"setup() returns {quoted(text[position : position + 30].strip())}, which is no plain value")
        position = token.end()
        name = token["name"]
        words = token["text"][1:-1] if token["text"] else name
        tokens.append(token["rest"] or (json.dumps(words) if token["text"] else _WORDS.get(name, json.dumps(name))))
    plain = re.sub(r",([\]}])", r"\1", "".join(tokens))
    try:
        document = json.loads(plain)
    except (ValueError, RecursionError) as error:
        raise _refused("what setup() returns is no object of plain values") from error
    if not isinstance(document, dict):
        raise _refused("what setup() returns is no object")
    return document


def _declared(setup: dict[str, Any]) -> tuple[set[str], str, dict[str, list[str]]]:
    """The input bands, their units, and the names of the bands of each output."""
    unknown = setup.keys() - {"input", "output", "mosaicking"}
    if unknown or setup.get("mosaicking", "SIMPLE") != "SIMPLE":
        raise _refused(f"setup() asks for {', '.join(sorted(unknown)) or 'another mosaicking than SIMPLE'}")
    bands, units = _input(setup.get("input"))
    declared = setup.get("output")
    outputs = {}
    for one in declared if isinstance(declared, list) else [declared]:
        if not isinstance(one, dict) or not isinstance(one.get("id", "default"), str):
            raise _refused("an output of setup() is no object with an id")
        outputs[one.get("id", "default")] = _band_names(one.get("bands"))
    return bands, units, outputs


def _input(declared: object) -> tuple[set[str], str]:
    single = (
        declared[0]
        if isinstance(declared, list) and len(declared) == 1 and isinstance(declared[0], dict)
        else {"bands": declared}
    )
    bands, units = single.get("bands"), single.get("units", "REFLECTANCE")
    if (
        single.keys() - {"bands", "units"}
        or not isinstance(bands, list)
        or not all(isinstance(one, str) for one in bands)
    ):
        raise _refused("the input of setup() is no list of names of bands of one collection")
    units = units[0] if isinstance(units, list) and len(set(map(str, units))) == 1 else units
    if units not in ("DN", "REFLECTANCE"):
        raise _refused(f"units {quoted(units)} are none of DN and REFLECTANCE, one for all bands")
    return set(bands), str(units)


def _band_names(bands: object) -> list[str]:
    if isinstance(bands, int) and not isinstance(bands, bool) and 1 <= bands <= 100:
        return [f"B{number}" for number in range(bands)]
    if isinstance(bands, list) and bands and all(isinstance(name, str) for name in bands):
        return list(bands)
    raise _refused("an output of setup() says neither how many bands it has nor their names")


# -- evaluatePixel ----------------------------------------------------------------------------------------------------


def _values(sample: str, body: str, result: str, outputs: Mapping[str, list[str]]) -> dict[str, list[Value]]:
    """The values of each output."""
    bound: dict[str, Value] = {}
    rest = body
    for let in _LET.finditer(body):
        bound[let["name"]] = _value(let["value"], sample, bound)
        rest = rest.replace(let[0], " ", 1)
    if rest.strip(" \n\t\r;"):
        raise _refused(f"evaluatePixel says {quoted(rest.strip()[:40])}")
    if result.startswith("["):
        only = [name for name in outputs if name != DATA_MASK]
        if len(only) != 1 or len(outputs) != 1:
            raise _refused("evaluatePixel returns one list where there are several outputs; name them")
        return {only[0]: _listed(result, sample, bound)}
    if not _LISTS.fullmatch(result):
        raise _refused("evaluatePixel returns what is no object of lists")
    return {part["name"]: _listed(part["values"], sample, bound) for part in _LIST.finditer(result)}


def _listed(text: str, sample: str, bound: Mapping[str, Value]) -> list[Value]:
    parts = re.split(r",(?![^(]*\))", text.strip()[1:-1])
    return [_value(part, sample, bound) for part in parts if part.strip()]


def _value(text: str, sample: str, bound: Mapping[str, Value]) -> Value:
    plain = re.sub(rf"\b{re.escape(sample)}\.", "@", re.sub(r"\s", "", text))
    if plain in bound:
        return bound[plain]
    if re.fullmatch(rf"@{_NAME}", plain):
        return plain[1:]
    match = _FRACTION.fullmatch(plain) or _INDEX.fullmatch(plain)
    if match is not None:
        parts = match.groupdict()
        first, second = _band(parts["a"], bound), _band(parts["b"], bound)
        if {_band(parts.get("c", parts["a"]), bound), _band(parts.get("d", parts["b"]), bound)} == {first, second}:
            return Difference(first, second)
    raise _refused(f"it computes {quoted(text.strip()[:60])}")


def _band(operand: str, bound: Mapping[str, Value]) -> str:
    value = operand[1:] if operand.startswith("@") else bound.get(operand)
    if not isinstance(value, str):
        raise _refused(f"it computes with {quoted(operand)}, which is no band of the sample")
    return value


def _named(
    outputs: Mapping[str, list[str]], values: Mapping[str, list[Value]], bands: set[str]
) -> dict[str, dict[str, Value]]:
    """The values of each output by the names of its bands, all of which were declared."""
    if outputs.keys() != values.keys():
        raise _refused("setup() and evaluatePixel do not name the same outputs")
    for name, of_output in values.items():
        used = {band for one in of_output for band in ((one,) if isinstance(one, str) else (one.first, one.second))}
        if undeclared := used - bands:
            raise _refused(f"{', '.join(sorted(undeclared))} is not among the input bands")
        if len(of_output) != len(outputs[name]):
            raise _refused(f"output {quoted(name)} has {len(outputs[name])} bands, and {len(of_output)} values")
        if (name == DATA_MASK) != (DATA_MASK in used) or (name == DATA_MASK and of_output != [DATA_MASK]):
            raise _refused("the output dataMask is sample.dataMask, and nothing else is")
    named = {name: dict(zip(outputs[name], values[name], strict=True)) for name in outputs if name != DATA_MASK}
    if not named:
        raise _refused("it has no output besides dataMask")
    return named
