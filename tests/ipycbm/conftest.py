"""What tests of the widgets share."""

import threading

import pytest

from cbm_lake.ipycbm.newest import THREAD


@pytest.fixture(autouse=True)
def no_work_left():
    """What a widget looks up beside the page ends with its test."""
    yield
    for thread in threading.enumerate():
        if thread.name == THREAD:
            thread.join(60)
