"""Profile files of Delta Sharing: where the service is, and a token of one account."""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path
from urllib.parse import urlsplit

from cbm_lake.errors import ConfigError, InvalidInputError
from cbm_lake.files import durable
from cbm_lake.server.accounts import Accounts


def profile(accounts: Accounts, name: str, url: str, days: int = 90) -> dict[str, object]:
    """A profile with a new token of an account, as clients of Delta Sharing read it.

    Args:
        accounts: of the service.
        name: of the account; it reads the areas that it is granted, whenever that changes.
        url: of the service as its users reach it, such as https://lake.example.org.
        days: for which the token holds; `Accounts.revoke` ends all tokens of an account before.

    Raises:
        NotFoundError: there is no account of that name.
        InvalidInputError: the address is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InvalidInputError(f"{url!r} is no address; write it as https://lake.example.org")
    token, expires = accounts.issue(name, days)
    return {
        "shareCredentialsVersion": 1,
        "endpoint": f"{url.rstrip('/')}/delta-sharing",
        "bearerToken": token,
        "expirationTime": f"{expires.astimezone(UTC):%Y-%m-%dT%H:%M:%S.000Z}",
    }


def write(accounts: Accounts, name: str, url: str, file: Path, days: int = 90) -> None:
    """Write a profile to a new file that the owner alone may read; errors are those of `profile` too.

    Raises:
        InvalidInputError: there is such a file already.
        ConfigError: the file cannot be written.
    """
    if file.exists():
        raise InvalidInputError(f"{file} is there already; give another name, or delete it")
    content = json.dumps(profile(accounts, name, url, days), indent=2).encode()
    try:
        if not durable.create(file, content, private=True):
            raise InvalidInputError(f"{file} is there already; give another name, or delete it")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written ({error.strerror}); check its folder's rights") from error
