"""Signatures: fetched per container, renewed in time, given per host, in no table, log or message."""

import json
import logging
import threading
import traceback
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import rasterio
import zarr
from range_server import range_server

from cbm_lake.errors import SourceError
from cbm_lake.rasters import Raster, Window
from cbm_lake.rasters.readers import source
from cbm_lake.rasters.stack import band
from cbm_lake.storage import ranges, signing
from cbm_lake.storage.ranges import open_bytes

SECRET = "c2VjcmV0%2FAB%2BCD%3D%3D"


class Tokens:
    """A token server as the Planetary Computer's."""

    def __init__(self):
        self.asked, self.keys, self.status, self.lasts, self.body = [], [], 200, timedelta(hours=1), None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                outer.keys.append(self.headers.get("Ocp-Apim-Subscription-Key"))
                expiry = (datetime.now(UTC) + outer.lasts).strftime("%Y-%m-%dT%H:%M:%SZ")
                answer = {"msft:expiry": expiry, "token": f"se={expiry}&sp=rl&sig={SECRET}{len(outer.asked)}"}
                body = outer.body or json.dumps(answer).encode()
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/api/token"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def tokens(monkeypatch):
    running = Tokens()
    monkeypatch.setenv("PC_SDK_SAS_URL", running.url)
    monkeypatch.setattr(signing, "_tokens", {})
    monkeypatch.setattr(ranges.time, "sleep", lambda seconds: None)
    yield running
    running.close()


@pytest.fixture
def blobs(monkeypatch, tokens):
    """A blob storage of which the first folder is the container, which opens by a signature."""
    with range_server() as running:
        running.files = {"/s2/b.tif": raster_bytes(), "/free/b.tif": raster_bytes()}
        running.valid = lambda signature: signature.startswith("c2VjcmV0/AB+CD==")

        def check(path, headers):
            signature = parse_qs(urlsplit(path).query).get("sig", [""])[0]
            return 0 if path.startswith("/free") or running.valid(signature) else 403 if signature else 409

        running.check = check
        monkeypatch.setattr(
            signing, "_container", lambda href: ("acct", urlsplit(href).path.split("/")[1]) if "127" in href else None
        )
        yield running


def raster_bytes():
    with rasterio.MemoryFile() as memory:
        place = {"crs": "EPSG:32631", "transform": rasterio.Affine(10, 0, 600000, 0, -10, 5000000)}
        with memory.open(driver="GTiff", count=1, dtype="uint16", height=600, width=600, tiled=True, **place) as file:
            file.write(pixels(), 1)
        return memory.read()


def pixels():
    return np.random.default_rng(1).integers(1, 5000, (600, 600)).astype(np.uint16)


def test_blobs_are_signed_with_the_token_of_their_container_which_is_fetched_once(tokens, monkeypatch):
    monkeypatch.setenv("PC_SDK_SUBSCRIPTION_KEY", "mykey")
    for name in ("a.tif", "b/c.tif"):
        href = signing.signed(f"https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/{name}")
        assert href.startswith(f"https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/{name}?se=")
        assert href.endswith(f"sig={SECRET}1")
    assert tokens.asked == ["/api/token/sentinel2l2a01/sentinel2-l2"]
    assert tokens.keys == ["mykey"]
    signing.signed("https://sentinel1euwest.blob.core.windows.net/s1-grd/a.tif?x=1")
    assert tokens.asked[1:] == ["/api/token/sentinel1euwest/s1-grd"]


def test_a_token_is_renewed_before_it_runs_out(tokens):
    href = "https://acct.blob.core.windows.net/s2/a.tif"
    tokens.lasts = timedelta(seconds=100)
    assert signing.signed(href).endswith("1")
    assert signing.signed(href).endswith("2")
    tokens.lasts = timedelta(hours=1)
    assert signing.signed(href).endswith("3")
    assert signing.signed(href).endswith("3")


@pytest.mark.parametrize(
    "href",
    [
        "https://example.org/a.tif",
        "s3://bucket/a.tif",
        "/data/a.tif",
        "https://acct.blob.core.windows.net/s2/a.tif?sv=2024&sig=abc%3D",
        "https://acct.blob.core.windows.net.example.org/s2/a.tif",
    ],
)
def test_other_hosts_paths_and_what_is_signed_are_left_alone(tokens, href):
    assert signing.signed(href) == href
    assert tokens.asked == []


@pytest.mark.parametrize("status", [404, 400])
def test_an_account_that_is_not_known_is_read_unsigned(tokens, status):
    tokens.status = status
    href = "https://own.blob.core.windows.net/s2/a.tif"
    assert signing.signed(href) == signing.signed(href) == href
    assert len(tokens.asked) == 1


def test_a_private_raster_is_read_and_a_public_one_without_a_token(blobs, tokens):
    (found,) = source(Raster.inspect(f"{blobs.url}/s2/b.tif")).read([Window(0, 0, 600, 600)])
    assert np.array_equal(found, pixels())
    tokens.status = 404
    (found,) = source(Raster.inspect(f"{blobs.url}/free/b.tif")).read([Window(0, 0, 600, 600)])
    assert np.array_equal(found, pixels())
    assert tokens.asked == ["/api/token/acct/s2", "/api/token/acct/free"]


def test_a_signature_that_is_refused_in_mid_run_is_fetched_anew(blobs, tokens):
    reader = source(Raster.inspect(f"{blobs.url}/s2/b.tif"))
    blobs.valid = lambda signature: signature.endswith("2")
    (found,) = reader.read([Window(0, 0, 600, 600)])
    assert np.array_equal(found, pixels())
    assert len(tokens.asked) == 2


@pytest.mark.parametrize("failure", ["status", "body", "nobody"])
def test_without_a_token_the_one_line_says_why(blobs, tokens, monkeypatch, caplog, failure):
    if failure == "status":
        tokens.status = 500
    elif failure == "body":
        tokens.body = b"<html>sorry</html>"
    else:
        monkeypatch.setenv("PC_SDK_SAS_URL", "http://127.0.0.1:9/token")
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(SourceError, match="no signature could be fetched for it") as caught,
    ):
        Raster.inspect(f"{blobs.url}/s2/b.tif")
    assert "Code409" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_signature_that_stays_refused_is_told_without_it(blobs, caplog):
    blobs.valid = lambda signature: False
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(SourceError, match=r"s2/b.tif cannot be opened: Code403") as caught,
    ):
        Raster.inspect(f"{blobs.url}/s2/b.tif")
    for text in (str(caught.value), "".join(traceback.format_exception(caught.value)), caplog.text):
        assert "sig=" not in text
        assert "c2VjcmV0" not in text


def test_a_host_that_wants_a_query_with_every_address_gets_it_from_the_environment(monkeypatch, tokens):
    with range_server() as server:
        server.files["/b.tif"] = raster_bytes()
        server.check = lambda path, headers: 0 if f"sig={SECRET}" in path else 403
        with pytest.raises(SourceError, match="CBM_LAKE_QUERY_127_0_0_1"):
            Raster.inspect(f"{server.url}/b.tif")
        monkeypatch.setenv("CBM_LAKE_QUERY_127_0_0_1", f"?sig={SECRET}&se=2099")
        (found,) = source(Raster.inspect(f"{server.url}/b.tif")).read([Window(0, 0, 600, 600)])
        assert np.array_equal(found, pixels())
        assert "sig" not in open_bytes(f"{server.url}/b.tif").href
        raster = Raster.inspect(f"{server.url}/b.tif")
        assert np.array_equal(band([raster], raster.grid, "uint16")[0].compute(), pixels())


def test_headers_of_a_host_go_with_every_request(monkeypatch, tokens):
    with range_server() as server:
        server.files["/b.tif"] = raster_bytes()
        server.check = lambda path, headers: 0 if headers["Authorization"] == "Bearer abc" else 401
        with pytest.raises(SourceError, match="CBM_LAKE_TOKEN_127_0_0_1"):
            Raster.inspect(f"{server.url}/b.tif")
        monkeypatch.setenv("CBM_LAKE_TOKEN_127_0_0_1", "abc")
        (found,) = source(Raster.inspect(f"{server.url}/b.tif")).read([Window(0, 0, 600, 600)])
        assert np.array_equal(found, pixels())
        monkeypatch.delenv("CBM_LAKE_TOKEN_127_0_0_1")
        monkeypatch.setenv("GDAL_HTTP_HEADERS", "X-Other: 1,Authorization: Bearer abc")
        assert Raster.inspect(f"{server.url}/b.tif").grid.shape == (600, 600)


def test_a_zarr_product_is_read_with_signature_and_headers(monkeypatch, tokens, tmp_path):
    with range_server() as server:
        monkeypatch.setenv("CBM_LAKE_TOKEN_127_0_0_1", "abc")
        monkeypatch.setenv("CBM_LAKE_QUERY_127_0_0_1", f"sig={SECRET}")
        root = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=3)
        place = {"proj:code": "EPSG:32631", "proj:transform": [10, 0, 600000, 0, -10, 5000000]}
        root.create_array("b04", data=pixels(), attributes=place)
        for file in tmp_path.rglob("*"):
            if file.is_file():
                server.files[f"/{file.relative_to(tmp_path).as_posix()}"] = file.read_bytes()
        good = {"Authorization": "Bearer abc"}
        server.check = lambda path, headers: (
            0 if f"sig={SECRET}" in path and headers["Authorization"] == good["Authorization"] else 403
        )
        raster = Raster.inspect(f"{server.url}/a.zarr/b04")
        (found,) = source(raster).read([Window(0, 0, 600, 600)])
        assert np.array_equal(found, pixels())
        good["Authorization"] = "Bearer other"
        for read in (lambda: list(source(raster).read([Window(0, 0, 60, 60)])), lambda: Raster.inspect(raster.href)):
            with pytest.raises(SourceError, match=r"b04 cannot be read: .*CBM_LAKE_TOKEN_127_0_0_1") as caught:
                read()
            assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("href", "stored"),
    [
        ("https://h/a.tif?st=1&se=2&sp=r&sig=x%2F", "https://h/a.tif"),
        ("https://h/a.tif?X-Amz-Credential=A&X-Amz-Signature=b&X-Amz-Security-Token=c", "https://h/a.tif"),
        ("https://h/a.tif?AWSAccessKeyId=A&Signature=b&Expires=3", "https://h/a.tif"),
        ("https://h/a.tif?token=abc&layer=3", "https://h/a.tif?layer=3"),
        ("https://h/a.tif?layer=3", "https://h/a.tif?layer=3"),
        ("/data/what?sig=1.tif", "/data/what?sig=1.tif"),
    ],
)
def test_what_is_stored_has_no_signature(href, stored):
    assert signing.without_signature(href) == stored
