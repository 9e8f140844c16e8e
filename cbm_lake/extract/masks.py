"""Masks of a job: which pixels of a scene are not clear, by its classification and, where one is given, another raster.

The text of a mask (`cards.maskrule`) stands in the rows of clear pixels and in the ledger, and is part of what
identifies an extraction. So is the content of a further raster: what was extracted with another one is stale.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypedDict, cast

import numpy as np
import numpy.typing as npt

from cbm_lake import cards
from cbm_lake.card2db import hrefs
from cbm_lake.cards.maskrule import MaskRule
from cbm_lake.errors import InvalidInputError, SourceError, quoted, some
from cbm_lake.files.documents import load_json
from cbm_lake.lake.records import SceneAsset, SceneLink
from cbm_lake.rasters import PixelArray, Raster
from cbm_lake.storage import ranges, stores
from cbm_lake.storage.location import Location
from cbm_lake.storage.ranges import open_bytes

_RULE: Final = re.compile(r"(?P<name>\S.*?)\s*(?P<operator>>=|<=|!=|>|<|=)\s*(?P<numbers>[-+.\w]+(?:\s*,\s*[-+.\w]+)*)")
_EXAMPLES: Final = "'cloud_probability > 40', 'cloud_mask != 0' or '/data/masks = 1,3'"
_ENDINGS: Final = (".tif", ".tiff", ".jp2", ".img", ".vrt")
"""Of files that can be masks."""
_MOST_DILATED: Final = 100


@dataclass(frozen=True)
class Values:
    """Which values of a raster are masked."""

    operator: str
    """>, >=, <, <=, = (one of the numbers) or != (none of them)."""
    numbers: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.operator} {','.join(map(_written, self.numbers))}"

    def hides(self, pixels: PixelArray) -> npt.NDArray[np.bool_]:
        """Which pixels are masked; NaN, which is no value, is."""
        if self.operator in ("=", "!="):
            listed = np.isin(pixels, self.numbers)
            masked = listed if self.operator == "=" else ~listed
        else:
            compare = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}[self.operator]
            masked = compare(pixels, self.numbers[0])
        return np.asarray(masked | np.isnan(pixels) if pixels.dtype.kind == "f" else masked)


@dataclass(frozen=True)
class MaskRaster:
    """A raster beside the classification that says what is masked."""

    name: str
    """Of an asset of the scenes' items, or the folder of its files."""
    values: Values
    raster: Raster | None = None
    """Of the job's scene."""

    @classmethod
    def of(cls, text: str) -> MaskRaster:
        """Parse how a caller names one: the asset or the folder, and which of its values are masked.

        Raises:
            InvalidInputError: it does not say which values, or the folder is not there.
        """
        match = _RULE.fullmatch(text.strip())
        numbers = () if match is None else tuple(map(_number, match["numbers"].split(",")))
        if match is None or None in numbers:
            raise InvalidInputError(
                f"the mask {quoted(text)} does not say which of its values hide the ground; write {_EXAMPLES}"
            )
        values = Values(match["operator"], tuple(number for number in numbers if number is not None))
        if len(values.numbers) > 1 and values.operator not in ("=", "!="):
            raise InvalidInputError(
                f"the mask {quoted(text)} compares with several numbers; give one after {values.operator}"
            )
        if _is_folder(match["name"]) and not Path(match["name"]).is_dir():
            raise InvalidInputError(f"there is no folder {match['name']} of masks; name one that there is, or an asset")
        return cls(match["name"], values)

    def __str__(self) -> str:
        return f"{self.name} {self.values}"


@dataclass(frozen=True)
class Mask:
    """Which pixels of a scene are not clear."""

    classification: str
    """Name of the band of classes."""
    classes: tuple[int, ...]
    """Those that are screened."""
    dilate: int = 0
    """By how many pixels of the classification they are grown."""
    other: MaskRaster | None = None
    """A further raster."""

    @classmethod
    def of(cls, card: cards.Card, *, clear: bool, dilate: int, mask: str | None) -> Mask | None:
        """The mask that is asked for of a card's scenes; None is none.

        Raises:
            InvalidInputError: the card has no scene classes, or what is asked for is impossible or contradicts itself.
        """
        if isinstance(dilate, bool) or not isinstance(dilate, int) or not 0 <= dilate <= _MOST_DILATED:
            raise InvalidInputError(f"{quoted(dilate)} is no number of pixels, 0 to {_MOST_DILATED}, to grow clouds by")
        if card.classification is None and (dilate or mask is not None):
            raise InvalidInputError(
                f"card {card.name} has no scene classes, so there are no clear pixels to take apart"
            )
        if not clear and (dilate or mask is not None):
            raise InvalidInputError(
                "a mask, or clouds that are grown, are of use for clear pixels only; take these too"
            )
        if card.classification is None or not clear:
            return None
        other = None if mask is None else MaskRaster.of(mask)
        return cls(card.classification.name, card.classification.screened, dilate, other)

    @classmethod
    def parse(cls, text: str) -> Mask:
        """The mask that the ledger states.

        Raises:
            InvalidInputError: it is none, or the folder of its further raster is not there.
        """
        rule = MaskRule.parse(text)
        other = None if rule.other is None else MaskRaster.of(rule.other)
        return cls(rule.classification, rule.classes, rule.dilate, other)

    def __str__(self) -> str:
        other = None if self.other is None else str(self.other)
        return str(MaskRule(self.classification, self.classes, self.dilate, other))

    @property
    def is_usual(self) -> bool:
        """Whether it is what is masked when nothing else is asked for."""
        return not self.dilate and self.other is None

    def with_raster(self, scene: Catalogued) -> Mask:
        """The mask with the raster of a scene, where it needs one; see `MaskRaster`.

        Raises:
            SourceError: the scene has none, or several, or it cannot be read.
        """
        if self.other is None:
            return self
        raster = Raster.current(_located(self.other.name, scene))
        return replace(self, other=replace(self.other, raster=raster))

    def stamp(self, scene: Catalogued) -> str | None:
        """The stamp of the present content of a scene's further raster; None where the mask needs none.

        Raises:
            SourceError: the scene has none, or several, or it is out of reach.
        """
        return None if self.other is None else ranges.stamp(Location.of(_located(self.other.name, scene)).path)


class Item(TypedDict, total=False):
    """What is looked for in a STAC item, or in a collection of them."""

    id: str
    assets: dict[str, SceneAsset]
    features: list[Item]


@dataclass(frozen=True)
class Catalogued:
    """What the catalogue has of a scene by which its mask is located."""

    id: str
    reference: str
    source: str
    links: tuple[SceneLink, ...]
    assets: dict[str, SceneAsset | None]


def _written(number: float) -> str:
    """The shortest text that is read back as the same number."""
    short = f"{number:g}"
    return short if float(short) == number or number != number else repr(number)  # noqa: PLR0124 - NaN


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _is_folder(name: str) -> bool:
    return "/" in name or "\\" in name or Path(name).is_dir()


def _located(name: str, scene: Catalogued) -> str:
    """The href of a scene's mask."""
    if _is_folder(name):
        return _in_folder(Path(name), scene)
    catalogued = scene.assets.get(name)
    href = catalogued["href"] if catalogued else _in_item(name, scene) or _in_product(name, scene)
    if href is None:
        raise SourceError(
            f"scene {scene.id} has no mask {name}: neither its item has such an asset, nor its product such a file",
            advice="name another asset, or a folder of masks, or extract this scene without it",
        )
    return href


def _in_folder(folder: Path, scene: Catalogued) -> str:
    """The file of a folder whose name contains that of the scene, or of its product."""
    names = [name.lower() for name in (scene.id, scene.reference.removesuffix(".SAFE")) if name]
    files = sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in _ENDINGS and any(name in file.name.lower() for name in names)
    )
    if len(files) != 1:
        there = f"{len(files)} files ({some([file.name for file in files], 3)})" if files else "no file"
        advice = "leave one of them there" if files else "put one there, or extract this scene without it"
        raise SourceError(f"scene {scene.id}: {there} in {folder} with its name", advice=advice)
    return str(files[0])


def _in_item(name: str, scene: Catalogued) -> str | None:
    """The asset of that name in the scene's item, which is read again; None where there is none."""
    for link in scene.links:
        if link["rel"] in ("self", "canonical"):
            asset = (_document(link["href"]).get("assets") or {}).get(name)
            if asset:
                return hrefs.absolute(str(asset["href"]), link["href"])
    if scene.source.lower().endswith(".json") and not stores.is_distant(scene.source) and Path(scene.source).is_file():
        document = _document(scene.source)
        for item in document.get("features") or [document]:
            asset = (item.get("assets") or {}).get(name) if item.get("id") == scene.id else None
            if asset:
                return hrefs.absolute(str(asset["href"]), scene.source)
    return None


def _document(href: str) -> Item:
    """A JSON object.

    Raises:
        SourceError: it cannot be read, or is none.
    """
    file = open_bytes(href)
    try:
        document = load_json(file.read(0, file.size).decode("utf-8", "replace"))
    except ValueError as error:
        raise SourceError(f"{stores.redacted(href)} is not JSON ({error})") from error
    if not isinstance(document, dict):
        raise SourceError(f"{stores.redacted(href)} is no STAC item")
    return cast("Item", document)


def _in_product(name: str, scene: Catalogued) -> str | None:
    """The raster of that name in the folder of a scene's product, such as MSK_CLDPRB_20m; None where there is none."""
    folders = [Path(link["href"]) for link in scene.links if link["rel"] == "product" and "://" not in link["href"]]
    files = [
        file
        for folder in folders
        if folder.is_dir()
        for file in sorted(folder.rglob(f"{name}.*"))
        if file.suffix.lower() in _ENDINGS
    ]
    if len(files) > 1:
        raise SourceError(f"scene {scene.id}: {len(files)} files of its product are called {name}; name another")
    return str(files[0]) if files else None
