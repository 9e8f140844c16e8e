"""Slots: the assignment of scenes to positions on the time axis of a cube.

A slot belongs to a scene at one offset, read from files of one content. When a file is replaced, or the offset turns
out to be another, the scene gets a new slot, and nothing that was read before is taken for what is there now.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cbm_lake.lake.records import SlotRow

LOST: Final = "lost"
"""Placeholder for the scene of a slot whose pixels are of unknown origin."""


@dataclass(frozen=True)
class SlotContent:
    """The pixels that a scene brings into a cube."""

    scene: str
    obstime: datetime
    boa_offset: int
    """DN to add to the stored DN."""
    stamps: Mapping[str, str]
    """The stamp of each band's file; see `ranges.stamp`."""
    revision: str = ""
    """Of the scene's catalogue entry; "" for one of version 0.1."""

    def find(self, slots: Sequence[SlotRow]) -> int:
        """The number of the slot that they have, or can share: that of the same files, as far as bands are in both."""
        fitting = [row for row in slots if self._fits(row)]
        return int(fitting[-1]["slot"]) if fitting else -1

    def _fits(self, row: SlotRow) -> bool:
        there = stamps_of(row)
        same = (row["scene"], row["boa_offset"]) == (self.scene, self.boa_offset)
        if row["stamps"] is None:  # of version 0.1: whatever its entry named then
            return same and not self.revision
        return same and all(there[band] == stamp for band, stamp in self.stamps.items() if band in there)


def stamps_of(row: SlotRow) -> dict[str, str]:
    """The stamps of a slot by band; none for slots of version 0.1."""
    stamps: dict[str, str] = json.loads(row["stamps"] or "{}")
    return stamps


def lost(rows: Sequence[SlotRow], length: int) -> Iterator[SlotRow]:
    """Rows that reserve the slots of a cube which the table of slots has lost, so that they are not assigned again.

    The origin of their pixels is unknown, so they belong to no scene.
    """
    there = {int(row["slot"]) for row in rows}
    for number in sorted(set(range(max(length, 1 + max(there, default=-1)))) - there):
        yield {
            "slot": number,
            "scene": LOST,
            "obstime": datetime.fromtimestamp(0, UTC),
            "boa_offset": 0,
            "stamps": "{}",
        }


def reserved(rows: Sequence[SlotRow], contents: Sequence[SlotContent]) -> Iterator[SlotRow]:
    """The rows of schemas.SLOTS, without card and grid, that are to be added so that all pixels have a slot."""
    slots = list(rows)
    for content in contents:
        number = content.find(slots)
        there = stamps_of(slots[number]) if number >= 0 else {}
        if number < 0 or not content.stamps.keys() <= there.keys():
            number = number if number >= 0 else len(slots)
            row: SlotRow = {
                "slot": number,
                "scene": content.scene,
                "obstime": content.obstime,
                "boa_offset": content.boa_offset,
                "stamps": json.dumps({**there, **content.stamps}, sort_keys=True),
            }
            slots[number : number + 1] = [row]
            yield row
