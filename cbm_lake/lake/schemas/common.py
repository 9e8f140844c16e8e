"""Types and columns that several tables have."""

from __future__ import annotations

import pyarrow as pa

TIME = pa.timestamp("us", tz="UTC")

BBOX = pa.struct([(name, pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")])

SEQUENCE = pa.field("sequence", pa.int64())
"""The number of the commit that wrote the row, which says what is later, whatever clocks said; null, which is earlier
than any number, in rows of version 0.1."""
