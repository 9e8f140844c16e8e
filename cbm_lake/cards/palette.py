"""The colours of every figure, page and widget."""

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
"""Words and outlines."""
PALE: Final = "#6b7683"
"""What is told in passing."""
CLOUD: Final = "#a9b2bc"
"""What clouds hide."""
EDGE: Final = "#c3cad2"
"""Sides and ticks of axes; what is not known."""
GRID: Final = "#e8ebef"
"""Lines of the grid."""
GROUND: Final = "#f5f7f9"
"""Behind everything."""

NDVI: Final = GREEN
BANDS: Final = {band.name: band.colour for card in reversed(tuple(CARDS.values())) for band in card.bands}
"""The colour of each band's curve."""

GOOD, DOUBTFUL, BAD = "#2f7d4f", "#d97706", "#b3261e"
"""Verdicts, and messages in widgets."""
