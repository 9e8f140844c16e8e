"""Card ls: Landsat 8 and 9 Collection 2 Level-2 surface reflectance, as the USGS distributes it.

Stored numbers are uint16 of which 0.0000275 x DN - 0.2 is reflectance, 0 being fill (USGS, Landsat 8-9 Collection 2
Level 2 Science Product Guide, LSDS-1619); signatures are reflectance x 10000, as those of s2. The quality band is a
bit mask, of which every pixel becomes one class: the number of the bit that decides.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

from cbm_lake.cards.card import Acceptance, Band, Card, Classification, Mission, Product, Refusal
from cbm_lake.cards.colours import BLUE, CYAN, GREEN, GREY, RED, WINE
from cbm_lake.cards.sentinel2 import REFLECTANCE

LANDSAT: Final = Mission(
    "L",
    "Landsat 8 and 9",
    platform=re.compile(r"(?:^|[^A-Z0-9])L(?:ANDSAT|C)?[-_ ]?0?(?P<unit>[89])(?![0-9])"),
    product=re.compile(r"(?:^|[^A-Z0-9])L[CO]0(?P<unit>[89])_"),
    satellite="landsat-{unit}",
    sensor=re.compile(r"L(?:ANDSAT|C)?[-_ ]?0?(?P<unit>[89]?)"),
    prefix="landsat",
    words=("LANDSAT", "L[CETM]0[4-9]_"),
    orbits=233,
)

QA_PIXEL: Final = Classification(
    "QA_PIXEL",
    "qa",
    names=("fill", "dilated cloud", "thin cirrus", "cloud", "cloud shadow", "snow or ice", "clear", "water"),
    screened=(1, 2, 3, 4, 5),
    metres=30,
    aliases=("pixel_qa",),
    title=re.compile(r"pixel quality assessment", re.IGNORECASE),
    bits=(0, 3, 2, 4, 1, 5, 7, 6),
    colours=(
        (0, 0, 0),
        (192, 192, 192),
        (100, 200, 255),
        (255, 255, 255),
        (100, 50, 0),
        (255, 150, 255),
        (0, 160, 0),
        (0, 0, 255),
    ),
)
"""Class and bit have one number: cloud decides before cirrus, shadow, dilated cloud, snow, water and clear."""

LS: Final = Card(
    "ls",
    "Landsat 8 and 9 Level-2",
    "Landsat",
    "Landsat 8 and 9: statistics of the bands and counts of the quality classes",
    "reflectance x 10000",
    LANDSAT,
    bands=(
        Band("blue", 30, ("b2",), 0.482, (0, 2800), BLUE),
        Band("green", 30, ("b3",), 0.561, (0, 2800), GREEN),
        Band("red", 30, ("b4",), 0.654, (0, 2800), RED),
        Band("nir08", 30, ("b5", "nir"), 0.865, (0, 5500), WINE, "near infrared"),
        Band("swir16", 30, ("b6",), 1.608, (0, 4500), CYAN, "shortwave infrared, 1.6 µm"),
        Band("swir22", 30, ("b7",), 2.200, (0, 4000), GREY, "shortwave infrared, 2.2 µm"),
    ),
    key_band="red",
    default_bands=("blue", "green", "red", "nir08", "swir16", "swir22"),
    quantity=REFLECTANCE,
    acceptance=Acceptance(
        "Collection 2 Level-2 surface reflectance",
        proof=re.compile(r"(?:^|[^A-Z0-9])L2S[PR](?:[^A-Z0-9]|$)"),
        refused_before=(
            Refusal(re.compile(r"(?:^|[^A-Z0-9])L1(?:TP|GT|GS)(?:[^A-Z0-9]|$)"), "Level-1 (top of atmosphere)"),
            Refusal(re.compile(r"(?:^|_)01_(?:RT|T[12])(?:_|$)"), "of Collection 1, whose scale is another"),
        ),
    ),
    product_type="L2SP",
    stated=MappingProxyType({"landsat:correction": "L2SP", "processing:level": "L2"}),
    scale=0.0000275,
    offset=-0.2,
    unit=0.0001,
    classification=QA_PIXEL,
    collections=MappingProxyType({"planetary-computer": "landsat-c2-l2"}),
    product=Product(
        re.compile(r"L[CO]0[89]_L2S[PR]_(?P<tile>\d{6})_(?P<taken>\d{8})(?:_(?P<made>\d{8}))?_02_(?:RT|T[12])")
    ),
)
