"""Archives and compressed files that others made: nothing of them lands elsewhere, and none fills the disk."""

import bz2
import gzip
import lzma
import re
import stat
import struct
import zipfile

import duckdb
import geopandas as gpd
import pytest
from shapely import Point

from cbm_lake import card2db
from cbm_lake.errors import InvalidInputError, LakeError, SourceError
from cbm_lake.files import archives, delimited
from cbm_lake.geo import vectors
from cbm_lake.qa import tablefiles, tables
from cbm_lake.weather import files as weather

TABLE = b"gsa_par_id;gsa_hol_id\nA;1\nB;2\n"
GSA = tables.TABLES["gsa"]


def archive(path, *members, kind=zipfile.ZIP_DEFLATED):
    """A zip archive of names (or descriptions) and contents."""
    with zipfile.ZipFile(path, "w", kind) as file:
        for member, content in members:
            file.writestr(member, content)
    return path


def link(name):
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return entry


def pipe(name):
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, (stat.S_IFIFO | 0o666) << 16
    return entry


def backslashed(name):
    """As programs of Windows write it; Python would turn the sign on that system alone."""
    entry = zipfile.ZipInfo("x")
    entry.filename = entry.orig_filename = name
    return entry


def encrypted(path, member="a.csv"):
    archive(path, (member, TABLE))
    content = bytearray(path.read_bytes())
    content[content.find(b"PK\1\2") + 8] |= 1
    content[6] |= 1
    path.write_bytes(content)
    return path


def overlapping(path, times=50):
    """A small archive, all of whose members are the same bytes."""
    archive(path, ("a.csv", TABLE * 1000))
    content = path.read_bytes()
    at = content.find(b"PK\1\2")
    entry = content[at : content.find(b"PK\5\6")]
    named = b"".join(entry.replace(b"a.csv", b"%c.csv" % (97 + number % 26)) for number in range(min(times, 26)))
    count = min(times, 26)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(named), at, 0)
    path.write_bytes(content[:at] + named + end)
    return path


OUTSIDE = {
    "absolute": "/etc/cbm-lake.csv",
    "above": "../cbm-lake.csv",
    "above a folder": "a/../../cbm-lake.csv",
    "above by two signs": "a//../../../b.csv",
    "a drive": "C:/cbm-lake.csv",
    "a drive's own folder": "c:cbm-lake.csv",
    "a share": "//server/share/b.csv",
}
ODD = {
    **{kind: [(name, TABLE)] for kind, name in OUTSIDE.items()},
    "backslashes": [(backslashed("..\\..\\cbm-lake.csv"), TABLE)],
    "a share by backslashes": [(backslashed("\\\\server\\b.csv"), TABLE)],
    "a link": [(link("a.csv"), "/etc/passwd")],
    "a link to a folder, and a file in it": [(link("x"), "/etc"), ("x/a.csv", TABLE)],
    "a pipe": [(pipe("a.csv"), "")],
    "a name twice": [("a.csv", TABLE), ("a.csv", b"other")],
    "a name in two capitals": [("a.csv", TABLE), ("A.CSV", b"other")],
    "a name in two forms": [("\u00e9.csv", TABLE), ("e\u0301.csv", b"other")],
    "a file and a folder": [("a", b""), ("a/b.csv", TABLE)],
    "a device": [("aux.csv", TABLE)],
    "a device in a folder": [("nul/a.csv", TABLE)],
    "a name without end": [("a" * 300 + ".csv", TABLE)],
    "a name of control characters": [("a\x1b[2J.csv", TABLE)],
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder for archives, below which temporary folders are too, in folders that nobody else writes to."""
    folder = tmp_path / "outer" / "middle" / "here"
    (folder / "scratch").mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(folder / "scratch"))
    return folder


READERS = {
    "qa": lambda path: tablefiles.read(path, GSA),
    "parcels": lambda path: vectors.read_noted(str(path)),
    "tables of text": lambda path: delimited.read(duckdb.connect(), path, path.parent / "scratch").fetchall(),
    "weather": lambda path: weather.unpacked(str(path)).__enter__(),
}


def everything(folder):
    return sorted(str(path) for path in folder.rglob("*"))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ODD)
def test_a_member_that_would_lie_elsewhere_or_is_no_plain_file_is_refused_by_name(here, kind, reader, recwarn):
    path = here / "odd.zip"
    archive(path, *ODD[kind])
    before = everything(here.parents[2])
    with pytest.raises(LakeError, match=r"odd\.zip: its member .*(unpack it yourself or fetch it again)"):
        READERS[reader](path)
    assert everything(here.parents[2]) == before


@pytest.mark.parametrize("reader", READERS)
def test_an_encrypted_member_is_refused_by_name(here, reader):
    with pytest.raises(SourceError, match=r"is encrypted; unpack it with its password.*a\.csv"):
        READERS[reader](encrypted(here / "secret.zip"))


@pytest.mark.parametrize("reader", READERS)
def test_members_that_share_their_bytes_are_refused(here, reader):
    with pytest.raises(SourceError, match="shares its bytes with another"):
        READERS[reader](overlapping(here / "quoted.zip"))


@pytest.mark.parametrize("reader", READERS)
def test_what_is_far_larger_than_packed_is_refused(here, reader, monkeypatch):
    monkeypatch.setattr(archives, "PLAIN", 1_000_000)
    path = archive(here / "bomb.zip", ("a.csv", TABLE + b"\n" * 4_000_000))
    with pytest.raises(SourceError, match=r"bytes unpacked, more than 250 times as many as packed"):
        READERS[reader](path)
    monkeypatch.setattr(archives, "LARGEST", 1000)
    with pytest.raises(SourceError, match="more than 1,000 bytes when it is unpacked"):
        READERS[reader](path)


@pytest.mark.parametrize("reader", READERS)
def test_too_many_members_are_refused_before_they_are_read(here, reader, monkeypatch):
    path = archive(here / "many.zip", *((f"{number}.txt", b"") for number in range(60)))
    monkeypatch.setattr(archives, "MOST_MEMBERS", 50)
    with pytest.raises(SourceError, match="has 60 members, more than 50"):
        READERS[reader](path)
    monkeypatch.setattr(archives, "_DIRECTORY", 1000)
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(SourceError, match="a list of members of"):
        READERS[reader](path)


def test_a_member_that_is_larger_than_it_says_is_refused(here):
    path = archive(here / "a.zip", ("a.csv", TABLE * 1000))
    content = bytearray(path.read_bytes())
    at = content.find(b"PK\1\2") + 24
    content[at : at + 4] = struct.pack("<L", 10)
    path.write_bytes(content)
    for reader in READERS.values():
        with pytest.raises(LakeError, match="CRC"):
            reader(path)


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_a_compressed_file_is_counted_as_it_is_inflated(here, kind, monkeypatch):
    packers = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
    path = here / f"a.csv.{kind}"
    path.write_bytes(packers[kind](TABLE.decode().encode("utf-16") + "\n".encode("utf-16-le") * 6_000_000))
    monkeypatch.setattr(archives, "PLAIN", 5_000_000)
    with pytest.raises(SourceError, match="times as many as packed"):
        READERS["tables of text"](path)
    path.write_bytes(packers[kind](TABLE))
    assert len(READERS["tables of text"](path)) == 2


@pytest.mark.parametrize("ending", ["xlsx", "ods", "kmz"])
def test_spreadsheets_are_archives_too(here, ending, monkeypatch):
    monkeypatch.setattr(archives, "PLAIN", 1_000_000)
    path = archive(here / f"bomb.{ending}", ("xl/worksheets/sheet1.xml", b"<a>" + b" " * 4_000_000))
    with pytest.raises(SourceError, match="times as many as packed"):
        vectors.read_noted(str(path))
    archive(path, ("../xl.xml", b""))
    with pytest.raises(SourceError, match="would lie outside"):
        vectors.read_noted(str(path))


def test_a_full_disk_is_said_before_it_is_full(here, monkeypatch):
    path = archive(here / "a.zip", ("a.csv", TABLE + bytes(3_000_000)))
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 2**30 + 1000}))
    with pytest.raises(SourceError, match=r"has no room; set TMPDIR"):
        READERS["qa"](path)


def test_a_zip_makes_no_reader_read_a_file_elsewhere(here):
    private = here / "private.csv"
    private.write_text("gsa_par_id;gsa_hol_id\n" + "".join(f"PRIVATE-{number};H\n" for number in range(7)))
    for reader in READERS.values():
        with pytest.raises(LakeError, match="its member"):
            reader(archive(here / "evil.zip", (str(private), TABLE)))


def test_archives_as_agencies_make_them_are_read(here):
    gpd.GeoDataFrame({"pid": ["a"]}, geometry=[Point(1, 2)], crs=4326).to_file(here / "set.shp")
    members = [(f"2024/łąki/SET{part.suffix.upper()}", part.read_bytes()) for part in here.glob("set.*")]
    path = archive(here / "shp.zip", ("2024/", b""), ("2024/łąki/", b""), *members, ("__MACOSX/2024/._SET.shp", b""))
    assert vectors.read_noted(str(path))
    path = archive(here / "t.zip", ("gsa/a.csv", TABLE), ("__MACOSX/gsa/._a.csv", b""), ("read me.txt", b"x"))
    assert len(tablefiles.read(path, GSA).frame) == 2
    path = archive(here / "plain.zip", ("a.csv", TABLE * 3), kind=zipfile.ZIP_STORED)
    assert len(tablefiles.read(path, GSA).frame) == 8
    before = b"#!/bin/sh\n"  # an archive that unpacks itself
    path.write_bytes(before + path.read_bytes())
    assert len(tablefiles.read(path, GSA).frame) == 8


def test_products_of_an_archive_that_cannot_be_trusted_are_skipped_by_name(lake, here):
    name = "S2A_MSIL2A_20240501T104021_N0510_R008_T31TEJ_20240501T151515"
    archive(here / f"{name}.zip", (f"{name}.SAFE/MTD_MSIL2A.xml", b"<a/>"), (f"{name}.SAFE/nul.jp2", b""))
    told = card2db.products(here / f"{name}.zip", lake=lake).skipped[0]
    assert re.search(r"nul\.jp2' has the name of a device", told)
    assert InvalidInputError
