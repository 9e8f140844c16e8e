"""Writers of files for people and other tools, each run as it is called, with as much as fills a small disk.

Run as a program it kills each writer again and again, every time a little later, and prints what is then seen:

    python whole_files.py <folder> [<writer> ...]
"""

import hashlib
import os
import re
import signal
import sys
import traceback
import zipfile
from pathlib import Path

ROWS = 4_000


def sample(folder):
    from cbm_lake import qa

    lines = [f"p{n},h{n // 3},E{n * 7919 % 20},1,{n + 1}" for n in range(5 * ROWS)]
    listed = folder.parent / f"{folder.name}.list.csv"
    listed.write_text("gsa_par_id,gsa_hol_id,ua_grp_id,covered,ranking\n" + "\n".join(lines) + "\n")
    qa.sample(listed, None, extraction_id="full", target_rule="simple", raise_by=100, folder=folder)


def _validation(folder, ending):
    import pyarrow as pa

    from cbm_lake.qa.findings import FINDINGS, Validation

    texts = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(ROWS)]
    kinds = {pa.string(): str, pa.int64(): len}
    rows = [
        {field.name: kinds.get(field.type, list)(text) for field in FINDINGS} | {"severity": "error", "rows": [1]}
        for text in texts
    ]
    table = pa.Table.from_pylist(rows, schema=FINDINGS)
    Validation("a list", table, []).write(folder / f"report{ending}")


def page(folder):
    _validation(folder, ".html")


def findings(folder):
    _validation(folder, ".json")


def findings_table(folder):
    _validation(folder, ".parquet")


def _export(folder, ending, statement="select i as n, md5(i::varchar) as text from range(20000) t(i)"):
    import duckdb

    from cbm_lake.lake import export

    export.write(duckdb.connect().sql(statement), folder / f"rows{ending}")


def csv(folder):
    _export(folder, ".csv")


def parquet(folder):
    _export(folder, ".parquet")


def workbook(folder):
    _export(folder, ".xlsx")


def geojson(folder):
    import shapely

    point = shapely.Point(3, 45).wkb.hex()
    _export(folder, ".geojson", f"select i as n, unhex('{point}') as geometry from range(5000) t(i)")  # noqa: S608


def key(folder):
    from cbm_lake.lake.export.pseudonyms import _make

    _make(folder / "pseudonyms.key")


def got(folder):
    from cbm_lake.get import folders

    folders.write_bytes(folder / "info.json", b"x" * 200_000)


def moved(folder):
    from cbm_lake.config import Workspace
    from cbm_lake.get import folders

    os.environ["CBM_LAKE_HOME"] = str(folder)
    source = Workspace.here().temp / "ms" / "2024" / "1"
    source.mkdir(parents=True, exist_ok=True)
    (source / "series.csv").write_bytes(b"x" * 200_000)
    folders.keep("ms", 2024, "1")


def upload(folder):
    from cbm_lake.ipycbm.card2db_panel import uploaded

    uploaded([{"name": "parcels.gpkg", "content": memoryview(b"x" * 200_000)}], folder)


def refused(folder):
    import duckdb

    from cbm_lake.migration.dumps import Dumps

    dumps = object.__new__(Dumps)  # whose own database, which is scratch, is in memory here
    dumps.connection = duckdb.connect()
    rows = "select 'dump.csv' as file, i as line, md5(i::varchar) as row, 'why' as reason from range(20000) t(i)"
    dumps.connection.sql(rows).create("refused")
    dumps.write_refused(folder / "refused.csv")


def figure(folder):
    from unittest.mock import patch

    import numpy as np
    from matplotlib.figure import Figure

    from cbm_lake.cli import foi

    drawn = Figure()
    drawn.subplots().imshow(np.random.default_rng(1).random((300, 300)))
    with patch("cbm_lake.foi.plots.plot_map", lambda *_: drawn):
        foi._draw(None, folder / "map.png", None, "foi_h")


def results(folder):
    from cbm_lake.foi.drafts import drafts

    with drafts(folder) as draft:
        for name in ("a.csv", "a.shp", "a.tif"):
            (draft / name).write_bytes(b"x" * 200_000)


WRITERS = (
    sample,
    page,
    findings,
    findings_table,
    csv,
    parquet,
    workbook,
    geojson,
    got,
    moved,
    upload,
    refused,
    figure,
    results,
)


def seen(folder):
    """The files that a person sees in a folder, by name without its digits, with their sizes."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    shown = [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    shown = [path for path in shown if "temp" not in path.parts]
    return {re.sub(r"\d+", "", str(path.relative_to(folder))): _size(path) for path in shown}


def _size(path):
    """Of a whole workbook a number, for the time of writing that stands in it is compressed."""
    if path.suffix == ".xlsx" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as book:
            return 10**6 if book.testzip() is None else -1
    return path.stat().st_size


def _killed(writer, folder, number):
    """Run a writer in a process that is killed when it syncs for that time; whether it came to its end before."""
    child = os.fork()
    if child == 0:
        from cbm_lake.files import durable

        left = [number]
        real = os.fsync

        def fsync(handle):
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            real(handle)

        durable.os.fsync = fsync
        try:
            writer(folder)
        except Exception:  # noqa: BLE001 - whatever it is, the parent is told and stops
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if ended not in (0, -signal.SIGKILL):
        raise RuntimeError(f"{writer.__name__} failed by itself")
    return ended == 0


def main(folder, names=()):
    """Kill each writer at each moment at which something is synced; what is seen then was seen whole, or not at all."""
    for writer in (one for one in WRITERS if not names or one.__name__ in names):
        number, ended, states = 0, False, []
        while not ended:
            target = folder / writer.__name__ / str(number)
            target.mkdir(parents=True)
            ended = _killed(writer, target, number)
            states.append(seen(target))
            number += 1
        whole = states[-1]
        wrong = [state for state in states if not state.items() <= whole.items()]
        sys.stdout.write(f"{writer.__name__}: killed {number - 1} times, {len(whole)} files, wrong: {wrong}\n")


if __name__ == "__main__":
    os.environ.setdefault("CBM_LAKE_HOME", str(Path(sys.argv[1]) / "home"))
    main(Path(sys.argv[1]), sys.argv[2:])
