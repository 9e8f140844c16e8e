"""Parts of a workbench that draw nothing, but can be slow, fail, and say what was asked of them."""

import threading
from datetime import date

import ipywidgets

from cbm_lake.ipycbm.workbench.bench import Parts
from cbm_lake.ipycbm.workbench.state import Drawn


class Plain(ipywidgets.HTML):
    """A part whose reads wait for `gate`."""

    def __init__(self, state):
        super().__init__()
        self.state, self.gate, self.fails = state, threading.Event(), {}
        self.gate.set()
        self.reads, self.shows, self.steps = [], [], []

    def read(self, request):
        self.reads.append(request)
        assert self.gate.wait(20)
        if request.key.pid in self.fails:
            raise self.fails[request.key.pid]
        return request

    def show(self, request):
        self.shows.append(request.key.pid)
        self.value = f"drawn {request.key.pid}"
        return Drawn(
            request.key, date.fromisoformat(request.day) if request.day else None, request.layer, request.as_of
        )

    def clear(self, problem=""):
        self.value = problem

    def step(self, by):
        self.steps.append(by)


class PlainList(ipywidgets.HTML):
    """A table that only counts how often it was asked to look again."""

    def __init__(self):
        super().__init__()
        self.refreshed = 0

    def refresh(self):
        self.refreshed += 1


def parts(state, _lake):
    """Parts of a workbench."""
    return Parts(PlainList(), Plain(state), Plain(state), Plain(state))
