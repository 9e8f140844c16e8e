"""Pipeline of items into the catalogue: normalised, accepted or refused, written in batches, counted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import shapely

from cbm_lake.card2db import scene
from cbm_lake.card2db.paging import Pages
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.geo.areas import is_seen
from cbm_lake.lake import Lake, schemas
from cbm_lake.lake.records import SceneRecord
from cbm_lake.storage.credentials import without_secrets, without_signature

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with how many scenes were looked at and how many there are; 0 when that is not known."""
_BATCH: Final = 1000
"""Rows that are written at once."""


@dataclass(frozen=True)
class Ingested:
    """Result of cataloguing."""

    found: int
    """Scenes that the source holds, with those that were refused."""
    new: int
    """Scenes that the lake had not known."""
    skipped: tuple[str, ...] = ()
    """What was refused, each with the reason."""
    missing: tuple[str, ...] = ()
    """What the source has, or may have, and did not give; empty when the answer was whole."""
    changed: int = 0
    """Scenes that the lake had known of another product, or at other addresses: to be extracted again."""


class Collected:
    """Batches of rows on their way into the lake, with counts and refusals."""

    def __init__(
        self,
        card: str,
        source: str,
        lake: Lake,
        area: shapely.Geometry | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.found = self.new = self.changed = self.matched = 0
        self._card, self._source, self._lake, self._area = card, without_secrets(source), lake, area
        self._progress = progress
        self._rows: list[SceneRecord] = []
        self._skipped: list[str] = []

    def take(self, pages: Pages, expand: Callable[[Any], list[Any]] = lambda item: [item]) -> Ingested:
        """Catalogue the items of all pages; if one fails, the pages before it are still catalogued.

        Args:
            pages: of items.
            expand: what to catalogue in the place of an item; an item for which it raises is refused.
        """
        with self.saving_on_error():
            for page in pages:
                self.matched = pages.matched
                for item in page:
                    try:
                        rows = expand(item)
                    except (InvalidInputError, SourceError) as error:
                        self.refuse([str(error)])
                    else:
                        self.add((one, "") for one in rows)
                self.step()
        return self.store(pages.missing)

    def add(self, documents: Iterable[tuple[Any, str]]) -> None:
        """Add STAC items, each with the base address of its relative hrefs."""
        for document, base in documents:
            try:
                row = scene.to_row(document, self._card, self._source, base)
            except InvalidInputError as error:
                self.refuse([str(error)])
                continue
            for entry in (*row["links"], *row["assets"].values()):
                entry["href"] = without_signature(entry["href"])
            if self._area is None or is_seen(self._area, row["geometry"]):
                self._rows.append(row)
                self.found += 1

    def refuse(self, reasons: Iterable[str]) -> None:
        """Count refused items, with their reasons."""
        for reason in reasons:
            log.info("skipped %s", reason)
            self._skipped.append(reason)
            self.found += 1

    def report(self) -> None:
        """Report progress to the caller."""
        if self._progress:
            self._progress(self.found, self.matched)

    def step(self) -> None:
        """Write a full batch and report progress."""
        if len(self._rows) >= _BATCH:
            self._write()
        self.report()

    @contextmanager
    def saving_on_error(self) -> Iterator[None]:
        """Catalogue the scenes read so far if reading is interrupted, e.g. by Ctrl-C."""
        try:
            yield
        except SourceError as error:
            self._write()
            if not self.found:
                raise
            of = f" of {self.matched:,}" if self.matched else ""
            came = f"{self.found:,}{of} scenes came before that and are catalogued ({self.new:,} new)"
            raise SourceError(f"{error}; {came}") from error
        finally:
            self._write()

    def store(self, missing: Iterable[str] = ()) -> Ingested:
        """Write the remaining rows and return the result."""
        self._write()
        ingested = Ingested(self.found, self.new, tuple(self._skipped), tuple(missing), self.changed)
        log.info("%d scenes found, %d new, %d skipped", ingested.found, ingested.new, len(ingested.skipped))
        for line in ingested.missing:
            log.warning("incomplete: %s", line)
        return ingested

    def _write(self) -> None:
        if self._rows:
            table = pa.Table.from_pylist(self._rows, schema=schemas.SCENES)
            new, changed = self._lake.catalogue(table)
            self.new, self.changed = self.new + new, self.changed + changed
            self._rows = []
