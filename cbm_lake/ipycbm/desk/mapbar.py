"""The line of controls over the map: days, layers, colours of parcels, opacity."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import anywidget
import traitlets

from cbm_lake.ipycbm.desk.parcelpictures import COLUMNS
from cbm_lake.ipycbm.texts import Texts

_SKETCH: Final = ("sketch_none", "sketch_drawing", "sketch_drawn")
"""What the button of the polygon says at its stages."""
_CONTROLS: Final = ("days", "play", "stop", "layer", "compared", "colour", "opacity", "zoom", "swipe", *_SKETCH)
"""What has a name and a tooltip."""
_WORDS: Final = (*_CONTROLS, "no_days", "map", "zoom_short", *(f"{stage}_short" for stage in _SKETCH))


class Bar(anywidget.AnyWidget):
    """The controls of the map in the browser; see scenemap.js."""

    _esm = Path(__file__).with_name("scenemap.js")
    _css = Path(__file__).with_name("scenemap.css")
    words = traitlets.Dict().tag(sync=True)
    looks = traitlets.List(traitlets.Dict()).tag(sync=True)
    """day, label, and mark: clear, clouded, poor, unknown or broken."""
    day = traitlets.Unicode("").tag(sync=True)
    drawn = traitlets.Unicode("").tag(sync=True)
    """The day that is on the screen."""
    others: traitlets.List[list[str]] = traitlets.List().tag(sync=True)
    compared = traitlets.Unicode("").tag(sync=True)
    against = traitlets.Unicode("").tag(sync=True)
    """The day of the second image that is on the screen."""
    layers: traitlets.List[list[str]] = traitlets.List().tag(sync=True)
    layer = traitlets.Unicode("").tag(sync=True)
    colours: traitlets.List[list[str]] = traitlets.List().tag(sync=True)
    colour = traitlets.Enum(COLUMNS, "").tag(sync=True)
    opacity = traitlets.Float(1.0, min=0.0, max=1.0).tag(sync=True)
    """Of the parcels."""
    sketch = traitlets.Enum(("", "drawing", "drawn"), "").tag(sync=True)
    """See `sketch.Sketch.stage`."""
    busy = traitlets.Bool(False).tag(sync=True)
    """Whether something else is asked for than what is on the screen."""
    progress = traitlets.Unicode("").tag(sync=True)


def bar(texts: Texts, layer: str) -> Bar:
    """The controls in the language of the texts."""
    words = {key: texts(key) for key in _WORDS} | {f"{key}_tip": texts(f"{key}_tip") for key in _CONTROLS}
    colours = [[column, texts(f"by_{column.replace(' ', '_')}" if column else "none")] for column in COLUMNS]
    return Bar(words=words, colours=colours, layer=layer)
