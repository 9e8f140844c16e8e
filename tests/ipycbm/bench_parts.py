"""Parts of a workbench that draw nothing, but can be slow, fail, and say what was asked of them."""

import threading
from datetime import date

import ipywidgets

from cbm_lake.ipycbm.desk.bench import Parts
from cbm_lake.ipycbm.desk.state import Drawn
from cbm_lake.ipycbm.desk.worklist import Worklist


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


class Counting(Worklist):
    """The worklist's table, which counts how often it looks again."""

    refreshed = -1  # the first time is when it is made

    def refresh(self):
        self.refreshed += 1
        super().refresh()


def parts(state, lake):
    """Parts of a workbench: the worklist, and for the others some that can be held up."""
    return Parts(Counting(state, lake), Plain(state), Plain(state), Plain(state))
