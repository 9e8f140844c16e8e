"""The doors of the service: what strangers are asked first, what is told of others' areas, which connections end."""

import asyncio
import base64
import contextlib
import logging
import math
import re
import socket
import threading
from pathlib import Path

import mapbox_vector_tile
import pytest
import requests
import uvicorn
from factories import PIDS, fill, outline, parcels, scene, scenes
from pyproj import Transformer
from rest_server import OTHER, ROOT, WHO, running, served

from cbm_lake.lake import Lake
from cbm_lake.server import accounts as accounts_module
from cbm_lake.server import app as app_module
from cbm_lake.server import connections, limits, login, plain
from cbm_lake.server.accounts import Accounts
from cbm_lake.server.app import Settings, create_app

NOWHERE = "atlantis"


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """ada's area ms, and be, which is bob's."""
    made = fill(Lake(str(tmp_path_factory.mktemp("lake"))))
    made.add_parcels("be", 2024, "", "v1", parcels(PIDS))
    made.add_parcels("be", 2023, "m", "v1", parcels(PIDS))
    return made


@pytest.fixture(scope="module")
def url(lake, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    (folder / "files" / "be").mkdir(parents=True)
    (folder / "files" / "be" / "secret.csv").write_text("s")
    with served(lake, folder, sql=True) as address:
        yield address


@contextlib.contextmanager
def listening(lake, folder, **options):
    """The address of a service with the connections that `cbm-lake serve` has."""
    accounts = Accounts(folder / "users.json")
    accounts.add(*WHO, aois=("ms",))
    service = create_app(lake, accounts, Settings(folder / "results", folder / "files"))
    server = uvicorn.Server(connections.configured(service, "127.0.0.1", 0, **options))
    with running(server) as port:
        yield port


def raw(port, sent):
    """What comes back until the connection ends."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def port_of(url):
    return int(url.rpartition(":")[2])


def basic(who=WHO):
    return base64.b64encode(":".join(who).encode()).decode()


# -- others' areas ----------------------------------------------------------------------------------------------------

PATHS = sorted(create_app(None, None, Settings(Path("results"), Path("files"))).openapi()["paths"].items())
ASKED = {
    "year": 2024,
    "pid": "0012",
    "lon": 13.05,
    "lat": 43.5,
    "tms": "sentinel",
    "polygon": "1_1-2_1-2_2-1_1",
    "start_date": "2024-01-01",
    "end_date": "2024-02-01",
    "of": "",
    "coords": "POINT(3.0005 43.35)",
}
JOB = "j-20240101T000000000000Z-000000000000"
PLACES = {
    "card": "s2",
    "scene": "A",
    "z": 8,
    "x": 1,
    "y": 1,
    "year": 2024,
    "feature": "0012",
    "job": JOB,
    "asset": "result.json",
    "table": "s2",
}


def asked(path, area, kind):
    of_stac = "statistics" if "{item}" in path else f"statistics_{area}"
    collections = {"/ogc": f"{kind}_{area}_2024", "/stac": of_stac, "/edr": f"s2_{area}_2024"}
    name = next((name for start, name in collections.items() if path.startswith(start)), "secret.csv")
    names = {**PLACES, "aoi": area, "name": name, "item": f"s2_{area}_2024"}
    return re.sub(r"{(\w+)}", lambda found: str(names[found[1]]), path)


@pytest.mark.parametrize("kind", ["parcels", "foi", "inspections"])
@pytest.mark.parametrize(("path", "method"), [(path, method) for path, methods in PATHS for method in methods])
def test_anothers_area_and_one_that_is_not_there_are_answered_the_same(url, path, method, kind):
    answers = []
    for area in ("be", NOWHERE):
        answer = requests.request(
            method, url + asked(path, area, kind), params={**ASKED, "aoi": area}, json={}, auth=WHO, timeout=30
        )
        headers = {name: value for name, value in answer.headers.items() if name.lower() != "date"}
        content = re.sub(rb'"access_token":"[^"]+"', b"", answer.content)  # another one each time
        answers.append((answer.status_code, headers, content))
    assert answers[0] == answers[1]
    assert answers[0][0] < 500


READ = [path for path, methods in PATHS if "get" in methods and ("/collections/{" in path or "{aoi}" in path)]


@pytest.mark.parametrize("path", READ)
def test_the_lakes_own_doors_answer_404(url, path):
    assert requests.get(url + asked(path, "be", "parcels"), auth=WHO, timeout=30).status_code == 404


def test_no_look_up_is_made_for_anothers_area_only(lake, url, monkeypatch):
    made = []
    for name in ("query", "relation", "read_parcels", "footprint", "parcel_set"):
        whole = getattr(Lake, name)
        monkeypatch.setattr(
            Lake, name, lambda *args, _whole=whole, _name=name, **kw: (made.append(_name), _whole(*args, **kw))[1]
        )
    for path, _ in PATHS:
        looked = []
        for area in (NOWHERE, "be", NOWHERE):  # first what is the same for everybody, and is held from then on
            made.clear()
            requests.get(url + asked(path, area, "parcels"), params={**ASKED, "aoi": area}, auth=WHO, timeout=30)
            looked.append(list(made))
        assert looked[1] == looked[2], path


@pytest.mark.parametrize("path", [path for path, methods in PATHS if "get" in methods])
def test_what_is_not_there_in_ones_own_area_names_no_other(url, path):
    target = asked(path, "ms", "parcels").replace("2024", "1999")
    answer = requests.get(url + target, params={**ASKED, "aoi": "ms", "year": 1999}, auth=WHO, timeout=30)
    assert answer.status_code < 500
    assert not re.search(r"\bbe\b", answer.text.replace("may be", "").replace("to be", "")), answer.text


def test_listings_of_the_librarys_messages_do_not_pass(lake):
    with pytest.raises(app_module.NotFoundError) as caught:
        lake.parcel_set("ms", 1999)
    assert "be 2024" in str(caught.value)
    assert b"be 2024" not in app_module._failed(None, caught.value).body


# -- bodies -----------------------------------------------------------------------------------------------------------

HEAD = "POST /v1/sql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"


@pytest.mark.parametrize("login_line", ["", f"Authorization: Basic {basic()}\r\n"])
def test_two_lengths_that_contradict_each_other_are_400(url, login_line):
    sent = f"{HEAD}{login_line}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert raw(port_of(url), sent.encode()).startswith(b"HTTP/1.1 400")


def test_a_stranger_is_answered_before_the_body_is_read(url):
    chunk = b"%x\r\n%s\r\n" % (1 << 20, b" " * (1 << 20))
    sent = HEAD.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 20 + b"0\r\n\r\n"
    assert raw(port_of(url), sent)[:12] in (b"HTTP/1.1 401", b"HTTP/1.1 429")


@pytest.mark.thorough
def test_bytes_are_counted_as_they_come(url):
    statement = b'{"statement": "select 1 as one"}'
    for padding, status in ((b"", b"200"), (b" " * limits.LARGEST_BODY, b"413")):
        body = statement + padding
        sent = f"{HEAD}Authorization: Basic {basic()}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        sent += b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        assert raw(port_of(url), sent)[9:12] == status


def test_a_body_that_does_not_come_is_408(lake, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "_BODY_SECONDS", 0.2)
    monkeypatch.setattr(limits, "_DRAIN_PAUSE", 0.2)
    with served(lake, tmp_path) as address:
        sent = f"{HEAD}Authorization: Basic {basic()}\r\nContent-Length: 40\r\n\r\n{{"
        assert raw(port_of(address), sent.encode()).startswith(b"HTTP/1.1 408")


# -- logins -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def door(tmp_path, monkeypatch):
    """A door, and the passwords that were hashed at it."""
    accounts = Accounts(tmp_path / "users.json")
    accounts.add(*WHO, aois=("ms",))
    hashed, verified = [], accounts_module._verified
    monkeypatch.setattr(
        accounts_module, "_verified", lambda known, given: (hashed.append(given), verified(known, given))[1]
    )
    made = login.Door(accounts)
    yield made, hashed
    made.close()


def header(who):
    return f"Basic {basic(who)}"


async def status(door, who, address="1.2.3.4"):
    try:
        await door.enter(header(who), address)
    except limits.RefusalError as error:
        return error.status
    return 200


@pytest.mark.thorough
def test_a_stranger_who_is_to_wait_costs_no_hash_and_who_is_known_does_not_wait(door, monkeypatch):
    entrance, hashed = door
    monkeypatch.setattr(limits.time, "monotonic", lambda: 1000.0)

    async def flood():
        assert await status(entrance, WHO) == 200
        guesses = [await status(entrance, (f"n{number}", "x" * 20)) for number in range(60)]
        return guesses, await status(entrance, WHO), await status(entrance, ("ada", "wrong")), len(hashed)

    guesses, known, wrong, work = asyncio.run(flood())
    assert (guesses.count(401), guesses.count(429)) == (20, 40)
    assert (known, wrong, work) == (200, 429, 21)


@pytest.mark.thorough
def test_the_right_password_is_no_oracle_for_an_address_that_is_to_wait(door, monkeypatch):
    entrance, _ = door
    monkeypatch.setattr(limits.time, "monotonic", lambda: 1000.0)

    async def guess():
        await status(entrance, WHO)
        for number in range(20):
            await status(entrance, (f"n{number}", "x" * 20))
        for number in range(10):
            assert await status(entrance, ("ada", f"wrong {number}")) == 429
        return await status(entrance, WHO)

    assert asyncio.run(guess()) == 429  # locked for that address
    assert asyncio.run(status(entrance, WHO, "5.6.7.8")) == 200


@pytest.mark.thorough
def test_an_address_that_is_to_wait_learns_of_no_name_whether_it_is_in_use(door, monkeypatch):
    entrance, _ = door
    monkeypatch.setattr(limits.time, "monotonic", lambda: 1000.0)

    async def reason(name):
        with pytest.raises(limits.RefusalError) as refused:
            await entrance.enter(header((name, "wrong")), "1.2.3.4")
        return refused.value.status, refused.value.reason, refused.value.headers

    async def guess():
        await status(entrance, WHO)
        for number in range(20):
            await status(entrance, (f"n{number}", "x" * 20))
        return [await reason(name) for _ in range(15) for name in ("ada", "nobody")]

    answers = asyncio.run(guess())
    assert all(answer == answers[0] for answer in answers)


def test_the_same_password_sent_many_times_at_once_is_hashed_once(door):
    entrance, hashed = door

    async def together():
        return await asyncio.gather(*[status(entrance, WHO) for _ in range(64)])

    assert set(asyncio.run(together())) == {200}
    assert len(hashed) == 1


def test_who_waits_to_be_hashed_is_counted_by_address_and_in_all(door, monkeypatch):
    entrance, _ = door
    gate = threading.Event()
    monkeypatch.setattr(accounts_module, "_verified", lambda *_: gate.wait(30) and False)

    async def crowd():
        waiting = [
            asyncio.ensure_future(status(entrance, (f"n{number}", "x"), f"10.0.0.{number % 3}")) for number in range(40)
        ]
        await asyncio.sleep(0)
        late = await status(entrance, ("ada", "wrong"), "9.9.9.9")
        gate.set()
        return await asyncio.gather(*waiting), late

    answers, late = asyncio.run(crowd())
    assert (answers.count(401), late) == (21, 503)


def test_an_address_of_ipv6_is_counted_by_its_network():
    assert limits.sender_of("2001:db8:1:2::1") == limits.sender_of("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    assert limits.sender_of("::ffff:1.2.3.4") == "1.2.3.4"
    assert limits.sender_of("fe80::1%eth0") == "fe80::/64"
    assert limits.sender_of("unix") == "unix"


@pytest.mark.parametrize("value", [b"\xe9\xe9", b"\xff", b"====", base64.b64encode("é:ü".encode("latin-1")), b""])
def test_credentials_that_cannot_be_read_are_401_with_all_headers(url, value):
    sent = b"GET /query/info HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic " + value + b"\r\n\r\n"
    answer = raw(port_of(url), sent)
    assert answer[9:12] in (b"401", b"429")
    for name in (b"x-content-type-options: nosniff", b"x-frame-options", b"content-security-policy", b"no-store"):
        assert name in answer.lower()


# -- connections ------------------------------------------------------------------------------------------------------


def test_half_open_connections_of_an_address_keep_nobody_out(lake, tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "_OF_ADDRESS", 5)
    with listening(lake, tmp_path) as port, contextlib.ExitStack() as stack:
        opened = []
        for _ in range(12):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            connection.sendall(b"GET /query/info HTTP/1.1\r\nHost: x\r\nX-a: ")
            opened.append(connection)
        assert requests.get(f"http://127.0.0.1:{port}/query/info", auth=WHO, timeout=20).status_code == 200
        for connection in opened[:7]:
            with contextlib.suppress(ConnectionError):
                assert connection.recv(1) == b""


def test_in_all_there_are_so_many_connections_and_the_oldest_that_wait_end(lake, tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "_most", lambda: 3)
    with listening(lake, tmp_path) as port, contextlib.ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(6)]
        assert requests.get(f"http://127.0.0.1:{port}/query/info", auth=WHO, timeout=20).status_code == 200
        with contextlib.suppress(ConnectionError):
            assert opened[0].recv(1) == b""


@pytest.mark.parametrize("sent", [b"", b"GET /query/info HTTP/1.1\r\nX-a: "])
def test_a_head_that_does_not_come_ends_the_connection(lake, tmp_path, monkeypatch, sent):
    monkeypatch.setattr(connections, "_HEAD_SECONDS", 0.2)
    with listening(lake, tmp_path) as port, contextlib.suppress(ConnectionError):
        assert raw(port, sent) == b""


def test_a_second_request_whose_head_does_not_come_ends_the_connection(lake, tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "_HEAD_SECONDS", 0.3)
    with listening(lake, tmp_path) as port, socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"GET /apidocs HTTP/1.1\r\nHost: x\r\n\r\nGET /apid")
        with contextlib.suppress(ConnectionError):
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
            assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("target", [b"/\xe9", b"/%", b"/%ff%00", b"/files/ms/%00", b"/query/info?aoi=%ff%00", b"//"])
def test_requests_that_are_none_are_answered_below_500(lake, tmp_path, target):
    with listening(lake, tmp_path) as port:
        sent = b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        answer = raw(port, sent + f"Authorization: Basic {basic()}\r\n\r\n".encode())
        assert 400 <= int(answer[9:12]) < 500 or answer[9:12] == b"200" or b"location: apidocs\r" in answer


@pytest.mark.parametrize(("proxies", "address"), [((), "127.0.0.1"), (("127.0.0.1",), "10.9.8.7")])
def test_a_forwarded_address_is_believed_of_named_proxies_only(lake, tmp_path, caplog, proxies, address):
    caplog.set_level(logging.INFO, "cbm_lake.server")
    with listening(lake, tmp_path, proxies=proxies) as port:
        forwarded = {"X-Forwarded-For": "10.9.8.7"}
        requests.get(f"http://127.0.0.1:{port}/query/info", auth=WHO, headers=forwarded, timeout=20)
    assert f"{address} ada GET /query/info 200" in caplog.text


# -- methods, names, words --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/query/info", "/files/ms/list.csv", "/v1/parcels?aoi=ms&year=2024", "/ogc", "/apidocs"]
)
def test_head_is_get_without_the_body(url, path):
    whole = requests.get(url + path, auth=WHO, timeout=20)
    head = requests.head(url + path, auth=WHO, timeout=20)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == whole.headers["content-type"]
    assert (
        requests.head(url + path.replace("list", "none").replace("2024", "1999"), auth=WHO, timeout=20).content == b""
    )


def test_options_says_what_may_be_asked_and_405_too(url):
    for path, allowed in (("/query/info", "GET, HEAD, OPTIONS"), ("/query/rawChipsBatch", "OPTIONS, POST")):
        answer = requests.options(url + path, auth=WHO, timeout=20)
        assert (answer.status_code, answer.headers["allow"], answer.content) == (204, allowed, b"")
        answer = requests.delete(url + path, auth=WHO, timeout=20)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert requests.get(f"{url}/query/rawChipsBatch", auth=WHO, timeout=20).status_code == 405
    assert requests.options(f"{url}/query/info", timeout=20).status_code in (401, 429)


@pytest.mark.parametrize("pid", ["Я-12", "été", "名", "a\u2028b", 'x"; y', "\ud800"])
def test_a_table_of_any_parcel_has_a_name_that_headers_can_carry(url, pid):
    sent = pid.encode("utf-8", "surrogatepass")
    answer = requests.get(
        f"{url}/query/parcelTimeSeries",
        auth=WHO,
        timeout=20,
        params={"aoi": "ms", "year": 2024, "pid": sent, "tsformat": "csv"},
    )
    assert answer.status_code == 200
    name = answer.headers["content-disposition"]
    assert name.startswith("attachment; filename=timeseries_ms2024_")
    assert ("filename*=UTF-8''" in name) == any(letter.isalnum() and not letter.isascii() for letter in pid)


def test_a_tile_of_a_band_that_there_is_not_is_400_and_one_without_that_raster_404(url):
    for bands, answered, word in (("B99", 400, "B99"), ("B04_B03_XX", 400, "XX"), ("B08", 404, "B08")):
        answer = requests.get(f"{url}/v1/tiles/s2/A/8/1/1.png", params={"bands": bands}, auth=WHO, timeout=20)
        assert (answer.status_code, word in answer.json()["detail"]) == (answered, True)


@pytest.mark.parametrize(
    "text", ['{"statement": "select \'\\ud800\'"}', "[" * 100_000, "\xff", "{}", "null", '{"lon": NaN}']
)
@pytest.mark.parametrize("path", ["/v1/sql", "/query/rawChipsBatch", "/query/rawS1ChipsBatch"])
def test_bodies_that_are_none_are_400(url, path, text):
    headers = {"Content-Type": "application/json"}
    answer = requests.post(url + path, data=text.encode("latin-1"), headers=headers, auth=WHO, timeout=20)
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 200:
        assert "error" in answer.json()


@pytest.mark.parametrize(
    "letter", ["\n", "\r", "\x1b", "\x00", "\x85", "\x9b", "\u2028", "\u2029", "\u202e", "\u2066", "\x7f"]
)
def test_a_line_of_the_log_is_one_line_whatever_strangers_write(url, caplog, letter):
    caplog.set_level(logging.INFO, "cbm_lake.server")
    requests.get(f"{url}/query/a{letter}b", auth=WHO, timeout=20)
    requests.get(f"{url}/query/info", auth=WHO, timeout=20)  # the line is written after its answer is sent
    (line,) = [record.getMessage() for record in caplog.records if "GET /query/a" in record.getMessage()]
    assert line.isprintable()
    handler = logging.StreamHandler()
    handler.setFormatter(plain.LineFormatter("%(message)s"))
    record = logging.LogRecord("x", logging.INFO, "", 0, "name %s", (f"a{letter}b",), None)
    assert handler.format(record).isprintable()
    assert plain.escaped("été 名 'plain'") == "été 名 'plain'"


# -- tiles ------------------------------------------------------------------------------------------------------------


def tile_at(place, z):
    metres = 2 * math.pi * 6378137
    x, y = Transformer.from_crs(32631, 3857, always_xy=True).transform(place.x, place.y)
    return tuple(int((value / metres + 0.5) * 2**z) for value in (x, -y))


def test_a_tile_is_asked_again_and_ends_with_the_grant_and_changes_with_the_parcels(tmp_path):
    made = fill(Lake(str(tmp_path / "lake")))
    with served(made, tmp_path) as address:
        column, row = tile_at(outline(0).centroid, 14)
        path = f"{address}/v1/tiles/parcels/ms/2024/14/{column}/{row}.mvt"
        first = requests.get(path, auth=WHO, timeout=20)
        assert first.headers["cache-control"] == "private, no-cache"
        known = {"If-None-Match": first.headers["etag"]}
        assert requests.get(path, auth=WHO, headers=known, timeout=20).status_code == 304
        made.add_parcels("ms", 2024, "", "v2", parcels(["x", "y", "z"]))
        second = requests.get(path, auth=WHO, headers=known, timeout=20)
        assert second.status_code == 200
        names = [
            {one["properties"]["pid"] for one in mapbox_vector_tile.decode(answer.content)["parcels"]["features"]}
            for answer in (first, second)
        ]
        assert "0012" in names[0]
        assert names[1] == {"x", "y", "z"}
        known = {"If-None-Match": second.headers["etag"]}
        Accounts(tmp_path / "users.json").revoke("ada", ("ms",))
        assert requests.get(path, auth=WHO, headers=known, timeout=20).status_code == 404


def test_pictures_of_scenes_may_be_kept_by_nobody_unasked(lake, tmp_path):
    made = Lake(str(tmp_path / "lake"))
    made.add_scenes(scenes(scene("A")))
    with served(made, tmp_path) as address:
        for who in (WHO, OTHER, ROOT):
            answer = requests.get(f"{address}/v1/tiles/s2/A/8/1/1.png", auth=who, timeout=20)
            assert "max-age" not in answer.headers["cache-control"]
