"""The documentation names everything that there is, and nothing else; its links lead somewhere."""

import pkgutil
import re
from pathlib import Path

import pytest
import typer.main
from pydantic import BaseModel

import cbm_lake
from cbm_lake import ipycbm
from cbm_lake.cards import CARDS
from cbm_lake.cli import app
from cbm_lake.config import Config
from cbm_lake.lake import Lake, queries, templates
from cbm_lake.server.accounts import Accounts
from cbm_lake.server.app import Settings, create_app

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def told(heading):
    """What stands between backticks in the first cell that has any, of each row of a table of the reference."""
    section = (DOCS / "reference.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    cells = (next((cell for cell in row.split("|") if "`" in cell), "") for row in rows)
    return {name for cell in cells for pattern in re.findall(r"`([^`]+)`", cell) for name in of_cards(pattern)}


def of_cards(pattern):
    """A name as it is, or that of each card of the kind that stands in it in braces; see `templates`."""
    kind = re.search(r"{(\w+)}", pattern)
    if not kind or kind[1] not in templates.KINDS or pattern.startswith("/"):  # an address has placeholders of its own
        return [pattern]
    return [pattern.replace(kind[0], card.name) for card in CARDS.values() if templates.KINDS[kind[1]](card)]


def commands(group, path):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}"


def settings(model, path=""):
    """The names of all settings, `<name>` standing for one that the user gives."""
    for name, field in model.model_fields.items():
        key = path + (field.alias or name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings(field.annotation, f"{key}.")
        elif key in {"db", "tms"}:
            yield f"{key}.<name>"
            for part in field.annotation.__args__[1:]:
                yield from settings(part, f"{key}.<name>.") if hasattr(part, "model_fields") else ()
        else:
            yield key


def test_every_room_stands_in_a_layer_of_the_architecture():
    layers = (DOCS / "architecture.md").read_text().split("\n## Layers\n")[1].split("\n## ")[0]
    named = [row.split("|")[1] for row in layers.splitlines() if row.startswith("| ")]
    told = {name for cell in named for name in re.findall(r"`(\w+)`", cell)}
    assert told == {module.name for module in pkgutil.iter_modules(cbm_lake.__path__)}


def test_every_command_is_told():
    assert told("Commands") == set(commands(typer.main.get_command(app), "cbm-lake"))


def test_every_setting_is_told():
    assert told("Settings") == set(settings(Config))


def test_every_widget_is_told():
    assert told("Widgets") == {f"ipycbm.{name}()" for name in ipycbm.__all__}


def test_every_question_over_http_is_told(lake, tmp_path):
    service = create_app(lake, Accounts(tmp_path / "users.json"), Settings(tmp_path, tmp_path, sql=True))
    beside = {"/static/tmp/{key}/{name}", "/openapi.json", "/apidocs"}
    assert told("Questions over HTTP") == {*service.openapi()["paths"], *beside}


def test_every_named_query_is_told():
    assert told("Named queries") == set(queries.load())


def test_every_view_of_a_lake_is_told(tmp_path):
    shown = Lake(str(tmp_path / "lake")).sql("select view_name from duckdb_views() where not internal")
    section = (DOCS / "lake.md").read_text().split("## Views")[1].split("\n## ")[0]
    shown_there = {name for pattern in re.findall(r"`([^`]+)`", section) for name in of_cards(pattern)}
    views = {query.name.partition("_")[2] for query in queries.definitions()}
    for name in views & set(shown["view_name"].to_pylist()):
        assert name in shown_there, f"view {name} is not told of in docs/lake.md"


@pytest.mark.thorough
@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_commands_in_the_pages_exist(page):
    known = {*commands(typer.main.get_command(app), "cbm-lake")}
    groups = {name.rpartition(" ")[0] for name in known}
    for line in re.findall(r"^(?:    |`)?(?:[A-Z_]+=\S+ )?cbm-lake ([a-z0-9 -]+)", page.read_text(), re.M):
        words = ["cbm-lake", *line.split(" -")[0].split()]
        assert any(" ".join(words[:size]) in known | groups for size in (2, 3)), line


def test_every_promise_names_tests_that_there_are():
    rows = [line for line in (DOCS / "promises.md").read_text().splitlines() if line.startswith("| ")]
    promises = [row.strip("| ").split(" | ") for row in rows if not row.startswith("| promise |")]
    assert len(promises) > 60
    for promise, tests in promises:
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", tests)
        assert named, f"a promise without a test: {promise}"
        assert tests.count("`") == 2 * len(named) + 2 * tests.count("`python -m benchmarks."), promise
        for file, name in named:
            assert f"\ndef {name}(" in (ROOT / "tests" / file).read_text(), f"{file}::{name}"


def test_the_readme_links_to_what_is_there():
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("page", ["README.md", "docs/index.md", "docs/reference.md"])
def test_no_command_link_or_row_stands_twice(page):
    lines = (ROOT / page).read_text().splitlines()
    commands = [line.partition("#")[0].strip() for line in lines if line.startswith(("cbm-lake ", "    cbm-lake "))]
    rows = [line for cells in lines if len(line := "|".join(cells.split("|")[:3])) > 12 and cells.startswith("| GET")]
    links = [link for line in lines for link in set(re.findall(r"\]\((\S+\.md)\)", line)) if line.count(link) > 1]
    assert len(commands) == len(set(commands))
    assert len(rows) == len(set(rows))
    assert not links or page == "docs/reference.md"
