"""Lists of crops that the rules ask for: grass, fallow, crops that need no rotation.

An entry is the beginning of a code of HCAT (the hierarchical crop and agriculture taxonomy of EuroCrops, version 3:
"3302"), "=" and a whole code or name of an agency ("=PPH"), or a word that names of crops contain ("meadow").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

from cbm_lake.errors import InvalidInputError, quoted

Crops: TypeAlias = Sequence[str]

GRASS: Final = (
    "3302",  # pasture, meadow, grassland
    "33010901",  # temporary grass
    "33010902",  # grasses
    *(
        "grass",
        "meadow",
        "pasture",
        "grazing",
        "prairie",
        "pâturage",
        "herbe",
        "ray-grass",
        "grünland",
        "wiese",
        "weide",
    ),
    *("gras", "prato", "pascolo", "prado", "pasto", "pastagem", "łąk", "pastwisk", "travní", "louka", "græs", "vall"),
)
"""Grasses and other herbaceous forage that count as grassland. Pure legumes are not among them: whether they count is
decided by each country."""
FALLOW: Final = (
    "330111",  # fallow land
    *("fallow", "set-aside", "set aside", "jachère", "brache", "stillgelegt", "braak", "barbecho", "riposo", "pousio"),
    *("ugór", "ugorow", "úhor", "brak", "träda"),
)
ROTATION_FREE: Final = (
    *GRASS,
    *FALLOW,
    "33010903",  # legumes that are harvested green: herbaceous forage
    *("33010203", "33010616"),  # sainfoin, which is one of these
    "33010602",  # hops
    "3301061219",  # lavender
    *("33010830", "33010844"),  # miscanthus, cup plant
    "330113",  # strawberries
    "330120",  # asparagus
    "330123",  # rhubarb
    "330127",  # artichokes
    "33010107",  # rice, which grows under water
    "3303",  # permanent crops
    "3304",  # energy crops, mushrooms
    "3305",  # under glass
    "3306",  # trees
    "3307",  # peat
    "3308",  # unmaintained
    *(
        "vine",
        "orchard",
        "olive",
        "hops",
        "asparagus",
        "miscanthus",
        "lucerne",
        "alfalfa",
        "clover",
        "rice",
        "strawberr",
        "sainfoin",
        "lavender",
    ),
    *("vigne", "verger", "olivier", "houblon", "asperge", "luzerne", "trèfle", "riz", "fraise", "lavande"),
    *(
        "rebe",
        "obst",
        "hopfen",
        "spargel",
        "klee",
        "erdbeer",
        "viñedo",
        "olivar",
        "alfalfa",
        "arroz",
        "riso",
        "vigneto",
    ),
)
"""What rotation is not asked of: GAEC 7 is of arable land except crops under water, and its footnote leaves out
multiannual crops, grasses and other herbaceous forage, and land lying fallow (Regulation (EU) 2021/2115, Annex III).
Exceptions of holdings, by their size, share of grass or organic farming, are not known here."""
_SHORT: Final = 3
"""Letters that a word has at least."""


def crops(entries: Crops | None, usual: Crops, option: str) -> list[str]:
    """The entries of a list as the queries take them: words, codes and names in small letters.

    Args:
        entries: by the caller; None is the usual list.
        usual: the list of this package.
        option: the name of the argument, for messages.

    Raises:
        InvalidInputError: an entry is no text, is empty, or is a word of fewer than three letters.
    """
    listed = [entries] if isinstance(entries, str) else usual if entries is None else list(entries)
    if not listed:
        raise InvalidInputError(f"{option}= is empty; list codes of HCAT (3302), codes (=PPH) or words (meadow)")
    for entry in listed:
        if not isinstance(entry, str) or not entry.strip(" ="):
            raise InvalidInputError(f"{option}={quoted(entry)} is not right: it is a code of HCAT, =CODE or a word")
        if not re.fullmatch(r"33\d*|=.*", entry.strip()) and len(entry.strip()) < _SHORT:
            raise InvalidInputError(
                f"{option}={quoted(entry)} is too short for a word; for a whole code of the agency write ={entry}"
            )
    return list(dict.fromkeys(re.sub(r"^=\s+", "=", entry.strip().lower()) for entry in listed))
