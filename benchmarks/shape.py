"""The shape of the code in numbers: functions, modules, `Any`, names that say nothing, suppressed checks.

    python -m benchmarks.shape

Counts are taken from syntax trees, so that comments and texts do not count.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
GENERIC = frozenset(
    {
        "found",
        "told",
        "held",
        "wanted",
        "given",
        "chosen",
        "kept",
        "place",
        "known",
        "own",
        "seen",
        "made",
        "shown",
        "taken",
        "left",
        "drawn",
        "what",
    }
)
"""Names that do not say what they hold."""
ADDED = {"card ls": '"ls"', "statistic p90": '"p90"', "index bsi": '"bsi"'}
"""What is data: the latest of each kind, and how code would name it."""
LONGEST_MODULE = 400
LONGEST_FUNCTION = 50


@dataclass
class Shape:
    """What is counted over a tree of modules."""

    lines: int = 0
    modules: dict[str, int] = field(default_factory=dict)
    functions: dict[str, int] = field(default_factory=dict)
    parameters: int = 0
    typed: int = 0
    any: int = 0
    bindings: int = 0
    generic: Counter[str] = field(default_factory=Counter)
    unformatted: int = 0
    broad: int = 0
    prints: int = 0


def bindings(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The names that a module binds (variables, parameters, attributes, functions, classes), and the line of each."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno


def body_length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def is_broad(handler: ast.ExceptHandler) -> bool:
    """Whether an `except` catches everything."""
    return handler.type is None or ast.unparse(handler.type) in {"Exception", "BaseException"}


def measure(folder: Path) -> Shape:
    """The shape of all modules below a folder."""
    shape = Shape()
    for file in sorted(folder.rglob("*.py")):
        text = file.read_text("utf-8")
        tree = ast.parse(text)
        name = str(file.relative_to(ROOT))
        lines = text.count("\n")
        shape.lines += lines
        shape.modules[name] = lines
        shape.unformatted += len(re.findall(r"# fmt: (?:skip|off)", text))
        names = [word for word, _ in bindings(tree)]
        shape.bindings += len(names)
        shape.generic.update(word for word in (name.strip("_") for name in names) if word in GENERIC)
        _count_nodes(shape, name, tree)
    return shape


def _count_nodes(shape: Shape, name: str, tree: ast.AST) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            shape.functions[f"{name}:{node.lineno} {node.name}"] = body_length(node)
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            parameters = [one for one in arguments if one.arg not in {"self", "cls"}]
            shape.parameters += len(parameters)
            shape.typed += sum(one.annotation is not None for one in parameters)
        elif isinstance(node, ast.Name):
            shape.any += node.id == "Any"
            shape.prints += node.id == "print"
        elif isinstance(node, ast.ExceptHandler):
            shape.broad += is_broad(node)


def mentions(word: str) -> list[str]:
    """The files of the package and of sql/ that name something that was added as data."""
    pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
    files = [*(ROOT / "cbm_lake").rglob("*.py"), *(ROOT / "sql").rglob("*.sql")]
    return sorted(str(file.relative_to(ROOT)) for file in files if pattern.search(file.read_text("utf-8")))


def main() -> None:
    """Print the numbers."""
    shape = measure(ROOT / "cbm_lake")
    lengths = sorted(shape.functions.values())
    generic = sum(shape.generic.values())
    long_functions = [name for name, length in shape.functions.items() if length > LONGEST_FUNCTION]
    long_modules = [name for name, lines in shape.modules.items() if lines > LONGEST_MODULE]
    print(f"lines                      {shape.lines:8,} in {len(shape.modules)} modules")
    print(f"rooms and verbs            {len(list((ROOT / 'cbm_lake').glob('[!_]*'))):8}")
    print(f"functions                  {len(lengths):8,}, median {median(lengths):.0f} lines,")
    print(f"                                    95 % up to {lengths[int(len(lengths) * 0.95)]}, longest {lengths[-1]}")
    print(f"functions > {LONGEST_FUNCTION}             {len(long_functions):8} {' '.join(long_functions)}")
    print(f"modules > {LONGEST_MODULE}              {len(long_modules):8} {' '.join(long_modules)}")
    print(f"typed parameters           {shape.typed / shape.parameters:8.1%}")
    print(f"Any per 1,000 lines        {1000 * shape.any / shape.lines:8.1f}")
    print(f"generic names              {generic / shape.bindings:8.1%} {dict(shape.generic.most_common(8))}")
    print(f"formatter off              {shape.unformatted:8}")
    print(f"broad except               {shape.broad:8}")
    print(f"prints                     {shape.prints:8}")
    for kind, word in ADDED.items():
        files = mentions(word)
        print(f"files that name {kind:11}{len(files):8} {' '.join(files)}")


if __name__ == "__main__":
    main()
