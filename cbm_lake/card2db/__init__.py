"""Catalogue scenes from STAC APIs, STAC files, STAC-GeoParquet, SAFE folders and OpenSearch feeds.

    catalogue ─► STAC items ─ scene.to_row ─► rows of schemas.SCENES ─► lake.add_scenes (only what is new)

Hrefs are stored as the catalogue gives them, without what signs them: those of Planetary Computer need to be signed
before they can be read, those of CDSE (s3://eodata) need its credentials. Feeds as CREODIAS had one name product
folders, not rasters: rasters are found where that folder can be reached (/eodata on its machines), else the scene is
known but cannot be extracted. The bands of EOPF products are Zarr arrays, whose hrefs follow from the layout of those
products.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from cbm_lake import cards
from cbm_lake.card2db import filepattern, itemfiles, product, remote, resto, scenefiles, stacapi
from cbm_lake.card2db.collecting import Collected, Ingested, Progress
from cbm_lake.card2db.search import GeometryLike, area_of, days
from cbm_lake.card2db.web import Web
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.storage.credentials import without_secrets

__all__ = ["Ingested", "creodias", "files", "geoparquet", "items", "products", "safe", "stac"]

log = logging.getLogger(__name__)


def stac(
    aoi: str | None = None,
    start: date | str | None = None,
    end: date | str | None = None,
    card: str = "s2",
    url: str = "earth-search",
    collection: str | None = None,
    geometry: GeometryLike | None = None,
    lake: Lake | None = None,
    *,
    timeout: float = 60,
    retries: int = 4,
    progress: Progress | None = None,
) -> Ingested:
    """Catalogue the scenes of a STAC API in an area and period.

    Args:
        aoi: area whose parcels in the lake the scenes are to touch; not looked at when `geometry` is given.
        start: first day, ISO; without one, from the beginning.
        end: last day, inclusive; without one, until now.
        card: s2, bs, c6, …, see `cards.CARDS`.
        url: the API, or earth-search, cdse, planetary-computer or terrascope.
        collection: without one, the provider's usual one for the card; all of an API that is not known.
        geometry: the area, in degrees.
        lake: without one, the lake of the workspace.
        timeout: seconds without an answer after which a request is given up.
        retries: how often to ask again after a failure that may pass.
        progress: called after each page, and every second of a wait that the server asks for.

    Raises:
        InvalidInputError: dates reversed, no area, unknown card, provider or collection.
        NotFoundError: no parcels of `aoi` were loaded.
        SourceError: the server cannot be reached, failed, or sent something that is no STAC; what it had sent before
            is catalogued.
        ConfigError: credentials for the server are malformed; see `cbm_lake.storage.credentials`.
    """
    lake = lake_or_default(lake)
    cards.get(card)
    address, collection = stacapi.api(url, card, collection)
    first, last = days(start, end)
    area = area_of(lake, aoi, geometry, without_secrets(address))
    dates = f"{first or '..'}/{last or '..'}" if first or last else None
    collected = Collected(card, address, lake, progress=progress)
    web = Web(timeout, retries, collected.report)
    return collected.take(stacapi.Search(address, web, stacapi.Query(collection, dates, area)))


def items(
    path: str | Path,
    card: str = "s2",
    lake: Lake | None = None,
    *,
    timeout: float = 60,
    retries: int = 4,
    progress: Progress | None = None,
) -> Ingested:
    """Catalogue static STAC: an item, an item collection, a catalogue to crawl (files or URLs), or a folder of items.

    A file that ends in .ndjson, .jsonl or .geojsonl has one item in each line.

    Raises:
        InvalidInputError: unknown card.
        SourceError: the path cannot be read or holds no STAC.
    """
    lake = lake_or_default(lake)
    cards.get(card)
    collected = Collected(card, str(path), lake, progress=progress)
    if itemfiles.holds_lines(str(path)):
        collected.add((item, str(path)) for item in itemfiles.from_lines(str(path)))
        return collected.store()
    documents = remote.Walk(str(path), Web(timeout, retries, collected.report))
    with collected.saving_on_error():
        for item in documents:
            collected.add([item])
            collected.step()
    collected.refuse(documents.problems)
    if not collected.found and not documents.missing:
        log.warning(
            "%s holds no STAC item; of a folder the files that end in .json are read", without_secrets(str(path))
        )
    return collected.store(documents.missing)


def geoparquet(path: str | Path, card: str = "s2", lake: Lake | None = None) -> Ingested:
    """Catalogue a STAC-GeoParquet file or a folder of them, local, at a URL or in a bucket (s3://).

    Raises:
        InvalidInputError: unknown card.
        SourceError: the file cannot be read or is no STAC-GeoParquet.
    """
    lake = lake_or_default(lake)
    cards.get(card)
    collected = Collected(card, str(path), lake)
    collected.add((item, str(path)) for item in itemfiles.from_parquet(str(path)))
    return collected.store()


def products(
    folder: str | Path,
    card: str | None = None,
    aoi: str | None = None,
    lake: Lake | None = None,
    *,
    progress: Progress | None = None,
) -> Ingested:
    """Catalogue products on disk: one product, a zip archive, or a folder that is searched recursively.

    Known are Sentinel-2 Level-2A (.SAFE and MAJA, also zipped), CARD-BS, CARD-COH6 and CARD-COH12 as CREODIAS mounts
    them, and other terrain-corrected output of SNAP (.dim with .data). Footprints come from the rasters, so cropped
    products are right; metadata that is missing is made up for by the product's name and rasters. A product of which
    bands are missing is catalogued with what there is, and logged.

    Args:
        folder: where to look.
        card: only products of this card; without one, each under its own.
        aoi: leave out products that do not touch the parcels of this area.
        lake: without one, the lake of the workspace.
        progress: called after each product.

    Raises:
        InvalidInputError: unknown card.
        NotFoundError: no parcels of `aoi` were loaded.
        SourceError: there is no such folder.
    """
    lake = lake_or_default(lake)
    area = lake.footprint(aoi) if aoi else None
    names = [cards.get(card).name] if card else list(cards.CARDS)
    collected = {name: Collected(name, str(folder), lake, area) for name in names}
    containers, refused = product.find(folder)
    first = collected[names[0]]
    first.refuse(refused)
    containers = [one for one in containers if card is None or one.card in (None, card)]
    for number, one in enumerate(containers, 1):
        try:
            for kind, item in one.to_items():
                if kind in collected:
                    collected[kind].add([(item, "")])
        except (InvalidInputError, SourceError) as error:
            first.refuse([str(error)])
        if progress:
            progress(number, len(containers))
    parts = [part.store() for part in collected.values() if part.found]
    skipped = tuple(reason for part in parts for reason in part.skipped)
    containers, new, changed = (sum(getattr(part, name) for part in parts) for name in ("found", "new", "changed"))
    return Ingested(containers, new, skipped, changed=changed)


def safe(
    folder: str | Path, aoi: str | None = None, lake: Lake | None = None, *, progress: Progress | None = None
) -> Ingested:
    """Catalogue Sentinel-2 Level-2A products on disk; same as `products` with card s2."""
    return products(folder, "s2", aoi, lake, progress=progress)


def files(
    pattern: str,
    card: str = "s2",
    *,
    unit: str | None = None,
    offset: int | None = None,
    bands: Sequence[str] = (),
    aoi: str | None = None,
    lake: Lake | None = None,
    progress: Progress | None = None,
) -> Ingested:
    """Catalogue your own GeoTIFFs (or other GDAL rasters) in a folder or bucket (s3://) by a file name pattern.

    Placeholders are {date} (20240501, 2024-05-01, 20240501T055000; UTC), {band}, {tile}, {sensor}, {orbit} (relative)
    and {direction}; `*` is any text, `**/` any folders. Files that agree in all but {band} are one scene.

    Args:
        pattern: folder and file name: "s1/S1_{date}_{band}.tif".
        card: s2, bs, c6, …, see `cards.CARDS`.
        unit: of backscatter: linear or db; decibels are read as power.
        offset: of Sentinel-2, in DN: 0, or -1000 where it still is to be added; without it, as the files declare it.
        bands: what the bands of each file are, in order, where names have no {band}; - is a band to leave out.
        aoi: leave out scenes that do not touch the parcels of this area.
        lake: without one, the lake of the workspace.
        progress: called after each scene.

    Raises:
        InvalidInputError: the pattern is wrong; unit, offset or bands do not suit the card or are missing; or every
            scene is refused.
        NotFoundError: no parcels of `aoi` were loaded.
        SourceError: there is no such folder, or no file matches.
    """
    lake = lake_or_default(lake)
    cards.get(card)
    scenefiles.check_options(card, unit, offset)
    area = lake.footprint(aoi) if aoi else None
    listing = filepattern.Pattern(pattern, card, bands).find()
    collected = Collected(card, pattern, lake, area)
    collected.refuse(listing.refused)
    problems, left_out = [], dict[str, list[str]]()
    for number, one in enumerate(listing.scenes, 1):
        try:
            collected.add([(scenefiles.to_item(one, card, unit, offset, left_out), "")])
        except (InvalidInputError, SourceError) as error:
            problems.append(str(error))
        if progress:
            progress(number, len(listing.scenes))
    if problems and len(problems) == len(listing.scenes):
        raise InvalidInputError(f"{problems[0]}; none of {len(problems)} scenes is catalogued")
    collected.refuse(problems)
    for reasons in left_out.values():
        more = f", like {len(reasons) - 1} more of that band" if len(reasons) > 1 else ""
        log.warning("%s; it is left out%s", reasons[0], more)
    for reason in listing.remarks(card):
        log.warning("%s", reason)
    return collected.store()


def creodias(
    tb_prefix: str | None,
    aoi: str | None,
    start: date | str | None = None,
    end: date | str | None = None,
    card: str = "s2",
    option: str | None = None,
    *,
    url: str | None = None,
    geometry: GeometryLike | None = None,
    lake: Lake | None = None,
    timeout: float = 60,
    retries: int = 4,
    progress: Progress | None = None,
) -> Ingested:
    """Catalogue the scenes of an OpenSearch feed in an area and period, or of a saved response.

    The feed of CREODIAS itself was switched off; `stac` with url="cdse" has its Sentinel-2 scenes.

    Args:
        tb_prefix: not used; it named database tables in the library that this call form comes from.
        aoi: area whose parcels in the lake the scenes are to touch; not looked at when `geometry` is given.
        start: first day, ISO.
        end: last day, inclusive.
        card: s2, bs, c6, …, see `cards.CARDS`.
        option: product type instead of the card's usual one (LEVEL2A, LEVEL2AP, S2MSI2A, CARD-BS, CARD-COH6, …).
        url: the feed (…/search.json), or a file with a saved answer, which is taken as it is.
        geometry: the area, in degrees.
        lake: without one, the lake of the workspace.
        timeout: seconds without an answer after which a request is given up.
        retries: how often to ask again after a failure that may pass.
        progress: called after each page, and every second of a wait that the server asks for.

    Raises:
        InvalidInputError: dates reversed, no area, unknown card, no `url`.
        NotFoundError: no parcels of `aoi` were loaded.
        SourceError: the server cannot be reached, failed, or sent something else; what it had sent before is
            catalogued.
        ConfigError: credentials for the server are malformed; see `cbm_lake.storage.credentials`.
    """
    lake = lake_or_default(lake)
    cards.get(card)
    dates = days(start, end)
    if url is None:
        raise InvalidInputError(
            "the feed of CREODIAS was switched off; search cdse with card2db stac, catalogue folders of products with "
            "card2db safe, or give another feed or a file with a saved answer"
        )
    parameters: dict[str, str] = {}
    if "://" in url:
        parameters = resto.parameters(card, option, dates, area_of(lake, aoi, geometry, without_secrets(url)))
    collected = Collected(card, url, lake, progress=progress)
    pages = resto.search(url, Web(timeout, retries, collected.report), parameters)
    return collected.take(pages, lambda item: _with_rasters(item, card))


def _with_rasters(item: dict[str, Any], card: str) -> list[dict[str, Any]]:
    """Replace an item by the one built from its local product, if accessible.

    Raises:
        InvalidInputError: the product is of another kind than the card.
        SourceError: it cannot be read.
    """
    paths = [Path(link["href"]) for link in item["links"]]
    if not paths or not paths[0].exists():
        return [item]
    containers, refused = product.find(paths[0])
    local = [inside for one in containers for kind, inside in one.to_items() if kind == card]
    if not local and refused:
        raise SourceError(refused[0])
    about = {name: value for name, value in item["properties"].items() if name != "s2:product_uri"}
    return [{**inside, "properties": {**about, **inside["properties"]}} for inside in local] or [item]
