"""What a panel is for, in a few sentences that fold out, and the numbered steps of its work."""

from __future__ import annotations

import html
from typing import Final

import ipywidgets

ABOUT: Final = {
    "config": "The settings of this workspace: who works here, where data is read from, and the servers and stores "
    "with their accounts. Each tab is saved by itself. The connections can be tested.",
    "card2db": "Bring parcels and scenes into the lake: parcels from a file of declarations, scenes from a catalogue "
    "(STAC) or from files. Nothing is copied of scenes; the lake notes where they are.",
    "extract": "Take the statistics of all parcels from all scenes that were not done before. What is done stays done, "
    "also after a stop.",
    "get": "Fetch the data of single parcels into folders of this workspace, where they can be looked at, copied and "
    "opened elsewhere. First say which parcels and look at them, then what of each, then get it.",
    "view": "Look at parcels that were got: curves, images, years, notes. Only that is offered which there is of the "
    "parcel; what it lacks can be got here.",
    "foi": "Feature of interest: find parcels that are not of one kind inside, from a map of classes or clusters.",
    "qa": "Quality assessment: draw a sample of parcels, inspect them, and record a verdict for each.",
    "crops": "Parcels whose declared crop the images do not support, the most doubtful first, each with its curve.",
}
"""By the names of the panels."""


def about(name: str) -> ipywidgets.Accordion:
    """Help about a panel, folded."""
    text = ipywidgets.HTML(f"<div style='max-width: 80ch; line-height: 1.5'>{html.escape(ABOUT[name])}</div>")
    return ipywidgets.Accordion([text], titles=["what is this?"], selected_index=None)


def explained(name: str, widget: ipywidgets.Widget) -> ipywidgets.Widget:
    """A panel below its help."""
    return ipywidgets.VBox([about(name), widget])


def step(number: int, title: str) -> ipywidgets.HTML:
    """Heading of a step."""
    return ipywidgets.HTML(f"<h4 style='margin: 10px 0 2px'>{number}&ensp;{html.escape(title)}</h4>")
