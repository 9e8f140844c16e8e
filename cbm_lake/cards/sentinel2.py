"""Card s2: Sentinel-2 Level-2A.

Stored numbers are DN as ESA writes them: (DN + the scene's offset) / 10000 is reflectance, and 0 is nodata.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

from cbm_lake.cards.card import Acceptance, Band, Card, Classification, Mission, Quantity
from cbm_lake.cards.colours import BLUE, CYAN, FOREST, GREEN, GREY, OLIVE, PURPLE, RED, WINE, YELLOW

PLAIN: Final = frozenset({"", "1", "none", "unitless", "dimensionless", "linear"})
"""Units that say nothing else than that there is none."""
REFLECTANCE: Final = Quantity("reflectance", "reflectance", PLAIN | {"reflectance", "boa reflectance", "dn"}, 10)

SENTINEL2: Final = Mission(
    "S2",
    "Sentinel-2",
    platform=re.compile(r"(?:^|[^A-Z0-9])S(?:ENTINEL)?[-_ ]?0?2[-_ ]?(?P<unit>[A-D]?)(?![A-Z0-9])"),
    product=re.compile(r"(?:^|[^A-Z0-9])(?:S|SENTINEL|SEN)2(?P<unit>[A-DX])[_-]|^SENTINEL-2_"),
    satellite="sentinel-2{unit}",
    sensor=re.compile(r"S(?:EN(?:TINEL)?)?[-_ ]?2(?P<unit>[A-D]?)"),
    prefix="s2",
    orbits=143,
)

SCL: Final = Classification(
    "SCL",
    "scl",
    names=(
        "no data",
        "saturated or defective",
        "dark area",
        "cloud shadow",
        "vegetation",
        "bare or built",
        "water",
        "unclassified",
        "cloud, medium probability",
        "cloud, high probability",
        "thin cirrus",
        "snow or ice",
    ),
    screened=(3, 8, 9, 10, 11),  # cloud shadow, cloud (medium, high probability), thin cirrus, snow
    metres=20,  # of the classification at 10 or 60 m there are only resampled copies
    aliases=("sceneclassification", "scene_classification"),
    title=re.compile(r"\bSCL\b|scene class", re.IGNORECASE),
    colours=(
        (0, 0, 0),
        (255, 0, 0),
        (47, 47, 47),
        (100, 50, 0),
        (0, 160, 0),
        (255, 230, 90),
        (0, 0, 255),
        (128, 128, 128),
        (192, 192, 192),
        (255, 255, 255),
        (100, 200, 255),
        (255, 150, 255),
    ),
)
"""Sen2Cor's scene classes with its colours; "bare or built" is its "not vegetated"."""

S2: Final = Card(
    "s2",
    "Sentinel-2 Level-2A",
    "Sentinel-2",
    "Sentinel-2: statistics of the bands and counts of the scene classes",
    "harmonised DN (reflectance x 10000, offset removed)",
    SENTINEL2,
    # "rededge" is nobody's alias: three bands share it
    bands=(
        Band("B02", 10, ("blue",), 0.490, (0, 2800), BLUE, "blue"),
        Band("B03", 10, ("green",), 0.560, (0, 2800), GREEN, "green"),
        Band("B04", 10, ("red",), 0.665, (0, 2800), RED, "red"),
        Band("B05", 20, ("rededge1", "rededge071"), 0.705, (0, 3500), YELLOW, "red edge, 705 nm"),
        Band("B06", 20, ("rededge2", "rededge075"), 0.740, (0, 4500), OLIVE, "red edge, 740 nm"),
        Band("B07", 20, ("rededge3", "rededge078"), 0.783, (0, 5000), FOREST, "red edge, 783 nm"),
        Band("B08", 10, ("nir",), 0.842, (0, 5500), PURPLE, "near infrared"),
        Band("B8A", 20, ("nir08",), 0.865, (0, 5500), WINE, "near infrared, narrow"),
        Band("B11", 20, ("swir16",), 1.610, (0, 4500), CYAN, "shortwave infrared, 1.6 µm"),
        Band("B12", 20, ("swir22",), 2.190, (0, 4000), GREY, "shortwave infrared, 2.2 µm"),
    ),
    key_band="B04",
    default_bands=("B02", "B03", "B04", "B05", "B08", "B11"),
    quantity=REFLECTANCE,
    acceptance=Acceptance("Level-2A", level="L2A"),
    product_type="S2MSI2A",
    stated=MappingProxyType({"s2:product_type": "S2MSI2A", "processing:level": "L2A"}),
    scale=0.0001,
    unit=0.0001,
    highest=32_767,  # reflectance above 3.2767 does not occur; a number below 0 that wrapped round is above it
    shifted=True,
    migrated=True,
    classification=SCL,
    collections=MappingProxyType(
        {
            # Collection 1, because some items of sentinel-2-l2a there state wrongly whether the offset was applied
            "earth-search": "sentinel-2-c1-l2a",
            "cdse": "sentinel-2-l2a",
            "planetary-computer": "sentinel-2-l2a",
            "terrascope": "sentinel-2-l2a",
        }
    ),
)
