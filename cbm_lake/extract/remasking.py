"""Which scenes have another mask now than when they were extracted: identity is content, not the name of a file."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from cbm_lake.errors import SourceError, some
from cbm_lake.extract.masks import Catalogued, Mask

log = logging.getLogger(__name__)
_READERS: Final = 16
"""Masks that are looked at concurrently, as they may be remote."""


def replaced(scenes: Sequence[Catalogued], stamps: Mapping[str, str | None], mask: Mask | None) -> frozenset[str]:
    """The identifiers of scenes that were extracted with a mask whose file was replaced since; a warning names them.

    Where a file is out of reach, or has gone, nobody knows; that is said too, and what was extracted stays.

    Args:
        scenes: that were extracted with a further raster.
        stamps: of its content then, by the identifier of the scene.
        mask: that is asked for.
    """
    if mask is None or mask.other is None:
        return frozenset()

    def is_replaced(scene: Catalogued) -> bool | None:
        try:
            return mask.stamp(scene) != stamps[scene.id]
        except SourceError:
            return None

    with ThreadPoolExecutor(_READERS) as pool:
        answers = list(zip((scene.id for scene in scenes), pool.map(is_replaced, scenes), strict=True))
    stale = [name for name, answer in answers if answer]
    unknown = [name for name, answer in answers if answer is None]
    if stale:
        log.warning("the mask of these scenes was replaced, so they are extracted again: %s", some(stale))
    if unknown:
        log.warning("the mask of these scenes cannot be looked at; what was extracted with it stays: %s", some(unknown))
    return frozenset(stale)
