"""The colours of every figure, page and widget."""

from __future__ import annotations

from typing import Final

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

BLUE, RED, GREEN, YELLOW = "#4477AA", "#EE6677", "#228833", "#CCBB44"
CYAN, PURPLE, GREY = "#66CCEE", "#AA3377", "#777777"
CURVES: Final = (BLUE, RED, GREEN, YELLOW, CYAN, PURPLE, GREY)
"""Bright scheme of Paul Tol (SRON/EPS/TN/09-002), which colour-blind readers can tell apart."""
CLASSES: Final = ("#DDCC77", "#44AA99", "#88CCEE", "#CC6677", "#AA4499", "#117733", "#332288", "#999933", "#882255")
"""The muted scheme of the same."""
NDVI: Final = GREEN
BANDS: Final = {
    "B02": BLUE, "B03": GREEN, "B04": RED, "B05": YELLOW, "B06": "#999933", "B07": "#117733",
    "B08": PURPLE, "B8A": "#882255", "B11": CYAN, "B12": GREY, "VV": BLUE, "VH": RED,
}  # fmt: skip

GOOD, DOUBTFUL, BAD = "#2f7d4f", "#d97706", "#b3261e"
"""Verdicts, and messages in widgets."""
