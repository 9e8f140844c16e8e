"""Identifiers say what they hold, in the words of the field."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "cbm_lake"
BANNED = frozenset(
    {"chosen", "found", "given", "held", "kept", "known", "made", "place", "shown", "taken", "told", "wanted"}
)
"""Names that any value could have."""
PUBLIC = frozenset(
    {
        ("card2db/collecting.py", "found"),
        ("foi/plots.py", "found"),
        ("get/folders.py", "kept"),
        ("get/folders.py", "place"),
        ("get/several.py", "wanted"),
        ("migration/series.py", "taken"),
    }
)
"""Attributes and parameters that users name."""


def bindings(tree):
    """The names that a module binds, and the line of each."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno


def test_no_name_is_one_that_any_value_could_have():
    lines = []
    for file in sorted(PACKAGE.rglob("*.py")):
        name = str(file.relative_to(PACKAGE))
        names = [binding for binding in bindings(ast.parse(file.read_text("utf-8"))) if binding[0].strip("_") in BANNED]
        lines += [f"{name}:{line} {word}" for word, line in names if (name, word) not in PUBLIC]
    assert lines == []
