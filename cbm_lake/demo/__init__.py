"""The demonstration: a generated sample with known truth, and the main job run on it."""

from cbm_lake.demo.run import run

__all__ = ["run"]
