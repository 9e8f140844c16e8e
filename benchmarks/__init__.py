"""Measurements: what things cost, as ratios to a peer or to a bare limit in the same run."""
