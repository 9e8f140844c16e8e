"""The colour palette of all figures, pages and widgets."""

from __future__ import annotations

from typing import Final

from cbm_lake.cards import CARDS
from cbm_lake.cards.colours import BLUE, CLASSES, CURVES, CYAN, GREEN, GREY, PURPLE, RED, YELLOW

__all__ = [
    "BAD",
    "BANDS",
    "BLUE",
    "CLASSES",
    "CLOUD",
    "CURVES",
    "CYAN",
    "DOUBTFUL",
    "EDGE",
    "GOOD",
    "GREEN",
    "GREY",
    "GRID",
    "GROUND",
    "INK",
    "NDVI",
    "PALE",
    "PURPLE",
    "RED",
    "YELLOW",
]

INK: Final = "#1f2a37"
"""Text and boundaries."""
PALE: Final = "#6b7683"
"""Secondary text."""
CLOUD: Final = "#a9b2bc"
"""Cloudy observations."""
EDGE: Final = "#c3cad2"
"""Spines and ticks of axes; unknown values."""
GRID: Final = "#e8ebef"
"""Grid lines."""
GROUND: Final = "#f5f7f9"
"""Background."""

NDVI: Final = GREEN
BANDS: Final = {band.name: band.colour for card in reversed(tuple(CARDS.values())) for band in card.bands}
"""The colour of each band's curve."""

GOOD, DOUBTFUL, BAD = "#2f7d4f", "#d97706", "#b3261e"
"""Verdicts, and messages in widgets."""
