"""Demonstration: a generated sample with known ground truth, and the main workflow run on it."""

from cbm_lake.demo.run import run

__all__ = ["run"]
