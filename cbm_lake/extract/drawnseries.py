"""Statistics of polygons that no parcel set has, in all scenes, by the engine of extraction; nothing is written.

polygons ─ drawnjobs ─ drawnstacks ─ scene.signatures ─► the rows that an extraction would have written
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from cbm_lake import cards
from cbm_lake.cards import indices as pixel_indices
from cbm_lake.cards.pixelrule import PixelRule
from cbm_lake.cards.statistics import optional
from cbm_lake.errors import LakeError, SourceError
from cbm_lake.extract import drawnjobs, drawnstacks, planning, scene
from cbm_lake.extract.drawn import DrawnSet
from cbm_lake.extract.drawnjobs import Recipe
from cbm_lake.extract.jobs import CataloguedScene, Outcome
from cbm_lake.extract.masks import Mask
from cbm_lake.geo import areas
from cbm_lake.lake import Lake, schemas
from cbm_lake.lake.snapshots import ParcelSet

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DrawnRows:
    """Rows of polygons as an extraction would have written them."""

    card: cards.Card
    table: pa.Table
    """Of `schemas.signatures`, by time, scene and identifier."""
    failed: tuple[Outcome, ...] = ()
    """Scenes that could not be read."""
    statistics: tuple[str, ...] = ()
    indices: tuple[str, ...] = ()


def extract_drawn(
    lake: Lake,
    card: str,
    polygons: DrawnSet,
    start: date | str,
    end: date | str,
    *,
    like: ParcelSet | None = None,
    recipe: Recipe | None = None,
) -> DrawnRows:
    """Compute the statistics of polygons in every scene of a card from `start` to `end` (inclusive).

    Args:
        lake: whose scenes.
        card: s2, bs, c6, …, see `cards.CARDS`.
        polygons: see `drawn`.
        start: first day (UTC).
        end: last day.
        like: a parcel set, beside whose parcels the polygons are to stand: those scenes alone that it was extracted in,
            each by its bands, rule, statistics, indices and mask. Where it was extracted in none, and with None, all
            scenes that count are taken, by the recipe.
        recipe: how; None is what `extract` does by default.

    Raises:
        InvalidInputError: unknown card, dates reversed, or polygons that are too large.
        SourceError: no scene can be read.
    """
    kind = cards.get(card)
    first, last = planning.days(start, end)
    rows: list[CataloguedScene] = lake.query("scenes.between", card=kind.name, start=first, stop=last).to_pylist()
    ground = polygons.ground
    rows = [row for row in rows if areas.is_seen(ground, row["footprint"])]
    selection = _recipes_of(lake, kind, rows, like) if like else None
    if selection is None:
        usual = recipe or Recipe.of(kind)
        selection = [(row, usual) for row in rows]
    jobs, failed = drawnjobs.of_scenes(lake, kind, polygons, selection)
    results = [result for stack in drawnstacks.stacked(jobs) for result in _signatures(stack)]
    failed += [result for result in results if isinstance(result, Outcome)]
    tables = [result for result in results if isinstance(result, pa.Table)]
    if failed and not tables:
        raise SourceError(f"none of {len(failed)} scenes can be read: {failed[0].problem}")
    for outcome in failed:
        log.warning("scene %s: %s", outcome.scene, outcome.problem)
    return _rows(kind, tables, failed, [one for _, one in selection])


def _rows(
    card: cards.Card, tables: Sequence[pa.Table], failed: Sequence[Outcome], recipes: Sequence[Recipe]
) -> DrawnRows:
    statistics = optional(name for recipe in recipes for name in recipe.statistics)
    indices = pixel_indices.check([name for recipe in recipes for name in recipe.indices], card)
    schema = schemas.signatures(card.name, statistics, indices)
    table = pa.concat_tables([schema.empty_table(), *tables], promote_options="default")
    order = [(name, "ascending") for name in ("obstime", "scene", "pid")]
    return DrawnRows(card, table.sort_by(order), tuple(failed), statistics, indices)


def _signatures(stack: drawnstacks.Stack) -> Iterator[pa.Table | Outcome]:
    """The rows of a stack of scenes; where one of them cannot be read, of each by itself."""
    try:
        yield drawnstacks.unstacked(scene.signatures(stack.job)[0], stack)
    except LakeError as error:
        if len(stack.scenes) == 1:
            yield Outcome(stack.scenes[0].scene.id, 0, str(error))
        else:
            for job in stack.scenes:
                yield from _signatures(drawnstacks.Stack.alone(job))


# -- as a parcel set was extracted ----------------------------------------------------------------------------------


def _recipes_of(
    lake: Lake, card: cards.Card, rows: Sequence[CataloguedScene], like: ParcelSet
) -> list[tuple[CataloguedScene, Recipe]] | None:
    """Those scenes that were extracted over a parcel set, and how; None where none of the card was, anywhere."""
    done = {row["scene"]: row for row in lake.query("extractions.done", card=card.name, **like.params).to_pylist()}
    if not any(entry["extraction"] for entry in done.values()):
        return None
    selection = []
    for row in rows:
        entry = done.get(row["id"])
        if entry is None or entry["extraction"] is None:
            continue
        mask = Mask.parse(entry["mask"]) if entry["mask"] else None
        mask = mask and mask.with_raster(planning.catalogued(row))
        rule, indices = PixelRule.parse(entry["rule"]), tuple(entry["indices"] or ())
        recipe = Recipe(tuple(entry["bands"]), rule, tuple(entry["statistics"] or ()), indices, mask)
        selection.append((row, recipe))
    return selection
