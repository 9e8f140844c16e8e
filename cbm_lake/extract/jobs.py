"""The types of extraction: `Job`, `Outcome`, `Plan` and `Extracted`, and the numbers that identify signatures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NotRequired, TypedDict

from cbm_lake.cards.pixelrule import PixelRule
from cbm_lake.extract.masks import Mask
from cbm_lake.lake.records import SceneAsset, SceneLink, StoredBlock
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.rasters import Raster

Progress = Callable[[int, int], None]
"""Called with the number finished and the total."""


class CataloguedScene(TypedDict):
    """A row of the query scenes.between."""

    id: str
    obstime: datetime
    reference: str
    boa_offset: int
    revision: str
    footprint: bytes
    """WKB, EPSG:4326."""
    assets: dict[str, SceneAsset | None]
    source: str
    links: list[SceneLink] | None


class LatestExtraction(TypedDict):
    """A row of the query extractions.done: the latest attempt at a scene, and what counts of it."""

    scene: str
    attempt: int
    extraction: int | None
    """None where no attempt has succeeded."""
    current: bool
    signatures: int
    bands: NotRequired[list[str]]
    statistics: NotRequired[list[str] | None]
    """Beside those that every signature has."""
    indices: NotRequired[list[str] | None]
    """Computed pixel by pixel."""
    rule: NotRequired[str]
    boa_offset: NotRequired[int | None]
    cube: NotRequired[bool]
    versions: NotRequired[list[str]]
    """Of the parcel set, for which it and what it builds upon were made."""
    started: NotRequired[datetime]
    pixels: NotRequired[str | None]
    mask: NotRequired[str | None]
    """Of its signatures of clear pixels; "" where there were to be none, None before there were any."""
    mask_stamp: NotRequired[str | None]
    """Of the file of its mask; None without one, and where it was not recorded."""


@dataclass(frozen=True)
class Scene:
    """The scene of a job."""

    id: str
    obstime: datetime
    reference: str
    boa_offset: int
    revision: str = ""
    """Of the catalogue entry that the job was planned by; "" for one of version 0.1."""


@dataclass(frozen=True)
class Base:
    """An earlier extraction of the scene whose signatures still hold for the parcels that have not changed since."""

    extraction: int
    versions: tuple[str, ...]
    """The versions of the parcel set that it and what it builds upon were made for."""
    started: datetime
    """When it started reading the scene's rasters."""
    pixels: str | None = None
    """Digest of what was in those rasters, see `Job.pixels`; None in entries of version 0.1."""


@dataclass(frozen=True)
class Block:
    """A block of a cube as it was written; the fields are those of `blocks` in schemas.EXTRACTIONS."""

    grid: str
    band: str
    row: int
    """Its number down."""
    col: int
    """Its number across."""
    bytes: int
    """Size of its file."""

    def record(self) -> StoredBlock:
        """The block as the ledger has it."""
        return {"grid": self.grid, "band": self.band, "row": self.row, "col": self.col, "bytes": self.bytes}


@dataclass(frozen=True)
class Job:
    """One scene over one parcel set: the unit of work, of failure and of repetition."""

    lake: str
    card: str
    scene: Scene
    parcels: ParcelSet
    bands: tuple[str, ...]
    rule: str
    """One of `pixelrule.METHODS`; with the inner buffer it is `pixel_rule`."""
    rasters: dict[str, Raster]
    """Every band, and the classification, by name."""
    slots: dict[str, int] | None = None
    """Slot in the cube of each grid by the grid's name; None leaves the cube alone."""
    base: Base | None = None
    """None extracts all parcels."""
    after: int = 0
    """Number of the latest attempt in the ledger when the job was planned."""
    threads: int = 1
    """How many tiles of JPEG 2000 may be decoded side by side: the cores that the job has."""
    before: int = 0
    """Signatures that the scene had when the job was planned."""
    blocks: tuple[Block, ...] = ()
    """Those at its slots that earlier extractions wrote."""
    causes: tuple[str, ...] = ()
    """Of the attempts that failed since the scene was last done; see `causes.cause`."""
    statistics: tuple[str, ...] = ()
    """The requested optional statistics."""
    inner_buffer: float = 0.0
    """Width in metres of the margin inside parcels whose pixels do not count."""
    indices: tuple[str, ...] = ()
    """Names of the indices that are computed pixel by pixel."""
    moved: tuple[float, float] = (0.0, 0.0)
    """Metres eastwards and northwards by which parcels are moved, see `shifting`."""
    mask: Mask | None = None
    """What is left out of signatures of clear pixels alone; None where there are to be none."""

    @property
    def pixel_rule(self) -> PixelRule:
        """Which pixels belong to a parcel."""
        return PixelRule(self.rule, self.inner_buffer, moved=self.moved)

    @property
    def extraction(self) -> int:
        """The number that its signatures carry: the same work after the same attempts always has the same number.

        So what was killed before the ledger knew of it is replaced, and what is done once more, perhaps since an older
        version of the parcels has come back, is not taken for what was done then.
        """
        parcels = [self.parcels.aoi, self.parcels.year, self.parcels.ptype, self.parcels.version]
        work = [self.bands, str(self.pixel_rule), self.base.extraction if self.base else None, self.after]
        revision = [self.scene.revision] if self.scene.revision else []
        statistics = [self.statistics] if self.statistics else []
        indices = [{"indices": self.indices}] if self.indices else []
        mask = [{"mask": str(self.mask)}] if self.mask else []
        further = [*revision, *statistics, *indices, *mask]
        identity = json.dumps([self.card, *parcels, self.scene.id, *work, *further])
        return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8]) >> 1

    @property
    def mask_stamp(self) -> str | None:
        """The stamp of the further raster of its mask; None where it has none."""
        other = self.mask and self.mask.other
        return other.raster.stamp if other and other.raster else None

    @property
    def pixels(self) -> str | None:
        """Digest of the stamps of its rasters: another one where a file has other content than before."""
        return digest({name: raster.stamp for name, raster in self.rasters.items()}, self.mask_stamp)


def digest(stamps: Mapping[str, str], mask_stamp: str | None) -> str | None:
    """Digest of the stamps of a scene's rasters, and of its mask's further raster; None where there are none."""
    of_mask = {} if mask_stamp is None else {"mask": mask_stamp}
    text = json.dumps({**stamps, **of_mask}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16] if stamps or of_mask else None


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job."""

    scene: str
    rows: int
    """Signatures written, of all pixels; 0 is right for a scene without data over the parcels."""
    problem: str | None = None
    """Why it failed, or None."""
    reading: bool = False
    """Whether it failed on something that could not be read or written, and so may be there the next time."""
    lost: bool = False
    """Whether its worker died, perhaps of another scene that was there too."""
    discarded: int = 0
    """Pixels over parcels whose number is no measurement (below 0, or wrapped round below it): nodata."""
    repeated: bool = False
    """Whether it failed on what stopped it in an earlier run, too."""
    warning: str | None = None
    """What is odd about it though it is done: it had signatures before and has none now."""
    blocks: tuple[Block, ...] | None = None
    """Blocks of the cubes that hold its pixels; None where it leaves the cubes alone."""
    clear: int = 0
    """Signatures of clear pixels alone, written beside those."""


@dataclass(frozen=True)
class Plan:
    """The jobs to run, and the scenes that need none."""

    card: str
    parcels: ParcelSet
    parcel_count: int
    jobs: tuple[Job, ...]
    done: int
    """Scenes that the ledger already has."""
    failed: tuple[Outcome, ...] = ()
    """Scenes whose rasters cannot even be opened."""
    lake: str = ""
    """Where the lake is."""
    too_small: TooSmall | None = None
    """Parcels that are too small for the inner buffer; None where there are none, or it was not looked at."""


@dataclass(frozen=True)
class TooSmall:
    """Parcels of which too few pixels would be left inside the inner buffer, so that they count as a whole."""

    parcels: int
    of: int
    """Parcels of the set."""
    inner_buffer: float
    """In metres."""

    def __str__(self) -> str:
        rule = PixelRule(inner_buffer=self.inner_buffer)
        inside = str(rule).partition(", ")[2]
        return (
            f"{self.parcels:,} of {self.of:,} parcels are too small for an inner buffer ({inside}): they count as a "
            f"whole, and their rows say so (rule: {rule.of_small})"
        )


@dataclass(frozen=True)
class Extracted:
    """The result of an extraction."""

    scenes: int
    """Scenes that were extracted now."""
    rows: int
    """Signatures that were written now."""
    skipped: int
    """Scenes that had been done before."""
    outcomes: tuple[Outcome, ...] = field(repr=False, default=())
    still_failing: tuple[Outcome, ...] = ()
    """Scenes that failed on what stopped them in an earlier run, too."""
    too_small: TooSmall | None = None
    """Parcels that are too small for the inner buffer, where any scene was extracted with one."""

    @property
    def clear(self) -> int:
        """Signatures of clear pixels alone that were written now, beside `rows`."""
        return sum(outcome.clear for outcome in self.outcomes)

    @property
    def emptied(self) -> tuple[Outcome, ...]:
        """Scenes that had signatures before and have none now."""
        return tuple(outcome for outcome in self.outcomes if outcome.warning)

    @property
    def discarded(self) -> int:
        """Pixels over parcels whose number is no measurement, in all scenes."""
        return sum(outcome.discarded for outcome in self.outcomes)
