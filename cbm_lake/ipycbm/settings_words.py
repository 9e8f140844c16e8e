"""Settings in words: the label of each, its unit, what it does, and the choices that it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True)
class Words:
    """A setting in words."""

    label: str
    """With the unit, if there is one."""
    tip: str
    """What it does."""
    choices: Mapping[str, str] = field(default_factory=dict)
    """Values in words, and as the file has them."""


_STORE: Final = {
    "host": Words("server", "address of the object store, with or without https://; empty is Amazon's"),
    "region": Words("region", "of the object store, eu-central-1 for instance; empty where it has none"),
    "access_key": Words("access key", "the public half of the account's key"),
    "secret_key": Words("secret key", "the secret half; what is there is never shown, an empty field leaves it"),
    "anonymous": Words("without an account", "read public buckets without a key"),
    "requester_pays": Words("reader pays", "agree to pay for what is read, which some public buckets demand"),
    "connections": Words(
        "connections at once", "how many parts are read at the same time; fewer where a store refuses"
    ),
    "retries": Words("further tries", "how often a request that failed is made again before it counts as failed"),
}

WORDS: Final[Mapping[str, Mapping[str, Words]]] = MappingProxyType(
    {
        "set": {
            "user": Words("your name", "stands beside notes, verdicts and decisions that you make"),
            "email": Words("your e-mail", "kept in the settings only; nothing is sent there"),
            "institution": Words("institution", "kept in the settings only"),
            "language": Words(
                "language",
                "of the workbench; the other panels and the messages are English",
                {"English": "en", "Deutsch": "de", "français": "fr", "español": "es"},
            ),
            "data_source": Words(
                "parcels are read from",
                "where single parcels are got from: the lake of this workspace, or a REST server with an account",
                {"the lake": "direct", "a REST server": "api"},
            ),
            "plimit": Words("parcels at once", "the greatest number of parcels that are got by one click"),
            "dataset": Words("usual area", "name of the area that is meant where none is said on the command line"),
            "ds_year": Words("usual year", "year of declaration that is meant where none is said on the command line"),
        },
        "paths": {
            "data": Words("folder of kept data", "lake, notes and what is to stay; relative to the workspace"),
            "temp": Words("folder of fetched data", "what can be fetched again and may be cleared away"),
        },
        "lake": {"url": Words("place of the lake", "a folder or an address, s3://…; empty is data/lake"), **_STORE},
        "api": {
            "url": Words("address", "of the REST server, https://…"),
            "user": Words("account", "the name with which you log in there"),
            "password": Words("password", "what is there is never shown, an empty field leaves it"),
        },
        "s3": {
            "dias": Words("provider", "name of the cloud that has the scenes; for your own orientation"),
            "bucket": Words("bucket", "whose account this is; empty means every bucket but the lake's own"),
            **_STORE,
        },
        "db": {
            "description": Words("what it is", "for your own orientation"),
            "host": Words("server", "address of the PostgreSQL server"),
            "port": Words("port", "of the server, usually 5432"),
            "name": Words("database", "its name on the server"),
            "sche": Words("schema", "in which the tables are, usually public"),
            "user": Words("account", "the name with which you log in there"),
            "password": Words("password", "what is there is never shown, an empty field leaves it"),
        },
    }
)
"""By section and name in the file."""
UNREAD: Final = frozenset({"update_check", "member_state", "polygon", "db_conn", "jupyterlab", "git_url"})
"""Settings of the original library that nothing here reads: they stay in the file and are not asked for."""
