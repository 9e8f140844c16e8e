"""Every text of the page is there in all languages, and takes the same values in each."""

from importlib.resources import files
from string import Formatter

import pytest

from cbm_lake.ipycbm.texts import LANGUAGES, table

PARTS = sorted(
    path.name.removesuffix(".yaml") for path in files("cbm_lake.ipycbm.texts").iterdir() if path.name.endswith(".yaml")
)


def names(text):
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("part", PARTS)
def test_each_text_is_in_all_languages_with_the_same_names(part):
    for key, texts in table(part).items():
        assert set(texts) == set(LANGUAGES), key
        assert all(isinstance(text, str) and text.strip() for text in texts.values()), key
        assert len({frozenset(names(text)) for text in texts.values()}) == 1, key
