"""What is known of a parcel in a few short lines: lights, crop, checks, decision, changes."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from cbm_lake.cards import palette
from cbm_lake.ipycbm.desk.observed import Observed
from cbm_lake.ipycbm.texts import Texts
from cbm_lake.markers.cropchecks import likely_in_words
from cbm_lake.markers.saying import CANNOT_BE_SEEN, NOT_YET_DUE
from cbm_lake.parcel.declaration import hectares

COLOURS: Final = {"green": palette.GOOD, "yellow": palette.DOUBTFUL, "red": palette.BAD}
"""Of lights; others are grey."""
_LIGHTS: Final = (*COLOURS, NOT_YET_DUE, CANNOT_BE_SEEN)
"""What a light can be."""
_ORDER: Final = ("red", "yellow")
"""The colours of lights that come first."""


def lines(
    observed: Observed, texts: Texts, *, decision: str = "", foi: str = "", since: datetime | None = None
) -> list[str]:
    """Facts of a parcel, as HTML, the most important ones first.

    Args:
        observed: the parcel.
        texts: the table of the evidence.
        decision: the standing decision, in words.
        foi: what the check of the feature of interest says, in words.
        since: of which moment on changes are counted; None counts all.
    """
    return [
        *_lights(observed.about["lights"] or (), texts),
        _line(texts("crop"), _crop(observed, texts), *([f"{texts('foi')}: {foi}"] if foi else [])),
        _line(texts("crop_check"), *_crop_check(observed.about["crop_check"], texts)),
        *([_line(texts("judgement"), decision)] if decision else []),
        _line(texts("changes_since" if since else "changes"), *_changes(observed.about, texts)),
    ]


def _line(name: str, *words: str) -> str:
    return f"<b>{html.escape(name)}</b> {html.escape(' · '.join(words))}"


def _lights(lights: Sequence[Mapping[str, Any]], texts: Texts) -> Iterator[str]:
    """A line per light, red ones first."""
    if not lights:
        yield html.escape(texts("no_lights"))
    rank = {colour: number for number, colour in enumerate(_ORDER)}
    for light in sorted(lights, key=lambda light: rank.get(light["colour"], len(rank))):
        colour = COLOURS.get(light["colour"], palette.GREY)
        dot = f'<span class="cbm-light" style="background:{colour}" aria-hidden="true"></span>'
        words = [light["reason"]] if light["reason"] else []
        words += [texts("light_due", due=light["due"].isoformat())] if light["due"] else []
        name = f"{light['scenario']}: {texts(light['colour'])}"
        yield dot + _line(name, *words)


def _crop(observed: Observed, texts: Texts) -> str:
    parcel = observed.parcel
    return f"{parcel.crop or parcel.code or texts('no_crop')}, {hectares(parcel.area)}"


def _crop_check(check: Mapping[str, Any] | None, texts: Texts) -> Iterator[str]:
    if not check:
        yield texts("unchecked")
        return
    yield texts(check["verdict"])
    if check["verdict"] == "cannot say" and check["reason"]:
        yield check["reason"]
    elif likely := likely_in_words(check["likely"], check["probability"]):
        yield texts("likely", crops=", ".join(likely[:2]))
    if check["since"]:
        yield texts("since", day=check["since"].isoformat())


def _changes(about: Mapping[str, Any], texts: Texts) -> Iterator[str]:
    latest = about["latest"] or ()
    if not latest:
        yield texts("no_changes")
    for change in latest[:2]:
        name = change["scenario"] or change["marker"]
        states = {side: _state(change[side], texts) for side in ("before", "after")}
        yield texts("change", name=name, day=change["day"].isoformat(), **states)
    if about["changes"] > 2:
        yield texts("more_changes", count=about["changes"])


def _state(state: str | None, texts: Texts) -> str:
    """A light's colour in the page's language, other states as they are; a dash where there is none."""
    return "-" if state is None else texts(state) if state in _LIGHTS else state
