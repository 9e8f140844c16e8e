"""The page of all widgets as a web site, by Voila: whoever opens it gets a process of their own.

On loopback it is for whoever is at this machine. Elsewhere every request, also of files and web sockets, needs a login
by an administrator's account: the widgets read all areas and change the settings.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
import ssl
import sys
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any, Final

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from tornado.routing import Matcher, Rule
from tornado.web import RequestHandler, create_signed_value, decode_signed_value
from traitlets.config import Config
from voila.app import Voila
from voila.shutdown_kernel_handler import VoilaShutdownKernelHandler

from cbm_lake.errors import ConfigError
from cbm_lake.server.accounts import Accounts, LockedOutError

log = logging.getLogger(__name__)

PAGE: Final = Path(__file__).with_name("app.ipynb")
_COOKIE: Final = "cbm_lake"
_DAYS: Final = 1
"""For which a login holds."""
_EXTENSIONS: Final = (
    "@voila-dashboards/widgets-manager8", "@jupyter-widgets/jupyterlab-manager", "jupyter-leaflet", "anywidget",
)  # fmt: skip
"""The scripts that our widgets need; others that happen to be installed stay out."""
_POLICY: Final = (
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:; style-src 'self' 'unsafe-inline'; "
    "font-src 'self' data:; frame-ancestors 'self'; object-src 'none'; base-uri 'self'"
)
"""No script or style comes from elsewhere, and no other site shows this one in a frame; maps may fetch their tiles."""
_LARGEST_UPLOAD: Final = 150_000_000
"""Bytes of a message, of which a file that is sent is one; a larger one ends the connection."""
_IDLE: Final = 3600
"""Seconds after which the process of a page that nobody looks at any more is ended."""


class Website(Voila):
    """Voila with our page, our logins, and a port that is taken or refused."""

    name = "cbm-lake"
    accounts: Accounts | None = None
    """Who may come in; None is everybody."""
    certificate: ssl.SSLContext | None = None
    opened: Callable[[str], None] = staticmethod(lambda _: None)
    """Called with the address when the site answers."""

    def init_handlers(self) -> list[Any]:
        """Voila's, behind the login."""
        handlers: list[Any] = [(r"/voila/api/shutdown/(.*)", _Leaving), *super().init_handlers()]
        if self.accounts is None:
            return handlers
        known = {"accounts": self.accounts, "secret": self.cookie_secret}
        return [Rule(_Strangers(**known), _Login, known), *handlers]

    def listen(self) -> None:
        """Answer until the process is told to end.

        Raises:
            ConfigError: the address or port cannot be had.
        """
        try:
            sockets = bind_sockets(self.port, self.ip)
        except OSError as error:
            raise ConfigError(
                f"cannot listen at {self.ip}:{self.port} ({error.strerror}); give another --port"
            ) from error
        server = HTTPServer(self.app, ssl_options=self.certificate)
        server.add_sockets(sockets)
        self.ioloop = IOLoop.current()
        scheme = "https" if self.certificate else "http"
        self.opened(f"{scheme}://{self.ip}:{sockets[0].getsockname()[1]}/")
        try:
            self.ioloop.start()
        except KeyboardInterrupt:
            log.info("stopped")
        finally:
            server.stop()
            self.stop()


def serve(
    host: str,
    port: int,
    *,
    accounts: Accounts | None,
    certificate: ssl.SSLContext | None = None,
    opened: Callable[[str], None],
) -> None:
    """Serve the page until the process is told to end.

    Args:
        host: address to listen at.
        port: 0 takes any that is free.
        accounts: whose administrators may come in; None is for loopback, where whoever is at this machine may.
        certificate: for https.
        opened: called with the address when it answers.

    Raises:
        ConfigError: the address or port cannot be had.
    """
    site = Website()
    site.accounts, site.certificate, site.opened = accounts, certificate, opened
    site.update_config(Config(MappingKernelManager={"cull_idle_timeout": _IDLE, "cull_interval": 300}))
    if sys.platform != "win32":  # over TCP everyone at this machine could read what goes to and fro
        site.update_config(Config(KernelManager={"transport": "ipc"}))
    site.update_config(Config(VoilaConfiguration={"file_allowlist": [], "extension_allowlist": list(_EXTENSIONS)}))
    site.log_level = logging.ERROR  # Voila tells of every process that it starts
    site.tornado_settings = {
        "headers": {"Content-Security-Policy": _POLICY},
        "websocket_max_message_size": _LARGEST_UPLOAD,
        "allow_remote_access": accounts is not None,  # else a site whose name leads to 127.0.0.1 could come in
    }
    site.initialize([])
    site.ip, site.port, site.open_browser = host, port, False  # whatever a voila.json says that lies about
    site.notebook_path, site.root_dir = str(PAGE), str(PAGE.parent)
    site.start()


class _Leaving(VoilaShutdownKernelHandler):
    """Ends the process of a page that is closed; without this Voila refuses its own page's wish, which has no token."""

    def check_xsrf_cookie(self) -> None:
        """Nothing: the address holds the process's number, which nobody but its page knows."""


class _Strangers(Matcher):
    """Requests without a login that holds."""

    def __init__(self, accounts: Accounts, secret: bytes) -> None:
        self.accounts, self.secret = accounts, secret

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """What tornado asks: {} where this is a stranger's, else None."""
        kept = decode_signed_value(self.secret, _COOKIE, _cookie(request), max_age_days=_DAYS)
        name, _, mark = (kept or b"").decode().rpartition("\0")
        user = self.accounts.users().get(name)
        holds = user is not None and user.admin and mark == _mark(user.hash)
        return None if holds else {}


class _Login(RequestHandler):
    """Asks for name and password; whoever gives them right is let in by a cookie."""

    def initialize(self, accounts: Accounts, secret: bytes) -> None:
        """Take what the rule gives."""
        self.accounts, self.secret = accounts, secret

    async def prepare(self) -> None:
        """Answer every method alike, so that nothing is reached without a login."""
        name, password = _basic(self.request.headers.get("Authorization", ""))
        address = self.request.remote_ip or ""
        try:
            loop = asyncio.get_running_loop()  # hashing is slow on purpose: others need not wait for it
            account = await loop.run_in_executor(None, self.accounts.check, name, password, address) if name else None
        except LockedOutError as error:
            self.set_header("Retry-After", f"{error.seconds:.0f}")
            return self._refuse(429, str(error))
        if account is None:
            self.set_header("WWW-Authenticate", 'Basic realm="cbm-lake", charset="UTF-8"')
            return self._refuse(401, "Could not verify.")
        if not account.admin:
            return self._refuse(
                403, "This page reads all areas; it is for administrators (cbm-lake user grant --admin)."
            )
        self._let_in(account.name)
        return None

    def _let_in(self, name: str) -> None:
        value = create_signed_value(self.secret, _COOKIE, f"{name}\0{_mark(self.accounts.users()[name].hash)}")
        secure = self.request.protocol == "https"
        self.set_cookie(_COOKIE, value.decode(), httponly=True, samesite="Strict", secure=secure)
        log.info("%s %s logged in", self.request.remote_ip, name)
        self.redirect(self.request.path)

    def _refuse(self, status: int, text: str) -> None:
        log.info("%s %s %s %d", self.request.remote_ip, self.request.method, self.request.path, status)
        self.set_status(status)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(text)


def _cookie(request: HTTPServerRequest) -> str | None:
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(request.headers.get("Cookie", ""))
    except CookieError:
        return None
    return jar[_COOKIE].value if _COOKIE in jar else None


def _mark(hashed: str) -> str:
    """What changes with the password, so that a new one ends earlier logins."""
    return hashlib.sha256(hashed.encode()).hexdigest()[:16]


def _basic(header: str) -> tuple[str, str]:
    """Name and password of HTTP Basic, empty where there are none."""
    scheme, _, value = header.partition(" ")
    try:
        given = base64.b64decode(value, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    name, _, password = given.partition(":")
    return (name, password) if scheme.lower() == "basic" else ("", "")
