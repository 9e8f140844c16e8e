"""Converts STAC items of any provider to rows of the scene catalogue."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, TypeAlias

import pyarrow as pa
import shapely

from cbm_lake import cards
from cbm_lake.card2db import assets, fields, hrefs, identity, outline
from cbm_lake.card2db.evidence import Evidence
from cbm_lake.card2db.outline import epsg_of, utm
from cbm_lake.errors import InvalidInputError
from cbm_lake.files import clock
from cbm_lake.lake import schemas
from cbm_lake.lake.records import SceneLink, SceneRecord

Json: TypeAlias = dict[str, Any]
"""An object of JSON."""
StacItem: TypeAlias = Json
"""A STAC item of any version and provider, as JSON."""
log = logging.getLogger(__name__)

_PRODUCT = re.compile(
    r"(?P<sensor>S2[A-D])_MSI(?P<level>L1C|L2A)_(?P<sensed>\d{8}T\d{6})(?:_N(?P<baseline>\d{4}))?"
    r"_R(?P<orbit>\d{3})_T(?P<tile>\d{2}[A-Z]{3})_(?P<processed>\d{8}T\d{6})"
)
"""The name of a Sentinel-2 product; Planetary Computer leaves the baseline out of its identifiers."""
_DATATAKE = re.compile(r"GS2[A-D]_(?P<sensed>\d{8}T\d{6})_\d+_N(?P<baseline>\d\d\.\d\d)")
_BASELINE_BEHIND = re.compile(r"_N(?P<baseline>\d\d\.\d\d)$")
"""How identifiers of granules and datastrips end."""
_TILE = re.compile(r"(?P<zone>\d{1,2})(?P<band>[C-X])(?P<square>[A-Z]{2})$")
_MOMENT = re.compile(r"\d{8}T\d{6}")
_SWATH = re.compile(r"(?<![A-Z0-9])IW[123]$")
"""The sub-swath of a Sentinel-1 slice at the end of a name."""
_LINKS: Final = ("self", "canonical", "product")
_OFFSET: Final = -1000
"""BOA_ADD_OFFSET of Sentinel-2 products since baseline 04.00."""
_OFFSET_SINCE: Final = "04.00"
_INTRODUCED: Final = datetime(2022, 1, 25, tzinfo=UTC)
"""The day of baseline 04.00: what was processed before has no offset."""
_NEVER_SHIFTED = re.compile(r"SENTINEL2[A-D]_\d{8}-\d{6}-\d{3}_L2A_|LEVEL2_SEN2[A-D]")
"""Product names of MAJA and FORCE, whose DN are 10000 times reflectance for any baseline of their source."""


def to_row(document: StacItem, card: str, source: str, base: str = "") -> SceneRecord:
    """Convert a STAC item to a row of schemas.SCENES.

    Args:
        document: the item as JSON.
        card: the card it is to be catalogued under.
        source: where it was found.
        base: file or URL that relative hrefs start from; without one, the item's own address.

    Raises:
        InvalidInputError: it cannot be a scene of that card; the message names it and the reason.
    """
    name = document.get("id") if isinstance(document, dict) else None
    if not isinstance(name, str) or not name:
        raise InvalidInputError(f"an item in {source}: it has no id")
    item = Item(document, card, base)
    try:
        row = item.row(source)
        pa.RecordBatch.from_pylist([row], schema=schemas.SCENES)  # one row of a wrong type would spoil them all
    except InvalidInputError as error:
        raise InvalidInputError(f"{item.reference}: {error}") from error
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
        raise InvalidInputError(f"{name}: it is not a well-formed STAC item ({error})") from error
    return row


@dataclass(frozen=True)
class Item:
    """Catalogue fields of a STAC item, each from the most reliable place in which providers state it."""

    document: StacItem
    card: str
    base: str

    def row(self, source: str) -> SceneRecord:
        """The item as a row of schemas.SCENES."""
        self._check()
        west, south, east, north = self.footprint.bounds
        row: SceneRecord = {
            "type": "Feature",
            "stac_version": self.document.get("stac_version") or "1.0.0",
            "stac_extensions": self.document.get("stac_extensions") or [],
            "id": self.document["id"],
            "collection": self.document.get("collection"),
            "geometry": shapely.to_wkb(self.footprint),
            "bbox": {"xmin": west, "ymin": south, "xmax": east, "ymax": north},
            "links": self.links,
            "assets": {
                band: {"href": self._absolute(asset["href"]), "type": asset.get("type")}
                for band, asset in self.assets.items()
            },
            "datetime": self.time,
            "platform": self.properties.get("platform"),
            "eo:cloud_cover": self.cloud_cover,
            "proj:code": self.crs,
            "grid:code": f"MGRS-{self.tile}" if self.tile else None,
            "sat:relative_orbit": self.relative_orbit,
            "sat:orbit_state": (self.properties.get("sat:orbit_state") or "").lower() or None,
            "s2:processing_baseline": self.baseline,
            "card": self.card,
            "reference": self.reference,
            "sensor": self.sensor,
            "boa_offset": self.boa_offset,
            "acquisition": self.acquisition,
            "datastrip": identity.datastrip(self),
            "produced": identity.produced(self),
            "updated": identity.updated(self),
            "source": source,
            "ingested": clock.now(),
        }
        row["revision"] = identity.revision(row)
        return row

    @cached_property
    def kind(self) -> cards.Card:
        """The card."""
        return cards.get(self.card)

    @cached_property
    def properties(self) -> Json:
        """Properties of the item that are not null."""
        return {key: value for key, value in (self.document.get("properties") or {}).items() if value is not None}

    @cached_property
    def reference(self) -> str:
        """Product name without .SAFE, else the item's id."""
        name = self._first("s2:product_uri", "sentinel:product_id", "s1:product_identifier") or self.document["id"]
        return str(name).removesuffix(".SAFE")

    @cached_property
    def evidence(self) -> Evidence:
        """Statements of the item about its mission and level."""
        hrefs = tuple(str(asset["href"]) for asset in self.assets.values())
        return Evidence(self.document, self.properties, self.reference, self._duration, hrefs)

    @cached_property
    def sensor(self) -> str:
        """S2A, S1B, …; S2 or S1 if the unit is unknown."""
        return self.evidence.sensor or self.kind.mission.code

    @cached_property
    def footprint(self) -> shapely.Geometry:
        """Footprint in EPSG:4326, valid and two-dimensional."""
        places = [*self.assets.values(), self.properties]
        return outline.footprint(self.document.get("geometry"), self.document["id"], self.tile, self.crs, places)

    @cached_property
    def time(self) -> datetime:
        """Sensing time in UTC: datetime, else the midpoint of start and end."""
        ends = [moment(self.properties[name]) for name in ("start_datetime", "end_datetime") if name in self.properties]
        if "datetime" in self.properties:
            return moment(self.properties["datetime"])
        if not ends:
            raise InvalidInputError("it has no datetime")
        return ends[0] + (ends[-1] - ends[0]) / 2

    @cached_property
    def cloud_cover(self) -> float | None:
        """Cloud cover in percent; None if not stated (-1 in some feeds) or meaningless."""
        stated = self._first("eo:cloud_cover", "cloud_cover")
        percent = fields.number(stated, "cloud cover") if stated is not None else -1
        if percent > 100:
            raise InvalidInputError(f"its cloud cover {stated!r} is no percentage")
        return percent if percent >= 0 else None

    @cached_property
    def tile(self) -> str | None:
        """MGRS tile, always five characters: 31TEJ."""
        parts = (
            self._first("mgrs:utm_zone", "sentinel:utm_zone"),
            self._first("mgrs:latitude_band", "sentinel:latitude_band"),
            self._first("mgrs:grid_square", "sentinel:grid_square"),
        )
        said = self._first("grid:code", "s2:mgrs_tile", "sentinel:mgrs")
        if said is None:
            said = "".join(map(str, parts)) if all(parts) else self._product.get("tile", "")
        match = _TILE.match(str(said).removeprefix("MGRS-").removeprefix("T"))
        return f"{int(match['zone']):02d}{match['band']}{match['square']}" if match else None

    @cached_property
    def crs(self) -> str | None:
        """Coordinate system of the rasters: as stated for the item or its bands, else the UTM zone of the tile."""
        for properties in (self.properties, *self.assets.values()):
            stated = fields.first(properties, "proj:code", "proj:epsg")
            if stated is not None:
                epsg = epsg_of(stated)
                if epsg is None and properties.get("proj:epsg") is not None:
                    raise InvalidInputError(f"its proj:epsg {stated!r} is no number")
                return f"EPSG:{epsg}" if epsg else str(stated)
        return utm(self.tile) if self.tile else None

    @cached_property
    def relative_orbit(self) -> int | None:
        """Relative orbit: as stated, else from the product name."""
        stated = self._first("sat:relative_orbit") or self._product.get("orbit")
        return int(fields.number(stated, "sat:relative_orbit")) if stated is not None else None

    @cached_property
    def baseline(self) -> str | None:
        """Processing baseline of Sentinel-2 as 05.11; 99.xx is written by the Sen2Cor toolbox."""
        if not self.kind.shifted:
            return None
        inside = self._product.get("baseline")
        if inside is not None:
            # a feed that keeps the baseline as a number writes 5.1 for 05.10: the name is exact
            return fields.baseline(inside)
        stated = self._first("s2:processing_baseline", "sentinel:processing_baseline", "processing_baseline")
        if stated is None and re.fullmatch(r"[Nn]?\d\d\.?\d\d", str(self._first("processing:version"))):
            stated = self._first("processing:version")
        if stated is not None:
            return fields.baseline(stated)
        names = (
            str(self._first(f"{start}:{part}_id")) for part in ("granule", "datastrip") for start in ("s2", "eopf")
        )
        return next((match["baseline"] for name in names if (match := _BASELINE_BEHIND.search(name))), None)

    @cached_property
    def boa_offset(self) -> int:
        """Offset to add to stored DN to obtain 10000 times reflectance, from the metadata of this scene.

        Raises:
            InvalidInputError: the metadata are missing or contradictory.
        """
        if not self.kind.shifted:
            return 0
        if "boa_offset" in self.properties:  # an item that comes out of a catalogue of ours
            offset = fields.number(self.properties["boa_offset"], "boa_offset")
            if not offset.is_integer():
                raise InvalidInputError(f"its boa_offset {offset:g} is no whole number of DN, such as -1000")
            assets.check_offset(int(offset), f"it has an offset of {offset:.0f}")
            return int(offset)
        said = self._first("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
        applied = fields.boolean(said, "boa_offset_applied") if said is not None else None
        by_band = {
            band: assets.offset(band, asset, self.kind)
            for band, asset in self.assets.items()
            if not self.kind.is_classes(band)
        }
        if applied:
            return 0
        usual = self._usual_offset
        stated = _shared(by_band, usual)
        if stated is not None and applied is None:
            return stated
        if usual and applied is False:
            # Earth Search's sentinel-2-l2a holds items whose flag is wrong; nothing else in them would tell
            log.warning("%s says that its offset was not applied: compare with another", self.document["id"])
        if usual is None and stated is None:
            raise InvalidInputError(self._untold)
        return usual if usual is not None else stated or 0

    @cached_property
    def acquisition(self) -> str:
        """Acquisition key, equal for all processings of one acquisition at any provider.

        Sentinel-2: tile and start of the datatake, which product names and datatake identifiers carry; the datetime
        of items differs between providers (start of the datatake, of the datastrip, or middle of the tile).
        Sentinel-1: start, and tile, second time or name; bursts and sub-swaths of one slice are neighbours.
        """
        if self.kind.product and (match := self.kind.product.pattern.search(self.reference)):
            return f"{self.card}/{self.sensor}/{match['taken']}/{match['tile']}"
        if self.kind.shifted:
            sensed = self._product.get("sensed") or self._datatake.get("sensed") or f"{self.time:%Y%m%dT%H%M%S}"
            return f"{self.card}/{self.sensor}/{sensed}/{self.tile or self.reference}"
        if burst := identity.burst(self.reference):
            return "/".join((self.card, self.sensor, *burst))
        moments = _MOMENT.findall(self.reference)
        start = moments[0] if moments else f"{moment(self._first('start_datetime') or self.time):%Y%m%dT%H%M%S}"
        position = self.tile or (moments[1] if len(moments) > 1 else self.reference)
        if swath := _SWATH.search(self.reference):
            position = f"{position}/{swath[0]}"
        return f"{self.card}/{self.sensor}/{start}/{position}"

    @cached_property
    def assets(self) -> dict[str, Json]:
        """Asset of each band at the card's pixel size."""
        return assets.of_bands(self.document, self.kind)

    @cached_property
    def links(self) -> list[SceneLink]:
        """Links back to the item or its product."""
        return [
            {"href": self._absolute(link["href"]), "rel": link["rel"], "type": link.get("type")}
            for link in self.document.get("links") or []
            if link.get("rel") in _LINKS and link.get("href")
        ]

    def _check(self) -> None:
        """Refuse items that cannot be scenes of the card."""
        card = self.kind
        self.evidence.check(card)
        if not self.assets and not any(link["rel"] == "product" for link in self.links):
            bands = ", ".join(card.rasters)
            raise InvalidInputError(f"it has no raster of {bands}; {assets.named(self.document)}")
        for band, asset in self.assets.items():
            if not card.is_optical:
                assets.check_radar(band, asset, card)
            elif not card.shifted and not card.is_classes(band):
                assets.check_scale(band, asset, card)

    @property
    def _duration(self) -> float:
        """Seconds from the start of sensing to its end."""
        start, end = (self.properties.get(name) for name in ("start_datetime", "end_datetime"))
        return (moment(end) - moment(start)).total_seconds() if start and end else 0

    @cached_property
    def _product(self) -> dict[str, str]:
        """Parsed product name, from the reference or the id; empty for other names."""
        parts = _PRODUCT.match(self.reference) or _PRODUCT.match(self.document["id"])
        return {key: value for key, value in parts.groupdict().items() if value} if parts else {}

    @cached_property
    def _datatake(self) -> dict[str, str]:
        parts = _DATATAKE.match(str(self._first("s2:datatake_id", "eopf:datatake_id")))
        return parts.groupdict() if parts else {}

    @cached_property
    def _usual_offset(self) -> int | None:
        """Offset by baseline, processor or processing time; None if none of them is known."""
        baseline = self.baseline
        if baseline and baseline.startswith("99"):
            baseline = self._datatake.get("baseline")  # toolbox products have the offset of their source
        if baseline is not None:
            return _OFFSET if baseline >= _OFFSET_SINCE else 0
        processed = self._first("s2:generation_time", "processing:datetime") or self._product.get("processed")
        early = processed is not None and moment(processed) < _INTRODUCED
        names = (self.reference, self.document["id"])
        return 0 if early or any(_NEVER_SHIFTED.search(name.upper()) for name in names) else None

    @property
    def _untold(self) -> str:
        if self.baseline:
            return (
                f"its processing baseline {self.baseline} is that of the Sen2Cor toolbox, and neither an offset nor "
                "s2:datatake_id tells that of its source; add one of them to the item"
            )
        return (
            "it states neither its processing baseline nor an offset, and nothing says that it was made before "
            f"{_INTRODUCED:%Y-%m-%d}, since when products have one; add s2:processing_baseline to the item"
        )

    def _first(self, *names: str) -> Any:
        """First property that is present."""
        return fields.first(self.properties, *names)

    def _absolute(self, href: str) -> str:
        return hrefs.absolute(href, self.base or hrefs.own_address(self.document))


def moment(value: str | datetime) -> datetime:
    """Parse a timestamp to UTC; naive ones are in UTC.

    Raises:
        ValueError: it is not in ISO 8601.
    """
    time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _shared(stated: dict[str, int | None], usual: int | None) -> int | None:
    """Common offset stated by the bands, in DN; bands without one count as having the usual one. None if none does."""
    if set(stated.values()) <= {None}:
        return None
    offsets = {band: usual if offset is None else offset for band, offset in stated.items()}
    if len(set(offsets.values())) > 1:
        words = ", ".join(f"{band} {'none' if offset is None else offset}" for band, offset in offsets.items())
        raise InvalidInputError(f"its bands state different offsets ({words})")
    return next(iter(offsets.values()))
