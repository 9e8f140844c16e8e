"""Named colours shared by curves, bands and pages."""

from __future__ import annotations

from typing import Final

BLUE, RED, GREEN, YELLOW = "#4477AA", "#EE6677", "#228833", "#CCBB44"
CYAN, PURPLE, GREY = "#66CCEE", "#AA3377", "#777777"
CURVES: Final = (BLUE, RED, GREEN, YELLOW, CYAN, PURPLE, GREY)
"""Bright scheme of Paul Tol (SRON/EPS/TN/09-002), which colour-blind readers can tell apart."""
SAND, TEAL, SKY, ROSE, MAGENTA = "#DDCC77", "#44AA99", "#88CCEE", "#CC6677", "#AA4499"
FOREST, INDIGO, OLIVE, WINE = "#117733", "#332288", "#999933", "#882255"
CLASSES: Final = (SAND, TEAL, SKY, ROSE, MAGENTA, FOREST, INDIGO, OLIVE, WINE)
"""The muted scheme of the same."""
