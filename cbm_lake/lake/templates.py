"""Templates of sql/: files written once for all cards, expanded into one statement per card, or one over all cards.

    sql/views/40_{radar}.sql        views.40_bs, views.40_c6

The braces in a file's name say for which cards it is: a kind of cards (see `KINDS`), or the name of one, whose file
counts rather than that of its kind. In the text stand for the card

    {card} {title} {measured} {measure} {classes} {last} {key_band} {pixels}

and `<<band: {band}_count>>` is what stands behind the colon for each band, with commas between: likewise for each
`measured` (the bands, and as {band} also the indices of pixels that the lake's tables have), `statistic` (in a view
those that the lake's tables have), `series` (the statistics that every signature has, in the order of a time series),
`class` (with {place}, which is its number in a list) and `card`. `<<card union all: …>>` puts other words than commas
between. What begins a line ends each time with the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from cbm_lake import cards
from cbm_lake.cards import Card


class Further(NamedTuple):
    """What a table of signatures has beside what all have."""

    statistics: tuple[str, ...] = ()
    """The optional statistics."""
    indices: tuple[str, ...] = ()
    """The indices that were computed pixel by pixel, by their names."""


NOTHING: Final = Further()
Statistics: TypeAlias = Mapping[str, Further]
"""What the table of each card has beside what all have, by the card's name."""
NONE: Final[Statistics] = MappingProxyType({})
KINDS: Final[Mapping[str, Callable[[Card], bool]]] = {
    "card": lambda card: True,
    "optical": lambda card: card.is_optical,
    "radar": lambda card: not card.is_optical,
    "migrated": lambda card: card.migrated,
}
_IN_NAME = re.compile(r"\{(?P<kind>\w+)\}")
_WORD = re.compile(r"\{(\w+)\}")
_EACH = re.compile(r"<<(?P<over>\w+)(?P<between>[^:<>]*): (?P<body>(?:(?!<<).)*?)>>", re.DOTALL)
"""The innermost repetition."""


def measured(card: str, indices: Iterable[str]) -> list[str]:
    """The bands of a card and indices of pixels, as columns of signatures begin: B02, …, NDVI."""
    return [*cards.CARD_BANDS[card], *(cards.INDICES[name].column for name in indices)]


def is_template(name: str, text: str) -> bool:
    """Whether a file of sql/ is one."""
    return "<<" in text or _IN_NAME.search(name) is not None


def rendered(name: str, text: str, statistics: Statistics = NONE) -> Iterator[tuple[str, str]]:
    """The names and texts of the statements that a template makes.

    Args:
        name: of the file, without its extension.
        text: of the file.
        statistics: what each card has beside what all have.
    """
    of = _IN_NAME.search(name)
    if of is None:
        yield name, _filled(text, None, NOTHING)
        return
    for card in cards.CARDS.values():
        if card.name == of["kind"] or (of["kind"] in KINDS and KINDS[of["kind"]](card)):
            yield _IN_NAME.sub(card.name, name), _filled(text, card, statistics.get(card.name, NOTHING))


def is_general(name: str) -> bool:
    """Whether a template is of a kind of cards, so that a file of a card itself counts rather than it."""
    of = _IN_NAME.search(name)
    return of is not None and of["kind"] in KINDS


def _filled(text: str, card: Card | None, further: Further) -> str:
    """A template with everything put in, from the innermost repetition outwards."""
    while (match := _EACH.search(text)) is not None:
        text = text[: match.start()] + _repeated(text, match, card, further) + text[match.end() :]
    return _put(text, _words(card)) if card else text


def _repeated(text: str, match: re.Match[str], card: Card | None, further: Further) -> str:
    line = text.rfind("\n", 0, match.start()) + 1
    indent = text[line : match.start()]
    between = f"\n{indent}{match['between'].strip()}\n{indent}" if match["between"].strip() else ", "
    if between == ", " and not indent.strip():
        between = f",\n{indent}"
    return between.join(_put(match["body"], words) for words in _each(match["over"], card, further))


def _each(over: str, card: Card | None, further: Further) -> Iterator[Mapping[str, str]]:
    """The words for each band, statistic or class of a card, or for each card."""
    if over == "card":
        yield from (_words(one) for one in cards.CARDS.values())
    elif over == "statistic":
        yield from ({"statistic": name} for name in (*cards.statistics.STORED, *further.statistics))
    elif over == "series":
        yield from ({"statistic": name} for name in cards.statistics.SERIES)
    elif card and over == "band":
        yield from ({"band": band.name} for band in card.bands)
    elif card and over == "measured":
        yield from ({"band": name} for name in measured(card.name, further.indices))
    elif card and card.classification and over == "class":
        yield from ({"class": str(value), "place": str(value + 1)} for value in card.classification.classes)
    else:
        raise ValueError(f"nothing of a card is called {over}")


def _words(card: Card) -> Mapping[str, str]:
    classes = card.classification
    return {
        "card": card.name,
        "title": card.title,
        "measured": card.measured,
        "measure": card.quantity.form.partition(" from ")[0],
        "classes": classes.column if classes else "",
        "last": str(classes.classes[-1]) if classes else "",
        "key_band": card.key_band,
        "pixels": f"{card.name}_pixels({', '.join(f'{band}_count' for band in card.resolutions)})",
    }


def _put(text: str, words: Mapping[str, str]) -> str:
    return _WORD.sub(lambda match: words.get(match[1], match[0]), text)
