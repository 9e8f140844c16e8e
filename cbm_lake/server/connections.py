"""Connection limits and timeouts of the REST service: idle connections are closed so that they cannot exhaust it."""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from cbm_lake.server.limits import is_among, sender_of

log = logging.getLogger(__name__)

_HEAD_SECONDS: Final = 15.0
"""For the head of a request to arrive, from the connection on or, of a later one, from its first byte."""
_IDLE_SECONDS: Final = 30
"""Between two requests of a connection."""
_STALLED_SECONDS: Final = 60.0
"""For which a client may take nothing of an answer."""
_OF_ADDRESS: Final = 128
"""Connections of one address; proxies that are named may have more."""
_IN_ALL: Final = 2048
"""Connections; fewer where the process may not open so many files."""
_LARGEST_HEAD: Final = 131_072
"""Bytes of a request's head."""
_BUSY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
    b"X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
)


def configured(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    proxies: Sequence[str] = (),
    root_path: str = "",
    certificate: Path | None = None,
    key: Path | None = None,
) -> uvicorn.Config:
    """The uvicorn configuration of the service.

    Args:
        app: the service.
        host: address to listen at.
        port: 0 takes any that is free.
        proxies: addresses or networks (10.0.0.0/8) whose X-Forwarded-For and X-Forwarded-Proto are believed.
        root_path: path under which a proxy offers the service.
        certificate: for https.
        key: its key.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=Connection,
        ws="none",
        access_log=False,
        server_header=False,
        root_path=root_path,
        log_level="warning",
        log_config=None,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        timeout_keep_alive=_IDLE_SECONDS,
        h11_max_incomplete_event_size=_LARGEST_HEAD,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
    )


class Connection(H11Protocol):
    """A connection with a timeout while no request of it is being processed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._since = time.monotonic()
        self._watch: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    @property
    def sender(self) -> str:
        """Whose it is."""
        return sender_of(self.client[0]) if self.client else ""

    @property
    def is_waiting(self) -> bool:
        """Whether no request is worked on."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to watch; where there are too many, the one that asked nothing for the longest time ends."""
        super().connection_made(transport)  # type: ignore[arg-type]  # of which uvicorn demands one that writes
        self._make_room()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """End watching."""
        self._stop()
        self._resumed()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request; a head that is none is answered with 400."""
        if self.transport.is_closing():
            return
        try:
            super().data_received(data)
        except UnicodeDecodeError:  # a target that is not ASCII
            self.send_400_response("Invalid HTTP request received.")
        self._look()

    def on_response_complete(self) -> None:
        """Wait for the next request; what is left of this one's body must come soon."""
        super().on_response_complete()
        self._since = time.monotonic()
        self._stop()
        if self.conn.their_state is h11.SEND_BODY or self.conn.trailing_data[0]:
            self._look()

    def pause_writing(self) -> None:
        """The client takes nothing at the moment."""
        super().pause_writing()
        self._stall = self._stall or self.loop.call_later(_STALLED_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The client takes something again."""
        self._resumed()
        super().resume_writing()

    def _look(self) -> None:
        """Watch while a head, or the rest of a body, is incomplete."""
        if not self.is_waiting or self.transport.is_closing():
            self._stop()
        elif self._watch is None:
            self._watch = self.loop.call_later(_HEAD_SECONDS, self._late)

    def _late(self) -> None:
        if self.is_waiting and not self.transport.is_closing():
            self.transport.abort()

    def _stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _resumed(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _make_room(self) -> None:
        """End the connection that waits for the longest time, of this address or of all; else refuse this one."""
        others: list[Connection] = [each for each in self.connections if isinstance(each, Connection)]
        if not self._is_proxy():
            same_sender = [each for each in others if each.sender == self.sender]
            if len(same_sender) > _OF_ADDRESS:
                self._replace(same_sender)
                return
        if len(others) > _most():
            self._replace(others)

    def _replace(self, others: Sequence[Connection]) -> None:
        waiting = [each for each in others if each is not self and each.is_waiting]
        if waiting:
            oldest = min(waiting, key=lambda each: each._since)  # noqa: SLF001 - of this class
            oldest.connections.discard(oldest)
            oldest.transport.abort()
        else:
            self.transport.write(_BUSY)
            self.transport.close()

    def _is_proxy(self) -> bool:
        proxies = self.config.forwarded_allow_ips or () if self.config.proxy_headers else ()
        return self.client is not None and is_among(self.client[0], proxies)


def _most() -> int:
    """Connections that there may be: half of the files that the process may open, at most."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(_IN_ALL, files // 2)
