"""A page with the map alone, for a browser, served by voila, with a small loader of its own."""

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, datetime

CELL = """
import scenemap_page
import ipywidgets
state, scene_map = scenemap_page.build({choice!r})
ipywidgets.Box([scene_map], layout={{"width": "{width}px", "height": "{height}px"}})
"""


class Driver:
    """Has a part draw what the state says, in a thread; the newest request wins."""

    def __init__(self, state, part):
        self.state, self.part, self.drawn, self.number = state, part, [], 0
        self._lock = threading.Lock()
        state.observe(self.ask, ["aoi", "year", "ptype", "pid", "day", "compared", "layer"])

    def ask(self, _=None):
        self.number += 1
        threading.Thread(target=self._run, args=(self.number,), daemon=True).start()

    def _run(self, number):
        from cbm_lake.errors import LakeError
        from cbm_lake.ipycbm.desk.state import Request

        state = self.state
        request = Request(state.key, state.day, state.compared, state.layer, state.index, datetime.now(UTC))
        try:
            data = self.part.read(request)
        except LakeError as error:
            with self._lock:
                if number == self.number:
                    self.part.clear(str(error))
            return
        with self._lock:
            if number == self.number:
                self.drawn.append(self.part.show(data))


def build(choice):
    """State and map, of which the first request is being drawn."""
    from cbm_lake.ipycbm.desk.scenemap import SceneMap
    from cbm_lake.ipycbm.desk.state import State

    state = State(**choice)
    scene_map = SceneMap(state)
    scene_map.driver = Driver(state, scene_map)
    scene_map.driver.ask()
    return state, scene_map


@contextmanager
def served(folder, choice, width=560, height=380):
    """The address of the page of a parcel, over the workspace that the environment names."""
    cell = {"cell_type": "code", "execution_count": None, "id": "map", "metadata": {}, "outputs": []}
    cell["source"] = CELL.format(choice=choice, width=width, height=height)
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    book = {"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (folder / "map.ipynb").write_text(json.dumps(book))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = [f"--port={port}", "--no-browser", "--Voila.ip=127.0.0.1"]
    command = [sys.executable, "-m", "voila", str(folder / "map.ipynb"), *options]
    with (folder / "voila.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=dict(os.environ))
        try:
            wait_for(process, port)
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()
            process.wait(20)


def wait_for(process, port):
    """Until the page is served."""
    while process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            threading.Event().wait(0.2)
    raise RuntimeError("voila has ended; see its log")
