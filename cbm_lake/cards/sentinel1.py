"""Cards bs and c6: Sentinel-1 backscatter, and coherence of pairs six days apart; both in linear units, as floats."""

from __future__ import annotations

import re
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from cbm_lake.cards.card import Acceptance, Band, Card, Mission, Quantity, Refusal
from cbm_lake.cards.colours import BLUE, RED
from cbm_lake.cards.sentinel2 import PLAIN

SENTINEL1: Final = Mission(
    "S1",
    "Sentinel-1",
    platform=re.compile(r"(?:^|[^A-Z0-9])S(?:ENTINEL)?[-_ ]?0?1[-_ ]?(?P<unit>[A-D]?)(?![A-Z0-9])"),
    product=re.compile(r"(?:^|[^A-Z0-9])(?:S|SENTINEL|SEN)1(?P<unit>[A-DX])[_-]|^SENTINEL-1_"),
    satellite="sentinel-1{unit}",
    sensor=re.compile(r"S(?:EN(?:TINEL)?)?[-_ ]?1(?P<unit>[A-D]?)"),
    prefix="s1",
    orbits=175,
)

_COHERENCE = re.compile(r"(?:^|[^A-Z])COH(?:ERENCE)?\d{0,2}(?:[^A-Z]|$)|COHERENCE")
_BACKSCATTER = re.compile(
    r"(?:^|[^A-Z])RTC(?:[^A-Z]|$)|CARD[-_]?BS|(?:^|[^A-Z])NRB(?:[^A-Z]|$)|"
    r"(?:GAMMA|SIGMA)[-_ ]?(?:0|NOUGHT|NAUGHT)|BACKSCATTER|(?:^|[^A-Z])(?:GAM|SIG)0"
)
_ADVICE: Final = (
    "use sentinel-1-rtc of Planetary Computer, OPERA RTC-S1 or CARD-BS instead, which are geocoded backscatter"
)
_LINEAR: Final = "VV and VH in linear units (mean of linear values, never of decibels)"

BS: Final = Card(
    "bs",
    "Sentinel-1 backscatter",
    "backscatter",
    "Sentinel-1 backscatter",
    _LINEAR,
    SENTINEL1,
    bands=(
        Band("VV", 10, display=(0, 0.4), colour=BLUE, title="sent and received vertically"),
        Band("VH", 10, display=(0, 0.1), colour=RED, title="sent vertically, received horizontally"),
    ),
    key_band="VV",
    default_bands=("VV", "VH"),
    quantity=Quantity(
        "backscatter",
        "linear power",
        PLAIN | {"power", "linear power", "intensity", "m2/m2", "natural"},
        most=10,
        axis=(-22.0, -8.0),
        decibels=True,
    ),
    acceptance=Acceptance(
        "geocoded backscatter",
        proof=_BACKSCATTER,
        weak=_BACKSCATTER,
        refused_before=(Refusal(_COHERENCE, "coherence"),),
        refused=(
            Refusal(
                re.compile(r"(?:^|[^A-Z])(?P<kind>SLC)[FHM]?(?:[^A-Z]|$)"), "a single-look complex product", _ADVICE
            ),
            Refusal(
                re.compile(r"(?:^|[^A-Z])(?P<kind>GRD|RAW|OCN|ETA)[FHM]?(?:[^A-Z]|$)"),
                "{kind} in radar geometry",
                _ADVICE,
            ),
        ),
        advice=_ADVICE,
    ),
    product_type="CARD-BS",
    stated=MappingProxyType({"product:type": "RTC", "processing:level": "L2"}),
    dtype="float32",
    spacings=(10, 20, 30),  # CARD-BS and Planetary Computer 10, sentinel1-rtc of Indigo 20, OPERA RTC-S1 30
    migrated=True,
    wire_suffix="b",
    collections=MappingProxyType({"planetary-computer": "sentinel-1-rtc"}),
)
C6: Final = replace(
    BS,
    name="c6",
    title="Sentinel-1 six-day coherence",
    picture="six-day coherence",
    extracted="Sentinel-1 six-day coherence",
    bands=tuple(replace(band, metres=20) for band in BS.bands),
    quantity=Quantity("coherence", "coherence from 0 to 1", PLAIN | {"coherence"}, most=1, axis=(0.0, 1.0)),
    acceptance=Acceptance("coherence", proof=_COHERENCE, weak=_COHERENCE, single=False),
    product_type="CARD-COH6",
    stated=MappingProxyType({"product:type": "CARD-COH", "processing:level": "L2"}),
    spacings=(10, 20, 40),
    wire_suffix="c",
    collections=MappingProxyType({}),
)
