"""stac-api-validator, unmodified, in a process that reaches this machine only.

Schemas of STAC itself come from pystac's package. Those of extensions are on the network alone: they are answered by an
empty schema, which lets everything pass, and their addresses are written to the file that is named first.
"""

import io
import json
import sys
import urllib.request
from pathlib import Path

import pystac
import requests
from requests.adapters import BaseAdapter

SCHEMAS = Path(pystac.__file__).parent / "validation" / "jsonschemas"
MISSING = Path(sys.argv.pop(1))


def schema(url):
    name = url.partition("#")[0].rpartition("/")[2]
    for folder, host in (("stac-spec/v1.1.0", "schemas.stacspec.org/v1.1.0"), ("geojson", "geojson.org")):
        file = SCHEMAS / folder / name
        if host in url and file.exists():
            return file.read_bytes()
    with MISSING.open("a") as log:
        log.write(url + "\n")
    return b"{}"


class Offline(BaseAdapter):
    def send(self, request, **_):
        answer = requests.Response()
        answer.status_code, answer.url, answer.request = 200, request.url, request
        answer.raw = io.BytesIO(schema(request.url))
        answer.headers["content-type"] = "application/json"
        return answer

    def close(self):
        pass


class Session(requests.Session):
    def __init__(self):
        super().__init__()
        self.mount("https://", Offline())


opened = urllib.request.urlopen


def urlopen(request, *args, **kwargs):
    url = request if isinstance(request, str) else request.full_url
    return io.BytesIO(schema(url)) if url.startswith("https://") else opened(request, *args, **kwargs)


requests.Session = requests.sessions.Session = Session
urllib.request.urlopen = urlopen
assert json.loads(schema("https://schemas.stacspec.org/v1.1.0/item-spec/json-schema/item.json"))["title"]

from stac_api_validator.__main__ import main  # noqa: E402 - after what it uses has been replaced

main()
