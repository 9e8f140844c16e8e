"""Absolute paths of relative folders, fixed for the lifetime of a process whatever the current folder."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path


@cache
def absolute(folder: str) -> Path:
    """A folder by its absolute path: the same after a chdir.

    Raises:
        OSError: the current folder is no more.
    """
    return Path(folder).absolute()


def remember(*variables: str) -> None:
    """See what the folders that variables of the environment name are now; of one that is not set the current one."""
    for variable in variables:
        folder = os.environ.get(variable, "")
        with suppress(OSError):  # which is reported where the folder is needed
            absolute(folder if "://" not in folder else "")
