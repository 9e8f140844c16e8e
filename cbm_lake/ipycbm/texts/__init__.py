"""What the page says, in the language of the settings; one table per part, each text in all languages."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

import yaml

from cbm_lake.config import Workspace

LANGUAGES: Final = {"en": "English", "de": "Deutsch", "fr": "Français", "es": "Español"}

_ON_PAGE: Final[dict[str, str]] = {}
"""The language that was chosen on the page of this process."""


class Texts:
    """Texts of one part of the page.

    Args:
        part: name of its table, `texts/<part>.yaml`: {key: {language: text}}, {names} in braces are filled in.
        language: one of LANGUAGES; None is the one chosen on this page, else that of the settings.
    """

    def __init__(self, part: str, language: str | None = None) -> None:
        self.language = language or _ON_PAGE.get("language") or Workspace.here().config.set.language
        self._table = table(part)

    def __call__(self, key: str, **values: object) -> str:
        """The text, filled in."""
        return self.template(key).format(**values)

    def template(self, key: str) -> str:
        """The text with its {names}, for what fills them in elsewhere."""
        return self._table[key][self.language]


def speak(language: str) -> None:
    """Make texts in a language from now on, in this process; the settings stay."""
    _ON_PAGE["language"] = language


@cache
def table(part: str) -> dict[str, dict[str, str]]:
    """Texts of a part in all languages."""
    content = files(__package__).joinpath(f"{part}.yaml").read_text("utf-8")
    texts: dict[str, dict[str, str]] = yaml.safe_load(content)
    return texts
