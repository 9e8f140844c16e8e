"""Links to files, signed for one account: they end, and at once when the account may no longer read the area."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import time
from dataclasses import asdict, dataclass
from typing import Final

from cbm_lake.server.accounts import Accounts

_LONGEST: Final = 2_000
SIGNED: Final = "X-Amz-Signature=in-the-path"
"""A query without which clients of the format delta do not take an address for one that is signed already."""


@dataclass(frozen=True)
class Link:
    """What a link says."""

    who: str
    aoi: str
    folder: str
    """Of the copy."""
    file: str
    expires: int
    """Seconds since 1970."""


class Links:
    """Signs links, and checks them; those of another process are unknown."""

    def __init__(self, accounts: Accounts, seconds: float) -> None:
        self._accounts, self._seconds = accounts, seconds
        self._secret = secrets.token_bytes(32)

    def expiry(self) -> int:
        """When a link ends that is made now, in seconds since 1970."""
        return int(time.time() + self._seconds)

    def token(self, link: Link) -> str:
        """The part of a link's path that nobody can guess."""
        said = base64.urlsafe_b64encode(json.dumps(asdict(link)).encode()).decode().rstrip("=")
        return f"{said}.{self._signature(said)}"

    def read(self, token: str) -> Link | None:
        """What a token says, when it is one of ours, has not ended, and the account may still read the area."""
        said, _, signature = token.partition(".")
        if len(token) > _LONGEST or not token.isascii() or not hmac.compare_digest(self._signature(said), signature):
            return None
        link = Link(**json.loads(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4))))
        return link if link.expires > time.time() and self._accounts.may_read(link.who, link.aoi) else None

    def _signature(self, said: str) -> str:
        return hmac.digest(self._secret, said.encode(), "sha256").hex()
