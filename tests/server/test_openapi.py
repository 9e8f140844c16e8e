"""The REST service against its own description: whatever is asked, nothing fails inside."""

import re

import pytest
import requests
import schemathesis
from factories import fill
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_server import ROOT, served

from cbm_lake.lake import Lake
from cbm_lake.parcel import tileservers

pytestmark = pytest.mark.thorough
THERE = {"aoi": "ms", "year": "2024", "card": "s2", "table": "s2"}
"""Values of paths that lead somewhere; what a name is of, the first part of the path says."""
NAMES = {"openeo": "s2", "stac": "s2", "ogc": "parcels_ms_2024", "edr": "s2_ms_2024"}


@pytest.fixture(scope="module")
def description(tmp_path_factory):
    lake = fill(Lake(str(tmp_path_factory.mktemp("lake"))))
    nobody = dict.fromkeys(("google", "bing", "osm", "esri", "ags"), "http://127.0.0.1:1/{z}/{x}/{y}.png")
    with (
        pytest.MonkeyPatch.context() as patch,
        served(lake, tmp_path_factory.mktemp("server"), sql=True, rate=1e6) as address,
    ):
        patch.setattr(tileservers, "_of_workspace", lambda: nobody)
        yield schemathesis.openapi.from_url(f"{address}/openapi.json")


@pytest.mark.slow
def test_nothing_that_can_be_asked_fails_inside(description):
    asked, reached = 0, set()
    for operation in description.get_all_operations():

        @settings(max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.ok().as_strategy(), known=st.booleans())
        def ask(case, known):
            nonlocal asked
            asked += 1
            if known:
                there = THERE | {"name": NAMES.get(case.path.split("/")[1], "")}
                case.path_parameters.update({key: there[key] for key in case.path_parameters if there.get(key)})
            answer = case.call(auth=ROOT)
            assert answer.status_code < 500, f"{case.as_curl_command()}: {answer.text}"
            if answer.status_code == 200 and "{name}" in case.path:
                reached.add(case.path.split("/")[1])

        ask()
    assert asked > 100
    assert reached == set(NAMES)


def test_the_address_alone_leads_to_the_page_also_for_strangers(description):
    base = description.get_base_url().rstrip("/")
    answer = requests.get(f"{base}/", timeout=9)
    assert answer.url == f"{base}/apidocs"
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")


def test_the_page_lists_every_question_and_loads_nothing(description):
    page = requests.get(f"{description.get_base_url()}/apidocs", timeout=9).text
    assert all(path in page for path in description.raw_schema["paths"])
    assert not re.search(r"<script|<link|src=|url\(", page)
