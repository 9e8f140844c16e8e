"""Cards are data: whole, told of on their page, and what is written for all of them is written once."""

import re
from pathlib import Path

import pytest

from cbm_lake import cards, extract
from cbm_lake.card2db.stacapi import PROVIDERS
from cbm_lake.cards import palette
from cbm_lake.lake import queries, schemas, templates

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cards.md").read_text()


def number(value):
    return f"{value:.10f}".rstrip("0")


def row_of_card(card):
    classes = card.classification
    stored = card.dtype + (f", {number(card.scale)} x DN" if card.scale != 1 else "")
    stored += f" - {number(-card.offset)}" if card.offset else ""
    unit = f"{card.quantity.name} x {1 / card.unit:.0f}" if card.unit != 1 else card.quantity.form
    name = f"{classes.name} (`{classes.column}_0` to `{classes.columns[-1]}`)" if classes else "-"
    screened = ", ".join(map(str, classes.screened)) if classes else "-"
    return f"| `{card.name}` | {card.title} | {stored} | {unit} | {card.nodata:g} | {name} | {screened} |"


def row_of_band(card, band):
    sizes = " or ".join(map(str, card.spacings or (band.metres,)))
    aliases = ", ".join(f"`{alias}`" for alias in band.aliases) or "-"
    return f"| `{card.name}` | `{band.name}` | {sizes} m | {band.wavelength or '-'} | {aliases} | {band.display[1]:g} |"


def row_of_class(card, value):
    classes = card.classification
    return f"| `{card.name}` | {value} | {classes.names[value]} | {'yes' if value in classes.screened else '-'} |"


def test_the_page_of_cards_says_what_the_data_say():
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    every = cards.CARDS.values()
    expected = [row_of_card(card) for card in every]
    expected += [row_of_band(card, band) for card in every for band in card.bands]
    expected += [
        row_of_class(card, value) for card in every if card.classification for value in card.classification.classes
    ]
    assert rows == expected


@pytest.mark.parametrize("card", cards.CARDS.values(), ids=lambda card: card.name)
def test_a_card_is_whole(card):
    assert {card.key_band, *card.default_bands} <= set(card.resolutions)
    assert set(card.collections) <= set(PROVIDERS)
    assert all(card.band_named(alias) == band.name for band in card.bands for alias in (*band.aliases, band.name))
    assert all(band.name in palette.BANDS for band in card.bands)
    assert callable(getattr(extract, card.name))
    if classes := card.classification:
        assert len(classes.names) == len(classes.colours)
        assert set(classes.screened) <= set(classes.classes) - {0}
        assert set(classes.bits) <= set(classes.classes)
    names = schemas.signatures(card.name).names
    assert len({name.lower() for name in names}) == len(names)


def test_columns_of_classes_are_of_one_card():
    columns = [card.classification.column for card in cards.CARDS.values() if card.classification]
    assert len(set(columns)) == len(columns)


# -- templates ----------------------------------------------------------------------------------------------------


def test_a_template_makes_a_statement_of_each_card_of_its_kind():
    made = dict(templates.rendered("40_{radar}_x", "from {card} where {unknown} and [<<band: {band}_mean>>]"))
    assert made == {
        "40_bs_x": "from bs where {unknown} and [VV_mean, VH_mean]",
        "40_c6_x": "from c6 where {unknown} and [VV_mean, VH_mean]",
    }
    assert [name for name, _ in templates.rendered("{card}", "")] == list(cards.CARDS)
    assert [name for name, _ in templates.rendered("{ls}", "")] == ["ls"]


def test_repetitions_are_nested_and_keep_their_lines():
    text = "[\n    <<band: {'b': '{band}', <<class: {classes}[{place}] = {class}>>}>>\n]"
    [(_, made)] = templates.rendered("{ls}", text)
    lines = made.splitlines()
    assert len(lines) == 2 + 6
    assert lines[1] == "    {'b': 'blue', " + ", ".join(f"qa[{n + 1}] = {n}" for n in range(8)) + "},"
    assert lines[-2].endswith("}")


def test_all_cards_are_named_with_other_words_between():
    [(name, made)] = templates.rendered("shares", "(\n    <<card union all: from {card}>>\n)")
    assert name == "shares"
    assert re.sub(r"\s+", " ", made) == f"( {' union all '.join(f'from {card}' for card in cards.CARDS)} )"


def test_what_is_no_fact_of_a_card_is_refused():
    with pytest.raises(ValueError, match="nothing of a card is called class"):
        [*templates.rendered("{bs}", "<<class: {class}>>")]


def test_the_file_of_a_card_counts_before_that_of_its_kind():
    views = {query.name: query.sql for query in queries.definitions()}
    assert "from sc)" in views["views.50_s2_long"]
    assert "from sc)" not in views["views.50_ls_long"]


def test_no_placeholder_is_left_in_any_statement():
    for query in (*queries.statements().values(), *queries.definitions()):
        assert "<<" not in query.sql, query.name
        assert not re.search(r"\{(card|band|statistic|class|classes|place)\}", query.sql), query.name


def test_files_of_sql_do_not_differ_by_the_name_of_a_card_only():
    seen = {}
    for file in sorted((ROOT / "sql").glob("*/*.sql")):
        names = "|".join(cards.CARDS)
        text = re.sub(rf"(?<![A-Za-z])(?:{names})(?![A-Za-z0-9])", "CARD", file.read_text())
        assert text not in seen, f"{file} is {seen[text]} of another card"
        seen[text] = file
