"""Typed rows of the catalogue, the ledger, the manifest and the slots, as converted from and to Arrow.

The Arrow types are in `schemas`; these are the Python types of the same columns.
"""

from __future__ import annotations

from datetime import datetime
from typing import NotRequired, TypedDict


class BBox(TypedDict):
    """A bounding box, in degrees where it is that of a scene."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float


class SceneLink(TypedDict):
    """A link that leads back to a STAC item or its product."""

    href: str
    rel: str
    type: str | None


class SceneAsset(TypedDict):
    """The raster of a band."""

    href: str
    type: str | None
    """Media type; None when the provider does not say."""


SceneRecord = TypedDict(
    "SceneRecord",
    {
        "type": str,
        "stac_version": str,
        "stac_extensions": list[str],
        "id": str,
        "collection": str | None,
        "geometry": bytes,  # WKB, EPSG:4326
        "bbox": BBox,
        "links": list[SceneLink],
        "assets": dict[str, SceneAsset],
        "datetime": datetime,
        "platform": str | None,
        "eo:cloud_cover": float | None,  # percent
        "proj:code": str | None,  # EPSG:32631
        "grid:code": str | None,  # MGRS-31TEJ
        "sat:relative_orbit": int | None,
        "sat:orbit_state": str | None,
        "s2:processing_baseline": str | None,  # 05.10
        "card": str,
        "reference": str,
        "sensor": str,
        "boa_offset": int,  # DN
        "acquisition": str,
        "datastrip": datetime | None,
        "produced": datetime | None,
        "updated": datetime | None,
        "source": str,
        "ingested": datetime,
        "revision": NotRequired[str | None],  # of the other columns, and so computed last
        "sequence": NotRequired[int | None],  # that of the file, which numbers it when it is written
    },
)
"""One scene of the catalogue: a row of schemas.SCENES."""


class SlotPosition(TypedDict):
    """A position on the time axis of a cube, by the name of the cube's grid."""

    grid: str
    slot: int


class StoredBlock(TypedDict):
    """A block of a cube, by its numbers down and across, and the size of its file."""

    grid: str
    band: str
    row: int
    col: int
    bytes: int


class LedgerEntry(TypedDict):
    """One attempt to extract a scene over a parcel set: a row of schemas.EXTRACTIONS."""

    card: str
    scene: str
    aoi: str
    year: int
    ptype: str
    """"" is the main parcel set."""
    parcels: str
    """Version of the parcel set."""
    attempt: NotRequired[int]
    """1, 2, … of that scene over that set; filled in by the lake."""
    extraction: int
    """Number of what was done; its signatures carry it."""
    base: NotRequired[int | None]
    """The extraction whose signatures still hold for the parcels that this one leaves out."""
    bands: NotRequired[list[str] | None]
    rule: str
    """As `cards.pixelrule` writes it: centre, 5 m inside."""
    boa_offset: NotRequired[int | None]
    """DN that was added."""
    cube: bool
    """Whether the scene is in the cube."""
    status: str
    """done or failed."""
    problem: NotRequired[str | None]
    """Why it failed, or what is odd about it though it is done."""
    rows: int
    """Signatures written."""
    started: datetime
    finished: datetime
    version: str
    """Of cbm-lake."""
    revision: NotRequired[str | None]
    """Of the scene's catalogue entry."""
    slots: NotRequired[list[SlotPosition] | None]
    discarded: NotRequired[int | None]
    """Pixels that cannot be a measurement, counted as nodata."""
    blocks: NotRequired[list[StoredBlock] | None]
    pixels: NotRequired[str | None]
    """Digest of the stamps of its files."""
    statistics: NotRequired[list[str] | None]
    """Beside those that every signature has; None is none."""
    indices: NotRequired[list[str] | None]
    """Those that were computed pixel by pixel; None is none."""
    mask: NotRequired[str | None]
    """Which pixels were left out of the signatures of clear pixels; "" is none, None before there were masks."""
    mask_stamp: NotRequired[str | None]
    """What tells the content of the mask's further raster from another; None where it has none."""
    clear: NotRequired[int | None]
    """Signatures of clear pixels alone that were written."""
    sequence: NotRequired[int | None]
    """The number of the commit, filled in by the table."""


class FileEntry(TypedDict):
    """A change of a plain file outside the Delta tables: a row of schemas.FILES."""

    name: str
    action: str
    """added or removed."""
    bytes: int
    digest: str | None
    """None where it was not computed."""
    recorded: datetime
    version: str
    """Of cbm-lake."""
    sequence: int | None
    """The number of the commit, filled in by the table."""


class SlotRow(TypedDict):
    """A position on the time axis of a cube and its content: a row of schemas.SLOTS without card and grid."""

    slot: int
    scene: str
    obstime: datetime
    boa_offset: int
    """DN to add to the stored DN."""
    stamps: str | None
    """JSON: of each band the stamp of the file that its pixels are from; None in rows of version 0.1."""
