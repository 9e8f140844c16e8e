"""Identifiers say what they hold, in the words of the field."""

import ast
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # benchmarks are no part of what is installed

from benchmarks.shape import bindings

PACKAGE = Path(__file__).parent.parent / "cbm_lake"
BANNED = frozenset(
    {"chosen", "found", "given", "held", "kept", "known", "made", "place", "shown", "taken", "told", "wanted"}
)
"""Names that any value could have."""
PUBLIC = frozenset(
    {
        ("card2db/collecting.py", "found"),
        ("cases/judgements.py", "shown"),
        ("foi/plots.py", "found"),
        ("get/folders.py", "kept"),
        ("get/folders.py", "place"),
        ("get/several.py", "wanted"),
        ("migration/series.py", "taken"),
    }
)
"""Attributes and parameters that users name."""


def test_no_name_is_one_that_any_value_could_have():
    lines = []
    for file in sorted(PACKAGE.rglob("*.py")):
        name = str(file.relative_to(PACKAGE))
        names = [binding for binding in bindings(ast.parse(file.read_text("utf-8"))) if binding[0].strip("_") in BANNED]
        lines += [f"{name}:{line} {word}" for word, line in names if (name, word) not in PUBLIC]
    assert lines == []
