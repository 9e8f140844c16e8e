"""Reader of single-component JPEG 2000 files, which decodes tile by tile without GDAL.

A file is a run of boxes around one codestream: a main header, then the tile-parts, each a tile's or a piece of one
(`headers`). Of a tile a codestream of its own is made, the main header with the image cut down to that tile and its
tile-parts behind it, and decoded by OpenJPEG (`tiles`). Its position on the reference grid stays what it was, on which
the wavelet depends, so that the pixels are those of the whole image, bit by bit. What is unusual is left to GDAL:
`Jp2.inspect` then answers None.
"""

from cbm_lake.rasters.jp2.tiles import Jp2, read

__all__ = ["Jp2", "read"]
