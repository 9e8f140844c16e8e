"""Two services on one workspace under load, for a minute: the same as benchmarks.load, which takes ten."""

import shutil

import pytest
import small_demo

from benchmarks import load

SECONDS = 30
CONNECTIONS = 64


@pytest.mark.slow
def test_two_services_answer_without_an_error_while_everything_else_goes_on(workspace):
    small_demo.make(workspace.root)
    found = load.run(workspace.root, SECONDS, CONNECTIONS)
    assert dict(found.errors) == {}
    assert set(found.waits) >= {"info", "parcelByID", "parcelByLocation", "parcelPeers", "parcelTimeSeries", "rawChip"}
    assert sum(found.commands.values()) > 0
    shutil.rmtree(workspace.root.parent / "copy", ignore_errors=True)
