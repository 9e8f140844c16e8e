"""Resolves hrefs of STAC items relative to the file or URL that the item was read from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin


def absolute(href: str, base: str) -> str:
    """Resolve an href against the file or URL `base` that it was read from."""
    if "://" in href or href.startswith("/"):
        return href
    if not base:
        return os.path.normpath(Path(href).absolute())
    if "://" in base:
        # urljoin knows web addresses only, not s3://
        scheme, _, rest = base.partition("://")
        return f"{scheme}://{urljoin(f'http://{rest}', href).removeprefix('http://')}"
    return os.path.normpath(Path(base).absolute().parent / href)  # not resolve(), which would follow symbolic links


def own_address(document: Mapping[str, Any]) -> str:
    """Self href of an item; "" if it has none."""
    return next((link.get("href") or "" for link in document.get("links") or [] if link.get("rel") == "self"), "")
