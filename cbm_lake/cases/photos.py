"""Geotagged photos: what the EXIF of a photo says of place, direction and time, and what speaks against it."""

from __future__ import annotations

import hashlib
import io
import math
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import shapely
from PIL import ExifTags, Image, UnidentifiedImageError
from pyproj import Geod

from cbm_lake.errors import InvalidInputError, SourceError, quoted

LARGEST: Final = 50_000_000
"""Bytes of a photo at most."""
_NEAR: Final = 50.0
"""Metres that a telephone's position may be wrong where the photo does not say how exact it is."""
_SIDE: Final = 90.0
"""Degrees by which the camera may look past the direction to the parcel: wider than any lens sees to one side."""
_ZONES: Final = timedelta(hours=14)
"""How far a clock of an unknown time zone may be from UTC."""
_WGS84: Final = Geod(ellps="WGS84")
_FORMATS: Final = ("JPEG", "TIFF", "PNG", "WEBP")
_KINDS: Final = "JPEG, TIFF, PNG or WebP"
_HEIF: Final = frozenset(
    {b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1", b"avif", b"avis"}
)
"""Brands of the format of telephones and its relatives, in their first bytes."""
_BROKEN: Final = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    ZeroDivisionError,
    EOFError,
    struct.error,
    zlib.error,
    MemoryError,
)
"""What the reader of images raises for damaged files."""
_TAGS: Final = ExifTags.Base
_GPS: Final = ExifTags.GPS


@dataclass(frozen=True)
class Photo:
    """A photo and what its EXIF says; None where it says nothing."""

    name: str
    sha256: str
    """Of the file."""
    pixels_sha256: str
    """Of the decoded picture: equal where only the EXIF was changed."""
    lon: float | None
    """Degrees, WGS 84."""
    lat: float | None
    accuracy: float | None
    """Metres that the place may be wrong."""
    direction: float | None
    """Degrees from north, clockwise, into which the camera looked."""
    timestamp: datetime | None
    """UTC: of the satellites' clock, or the camera's where it says its zone."""
    clock: str | None
    """The camera's clock, as it wrote it."""
    changed: str | None
    """When a program wrote the file last, by the clock of that computer."""
    oddities: tuple[str, ...] = ()
    """What its EXIF says that means nothing, in words."""
    content: bytes = field(repr=False, compare=False, default=b"")


def read(path: str | Path) -> Photo:
    """Read a photo.

    Raises:
        SourceError: the file cannot be read.
        InvalidInputError: it is no photo of a known format, or too large; the message says in a line what it is.
    """
    content = _content(path)
    name = Path(path).name
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                tags = _tags(image)
                image.load()
                pixels = hashlib.sha256(f"{image.mode} {image.size} ".encode() + image.tobytes()).hexdigest()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InvalidInputError(
            f"{quoted(str(path), 200)} has more pixels than any camera's photo; give it as the camera wrote it"
        ) from error
    except _BROKEN as error:
        raise InvalidInputError(f"{quoted(str(path), 200)} {_what_is_wrong(content, error)}") from error
    return _photo(name, content, pixels, tags)


def _content(path: str | Path) -> bytes:
    """The bytes of a file on this machine."""
    title = quoted(str(path), 200)
    if "\0" in str(path):
        raise InvalidInputError(f"{title} is no name of a file; give the file of a photo")
    if "://" in str(path):
        raise InvalidInputError(f"{title} is an address; download the photo and give its file")
    try:
        if Path(path).is_dir():
            raise InvalidInputError(f"{title} is a folder; give the files of photos, each by its name")
        if Path(path).exists() and not Path(path).is_file():
            raise InvalidInputError(f"{title} is no file; give the file of a photo")
        if Path(path).stat().st_size > LARGEST:
            raise InvalidInputError(
                f"{title} is larger than {LARGEST // 1_000_000} MB; give a photo as the camera wrote it"
            )
        content = Path(path).read_bytes()
    except OSError as error:
        link = ", to which a link leads that has lost its file" if Path(path).is_symlink() else ""
        raise SourceError(f"{title}{link} cannot be read: {error.strerror}; give the file of a photo") from error
    if not content:
        raise InvalidInputError(f"{title} is empty; give the file of a photo")
    return content


def _what_is_wrong(content: bytes, error: Exception) -> str:
    """What a file is that cannot be read as a photo, and what to do."""
    if content[4:8] == b"ftyp" and content[8:12].rstrip(b"\0 ") in _HEIF:
        return f"is HEIC or AVIF, which is not read; save the photo as JPEG, and keep its EXIF: {_KINDS} are read"
    if not isinstance(error, UnidentifiedImageError):
        return "is a photo that is cut off or damaged; hand it in again, as the camera wrote it"
    if content[:3] == b"\xff\xd8\xff":
        return "begins as a JPEG but is none that can be read; hand it in again, as the camera wrote it"
    return f"is no photo; give {_KINDS}"


@dataclass(frozen=True)
class _Tags:
    """The tags of EXIF by their numbers; none where they cannot be read."""

    main: Mapping[int, object]
    inside: Mapping[int, object]
    gps: Mapping[int, object]
    broken: bool
    """Whether there is EXIF that cannot be read."""


def _tags(image: Image.Image) -> _Tags:
    try:
        exif = image.getexif()
        inside, gps = (exif.get_ifd(ifd) for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo))
        return _Tags(dict(exif), dict(inside), dict(gps), broken=bool(image.info.get("exif")) and not len(exif))
    except _BROKEN:
        return _Tags({}, {}, {}, broken=True)


def _photo(name: str, content: bytes, pixels: str, tags: _Tags) -> Photo:
    lon, lat = _coordinates(tags.gps)
    clock = _text(tags.inside.get(_TAGS.DateTimeOriginal))
    direction = _number(tags.gps.get(_GPS.GPSImgDirection), most=360)
    return Photo(
        name,
        hashlib.sha256(content).hexdigest(),
        pixels,
        lon,
        lat,
        _number(tags.gps.get(_GPS.GPSHPositioningError)),
        direction,
        _of_satellites(tags.gps) or _zoned(clock, _text(tags.inside.get(_TAGS.OffsetTimeOriginal))),
        clock,
        _text(tags.main.get(_TAGS.DateTime)),
        tuple(_oddities(tags, lon, direction, clock)),
        content,
    )


def _oddities(tags: _Tags, lon: float | None, direction: float | None, clock: str | None) -> Iterator[str]:
    """What the EXIF says that means nothing."""
    if tags.broken:
        yield "its EXIF cannot be read"
    if lon is None and any(tag in tags.gps for tag in (_GPS.GPSLongitude, _GPS.GPSLatitude)):
        yield "its position cannot be used: latitude or longitude is incomplete, out of range, or both are 0"
    if direction is None and _GPS.GPSImgDirection in tags.gps:
        yield "its direction cannot be used: it is not from 0 to 360 degrees"
    if clock is not None and _parsed(clock) is None:
        yield f"its time cannot be read: {quoted(clock)}"


def _coordinates(gps: Mapping[int, object]) -> tuple[float | None, float | None]:
    """Longitude and latitude; both None where one of them, or its hemisphere, is not said."""
    lon = _degrees(gps.get(_GPS.GPSLongitude), gps.get(_GPS.GPSLongitudeRef), "E", "W", 180)
    lat = _degrees(gps.get(_GPS.GPSLatitude), gps.get(_GPS.GPSLatitudeRef), "N", "S", 90)
    return (None, None) if lon is None or lat is None or (lon, lat) == (0, 0) else (lon, lat)


def _degrees(parts: object, hemisphere: object, plus: str, minus: str, most: float) -> float | None:
    side = (_text(hemisphere) or "").upper()[:1]
    numbers = [_number(part, most=most) for part in parts] if isinstance(parts, tuple) else []
    if len(numbers) != 3 or side not in (plus, minus):
        return None
    degrees, minutes, seconds = numbers
    if degrees is None or minutes is None or seconds is None or minutes >= 60 or seconds >= 60:
        return None
    value = degrees + minutes / 60 + seconds / 3600
    return None if value > most else round(value if side == plus else -value, 8)


def _number(value: object, most: float = math.inf) -> float | None:
    """A rational of EXIF; None where it is none (0/0) or out of its range."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if 0 <= number <= most and math.isfinite(number) else None


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return (value.strip("\0 ") or None) if isinstance(value, str) else None


def _of_satellites(gps: Mapping[int, object]) -> datetime | None:
    """The clock of the satellites, which is UTC."""
    day, clock = _text(gps.get(_GPS.GPSDateStamp)), gps.get(_GPS.GPSTimeStamp)
    numbers = [_number(part) for part in clock] if isinstance(clock, tuple) else []
    if day is None or len(numbers) != 3 or None in numbers:
        return None
    hours, minutes, seconds = (number or 0.0 for number in numbers)
    midnight = _parsed(day.replace("-", ":") + " 00:00:00")
    return midnight and midnight.replace(tzinfo=UTC) + timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _zoned(clock: str | None, offset: str | None) -> datetime | None:
    """The camera's clock in UTC, where it says its zone."""
    local = _parsed(clock)
    if local is None or offset is None:
        return None
    try:
        return datetime.fromisoformat(f"{local.isoformat()}{offset}").astimezone(UTC)
    except ValueError:
        return None


def _parsed(clock: str | None) -> datetime | None:
    try:
        return datetime.strptime(clock or "", "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None


# -- what speaks against it --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """A photo beside the parcel that it is said to show."""

    distance: float | None
    """Metres to the parcel, 0 inside; None where the photo has no place."""
    contradictions: tuple[str, ...]
    """What speaks against it, in words; empty where nothing does."""


def judge(photo: Photo, geometry: shapely.Geometry, year: int, asked: datetime | None, now: datetime) -> Comparison:
    """Compare a photo with a parcel and the time in which it was asked for.

    Args:
        photo: which.
        geometry: of the parcel, in degrees, WGS 84.
        year: of the declaration.
        asked: when the answer was asked for; None where it was not.
        now: the present.
    """
    distance, of_place = _of_place(photo, geometry)
    return Comparison(distance, (*photo.oddities, *of_place, *_of_time(photo, year, asked, now)))


def _of_place(photo: Photo, geometry: shapely.Geometry) -> tuple[float | None, list[str]]:
    if photo.lon is None or photo.lat is None:
        return None, ["it does not say where it was taken"]
    near = _nearest(geometry, photo.lon, photo.lat)
    bearing, _, distance = _WGS84.inv(photo.lon, photo.lat, near.x, near.y)
    if shapely.intersects_xy(geometry, photo.lon, photo.lat):
        return 0.0, []
    findings = []
    if distance > (_NEAR if photo.accuracy is None else max(photo.accuracy, _NEAR)):
        findings.append(f"it was taken {distance:,.0f} m from the parcel")
    if photo.direction is not None and distance > _NEAR:
        off = abs((photo.direction - bearing + 180) % 360 - 180)
        if off > _SIDE:
            findings.append(f"the camera looked {off:.0f}° away from the parcel")
    return round(distance, 1), findings


def _nearest(geometry: shapely.Geometry, lon: float, lat: float) -> shapely.Point:
    """The point of a geometry that is nearest to a place, by degrees of equal length there."""
    shrunk = math.cos(math.radians(lat))

    def scaled(points: object) -> object:
        return points * (shrunk, 1)  # type: ignore[operator]

    line = shapely.shortest_line(shapely.Point(lon * shrunk, lat), shapely.transform(geometry, scaled))
    x, y = shapely.get_coordinates(line)[-1]
    return shapely.Point(x / shrunk, y)


def _of_time(photo: Photo, year: int, asked: datetime | None, now: datetime) -> list[str]:
    clock = _parsed(photo.clock)
    local = clock and clock.replace(tzinfo=UTC)
    timestamp, room = (photo.timestamp, timedelta(0)) if photo.timestamp else (local, _ZONES)
    if timestamp is None:
        return ["it does not say when it was taken"]
    said = f"{timestamp:%Y-%m-%d %H:%M} UTC" if photo.timestamp else f"{photo.clock}"
    findings = []
    if timestamp - room > now + timedelta(minutes=10):
        findings.append(f"it was taken in the future ({said})")
    elif asked is not None and timestamp + room < asked:
        findings.append(f"it was taken ({said}) before it was asked for ({asked:%Y-%m-%d})")
    if not date(year - 1, 7, 1) <= timestamp.date() <= date(year + 1, 6, 30):
        findings.append(f"it was taken ({said}) in another season than that of {year}")
    if photo.timestamp and local and abs(local - photo.timestamp) > _ZONES:
        findings.append(f"its clocks differ: {photo.clock} by the camera, {said} by the satellites")
    changed = _parsed(photo.changed)
    if changed and clock and changed - clock > timedelta(days=1):
        findings.append(f"a program changed it after it was taken ({photo.changed})")
    return findings
