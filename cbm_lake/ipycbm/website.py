"""Web server of the widgets (Voila): each visitor gets a separate process.

On loopback it is for whoever is at this machine. Elsewhere every request, also of files and web sockets, needs a login
by an administrator's account: the widgets read all areas and change the settings.
"""

from __future__ import annotations

import hashlib
import logging
import os
import ssl
import sys
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from tornado.routing import Matcher, Rule
from tornado.web import RequestHandler, create_signed_value, decode_signed_value, stream_request_body
from traitlets.config import Config
from voila.app import Voila
from voila.shutdown_kernel_handler import VoilaShutdownKernelHandler

from cbm_lake.config import Workspace
from cbm_lake.errors import ConfigError
from cbm_lake.ipycbm import opened as opening
from cbm_lake.server.accounts import Accounts
from cbm_lake.server.audit import DAYS, AccessLog, Look
from cbm_lake.server.limits import RefusalError
from cbm_lake.server.login import Door, credentials
from cbm_lake.server.plain import escaped

log = logging.getLogger(__name__)

PAGE: Final = Path(__file__).with_name("app.ipynb")
_TEMPLATES: Final = Path(__file__).with_name("template")
"""Pages of ours that stand before Voila's of the same names, which fetch style sheets from elsewhere."""
_COOKIE: Final = "cbm_lake"
_DAYS: Final = 1
"""For which a login holds."""
_EXTENSIONS: Final = (
    "@voila-dashboards/widgets-manager8",
    "@jupyter-widgets/jupyterlab-manager",
    "jupyter-leaflet",
    "anywidget",
)
"""The scripts that our widgets need; others that happen to be installed stay out."""
_POLICY: Final = (
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:; style-src 'self' 'unsafe-inline'; "
    "font-src 'self' data:; frame-ancestors 'self'; object-src 'none'; base-uri 'self'"
)
"""No script or style comes from elsewhere, and no other site shows this one in a frame; maps may fetch their tiles."""
_LARGEST_UPLOAD: Final = 150_000_000
"""Maximum bytes of a message, such as an uploaded file; larger ones close the connection."""
_OWN: Final = ("/voila/static/", "/voila/templates/", "/static/")
"""Scripts and style sheets, which are not logged."""
_HEAD: Final = 60.0
"""Seconds for the next request of a connection to come."""
_BODY: Final = 600.0
"""Seconds for its body to come."""
_IDLE: Final = 3600
"""Seconds after which the process of a page that nobody looks at any more is ended."""


class Website(Voila):
    """Voila application with our page, logins, and a fixed port."""

    name = "cbm-lake"
    accounts: Accounts | None = None
    """Who may come in; None is everybody."""
    certificate: ssl.SSLContext | None = None
    opened: Callable[[str], None] = staticmethod(lambda _: None)
    """Called with the address when the site answers."""

    def setup_template_dirs(self) -> None:
        """Templates of Voila, behind ours."""
        super().setup_template_dirs()
        self.template_paths.insert(0, str(_TEMPLATES))

    def init_handlers(self) -> list[Any]:
        """Handlers of Voila, behind the login."""
        handlers: list[Any] = [(r"/voila/api/shutdown/(.*)", _Leaving), *super().init_handlers()]
        rules = [Rule(_Odd(), _Nothing), Rule(_Strangers(self.accounts, self.cookie_secret), _Login)]
        if self.accounts is not None:
            rules[1].target_kwargs = {"door": Door(self.accounts), "secret": self.cookie_secret}
        return [*rules, *handlers]

    def listen(self) -> None:
        """Serve requests until the process is stopped.

        Raises:
            ConfigError: the address or port cannot be had.
        """
        try:
            sockets = bind_sockets(self.port, self.ip)
        except OSError as error:
            raise ConfigError(
                f"cannot listen at {self.ip}:{self.port} ({error.strerror}); give another --port"
            ) from error
        server = HTTPServer(
            self.app,
            ssl_options=self.certificate,
            idle_connection_timeout=_HEAD,
            body_timeout=_BODY,
            max_buffer_size=_LARGEST_UPLOAD,
        )
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
    access: Path | None = None,
    days: int = DAYS,
) -> None:
    """Serve the page until the process is stopped.

    Args:
        host: address to listen at.
        port: 0 takes any that is free.
        accounts: whose administrators may come in; None is for loopback, where whoever is at this machine may.
        certificate: for https.
        opened: called with the address when it answers.
        access: folder of the access log; None is no log.
        days: for which the access log is kept.

    Raises:
        ConfigError: the address or port cannot be had.
    """
    site = Website()
    site.accounts, site.certificate, site.opened = accounts, certificate, opened
    site.update_config(Config(MappingKernelManager={"cull_idle_timeout": _IDLE, "cull_interval": 300}))
    if sys.platform != "win32":  # over TCP everyone at this machine could read what goes to and fro
        site.update_config(Config(KernelManager={"transport": "ipc"}))
    site.update_config(Config(VoilaConfiguration={"file_allowlist": [], "extension_allowlist": list(_EXTENSIONS)}))
    site.update_config(Config(VoilaConfiguration={"http_header_envs": [opening.WHO, opening.ADDRESS]}))
    site.log_level = logging.ERROR  # Voila tells of every process that it starts
    site.tornado_settings = {
        "headers": {"Content-Security-Policy": _POLICY},
        "websocket_max_message_size": _LARGEST_UPLOAD,
        "allow_remote_access": accounts is not None,  # else a site whose name leads to 127.0.0.1 could come in
    }
    if access is not None:
        os.environ[opening.FOLDER], os.environ[opening.DAYS] = str(access), str(days)
        site.tornado_settings["log_function"] = _writer(AccessLog(access, days))
    os.environ.update(Workspace.here().environment())  # for the processes of pages, which begin in another folder
    site.initialize([])
    site.ip, site.port, site.open_browser = host, port, False  # whatever a voila.json says that lies about
    site.notebook_path, site.root_dir = str(PAGE), str(PAGE.parent)
    site.start()


class _Leaving(VoilaShutdownKernelHandler):
    """Shuts down the kernel of a closed page; Voila alone would refuse the request, which has no token."""

    def check_xsrf_cookie(self) -> None:
        """Disabled: the URL contains the kernel id, which only its own page knows."""


class _Odd(Matcher):
    """Matches paths that no page has and that a browser could resolve to another site."""

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """Matcher interface of tornado: {} for such a request, else None."""
        path = unquote(request.path)
        inside = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
        return None if inside else {}


@stream_request_body
class _Bodiless(RequestHandler):
    """Answers before the request body arrives, and discards it."""

    def set_default_headers(self) -> None:
        """Announce that the connection closes, before the client reuses it."""
        self.set_header("Connection", "close")

    def data_received(self, chunk: bytes) -> None:
        """Nothing."""


class _Nothing(_Bodiless):
    """Responds 404."""

    def prepare(self) -> None:
        """Answer every method alike."""
        self.set_status(404)
        self.finish("there is nothing of that name")


class _Strangers(Matcher):
    """Matches requests without a valid login; records the account of all others.

    Args:
        accounts: who may come in; None is everybody.
        secret: with which logins are signed.
    """

    def __init__(self, accounts: Accounts | None, secret: bytes) -> None:
        self.accounts, self.secret = accounts, secret

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """What tornado asks: {} where this is a stranger's, else None."""
        for header in (opening.WHO, opening.ADDRESS):
            request.headers.pop(header, None)
        request.headers[opening.ADDRESS] = request.remote_ip or ""
        if self.accounts is None:
            return None
        signed = decode_signed_value(self.secret, _COOKIE, _cookie(request), max_age_days=_DAYS)
        name, _, mark = (signed or b"").decode().rpartition("\0")
        user = self.accounts.users().get(name)
        if user is None or not user.admin or mark != _mark(user.hash):
            return {}
        request.headers[opening.WHO] = name
        return None


class _Login(_Bodiless):
    """Asks for name and password, and sets a login cookie."""

    def initialize(self, door: Door, secret: bytes) -> None:
        """Store the arguments of the rule."""
        self.door, self.secret = door, secret

    async def prepare(self) -> None:
        """Answer every method alike, so that nothing is reached without a login."""
        header = self.request.headers.get("Authorization", "")
        try:
            account = await self.door.enter(header, self.request.remote_ip or "")
        except RefusalError as refusal:
            return self._refuse(refusal, credentials(header)[0])
        if not account.admin:
            reason = "This page reads all areas; it is for administrators (cbm-lake user grant --admin)."
            return self._refuse(RefusalError(403, reason), account.name)
        self._let_in(account.name)
        return None

    def _let_in(self, name: str) -> None:
        mark = _mark(self.door.accounts.users()[name].hash)
        value = create_signed_value(self.secret, _COOKIE, f"{name}\0{mark}")
        secure = self.request.protocol == "https"
        self.set_cookie(_COOKIE, value.decode(), httponly=True, samesite="Strict", secure=secure)
        log.warning("%s logged in as %s", self.request.remote_ip, name)
        self.request.headers[opening.WHO] = name
        self.redirect(self.request.path)

    def _refuse(self, refusal: RefusalError, name: str) -> None:
        if name:
            log.warning("%s failed to log in as %s: %d", self.request.remote_ip, escaped(name), refusal.status)
        for header, value in refusal.headers.items():
            self.set_header(header, value)
        if refusal.status == 401:
            self.set_header("WWW-Authenticate", 'Basic realm="cbm-lake", charset="UTF-8"')
        self.set_status(refusal.status)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(refusal.reason)


def _writer(access: AccessLog) -> Callable[[RequestHandler], None]:
    """Access log entry per request, except for the site's own scripts."""

    def write(handler: RequestHandler) -> None:
        request, status = handler.request, handler.get_status()
        who = request.headers.get(opening.WHO) or None
        if request.path.startswith(_OWN) or (who is None and status not in (200, 401)):
            return
        address, ms = request.remote_ip or "", round(1000 * request.request_time(), 1)
        access.add(Look(who, address, "app", request.method or "", request.path, status, ms, question=request.query))

    return write


def _cookie(request: HTTPServerRequest) -> str | None:
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(request.headers.get("Cookie", ""))
    except CookieError:
        return None
    return jar[_COOKIE].value if _COOKIE in jar else None


def _mark(hashed: str) -> str:
    """Digest that changes with the password, which invalidates earlier logins."""
    return hashlib.sha256(hashed.encode()).hexdigest()[:16]
