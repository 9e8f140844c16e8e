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
    """A worklist of some parcels; `decided` says which of them are."""

    def __init__(self, state, pids, decided):
        super().__init__()
        self.state, self.pids, self.decided, self.refreshed = state, pids, decided, 0

    def refresh(self):
        self.refreshed += 1

    def progress(self):
        return len(self.decided() & set(self.pids)), len(self.pids)

    def next_open(self, pid):
        start = self.pids.index(pid) + 1 if pid in self.pids else 0
        left = [each for each in self.pids[start:] + self.pids[:start] if each not in self.decided()]
        return left[0] if left else None

    def step(self, pid, by):
        number = self.pids.index(pid) + by if pid in self.pids else 0
        return self.pids[number] if 0 <= number < len(self.pids) else None


def parts(pids, decided=set):
    """What makes the parts of a workbench."""

    def make(state, _lake):
        return Parts(PlainList(state, pids, decided), Plain(state), Plain(state), Plain(state))

    return make
