"""Works around MapInfo files without a character set: copies them with the encoding that their texts have."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cbm_lake.files.charsets import UTF_8, decide
from cbm_lake.files.textfiles import texts as texts_in
from cbm_lake.geo.vectors.archives import EXTRACTED

ENDINGS: Final = (".mif", ".tab")
_CHARSET: Final = re.compile(rb'(!?charset\s+"?)(\w[\w-]*)', re.IGNORECASE)
_NEUTRAL: Final = b"neutral"
_NAMES: Final = {
    "cp1252": "WindowsLatin1",
    "cp1250": "WindowsLatin2",
    "cp1251": "WindowsCyrillic",
    "cp1253": "WindowsGreek",
    "cp1254": "WindowsTurkish",
    "cp1257": "WindowsBalticRim",
    UTF_8: "UTF-8",
}
"""MapInfo's names of encodings; others follow a rule."""


@contextmanager
def named(path: Path, wish: str | None) -> Iterator[tuple[str, str]]:
    """Path to open, and a note on its encoding.

    Args:
        path: of the .mif or .tab.
        wish: Python's name of the encoding that the user says, also instead of the one that the file names.
    """
    beside = [file for file in path.parent.iterdir() if file.stem.lower() == path.stem.lower()]
    with path.open("rb") as opened:
        said = _CHARSET.search(opened.read(2000))
    # the table of a .tab is binary: its texts are decoded after reading, unless names of columns say the encoding
    texts = {text for file in beside if file.suffix.lower() in (*ENDINGS, ".mid") for text in texts_in(file)}
    if wish is None and ((said and said[2].lower() != _NEUTRAL) or not texts):
        yield str(path), ""
        return
    decision = decide(texts, None, wish)  # without texts, the one that the user says
    with tempfile.TemporaryDirectory(prefix=EXTRACTED) as folder:
        for file in beside:
            (Path(folder) / file.name).symlink_to(file.absolute())
        copy = Path(folder) / path.name
        copy.unlink()
        copy.write_bytes(_with_charset(path.read_bytes(), said is not None, _charset(decision.codec)))
        yield str(copy), decision.note


def _charset(codec: str) -> bytes:
    number = re.sub(r"\D", "", codec.removeprefix("iso8859"))
    rule = f"ISO8859_{number}" if codec.startswith("iso8859") else f"CodePage{number}"
    return _NAMES.get(codec, rule).encode()


def _with_charset(content: bytes, said: bool, charset: bytes) -> bytes:
    if said:
        return _CHARSET.sub(rb"\g<1>" + charset, content, count=1)
    first, newline, rest = content.partition(b"\n")
    return first + newline + b'Charset "' + charset + b'"\n' + rest
