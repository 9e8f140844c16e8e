"""What the EXIF of photos says, and what speaks against it; distances beside those of a plane."""

import io
import os
import tempfile
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational
from pyproj import CRS, Transformer

from cbm_lake.cases import photos
from cbm_lake.errors import InvalidInputError, SourceError

PARCEL = shapely.box(7.0, 52.0, 7.002, 52.001)
NOW = datetime(2024, 9, 1, 12, tzinfo=UTC)
ASKED = datetime(2024, 7, 1, 8, tzinfo=UTC)


def parts(value):
    value = Fraction(abs(value)).limit_denominator(10**9)
    degrees = int(value)
    minutes = int((value - degrees) * 60)
    seconds = (value - degrees - Fraction(minutes, 60)) * 3600
    return (IFDRational(degrees), IFDRational(minutes), IFDRational(round(seconds * 10_000), 10_000))


def tags_of(lon, lat):
    return {1: "N" if lat >= 0 else "S", 2: parts(lat), 3: "E" if lon >= 0 else "W", 4: parts(lon)}


def picture(path, lon=None, lat=None, *, gps=(), inside=(), changed=None, colour=(90, 140, 60), kind="JPEG"):
    """A photo with the place, and further GPS and EXIF tags by their numbers."""
    image, exif = Image.new("RGB", (8, 6), colour), Image.Exif()
    place = (
        {} if lon is None else {1: "N" if lat >= 0 else "S", 2: parts(lat), 3: "E" if lon >= 0 else "W", 4: parts(lon)}
    )
    exif[0x8825] = {**place, **dict(gps)}
    exif[0x8769] = dict(inside)
    if changed:
        exif[0x0132] = changed
    image.save(path, kind, exif=exif)
    return photos.read(path)


CLOCK = {0x9003: "2024:07:03 10:15:00", 0x9011: "+02:00"}


@settings(max_examples=60, deadline=None)
@given(st.floats(-180, 180), st.floats(-90, 90))
def test_a_place_is_read_as_it_was_written(lon, lat):
    read = photos._coordinates(tags_of(lon, lat))
    if (round(lon, 7), round(lat, 7)) != (0, 0):
        assert read == pytest.approx((lon, lat), abs=1e-7)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_photo_says_place_direction_and_time(tmp_path, kind):
    gps = {7: (IFDRational(8), IFDRational(15), IFDRational(5, 2)), 29: "2024:07:03", 17: IFDRational(12150, 100)}
    photo = picture(tmp_path / "field.img", 7.001, -52.0005, gps=gps, inside=CLOCK, kind=kind)
    assert (photo.lon, photo.lat) == pytest.approx((7.001, -52.0005), abs=1e-7)
    assert photo.direction == 121.5
    assert photo.timestamp == datetime(2024, 7, 3, 8, 15, 2, 500_000, tzinfo=UTC)
    assert photo.clock == "2024:07:03 10:15:00"


def test_the_clock_of_a_camera_counts_where_it_says_its_zone(tmp_path):
    assert picture(tmp_path / "a.jpg", inside=CLOCK).timestamp == datetime(2024, 7, 3, 8, 15, tzinfo=UTC)
    without = picture(tmp_path / "b.jpg", inside={0x9003: CLOCK[0x9003]})
    assert (without.timestamp, without.clock) == (None, "2024:07:03 10:15:00")


@pytest.mark.parametrize(
    "gps",
    [
        {2: parts(52), 4: parts(7)},  # no hemisphere
        {1: "N", 2: parts(52)},
        {1: "N", 2: parts(91), 3: "E", 4: parts(7)},
        {1: "N", 2: (IFDRational(52), IFDRational(75), IFDRational(0)), 3: "E", 4: parts(7)},
        {1: "N", 2: (IFDRational(0, 0), IFDRational(0), IFDRational(0)), 3: "E", 4: parts(7)},
        {1: "N", 2: parts(0), 3: "E", 4: parts(0)},  # what a telephone writes that knows no place
        {},
    ],
)
def test_a_place_that_is_not_whole_is_none(tmp_path, gps):
    photo = picture(tmp_path / "a.jpg", gps=gps, inside=CLOCK)
    assert (photo.lon, photo.lat) == (None, None)
    assert "it does not say where it was taken" in photos.judge(photo, PARCEL, 2024, None, NOW).contradictions


@settings(max_examples=40, deadline=None)
@given(st.floats(6.99, 7.012), st.floats(51.99, 52.011))
def test_the_distance_is_that_of_a_plane_round_the_parcel(lon, lat):
    plane = CRS(f"+proj=aeqd +lat_0={lat} +lon_0={lon} +ellps=WGS84")
    flat = shapely.transform(PARCEL, Transformer.from_crs(4326, plane, always_xy=True).transform, interleaved=False)
    photo = photos.Photo("a", "", "", lon, lat, None, None, NOW, None, None)
    assert photos.judge(photo, PARCEL, 2024, None, NOW).distance == pytest.approx(
        shapely.distance(flat, shapely.Point(0, 0)), abs=1
    )


def against(photo, asked=ASKED):
    return photos.judge(photo, PARCEL, 2024, asked, NOW).contradictions


def test_a_photo_of_the_parcel_after_it_was_asked_for_contradicts_nothing(tmp_path):
    assert against(picture(tmp_path / "a.jpg", 7.001, 52.0005, inside=CLOCK)) == ()
    beside = picture(tmp_path / "b.jpg", 7.001, 51.9998, gps={17: IFDRational(0)}, inside=CLOCK)
    assert against(beside) == ()


@pytest.mark.parametrize(
    ("tags", "part"),
    [
        ({"lon": 7.02, "lat": 52.0005}, "1,236 m from the parcel"),
        ({"lon": 7.001, "lat": 51.999, "gps": {17: IFDRational(180)}}, "looked 180° away"),
        ({"inside": {**CLOCK, 0x9003: "2024:06:03 10:15:00"}}, "before it was asked for (2024-07-01)"),
        ({"inside": {**CLOCK, 0x9003: "2024:10:03 10:15:00"}}, "in the future"),
        ({"inside": {0x9003: "2022:07:03 10:15:00"}}, "another season"),
        ({"inside": {}}, "when it was taken"),
        ({"changed": "2024:07:09 10:00:00"}, "a program changed it"),
        ({"gps": {7: (IFDRational(8), IFDRational(0), IFDRational(0)), 29: "2024:07:10"}}, "clocks differ"),
    ],
)
def test_what_speaks_against_a_photo_is_said(tmp_path, tags, part):
    photo = picture(tmp_path / "a.jpg", **{"lon": 7.001, "lat": 52.0005, "inside": CLOCK, **tags})
    assert any(part in finding for finding in against(photo)), against(photo)


def test_a_clock_of_an_unknown_zone_is_given_the_room_of_all_zones(tmp_path):
    same_day = {0x9003: (ASKED - timedelta(hours=13)).strftime("%Y:%m:%d %H:%M:%S")}
    day_before = {0x9003: (ASKED - timedelta(hours=15)).strftime("%Y:%m:%d %H:%M:%S")}
    assert against(picture(tmp_path / "a.jpg", 7.001, 52.0005, inside=same_day)) == ()
    assert len(against(picture(tmp_path / "b.jpg", 7.001, 52.0005, inside=day_before))) == 1


def test_equal_pixels_are_known_whatever_the_exif_says(tmp_path):
    first, second = (picture(tmp_path / f"{lon}.png", lon, 52.0, inside=CLOCK, kind="PNG") for lon in (7.001, 8.0))
    assert first.sha256 != second.sha256
    assert first.pixels_sha256 == second.pixels_sha256
    assert picture(tmp_path / "c.png", 7.001, 52.0, colour=(1, 2, 3), kind="PNG").pixels_sha256 != first.pixels_sha256


def jpeg(size=(300, 300)):
    whole = io.BytesIO()
    Image.new("RGB", size, (9, 9, 9)).save(whole, "JPEG")
    return whole.getvalue()


BROKEN = {
    "empty.jpg": (b"", "is empty"),
    "note.txt": (b"mown on 3 July", "is no photo; give JPEG, TIFF, PNG or WebP"),
    "page.jpg": (b"<html>not found</html>", "is no photo"),
    "notice.pdf": (b"%PDF-1.7 ...", "is no photo"),
    "begun.jpg": (b"\xff\xd8\xff not a photo", "begins as a JPEG but is none"),
    "iphone.heic": (
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        "is HEIC or AVIF, which is not read; save the photo as JPEG",
    ),
    "new.avif": (b"\0\0\0\x18ftypavif\0\0\0\0mif1", "is HEIC or AVIF"),
    "cut.jpg": (jpeg()[:700], "is a photo that is cut off or damaged"),
    "cut.png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10", "cut off|no photo"),
    "a.gif": (b"GIF89a", "is no photo"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_photo_is_refused_in_a_plain_line(tmp_path, name):
    content, reason = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInputError, match=reason) as refused:
        photos.read(tmp_path / name)
    text = str(refused.value)
    assert name in text
    assert "\n" not in text
    assert "object at" not in text
    assert "BytesIO" not in text


def test_what_is_no_file_of_a_photo_is_refused_by_what_it_is(tmp_path):
    for path, reason in (
        (tmp_path, "is a folder"),
        ("https://x.org/a.jpg", "is an address; download"),
        ("a\0.jpg", "no name"),
    ):
        with pytest.raises(InvalidInputError, match=reason):
            photos.read(path)
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(InvalidInputError, match="is no file"):
        photos.read(tmp_path / "pipe.jpg")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "gone.jpg")
    with pytest.raises(SourceError, match="to which a link leads that has lost its file"):
        photos.read(tmp_path / "link.jpg")
    with pytest.raises(SourceError, match=r"none\.jpg"):
        photos.read(tmp_path / "none.jpg")
    with (tmp_path / "big.jpg").open("wb") as file:
        file.truncate(photos.LARGEST + 1)
    with pytest.raises(InvalidInputError, match="larger than 50 MB"):
        photos.read(tmp_path / "big.jpg")
    (tmp_path / "real.jpg").write_bytes(jpeg())
    (tmp_path / "good.jpg").symlink_to(tmp_path / "real.jpg")
    assert photos.read(tmp_path / "good.jpg").name == "good.jpg"


def test_an_image_of_more_pixels_than_a_camera_has_is_refused(tmp_path):
    Image.new("1", (20_000, 10_000)).save(tmp_path / "huge.png")
    with pytest.raises(InvalidInputError, match="has more pixels than any camera's photo"):
        photos.read(tmp_path / "huge.png")


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_exif_of_any_bytes_refuses_no_photo(exif):
    whole = io.BytesIO()
    Image.new("RGB", (8, 6)).save(whole, "JPEG", exif=b"Exif\0\0" + exif)
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        file.write(whole.getvalue())
        file.flush()
        photo = photos.read(file.name)
    assert photo.lon is None or -180 <= photo.lon <= 180
    assert "\n" not in " ".join(photo.oddities)


def test_what_exif_says_that_means_nothing_is_said(tmp_path):
    clock = {0x9003: "3 July"}
    photo = picture(
        tmp_path / "a.jpg", 7.0, 52.0, gps={2: (IFDRational(0, 0),) * 3, 17: IFDRational(400)}, inside=clock
    )
    assert photo.oddities == (
        "its position cannot be used: latitude or longitude is incomplete, out of range, or both are 0",
        "its direction cannot be used: it is not from 0 to 360 degrees",
        "its time cannot be read: '3 July'",
    )
    assert photos.judge(photo, PARCEL, 2024, ASKED, NOW).contradictions[:3] == photo.oddities
    assert picture(tmp_path / "b.jpg", -71.5, -33.4, inside=CLOCK).oddities == ()
    (tmp_path / "c.jpg").write_bytes(jpeg())
    assert photos.read(tmp_path / "c.jpg").oddities == ()
