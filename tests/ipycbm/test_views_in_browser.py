"""Get and view in a real browser without any network: parcels found on a map, and their images on one."""

import re

import pytest
from test_browser import demo, in_browser, served, visited, wait  # noqa: F401 - demo is a fixture

from cbm_lake.lake import open_lake


@pytest.mark.slow
@in_browser
def test_parcels_are_found_got_and_their_images_shown_on_a_map_offline(demo):  # noqa: F811
    pids = open_lake().sql("select pid from parcels order by area_m2 desc limit 2")["pid"].to_pylist()
    elsewhere = []
    with served(demo) as url, visited(url) as visit:
        page = visit.page
        page.on("request", lambda request: elsewhere.append(request.url) if _is_elsewhere(request.url, url) else None)
        page.get_by_placeholder("identifiers, with").fill(", ".join(pids))
        visit.press("find the parcels")
        visit.see("2 parcels")
        visit.tab("map")
        visit.see(re.compile("ground: sentinel, 2024-"))
        wait(lambda: page.locator("path.leaflet-interactive:visible").count() == 2)
        visit.press("get these")
        visit.see(re.compile("information, series s2"))
        visit.shoot("20_found_and_got")
        visit.tab("view", "chips")
        visit.see(re.compile("there is Sentinel-2"))
        page.locator("select[multiple]:visible").first.select_option(label="index: NDVI")
        visit.press("show")
        visit.see(re.compile("NDVI"))
        page.locator("img.leaflet-image-layer:visible").last.wait_for()
        visit.shoot("21_images_on_a_map")
    assert elsewhere == []


def _is_elsewhere(asked, url):
    return not asked.startswith((url, url.replace("http", "ws", 1), "data:", "blob:"))
