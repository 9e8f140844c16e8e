"""Geometry: coordinate systems, areas that meet, and vector files of any format."""
