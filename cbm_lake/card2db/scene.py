"""A STAC item of any provider as one row of the catalogue."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin

import pyarrow as pa
import shapely
from shapely.geometry import shape

from cbm_lake import cards, schemas
from cbm_lake.errors import InvalidInputError

log = logging.getLogger(__name__)

_PRODUCT = re.compile(
    r"(?P<sensor>S2[A-D])_MSI(?P<level>L1C|L2A)_(?P<taken>\d{8}T\d{6})(?:_N(?P<baseline>\d{4}))?"
    r"_R(?P<orbit>\d{3})_T(?P<tile>\d{2}[A-Z]{3})_\d{8}T\d{6}"
)
"""The name of a Sentinel-2 product; Planetary Computer leaves the baseline out of its identifiers."""
_DATATAKE = re.compile(r"GS2[A-D]_(?P<taken>\d{8}T\d{6})_\d+_N(?P<baseline>\d\d\.\d\d)")
_SENTINEL = re.compile(r"sentinel[-_ ]?(?P<mission>[12])(?P<unit>[a-d]?)$", re.IGNORECASE)
_TILE = re.compile(r"(?P<zone>\d{1,2})(?P<band>[C-X])(?P<square>[A-Z]{2})$")
_MOMENT = re.compile(r"\d{8}T\d{6}")
_MISSIONS: Final = {"s2": "S2", "bs": "S1", "c6": "S1"}
_BANDS: Final = {"s2": frozenset(schemas.ASSETS[:-2]), "bs": frozenset({"VV", "VH"}), "c6": frozenset({"VV", "VH"})}
_KEPT_LINKS: Final = ("self", "canonical", "product")
_OFFSET: Final = -1000
"""BOA_ADD_OFFSET of Sentinel-2 products since baseline 04.00."""


def to_row(document: dict[str, Any], card: str, source: str, base: str = "") -> dict[str, Any]:
    """The row of schemas.SCENES that a STAC item makes.

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
    """What the catalogue wants to know of a STAC item, each fact from the best of the places where providers put it."""

    document: dict[str, Any]
    card: str
    base: str

    def row(self, source: str) -> dict[str, Any]:
        """The item as a row of schemas.SCENES."""
        self._check()
        west, south, east, north = self.footprint.bounds
        return {
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
            "source": source,
            "ingested": datetime.now(UTC),
        }

    @cached_property
    def properties(self) -> dict[str, Any]:
        """The item's properties that are not null."""
        return {key: value for key, value in (self.document.get("properties") or {}).items() if value is not None}

    @cached_property
    def reference(self) -> str:
        """The product's name without .SAFE, else the item's identifier."""
        name = self._first("s2:product_uri", "sentinel:product_id", "s1:product_identifier") or self.document["id"]
        return str(name).removesuffix(".SAFE")

    @cached_property
    def sensor(self) -> str:
        """S2A, S1B, …; only S2 or S1 where a composite has no single platform."""
        if re.match(r"S[12][A-D]_", self.reference):
            return self.reference[:3]
        platform = str(self._first("platform", "constellation") or "")
        found = _SENTINEL.match(platform)
        if found:
            return f"S{found['mission']}{found['unit'].upper()}"
        return platform.upper() or _MISSIONS[self.card]

    @cached_property
    def footprint(self) -> shapely.Geometry:
        """The outline in degrees (EPSG:4326), valid and without heights."""
        if not self.document.get("geometry"):
            raise InvalidInputError("it has no geometry")
        found = shapely.force_2d(shape(self.document["geometry"]))
        west, south, east, north = found.bounds
        if found.is_empty or not (-360 <= west <= east <= 360 and -90 <= south <= north <= 90):
            raise InvalidInputError(f"its geometry is empty or not in degrees (bounds {found.bounds})")
        return found if found.is_valid else shapely.make_valid(found)

    @cached_property
    def time(self) -> datetime:
        """The moment of sensing in UTC: the datetime, else the middle of its start and end."""
        ends = [moment(self.properties[name]) for name in ("start_datetime", "end_datetime") if name in self.properties]
        if "datetime" in self.properties:
            return moment(self.properties["datetime"])
        if not ends:
            raise InvalidInputError("it has no datetime")
        return ends[0] + (ends[-1] - ends[0]) / 2

    @cached_property
    def cloud_cover(self) -> float | None:
        """Percent; None where it is not stated (-1 in some feeds) or has no meaning."""
        percent = self._first("eo:cloud_cover", "cloud_cover")
        return float(percent) if percent is not None and float(percent) >= 0 else None

    @cached_property
    def tile(self) -> str | None:
        """The tile of the military grid, always with five characters: 31TEJ."""
        parts = (
            self._first("mgrs:utm_zone", "sentinel:utm_zone"),
            self._first("mgrs:latitude_band", "sentinel:latitude_band"),
            self._first("mgrs:grid_square", "sentinel:grid_square"),
        )
        said = self._first("grid:code", "s2:mgrs_tile", "sentinel:mgrs")
        if said is None:
            said = "".join(map(str, parts)) if all(parts) else self._product.get("tile", "")
        found = _TILE.match(str(said).removeprefix("MGRS-").removeprefix("T"))
        return f"{int(found['zone']):02d}{found['band']}{found['square']}" if found else None

    @cached_property
    def crs(self) -> str | None:
        """The rasters' coordinate system: as stated for the item or its bands, else the UTM zone of the tile."""
        for place in (self.properties, *self.assets.values()):
            if place.get("proj:code"):
                return str(place["proj:code"])
            if place.get("proj:epsg"):
                return f"EPSG:{int(place['proj:epsg'])}"
        return utm(self.tile) if self.tile else None

    @cached_property
    def relative_orbit(self) -> int | None:
        """The relative orbit: as stated, else from the product's name."""
        stated = self._first("sat:relative_orbit") or self._product.get("orbit")
        return int(stated) if stated is not None else None

    @cached_property
    def baseline(self) -> str | None:
        """The processing baseline of Sentinel-2 as 05.11; 99.xx is what the Sen2Cor toolbox writes."""
        if self.card != "s2":
            return None
        inside = self._product.get("baseline")
        stated = self._first("s2:processing_baseline", "sentinel:processing_baseline")
        if stated is None and re.fullmatch(r"\d\d\.\d\d", str(self._first("processing:version"))):
            stated = self._first("processing:version")
        if inside is not None:
            # a feed that keeps the baseline as a number writes 5.1 for 05.10: the name is exact
            stated = f"{inside[:2]}.{inside[2:]}"
        return _two_and_two(stated) if stated is not None else None

    @cached_property
    def boa_offset(self) -> int:
        """What is to be added to the stored numbers to give 10000 times reflectance, from this scene's own metadata."""
        if self.card != "s2":
            return 0
        if "boa_offset" in self.properties:  # an item that comes out of a catalogue of ours
            return int(self.properties["boa_offset"])
        applied = self._first("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
        if applied:
            return 0
        stated = self._stated_offset
        if stated is not None and applied is None:
            return stated
        baseline = self._source_baseline
        if baseline is not None:
            if applied is False and baseline >= "04.00":
                # Earth Search's sentinel-2-l2a holds items whose flag is wrong; nothing else in them would tell
                log.warning("%s says that its offset was not applied: compare with another", self.document["id"])
            return _OFFSET if baseline >= "04.00" else 0
        if stated is None:
            log.warning("%s states no processing baseline and no offset: taken as without offset", self.document["id"])
        return stated or 0

    @cached_property
    def acquisition(self) -> str:
        """Equal for all processings of one acquisition at any provider.

        Sentinel-2: tile and start of the datatake, which product names and datatake identifiers carry; the datetime
        of items differs between providers (start of the datatake, of the datastrip, or middle of the tile).
        """
        if self.card == "s2":
            taken = self._product.get("taken") or self._datatake.get("taken") or f"{self.time:%Y%m%dT%H%M%S}"
            return f"{self.card}/{self.sensor}/{taken}/{self.tile or self.reference}"
        moments = _MOMENT.findall(self.reference)
        start = moments[0] if moments else f"{moment(self._first('start_datetime') or self.time):%Y%m%dT%H%M%S}"
        place = self.tile or (moments[1] if len(moments) > 1 else self.reference)
        return f"{self.card}/{self.sensor}/{start}/{place}"

    @cached_property
    def assets(self) -> dict[str, dict[str, Any]]:
        """The asset of each band of the card at the card's pixel size; a COG rather than its JPEG 2000 twin."""
        found: dict[str, dict[str, Any]] = {}
        stated = self.document.get("assets") or {}
        for key in sorted(stated, key=lambda key: key.lower().endswith("-jp2")):  # twins last; the sort is stable
            for band, asset in _bands_of(key, stated[key]):
                if band in _BANDS[self.card]:
                    found.setdefault(band, asset)
        return found

    @cached_property
    def links(self) -> list[dict[str, str | None]]:
        """The links that lead back to the item or its product."""
        return [
            {"href": self._absolute(link["href"]), "rel": link["rel"], "type": link.get("type")}
            for link in self.document.get("links") or []
            if link.get("rel") in _KEPT_LINKS and link.get("href")
        ]

    def _check(self) -> None:
        """Refuse what cannot be a scene of the card."""
        if not self.sensor.startswith(_MISSIONS[self.card]):
            mission = f"Sentinel-{_MISSIONS[self.card][1]}"
            raise InvalidInputError(f"it is of {self.sensor}; card {self.card} is of {mission}")
        if self.card == "s2" and self._product.get("level") == "L1C":
            raise InvalidInputError("it is Level-1C (top of atmosphere); card s2 needs Level-2A")
        if self.card == "bs" and "_SLC_" in self.reference:
            raise InvalidInputError("it is a single-look complex product; card bs needs backscatter")
        if not self.assets and not any(link["rel"] == "product" for link in self.links):
            raise InvalidInputError(f"it has no raster of {', '.join(sorted(_BANDS[self.card]))}")

    @cached_property
    def _product(self) -> dict[str, str]:
        """The parts of the product's name, from the reference or the identifier; empty when it is named otherwise."""
        found = _PRODUCT.match(self.reference) or _PRODUCT.match(self.document["id"])
        return {key: value for key, value in found.groupdict().items() if value} if found else {}

    @cached_property
    def _datatake(self) -> dict[str, str]:
        found = _DATATAKE.match(str(self._first("s2:datatake_id", "eopf:datatake_id")))
        return found.groupdict() if found else {}

    @property
    def _source_baseline(self) -> str | None:
        """The baseline that decides the offset: toolbox products (99.xx) have the offset of their source."""
        if self.baseline and self.baseline.startswith("99"):
            return self._datatake.get("baseline")
        return self.baseline

    @property
    def _stated_offset(self) -> int | None:
        """The offset that the bands state, in stored numbers."""
        stated = {_offset_of(asset) for band, asset in self.assets.items() if band != "SCL"} - {None}
        if len(stated) > 1:
            raise InvalidInputError(f"its bands state different offsets ({', '.join(sorted(map(str, stated)))})")
        return stated.pop() if stated else None

    def _first(self, *names: str) -> Any:
        """The first of these properties that the item has."""
        return next((self.properties[name] for name in names if name in self.properties), None)

    def _absolute(self, href: str) -> str:
        return absolute(href, self.base or _own_address(self.document))


def moment(value: str | datetime) -> datetime:
    """A time in UTC; one without a zone is in UTC already.

    Raises:
        ValueError: it is not in ISO 8601.
    """
    found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def utm(tile: str) -> str:
    """The UTM zone of a tile of the military grid: 31TEJ is EPSG:32631; latitude bands below N are in the south."""
    return f"EPSG:{'326' if tile[2] >= 'N' else '327'}{tile[:2]}"


def absolute(href: str, base: str) -> str:
    """An href that no longer depends on the file or URL `base` that it was read from."""
    if "://" in href or href.startswith("/"):
        return href
    if not base:
        return os.path.normpath(Path(href).absolute())
    if "://" in base:
        # urljoin knows web addresses only, not s3://
        scheme, _, rest = base.partition("://")
        return f"{scheme}://{urljoin(f'http://{rest}', href).removeprefix('http://')}"
    return os.path.normpath(Path(base).absolute().parent / href)  # not resolve(), which would follow symbolic links


def _own_address(document: dict[str, Any]) -> str:
    return next((link.get("href") or "" for link in document.get("links") or [] if link.get("rel") == "self"), "")


def _bands_of(key: str, asset: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    """The bands that an asset holds at their own pixel size."""
    if not asset.get("href"):
        return
    band = cards.asset_band(key)
    bands = asset.get("bands") or asset.get("eo:bands") or []
    if band is not None:
        yield band, asset
    elif len(bands) == 1 and asset.get("gsd"):
        named = cards.asset_band(f"{bands[0].get('name', '')}_{asset['gsd']:g}m")
        if named is not None:
            yield named, asset
    elif "zarr" in (asset.get("type") or "") and asset["href"].endswith("/measurements/reflectance"):
        # one group for all bands; inside it EOPF products keep one array per band under its pixel size
        for entry in bands:
            named = cards.asset_band(f"{entry['name']}_{entry['gsd']:g}m")
            if named is not None:
                yield named, {**asset, "href": f"{asset['href']}/r{entry['gsd']:g}m/{entry['name']}"}


def _offset_of(asset: dict[str, Any]) -> int | None:
    """The offset that a band's asset states, in stored numbers: -0.1 at a scale of 0.0001 is -1000.

    What a Zarr store of reflectance states is true of floats, not of the numbers that are read from it (see `eopf`).
    """
    inside = (asset.get("raster:bands") or asset.get("bands") or [{}])[0]
    kind = str(asset.get("data_type") or inside.get("data_type") or "")
    if kind.startswith("float") and "zarr" in (asset.get("type") or ""):
        return None
    names = (asset.get("raster:offset"), inside.get("raster:offset"), inside.get("offset"))
    offset = next((float(value) for value in names if value is not None), None)
    if offset is None:
        return None
    scale = asset.get("raster:scale") or inside.get("raster:scale") or inside.get("scale")
    return round(offset / float(scale or (1 if abs(offset) >= 1 else 0.0001)))


def _two_and_two(baseline: Any) -> str:
    """5.11 and 05.11 as 05.11; 5.1 is what is left of 05.10."""
    major, _, minor = str(baseline).partition(".")
    return f"{int(major):02d}.{minor:0<2}"
