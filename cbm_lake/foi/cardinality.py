"""foi_c: whether a parcel contains large clusters of two or more classes, and which."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from affine import Affine

from cbm_lake.foi.components import Clusters
from cbm_lake.geo.vectors import Geometries
from cbm_lake.zonal.compiled import Ints


def of_several_classes(clusters: Clusters, parcels: int) -> npt.NDArray[np.bool_]:
    """Per parcel, whether its clusters belong to more than one class."""
    first = np.ones(len(clusters.parcel), bool)
    first[1:] = (np.diff(clusters.parcel) != 0) | (np.diff(clusters.code) != 0)
    flags: npt.NDArray[np.bool_] = np.bincount(clusters.parcel[first], minlength=parcels) > 1
    return flags


def described(clusters: Clusters, classes: Mapping[int, str], parcels: int) -> pa.Array:
    """Per parcel, "(class value, pixels), (…)"; null where there are no clusters."""
    values = pa.array(np.array(list(classes))[clusters.code])
    texts = [values.cast(pa.string()), pa.array(clusters.size).cast(pa.string())]
    words = pc.binary_join_element_wise("(", texts[0], ", ", texts[1], ")", "")
    number = np.bincount(clusters.parcel, minlength=parcels)
    offsets = np.concatenate([[0], np.cumsum(number)])
    joined = pc.binary_join(pa.LargeListArray.from_arrays(pa.array(offsets), words), ", ")
    return pc.if_else(pa.array(number > 0), joined, None).cast(pa.string())


def corners(shapes: Geometries, transform: Affine) -> Ints:
    """Row and column of the upper left pixel of each shape's bounding box, (shapes, 2)."""
    box: npt.NDArray[np.float64] = shapely.bounds(shapes)
    x = box[:, 0] if transform.a > 0 else box[:, 2]
    y = box[:, 3] if transform.e < 0 else box[:, 1]
    positions = np.column_stack([(y - transform.f) / transform.e, (x - transform.c) / transform.a])
    pixels: Ints = np.floor(np.where(np.isfinite(positions), positions, 0) + 1e-9).astype(np.int64)
    return pixels
