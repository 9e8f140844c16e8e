"""Pagination of server responses: yields each item once, and reports items that are missing at the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urljoin, urlsplit, urlunsplit

from cbm_lake.card2db.web import Answer, Request, Web, host
from cbm_lake.errors import SourceError

_EMPTY: Final = 100
"""Pages without an item, one after the other, that are followed at most."""
_KNOWN: Final = 3
"""Pages of nothing but items that came before, one after the other, that are followed at most."""


@dataclass(frozen=True)
class Page:
    """One page of a response."""

    items: list[Any]
    matched: int = 0
    """How many items the server says match in all; 0 when it does not say."""
    following: Callable[[], Request | None] = lambda: None
    """What to ask for the next part, None after the last; raises SourceError when there is one that cannot be asked."""
    lacking: int = 0
    """How many items the server says are in this part that are not."""
    full: bool = False
    """Whether the part holds exactly as many items as it may, so that others may have been left out."""


Reader = Callable[[Answer], Page]
"""Makes a page of an answer, or raises SourceError."""


class Pages:
    """Iterates over the items of all pages, skipping duplicates."""

    def __init__(self, web: Web, first: Request | Answer, read: Reader) -> None:
        """Nothing is asked yet; `first` may be an answer that is there already."""
        self.matched = 0
        """How many items the server says match in all; 0 when it has not said."""
        self.received = 0
        """How many different items have come."""
        self.missing: list[str] = []
        """What the server has, or may have, and did not send; complete after the last page."""
        self._web, self._first, self._read = web, first, read
        self._visited: set[str] = set()

    def __iter__(self) -> Iterator[list[Any]]:
        """The new items of each page.

        Raises:
            SourceError: the server failed, or its pages go in circles.
        """
        asked: set[str] = set()
        empty = repeated = 0
        following: Request | Answer | None = self._first
        while following is not None:
            if isinstance(following, Request):
                asked.add(following.key)
                following = self._web.ask(following)
            server, page = host(following.url), self._read(following)
            self.matched = max(self.matched, page.matched)
            fresh = [item for item in page.items if self._is_new(item)]
            empty = 0 if page.items else empty + 1
            repeated = 0 if fresh or not page.items else repeated + 1
            yield fresh
            following = page.following()
            self._note(page, server, last=following is None)
            if following and (following.key in asked or empty >= _EMPTY or repeated >= _KNOWN):
                if 0 < self.matched <= self.received:
                    return
                raise SourceError(self._circles(server, empty))

    def _is_new(self, item: Any) -> bool:
        identifier = item.get("id") if isinstance(item, dict) else None
        key = json.dumps([item.get("collection"), identifier] if identifier else item, sort_keys=True, default=str)
        new = key not in self._visited
        self._visited.add(key)
        self.received += new
        return new

    def _note(self, page: Page, server: str, *, last: bool) -> None:
        """Record what a page, or the whole response, lacks."""
        if page.lacking:
            self.missing.append(f"{server} counts {page.lacking:,} more items in a page than it sent")
        if last and self.matched > self.received:
            self.missing.append(
                f"{server} says that {self.matched:,} items match and sent {self.received:,}; for the other "
                f"{self.matched - self.received:,} search shorter times or smaller areas"
            )
        elif last and page.full and not self.matched:
            self.missing.append(
                f"{server} sent {self.received:,} items, as many as it was asked for at most, and does not say whether "
                "there are more; search shorter times or smaller areas to be certain"
            )

    def _circles(self, server: str, empty: int) -> str:
        of = f" of {self.matched:,}" if self.matched else ""
        problem = f"sent {empty} empty pages" if empty >= _EMPTY else "sends pages again that it has sent before"
        return f"{server} {problem} after {self.received:,}{of} items; search shorter times or smaller areas"


def linked(href: str, asked: str) -> str:
    """Resolve a link of a response; it must stay on the requested host and scheme.

    Servers behind a proxy name themselves by internal hosts, ports, schemes and paths that lack a prefix. The address
    that was asked is known to work, and credentials and the search are meant for it and for nobody else.

    Raises:
        SourceError: `href` is no address.
    """
    try:
        here, there = urlsplit(asked), urlsplit(urljoin(asked, href))
    except ValueError as error:
        raise SourceError(f"{host(asked)} links to something that is no address; tell its provider") from error
    path = here.path if there.path and here.path.endswith(there.path) else there.path
    return urlunsplit((here.scheme, here.netloc, path, there.query, ""))


def number(value: Any) -> int:
    """Parse a stated count; 0 if there is none."""
    try:
        return max(0, int(value))
    except (TypeError, ValueError, OverflowError):
        return 0


def next_link(links: Any, server: str) -> dict[str, Any] | None:
    """Link to the next page.

    Raises:
        SourceError: there is one that leads nowhere.
    """
    entries = links if isinstance(links, list) else []
    link = next((entry for entry in entries if isinstance(entry, dict) and entry.get("rel") == "next"), None)
    if link is not None and not isinstance(link.get("href"), str):
        raise SourceError(f"{server} has more pages but does not say where; search shorter times or smaller areas")
    return link
