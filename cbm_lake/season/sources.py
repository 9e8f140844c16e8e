"""Sources of scenes in the file of a season, and how each is catalogued."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import date
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, Discriminator, Tag

from cbm_lake import card2db
from cbm_lake.card2db import Ingested, stacapi
from cbm_lake.card2db.collecting import Progress
from cbm_lake.lake import Lake
from cbm_lake.season.fields import CardName, Day, Group, Names
from cbm_lake.storage.credentials import without_secrets

Span: TypeAlias = tuple[date, date]
"""First and last day."""
Resolve: TypeAlias = Callable[[str], str]
"""Makes a relative path of the file an absolute one."""


class _Source(Group):
    """What every kind has."""

    @property
    def name(self) -> str:
        """In messages and in the journal, without secrets."""
        raise NotImplementedError

    def problems(self, aois: Collection[str], extracted: Collection[str], season: Span | None) -> Iterator[str]:
        """What does not fit the rest of the file.

        Args:
            aois: its areas.
            extracted: the cards that it extracts.
            season: the first and last day of its seasons.
        """
        aoi, card = getattr(self, "aoi", None), getattr(self, "card", None)
        if aoi is not None and aoi.lower() not in aois:
            yield f"source {self.name}: there is no area {aoi}; there are: {', '.join(sorted(aois))}"
        if card is not None and card not in extracted:
            yield f"source {self.name} is of card {card}, which is not extracted; add it to extract:"

    def areas(self, aois: Iterable[str]) -> list[str | None]:
        """The areas that it is asked for one by one; None is all at once."""
        return [None]

    def catalogue(
        self, lake: Lake, aoi: str | None, season: Span, resolve: Resolve, progress: Progress | None
    ) -> Ingested:
        """Catalogue its scenes; errors are those of the verb of `card2db`."""
        raise NotImplementedError


def _stac_api(url: str) -> str:
    stacapi.api(url, "s2", "any")
    return url


class Stac(_Source):
    """A STAC API, which is searched for the season of each area."""

    stac: Annotated[str, AfterValidator(_stac_api)]
    """Its URL, or the name of a provider."""
    card: CardName = "s2"
    collection: str | None = None
    aoi: str | None = None
    """None is all areas of the file, one by one."""
    bbox: tuple[float, float, float, float] | None = None
    """west, south, east, north in degrees, instead of the extent of the parcels."""
    start: Day | None = None
    """None is the first day of the season."""
    end: Day | None = None

    @property
    def name(self) -> str:
        """The API, its collection and card."""
        return " ".join(filter(None, (without_secrets(self.stac), self.collection, self.card)))

    def problems(self, aois: Collection[str], extracted: Collection[str], season: Span | None) -> Iterator[str]:
        """What does not fit the rest of the file, dates beyond the season among it."""
        yield from super().problems(aois, extracted, season)
        for day in (self.start, self.end):
            if season and day and not season[0] <= day <= season[1]:
                yield f"source {self.name}: {day} is outside the season, {season[0]} to {season[1]}"
        if self.start and self.end and self.start > self.end:
            yield f"source {self.name}: the dates are reversed: start {self.start} is after end {self.end}"

    def areas(self, aois: Iterable[str]) -> list[str | None]:
        """Each area, unless a box is given."""
        if self.bbox is not None:
            return [None]
        return [self.aoi.lower()] if self.aoi else [*dict.fromkeys(aois)]

    def catalogue(
        self, lake: Lake, aoi: str | None, season: Span, resolve: Resolve, progress: Progress | None
    ) -> Ingested:
        """Search the API for all days of the season, so that scenes that come late are found."""
        first, last = self.start or season[0], self.end or season[1]
        return card2db.stac(aoi, first, last, self.card, self.stac, self.collection, self.bbox, lake, progress=progress)


class Items(_Source):
    """STAC items on disk or at a URL."""

    items: str
    card: CardName = "s2"

    @property
    def name(self) -> str:
        """The path."""
        return without_secrets(self.items)

    def catalogue(
        self, lake: Lake, aoi: str | None, season: Span, resolve: Resolve, progress: Progress | None
    ) -> Ingested:
        """Catalogue all of them."""
        return card2db.items(resolve(self.items), self.card, lake, progress=progress)


class GeoParquet(_Source):
    """STAC-GeoParquet."""

    geoparquet: str
    card: CardName = "s2"

    @property
    def name(self) -> str:
        """The path."""
        return without_secrets(self.geoparquet)

    def catalogue(
        self, lake: Lake, aoi: str | None, season: Span, resolve: Resolve, progress: Progress | None
    ) -> Ingested:
        """Catalogue all of it."""
        return card2db.geoparquet(resolve(self.geoparquet), self.card, lake)


class Products(_Source):
    """A folder of products."""

    products: str
    card: CardName | None = None
    """None is each product's own."""
    aoi: str | None = None
    """Only products that touch its parcels."""

    @property
    def name(self) -> str:
        """The folder."""
        return self.products

    def catalogue(
        self, lake: Lake, aoi: str | None, season: Span, resolve: Resolve, progress: Progress | None
    ) -> Ingested:
        """Catalogue what lies in the folder."""
        return card2db.products(resolve(self.products), self.card, self.aoi, lake, progress=progress)


class Files(_Source):
    """Rasters by a pattern of their names."""

    files: str
    card: CardName = "s2"
    unit: Literal["linear", "db"] | None = None
    offset: Literal[0, -1000] | None = None
    bands: Names = ()
    aoi: str | None = None
    """Only scenes that touch its parcels."""

    @property
    def name(self) -> str:
        """The pattern."""
        return without_secrets(self.files)

    def catalogue(
        self, lake: Lake, aoi: str | None, season: Span, resolve: Resolve, progress: Progress | None
    ) -> Ingested:
        """Catalogue what fits the pattern."""
        return card2db.files(
            resolve(self.files),
            self.card,
            unit=self.unit,
            offset=self.offset,
            bands=self.bands,
            aoi=self.aoi,
            lake=lake,
            progress=progress,
        )


KINDS: Final[Mapping[str, type[_Source]]] = {
    "stac": Stac,
    "items": Items,
    "geoparquet": GeoParquet,
    "products": Products,
    "files": Files,
}
"""The kinds of sources by the key that each has, and no other."""


def _kind(source: object) -> str | None:
    """The kind of a source by its keys; None where it has none of them, or several."""
    if isinstance(source, _Source):
        return next(kind for kind, model in KINDS.items() if isinstance(source, model))
    keys = [kind for kind in KINDS if isinstance(source, Mapping) and kind in source]
    return keys[0] if len(keys) == 1 else None


Source = Annotated[
    Annotated[Stac, Tag("stac")]
    | Annotated[Items, Tag("items")]
    | Annotated[GeoParquet, Tag("geoparquet")]
    | Annotated[Products, Tag("products")]
    | Annotated[Files, Tag("files")],
    Discriminator(
        _kind,
        custom_error_type="kind",
        custom_error_message=f"a source has one of the keys {', '.join(KINDS)}, which says what it is",
    ),
]
