"""Credentials of web servers, per host, from the environment or a netrc file; they are never stored.

For https://stac.example.org:8443/v1 these variables are looked at, then the same without the port:

    CBM_LAKE_TOKEN_STAC_EXAMPLE_ORG_8443=…                    a bearer token
    CBM_LAKE_BASIC_STAC_EXAMPLE_ORG_8443=user:password        basic authentication
    CBM_LAKE_HEADERS_STAC_EXAMPLE_ORG_8443={"X-Api-Key": "…"} any other headers, as JSON

Every character of the host that is neither letter nor digit becomes `_`. Without a variable, user information in the
URL is taken, then the entry of the host in $NETRC or ~/.netrc (its `default` entry is not: it would go to everybody).
"""

from __future__ import annotations

import json
import netrc
import os
import re
from base64 import b64encode
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from cbm_lake.errors import ConfigError, InvalidInputError
from cbm_lake.storage.location import Location

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_URL: Final = re.compile(r"(?P<before>.*?)(?P<url>[A-Za-z][A-Za-z0-9+.-]*://.*)", re.DOTALL)
_QUERY: Final = re.compile(r"(/[^\s?#]*)[?#]\S+")
_SECRET: Final = re.compile(
    r"sig|x-(amz|goog|oss|obs)-.*|(aws|oss)?accesskeyid|googleaccessid|key-pair-id|policy|sas|jwt|auth|authorization"
    r"|.*(token|secret|signature|credential|passw|hmac).*|pwd|bearer|cookie|ticket|hdnts|hdnea|session(_?id)?"
    r"|(ocp-apim-)?(subscription|api|app|access|auth|account|private)?[_-]?key",
    re.IGNORECASE,
)
"""Parameters of a query that sign or authenticate it, as stores and catalogues call them."""
_OF_SAS: Final = re.compile(r"s[etpvri]|srt|ss|spr|sip|sk(oid|tid|t|e|s|v)|saoid|suoid|scid|sdd|expires", re.IGNORECASE)
"""Parameters that go with a signature, and may mean something else without one."""


def headers(url: str) -> dict[str, str]:
    """The HTTP headers that authenticate requests to the host of a URL; empty without credentials.

    Raises:
        ConfigError: a variable or the netrc file is malformed; the message names it, never its value.
        InvalidInputError: `url` is no URL.
    """
    return _stated(url)[0]


def advice(url: str) -> str:
    """A phrase on how to provide credentials for the host of a URL, or which of the present ones to renew.

    Raises:
        ConfigError: as `headers`.
        InvalidInputError: as `headers`.
    """
    _, origin = _stated(url)
    if origin:
        return f"check or renew what {origin} gives for it"
    name = _names(_split(url))[-1]
    return (
        f"set CBM_LAKE_TOKEN_{name} to a token, CBM_LAKE_BASIC_{name} to user:password or CBM_LAKE_HEADERS_{name} "
        "to JSON, or give the host in ~/.netrc"
    )


def without_secrets(url: str) -> str:
    """A URL without user information, query string and fragment, for messages and tables; other text as it is."""
    parts = _URL.fullmatch(url)
    if not parts:
        return url
    address = re.split(r"[?#]", parts["url"], maxsplit=1)[0]
    return parts["before"] + _without_user(address)


def redacted(text: str, url: str) -> str:
    """A server's message without the credentials of the request for `url` and without query strings of URLs."""
    secrets = [value for header in headers(url).values() for value in (header, header.rpartition(" ")[2])]
    secrets += [unquote(urlsplit(url).password or "")]
    secrets += [value for name, value in parse_qsl(urlsplit(url).query) if _SECRET.fullmatch(name)]
    for secret in sorted({secret for secret in secrets if secret}, key=len, reverse=True):
        text = text.replace(secret, "…")
    return _QUERY.sub(r"\1", text)


def without_signature(href: str) -> str:
    """An href without user information and the parameters of its query that sign or authenticate it.

    The rest of the query stays, since it may identify the file; of a fragment what `Location` knows.
    """
    if href.startswith("/vsicurl?"):  # GDAL's other way to name a URL, with options
        href = f"/vsicurl/{dict(parse_qsl(href.partition('?')[2])).get('url', '')}"
    location = Location.of(href)
    parts = _URL.fullmatch(location.path)
    if not parts:
        return href
    address, mark, query = parts["url"].partition("#")[0].partition("?")
    fields = parse_qsl(query, keep_blank_values=True)
    secret = {name for name, _ in fields if _SECRET.fullmatch(name)}
    if secret:
        others = [(name, value) for name, value in fields if name not in secret and not _OF_SAS.fullmatch(name)]
        query = urlencode(others, quote_via=quote)
    bare = parts["before"] + _without_user(address) + (mark + query if query else "")
    return location._replace(path=bare).href


def _without_user(address: str) -> str:
    scheme, _, rest = address.partition("://")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    if not at or (":" not in user and not scheme.lower().startswith(("http", "ftp"))):
        return address  # abfss://container@account.dfs.core.windows.net names no user
    return f"{scheme}://{host}{slash}{path}"


def _stated(url: str) -> tuple[dict[str, str], str]:
    """The headers for a URL, and their source."""
    parts = _split(url)
    if parts.scheme.lower() not in {"http", "https"} or not parts.hostname:
        return {}, ""
    for name in _names(parts):
        stated, variables = _of_environment(name)
        if stated:
            return stated, " and ".join(variables)
    if parts.username:
        return _basic(f"{unquote(parts.username)}:{unquote(parts.password or '')}"), "the URL"
    return _of_netrc(parts.hostname)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise InvalidInputError(f"{without_secrets(url)!r} is no URL; correct it") from error
    return parts


def _names(parts: SplitResult) -> list[str]:
    """The forms of a host in names of variables: with its port first, where it has one."""
    host = (parts.hostname or "").rstrip(".")
    ported = [f"{host}:{parts.port}"] if parts.port else []
    return [re.sub(r"[^A-Z0-9]", "_", name.upper()) for name in (*ported, host)]


def _of_environment(name: str) -> tuple[dict[str, str], list[str]]:
    """The headers from the variables of a host, and the names of these."""
    token, basic, others = (f"CBM_LAKE_{kind}_{name}" for kind in ("TOKEN", "BASIC", "HEADERS"))
    present = [variable for variable in (token, basic, others) if os.environ.get(variable, "").strip()]
    if token in present and basic in present:
        raise ConfigError(f"both {token} and {basic} are set; unset one of them")
    headers: dict[str, str] = {}
    if token in present:
        headers["Authorization"] = f"Bearer {_token(token)}"
    if basic in present:
        value = os.environ[basic].strip()
        if ":" not in value:
            raise ConfigError(f"{basic} is not of the form user:password; correct it")
        headers |= _basic(value)
    if others in present:
        headers |= _others(others)
    return headers, present


def _token(variable: str) -> str:
    value = re.sub(r"^bearer\s+", "", os.environ[variable].strip(), flags=re.IGNORECASE)
    if not re.fullmatch(r"[!-~]+", value):
        raise ConfigError(f"{variable} is no token: it has spaces or letters outside ASCII; correct it")
    return value


def _others(variable: str) -> dict[str, str]:
    try:
        content = json.loads(os.environ[variable])
    except ValueError:
        content = None  # what cannot be read is quoted by the error, and may be a secret
    if not isinstance(content, dict) or not all(
        _HEADER_NAME.fullmatch(name) and isinstance(value, str) and re.fullmatch(r"[\t -~]*", value)
        for name, value in content.items()
    ):
        raise ConfigError(f'{variable} is no JSON object of headers such as {{"X-Api-Key": "…"}}; correct it')
    return {name: value.strip() for name, value in content.items()}


def _basic(user_and_password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(user_and_password.encode()).decode('ascii')}"}


def _of_netrc(host: str) -> tuple[dict[str, str], str]:
    """The entry of a host in the netrc file; a file that is not there, or is another user's, is as an empty one."""
    named = os.environ.get("NETRC")
    path = Path(os.path.expanduser(named or "~/.netrc"))  # noqa: PTH111 - Path.expanduser fails where no home is
    try:
        hosts = netrc.netrc(path).hosts
    except netrc.NetrcParseError as error:
        # its own message quotes the word that it stumbled over, which may be a password
        raise ConfigError(f"{path} cannot be read as netrc at line {error.lineno}; correct it") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} cannot be read as netrc: it is not text in UTF-8; correct it") from None
    except (FileNotFoundError, PermissionError, NotADirectoryError):
        return {}, ""
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); correct NETRC") from error
    login, account, password = hosts.get(host) or ("", "", "")
    if not password:
        return {}, ""
    return _basic(f"{login or account or ''}:{password}"), str(path)
