"""Which part of a parcel fell in NDVI: its pixels out of the cube, the search, and the outlines of the parts.

pixels      NDVI of the pixels inside parcels on all clear dates, block by block
steps       the search for falls on a part, compiled; `lines` locates straight edges
outlines    polygons of the parts, which together are the parcel
"""
