"""SQL that follows from data of `cards`: a macro for each index, the screened classes, and the view `observations`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cbm_lake.cards import CLOUD_CLASSES, INDICES, Index, observation
from cbm_lake.cards.indices import Linear
from cbm_lake.lake import queries
from cbm_lake.lake.queries import Query

FUNCTION: Final = "observations_of"
"""The table macro behind the view `observations`, which takes the scene classes."""
_RULE: Final = "most := null, fewest := null, least_seen := null"
_OBSERVED: Final = "aoi, year, ptype, pid, scene, obstime, 's2' as card"
_WORTH: Final = "pixels, cloud, 1 - cloud as clear_share, share, observable, clouded, usable, why_not"
_CONSTANTS: Final = {
    "cloud_classes": (f"{list(CLOUD_CLASSES)}", "the scene classes (SCL) in which the ground is not seen"),
    "least_pixels": (f"{observation.LEAST_PIXELS}", "the fewest pixels of an observable parcel"),
    "least_share": (f"{observation.LEAST_SHARE}::float", "the least share of a parcel that a scene must have seen"),
    "most_cloud": (f"{observation.MOST_CLOUD}::double", "the greatest share of a parcel that may be clouded"),
}
"""Macros without parameters: their values and what they are."""


def definitions() -> tuple[Query, ...]:
    """The macros and views of every connection, those of sql/ and these, in the order in which they are created.

    Not cached: it follows what `cards.INDICES` has at the time.
    """
    return tuple(sorted([*queries.definitions(), *_derived()], key=lambda query: query.name))


def index_macro(index: Index) -> str:
    """The statement that creates the macro of an index: of DN of its bands, by wavelength.

    Where the formula has a constant, `scale` is the reflectance of one DN; 1 makes it one of reflectances.
    """
    above, below = _sum(index.numerator), _sum(index.denominator)
    parameters = [*index.roles, *(["scale := 0.0001"] if index.has_constant else [])]
    return f"create macro {index.name}({', '.join(parameters)}) as {above} / nullif(greatest({below}, 0), 0)"


def _derived() -> Iterator[Query]:
    for index in INDICES.values():
        about = (
            f"{index.name}({', '.join(index.roles)}): {index.description}, of reflectances x 10000 ({index.source})."
        )
        yield Query(f"macros.{index.name}", about, index_macro(index))
    for name, (value, about) in _CONSTANTS.items():
        yield Query(f"macros.{name}", f"{name}(): {about}.", f"create macro {name}() as {value}")
    yield Query(
        "views.42_observations_of",
        "observations_of(classes, most, fewest, least_seen, name): the view observations with other rules; "
        "value is the index called `name`.",
        _observations_of(),
    )
    yield Query(
        "views.43_observations",
        "Looks of Sentinel-2 at parcels: indices of the bands' means, and whether and why not they are usable.",
        f"create view observations as select * exclude (value) from {FUNCTION}(cloud_classes())",  # noqa: S608 (names of cards)
    )


def _observations_of() -> str:
    columns = [f"{_call(index)} as {index.name}" for index in INDICES.values()]
    cases = [f"when '{index.name}' then {_call(index)}" for index in INDICES.values()]
    value = f"case name::varchar {' '.join(cases)} end as value"
    selected = ", ".join([_OBSERVED, *columns, value, _WORTH])
    parameters = f"classes, {_RULE}, name := 'ndvi'"
    source = "observed_s2(classes, most, fewest, least_seen)"
    return f"create macro {FUNCTION}({parameters}) as table select {selected} from {source}"  # noqa: S608 (of cards)


def _call(index: Index) -> str:
    return f"{index.name}({', '.join(f'{band}_mean' for band in index.bands)})"


def _sum(linear: Linear) -> str:
    """A weighted sum as an expression of the macro's parameters: (2.5 * nir - 2.5 * red + 1.0 / scale)."""
    terms = []
    for role, weight in linear.weights.items():
        factor = "" if abs(weight) == 1 else f"{abs(weight)}::double * "
        terms.append(f"{'-' if weight < 0 else '+'} {factor}{role}")
    if linear.constant:
        terms.append(f"{'-' if linear.constant < 0 else '+'} {abs(linear.constant)}::double / scale")
    return f"({' '.join(terms).removeprefix('+ ')})"
