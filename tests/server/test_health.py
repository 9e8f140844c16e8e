"""/health and /metrics: without a login, without names, of the last night run."""

import pytest
import requests
from factories import fill
from rest_server import served

from cbm_lake import season
from cbm_lake.errors import SourceError
from cbm_lake.lake import Lake
from cbm_lake.season.journal import Journal, Key, Stopwatch

pytestmark = pytest.mark.thorough


SECRETS = ("secretarea", "secret.yaml", "process", "secretreason")


@pytest.fixture
def lake(tmp_path):
    return fill(Lake(str(tmp_path / "lake")))


def night(lake, *statuses, end="done"):
    """A run with a step for each status; None ends it not."""
    journal = Journal(lake, "/somewhere/secret.yaml")
    journal.begin()
    for status in statuses:
        key = Key("extract", "secretarea", 2024, "", "s2")
        journal.add(Stopwatch().entry(key, status, problem="secretreason", scenes=2, rows=20))
    if end:
        journal.end(end, None)


def asked(lake, folder):
    """What both say."""
    with served(lake, folder) as address:
        health = requests.get(f"{address}/health", timeout=30)
        metrics = requests.get(f"{address}/metrics", timeout=30)
    assert not any(secret in health.text + metrics.text for secret in SECRETS)
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    return health, numbers(metrics.text)


def numbers(text):
    """The values of a text of Prometheus by name and labels; each is described before."""
    values = {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            described = line.split()[2]
        elif not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            assert name.partition("{")[0] == described
            values[name] = float(value)
    return values


def test_a_lake_without_runs_is_healthy(lake, tmp_path):
    health, metrics = asked(lake, tmp_path)
    assert (health.status_code, health.json()) == (200, {"status": "ok", "night": None})
    assert metrics == {"cbm_lake_lake_readable": 1.0}


def test_the_last_run_is_told_with_its_age_outcome_and_failures(lake, tmp_path):
    night(lake, "done")
    night(lake, "done", "failed", end="failed")
    health, metrics = asked(lake, tmp_path)
    document = health.json()["night"]
    assert health.status_code == 200
    assert (document["outcome"], document["steps"], document["failed"], document["scenes"]) == ("failed", 2, 1, 4)
    assert 0 <= document["age_seconds"] <= document["good_age_seconds"]
    assert metrics['cbm_lake_night_outcome{outcome="failed"}'] == 1
    assert metrics['cbm_lake_night_outcome{outcome="done"}'] == 0
    assert metrics["cbm_lake_night_failed_steps"] == 1
    assert metrics["cbm_lake_night_rows"] == 40


def test_a_run_that_has_not_ended_is_told_as_running_since_its_last_step(lake, tmp_path):
    night(lake, "done", end=None)
    health, metrics = asked(lake, tmp_path)
    assert health.json()["night"]["outcome"] == "running"
    assert health.json()["night"]["good_age_seconds"] is None
    assert "cbm_lake_night_duration_seconds" not in metrics
    assert metrics['cbm_lake_night_outcome{outcome="running"}'] == 1


def test_a_lake_that_cannot_be_read_is_503(lake, tmp_path, monkeypatch):
    def damaged(_):
        raise SourceError("secretreason")

    monkeypatch.setattr(season, "last_run", damaged)
    health, metrics = asked(lake, tmp_path)
    assert health.status_code == 503
    assert metrics == {"cbm_lake_lake_readable": 0.0}


def test_it_is_read_once_whoever_asks(lake, tmp_path, monkeypatch):
    reads = []
    monkeypatch.setattr(season, "last_run", reads.append)
    with served(lake, tmp_path) as address:
        for _ in range(20):
            assert requests.get(f"{address}/health", timeout=30).status_code == 200
    assert len(reads) == 1


def test_of_what_runs_did_a_reader_sees_only_the_own_areas(lake, tmp_path):
    from cbm_lake.server.granting import Grants

    night(lake, "done")
    journal = Journal(lake, "/somewhere/secret.yaml")
    journal.begin()
    journal.add(Stopwatch().entry(Key("extract", "ms", 2024, "", "s2"), "done"))
    journal.end("done", None)
    import duckdb

    with Grants(lake, tmp_path / "granted").database(("ms",)) as file, duckdb.connect(file) as connection:
        rows = connection.sql("select aoi, who, file from runs").fetchall()
    assert rows == [("ms", "", "")]
