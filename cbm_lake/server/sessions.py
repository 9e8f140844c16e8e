"""Tokens of a session: JSON Web Tokens (HS256); none is stored.

They are signed with a secret of the service and what is stored of the account: another password ends them, and so does
the end of all tokens of the account. Who reads the file of accounts alone cannot forge them.
"""

from __future__ import annotations

import base64
import hmac
import json
import time
from typing import Any, Final

_HEADER: Final = {"alg": "HS256", "typ": "JWT"}
_LONGEST: Final = 4096


def issued(name: str, secret: bytes, seconds: int) -> str:
    """A token of an account that is valid for so many seconds from now on."""
    content = {"azp": name, "sub": name, "exp": int(time.time()) + seconds}
    signed = f"{_encoded(json.dumps(_HEADER).encode())}.{_encoded(json.dumps(content).encode())}"
    return f"{signed}.{_signature(signed, secret)}"


def name_of(token: str) -> str | None:
    """The account that a token of this kind names, rightly or not; None of any other token."""
    content = _content(token)
    return content["azp"] if content is not None else None


def is_valid(token: str, secret: bytes) -> bool:
    """Whether a token was issued with this secret, and has not expired."""
    content, (signed, _, signature) = _content(token), token.rpartition(".")
    is_genuine = hmac.compare_digest(_signature(signed, secret).encode(), signature.encode("utf-8", "replace"))
    return content is not None and is_genuine and content["exp"] > time.time()


def _content(token: str) -> dict[str, Any] | None:
    parts = token.split(".")
    if len(parts) != 3 or len(token) > _LONGEST:
        return None
    try:
        content = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    is_content = (
        isinstance(content, dict) and isinstance(content.get("azp"), str) and isinstance(content.get("exp"), int)
    )
    return content if is_content else None


def _signature(signed: str, secret: bytes) -> str:
    return _encoded(hmac.digest(secret, signed.encode("utf-8", "replace"), "sha256"))


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
