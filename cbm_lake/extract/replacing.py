"""Which scenes have other files now than when they were extracted: identity is content, not the name of a file."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from cbm_lake.errors import SourceError, some
from cbm_lake.extract.jobs import digest
from cbm_lake.extract.masks import Catalogued, Mask
from cbm_lake.rasters import stamp_of
from cbm_lake.storage import stores
from cbm_lake.storage.location import Location

log = logging.getLogger(__name__)
_READERS: Final = 16
"""Masks that are looked at concurrently, as they may be remote."""


class Content(NamedTuple):
    """What was in the files of a scene when it was extracted."""

    pixels: str
    """As `Job.pixels`."""
    mask_stamp: str | None


def remasked(scenes: Sequence[Catalogued], stamps: Mapping[str, str | None], mask: Mask | None) -> frozenset[str]:
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


def rewritten(files: Mapping[str, Mapping[str, str]], extracted: Mapping[str, Content]) -> frozenset[str]:
    """The identifiers of scenes with a file that was written anew since they were extracted; a warning names them.

    Only files of this machine are looked at: each remote one would be a request. Where one has gone nobody knows, and
    what was extracted stays.

    Args:
        files: the hrefs of a scene's rasters by band, by the identifier of the scene.
        extracted: what was in them then, by the same.
    """
    now = {name: _stamps(hrefs) for name, hrefs in files.items()}
    stale = [
        name
        for name, stamps in now.items()
        if stamps is not None and digest(stamps, extracted[name].mask_stamp) != extracted[name].pixels
    ]
    if stale:
        log.warning("files of these scenes were replaced, so they are extracted again: %s", some(stale))
    return frozenset(stale)


def _stamps(hrefs: Mapping[str, str]) -> dict[str, str] | None:
    """The stamps of rasters; None where one is remote, or cannot be looked at."""
    paths = {name: Location.of(href).path for name, href in hrefs.items()}
    if any(map(stores.is_distant, paths.values())):
        return None
    try:
        return {name: stamp_of(path) for name, path in paths.items()}
    except SourceError:
        return None
