"""Pseudonyms: keyed hashes that join with each other, whose key stays with the agency."""

import csv
import hashlib
import hmac
import stat

import pyarrow.parquet as pq
import pytest
from click.testing import Result
from factories import PIDS, copied
from typer.testing import CliRunner

from cbm_lake import cli
from cbm_lake.config import Workspace
from cbm_lake.errors import ConfigError, InvalidInputError
from cbm_lake.lake import open_lake

KEY = "0123456789abcdef"


@pytest.fixture
def filled(lake, two_scenes):
    return copied(two_scenes, lake)


@pytest.fixture
def key(tmp_path):
    """A key of one's own, in a file that only its owner reads."""
    file = tmp_path / "own.key"
    file.write_text(f"{KEY}\n")
    file.chmod(0o600)
    return file


def column(path, name="pid"):
    if path.suffix == ".csv":
        return [row[name] for row in csv.DictReader(path.read_text("utf-8").splitlines())]
    return pq.read_table(path)[name].to_pylist()


def pseudonym(text, secret=KEY):
    """What HMAC-SHA256 of the standard library gives, as its first 32 hexadecimal digits."""
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()[:32]


@pytest.mark.parametrize("ending", ["csv", "parquet", "arrow", "xlsx", "gpkg", "fgb", "geojson"])
def test_no_identifier_is_in_the_file_whatever_its_format(filled, tmp_path, key, ending):
    path = tmp_path / f"a.{ending}"
    rows = "select geometry, epsg, 'secret-' || pid as pid from parcels"
    assert filled.export(rows, path, pseudonymous=key) == 3
    content = path.read_bytes()
    assert b"secret-" not in content
    assert KEY.encode() not in content


def test_the_pseudonym_is_the_keyed_hash_and_nothing_else_changes(filled, tmp_path, key):
    filled.export("select pid, year, crop_name from parcels order by pid", tmp_path / "a.parquet", pseudonymous=key)
    assert column(tmp_path / "a.parquet") == [pseudonym(pid) for pid in PIDS]
    assert column(tmp_path / "a.parquet", "crop_name") == ["wheat"] * 3


def test_files_of_one_key_join(filled, tmp_path):
    filled.export("select pid from parcels order by pid", tmp_path / "a.csv", pseudonymous=True)
    filled.export("select distinct pid from s2 order by pid", tmp_path / "b.parquet", pseudonymous=True)
    assert sorted(column(tmp_path / "a.csv")) == sorted(column(tmp_path / "b.parquet"))
    assert len(set(column(tmp_path / "a.csv"))) == 3


def test_numbers_are_hashed_as_their_text_and_null_stays(filled, tmp_path, key):
    rows = "select unnest([12, null]) as gsa_par_id, unnest(['12', null]) as PID, unnest([1, 2]) as n"
    filled.export(rows, tmp_path / "a.parquet", pseudonymous=key)
    assert column(tmp_path / "a.parquet", "gsa_par_id") == [pseudonym("12"), None]
    assert column(tmp_path / "a.parquet", "PID") == [pseudonym("12"), None]
    assert column(tmp_path / "a.parquet", "n") == [1, 2]


def test_the_workspace_makes_a_key_once_that_only_its_owner_reads(filled, tmp_path, workspace, caplog):
    filled.export("select pid from parcels", tmp_path / "a.csv", pseudonymous=True)
    file = workspace.root / "config" / "pseudonyms.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_text().strip()) == 64
    assert "keep it secret" in caplog.text
    before = file.read_bytes()
    filled.export("select pid from parcels", tmp_path / "b.csv", pseudonymous=True)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir() if path.name.startswith(".")] == []


def test_the_environment_gives_a_key_that_is_written_nowhere(filled, tmp_path, workspace, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_PSEUDONYMS__KEY", KEY)
    filled.export("select pid from parcels order by pid", tmp_path / "a.csv", pseudonymous=True)
    assert column(tmp_path / "a.csv") == [pseudonym(pid) for pid in PIDS]
    assert not (workspace.root / "config" / "pseudonyms.key").exists()
    assert KEY not in repr(Workspace.here().config)


def test_keys_that_keep_no_secret_or_are_not_there_are_refused(filled, tmp_path, caplog):
    short = tmp_path / "short.key"
    short.write_text("short")
    with pytest.raises(ConfigError, match=r"short.key has 5 bytes; a key of pseudonyms has at least 16"):
        filled.export("parcels", tmp_path / "a.csv", pseudonymous=short)
    with pytest.raises(ConfigError, match=r"none.key cannot be read"):
        filled.export("parcels", tmp_path / "a.csv", pseudonymous=tmp_path / "none.key")
    open_to_all = tmp_path / "open.key"
    open_to_all.write_text(KEY)
    open_to_all.chmod(0o644)
    filled.export("select pid from parcels", tmp_path / "a.csv", pseudonymous=open_to_all)
    assert "can be read by others; chmod 600" in caplog.text


def test_rows_without_identifiers_are_refused_unless_they_are_named(filled, tmp_path, key):
    rows = "select pid as block, epsg from parcels order by pid"
    with pytest.raises(InvalidInputError, match=r"no column of identifiers; name it by identifiers=: block"):
        filled.export(rows, tmp_path / "a.csv", pseudonymous=key)
    filled.export(rows, tmp_path / "a.csv", pseudonymous=key, identifiers=["block"])
    assert column(tmp_path / "a.csv", "block") == [pseudonym(pid) for pid in PIDS]
    with pytest.raises(InvalidInputError, match=r"these rows have no column blok; there are: block, epsg"):
        filled.export(rows, tmp_path / "a.csv", pseudonymous=key, identifiers=["blok"])


@pytest.mark.parametrize("identifiers", ["block", ["block"]])
def test_identifiers_that_are_named_never_stay(filled, tmp_path, identifiers):
    filled.export("select pid, pid as block from parcels", tmp_path / "a.csv", identifiers=identifiers)
    assert column(tmp_path / "a.csv") == column(tmp_path / "a.csv", "block")
    assert not set(column(tmp_path / "a.csv")) & set(PIDS)


def test_what_identifies_beside_the_identifiers_is_told(filled, tmp_path, key, caplog):
    filled.export("select parcels.*, 'Mr Smith' as owner from parcels", tmp_path / "a.parquet", pseudonymous=key)
    assert "centroid_lon, centroid_lat, bbox, geometry say where a parcel is, which identifies it" in caplog.text
    assert "owner stay as they are: see that they identify nobody" in caplog.text


def test_a_scene_keeps_its_identifier(filled, tmp_path, key):
    filled.export("select id, card, 'x' as pid from scenes order by id", tmp_path / "a.csv", pseudonymous=key)
    assert column(tmp_path / "a.csv", "id") == ["A", "B"]
    filled.export("select id from fiboa_parcels order by id", tmp_path / "b.csv", pseudonymous=key)
    assert column(tmp_path / "b.csv", "id") == [pseudonym(pid) for pid in PIDS]


def run(*arguments) -> Result:
    return CliRunner().invoke(cli.app, ["export", *map(str, arguments)])


def test_the_command_line_writes_pseudonyms_and_harmless_texts(filled, tmp_path, key):
    rows = "select pid, '=1+1' as text, pid as block from parcels order by pid"
    result = run(rows, tmp_path / "a.csv", "--pseudonymous", "--key", key, "--identifier", "block", "--neutralise")
    assert result.exit_code == 0, result.output
    assert column(tmp_path / "a.csv") == column(tmp_path / "a.csv", "block") == [pseudonym(pid) for pid in PIDS]
    assert column(tmp_path / "a.csv", "text") == ["'=1+1"] * 3
    assert open_lake().sql("select count(*) as n from parcels")["n"].to_pylist() == [3]
