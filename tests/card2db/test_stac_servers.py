"""Searches of servers as the world has them: whole, or with one line that says what is missing."""

import gzip
import json
import logging
import socket
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.client import parse_headers
from pathlib import Path

import numpy as np
import pytest
import shapely
from pystac_client import Client
from stac_server import answering, scripted, serving
from typer.testing import CliRunner

from cbm_lake import card2db
from cbm_lake.card2db import collecting, paging, resto, stacapi, web
from cbm_lake.cli import app
from cbm_lake.errors import InvalidInputError, SourceError

BOX = (3.29, 43.6, 3.33, 43.65)
DAYS = np.arange("2024-01-01", "2024-12-31", dtype="datetime64[D]").astype(str)


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """Waits take no time, and no netrc file of the user's has a say."""
    waits = []
    monkeypatch.setattr(web.time, "sleep", waits.append)
    monkeypatch.setenv("NETRC", str(tmp_path / "no netrc"))
    return waits


@pytest.fixture
def hang():
    """What silent servers wait for."""
    return threading.Event()


def item(number, **changes):
    taken = f"{DAYS[number].replace('-', '')}T104021"
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": f"S2A_MSIL2A_{taken}_N0510_R008_T31TEJ_{taken}",
        "collection": "sentinel-2-l2a",
        "geometry": shapely.geometry.mapping(shapely.box(*BOX)),
        "bbox": list(BOX),
        "properties": {
            "datetime": f"{DAYS[number]}T10:40:21Z",
            "platform": "sentinel-2a",
            "constellation": "sentinel-2",
            "s2:processing_baseline": "05.10",
            "s2:product_type": "S2MSI2A",
            "grid:code": "MGRS-31TEJ",
        },
        "links": [],
        "assets": {"red": {"href": "/data/B04.tif", "type": "image/tiff"}},
        **changes,
    }


def page(numbers, following=None, **more):
    links = [{"rel": "next", **following}] if following else []
    return {"type": "FeatureCollection", "features": [item(number) for number in numbers], "links": links, **more}


def token(server, value, **more):
    """A link to the page of that token, as servers that search by POST give it."""
    return {"href": f"{server.url}/search", "method": "POST", "body": {"token": value}, "merge": True, **more}


def search(lake, server, **options):
    url = options.pop("url", None) or server.url
    return card2db.stac(url=url, geometry=BOX, lake=lake, **{"timeout": 20, **options})


def stored(lake):
    return lake.sql("select count(*) as n from scenes")["n"][0].as_py()


def failure(lake, server, error=SourceError, **options):
    with pytest.raises(error) as caught:
        search(lake, server, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- pages --------------------------------------------------------------------------------------------------------


def pages_by_post(asked, server):
    number = int(asked.get("token") or 0)
    assert asked.body["intersects"]["type"] == "Polygon"
    return page([3 * number, 3 * number + 1, 3 * number + 2], token(server, number + 1) if number < 2 else None)


def pages_by_post_with_whole_bodies(asked, server):
    assert ("limit" in asked.body) == ("token" not in asked.body)  # what the server left out is not put in again
    following = {"intersects": asked.body["intersects"], "token": int(asked.get("token") or 0) + 1}
    found = pages_by_post(asked, server)
    return {**found, "links": [{**link, "body": following, "merge": False} for link in found["links"]]}


def pages_by_get(asked, server):
    number = int(asked.get("token") or 0)
    assert json.loads(asked.query["intersects"])["type"] == "Polygon"
    rest = "&".join(f"{name}={value}" for name, value in asked.query.items() if name != "token")
    link = {"href": f"{server.url}/search?{rest}&token={number + 1}"}
    return page([3 * number, 3 * number + 1, 3 * number + 2], link if number < 2 else None)


def pages_at(href):
    """Pages by GET whose links are as `href` writes them."""

    def answer(asked, server):
        if asked.path not in {"/search", "/search/next/2"} or (asked.path == "/search" and not asked.query):
            return 404, {}, {"description": "nothing here"}
        last = asked.query.get("token") == "2" or asked.path.endswith("/2")
        return page([3, 4, 5, 6, 7, 8]) if last else page([0, 1, 2], {"href": href.format(server=server.url)})

    return answer


def empty_pages(asked, server):
    number = int(asked.get("token") or 0)
    found = {0: [], 2: list(range(5)), 40: [5, 6, 7, 8]}.get(number, [])
    return page(found, token(server, number + 1) if number < 40 else None)


def doubles(asked, server):
    number = int(asked.get("token") or 0)
    found = [[0, 1, 2, 3], [3, 4, 5, 6], [5, 6, 7, 8]][number]
    return page(found, token(server, number + 1) if number < 2 else None, numberMatched=9)


def headers_carry_the_page(asked, server):
    number = int(asked.headers.get("X-Page", 0))
    link = {"href": f"{server.url}/search", "method": "POST", "merge": True, "body": None}
    return page(
        [3 * number, 3 * number + 1, 3 * number + 2],
        {**link, "headers": {"X-Page": str(number + 1)}} if number < 2 else None,
    )


def headers_carry_the_page_by_get(asked, server):
    link = {"href": "search?x=1", "headers": {"X-Page": "2"}}
    return page(range(5, 9)) if "X-Page" in asked.headers else page(range(5), link)


def see_other(asked, server):
    if asked.method == "POST":
        return 303, {"Location": "/result"}, b""
    return page(range(9)) if asked.path == "/result" and asked.body is None else (400, {}, {})


def known_pages_after_the_last(asked, server):
    """All that match came, and still there is always another page."""
    number = int(asked.get("token") or 0)
    return page(range(9), token(server, number + 1), context={"matched": 9, "returned": 9, "limit": 100})


def moved(asked, server):
    if asked.path == "/search":
        return 301, {"Location": "/v2/search"}, b""
    return pages_by_post(asked, server)


def compressed(asked, server):
    found = gzip.compress(json.dumps(pages_by_post(asked, server)).encode())
    return 200, {"Content-Encoding": "gzip"}, found


WHOLE = {
    "POST with merge": (pages_by_post, "POST"),
    "POST with whole bodies": (pages_by_post_with_whole_bodies, "POST"),
    "GET": (pages_by_get, "GET"),
    "relative link": (pages_at("search?token=2"), "GET"),
    "link from the root": (pages_at("/search?token=2"), "GET"),
    "link of a query alone": (pages_at("?token=2"), "GET"),
    "link to an internal host": (pages_at("http://stac-internal.invalid:8080/search?token=2"), "GET"),
    "link to another scheme": (pages_at("https://127.0.0.1/search?token=2"), "GET"),
    "token in the path": (pages_at("{server}/search/next/2"), "GET"),
    "empty pages": (empty_pages, "POST"),
    "doubles": (doubles, "POST"),
    "headers": (headers_carry_the_page, "POST"),
    "headers by GET": (headers_carry_the_page_by_get, "GET"),
    "see other": (see_other, "POST"),
    "known pages after the last": (known_pages_after_the_last, "POST"),
    "redirect": (moved, "POST"),
    "gzip": (compressed, "POST"),
}


@pytest.mark.parametrize("case", WHOLE)
def test_every_item_of_every_page_comes_once(lake, case):
    answer, method = WHOLE[case]
    with scripted(answer, (method,)) as server:
        assert search(lake, server) == card2db.Ingested(9, 9)
        assert search(lake, server) == card2db.Ingested(9, 0)
    days = lake.sql("select obstime::date::text as day from scenes order by day")["day"].to_pylist()
    assert days == DAYS[:9].tolist()


def test_the_same_comes_as_by_the_client_of_pystac(lake, tmp_path):
    items = [item(number) for number in range(230)]
    with serving(items, tmp_path) as url:
        theirs = Client.open(url).search(intersects=shapely.box(*BOX), datetime="2024-03-01/2024-06-30", limit=40)
        expected = sorted(found["id"] for found in theirs.items_as_dicts())
        found = card2db.stac(start="2024-03-01", end="2024-06-30", url=url, geometry=BOX, lake=lake)
    assert found == card2db.Ingested(122, 122)
    assert lake.sql("select id from scenes order by id")["id"].to_pylist() == expected


@pytest.mark.parametrize(
    "landing",
    [
        {"type": "Catalog", "id": "x", "links": []},
        {"type": "Catalog", "id": "x", "links": None, "stac_version": "1.0.0"},
        {"type": "Catalog", "links": [{"rel": "search", "href": "http://inside.invalid:8080/api/search"}]},
        {"type": "Catalog", "links": [{"rel": "search", "href": "/os.xml", "type": "application/xml"}]},
        {"conformsTo": [], "links": [{"rel": "search", "href": "search{?bbox}"}, "x"]},
    ],
)
def test_the_search_is_found_where_stac_wants_it(lake, landing):
    with scripted(lambda *_: page([1, 2]), landing=landing) as server:
        assert search(lake, server).new == 2
        assert server.searches[0].path == "/search"


def test_the_address_of_the_search_itself_is_understood_and_post_that_is_refused_becomes_get(lake):
    def answer(asked, _):
        return page([1]) if asked.method == "GET" else (405, {}, {})

    with scripted(answer) as server:
        assert search(lake, server, url=f"{server.url}/search/").new == 1


@pytest.mark.parametrize(
    ("href", "asked", "expected"),
    [
        ("http://h/search?t=2", "https://h/search", "https://h/search?t=2"),
        ("http://h:8080/search?t=2", "https://h/search", "https://h/search?t=2"),
        ("http://inside/search?t=2", "https://h/api/v1/search", "https://h/api/v1/search?t=2"),
        ("http://inside/api/v1/search?t=2", "https://h/api/v1/search", "https://h/api/v1/search?t=2"),
        ("/search?t=2", "https://h/api/v1/search", "https://h/api/v1/search?t=2"),
        ("search?t=2", "https://u:p@h/v1/search?limit=1", "https://u:p@h/v1/search?t=2"),
        ("https://other/collections/c/items?t=2#x", "https://h/v1/search", "https://h/collections/c/items?t=2"),
        ("file:///etc/passwd", "https://h/v1/search", "https://h/etc/passwd"),
    ],
)
def test_links_lead_to_the_host_that_was_asked(href, asked, expected):
    assert paging.linked(href, asked) == expected


# -- pages that never end, or end too soon ------------------------------------------------------------------------


def the_same_again(_, server):
    return page([0, 1], token(server, "a"))


def to_and_fro(asked, server):
    return page([0, 1], token(server, "b" if asked.get("token") == "a" else "a"))


def always_another_token(asked, server):
    return page([0, 1], token(server, int(asked.get("token") or 0) + 1))


def always_empty(asked, server):
    number = int(asked.get("token") or 0)
    return page([0, 1] if not number else [], token(server, number + 1))


def items_without_names(asked, server):
    found = page([], token(server, int(asked.get("token") or 0) + 1))
    return {**found, "features": [item(0), {"type": "Feature"}]}


@pytest.mark.parametrize(
    ("answer", "searches"),
    [(the_same_again, 2), (to_and_fro, 3), (always_another_token, 4), (always_empty, 101), (items_without_names, 4)],
)
def test_pages_that_go_in_circles_end_with_what_came(lake, answer, searches):
    with scripted(lambda asked, server: {**answer(asked, server), "numberMatched": 7}) as server:
        text = failure(lake, server)
        assert len(server.searches) == searches
    assert "2 of 7 items" in text
    assert "pages" in text
    assert stored(lake) == (1 if answer is items_without_names else 2)
    assert "2 of 7 scenes" in text


def test_a_link_that_loses_the_search_or_leads_nowhere_is_named(lake):
    with scripted(lambda _, server: page([1], {"href": f"{server.url}/search"})) as server:
        assert "loses the search" in failure(lake, server)
    with scripted(lambda *_: page([2], {"href": None})) as server:
        assert "does not say where" in failure(lake, server)
    with scripted(lambda *_: page([3], {"href": "http://[x"})) as server:
        assert "no address" in failure(lake, server)
    assert stored(lake) == 3


def test_fewer_items_than_announced_are_told_with_both_numbers(lake):
    with scripted(lambda *_: page(range(100), numberMatched=300, numberReturned=100)) as server:
        found = search(lake, server)
    assert (found.found, found.new) == (100, 100)
    assert len(found.missing) == 1
    assert all(text in found.missing[0] for text in ("300", "sent 100", "other 200", server.url[7:]))


def test_doubles_do_not_make_up_for_what_is_missing(lake):
    def answer(asked, server):
        return page([3, 4, 5]) if asked.get("token") else page([1, 2, 3], token(server, 1), context={"matched": 6})

    with scripted(answer) as server:
        assert "6 items match and sent 5" in search(lake, server).missing[0]


def test_a_full_page_without_a_count_or_another_page_may_be_cut(lake):
    with scripted(lambda asked, _: page(range(asked.body["limit"]))) as server:
        assert "does not say whether there are more" in search(lake, server).missing[0]
    with scripted(lambda asked, _: page(range(asked.body["limit"]), numberMatched=100)) as server:
        assert search(lake, server).missing == ()


def test_a_page_that_holds_less_than_it_says_is_told(lake):
    with scripted(lambda *_: page([1, 2], numberReturned=5)) as server:
        assert "3 more items" in search(lake, server).missing[0]


def test_the_command_line_tells_what_is_missing_and_shows_waits(lake, quick):
    busy = [(429, {"Retry-After": "3"}, {}), page([1, 2], numberMatched=5)]
    with scripted(lambda *_: busy.pop(0)) as server:
        done = CliRunner().invoke(
            app, ["card2db", "stac", server.url, "--start", DAYS[0], "--end", DAYS[9], "--bbox", "3,43,4,44"]
        )
    assert done.exit_code == 0
    assert "2 scenes found, 2 new" in done.output
    assert "5 items match and sent 2" in done.output
    assert "asking again in 3 s" in done.output
    assert sum(quick) == 3


# -- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"code": "DatabaseError", "description": "statement timeout"}, "statement timeout"),
        ({"detail": [{"loc": ["body", "datetime"], "msg": "no such day"}]}, "body.datetime: no such day"),
        ({"error": {"message": "out of order"}}, "out of order"),
        ({"type": "about:blank", "title": "Teapot"}, "Teapot"),
        ({"type": "FeatureCollection", "features": None, "links": []}, "no list of features"),
        ({"type": "FeatureCollection", "links": []}, "no list of features"),
        ({"type": "FeatureCollection", "features": {}, "links": []}, "no list of features"),
        ([], "no list of features"),
        (b"<html>", "no JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "more than 64 lists and maps inside each other"),
    ],
)
def test_an_error_with_status_200_is_an_error_and_what_came_before_is_kept(lake, document, text):
    with scripted(lambda asked, server: document if asked.get("token") else page([1], token(server, 2))) as server:
        message = failure(lake, server, retries=0)
    assert text in message
    assert "1 scenes came before that and are catalogued (1 new)" in message
    assert stored(lake) == 1


def test_features_of_null_are_none_where_the_server_counts_none(lake):
    with scripted(lambda *_: {"type": "FeatureCollection", "features": None, "numberMatched": 0}) as server:
        assert search(lake, server) == card2db.Ingested(0, 0)


@pytest.mark.parametrize("status", [400, 403, 404, 500, 503])
def test_a_failure_on_a_later_page_keeps_what_came_and_a_second_run_gets_the_rest(lake, status):
    broken = [True]

    def answer(asked, server):
        if not asked.get("token"):
            return page([1, 2], token(server, 2), numberMatched=4)
        return (status, {}, {"description": "no"}) if broken[0] else page([3, 4])

    with scripted(answer) as server:
        message = failure(lake, server)
        assert f"HTTP {status} (no)" in message
        assert "2 of 4 scenes came before that and are catalogued (2 new)" in message
        assert stored(lake) == 2
        broken[0] = False
        assert search(lake, server) == card2db.Ingested(4, 2)


def test_ctrl_c_while_the_server_asks_to_wait_keeps_what_came(lake, quick):
    def answer(asked, server):
        return (503, {"Retry-After": "200"}, {}) if asked.get("token") else page([1, 2], token(server, 2))

    def progress(*_):
        if len(quick) == 5:
            raise KeyboardInterrupt

    with scripted(answer) as server, pytest.raises(KeyboardInterrupt):
        search(lake, server, progress=progress)
    assert quick == [1] * 5
    assert stored(lake) == 2


def test_long_searches_are_written_in_batches(lake, monkeypatch):
    monkeypatch.setattr(collecting, "_BATCH", 3)

    def answer(asked, server):
        number = int(asked.get("token") or 0)
        return page([2 * number, 2 * number + 1], token(server, number + 1) if number < 4 else None)

    with scripted(answer) as server:
        assert search(lake, server) == card2db.Ingested(10, 10)
        assert search(lake, server) == card2db.Ingested(10, 0)
    assert len(list((Path(lake.url) / "scenes").glob("*.parquet"))) == 3


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_page_size_that_is_refused_is_left_to_the_server(lake, status):
    with scripted(lambda asked, _: (status, {}, {}) if asked.get("limit") else page([1])) as server:
        assert search(lake, server).new == 1
    with scripted(lambda asked, _: (status, {}, {}) if asked.get("limit") else page([2]), ("GET",)) as server:
        assert search(lake, server).new == 1


@pytest.mark.parametrize(
    ("status", "document", "text"),
    [
        (400, {"code": "x", "description": "datetime is  wrong\nhere"}, "HTTP 400 (datetime is wrong here); correct"),
        (422, {"detail": "intersects has too many points"}, "(intersects has too many points)"),
        (400, {"message": "x" * 500}, f"{'x' * 199}…"),
        (418, b"short and stout", "HTTP 418 (short and stout)"),
        (404, b"<html><body>not here</body></html>", "HTTP 404; check"),
        (451, b"\xff\xfe", "HTTP 451"),
    ],
)
def test_the_servers_own_words_are_passed_on(lake, status, document, text):
    with scripted(lambda *_: (status, {}, document)) as server:
        message = failure(lake, server)
    assert text in message
    assert server.url[7:] in message
    assert len(message) < 400


# -- collections --------------------------------------------------------------------------------------------------


def with_collections(names, missing):
    def answer(asked, server):
        if asked.path == "/collections":
            first = "token" not in asked.query
            links = [{"rel": "next", "href": f"{server.url}/collections?token=2"}] if first else []
            half = names[: len(names) // 2] if first else names[len(names) // 2 :]
            return {"collections": [{"id": name} for name in half], "links": links}
        return missing

    return answer


@pytest.mark.parametrize(
    "missing", [(404, {}, {"description": "no"}), (400, {}, {}), page([]), page([], numberMatched=0)]
)
def test_a_collection_that_is_not_there_is_refused_with_what_may_be_meant(lake, missing):
    names = ["landsat", "sentinel-1-rtc", "sentinel-2-l1c", "Sentinel-2-L2A"]
    with scripted(with_collections(names, missing)) as server:
        message = failure(lake, server, InvalidInputError, collection="sentinel-2-l2b")
    assert "has no collection sentinel-2-l2b; did you mean Sentinel-2-L2A? it has Sentinel-2-L2A, landsat" in message
    assert "sentinel-1-rtc" in message


def test_a_collection_that_is_there_may_have_nothing(lake):
    with scripted(with_collections(["a", "sentinel-2-l2a"], page([]))) as server:
        assert search(lake, server, collection="sentinel-2-l2a") == card2db.Ingested(0, 0)


def test_where_collections_are_not_listed_an_empty_answer_is_doubted(lake):
    with scripted(lambda *_: page([])) as server:
        assert "does not list its collections" in search(lake, server, collection="nix").missing[0]
        assert search(lake, server).missing == ()


def test_a_missing_collection_of_a_server_that_lists_none_is_named(lake):
    with scripted(lambda *_: (404, {}, {"description": "no collection nix"})) as server:
        message = failure(lake, server, collection="nix")
    assert "(no collection nix); check the address and the collection nix" in message


def test_a_provider_that_lacks_a_card_names_one_that_has_it():
    with pytest.raises(InvalidInputError, match="planetary-computer has it"):
        stacapi.api("cdse", "bs", None)
    with pytest.raises(InvalidInputError, match="planetary-computer has it"):
        stacapi.api("https://earth-search.aws.element84.com/v1/", "bs", None)
    with pytest.raises(InvalidInputError, match="no provider that is built in has it"):
        stacapi.api("planetary-computer", "c6", None)
    assert stacapi.api("planetary-computer", "bs", None)[1] == "sentinel-1-rtc"
    assert stacapi.api("cdse", "bs", "of-ours")[1] == "of-ours"
    assert not any("grd" in name for provider in stacapi.PROVIDERS.values() for name in provider.collections.values())


# -- waits --------------------------------------------------------------------------------------------------------


def once(first, then=None):
    answers = [first]
    return lambda *_: answers.pop() if answers else (then or page([1]))


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_wait_that_the_server_asks_for_is_kept_and_shown(lake, quick, caplog, status, form):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=25), usegmt=True)
    with scripted(once((status, {"Retry-After": "20" if form == "seconds" else date}, {}))) as server:
        assert search(lake, server).new == 1
    assert 18 <= sum(quick) <= 25
    assert max(quick) <= 1  # each step can be interrupted
    assert f"HTTP {status}; asking again in" in caplog.text


@pytest.mark.parametrize("retries", [0, 4])
@pytest.mark.parametrize("value", ["7200", "date"])
def test_a_wait_that_is_too_long_ends_with_when_to_come_back(lake, quick, value, retries):
    when = datetime.now(UTC) + timedelta(hours=2)
    header = format_datetime(when, usegmt=True) if value == "date" else value
    with scripted(lambda *_: (429, {"Retry-After": header}, {"code": "TooMany"})) as server:
        message = failure(lake, server, retries=retries)
        assert len(server.searches) == 1
    assert "asked too often" in message
    assert f"come back after {when:%Y-%m-%d %H:}" in message
    assert quick == []


def test_all_waits_together_are_bounded(lake, quick):
    with scripted(lambda *_: (503, {"Retry-After": "100"}, {})) as server:
        message = failure(lake, server, retries=50)
        assert len(server.searches) == 4
    assert sum(quick) == 300
    assert "come back after" in message


def test_waits_that_lead_on_are_bounded_too(lake, quick, monkeypatch):
    monkeypatch.setattr(web, "_WHOLE_PATIENCE", 700)

    def answer(asked, server):
        number = int(asked.get("token") or 0)
        if len(server.searches) % 2:
            return 429, {"Retry-After": "200"}, {}
        return page([number], token(server, number + 1))

    with scripted(answer) as server:
        assert "come back after" in failure(lake, server)
    assert sum(quick) == 600
    assert stored(lake) == 3


@pytest.mark.parametrize("value", ["soon", "-5", "0", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_wait_of_nothing_is_a_short_one(lake, quick, value):
    with scripted(once((429, {"Retry-After": value}, {}))) as server:
        assert search(lake, server).new == 1
    assert sum(quick) == 0.5


def test_a_server_that_never_answers_ends_after_the_time_limit(lake, hang):
    with answering(lambda _: (200, "{}") if hang.wait(30) else (500, "")) as (url, asked):
        message = failure(lake, None, url=url, timeout=0.2)
        hang.set()
    assert message.startswith(url[7:])
    assert "does not answer in time" in message
    assert len(asked) == 1


def test_a_search_that_hangs_is_tried_twice(lake, hang):
    def answer(*_):
        hang.wait(30)
        return page([])

    with scripted(answer) as server:
        message = failure(lake, server, timeout=0.2)
        hang.set()
        assert len(server.searches) == 2
    assert "does not answer in time" in message


def test_an_answer_that_drips_or_is_huge_is_given_up(lake, monkeypatch):
    with scripted(lambda *_: page(range(300))) as server:
        monkeypatch.setattr(web, "_LARGEST", 1 << 16)
        assert "in one answer" in failure(lake, server)
        monkeypatch.setattr(web, "_LARGEST", 1 << 29)
        monkeypatch.setattr(web, "_SLOWEST", -1)
        assert "sends too slowly" in failure(lake, server)


@pytest.mark.parametrize("length", ["stated", "not stated"])
def test_an_answer_that_is_cut_off_is_asked_for_again(lake, length):
    whole = json.dumps(page([1])).encode()
    cut = {"Content-Length": str(len(whole)), "Connection": "close"}
    if length == "not stated":
        cut = {"Content-Length": str(len(whole) // 2)}
    with scripted(once((200, cut, whole[: len(whole) // 2]))) as server:
        assert search(lake, server).new == 1
        assert len(server.searches) == 2
    with scripted(lambda *_: (200, cut, whole[: len(whole) // 2])) as server:
        assert "its answer was cut off" in failure(lake, server)
        assert len(server.searches) == 5


@contextmanager
def raw(content, hang=None):
    """The URL of a server that answers every request with these bytes, and then ends or is silent."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection, connection.makefile("rb") as request:
                    request.readline()
                    headers = parse_headers(request)
                    request.read(int(headers["Content-Length"] or 0))  # what is not read would reset the connection
                    connection.sendall(content)
                    if hang:
                        hang.wait(30)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        if hang:
            hang.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "the connection broke off"),
        (b"hello\r\n", "the connection broke off"),
        (HEAD + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"a":', "its answer was cut off"),
        (HEAD + b"Content-Length: 90\r\n\r\n{", "its answer was cut off"),
        (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", "its answer was cut off"),
        (HEAD + b"Connection: close\r\nContent-Length: 0\r\n\r\n", "its answer was cut off"),
    ],
)
def test_a_connection_that_breaks_is_tried_again_and_named(lake, quick, content, text):
    with raw(content) as url:
        message = failure(lake, None, url=f"{url}/timeout/proxy/refused", retries=2)
    assert message.startswith(f"{url[7:]} failed: {text}")
    assert quick == [0.5, 1]


def test_an_answer_in_small_pieces_is_read_to_its_end(lake):
    whole = gzip.compress(json.dumps(page([1, 2])).encode())
    head = HEAD + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    pieces = b"".join(b"1\r\n" + whole[at : at + 1] + b"\r\n" for at in range(len(whole)))
    with raw(head + pieces + b"0\r\n\r\n") as url:
        assert card2db.items(f"{url}/page.json", lake=lake).new == 2


def test_a_server_that_falls_silent_within_an_answer_is_named(lake, hang):
    with raw(HEAD + b"Content-Length: 90\r\n\r\n{", hang) as url:
        assert "does not answer in time" in failure(lake, None, url=url, timeout=0.2, retries=0)


def test_a_host_that_is_not_there_is_named(lake):
    def no_address(*_args, **_options):
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", no_address)
        message = failure(lake, None, url="http://refused.timeout.invalid/x", retries=0)
    assert message.startswith("refused.timeout.invalid failed: there is no host of that name")


# -- credentials --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_refuses_access_says_how_to_give_a_token(lake, status, monkeypatch):
    with scripted(lambda *_: (status, {}, {"detail": "Not authenticated"})) as server:
        message = failure(lake, server)
        assert f"HTTP {status} (Not authenticated); set CBM_LAKE_TOKEN_127_0_0_1" in message
        monkeypatch.setenv("CBM_LAKE_TOKEN_127_0_0_1", "old")
        assert "renew what CBM_LAKE_TOKEN_127_0_0_1 gives" in failure(lake, server)
        assert len(server.searches) == 2


@pytest.mark.parametrize("way", ["token", "netrc", "url"])
def test_credentials_go_with_every_request_and_nowhere_else(lake, monkeypatch, tmp_path, caplog, way):
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    secret = "s3cr3t"
    with scripted(pages_by_post) as server:
        url = server.url
        if way == "token":
            monkeypatch.setenv("CBM_LAKE_TOKEN_127_0_0_1", secret)
        elif way == "netrc":
            (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {secret}\n")
        else:
            url = url.replace("//", f"//me:{secret}@")
        assert search(lake, server, url=f"{url}/?key={secret}").new == 9
        sent = {asked.headers.get("Authorization") for asked in server.asked}
    assert len(sent) == 1
    assert sent != {None}
    assert set(lake.sql("select source from scenes")["source"].to_pylist()) == {f"{server.url}/"}
    assert secret not in str(lake.sql("select * from stac_scenes").to_pylist())
    assert secret not in caplog.text


def test_credentials_do_not_follow_a_redirect_or_a_link_to_another_host(lake, monkeypatch, tmp_path):
    monkeypatch.setenv("CBM_LAKE_TOKEN_127_0_0_1", "s3cr3t")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "netrc").write_text("default login any password s3cr3t\n")
    with scripted(lambda *_: page([2])) as other:
        away = other.url.replace("127.0.0.1", "localhost")

        def answer(asked, _):
            if asked.get("token"):
                return 307, {"Location": f"{away}/search"}, {}
            return page([1], {"href": f"{away}/x?token=2", "headers": {"X-Page": "s3cr3t"}})

        with scripted(answer) as server:
            assert search(lake, server).new == 2
            assert all(asked.headers["Authorization"] == "Bearer s3cr3t" for asked in server.asked)
            assert server.asked[-1].headers["X-Page"] == "s3cr3t"
        assert len(other.asked) == 1
        assert "s3cr3t" not in str(other.asked[0].headers)
        assert "Authorization" not in other.asked[0].headers


def test_a_redirect_to_the_same_host_keeps_https():
    assert web._redirected("http://h/search/", "https://u:p@h/search") == "https://u:p@h/search/"
    assert web._redirected("https://h/x", "http://u:p@h/search") == "https://u:p@h/x"
    assert web._redirected("http://other/x", "https://u:p@h/search") == "http://other/x"
    with pytest.raises(SourceError, match="no web address"):
        web._redirected("file:///etc/passwd", "https://h/search")
    with pytest.raises(SourceError, match="no address"):
        web._redirected("http://[x", "https://h/search")


def test_redirects_in_circles_end(lake):
    with scripted(lambda *_: (302, {"Location": "/search"}, {})) as server:
        assert "redirects in circles" in failure(lake, server)


def test_no_secret_is_in_a_message_or_its_traceback(lake, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_TOKEN_127_0_0_1", "s3cr3t")

    def echo(asked, server):
        if not asked.get("token"):
            return page([1], token(server, 2))
        words = f"{asked.headers['Authorization']} is not allowed at {server.url}/search?sig=s1gn4ture&x=1"
        return 403, {}, {"detail": words}

    with scripted(echo) as server:
        message = failure(lake, server)
        assert "is not allowed at" in message
        assert "s3cr3t" not in message
        assert "s1gn4ture" not in message
    with pytest.raises(SourceError) as caught:
        card2db.items(f"{server.url}/items.json?sig=s1gn4ture", lake=lake, retries=0)
    assert "refuses connections" in str(caught.value)
    assert caught.value.__cause__ is None  # the error of the library quotes the query
    assert caught.value.__suppress_context__
    assert "s1gn4ture" not in str(caught.value)


def test_hrefs_are_stored_without_their_signatures(lake):
    signed = item(1, assets={"red": {"href": "https://a.blob.core.windows.net/c/B04.tif?se=1&sig=s1gn4ture"}})
    signed["links"] = [{"rel": "self", "href": "https://u:s1gn4ture@h/i.json"}]
    with scripted(lambda *_: {**page([]), "features": [signed]}) as server:
        assert search(lake, server).new == 1
    row = lake.sql("select assets, links from stac_scenes").to_pylist()[0]
    assert row["assets"]["B04"]["href"] == "https://a.blob.core.windows.net/c/B04.tif"
    assert row["links"][0]["href"] == "https://h/i.json"


@pytest.mark.parametrize("url", ["http://[x/", "http://h:port/", "http:///x", "http://"])
def test_what_is_no_address_is_refused(lake, url):
    with pytest.raises(InvalidInputError, match=r"is no (URL|address)"):
        card2db.stac(url=url, geometry=BOX, lake=lake)


# -- static catalogues and feeds ----------------------------------------------------------------------------------


def test_the_items_of_a_collection_are_followed_page_by_page(lake):
    def answer(asked, server):
        if asked.path == "/collections/c":
            return {
                "type": "Collection",
                "id": "c",
                "links": [{"rel": "items", "href": f"{server.url}/collections/c/items"}],
            }
        return page([3, 4]) if "token" in asked.query else page([1, 2], {"href": "?token=2"}, numberMatched=5)

    with scripted(answer) as server:
        found = card2db.items(f"{server.url}/collections/c", lake=lake)
        assert found == card2db.items(f"{server.url}/collections/c/items", lake=lake).__class__(4, 4, (), found.missing)
    assert "5 items match and sent 4" in found.missing[0]


def test_a_stored_page_is_taken_as_it_is_and_what_it_lacks_is_told(lake, tmp_path):
    (tmp_path / "page.json").write_text(json.dumps(page([1, 2], {"href": "https://h/search?token=2"}, numberMatched=5)))
    found = card2db.items(tmp_path / "page.json", lake=lake)
    assert found.new == 2
    assert "5 items match and sent 2" in found.missing[0]


def test_documents_that_are_no_stac_are_told_and_the_rest_goes_on(lake):
    links = [{"rel": "item", "href": f"{name}.json"} for name in "abcde"]
    documents = {
        "/catalog.json": {"type": "Catalog", "links": [*links, "x"]},
        "/a.json": {"type": "FeatureCollection", "features": None},
        "/b.json": {"type": "FeatureCollection"},
        "/c.json": [],
        "/d.json": {"type": "Catalog", "links": [{"rel": "child", "href": "catalog.json"}, *links]},
        "/e.json": item(1),
    }
    with scripted(lambda asked, _: documents[asked.path]) as server:
        found = card2db.items(f"{server.url}/catalog.json", lake=lake)
        assert len(server.searches) == len(documents)  # none twice
    assert (found.found, found.new) == (4, 1)
    assert [line.count("/a.json") + line.count("/b.json") + line.count("/c.json") for line in found.skipped] == [
        1,
        1,
        1,
    ]


def test_a_server_that_stays_silent_is_not_asked_for_every_link(lake, hang):
    def answer(asked, _):
        if asked.path == "/catalog.json":
            return {"type": "Catalog", "links": [{"rel": "item", "href": f"{name}.json"} for name in range(20)]}
        hang.wait(30)
        return item(1)

    with scripted(answer) as server:
        found = card2db.items(f"{server.url}/catalog.json", lake=lake, timeout=0.2)
        hang.set()
    assert len(found.skipped) == 20
    assert "has not answered 3 times in a row" in found.skipped[-1]
    assert len(server.searches) <= 5


def test_a_feed_has_to_be_named(lake):
    with pytest.raises(InvalidInputError, match="switched off; search cdse with card2db stac"):
        card2db.creodias(None, None, geometry=BOX, lake=lake)


def entry(number):
    day = DAYS[number]
    title = f"S2A_MSIL2A_{day.replace('-', '')}T104021_N0510_R008_T31TEJ_{day.replace('-', '')}T151515.SAFE"
    about = {
        "title": title,
        "productIdentifier": f"/eodata/{title}",
        "platform": "S2A",
        "startDate": f"{day}T10:40:21Z",
    }
    return {"type": "Feature", "id": f"n{number}", "geometry": item(0)["geometry"], "properties": about}


def feed(numbers, following=None, total=None):
    links = [{"rel": "next", "href": following}] if following else None
    return {
        "type": "FeatureCollection",
        "features": [entry(number) for number in numbers],
        "properties": {"links": links, "totalResults": total},
    }


def test_a_feed_is_whole_or_says_what_is_missing(lake, tmp_path):
    def answer(asked, _):
        return feed([3]) if "page" in asked.query else feed([1, 2], "http://inside.invalid/search.json?page=2", 4)

    with scripted(answer) as server:
        found = card2db.creodias(None, None, url=f"{server.url}/search.json", geometry=BOX, lake=lake)
    assert (found.found, found.new) == (3, 3)
    assert "4 items match and sent 3" in found.missing[0]
    (tmp_path / "saved.json").write_text(json.dumps(feed([5], "http://inside.invalid/search.json?page=2", 2)))
    found = card2db.creodias(None, None, url=str(tmp_path / "saved.json"), lake=lake)
    assert (found.new, len(found.missing)) == (1, 1)


def test_a_feed_that_goes_in_circles_or_fails_is_named(lake):
    with (
        scripted(lambda *_: feed([1, 2], "search.json?page=2", 9)) as server,
        pytest.raises(SourceError, match=r"2 of 9 items.*2 of 9 scenes came"),
    ):
        card2db.creodias(None, None, url=f"{server.url}/search.json", geometry=BOX, lake=lake)
    with (
        scripted(lambda *_: {"ErrorMessage": "no such product"}) as server,
        pytest.raises(SourceError, match=r"no OpenSearch answer \(no such product\)"),
    ):
        card2db.creodias(None, None, url=f"{server.url}/search.json", geometry=BOX, lake=lake)


def test_an_outline_too_long_for_an_address_is_asked_for_by_its_box():
    round_one = shapely.Point(3, 43).buffer(0.1, quad_segs=200)
    asked = resto.parameters("s2", None, ("", ""), round_one)
    assert set(asked) == {"productType", "geometry", "maxRecords"}
    assert shapely.from_wkt(asked["geometry"]).bounds == pytest.approx(round_one.bounds, abs=1e-4)
    request = stacapi.Query(None, None, round_one).request("GET", "http://h/search", 0)
    assert len(request.url) < 2000
