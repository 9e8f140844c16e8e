"""Selects the asset of each band in a STAC item, and checks its stated scale, offset, unit and data type.

A band is known by its asset's key, else by the band that the asset states, its title or the name of its file, in this
order. Copies at other pixel sizes than the card's are no rasters of the card.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

from cbm_lake import cards
from cbm_lake.card2db import fields
from cbm_lake.cards import Card
from cbm_lake.errors import InvalidInputError, some

Asset = dict[str, Any]

_FURTHEST: Final = 2000
"""DN: no product of Sentinel-2 shifts reflectance by more than 0.2."""
_NO_RASTERS = re.compile(
    r"image/(?:png|jpe?g|webp)|text/|application/(?:json|xml|zip|pdf|geo\+json)|html", re.IGNORECASE
)
_NO_FILES = re.compile(r"\.(?:xml|json|png|jpe?g|zip|html?|txt|kml|pdf|csv|safe)$", re.IGNORECASE)
_OTHER_ROLES: Final = frozenset({"thumbnail", "overview", "visual", "metadata"})
_TITLE_BAND = re.compile(r"\b(?:band[ _-]?|b)0?(?P<number>[2-8]|8a|11|12)\b", re.IGNORECASE)
_TITLE_METRES = re.compile(r"\b(?P<metres>\d{2})\s?m\b")
_NOT_BOTTOM = re.compile(r"(?:^|[^a-z])toa(?:[^a-z]|$)|top of atmosphere", re.IGNORECASE)
_NOT_MEASURED = re.compile(r"mask|angle|incidence|looks|layover|shadow|ratio|noise|calibration|schema", re.IGNORECASE)
_SLOPES_KEPT = re.compile(r"(?:^|[\s/_-])(?:SRE[_-]|sigma0|(?:vv|vh)-s-lin)", re.IGNORECASE)
"""Alternatives without slope correction: MAJA's SRE (to FRE), sigma0 (to gamma0)."""
_DECIBEL = re.compile(r"(?:^|[^a-z])(?:db|decibels?|log)(?:[^a-z]|$)", re.IGNORECASE)
_GROUP = re.compile(r"/measurements/reflectance(?:/r(?P<metres>\d{2})m)?$")
_SIZE = re.compile(r"[_-]\d{2,3}m$", re.IGNORECASE)


@dataclass(frozen=True)
class _Candidate:
    """An asset that may contain a band."""

    band: str
    key: str
    asset: Asset
    found_by: int
    """0 the key, 1 the stated band, 2 the title, 3 the file."""
    metres: float | None
    """Stated pixel size."""

    @property
    def rank(self) -> tuple[int, bool, bool, bool]:
        """Sort key, lower is better: COG before its twin, slope-corrected before other corrections."""
        slopes_kept = bool(_SLOPES_KEPT.search(f"{self.key} {self.asset['href']}"))
        return self.found_by, self.metres is None, self._is_jpeg, slopes_kept

    @property
    def file(self) -> str:
        """File name of the raster."""
        return _file(self.asset)

    @property
    def _is_jpeg(self) -> bool:
        return (
            "jp2" in str(self.asset.get("type") or "") or self.file.lower().endswith(".jp2") or self.key.endswith("jp2")
        )


def of_bands(document: Mapping[str, Any], card: Card) -> dict[str, Asset]:
    """Select the asset of each band at the card's pixel size, preferring a COG to its JPEG 2000 twin.

    Raises:
        InvalidInputError: two rasters of one band are equally good.
    """
    candidates_by_band: dict[str, list[_Candidate]] = {}
    for key, asset in (document.get("assets") or {}).items():
        if asset.get("href") and not _is_other(key, asset):
            for candidate in _candidates(key, asset, card):
                if _fits(candidate, card):
                    candidates_by_band.setdefault(candidate.band, []).append(candidate)
    return {band: _best(candidates).asset for band, candidates in candidates_by_band.items()}


def named(document: Mapping[str, Any]) -> str:
    """Describe the assets of an item, with the bands of multi-band files, for messages."""
    stated = (document.get("assets") or {}).items()
    return f"its assets are {some((_described(*one) for one in stated), 12)}" if stated else "it has no assets"


def _described(key: str, asset: Asset) -> str:
    names = [str(band.get("name") or band.get("common_name") or "?") for band in _bands(asset)]
    return f"{key} ({', '.join(names)} in one file)" if len(names) > 1 else key


def _best(candidates: list[_Candidate]) -> _Candidate:
    first, *others = sorted(candidates, key=lambda candidate: candidate.rank)
    # one file is often named twice, by https:// and by s3://
    equal = [other for other in others if other.rank == first.rank and other.file != first.file]
    if equal:
        keys = ", ".join(candidate.key for candidate in (first, *equal))
        raise InvalidInputError(f"it has several rasters of {first.band} (assets {keys}); leave one")
    return first


def _file(asset: Asset) -> str:
    return urlsplit(str(asset["href"])).path.rsplit("/", 1)[-1]


def _is_other(key: str, asset: Asset) -> bool:
    """Whether an asset is a preview, metadata, an archive, or not of the surface."""
    path = urlsplit(str(asset["href"])).path
    other = _NO_RASTERS.search(str(asset.get("type") or "")) or _NO_FILES.search(path)
    return bool(other or _OTHER_ROLES.intersection(asset.get("roles") or ()) or _NOT_BOTTOM.search(key))


def _candidates(key: str, asset: Asset, card: Card) -> Iterator[_Candidate]:
    """Bands that an asset may contain, by the first source that states them."""
    group = _GROUP.search(asset["href"]) if "zarr" in (asset.get("type") or "") else None
    if group is not None:
        yield from _in_group(key, asset, group["metres"])
        return
    bands, metres = _bands(asset), _metres(asset)
    named = card.asset_band(key)
    if named is not None:
        if len(bands) < 2:
            yield _Candidate(named, key, asset, 0, metres)
    elif bands:
        said = _stated_band(bands[0], card) if len(bands) == 1 and not _is_copy(key, card) else None
        if said is not None:
            yield _Candidate(said, key, asset, 1, metres)
    elif not _is_copy(key, card):
        yield from _by_words(key, asset, metres, card)


def _by_words(key: str, asset: Asset, metres: float | None, card: Card) -> Iterator[_Candidate]:
    """Band name in the asset's title, else in its file name."""
    title, file = str(asset.get("title") or ""), _file(asset).rpartition(".")[0]
    if _NOT_MEASURED.search(f"{key} {title} {file}"):
        return
    in_title, in_file = _TITLE_BAND.search(title), _file_band(card.name).search(file)
    band = card.band_named(f"b{in_title['number']}") if in_title else None
    if band is None and card.classification and card.classification.title.search(title):
        band = card.class_band
    if band is not None:
        size = _TITLE_METRES.search(title)
        yield _Candidate(band, key, asset, 2, metres or (float(size["metres"]) if size else None))
    elif in_file and (band := card.band_named(in_file["band"])):
        yield _Candidate(band, key, asset, 3, metres or (float(in_file["metres"]) if in_file["metres"] else None))


@cache
def _file_band(card: str) -> re.Pattern[str]:
    """Band and pixel size at the end of a file name."""
    names = "|".join((r"B\d{1,2}", *cards.get(card).rasters))
    return re.compile(rf"(?:^|[_.-])(?P<band>{names})(?:[_-](?P<metres>\d\d)m)?$", re.IGNORECASE)


def _in_group(key: str, asset: Asset, metres: str | None) -> Iterator[_Candidate]:
    """Bands of an EOPF product group, with one array per band or one group per pixel size."""
    stated = _bands(asset) or [{"name": band} for band in cards.S2.resolutions]
    for entry in stated:
        band = cards.S2.band_named(str(entry.get("name") or ""))
        if band is None or band not in cards.S2.resolutions:
            continue
        size = entry.get("gsd") or metres or cards.S2.resolutions[band]
        folder = asset["href"] if metres else f"{asset['href']}/r{size:g}m"
        inside = {**asset, "href": f"{folder}/{entry['name'].lower()}", "bands": [entry]}
        yield _Candidate(band, key, inside, 1, float(size))


def _is_copy(key: str, card: Card) -> bool:
    """Whether a key is a band resampled to another pixel size than the card's: B04_20m."""
    return card.asset_band(_SIZE.sub("", key)) is not None


def _bands(asset: Asset) -> list[Any]:
    return list(asset.get("bands") or asset.get("eo:bands") or [])


def _stated_band(entry: Mapping[str, Any], card: Card) -> str | None:
    """Band of a `bands` entry, by name, else by common name."""
    names = (entry.get("name"), entry.get("eo:common_name"), entry.get("common_name"))
    return next((band for name in names if name and (band := card.band_named(str(name)))), None)


def _metres(asset: Asset) -> float | None:
    """Stated pixel size of an asset in metres."""
    transform, raster = asset.get("proj:transform"), _raster(asset)
    if transform:
        return abs(fields.number(transform[0], "proj:transform"))
    stated = fields.first({**raster, **asset}, "raster:spatial_resolution", "spatial_resolution", "gsd")
    return fields.number(stated, "gsd") if stated is not None else None


def _fits(candidate: _Candidate, card: Card) -> bool:
    """Whether a candidate has the card's band and pixel size; radar grids are checked when read."""
    band, key = candidate.band, f"{candidate.key} {candidate.asset.get('title') or ''}"
    if not card.is_optical:
        coherence = bool(re.search(r"(?:^|[^a-z])coh", key, re.IGNORECASE))
        return band in card.resolutions and (card.quantity.name == "coherence" or not coherence)
    return band in card.rasters and _has_size(candidate, card)


def _has_size(candidate: _Candidate, card: Card) -> bool:
    band = candidate.band
    return candidate.metres is None or any(abs(candidate.metres - size) < 0.01 for size in card.pixel_sizes(band))


# -- what is stated of the numbers -----------------------------------------------------------------------------------


def _raster(asset: Asset) -> Mapping[str, Any]:
    """First entry of raster:bands or bands, which describes the pixel values."""
    first_entry: Mapping[str, Any] = (asset.get("raster:bands") or asset.get("bands") or [{}])[0]
    return first_entry


def _stated(asset: Asset, name: str) -> Any:
    return fields.first({**_raster(asset), **{k: v for k, v in asset.items() if v is not None}}, f"raster:{name}", name)


def offset(band: str, asset: Asset, card: Card) -> int | None:
    """Stated offset of a reflectance asset in DN (-0.1 at scale 0.0001 is -1000), or None.

    What a Zarr store of reflectance states is true of floats, not of the numbers that are read from it (see `eopf`).

    Raises:
        InvalidInputError: unit, scale or offset are not those of the card; the message names band and value.
    """
    kind, unit = str(_stated(asset, "data_type") or ""), str(_stated(asset, "unit") or "")
    scale, shift = (
        None if (value := _stated(asset, name)) is None else fields.number(value, f"{name} of {band}")
        for name in ("scale", "offset")
    )
    if kind.startswith("float") and "zarr" in (asset.get("type") or ""):
        return None
    _check_unit(band, unit, card)
    if kind.startswith("float"):
        if (scale or 1) != 1 or shift:
            raise InvalidInputError(
                f"its {band} is {kind} with a scale of {scale} and an offset of {shift}; floats should be reflectance"
            )
        return 0 if scale == 1 or shift == 0 or unit.lower() == "reflectance" else None
    if scale is not None and abs(scale - card.scale) > card.scale / 1000:
        raise InvalidInputError(f"its {band} has a scale of {scale:g}; card {card.name} needs {card.scale:.9g}")
    if shift is None:
        return None
    numbers = round(shift / (scale or (1 if abs(shift) >= 1 else card.scale)))
    check_offset(numbers, f"its {band} has an offset of {shift:g}")
    return numbers


def check_scale(band: str, asset: Asset, card: Card) -> None:
    """Refuse an asset whose stated unit, scale or offset differs from the card's.

    Raises:
        InvalidInputError: the message names band and value.
    """
    kind = str(_stated(asset, "data_type") or "")
    _check_unit(band, str(_stated(asset, "unit") or ""), card)
    if kind not in ("", card.dtype):
        raise InvalidInputError(f"its {band} is {kind}; card {card.name} needs {card.dtype}")
    for name, needed in (("scale", card.scale), ("offset", card.offset)):
        value = _stated(asset, name)
        if value is not None and abs(fields.number(value, f"{name} of {band}") - needed) > abs(needed) / 1000:
            raise InvalidInputError(f"its {band} has the {name} {value}; card {card.name} needs {needed:.9g}")


def check_offset(offset_dn: int, words: str) -> None:
    """Refuse an offset in DN that is impossible for Sentinel-2."""
    if abs(offset_dn) > _FURTHEST:
        raise InvalidInputError(f"{words}, which is beyond 0.2 of reflectance")


def check_radar(band: str, asset: Asset, card: Card) -> None:
    """Refuse radar assets that are stated to be anything but linear floats.

    Raises:
        InvalidInputError: the message names band and value.
    """
    file = _file(asset)
    unit, kind = str(_stated(asset, "unit") or ""), str(_stated(asset, "data_type") or "")
    needed = card.quantity.form
    if "unit=db" in urlsplit(str(asset["href"])).fragment:
        return  # decibels that are read as power
    if _DECIBEL.search(unit) or _DECIBEL.search(file):
        raise InvalidInputError(f"its {band} is in {unit or 'dB (' + file + ')'}; card {card.name} needs {needed}")
    _check_unit(band, unit, card)
    for name, neutral in (("scale", 1), ("offset", 0)):
        value = _stated(asset, name)
        if value is not None and fields.number(value, f"{name} of {band}") != neutral:
            raise InvalidInputError(
                f"its {band} has a stated {name} of {value}; card {card.name} needs {needed} as it is"
            )
    if kind and not kind.startswith("float"):
        raise InvalidInputError(f"its {band} is {kind}; card {card.name} needs {needed} as float32")


def _check_unit(band: str, unit: str, card: Card) -> None:
    if unit.strip().lower() not in card.quantity.units:
        raise InvalidInputError(f"its {band} is in {unit}; card {card.name} needs {card.quantity.form}")
