"""Settings: environment before file before default, validated, and secrets kept secret."""

import json
import stat
import traceback

import pytest

from cbm_lake.config import Workspace
from cbm_lake.errors import ConfigError

ORIGINAL = {
    "set": {"user": "ann", "update_check": "True", "data_source": "api", "plimit": "25", "jupyterlab": "False"},
    "paths": {"temp": "temp"},
    "files": {"pass_file": "config/passwords"},
    "api": {"url": "https://host", "user": "ann", "pass": "secret1"},
    "db": {"main": {"host": "db.host", "port": "5432", "user": "ann", "pass": "secret2"}},
    "obst": {"osdias": "EOSC", "oshost": "s3.host", "bucket": "b", "access_key": "key", "secret_key": "secret3"},
}


@pytest.fixture
def main(tmp_path, monkeypatch):
    """Writes config/main.json and gives the workspace."""
    monkeypatch.setenv("CBM_LAKE_HOME", str(tmp_path))

    def write(document):
        (tmp_path / "config").mkdir(exist_ok=True)
        (tmp_path / "config" / "main.json").write_text(json.dumps(document))
        return Workspace.here()

    return write


def written(workspace):
    return json.loads(workspace.config_file.read_text())


def test_an_empty_document_and_no_document_give_the_defaults(main, tmp_path):
    assert Workspace(tmp_path / "nowhere").config == main({}).config
    assert main({}).config.set.plimit == 25
    assert main({}).lake_url == str(tmp_path / "data" / "lake")
    assert main({}).temp == tmp_path / "temp"


def test_the_file_that_is_made_holds_the_defaults_and_is_read_back_as_such(workspace):
    assert workspace.config == Workspace(workspace.root / "nowhere").config
    assert set(written(workspace)) == {"set", "paths", "files", "api", "db", "s3", "lake", "pseudonyms", "tms"}
    assert written(workspace)["api"] == {"url": "", "user": "", "pass": ""}


def test_a_file_of_the_original_library_is_accepted(main):
    config = main(ORIGINAL).config
    assert (config.set.update_check, config.set.plimit, config.set.jupyterlab) == (True, 25, False)
    assert (config.s3.dias, config.s3.host, config.s3.bucket) == ("EOSC", "s3.host", "b")
    assert config.db["main"].port == 5432
    assert config.api.password.get_secret_value() == "secret1"


def test_the_environment_also_overrides_what_the_original_called_otherwise(main, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_S3__DIAS", "CDSE")
    monkeypatch.setenv("CBM_LAKE_API__PASS", "mine")
    config = main(ORIGINAL).config
    assert (config.s3.dias, config.s3.host) == ("CDSE", "s3.host")
    assert config.api.password.get_secret_value() == "mine"


def test_variables_without_our_prefix_are_none_of_our_business(main, monkeypatch):
    monkeypatch.setenv("S3", '{"bucket": "other"}')
    monkeypatch.setenv("OBST", "x")
    monkeypatch.setenv("PATHS", '{"data": "other"}')
    assert main({}).config.s3.bucket == ""
    assert main({}).config.paths.data == "data"


def test_the_environment_comes_before_the_file(main, monkeypatch, tmp_path):
    monkeypatch.setenv("CBM_LAKE_SET__PLIMIT", "7")
    monkeypatch.setenv("CBM_LAKE_LAKE__URL", str(tmp_path / "elsewhere"))
    workspace = main({"set": {"plimit": 3, "user": "ann"}, "lake": {"url": "s3://lake"}})
    assert (workspace.config.set.plimit, workspace.config.set.user) == (7, "ann")
    assert workspace.lake_url == str(tmp_path / "elsewhere")


@pytest.mark.parametrize("name", ["PASS", "PASSWORD"])
def test_a_password_of_the_environment_has_either_name_and_comes_before_the_files(main, monkeypatch, name):
    monkeypatch.setenv(f"CBM_LAKE_API__{name}", "mine")
    monkeypatch.setenv(f"CBM_LAKE_DB__MAIN__{name}", "hers")
    config = main(ORIGINAL).config
    assert config.api.password.get_secret_value() == "mine"
    assert (config.db["main"].password.get_secret_value(), config.db["main"].host) == ("hers", "db.host")


def test_a_password_by_both_names_is_refused_and_the_environment_named(main, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_API__PASS", "mine")
    monkeypatch.setenv("CBM_LAKE_API__PASSWORD", "hers")
    with pytest.raises(
        ConfigError, match=r"variable CBM_LAKE_… of the environment: api\.pass and api\.password are one"
    ):
        main({}).config  # noqa: B018


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"paths": {"tmp": "x"}}, r"paths\.tmp"),
        ({"colour": {}}, "colour"),
        ({"db": {"main": {"hots": ""}}}, r"db\.main\.hots"),
        ({"set": {"plimit": 0}}, r"set\.plimit"),
        ({"obst": "x"}, "mapping"),
        ([], "JSON object"),
    ],
)
def test_what_is_unknown_or_wrong_is_refused_by_name(main, document, problem):
    with pytest.raises(ConfigError, match=problem) as caught:
        main(document).config  # noqa: B018
    assert "main.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_value_in_the_environment_is_a_config_error(main, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_DB", "{nope")
    with pytest.raises(ConfigError, match=r"variable CBM_LAKE_… of the environment: .*db"):
        main({}).config  # noqa: B018


def test_secrets_are_in_no_repr_and_in_no_traceback(main):
    config = main(ORIGINAL).config
    assert "secret" not in repr(config).replace("secret_key", "") + str(config.s3).replace("secret_key", "")
    wrong = main({"api": {"pass": [ORIGINAL["api"]["pass"]]}})
    with pytest.raises(ConfigError, match="pass") as caught:
        wrong.config  # noqa: B018
    assert "secret1" not in "".join(traceback.format_exception(caught.value))


def test_configure_writes_the_files_own_document_and_nothing_of_the_environment(main, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_API__PASS", "from outside")
    monkeypatch.setenv("CBM_LAKE_SET__USER", "bob")
    workspace = main(ORIGINAL).configure("api", url="https://other")
    assert written(workspace) == {**ORIGINAL, "api": {**ORIGINAL["api"], "url": "https://other"}}
    assert workspace.config.api.url == "https://other"


def test_configure_keeps_a_password_that_it_writes(main):
    workspace = main({}).configure("api", url="u", user="ann", **{"pass": "secret1"})
    assert written(workspace)["api"]["pass"] == "secret1"
    assert Workspace(workspace.root).config.api.password.get_secret_value() == "secret1"


def test_configure_takes_out_what_is_none_and_changes_of_a_dict_only_what_it_names(main):
    workspace = main({"tms": {"a": "x", "b": "y"}, "db": {"main": {"host": "h"}, "old": {"host": "o"}}})
    workspace = workspace.configure("tms", a=None).configure("db", main={"port": 5433})
    assert written(workspace) == {
        "tms": {"b": "y"},
        "db": {"main": {"host": "h", "port": 5433}, "old": {"host": "o"}},
    }


def test_configure_refuses_a_wrong_setting_before_it_writes(main):
    workspace = main(ORIGINAL)
    before = workspace.config_file.read_bytes()
    with pytest.raises(ConfigError, match=r"set\.plimit"):
        workspace.configure("set", plimit="many")
    with pytest.raises(ConfigError, match="nope"):
        workspace.configure("nope", x=1)
    assert workspace.config_file.read_bytes() == before
    assert list(workspace.config_file.parent.iterdir()) == [workspace.config_file]


def test_a_setting_that_is_none_is_named_with_those_that_there_are(main):
    with pytest.raises(ConfigError, match=r"lake\.ur is no setting; there are: .*\burl\b"):
        _ = main({"lake": {"ur": "x"}}).config
    with pytest.raises(ConfigError, match=r"lak is no setting; there are: .*\blake\b"):
        _ = main({"lak": {}}).config


def test_configure_of_a_folder_that_cannot_be_written_is_a_config_error(tmp_path):
    (tmp_path / "config").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot be"):
        Workspace(tmp_path).configure("api", url="u")


def test_only_the_owner_can_read_the_file(workspace):
    def mode():
        return stat.S_IMODE(workspace.config_file.stat().st_mode)

    assert mode() == 0o600
    workspace.config_file.chmod(0o644)
    workspace.configure("api", url="u")
    assert mode() == 0o600


def test_create_touches_nothing_that_exists(main):
    workspace = main({"set": {"user": "ann"}})
    workspace.create()
    assert written(workspace) == {"set": {"user": "ann"}}


def test_folders_may_be_anywhere(main, tmp_path):
    workspace = main({"paths": {"data": str(tmp_path / "far"), "temp": "near"}}).create()
    assert workspace.data == tmp_path / "far"
    assert (tmp_path / "far").is_dir()
    assert (tmp_path / "near").is_dir()
