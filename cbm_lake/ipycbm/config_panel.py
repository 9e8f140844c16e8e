"""Widget to edit config/main.json by section and test the configured connections."""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import ipywidgets
from pydantic import BaseModel, SecretStr

from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError, SourceError, some
from cbm_lake.ipycbm.choice import STYLE
from cbm_lake.ipycbm.panel import Panel
from cbm_lake.ipycbm.settings_words import WORDS, Words
from cbm_lake.lake import Lake, lake_or_default, open_lake
from cbm_lake.parcel import sources, tiles
from cbm_lake.storage.store import Store

_TITLES: Final = {
    "set": "general",
    "paths": "folders",
    "lake": "lake",
    "api": "REST server",
    "s3": "scenes on S3",
    "db": "database of old",
    "tms": "tile servers",
}
_EUROPE: Final = (10.0, 50.0)
"""Longitude and latitude."""
_WIDE: Final = {"description_width": "170px"}
"""Of labels in words."""
_ROW: Final = {"width": "760px"}


def panel(lake: Lake | None = None) -> ipywidgets.Widget:
    """Build the widget: one tab per section, and the parcel sets of a lake."""
    config = Workspace.here().config
    sections = [_section(name, getattr(config, name), lake) for name in _TITLES]
    tabs = ipywidgets.Tab([*sections, Panel("look", partial(_datasets, lake))], titles=[*_TITLES.values(), "datasets"])
    where = html.escape(str(Workspace.here().config_file))
    return ipywidgets.VBox([ipywidgets.HTML(f"<b>Settings</b> in {where}"), tabs])


def _section(name: str, section: Any, lake: Lake | None) -> ipywidgets.Widget:
    if name == "tms":
        return _tile_servers(section, lake)
    if name == "db":
        form = _form("db", section["main"], lambda **values: _save_database(values))
        return ipywidgets.VBox([form, _test(form, _test_database)])
    form = _form(name, section, lambda **values: _save(name, values))
    tests = {"lake": _test_lake, "api": _test_api, "s3": _test_s3}
    return ipywidgets.VBox([form, _test(form, tests[name])] if name in tests else [form])


def _test(form: Panel, proven: Callable[[], str]) -> Panel:
    """Test the connection of a section, with the saved settings."""
    return Panel("test the connection", lambda **_: proven(), context=form.inputs)


def _form(name: str, section: BaseModel, save: Any) -> Panel:
    """The settings of a section that something reads, in words."""
    inputs = {key: _input(words, getattr(section, key)) for key, words in WORDS[name].items()}
    return Panel("save", save, fleeting=True, changed=("settings",), **inputs)


def _input(words: Words, value: Any) -> ipywidgets.Widget:
    """Widget of a setting; secrets show only whether they are set."""
    options: dict[str, Any] = {"description": words.label, "tooltip": words.tip, "style": _WIDE, "layout": _ROW}
    if isinstance(value, SecretStr):
        placeholder = "kept as it is unless you write another" if value.get_secret_value() else "none yet"
        return ipywidgets.Password(placeholder=placeholder, **options)
    if words.choices:
        return ipywidgets.Dropdown(options=list(words.choices.items()), value=value, **options)
    if isinstance(value, bool):
        return ipywidgets.Checkbox(value=value, **options)
    if isinstance(value, int):
        return ipywidgets.IntText(value=value, **options)
    return ipywidgets.Text(value=str(value), placeholder=words.tip, **options)


def _named(section: type[BaseModel], values: dict[str, Any]) -> dict[str, Any]:
    """Values by their names in the file; unset secrets are preserved."""
    fields = section.model_fields
    secret = {name for name, field in fields.items() if field.annotation is SecretStr}
    return {fields[name].alias or name: value for name, value in values.items() if value or name not in secret}


def _save(name: str, values: dict[str, Any]) -> str:
    workspace = Workspace.here()
    workspace.configure(name, **_named(type(getattr(workspace.config, name)), values))
    return "saved"


def _save_database(values: dict[str, Any]) -> str:
    workspace = Workspace.here()
    workspace.configure("db", main=_named(type(workspace.config.db["main"]), values))
    return "saved"


def _tile_servers(servers: dict[str, str], lake: Lake | None) -> ipywidgets.Widget:
    def save(name: str, url: str, unchecked: bool) -> str:
        name, url = name.strip(), url.strip()
        if not name or (not url and name not in Workspace.here().config.tms):
            raise InvalidInputError("a tile server needs a name and an address with {x}, {y} and {z}")
        if url and not unchecked:
            _check_tiles(name, url, lake)
        Workspace.here().configure("tms", **{name: url or None})
        return f"{name} is {'saved' if url else 'taken out'}"

    listed = ipywidgets.HTML(_listed(servers))
    name = ipywidgets.Text(description="name", style=STYLE)
    url = ipywidgets.Text(
        description="address", placeholder="https://…/{z}/{x}/{y}.png; empty takes it out", style=STYLE
    )

    unchecked = ipywidgets.Checkbox(description="save it unchecked, where it cannot be reached now", style=STYLE)

    def after(_: object) -> None:
        listed.value = _listed(Workspace.here().config.tms)

    form = Panel(
        "save", save, fleeting=True, changed=("settings",), after=after, name=name, url=url, unchecked=unchecked
    )
    return ipywidgets.VBox([listed, form])


def _check_tiles(name: str, url: str, lake: Lake | None) -> None:
    """Refuse a tile server without a picture of the middle of any area of the lake; of Europe, where that is empty.

    Raises:
        InvalidInputError: it has none.
    """
    opened = lake_or_default(lake)
    areas = dict.fromkeys(parcels.aoi for parcels in opened.parcel_sets())
    middles = [opened.footprint(aoi).centroid for aoi in areas]
    places = [(middle.x, middle.y) for middle in middles] or [_EUROPE]
    try:
        tiles.probe(name, url, places)
    except SourceError as error:
        raise InvalidInputError(
            f"{name} is not saved, it has no picture of {some(areas) or 'Europe'}: {error.reason}; correct the address"
        ) from error


def _listed(servers: dict[str, str]) -> str:
    return "<br>".join(f"{html.escape(name)}: <code>{html.escape(url)}</code>" for name, url in servers.items())


def _datasets(lake: Lake | None) -> Any:
    """Parcel sets of the lake, with their extraction progress."""
    lake = lake_or_default(lake)
    sets = lake.query("status.parcels")
    return sets if sets.num_rows else "there are no parcels yet; load some first, in the catalogue"


# -- tests ------------------------------------------------------------------------------------------------------------


def _test_lake() -> str:
    opened = open_lake()
    return f"the lake {opened.url} has {len(opened.parcel_sets())} parcel sets"


def _test_api() -> str:
    config = Workspace.here().config.api
    source = sources.ApiSource(config.url, config.user, config.password.get_secret_value())
    return f"{config.url} answers; areas: {', '.join(source.info(None)['aois']) or 'none'}"


def _test_s3() -> str:
    bucket = Workspace.here().config.s3.bucket
    if not bucket:
        raise InvalidInputError("give a bucket, so that there is something to look into")
    return f"s3://{bucket} answers; {len(Store(f's3://{bucket}').folders(''))} folders at its top"


def _test_database() -> str:
    from cbm_lake.migration import database

    return database.prove(Workspace.here().config.db["main"])
