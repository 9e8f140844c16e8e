"""Errors that a page can show have words for those who do not write Python."""

import ast
import re
from pathlib import Path

import pytest

import cbm_lake
from cbm_lake.errors import InvalidInputError, wrong_argument

ROOT = Path(cbm_lake.__file__).parent
ROOMS = (
    "card2db",
    "cards",
    "cases",
    "extract",
    "files",
    "foi",
    "geo",
    "get",
    "ipycbm",
    "parcel",
    "parcels",
    "qa",
    "rasters",
    "storage",
    "zonal",
)
"""Rooms whose errors the page shows."""
PYTHON = re.compile(r"`|\bcbm\.\w+\(|(?<![\w-])[a-z]+(_[a-z]+)*=")


def errors_in(text):
    """The errors that a module makes: line, texts of the message, and whether it has plain words."""
    for node in ast.walk(ast.parse(text)):
        name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if re.search(r"\b[A-Z]\w*Error$", name):
            texts = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
            message = " ".join(each for each in texts if isinstance(each, str))
            yield node.lineno, message, any(keyword.arg == "plain" for keyword in node.keywords)


@pytest.mark.parametrize("room", ROOMS)
def test_a_message_that_names_arguments_has_plain_words_too(room):
    files = list((ROOT / room).rglob("*.py"))
    assert files
    wrong = [
        f"{file.relative_to(ROOT)}:{line}: {message}"
        for file in files
        for line, message, is_plain in errors_in(file.read_text("utf-8"))
        if PYTHON.search(message) and not is_plain
    ]
    assert wrong == []


def test_an_argument_is_found_however_its_message_is_put_together():
    made = 'raise InvalidInputError(f"{name} has layers; say which by " + "layer=")'
    assert [PYTHON.search(message) is not None for _, message, _ in errors_in(made)] == [True]
    assert [is_plain for *_, is_plain in errors_in(made.replace('")', '", plain="which?")'))] == [True]


@pytest.mark.parametrize(
    ("name", "words"), [("screen", "scene classes that are left out"), ("inner_buffer", "inner buffer")]
)
def test_a_wrong_argument_is_told_in_both_ways(name, words):
    error = wrong_argument(name, "7 is not right")
    assert isinstance(error, InvalidInputError)
    assert (str(error), error.plain) == (f"{name}=7 is not right", f"{words} 7 is not right")
