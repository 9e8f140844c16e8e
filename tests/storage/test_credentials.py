"""Credentials per host: what is found where, what is malformed, and what never shows in an address."""

import base64

import pytest
import requests
from requests.auth import _basic_auth_str

from cbm_lake.config import Config
from cbm_lake.errors import ConfigError, InvalidInputError
from cbm_lake.storage import credentials

URL = "https://stac.dataspace.copernicus.eu/v1/search"
HOST = "STAC_DATASPACE_COPERNICUS_EU"


@pytest.fixture(autouse=True)
def netrc(tmp_path, monkeypatch):
    """No netrc file but the one that a test writes."""
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return tmp_path / "netrc"


def test_without_credentials_there_are_no_headers_and_the_advice_names_the_variables():
    assert credentials.headers(URL) == {}
    for name in (f"CBM_LAKE_TOKEN_{HOST}", f"CBM_LAKE_BASIC_{HOST}", f"CBM_LAKE_HEADERS_{HOST}", "netrc"):
        assert name in credentials.advice(URL)


@pytest.mark.parametrize("value", ["abc.d-e_f", " abc.d-e_f\n", "Bearer abc.d-e_f", "bearer  abc.d-e_f"])
def test_a_token_is_sent_as_bearer(monkeypatch, value):
    monkeypatch.setenv(f"CBM_LAKE_TOKEN_{HOST}", value)
    assert credentials.headers(URL) == {"Authorization": "Bearer abc.d-e_f"}
    assert f"CBM_LAKE_TOKEN_{HOST}" in credentials.advice(URL)
    assert "abc" not in credentials.advice(URL)


def test_a_user_and_password_are_sent_as_requests_would(monkeypatch):
    monkeypatch.setenv(f"CBM_LAKE_BASIC_{HOST}", "me@x:pass:word")
    assert credentials.headers(URL) == {"Authorization": _basic_auth_str("me@x", "pass:word")}
    monkeypatch.setenv(f"CBM_LAKE_BASIC_{HOST}", "märz:ö")
    assert base64.b64decode(credentials.headers(URL)["Authorization"][6:]).decode() == "märz:ö"


def test_other_headers_are_sent_as_they_are_and_beside_a_token(monkeypatch):
    monkeypatch.setenv(f"CBM_LAKE_HEADERS_{HOST}", '{"X-Api-Key": "k"}')
    assert credentials.headers(URL) == {"X-Api-Key": "k"}
    monkeypatch.setenv(f"CBM_LAKE_TOKEN_{HOST}", "t")
    assert credentials.headers(URL) == {"X-Api-Key": "k", "Authorization": "Bearer t"}


def test_a_port_has_its_own_variables_before_those_of_the_host(monkeypatch):
    monkeypatch.setenv("CBM_LAKE_TOKEN_127_0_0_1", "host")
    monkeypatch.setenv("CBM_LAKE_BASIC_127_0_0_1_8080", "port:")
    assert credentials.headers("http://127.0.0.1:8080/x") == {"Authorization": _basic_auth_str("port", "")}
    assert credentials.headers("http://127.0.0.1:8081/x") == {"Authorization": "Bearer host"}
    assert credentials.headers("http://127.0.0.1/x") == {"Authorization": "Bearer host"}
    assert credentials.headers("http://127.0.0.2/x") == {}
    assert credentials.headers("http://[::1]:80/") == {}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("TOKEN", "sec ret"),
        ("TOKEN", "sec\nret"),
        ("TOKEN", "sécret"),
        ("BASIC", "secret"),
        ("HEADERS", "secret"),
        ("HEADERS", '["secret"]'),
        ("HEADERS", '{"secret": 1}'),
        ("HEADERS", '{"A b": "secret"}'),
        ("HEADERS", '{"A": "sec\\r\\nret: x"}'),
        ("HEADERS", '{"A": "secret"'),
    ],
)
def test_what_is_malformed_is_named_and_never_shown(monkeypatch, kind, value):
    monkeypatch.setenv(f"CBM_LAKE_{kind}_{HOST}", value)
    with pytest.raises(ConfigError, match=f"CBM_LAKE_{kind}_{HOST} ") as caught:
        credentials.headers(URL)
    chain, error = "", caught.value
    while error is not None:
        chain, error = f"{chain} {error}", error.__cause__
    assert "sec" not in chain
    assert "\n" not in chain


def test_two_kinds_of_authorization_contradict_each_other(monkeypatch):
    monkeypatch.setenv(f"CBM_LAKE_TOKEN_{HOST}", "t")
    monkeypatch.setenv(f"CBM_LAKE_BASIC_{HOST}", "u:p")
    with pytest.raises(ConfigError, match="unset one"):
        credentials.headers(URL)


def test_an_empty_variable_is_none(monkeypatch):
    monkeypatch.setenv(f"CBM_LAKE_TOKEN_{HOST}", " ")
    assert credentials.headers(URL) == {}


def test_the_netrc_file_is_read_as_requests_reads_it(netrc):
    netrc.write_text("machine stac.dataspace.copernicus.eu\n login me password pass\ndefault login any password all\n")
    theirs = requests.Session().prepare_request(requests.Request("GET", URL)).headers["Authorization"]
    assert credentials.headers(URL) == {"Authorization": theirs}
    assert str(netrc) in credentials.advice(URL)


def test_the_default_entry_of_a_netrc_file_goes_to_nobody(netrc):
    netrc.write_text("default login any password all\n")
    assert credentials.headers(URL) == {}


def test_the_environment_comes_before_the_url_and_that_before_the_netrc_file(netrc, monkeypatch):
    netrc.write_text("machine h login netrc password netrc\n")
    assert credentials.headers("https://h/") == {"Authorization": _basic_auth_str("netrc", "netrc")}
    assert credentials.headers("https://u%40x:p%3A@h/") == {"Authorization": _basic_auth_str("u@x", "p:")}
    monkeypatch.setenv("CBM_LAKE_TOKEN_H", "t")
    assert credentials.headers("https://u:p@h/") == {"Authorization": "Bearer t"}


def test_a_malformed_netrc_file_is_named_and_never_quoted(netrc):
    netrc.write_text("machine h login me secret word\n")
    with pytest.raises(ConfigError, match="netrc at line 1") as caught:
        credentials.headers(URL)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    netrc.write_bytes(b"machine h login \xff password x\n")
    with pytest.raises(ConfigError, match="UTF-8"):
        credentials.headers(URL)


def test_the_file_in_the_home_folder_is_read_and_one_that_is_not_there_is_empty(tmp_path, monkeypatch):
    monkeypatch.delenv("NETRC")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert credentials.headers("https://h/") == {}
    (tmp_path / ".netrc").write_text("machine h login u password p\n")
    assert credentials.headers("https://h/") == {"Authorization": _basic_auth_str("u", "p")}


@pytest.mark.parametrize("url", ["s3://bucket/key", "/data/x.tif", "file:///x", "abfss://c@a.dfs.core.windows.net/x"])
def test_only_web_servers_have_credentials(url):
    assert credentials.headers(url) == {}


@pytest.mark.parametrize("url", ["https://[x/?sig=secret", "https://u:secret@h:port/"])
def test_what_is_no_url_is_refused_without_its_secrets(url):
    with pytest.raises(InvalidInputError) as caught:
        credentials.headers(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://u:p@h:8/a/b.json?sig=s#token=t", "https://h:8/a/b.json"),
        ("https://h?x=1", "https://h"),
        ("https://u@h/x@y/z", "https://h/x@y/z"),
        ("HTTPS://u:p@h/x", "HTTPS://h/x"),
        ("s3://bucket/key with ?.tif", "s3://bucket/key with "),
        ("s3://key:secret@bucket/x", "s3://bucket/x"),
        (
            "abfss://container@account.dfs.core.windows.net/x?sv=1&sig=s",
            "abfss://container@account.dfs.core.windows.net/x",
        ),
        ("/vsicurl/https://u:p@h/x.tif?sig=s", "/vsicurl/https://h/x.tif"),
        ("/data/what?#x@y.json", "/data/what?#x@y.json"),
        ("", ""),
    ],
)
def test_no_secret_of_a_url_is_shown(url, shown):
    assert credentials.without_secrets(url) == shown


@pytest.mark.parametrize(
    ("href", "stored"),
    [
        (
            "https://a.blob.core.windows.net/c/x.tif?st=1&se=2&sp=rl&sv=3&sr=c&skoid=4&sig=s%3D",
            "https://a.blob.core.windows.net/c/x.tif",
        ),
        (
            "https://b.s3.amazonaws.com/x?X-Amz-Signature=s&X-Amz-Credential=c&versionId=7",
            "https://b.s3.amazonaws.com/x?versionId=7",
        ),
        ("https://b.s3.amazonaws.com/x?AWSAccessKeyId=s&Signature=c&Expires=7", "https://b.s3.amazonaws.com/x"),
        ("https://storage.googleapis.com/b/x?X-Goog-Signature=s&x-goog-date=1", "https://storage.googleapis.com/b/x"),
        ("https://h/download?file=a%20b.tif&part=1", "https://h/download?file=a%20b.tif&part=1"),
        ("https://h/download?file=a.tif&access_token=s", "https://h/download?file=a.tif"),
        ("https://h/download?st=Bayern&sr=1", "https://h/download?st=Bayern&sr=1"),
        ("https://u:p@h/x.tif", "https://h/x.tif"),
        ("s3://bucket/key.tif", "s3://bucket/key.tif"),
        ("abfs://c@a.dfs.core.windows.net/x?sig=s&se=1", "abfs://c@a.dfs.core.windows.net/x"),
        ("/data/a?sig=1.tif", "/data/a?sig=1.tif"),
        ("https://h.org/a.tif?id=7&security-token=t&OSSAccessKeyId=k&Signature=s", "https://h.org/a.tif?id=7"),
        ("https://h.org/a.tif?PRIVATE-TOKEN=t", "https://h.org/a.tif"),
        (
            "/vsicurl?use_head=no&url=https%3A%2F%2Fu%3Ap%40h%2Fx.tif%3Fsig%3Ds%26id%3D7",
            "/vsicurl/https://h/x.tif?id=7",
        ),
        ("https://h.org/a.tif?x-access-token=t&band=4", "https://h.org/a.tif?band=4"),
        ("https://h.org/a.tif?hdnts=st~exp~hmac", "https://h.org/a.tif"),
        ("https://h.org/a.tif?sas_token=t&accessKey=k&sessionid=s&authkey=a", "https://h.org/a.tif"),
    ],
)
def test_hrefs_are_kept_without_what_signs_them(href, stored):
    assert credentials.without_signature(href) == stored


def test_the_settings_do_not_stumble_over_credentials(monkeypatch, workspace):
    monkeypatch.setenv(f"CBM_LAKE_TOKEN_{HOST}", "t")
    monkeypatch.setenv("CBM_LAKE_BASIC_S3_EXAMPLE_ORG", "u:p")
    monkeypatch.setenv("CBM_LAKE_HEADERS_LAKE__URL", '{"X": "y"}')
    assert Config().lake.url == ""
    changed = workspace.configure("set", user="me")
    assert changed.config.set.user == "me"
    assert "u:p" not in changed.config_file.read_text()
