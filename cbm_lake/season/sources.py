"""Sources of scenes in the file of a season, and how each is catalogued."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import date
from typing import Annotated, ClassVar, Final, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator

from cbm_lake import card2db
from cbm_lake.card2db import Ingested, stacapi
from cbm_lake.card2db.collecting import Progress
from cbm_lake.errors import InvalidInputError, quoted
from cbm_lake.files.validation import meant
from cbm_lake.lake import Lake
from cbm_lake.season.fields import CardName, Day, Group, Names, Real
from cbm_lake.storage.credentials import without_secrets

Span: TypeAlias = tuple[date, date]
"""First and last day."""
Box: TypeAlias = tuple[float, float, float, float]
"""West, south, east, north in degrees."""
Resolve: TypeAlias = Callable[[str], str]
"""Makes a relative path of the file an absolute one."""


class Source(Group):
    """What every kind has."""

    kind: ClassVar[str] = ""
    """The key that it alone has."""

    @property
    def name(self) -> str:
        """In messages and in the journal, without secrets."""
        raise NotImplementedError

    def problems(
        self, aois: Collection[str], extracted: Collection[str], season: Span | None
    ) -> Iterator[tuple[str, str]]:
        """What does not fit the rest of the file, by keys.

        Args:
            aois: its areas.
            extracted: the cards that it extracts.
            season: the first and last day of its seasons.
        """
        aoi, card = getattr(self, "aoi", None), getattr(self, "card", None)
        if aoi is not None and aoi.lower() not in aois:
            yield "aoi", f"there is no area {aoi}; {meant(aoi, sorted(aois))}"
        if card is not None and card not in extracted:
            yield "card", f"source {self.name} is of card {card}, which is not extracted; add it to extract:"

    @property
    def input(self) -> str | None:
        """The file or folder that it reads, or its URL; None of an API, and of a pattern."""
        return None

    def areas(self, aois: Iterable[str]) -> list[str | None]:
        """The areas that it is asked for one by one; None is all at once."""
        return [None]

    def catalogue(
        self, lake: Lake, aoi: str | None, season: Span, resolve: Resolve, progress: Progress | None
    ) -> Ingested:
        """Catalogue its scenes; errors are those of the verb of `card2db`."""
        raise NotImplementedError


def _box(box: Box | None) -> Box | None:
    """A box, as it is."""
    if box is not None:
        west, south, east, north = box
        if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
            raise ValueError(f"{list(box)} is no box; write [west, south, east, north] in degrees")
    return box


class Stac(Source):
    """A STAC API, which is searched for the season of each area."""

    kind: ClassVar[str] = "stac"
    stac: str
    """Its URL, or the name of a provider."""
    card: CardName = "s2"
    collection: str | None = None
    aoi: str | None = None
    """None is all areas of the file, one by one."""
    bbox: Annotated[tuple[Real, Real, Real, Real] | None, AfterValidator(_box)] = None
    """west, south, east, north in degrees, instead of the extent of the parcels."""
    start: Day | None = None
    """None is the first day of the season."""
    end: Day | None = None

    @property
    def name(self) -> str:
        """The API, its collection and card."""
        return " ".join(filter(None, (without_secrets(self.stac), self.collection, self.card)))

    def problems(
        self, aois: Collection[str], extracted: Collection[str], season: Span | None
    ) -> Iterator[tuple[str, str]]:
        """What does not fit the rest of the file, dates beyond the season among it."""
        yield from super().problems(aois, extracted, season)
        for key, day in (("start", self.start), ("end", self.end)):
            if season and day and not season[0] <= day <= season[1]:
                yield key, f"{day} is outside the season, {season[0]} to {season[1]}"
        if self.start and self.end and self.start > self.end:
            yield "start", f"the dates are reversed: start {self.start} is after end {self.end}"
        try:
            stacapi.api(self.stac, self.card, self.collection)
        except InvalidInputError as error:
            yield "stac", str(error)

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


class Items(Source):
    """STAC items on disk or at a URL."""

    kind: ClassVar[str] = "items"
    items: str
    card: CardName = "s2"

    @property
    def name(self) -> str:
        """The path."""
        return without_secrets(self.items)

    @property
    def input(self) -> str | None:
        """The path."""
        return self.items

    def catalogue(
        self, lake: Lake, aoi: str | None, season: Span, resolve: Resolve, progress: Progress | None
    ) -> Ingested:
        """Catalogue all of them."""
        return card2db.items(resolve(self.items), self.card, lake, progress=progress)


class GeoParquet(Source):
    """STAC-GeoParquet."""

    kind: ClassVar[str] = "geoparquet"
    geoparquet: str
    card: CardName = "s2"

    @property
    def name(self) -> str:
        """The path."""
        return without_secrets(self.geoparquet)

    @property
    def input(self) -> str | None:
        """The path."""
        return self.geoparquet

    def catalogue(
        self, lake: Lake, aoi: str | None, season: Span, resolve: Resolve, progress: Progress | None
    ) -> Ingested:
        """Catalogue all of it."""
        return card2db.geoparquet(resolve(self.geoparquet), self.card, lake)


class Products(Source):
    """A folder of products."""

    kind: ClassVar[str] = "products"
    products: str
    card: CardName | None = None
    """None is each product's own."""
    aoi: str | None = None
    """Only products that touch its parcels."""

    @property
    def name(self) -> str:
        """The folder."""
        return self.products

    @property
    def input(self) -> str | None:
        """The path."""
        return self.products

    def catalogue(
        self, lake: Lake, aoi: str | None, season: Span, resolve: Resolve, progress: Progress | None
    ) -> Ingested:
        """Catalogue what lies in the folder."""
        return card2db.products(resolve(self.products), self.card, self.aoi, lake, progress=progress)


def _offset(value: object) -> object:
    if value is not None and (isinstance(value, bool) or value not in (0, -1000)):
        raise ValueError(f"{quoted(value)} is no offset of reflectance; choose 0 or -1000")
    return value


class Files(Source):
    """Rasters by a pattern of their names."""

    kind: ClassVar[str] = "files"
    files: str
    card: CardName = "s2"
    unit: Literal["linear", "db"] | None = None
    offset: Annotated[Literal[0, -1000] | None, BeforeValidator(_offset)] = None
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


KINDS: Final[Mapping[str, type[Source]]] = {one.kind: one for one in (Stac, Items, GeoParquet, Products, Files)}
"""The kinds of sources by the key that each has, and no other."""


def kind_of(source: Mapping[str, object]) -> str | None:
    """The kind of a source by its keys; None where it has none of them, or several."""
    keys = [kind for kind in KINDS if kind in source]
    return keys[0] if len(keys) == 1 else None
