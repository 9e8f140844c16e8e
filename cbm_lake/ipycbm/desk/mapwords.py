"""What the map says: its layers, the labels of days, captions with product, time, clouds and credit, and legends."""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex

from cbm_lake.cards import BS, C6, INDICES, LS, S2, Card
from cbm_lake.ipycbm.desk.looks import Look
from cbm_lake.ipycbm.desk.scenepictures import Picture, limits
from cbm_lake.ipycbm.texts import Texts
from cbm_lake.parcel.chips import Scene
from cbm_lake.rasters import render
from cbm_lake.show.views import View, view

_COMPOSITES: Final = (("true colour", "true_colour"), ("B08_B04_B03", "infrared"), ("B08_B11_B04", "vegetation"))
_VALUES: Final = frozenset(
    f"value_{word.replace(' ', '_')}"
    for word in (
        "red",
        "yellow",
        "green",
        "cannot be seen",
        "not yet due",
        "agrees",
        "disagrees",
        "cannot say",
        "not known",
    )
)
_MOST: Final = 3
"""Scenes of which it is said why they cannot be read."""
_STOPS: Final = 9
"""Colours of a scale's legend."""

Options = list[tuple[str, str]]
"""Values and what they are called."""


def layers(texts: Texts, cards: Collection[str], bands: Collection[str], layer: str) -> Options:
    """What can be drawn: views of the cards of which there are scenes.

    Args:
        texts: those of the map.
        cards: names of the cards.
        bands: of Sentinel-2 of which there are rasters.
        layer: what is drawn; it is among them in any case.
    """
    options = [*_sentinel2(texts, frozenset(bands))] if S2.name in cards else []
    if BS.name in cards:
        options += [(f"bs {band}", texts("backscatter", band=band)) for band in BS.resolutions]
    if C6.name in cards:
        options += [(f"c6 {band}", texts("coherence", band=band)) for band in C6.resolutions]
    if LS.name in cards:
        options += [("ls true colour", f"Landsat · {texts('true_colour')}"), ("ls ndvi", "Landsat · NDVI")]
    return options if layer in dict(options) else [*options, (layer, view(layer).title)]


def _sentinel2(texts: Texts, bands: frozenset[str]) -> Iterable[tuple[str, str]]:
    for name, key in _COMPOSITES:
        if set(view(name).bands) <= bands:
            yield name, texts(key)
    for index in INDICES.values():
        if set(index.bands) <= bands:
            yield index.name, index.label
    if S2.class_band in bands:
        yield str(S2.class_band), texts("classes")


def label(texts: Texts, look: Look, problem: bool = False) -> str:
    """A day with its clouds."""
    if problem:
        return f"{look.day} · {texts('broken')}"
    if look.cloud is None:
        return f"{look.day} · {texts('sky_unknown')}" if look.scene.card in (S2.name, LS.name) else str(look.day)
    return f"{look.day} · {texts('cloud', percent=percent(look.cloud))}"


def percent(share: float) -> str:
    """A share in percent, in which a little is not nothing and nearly all not all."""
    rounded = round(share * 100)
    return "< 1" if share > 0 and rounded == 0 else "> 99" if share < 1 and rounded == 100 else str(rounded)


def caption(texts: Texts, picture: Picture, look: Look | None, layer: str, day: str) -> str:
    """What a picture is of, as HTML.

    Args:
        texts: those of the map.
        picture: what is drawn.
        look: that it was drawn of; None where there is none.
        layer: what it is called.
        day: that was asked for; "" is the clearest.
    """
    parts = []
    if picture.scenes:
        scene = picture.scenes[0]
        sky = texts("sky", percent=percent(look.cloud)) if look and look.cloud is not None else ""
        how = "" if day else texts("clearest")
        more = texts("more", number=len(picture.scenes) - 1) if len(picture.scenes) > 1 else ""
        parts += [f"<b>{scene.obstime.astimezone(UTC):%Y-%m-%d %H:%M} UTC</b>", how, layer, scene.product + more, sky]
    elif look:
        parts.append(texts("nothing_of", day=look.day))
    else:
        parts.append(texts("no_scene_of", day=day) if day else texts("no_scene"))
    return " · ".join(part if part.startswith("<b>") else html.escape(part) for part in parts if part)


def around(texts: Texts, picture: Picture) -> str:
    """What is hatched, as HTML; "" where nothing is."""
    if not picture.blank:
        return ""
    names = ", ".join(f"{scene.product} ({scene.obstime.date()})" for scene in picture.around)
    return html.escape(texts("hatched_over", scenes=names) if names else texts("hatched"))


def problems(texts: Texts, picture: Picture) -> str:
    """Scenes that could not be read, as HTML."""
    lines = [
        html.escape(texts("unreadable", scene=scene, problem=problem)) for scene, problem in picture.problems[:_MOST]
    ]
    return "".join(f'<div class="cbm-map-problem" role="alert">{line}</div>' for line in lines)


def credit(pictures: Sequence[Picture]) -> str:
    """Attribution of all scenes of pictures."""
    scenes = [scene for picture in pictures for scene in (*picture.scenes, *picture.around)]
    return " · ".join(dict.fromkeys(_credit(scene) for scene in scenes))


def _credit(scene: Scene) -> str:
    if scene.card == LS.name:
        return f"Landsat imagery courtesy of the U.S. Geological Survey {scene.obstime.year}"
    return f"Contains modified Copernicus Sentinel data {scene.obstime.year}"


def legend(view: View) -> str:
    """What the colours of a layer mean, as HTML."""
    if view.classes:
        return _class_legend(view.card)
    if not view.scaled:
        return _key(f"R {view.bands[0]}, G {view.bands[1]}, B {view.bands[2]}")
    low, high = limits(view)[0]
    colours = mpl.colormaps[view.cmap](np.linspace(0, 1, _STOPS))
    stops = ", ".join(to_hex(colour) for colour in colours)
    scale = f'<i class="cbm-map-scale" style="background: linear-gradient(to right, {stops})"></i>'
    return f'<span class="cbm-map-key">{html.escape(view.unit)} {low:.3g} {scale} {high:.3g}</span>'


def _class_legend(card: Card) -> str:
    colours = render.CLASS_COLOURS[str(card.class_band)]
    names = card.classification.names if card.classification else ()
    return "".join(swatch(name, to_hex(colour / 255)) for name, colour in zip(names, colours, strict=False) if name)


def spoken(texts: Texts, word: str) -> str:
    """A value of a column in the language of the texts, where it is one of a few words."""
    key = f"value_{word.replace(' ', '_')}"
    return texts(key) if key in _VALUES else word


def swatch(word: str, colour: str) -> str:
    """An entry of a legend."""
    return f'<span class="cbm-map-key"><i style="background: {colour}"></i>{html.escape(word)}</span>'


def _key(text: str) -> str:
    return f'<span class="cbm-map-key">{html.escape(text)}</span>'
