"""The command line: the same words as the Python verbs; it parses, calls one of them and shows the answer."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cbm_lake.cli import (
    card2db,
    cases,
    changes,
    check,
    crops,
    estimate,
    examples,
    export,
    extract,
    foi,
    get,
    guard,
    lake,
    markers,
    migrate,
    page,
    parcels,
    qa,
    report,
    run,
    scenes,
    serve,
    show,
    user,
    weather,
    worklist,
    years,
)
from cbm_lake.cli.shared import as_options, err, in_options, out
from cbm_lake.errors import INTERRUPTED, LakeError, StatementError
from cbm_lake.files import installed

_LASTING: Final = frozenset({"run", "serve", "page"})
"""Commands that go on for days: what is true of a night is said of the next one, too."""
_SHORTER: Final = {
    "day": "until",
    "start_date": "start",
    "end_date": "end",
    "max_peers": "most",
    "band": "bands",
    "tms": "background",
}
"""What commands call arguments of the library."""

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Checks by Monitoring on open storage. The workspace is the current folder, or CBM_LAKE_HOME.",
)


def main() -> None:
    """Run the command line; an error of the lake is one line and exit status 1."""
    if logging.lastResort is not None:  # which writes warnings that no command catches
        logging.lastResort.setFormatter(_Warnings())
        if not _LASTING & set(sys.argv[1:]):
            logging.lastResort.addFilter(Once())
    try:
        app()
    except LakeError as error:
        message = in_options(error, _options(sys.argv[1:]))
        err.print(f"error: {message}", style="red", markup=False, highlight=False, soft_wrap=True)
        if isinstance(error, StatementError) and error.excerpt:
            err.print(error.excerpt, markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
    except RuntimeError as error:
        if str(error) != INTERRUPTED:
            raise
        err.print("Aborted.", style="red")
        sys.exit(130)


class Once(logging.Filter):
    """Says each line once: several parts of one command may come upon the same fact."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is new."""
        text = record.getMessage()
        is_new = text not in self._said
        self._said.add(text)
        return is_new


class _Warnings(logging.Formatter):
    """Warnings of the library with the names of this command's options in them."""

    def format(self, record: logging.LogRecord) -> str:
        return as_options(super().format(record), _options(sys.argv[1:]))


def _options(words: list[str], program: typer.Typer = app) -> dict[str, str]:
    """The options of the command that these words call, by the names of its arguments and of those of the library."""
    command: Any = typer.main.get_command(program)
    for word in words:
        command = getattr(command, "commands", {}).get(word, command)
    command = getattr(command, "commands", {}).get(getattr(command, "default", None), command)
    options = {each.name: each.opts[0] for each in command.params if each.opts[0].startswith("--")}
    return {name: options[short] for name, short in _SHORTER.items() if short in options} | options


def _version(asked: bool) -> None:
    if asked:
        out.print(installed.version())
        raise typer.Exit


@app.callback()
def settings(
    lake: Annotated[str | None, typer.Option("--lake", help="Folder or URL of the lake; else the workspace's.")] = None,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version and end.")
    ] = False,
) -> None:
    """Options of every command."""
    from cbm_lake.config import close_to_others

    close_to_others()
    if lake is not None:
        os.environ["CBM_LAKE_LAKE__URL"] = lake


@app.command()
def init() -> None:
    """Make a workspace: config/main.json, temp/ and data/."""
    from cbm_lake.config import Workspace

    workspace = Workspace.here().create()
    out.print(
        f"workspace {workspace.root}: settings in {workspace.config_file}, lake in {workspace.lake_url}", soft_wrap=True
    )


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where to put the sample and its workspace.")] = Path("demo"),
    workers: Annotated[int | None, typer.Option("--workers", help="Processes; one per core without it.")] = None,
) -> None:
    """Run the main job end to end on a generated sample and write a page that shows the result."""
    from cbm_lake.demo import run

    run(folder, workers=workers, console=out)


app.add_typer(card2db.app, name="card2db")
app.add_typer(cases.app, name="cases")
app.add_typer(worklist.app, name="worklist")
app.add_typer(crops.app, name="crops")
app.add_typer(parcels.app, name="parcels")
app.add_typer(export.app, name="export")
app.add_typer(extract.app, name="extract")
app.add_typer(get.app, name="get")
app.add_typer(foi.app, name="foi")
app.add_typer(guard.app, name="guard")
app.add_typer(markers.app, name="markers")
app.add_typer(qa.app, name="qa")
app.add_typer(report.app, name="report")
app.add_typer(scenes.app, name="scenes")
app.add_typer(show.app, name="show")
app.add_typer(user.app, name="user")
app.add_typer(years.app, name="years")
app.add_typer(lake.app)
app.add_typer(estimate.app)
app.add_typer(check.app)
app.add_typer(serve.app)
app.add_typer(page.app)
app.add_typer(run.app)
app.command("changes")(changes.changes)
app.command("migrate")(migrate.migrate)
app.command("weather")(weather.weather)
examples.add(app)
