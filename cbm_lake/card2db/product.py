"""Discovers products in folders recursively and converts them to STAC items with `safe` and `cardfolders`."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cbm_lake import cards
from cbm_lake.card2db import cardfolders, safe, theia
from cbm_lake.card2db.container import Container, in_zip
from cbm_lake.errors import InvalidInputError, SourceError

log = logging.getLogger(__name__)

_ARCHIVE: Final = (safe.MEMBER, theia.MEMBER)
_PRODUCT_ZIP = re.compile(r"(S[12][A-D]_|SENTINEL[12][A-D]_)")
_FORCE = re.compile(r"\d{8}_LEVEL2_SEN2[A-D]_BOA(?P<suffix>\.tif|\.dat)$")


@dataclass(frozen=True)
class Product:
    """One product of a supported kind."""

    location: str
    """Folder or file, for messages and order."""
    card: str | None
    """The card of the product; None if only its contents tell (bs or c6)."""
    content: Container | cardfolders.Folder

    def to_items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Card and STAC item of each scene in a product.

        Raises:
            InvalidInputError: it is not what a card needs.
            SourceError: it cannot be read.
        """
        if isinstance(self.content, cardfolders.Folder):
            yield from cardfolders.to_items(self.content)
        else:
            reader = theia if theia.is_product(self.content.members) else safe
            yield from (("s2", item) for item in reader.to_items(self.content))


def find(path: str | Path) -> tuple[list[Product], list[str]]:
    """Find the products at or below a folder or in an archive, and list refusals with reasons.

    Where there is neither, a warning says so.

    Raises:
        InvalidInputError: it is a URL.
        SourceError: there is no such folder or archive.
    """
    if "://" in str(path):
        raise InvalidInputError(
            f"{path}: products are found on this machine only; in a bucket name the files by a pattern (card2db files)"
        )
    path = Path(os.path.abspath(path))  # not resolve(): a link's name may be the product's  # noqa: PTH100
    if path.is_file() and path.suffix.lower() == ".zip":
        containers, refused = _in_archive(path)
        return containers, refused or ([] if containers else [f"{path}: it holds no product that is known"])
    if not path.is_dir():
        raise SourceError(f"folder {path} does not exist; give a product, or a folder that holds some")
    products: list[Product] = []
    problems: list[str] = []
    unreadable: list[OSError] = []
    for root, folders, names in os.walk(path, onerror=unreadable.append):
        here = Path(root)
        products += _at(here, folders, names)
        problems += _card_of_files(here, names)
        for name in sorted(names):
            if name.lower().endswith(".zip"):
                inside, reasons = _in_archive(here / name)
                products += inside
                problems += reasons
    problems += [f"{error.filename} cannot be listed: {error.strerror}" for error in unreadable]
    if not products and not problems:
        log.warning(
            "%s holds no product that is known (.SAFE, MAJA, CARD-BS, CARD-COH, .dim of SNAP); use card2db files for "
            "rasters of your own, card2db items for STAC",
            path,
        )
    return sorted(products, key=lambda product: product.location), sorted(problems)


def _at(here: Path, folders: list[str], names: Collection[str]) -> list[Product]:
    """Products at a folder or directly in it; prunes subfolders that need not be searched."""
    if safe.is_product(here, names) or theia.is_product(names):
        folders.clear()
        return [Product(str(here), "s2", Container.of_folder(here))]
    linked = [here / name for name in folders if name.endswith(".SAFE") and (here / name).is_symlink()]
    products = [Product(str(link), "s2", Container.of_folder(link)) for link in linked]  # os.walk does not enter them
    containers = cardfolders.find(here, folders, names)
    for folder in containers:
        data = f"{folder.name}.data"
        if data in folders:
            folders.remove(data)
    return products + [Product(str(folder.path / folder.name), None, folder) for folder in containers]


def _card_of_files(here: Path, names: Collection[str]) -> list[str]:
    """Message for folders whose files need `files`."""
    result = next((match for name in sorted(names) if (match := _FORCE.match(name))), None)
    if result is None:
        return []
    pattern = here / f"{{date}}_LEVEL2_{{sensor}}_BOA{result['suffix']}"
    bands = ",".join(cards.S2.resolutions)
    return [f'{here}: it is of FORCE; use card2db files "{pattern}" --card s2 --offset 0 --bands {bands}']


def _in_archive(path: Path) -> tuple[list[Product], list[str]]:
    """Products in an archive, or the reason why there is none if it is damaged or named like a product."""
    try:
        containers = [files for marker in _ARCHIVE for files in in_zip(path, marker)]
    except SourceError as error:
        return [], [str(error)]
    if not containers and _PRODUCT_ZIP.match(path.name):
        return [], [f"{path}: it holds no product that is known"]
    return [Product(f"{path}/{files.inside}", "s2", files) for files in containers], []
