"""A scene over the network: against the same files on this machine, and against GDAL's /vsicurl.

    python -m benchmarks.remote [--size 10980] [--parcels 100000] [--bands 8] [--latencies 0,20,50,100] [--rate 40]
                                [--faults 0.1] [--repeat 1] [--no-gdal]

A server on loopback, in a process of its own, waits before every answer (latency, ms) and sends no faster than `rate`
MB/s on a connection. Each figure is one scene, from files to the statistics of all parcels, in a fresh process, wall
time. Of `repeat` rounds, in which all variants come one after another, the medians are printed. With faults, that part
of the answers is cut off, reset, or 503 or 429; the rows have to be the same.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import random
import re
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import geopandas as gpd
import numpy as np
import rasterio

from benchmarks import extraction
from benchmarks.tiles import EPSG, SIZE, fields, reflectance, write_cog
from cbm_lake import extract, parcels, zonal
from cbm_lake.config import Workspace
from cbm_lake.extract import jobparcels, scene
from cbm_lake.lake import Lake
from cbm_lake.rasters import Raster, Window
from cbm_lake.rasters.readers import _runs

_SLICE = 262_144
"""Bytes that are sent at once."""
_SHORTEST = 0.002
"""Seconds that a server can wait."""
_GDAL = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MAX_RETRY": "10",
    "GDAL_HTTP_RETRY_DELAY": "0.2",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_NUM_THREADS": "1",
}


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--size", type=int, default=SIZE)
    arguments.add_argument("--parcels", type=int, default=100_000)
    arguments.add_argument("--bands", type=int, default=8)
    arguments.add_argument("--latencies", default="0,20,50,100")
    arguments.add_argument("--rate", type=float, default=40)
    arguments.add_argument("--faults", type=float, default=0.1)
    arguments.add_argument("--repeat", type=int, default=1)
    arguments.add_argument("--no-gdal", action="store_true")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bands = extraction.S2_BANDS[: options.bands]
        assets = make_scene(folder, bands, options.size)
        total = sum(Path(path).stat().st_size for path in assets.values())
        print(
            f"{options.size} pixels a side, {len(bands)} bands + SCL, {total / 1e6:.0f} MB, {options.parcels} parcels"
        )
        print(f"{options.rate:.0f} MB/s a connection, {connections()} connections", flush=True)
        lake = make_lake(folder, options.parcels, options.size)
        extraction.add_scene(lake, assets)
        variants = [("local", None), *((f"{ms} ms", (ms, 0.0)) for ms in map(int, options.latencies.split(",")))]
        if options.faults:
            variants.append((f"50 ms, {options.faults:.0%} bad answers", (50, options.faults)))
        rounds = [run_round(lake, folder, bands, assets, variants, options) for _ in range(options.repeat)]
        show(variants, rounds)


def connections() -> int:
    """How many requests the settings allow at once."""
    return Workspace.here().config.s3.connections


def make_scene(folder: Path, bands: tuple[str, ...], size: int) -> dict[str, str]:
    """COGs of the bands and the classification; returns their paths."""
    assets = {}
    for number, band in enumerate((*bands, "SCL")):
        factor = 1 if band in ("B02", "B03", "B04", "B08") else 2
        values = reflectance(size // factor, seed=number)
        if band == "SCL":
            values = (values % 12).astype("uint8")
        assets[band] = str(write_cog(folder / f"{band}.tif", values, 10 * factor))
    return assets


def make_lake(folder: Path, count: int, size: int) -> Lake:
    """A lake with the parcels."""
    lake = Lake(str(folder / "lake"))
    frame = gpd.GeoDataFrame({"pid": [f"{n:07d}" for n in range(count)]}, geometry=fields(count, size=size), crs=EPSG)
    frame.to_parquet(folder / "parcels.parquet")
    parcels.load(str(folder / "parcels.parquet"), "bench", 2024, pid="pid", lake=lake)
    return lake


Result = dict[str, Any]


def run_round(
    lake: Lake, folder: Path, bands: tuple[str, ...], assets: dict[str, str], variants: list[Any], options: Any
) -> dict[tuple[str, str], Result]:
    """Every variant once, ours and GDAL's."""
    results = {}
    for name, network in variants:
        if network is None:
            results[name, "ours"] = measured(lake, bands, assets, "ours")
            continue
        readers = ("ours",) if options.no_gdal or network[1] else ("ours", "gdal")
        with served(folder, *network, options.rate) as root:
            remote = {band: f"{root}/{Path(path).name}" for band, path in assets.items()}
            for reader in readers:
                results[name, reader] = measured(lake, bands, remote, reader)
    return results


def show(variants: list[Any], rounds: list[dict[tuple[str, str], Result]]) -> None:
    """The table."""
    print(" " * 30 + "wall  of local    GDAL  GDAL / ours     CPU  peak MB  of local  rows")

    def median(key: tuple[str, str], figure: str) -> float:
        return statistics.median(found[key][figure] for found in rounds if key in found)

    local, truth = ("local", "ours"), rounds[0]["local", "ours"]["rows"]
    for name, _ in variants:
        ours, gdal = (name, "ours"), (name, "gdal")
        wall, peak = median(ours, "wall"), median(ours, "peak")
        peer = f"{median(gdal, 'wall'):6.1f}s {median(gdal, 'wall') / wall:11.1f}x" if gdal in rounds[0] else " " * 20
        same = all(found[key]["rows"] == truth for found in rounds for key in found if key[0] == name)
        print(
            f"{name:28s} {wall:6.1f}s {wall / median(local, 'wall'):8.2f}x {peer} {median(ours, 'cpu'):6.1f}s "
            f"{peak:8.0f} {peak / median(local, 'peak'):8.2f}x  {'the same' if same else 'OTHER'}"
        )


def measured(lake: Lake, bands: tuple[str, ...], assets: dict[str, str], reader: str) -> Result:
    """One scene in a fresh process."""
    argument = json.dumps([lake.url, bands, assets, reader])
    command = [sys.executable, "-c", "from benchmarks.remote import in_process; in_process()", argument]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise SystemExit(answer.stderr[-2000:])
    return dict(json.loads(answer.stdout))


def in_process() -> None:
    """Take the statistics of the scene, and print what it cost."""
    url, bands, assets, reader = json.loads(sys.argv[1])
    job = job_of(Lake(url), tuple(bands), assets)
    for raster in job.rasters.values():
        jobparcels.index(job, raster.grid.name)
    zonal.warm_up()
    if reader == "gdal":
        os.environ.update(_GDAL)
        scene.source = GdalSource  # type: ignore[assignment, misc]
    wall, cpu = time.perf_counter(), time.process_time()
    rows, _ = scene._signatures(job)  # noqa: SLF001
    figures = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "peak": extraction.peak()}
    values = rows.drop_columns(["extraction"]).to_pandas().to_csv(index=False)
    print(json.dumps(figures | {"rows": hashlib.sha256(values.encode()).hexdigest()}))


def job_of(lake: Lake, bands: tuple[str, ...], assets: dict[str, str]) -> extract.Job:
    """The job of the scene, its rasters at other addresses."""
    job = extraction.plan(lake, bands, cube=False)
    rasters = {band: replace(raster, href=assets[band]) for band, raster in job.rasters.items()}
    return replace(job, rasters=rasters)


class GdalSource:
    """The peer: GDAL reads by /vsicurl, blocks side by side in one request."""

    def __init__(self, raster: Raster) -> None:
        self._raster = raster

    def read(self, windows: Iterable[Window]) -> Iterator[np.ndarray]:
        """The pixels of each window."""
        with rasterio.Env():
            opened = rasterio.open(f"/vsicurl/{self._raster.href}")
        with contextlib.closing(opened) as dataset:
            for run in _runs(windows, 4096):
                row, col, height, _ = run[0]
                pixels = dataset.read(1, window=((row, row + height), (col, run[-1].col + run[-1].width)))
                yield from (pixels[:, w.col - col : w.col - col + w.width] for w in run)


# -- the server ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def served(folder: Path, latency: float, faults: float, rate: float) -> Iterator[str]:
    """The folder on loopback; its address."""
    argument = json.dumps([str(folder), latency / 1000, faults, rate * 1e6])
    command = [sys.executable, "-c", "from benchmarks.remote import serve; serve()", argument]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def serve() -> None:
    """Serve until the end of the process."""
    asyncio.run(_serve(*json.loads(sys.argv[1])))


async def _serve(folder: str, latency: float, faults: float, rate: float) -> None:
    server = await asyncio.start_server(Slow(Path(folder), latency, faults, rate), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


@dataclass
class Slow:
    """What answers on one connection after another."""

    folder: Path
    latency: float
    """Seconds before every answer."""
    faults: float
    """Part of the answers that are bad."""
    rate: float
    """Bytes a second on a connection."""
    chance: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until the connection ends."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self.answer((await reader.readuntil(b"\r\n\r\n")).decode("latin1"), writer):
                pass
        writer.close()

    async def answer(self, head: str, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False where the connection is to end."""
        path = self.folder / Path(urlsplit(head.split(" ")[1]).path).name
        await asyncio.sleep(self.latency)
        fault = self.chance.choice(("cut", "reset", "503", "429")) if self.chance.random() < self.faults else ""
        if fault.isdecimal() or not path.is_file():
            writer.write(f"HTTP/1.1 {fault or 404} No\r\nContent-Length: 0\r\n\r\n".encode())
            return True
        size = path.stat().st_size
        span = re.search(r"\r\n[Rr]ange: bytes=(\d+)-(\d*)", head)
        start, end = (int(span[1]), min(int(span[2] or size - 1) + 1, size)) if span else (0, size)
        status = f"206 Partial\r\nContent-Range: bytes {start}-{end - 1}/{size}" if span else "200 OK"
        said = f'HTTP/1.1 {status}\r\nContent-Length: {end - start}\r\nAccept-Ranges: bytes\r\nETag: "{size}"\r\n\r\n'
        writer.write(said.encode())
        if not head.startswith("HEAD"):
            await self.send(writer, path, start, start + (end - start) // 2 if fault else end)
        if fault == "reset":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        return not fault

    async def send(self, writer: asyncio.StreamWriter, path: Path, start: int, end: int) -> None:
        """Part of a file, no faster than the rate."""
        loop, begun = asyncio.get_running_loop(), time.perf_counter()
        with path.open("rb") as file:
            for at in range(start, end, _SLICE):
                await writer.drain()
                await loop.sendfile(writer.transport, file, at, min(_SLICE, end - at))
                ahead = (min(at + _SLICE, end) - start) / self.rate - (time.perf_counter() - begun)
                if ahead > _SHORTEST:
                    await asyncio.sleep(ahead)


if __name__ == "__main__":
    os.environ.setdefault("GDAL_CACHEMAX", "64")
    main()
