"""SQL generated from `cards`: macros of the indices and of the rule of usable observations, the view `observations`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from cbm_lake import cards
from cbm_lake.cards import CLOUD_CLASSES, INDICES, Card, Index, observation
from cbm_lake.cards.indices import Linear
from cbm_lake.lake import queries, templates
from cbm_lake.lake.queries import Query

_OPTIONS: Final = ("most", "fewest", "least_seen", "least_clear")
"""Parameters of the rule; null means the lake's default."""
_KEY: Final = ("aoi", "year", "ptype", "pid", "scene", "obstime")
_WORTH: Final = (
    "pixels, cloud, clear_share, clear_part, share, observable, unknown, clouded, "
    "is_usable(observable, unknown, clouded) as usable, "
    "why_not(pixels, share, observable, unknown, clouded, fewest) as why_not"
)
_CONSTANTS: Final = {
    "cloud_classes": (f"{list(CLOUD_CLASSES)}", "the scene classes (SCL) in which the ground is not seen"),
    "least_pixels": (f"{observation.LEAST_PIXELS}", "the fewest pixels of an observable parcel"),
    "least_share": (f"{observation.LEAST_SHARE}::float", "the least share of a parcel that a scene must have seen"),
    "least_clear": (f"{observation.LEAST_CLEAR}::float", "the least share of a parcel whose clear pixels stand for it"),
    "least_stored": (f"{observation.LEAST_STORED}::float", "the least share of a parcel whose clear pixels have a row"),
    "most_cloud": (f"{observation.MOST_CLOUD}::double", "the greatest share of a parcel that may be clouded"),
}
"""Macros without parameters: their values and descriptions."""


def definitions(
    statistics: templates.Statistics = templates.NONE, used: Collection[str] = cards.CARDS
) -> tuple[Query, ...]:
    """The macros and views of every connection, from sql/ and from this module, in order of creation.

    Not cached, as `cards.INDICES` may change.

    Args:
        statistics: the optional statistics in the table of each card.
        used: cards that may have signatures; the view of all looks leaves out others, whose planning takes time.
    """
    return tuple(sorted([*queries.definitions(statistics), *_derived(used)], key=lambda query: query.name))


def _derived(used: Collection[str]) -> Iterator[Query]:
    for index in INDICES.values():
        yield _query("macros", index.name, f"{index.description}, of reflectances x 10000", index_macro(index))
    for name, (value, about) in _CONSTANTS.items():
        yield _query("macros", name, about, f"create macro {name}() as {value}")
    for card in cards.CARDS.values():
        yield _query("macros", f"{card.name}_pixels", "the pixels of a look, by those of its bands", _pixels(card))
    optical = [card for card in cards.CARDS.values() if card.is_optical]
    for card in optical:
        name = f"observations_{card.name}"
        yield _query("views", f"42_{name}", "the view observations of a card by other rules", _observations_of(card))
    asked = [card for card in optical if card.name in used] or optical[:1]
    yield _query("views", "43_observations", "looks at parcels: indices, and what they are worth", _observations(asked))


def _query(folder: str, name: str, about: str, statement: str) -> Query:
    return Query(f"{folder}.{name}", f"{name}: {about}.", statement)


def index_macro(index: Index) -> str:
    """The statement that creates the macro of an index: of DN of its bands, by wavelength.

    Where the formula has a constant, `scale` is the reflectance of one DN; 1 makes it one of reflectances.
    """
    above, below = _sum(index.numerator), _sum(index.denominator)
    parameters = [*index.roles, *(["scale := 0.0001"] if index.has_constant else [])]
    return f"create macro {index.name}({', '.join(parameters)}) as {above} / nullif(greatest({below}, 0), 0)"


def _sum(linear: Linear) -> str:
    """A weighted sum as an expression of the macro's parameters: (2.5 * nir - 2.5 * red + 1.0 / scale)."""
    terms = []
    for role, weight in linear.weights.items():
        factor = "" if abs(weight) == 1 else f"{abs(weight)}::double * "
        terms.append(f"{'-' if weight < 0 else '+'} {factor}{role}")
    if linear.constant:
        terms.append(f"{'-' if linear.constant < 0 else '+'} {abs(linear.constant)}::double / scale")
    return f"({' '.join(terms).removeprefix('+ ')})"


def _pixels(card: Card) -> str:
    """The macro of the pixels of a look: the fewest of the bands of the finest grid that have any.

    A mean of fewer pixels is of another part of the parcel. Where these bands have none, the most of the others; of
    radar, whose polarisations are measured together, the most.
    """
    finest = min(card.resolutions.values())
    fine = [f"nullif({name}, 0)" for name, metres in card.resolutions.items() if metres == finest and card.is_optical]
    others = [name for name, metres in card.resolutions.items() if metres != finest or not card.is_optical]
    parts = [*([f"least({', '.join(fine)})"] if fine else []), *([f"greatest({', '.join(others)})"] if others else [])]
    return f"create macro {card.name}_pixels({', '.join(card.resolutions)}) as coalesce({', '.join(parts)})"


def _observations_of(card: Card) -> str:
    """The table macro of a card's looks; the column `value` is the index of the given name.

    Looks whose red band is above `brightest` (DN) are left out; null, the default, leaves none out.
    """
    indices = {index.name: _call(index, card) for index in INDICES.values()}
    columns = [f"{expression} as {name}" for name, expression in indices.items()]
    cases = " ".join(f"when '{name}' then {expression}" for name, expression in indices.items())
    selected = ", ".join(
        [*_KEY, f"'{card.name}' as card", *columns, f"case name::varchar {cases} end as value", _WORTH]
    )
    parameters = ", ".join(
        ["classes", *(f"{option} := null" for option in _OPTIONS), "name := 'ndvi'", "brightest := null"]
    )
    red = INDICES["ndvi"].bands_of(card)[:1]
    dark = "".join(f" where brightest is null or {band}_mean <= brightest" for band in red)
    source = f"observed_{card.name}(classes, {', '.join(_OPTIONS)}){dark}"
    return f"create macro observations_{card.name}({parameters}) as table select {selected} from {source}"  # noqa: S608


def _call(index: Index, card: Card) -> str:
    """An index of the means of a card's bands; null where the card lacks one of them."""
    bands = index.bands_of(card)
    return f"{index.name}({', '.join(f'{band}_mean' for band in bands)})" if bands else "null::float"


def _observations(optical: list[Card]) -> str:
    """The view over all cards of reflectance, each with the classes that are screened usually."""
    screened = {card.name: list(card.classification.screened) for card in optical if card.classification}
    parts = [f"from observations_{name}({classes})" for name, classes in screened.items()]
    return f"create view observations as select * exclude (value) from ({' union all by name '.join(parts)})"  # noqa: S608
