"""Renders facts and figures to PDF (typst) and HTML (jinja2); values are passed as data, never as markup."""

from __future__ import annotations

import base64
import json
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from cbm_lake.errors import SourceError, of_extra
from cbm_lake.report.evidence import ELEMENT, NAME, attached
from cbm_lake.report.facts import Facts

NOTHING: Final = "\u2013"
"""Stands where there is no value."""


def pdf(words: Facts, pictures: dict[str, bytes], sealed: Facts) -> bytes:
    """Render a report to PDF/A-3 with its evidence attached."""
    with of_extra("report", "a PDF"):
        import typst
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for picture, content in pictures.items():
            (folder / f"{picture}.png").write_bytes(content)
        (folder / "words.json").write_text(json.dumps(words), "utf-8")
        (folder / NAME).write_text(json.dumps(sealed, indent=1), "utf-8")
        (folder / "page.typ").write_text(_template("page.typ"), "utf-8")
        try:
            document: bytes = typst.compile(
                str(folder / "page.typ"), root=str(folder), font_paths=[_fonts()], pdf_standards=["a-3b"]
            )
        except typst.TypstError as error:
            raise SourceError(f"the report cannot be set: {error}") from error
    return document


def html(words: Facts, pictures: dict[str, bytes], sealed: Facts) -> str:
    """Render a report to one self-contained HTML file."""
    page = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    encoded = {name: base64.b64encode(content).decode() for name, content in pictures.items()}
    data = {"pictures": encoded, "element": ELEMENT, "attached": Markup(attached(sealed))}  # noqa: S704 - escaped there
    return page.from_string(_template("page.html")).render(**words, **data)


def _template(name: str) -> str:
    return files("cbm_lake.report").joinpath(name).read_text("utf-8")


def _fonts() -> str:
    """Font folder of matplotlib, so that figures and text look alike on every machine."""
    import matplotlib

    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf")


def rows(table: list[dict[str, Any]], names: dict[str, str]) -> list[list[str]]:
    """Format table rows as text, under the headings in `names`."""
    return [list(names.values()), *([_text(row.get(name)) for name in names] for row in table)]


def _text(value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".") if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)
