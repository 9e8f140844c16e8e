"""Detection of the European code page of texts without a declared encoding.

It is the one in which they are written with the letters of one language, each as often as the language uses it.
charset-normalizer, which learnt from long texts, decides between equals: of the names of crops alone it finds half.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from functools import cache
from typing import Final

import charset_normalizer

_ALPHABETS: Final = {
    "Bulgarian": "аеиотнрсвлкдпмзгубъчщцжйхшюяфьѝ",
    "Greek": "αοιετσνηυρπκμλίάςόωέδγήχθύφβώξζψϊΐϋΰ",
    "Polish": "łóążęśćńź",
    "Czech": "íáéěřýžčšůúťďňó",
    "Slovak": "áíéčýžšúľťňôďóäŕĺ",
    "Hungarian": "áéöőóüíúű",
    "Romanian": "ăîâțșşţ",
    "Croatian": "čšžćđ",
    "French": "éèêàâôçœûîïùëü",
    "German": "üäößé",
    "Dutch": "éëïèöüêó",
    "Spanish": "óíáéñúüç",
    "Catalan": "óàéèíçúïòü",
    "Portuguese": "ãçáéíóêâõúôà",
    "Italian": "àèìòùéî",
    "Danish": "øåæéöäü",
    "Swedish": "äåöéü",
    "Estonian": "äõüöšž",
    "Latvian": "āīēšņļūžčķģ",
    "Lithuanian": "ėšžųąįūęč",
    "Maltese": "ħżġċàù",
    "Turkish": "ıüşğöçîâ",
}
"""Letters outside of ASCII of the languages of the Union (and Turkish), the most frequent first."""
_FOLLOWED_BY: Final = {
    ("French", "œ"): "iucdnst",
    ("Portuguese", "õ"): "e",
    ("Portuguese", "ã"): "oe ",
    ("Bulgarian", "й"): "обвгдзклмнпрстфхцчшщ .,'-/)",
    ("Bulgarian", "ь"): "\u043e",
} | {("Italian", letter): " .,'-/" for letter in "àèìòùé"}
"""What alone comes after a letter in a language: Italian has accents at the end of words only."""
_AFTER_VOWELS: Final = {"French": "ïë", "Catalan": "ï", "Dutch": "ïëö"}
"""Letters with a diaeresis, which parts two vowels."""
_WITHOUT_LATIN: Final = frozenset({"Bulgarian", "Greek"})
_NEUTRAL: Final = frozenset("€°²³\u2019\u2018“”„\u2013—·§½¼±\xd7µ«»…ºª\xa0")
CANDIDATES: Final = {
    "cp1252": 0.0,
    "cp1250": 1.5,
    "cp1251": 0.7,
    "cp1253": 1.0,
    "cp1254": 2.0,
    "cp1257": 1.5,
    "iso8859-2": 3.0,
    "iso8859-7": 3.0,
    "iso8859-15": 2.0,
    "iso8859-5": 4.0,
    "iso8859-9": 4.0,
    "iso8859-13": 5.0,
    "cp850": 4.0,
    "cp852": 4.0,
    "cp737": 5.0,
    "cp866": 5.0,
    "cp775": 5.0,
    "cp857": 5.0,
    "cp855": 6.0,
}
"""Code pages of Europe, and by which natural logarithm each is rarer in files of today: Windows before ISO and DOS."""
_AFTER_LETTERS: Final = frozenset("²³°ºª\u2019”»…\u2013—\xa0")
_OF_SEVERAL: Final = 0.8
"""By how much texts in several languages are the less likely."""
IMPOSSIBLE: Final = math.log(1e-4)
_GUESSED_FROM: Final = 2_000
"""Distinct texts: more say nothing new."""


def ranked(texts: Collection[bytes]) -> list[tuple[float, str]]:
    """The code pages that can read the texts with their scores, the likeliest first."""
    sampled = sorted(texts)[:: max(len(texts) // _GUESSED_FROM, 1)]
    readings = {codec: "\n".join(raw.decode(codec, "replace") for raw in sampled) for codec in CANDIDATES}
    best = charset_normalizer.from_bytes(
        b"\n".join(sampled), cp_isolation=[name.replace("-", "_") for name in CANDIDATES]
    ).best()
    preferred = best.encoding.replace("_", "-") if best else ""
    letters = max(sum(byte > 0x7F for raw in sampled for byte in raw), 1)
    scores = [
        (_likelihood(text) - (CANDIDATES[codec] - (codec == preferred)) / letters, codec)
        for codec, text in readings.items()
    ]
    return sorted(scores, reverse=True)


def _likelihood(text: str) -> float:
    """Mean natural logarithm of the probability of the letters outside of ASCII.

    All texts are of one language, the one that suits best; or each of the one that suits it, which is less likely.
    """
    texts = [letters for line in text.split("\n") if (letters := _letters(line))]
    sums = [[sum(_weight(language, *letter) for letter in letters) for language in _ALPHABETS] for letters in texts]
    size = max(sum(map(len, texts)), 1)
    together = max(map(sum, zip(*sums, strict=True)), default=0.0) / size
    return max(together, sum(map(max, sums)) / size - _OF_SEVERAL)


def _letters(text: str) -> list[tuple[str, str, str]]:
    """The letters outside of ASCII, each between its neighbours."""
    padded = f" {text} "
    return [
        (before, letter, after)
        for before, letter, after in zip(padded, padded[1:], padded[2:], strict=False)
        if letter > "\x7f"
    ]


def _weight(language: str, before: str, letter: str, after: str) -> float:
    """Logarithm of the probability of a letter between two others."""
    small = letter.lower()
    frequency = _frequencies()[language].get(small)
    if frequency is None:
        sign = letter in _NEUTRAL and (letter == "\u2019" or not after.isalpha())
        return math.log(0.02) if sign and (letter in _AFTER_LETTERS or not before.isalpha()) else IMPOSSIBLE
    if after.lower() not in _FOLLOWED_BY.get((language, small), after.lower()):
        return IMPOSSIBLE
    if small in _AFTER_VOWELS.get(language, "") and before.lower() not in "aeiou":
        return IMPOSSIBLE
    if letter != small and before.islower():  # a capital inside of a word
        return IMPOSSIBLE / 2
    if language in _WITHOUT_LATIN and any(near.isascii() and near.isalpha() for near in (before, after)):
        return IMPOSSIBLE / 2
    return frequency if before.isalpha() or after.isalpha() else 2 * frequency  # few words have one letter


@cache
def _frequencies() -> dict[str, dict[str, float]]:
    """Logarithm of the probability of each letter, by Zipf's law from its rank."""
    tables = {}
    for language, letters in _ALPHABETS.items():
        total = sum(1 / (rank + 2) for rank in range(len(letters)))
        tables[language] = {letter: -math.log((rank + 2) * total) for rank, letter in enumerate(letters)}
    tables["Romanian"] = {letter: value - 0.3 for letter, value in tables["Romanian"].items()}  # ă is Portuguese ã
    return tables
