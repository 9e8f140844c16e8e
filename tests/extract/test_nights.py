"""A season of nights against servers that misbehave ends with the rows of an undisturbed one."""

import json
import random
import socket
import struct
from collections import Counter
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import urlsplit

import geopandas as gpd
import numpy as np
import pytest
import shapely
from test_identity import LEFT, SIZE, TOP, corners, write

from cbm_lake import card2db, extract, parcels
from cbm_lake.errors import NotFoundError, SourceError
from cbm_lake.lake import Lake

FIRST, NIGHTS, PAGE = date(2024, 1, 1), 73, 9
REPROCESSED, ANEW = 10, 40
"""In night 40 the scene of night 10 is there anew, under the same id and addresses."""
SHARE = 0.05
"""Of the requests, for each kind of fault."""
CATALOGUE = ("busy", "server error", "cut", "reset", "error document", "no features", "empty page")
FILES = ("busy", "server error", "cut", "reset", "whole file", "other range")


class World:
    """What the provider has in a night: items and files."""

    def __init__(self, folder):
        self.folder, self.night = folder, 0
        for number in range(NIGHTS):
            self._write(number, number)

    def dawn(self, night):
        """Let a night come."""
        self.night = night
        if night == ANEW:
            self._write(REPROCESSED, 1000)

    def items(self, address):
        """The items of all days until tonight."""
        return [self._item(number, address) for number in range(self.night + 1)]

    def _write(self, number, seed):
        numbers = np.random.default_rng(seed)
        (self.folder / str(number)).mkdir(exist_ok=True)
        for band in ("B04", "B08"):
            values = numbers.integers(1100, 4000, (SIZE, SIZE), "uint16")
            write(self.folder / str(number) / f"{band}.tif", values)
        classes = numbers.integers(4, 6, (SIZE // 2, SIZE // 2), "uint8")
        write(self.folder / str(number) / "SCL.tif", classes, size=20)

    def _item(self, number, address):
        day = FIRST + timedelta(number)
        anew = number == REPROCESSED and self.night >= ANEW
        name = f"S2A_MSIL2A_{day:%Y%m%d}T104021_N{'0511' if anew else '0510'}_R008_T31TEJ_{day:%Y%m%d}T1515{15 + anew}"
        return {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": f"S2A_31TEJ_{day:%Y%m%d}_0_L2A",
            "links": [],
            "collection": "sentinel-2-l2a",
            "geometry": shapely.geometry.mapping(shapely.Polygon(corners())),
            "properties": {
                "datetime": f"{day}T10:40:21Z",
                "platform": "sentinel-2a",
                "s2:product_uri": f"{name}.SAFE",
                "s2:product_type": "S2MSI2A",
            },
            "assets": {band: {"href": f"{address}/files/{number}/{band}.tif"} for band in ("B04", "B08", "SCL")},
        }


class Handler(BaseHTTPRequestHandler):
    """A STAC API and its files; `world` and `faults` are set by `serving`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = urlsplit(self.path).path
        if path.startswith("/files/"):
            self._file(path)
        else:
            self._json(self._landing())

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fault, page = self.faults.next(CATALOGUE), self._page(int(body.get("token") or 0), body)
        if fault == "error document":
            self._json({"code": "DatabaseError", "description": "statement timeout"})
        elif fault == "no features":
            self._json({"type": "FeatureCollection", "features": None, "links": []})
        elif fault == "empty page":
            self._json({**page, "features": [], "links": [self._next(body, int(body.get("token") or 0))]})
        else:
            self._bytes(json.dumps(page).encode(), fault)

    def _landing(self):
        link = {"rel": "search", "href": f"{self.address}/search", "type": "application/geo+json", "method": "POST"}
        conforms = [f"https://api.stacspec.org/v1.0.0/{name}" for name in ("core", "item-search")]
        root = {"type": "Catalog", "id": "nights", "stac_version": "1.0.0", "description": "a season"}
        return {**root, "conformsTo": conforms, "links": [link, {"rel": "self", "href": self.address}]}

    def _page(self, start, body):
        items = self.world.items(self.address)
        links = [self._next(body, start + PAGE)] if start + PAGE < len(items) else []
        return {
            "type": "FeatureCollection",
            "features": items[start : start + PAGE],
            "links": links,
            "numberMatched": len(items),
        }

    def _next(self, body, token):
        return {
            "rel": "next",
            "href": f"{self.address}/search",
            "method": "POST",
            "body": {**body, "token": str(token)},
        }

    def _file(self, path):
        content = (self.world.folder / path.removeprefix("/files/")).read_bytes()
        tag = f'"{hash(content) & 0xFFFFFFFF:x}"'
        fault, asked = self.faults.next(FILES), self.headers.get("Range")
        if not asked or fault == "whole file":
            self._bytes(content, fault, ETag=tag)
            return
        first, last = (int(number) for number in asked.removeprefix("bytes=").split("-"))
        if fault == "other range":
            first, last = first + 7, last + 7
        part = content[first : last + 1]
        given = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
        self._bytes(part, fault, status=206, ETag=tag, Content_Range=given)

    def _json(self, document):
        self._bytes(json.dumps(document).encode(), None)

    def _bytes(self, content, fault, status=200, **headers):
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        if fault in ("busy", "server error"):
            status, content, headers = (429 if fault == "busy" else 500), b"{}", {"Retry_After": "0"}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if fault == "cut" else content)
        self.close_connection = self.close_connection or fault == "cut"

    def log_message(self, *_):
        pass

    def handle(self):
        with suppress(OSError, ValueError):  # when the client gives up, or we have reset the connection
            super().handle()

    def finish(self):
        with suppress(OSError, ValueError):
            super().finish()


class Faults:
    """Which fault comes next; the same ones in every run of a single client."""

    def __init__(self, share):
        self.share, self.seen = share, Counter()
        self._random, self._lock = random.Random(73), Lock()  # noqa: S311

    def next(self, kinds):
        with self._lock:
            chance = self._random.random()
            kind = kinds[int(chance / self.share)] if self.share and chance < self.share * len(kinds) else None
            self.seen[kind] += 1
            return kind


@contextmanager
def serving(world, faults):
    """The address of a provider."""

    class Bound(Handler):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
    Bound.world, Bound.faults, Bound.address = world, faults, f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield Bound.address
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def begun(folder):
    """A lake with parcels."""
    folder.mkdir()
    squares = [
        shapely.box(LEFT + 100 * n + 13, TOP - 80 * n - 187, LEFT + 100 * n + 183, TOP - 80 * n - 11) for n in range(8)
    ]
    gpd.GeoDataFrame({"pid": [f"{n}" for n in range(8)]}, geometry=squares, crs=32631).to_file(folder / "p.gpkg")
    lake = Lake(str(folder / "lake"))
    parcels.load(folder / "p.gpkg", "ms", 2024, pid="pid", lake=lake)
    return lake


def night(lake, address, end):
    """What a nightly job does; whether nothing went wrong."""
    options = {"aoi": "ms", "year": 2024, "bands": ["B04", "B08"], "workers": 0, "lake": lake}
    wrong = 0
    for step in (
        lambda: card2db.stac("ms", FIRST, end, url=address, lake=lake).missing,
        lambda: extract.s2(FIRST, end, **options).still_failing,
    ):
        try:
            wrong += len(step())
        except (NotFoundError, SourceError):  # nothing is catalogued, or something failed
            wrong += 1
    return not wrong


def rows(lake):
    numbers = "* exclude (scene, reference), scene, reference"
    return lake.sql(f"select {numbers} from s2 order by obstime, pid")  # noqa: S608


@pytest.mark.slow
def test_a_season_of_disturbed_nights_ends_with_the_rows_of_an_undisturbed_one(tmp_path):
    (tmp_path / "files").mkdir()
    world, faults = World(tmp_path / "files"), Faults(SHARE)
    lake = begun(tmp_path / "disturbed")
    last = FIRST + timedelta(NIGHTS)
    bad = 0
    with serving(world, faults) as address:
        for number in range(NIGHTS):
            world.dawn(number)
            bad += not night(lake, address, FIRST + timedelta(number))
        faults.share = 0
        assert night(lake, address, last)
    assert set(faults.seen) == {None, *CATALOGUE, *FILES}
    assert bad
    with serving(world, Faults(0)) as address:
        calm = begun(tmp_path / "calm")
        card2db.stac("ms", FIRST, last, url=address, lake=calm)
        extract.s2(FIRST, last, aoi="ms", year=2024, bands=["B04", "B08"], workers=0, lake=calm)
    assert rows(lake).num_rows == NIGHTS * 8
    assert rows(lake).equals(rows(calm))
    assert lake.sql("from signatures_s2").num_rows == NIGHTS * 8  # also of the scene that was there anew
