"""Geospatial primitives: coordinate systems, spatial predicates, pixel windows and vector files."""
