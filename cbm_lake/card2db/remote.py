"""Crawls static STAC: items, item collections and catalogues in files, folders and behind URLs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from cbm_lake.card2db.hrefs import absolute
from cbm_lake.card2db.paging import Pages
from cbm_lake.card2db.stacapi import reader
from cbm_lake.card2db.web import Answer, Request, Web
from cbm_lake.errors import SourceError
from cbm_lake.files.documents import load_json
from cbm_lake.storage.credentials import without_secrets

_KINDS: Final = frozenset({"Feature", "FeatureCollection", "Catalog", "Collection"})


class Walk:
    """Iterates over all items at a file, URL or folder, each with the base address of its relative hrefs.

    An item is taken as it is, an item collection item by item (page by page where it comes from a server), a catalogue
    or collection along its links, a folder file by file.
    """

    def __init__(self, location: str, web: Web) -> None:
        """Nothing is read yet."""
        self.problems: list[str] = []
        """What could not be read on the way."""
        self.missing: list[str] = []
        """What item collections say that they have, and do not hold."""
        self._location, self._web = location, web
        self._visited: set[str] = set()

    def __iter__(self) -> Iterator[tuple[Any, str]]:
        """The items.

        Raises:
            SourceError: the start cannot be read, or holds no STAC.
        """
        folder = Path(self._location)
        if "://" not in self._location and folder.is_dir():
            for path in sorted(folder.rglob("*.json")):
                yield from self._below([str(path)], follow=False)
            return
        self._visited.add(self._location)
        start = fetch(self._location, self._web)
        if _kind(start.document) not in _KINDS:
            label = without_secrets(self._location)
            raise SourceError(f"{label} holds no STAC item, item collection or catalogue; give another file")
        yield from self._items(start)
        yield from self._below(_links(start), follow=True)

    def _below(self, locations: list[str], *, follow: bool) -> Iterator[tuple[Any, str]]:
        """Items of these documents and their descendants, each document once."""
        ahead = locations[::-1]
        while ahead:
            location = ahead.pop()
            if location in self._visited:
                continue
            self._visited.add(location)
            try:
                answer = fetch(location, self._web)
                yield from self._items(answer)
            except SourceError as error:
                self.problems.append(str(error))
                continue
            if _kind(answer.document) not in _KINDS:
                label = without_secrets(location)
                self.problems.append(f"{label}: it is no STAC item, item collection or catalogue")
            elif follow:
                ahead += _links(answer)[::-1]

    def _items(self, answer: Answer) -> Iterator[tuple[Any, str]]:
        """The items of one document."""
        if _kind(answer.document) == "Feature":
            yield answer.document, answer.url
        elif _kind(answer.document) == "FeatureCollection":
            read = reader(Request(answer.url))
            stored = not _is_web(answer.url)  # the pages after a stored one may be stored as well, or be gone
            pages = Pages(
                self._web, answer, (lambda page: replace(read(page), following=lambda: None)) if stored else read
            )
            for page in pages:
                yield from ((item, answer.url) for item in page)
            self.missing += pages.missing


def fetch(location: str, web: Web) -> Answer:
    """Fetch JSON from a file or URL.

    Raises:
        SourceError: it cannot be read or is not JSON.
    """
    if _is_web(location):
        return web.ask(Request(location))
    try:
        return Answer(load_json(Path(location).read_text("utf-8")), location)
    except OSError as error:
        reason = f"{without_secrets(location)} cannot be read: {error.strerror}; check the path"
        raise SourceError(reason) from error
    except ValueError as error:
        advice = "use card2db geoparquet" if location.lower().endswith("parquet") else "mend it or leave it out"
        reason = f"{without_secrets(location)} is not JSON ({error}); {advice}"
        raise SourceError(reason) from error


def _links(answer: Answer) -> list[str]:
    """Targets of child and item links."""
    if _kind(answer.document) not in {"Catalog", "Collection"}:
        return []
    links = answer.document.get("links")
    hrefs = [
        str(link["href"])
        for link in (links if isinstance(links, list) else [])
        if isinstance(link, dict) and link.get("rel") in {"item", "items", "child"} and link.get("href")
    ]
    return list(dict.fromkeys(absolute(href, answer.url) for href in hrefs))


def _kind(document: Any) -> str | None:
    return document.get("type") if isinstance(document, dict) else None


def _is_web(location: str) -> bool:
    return location.startswith(("http://", "https://"))
