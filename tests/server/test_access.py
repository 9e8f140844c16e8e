"""Who looked at what: the access log, who may read it, and what the rights of files and the command line give away."""

import json
import logging
import os
import signal
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import ipywidgets
import pytest
import requests
from factories import fill
from rest_server import ROOT, WHO, served
from typer.testing import CliRunner

from cbm_lake.cli import app
from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError
from cbm_lake.ipycbm import opened, panel
from cbm_lake.lake import Lake
from cbm_lake.server import audit
from cbm_lake.server.accounts import Accounts
from cbm_lake.server.audit import AccessLog, Look

pytestmark = pytest.mark.thorough


runner = CliRunner()


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return fill(Lake(str(tmp_path_factory.mktemp("lake"))))


def look(**others):
    return Look(
        **{
            "who": "ada",
            "address": "1.2.3.4",
            "door": "rest",
            "method": "GET",
            "path": "/",
            "status": 200,
            "ms": 1.5,
            **others,
        }
    )


def test_every_door_writes_who_looked_at_which_parcel_or_asked_what(lake, tmp_path):
    with served(lake, tmp_path, sql=True, access=tmp_path / "access") as address:

        def get(path, who=WHO, **params):
            return requests.get(address + path, params=params, auth=who, timeout=30)

        get("/query/parcelByID", aoi="MS", year=2024, pid="0012")
        get("/v1/timeseries", aoi="ms", year=2024, pid="0012", card="s2")
        get("/v1/tiles/parcels/ms/2024/8/1/1.mvt")
        get("/ogc/collections/parcels_ms_2024/items/0012")
        get("/query/parcelByID", aoi="be", year=2024, pid="9")
        get("/query/info", who=("eve", "wrong password"))
        get("/apidocs", who=None)
        body = {"statement": "select count(*) from parcels where aoi = $a", "params": {"a": "ms"}}
        requests.post(f"{address}/v1/sql", json=body, auth=WHO, timeout=30)
    rows = audit.read(folder=tmp_path / "access").to_pylist()
    assert [(row["who"], row["path"].rpartition("/")[2], row["aoi"], row["pid"], row["status"]) for row in rows] == [
        ("ada", "parcelByID", "ms", "0012", 200),
        ("ada", "timeseries", "ms", "0012", 200),
        ("ada", "1.mvt", "ms", None, 200),
        ("ada", "0012", "ms", "0012", 200),
        ("ada", "parcelByID", "be", "9", 401),
        (None, "info", None, None, 401),
        ("ada", "sql", None, None, 200),
    ]
    assert rows[-1]["question"] == 'select count(*) from parcels where aoi = $a\n-- {"a": "ms"}'
    assert {row["address"] for row in rows} == {"127.0.0.1"}
    assert all(datetime.now(UTC) - row["at"] < timedelta(minutes=5) for row in rows)


def test_a_parameter_that_is_not_the_one_answered_hides_no_area_and_no_parcel(lake, tmp_path):
    with served(lake, tmp_path, access=tmp_path / "access") as address:
        for path in (
            "/query/parcelByID?aoi=other&aoi=ms&year=2024&pid=9&pid=0012",
            "/ogc/collections/parcels_ms_2024/items/0012?aoi=other&pid=9",
            "/v1/tiles/parcels/ms/2024/8/1/1.mvt?aoi=other",
        ):
            assert requests.get(address + path, auth=WHO, timeout=30).status_code == 200
    rows = audit.read(folder=tmp_path / "access").to_pylist()
    assert [(row["aoi"], row["pid"]) for row in rows] == [("ms", "0012"), ("ms", "0012"), ("ms", None)]


def test_links_of_results_are_written_without_what_lets_their_knower_in(lake, tmp_path):
    with served(lake, tmp_path, access=tmp_path / "access") as address:
        folder = tmp_path / "results" / ("a" * 64)
        folder.mkdir(parents=True)
        (folder / "x.tif").write_bytes(b"x")
        assert requests.get(f"{address}/static/tmp/{'a' * 64}/x.tif", timeout=30).status_code == 200
    (row,) = audit.read(folder=tmp_path / "access").to_pylist()
    assert (row["who"], row["path"]) == (None, "/static/…/x.tif")


def test_the_access_log_is_read_by_auditors_only_and_reading_it_is_written_too(lake, tmp_path):
    accounts = Accounts(tmp_path / "users.json")
    with served(lake, tmp_path, access=tmp_path / "access") as address:
        for who in (WHO, ROOT):
            assert requests.get(f"{address}/v1/access", auth=who, timeout=30).status_code == 403
        accounts.grant("ada", (), auditor=True)
        another = AccessLog(tmp_path / "access")
        another.add(look(who="carl", aoi="ms", pid="0012"))
        another.close()
        asked = {"who": "carl", "of": "ms", "parcel": "0012"}
        lines = requests.get(f"{address}/v1/access", params=asked, auth=WHO, timeout=30).text
        assert json.loads(lines.splitlines()[0])["who"] == "carl"
        accounts.grant("ada", (), auditor=False)
        assert requests.get(f"{address}/v1/access", auth=WHO, timeout=30).status_code == 403
    rows = audit.read(folder=tmp_path / "access").to_pylist()
    assert {(row["who"], row["status"]) for row in rows if row["path"] == "/v1/access"} == {
        ("ada", 403),
        ("root", 403),
        ("ada", 200),
    }


def test_a_kill_costs_a_second_and_a_line_cut_short_is_left_out_and_named(tmp_path, caplog):
    folder = tmp_path / "access"
    code = "import sys; from pathlib import Path; from cbm_lake.server.audit import *\n"
    code += "log = AccessLog(Path(sys.argv[1])); log.add(Look('ada', '', 'rest', 'GET', '/a\\u2028b\\n', 200, 1.0))\n"
    code += "log.write(); print('written', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with file.open("ab") as out:
        out.write(look().line()[:40])
    rows = audit.read(folder=folder)
    assert rows["path"].to_pylist() == ["/a\u2028b\n"]
    assert f"1 lines of {file} are damaged" in caplog.text


def test_files_are_of_a_day_and_a_size_and_are_deleted_when_they_are_too_old(tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "_LARGEST", 10)
    for days in (0, 29, 30, 31, 400):
        day = datetime.now(UTC) - timedelta(days=days)
        (tmp_path / f"{day:%Y-%m-%d}-{days}.jsonl").write_bytes(look(at=day, who=f"{days}").line())
    (tmp_path / "notes.txt").write_text("mine")
    written = AccessLog(tmp_path, days=30)
    for _ in range(3):
        written.add(look())
        written.write()
    written.close()
    rows = audit.read(folder=tmp_path)
    assert rows["who"].to_pylist() == ["30", "29", "0", "ada", "ada", "ada"]
    assert len(list(tmp_path.glob("*.jsonl"))) == 6
    assert (tmp_path / "notes.txt").exists()


def test_what_the_disk_does_not_take_waits_and_is_written_later(tmp_path, caplog):
    folder = tmp_path / "access"
    folder.write_text("a file where the folder should be")
    written = AccessLog(folder)
    written.add(look())
    written.write()
    assert "the access log cannot be written" in caplog.text
    folder.unlink()
    written.close()
    assert audit.read(folder=folder).num_rows == 1


def test_rows_that_are_lost_are_counted_in_the_log(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(audit, "_MOST_WAITING", 2)
    monkeypatch.setattr(audit, "_SECONDS", 1000.0)
    written = AccessLog(tmp_path)
    for _ in range(5):
        written.add(look())
    written.close()
    assert "3 rows of the access log are lost" in caplog.text
    assert audit.read(folder=tmp_path).num_rows == 2


def test_the_table_is_chosen_by_days_account_area_and_parcel(workspace):
    written = AccessLog(audit.folder_of(workspace))
    today = datetime.now(UTC)
    for who, aoi, pid in (("ada", "ms", "1"), ("bob", "ms", "2"), ("ada", "be", None)):
        written.add(look(who=who, aoi=aoi, pid=pid, at=today))
    written.close()
    assert audit.read().schema == audit.SCHEMA
    assert audit.read(who="ADA")["aoi"].to_pylist() == ["ms", "be"]
    assert audit.read(aoi="MS", pid="2")["who"].to_pylist() == ["bob"]
    assert audit.read(since=today.date(), until=f"{today:%Y-%m-%d}").num_rows == 3
    assert audit.read(until="2020-01-01").num_rows == 0
    with pytest.raises(InvalidInputError, match="'x' is no day"):
        audit.read("x")
    answer = runner.invoke(app, ["user", "access", "--user", "ada", "--aoi", "ms", "--format", "json"])
    assert json.loads(answer.stdout)["pid"] == "1"
    assert runner.invoke(app, ["user", "access", "--since", "yesterday"]).exit_code == 1


def test_what_is_pressed_on_the_page_is_written_but_no_password(tmp_path, monkeypatch):
    monkeypatch.setenv(opened.FOLDER, str(tmp_path))
    monkeypatch.setenv(opened.DAYS, "30")
    monkeypatch.setenv("HTTP_X_CBM_LAKE_WHO", "root")
    monkeypatch.setenv("HTTP_X_CBM_LAKE_ADDRESS", "1.2.3.4")
    monkeypatch.setattr(opened, "LISTENERS", panel.LISTENERS)
    registered = []
    monkeypatch.setattr(opened.atexit, "register", registered.append)
    opened.listen()
    try:
        inputs = {"aoi": "ms", "pid": "0012", "url": "http://x"}
        form = panel.Panel(
            "get",
            lambda **_: None,
            **{name: ipywidgets.Text(value) for name, value in inputs.items()},
            password=ipywidgets.Password("secret"),
        )
        form.submit().result(30)
    finally:
        panel.LISTENERS.clear()
        registered[0]()
    (row,) = audit.read(folder=tmp_path).to_pylist()
    told = {name: row[name] for name in ("who", "address", "door", "path", "aoi", "pid", "question")}
    assert told == {
        "who": "root",
        "address": "1.2.3.4",
        "door": "app",
        "path": "get",
        "aoi": "ms",
        "pid": "0012",
        "question": '{"url": "http://x"}',
    }


# -- passwords and rights ---------------------------------------------------------------------------------------------


def test_a_password_is_never_in_the_list_of_processes(workspace):
    answer = runner.invoke(app, ["user", "add", "ada", "--password", "correct horse"])
    assert answer.exit_code == 1
    assert "--password-stdin" in str(answer.exception)
    accounts = Accounts(workspace.root / "config" / "users.json")
    assert not accounts.users()
    for end in ("\n", "\r\n", ""):
        given = runner.invoke(
            app, ["user", "add", "ada", "--aoi", "ms", "--password-stdin"], input=f"correct horse{end}"
        )
        assert given.exit_code == 0
        assert accounts.check("ada", "correct horse").aois == ("ms",)
    asked = runner.invoke(app, ["user", "add", "eve", "--auditor"], input="another horse\nanother horse\n")
    assert asked.exit_code == 0
    assert accounts.check("eve", "another horse").auditor
    assert "eve: no area, who looked at what" in runner.invoke(app, ["user", "list"]).stdout
    assert runner.invoke(app, ["user", "grant", "eve", "--no-auditor"]).exit_code == 0
    assert not accounts.check("eve", "another horse").auditor


@pytest.mark.parametrize(
    ("umask", "told", "folders", "files"),
    [(0o022, "", 0o750, 0o640), (0o002, "", 0o770, 0o660), (0o077, "", 0o700, 0o600), (0o077, "022", 0o755, 0o644)],
)
def test_what_commands_make_is_closed_to_others_unless_told(tmp_path, umask, told, folders, files):
    environment = {**os.environ, "CBM_LAKE_HOME": str(tmp_path / "home"), "CBM_LAKE_UMASK": told}
    code = "import os, sys; os.umask(int(sys.argv[1]))\nfrom cbm_lake.cli import app\n"
    code += (
        "from pathlib import Path\nfrom cbm_lake.config import Workspace\ntry: app(['init'])\nexcept SystemExit: pass\n"
    )
    code += "Path(sys.argv[2]).mkdir(); (Path(sys.argv[2]) / 'file').write_text('x')"
    command = [sys.executable, "-c", code, str(umask), str(tmp_path / "made")]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    for folder in ("home/config", "home/data", "home/temp", "made"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == folders, folder
    assert stat.S_IMODE((tmp_path / "made" / "file").stat().st_mode) == files
    assert stat.S_IMODE((tmp_path / "home" / "config" / "main.json").stat().st_mode) == 0o600


def test_a_workspace_is_closed_to_others_also_from_python(tmp_path):
    before = os.umask(0o022)
    try:
        Workspace(tmp_path / "home").create()
    finally:
        os.umask(before)
    for name in ("config", "data", "temp"):
        assert stat.S_IMODE((tmp_path / "home" / name).stat().st_mode) == 0o750


def test_a_umask_that_is_none_is_refused_by_name(monkeypatch):
    monkeypatch.setenv("CBM_LAKE_UMASK", "rwx")
    answer = runner.invoke(app, ["user", "list"])
    assert "CBM_LAKE_UMASK='rwx' is no umask" in str(answer.exception)


def test_the_log_says_what_it_must_on_one_line(caplog):
    caplog.set_level(logging.INFO)
    assert look(path="/a\n\u2028b").line().count(b"\n") == 1
    assert look(path="/a\n\u2028b").line().isascii()
