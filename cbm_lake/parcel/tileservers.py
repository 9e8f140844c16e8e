"""Tile server definitions: built in, from xyzservices, or from the workspace, in the form that GDAL opens."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError
from cbm_lake.parcel import chips

if TYPE_CHECKING:
    from xyzservices import TileProvider

_PROVIDERS: Final = MappingProxyType(
    {"osm": "OpenStreetMap.Mapnik", "esri": "Esri.WorldImagery", "ags": "Esri.WorldImagery"}
)
"""The original library's names of servers, as xyzservices has them."""
_UNLISTED: Final = MappingProxyType(
    {
        "google": ("https://mt1.google.com/vt/lyrs=s&x={x}&y={y}&z={z}", "Imagery \u00a9 Google"),
        "bing": ("https://ecn.t3.tiles.virtualearth.net/tiles/a{quadkey}.jpeg?g=1", "Imagery \u00a9 Microsoft Bing"),
    }
)
"""Servers that xyzservices does not list: URL template and attribution."""
_DEEPEST: Final = 19
"""Zoom level at which a server is taken to end that does not say it."""
_TILES: Final = """<GDAL_WMS>
  <Service name="{service}"><ServerUrl>{url}</ServerUrl></Service>
  <DataWindow>
    <UpperLeftX>-{half}</UpperLeftX><UpperLeftY>{half}</UpperLeftY>
    <LowerRightX>{half}</LowerRightX><LowerRightY>-{half}</LowerRightY>
    <TileLevel>{level}</TileLevel><TileCountX>1</TileCountX><TileCountY>1</TileCountY><YOrigin>top</YOrigin>
  </DataWindow>
  <Projection>EPSG:3857</Projection><BlockSizeX>256</BlockSizeX><BlockSizeY>256</BlockSizeY><BandsCount>3</BandsCount>
  <Timeout>10</Timeout><MaxConnections>4</MaxConnections><ZeroBlockHttpCodes>204</ZeroBlockHttpCodes>
  <UserAgent>cbm-lake</UserAgent>
</GDAL_WMS>"""
_WEB_MERCATOR: Final = frozenset({"EPSG:3857", "EPSG:900913"})


def names() -> list[str]:
    """Named tile servers: built in, and those of the workspace."""
    return list(dict.fromkeys(["google", "bing", *_PROVIDERS, *_of_workspace()]))


def definition(name: str) -> str:
    """GDAL definition of a tile server.

    Args:
        name: one of `names`, or a provider of xyzservices, such as "BasemapAT.orthofoto"; case does not matter.

    Raises:
        InvalidInputError: there is no such server, or it needs a key or another coordinate system.
    """
    template = _of_workspace().get(name.lower())
    if template is not None:
        return of_template(template)
    if name.lower() in _UNLISTED:
        return _described(_UNLISTED[name.lower()][0], _DEEPEST)
    provider = _provider(name)
    return _described(provider.build_url(), int(provider.get("max_zoom", _DEEPEST)))


def of_template(template: str) -> str:
    """GDAL definition of a URL with {x}, {y}, {z} or {quadkey}; what else GDAL opens stays as it is."""
    return _described(template, _DEEPEST) if re.search(r"\{(x|quadkey)\}", template) else template


def attribution(name: str) -> str:
    """Attribution of a server's tiles; "" for servers of the workspace."""
    if name.lower() in _of_workspace():
        return ""
    if name.lower() in _UNLISTED:
        return _UNLISTED[name.lower()][1]
    return str(_provider(name).get("attribution", ""))


def _provider(name: str) -> TileProvider:
    """An xyzservices provider whose tiles need no key.

    Raises:
        InvalidInputError: unknown name, or its tiles cannot be read.
    """
    from xyzservices import providers

    listed = {key.lower(): provider for key, provider in providers.flatten().items()}
    provider = listed.get(_PROVIDERS.get(name.lower(), name).lower())
    if provider is None:
        raise InvalidInputError(
            f"there is no background {name!r}; choose from {', '.join([*names(), 'sentinel'])}, "
            "or a provider of xyzservices, such as Esri.WorldImagery"
        )
    if provider.requires_token():
        raise InvalidInputError(
            f"background {name} needs a key; put its URL with your key into the settings, under tms"
        )
    if str(provider.get("crs", "EPSG:3857")) not in _WEB_MERCATOR:
        raise InvalidInputError(
            f"background {name} is in {provider['crs']}, not in Web Mercator; describe it in config/tms/ for GDAL_WMS"
        )
    return provider


def _described(template: str, deepest: int) -> str:
    """GDAL_WMS description of a URL template."""
    url = re.sub(r"\{(x|y|z|quadkey)\}", r"${\1}", template)
    service = "VirtualEarth" if "{quadkey}" in template else "TMS"
    return _TILES.format(service=service, url=escape(url), half=chips.HALF_MAP, level=deepest)


def _of_workspace() -> dict[str, str]:
    """Servers from config/tms/<name>.xml and the settings, which take precedence."""
    workspace = Workspace.here()
    files = {file.stem.lower(): str(file) for file in sorted(workspace.config_file.parent.glob("tms/*.xml"))}
    return {**files, **{name.lower(): url for name, url in workspace.config.tms.items()}}
