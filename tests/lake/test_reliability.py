"""Whatever is done to a lake, by whom and in which order, and wherever it breaks off: nothing is lost, nothing doubled.

A model in plain dictionaries says what the lake must answer. Extraction is the real one but for the pixels: what a
scene "sees" of a parcel is a number that tells scene, parcel and outline apart. What breaks off is broken off in this
process by an exception at a step of the store, and in a child process by kill -9 at a step or in the middle of a file.
"""

import copy
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory

import deltalake
import factories
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from disks import small_disk
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cbm_lake import cards
from cbm_lake.errors import LakeError, NotFoundError, SourceError
from cbm_lake.extract import jobparcels, planning
from cbm_lake.extract import scene as scene_work
from cbm_lake.lake import Lake
from cbm_lake.lake.check import check
from cbm_lake.storage.delta import Table
from cbm_lake.storage.store import Store

pytestmark = pytest.mark.slow

PIDS = ("0012", "12", "a/b", "é")
SCENES = {  # name: acquisition, baseline
    "X02": ("X", "02.14"),
    "X05": ("X", "05.10"),
    "Y05": ("Y", "05.10"),
}
KINDS = ((("B04",), "centre"), (("B04", "B08"), "centre"), (("B04",), "coverage"))
"""Bands and rule of an extraction."""


# -- the world: small tables of known numbers ------------------------------------------------------------------------


def red(scene, pid, outline):
    """What a scene sees of a parcel with that outline."""
    return float(1000 * (1 + list(SCENES).index(scene)) + 10 * PIDS.index(pid) + outline)


def version_name(outlines):
    return "v" + "".join(str(outlines.get(pid, 0)) for pid in PIDS)


def outlines_of(version):
    """The outline of each parcel of a version, by pid; 0 stands for a parcel that is not declared."""
    return {pid: int(digit) for pid, digit in zip(PIDS, version.removeprefix("v"), strict=True) if digit != "0"}


def declared(outlines):
    """Rows of schemas.PARCELS: `area` tells the outline."""
    table = factories.parcels(tuple(outlines), [("wheat", "1")] * len(outlines))
    shapes = [factories.outline(PIDS.index(pid), 50 + 10 * outline).wkb for pid, outline in outlines.items()]
    for name, values in {"geometry": shapes, "area": [float(outline) for outline in outlines.values()]}.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.field(place), pa.array(values, table.field(place).type))
    return table


def seen(job):
    """In place of reading rasters: the signatures of a job."""
    pids = jobparcels.pids(job).to_pylist()
    table = Lake(job.lake).read_parcels(job.parcels, ["id", "area"]).to_pydict()
    outline = dict(zip(table["id"], table["area"], strict=True))
    columns = {"pid": pa.array(sorted(pids), pa.string())}
    for number, band in enumerate(job.bands):
        columns[f"{band}_count"] = pa.array([9] * len(pids), pa.int32())
        columns[f"{band}_mean"] = pa.array([red(job.scene.id, p, outline[p]) + number / 2 for p in sorted(pids)])
    return scene_work._with_keys(pa.table(columns), job)


def plan(lake, ptype, kind):
    """The jobs that extraction plans: every scene that is not done yet."""
    bands, how = KINDS[kind]
    parcels = lake.parcel_set("ms", 2024, ptype)
    start, stop = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
    rows = lake.query("scenes.between", card="s2", start=start, stop=stop).to_pylist()
    lake.prepare("s2")
    asked = planning.Asked(bands, how, statistics=(), cube=False, again=False)
    return [job for job, _ in planning._drafts(lake, cards.get("s2"), rows, parcels, asked)]


def extract(job):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scene_work, "signatures", lambda job: (seen(job), 0))
        return scene_work.extract_scene(job)


def catalogue(lake, name):
    acquisition, baseline = SCENES[name]
    lake.add_scenes(factories.scenes(factories.scene(name, acquisition=acquisition, baseline=baseline)))


def declare(lake, ptype, version):
    lake.add_parcels("ms", 2024, ptype, version, declared(outlines_of(version)))


def extract_first(lake, ptype, kind):
    for job in plan(lake, ptype, kind)[:1]:
        extract(job)


def compact(lake):
    lake.compact()


# -- the model -------------------------------------------------------------------------------------------------------


@dataclass
class Entry:
    """What is known of a scene over a parcel set."""

    attempts: int = 0
    status: str = ""
    extraction: int | None = None
    bands: tuple[str, ...] = ()
    rule: str = ""
    held: set[tuple[str, int]] = field(default_factory=set)
    """pid and outline of every signature."""


@dataclass
class Model:
    """What the lake must answer."""

    catalogued: set[str] = field(default_factory=set)
    status: dict[str, str] = field(default_factory=dict)
    declared: dict[str, str] = field(default_factory=dict)
    """Version in force of each parcel set."""
    ledger: dict[tuple[str, str], Entry] = field(default_factory=dict)

    def after(self, change, *args):
        """Another model, in which that has happened."""
        other = copy.deepcopy(self)
        change(other, *args)
        return other

    def catalogue(self, name):
        self.catalogued.add(name)

    def declare(self, ptype, version):
        self.declared[ptype] = version

    def fail(self, job):
        entry = self.ledger.setdefault((job.scene.id, job.parcels.ptype), Entry())
        entry.attempts, entry.status = entry.attempts + 1, "failed"
        self.status[job.scene.id] = "failed"

    def extract(self, job):
        entry = self.ledger.setdefault((job.scene.id, job.parcels.ptype), Entry())
        built_on = job.base.extraction if job.base else None
        if job.after != entry.attempts and entry.extraction not in (None, job.extraction, built_on):
            return  # another run came before
        versions = [outlines_of(version) for version in (job.base.versions if job.base else ())]
        fresh = {
            (pid, outline)
            for pid, outline in outlines_of(job.parcels.version).items()
            if all(known.get(pid) != outline for known in versions)
        }
        entry.held = entry.held | fresh if job.base else fresh
        entry.attempts, entry.status, entry.extraction = entry.attempts + 1, "done", job.extraction
        entry.bands, entry.rule = job.bands, job.rule
        self.status[job.scene.id] = "extracted"

    def newer(self, name):
        """Newer processings of a scene's acquisition."""
        return [other for other in self.catalogued if other[0] == name[0] and other > name]

    def signatures(self):
        for (name, ptype), entry in self.ledger.items():
            hidden = any(self.ledger.get((other, ptype), Entry()).extraction for other in self.newer(name))
            now = outlines_of(self.declared[ptype])
            for pid, outline in entry.held:
                if not hidden and now.get(pid) == outline:
                    value = red(name, pid, outline)
                    nir = value + entry.bands.index("B08") / 2 if "B08" in entry.bands else -1.0
                    yield (ptype, name, pid, value, nir, entry.rule)

    def state(self):
        return {
            "scenes": sorted((n, self.status.get(n, "ingested"), bool(self.newer(n))) for n in self.catalogued),
            "parcels": sorted(
                (p, *item) for p, version in self.declared.items() for item in outlines_of(version).items()
            ),
            "extractions": sorted((*key, entry.attempts, entry.status) for key, entry in self.ledger.items()),
            "ledger": [(sum(entry.attempts for entry in self.ledger.values()),)],
            "s2": sorted(self.signatures()),
            "one parcel": sorted(row[1:2] + row[3:4] for row in self.signatures() if (row[0], row[2]) == ("", PIDS[1])),
        }


QUESTIONS = {
    "scenes": "select id, status, superseded from scenes",
    "parcels": "select ptype, pid, (area_m2 / 10000)::integer from parcels",
    "extractions": "select scene, ptype, attempt, status from extractions",
    "ledger": "select count(*) from ledger",
    "s2": "select ptype, scene, pid, B04_mean, coalesce(B08_mean, -1), rule from s2",
}


def answered(lake):
    found = {
        name: sorted(tuple(row.values()) for row in lake.sql(text).to_pylist()) for name, text in QUESTIONS.items()
    }
    try:
        rows = lake.query("time_series.s2", aoi="ms", year=2024, ptype="", pid=PIDS[1], bands=["B04"]).to_pylist()
    except NotFoundError:  # it is not declared yet
        rows = []
    return {**found, "one parcel": sorted((row["obsid"], row["mean"]) for row in rows)}


# -- breaking off ----------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process is no more."""


def killed():
    raise Killed


NAMES_OF_WRITES = ("put", "append", "append_next", "remove", "compact", "rewrite", "merge", "checkpoint")
WRITES = [(Table, name) for name in NAMES_OF_WRITES if hasattr(Table, name)] + [(Store, "write")]


@contextmanager
def at_step(number, act):
    """Do something in the midst of what follows: every write of the store is a step before it and one after."""
    left = number

    def tick():
        nonlocal left
        left -= 1
        if left == -1:
            act()

    def stepped(method):
        @wraps(method)
        def step(*args, **kwargs):
            tick()
            answer = method(*args, **kwargs)
            tick()
            return answer

        return step

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in WRITES:
            patch.setattr(owner, name, stepped(getattr(owner, name)))
        yield


WORKS = {work.__name__: work for work in (catalogue, declare, extract_first, compact)}


def perform(url, work, args, how, number):
    """In a child process: work, and die or run out of space on the way; exit status 1 is an error of the lake."""
    step = number if how == "step" else 10**9
    if how != "step":  # no file can grow beyond that size: kills, or is an error as a full disk is one
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL if how == "bytes" else signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (number, number))
    with at_step(step, lambda: os.kill(os.getpid(), signal.SIGKILL)):
        try:
            WORKS[work](Lake(url), *args)
        except LakeError as error:
            return 1 if "\n" not in str(error) else 2
    return 0


SERVER = """
import sys
sys.path.insert(0, sys.argv[1])
import test_reliability
test_reliability.serve()
"""


def serve():
    """Fork for every line of standard input: the child does what it says, the line of the answer is how it ended."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            status = 70
            try:
                status = perform(**json.loads(line))
            finally:
                os._exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)  # noqa: T201


@pytest.fixture(scope="module")
def children():
    """Runs works in processes of their own; says how each ended."""
    here = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", SERVER, here]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:

        def run(**what):
            server.stdin.write(json.dumps(what) + "\n")
            server.stdin.flush()
            return int(server.stdout.readline())

        yield run


# -- the machine -----------------------------------------------------------------------------------------------------

LAKES = st.integers(0, 1)
NAMES = st.sampled_from(sorted(SCENES))
PTYPES = st.sampled_from(["", "", "m"])
VERSIONS = st.lists(st.sampled_from("0112"), min_size=4, max_size=4).map(lambda digits: "v" + "".join(digits))
VERSIONS = VERSIONS.filter(outlines_of)
EXTRACTIONS = {"ptype": PTYPES, "kind": st.integers(0, len(KINDS) - 1)}
BREAKS = st.one_of(
    st.tuples(st.just("step"), st.integers(0, 5)),
    st.tuples(st.sampled_from(["bytes", "full"]), st.sampled_from([0, 500, 2_000, 5_000, 10_000, 15_000])),
)
OTHERS = st.one_of(
    st.just(("compact",)),
    st.tuples(st.just("extract"), *EXTRACTIONS.values()),
    st.tuples(st.just("declare"), PTYPES, VERSIONS),
    st.tuples(st.just("catalogue"), NAMES),
)


class Reliability(RuleBasedStateMachine):
    """A lake, used by two at once, and the model of it."""

    children = None

    def __init__(self):
        super().__init__()
        self.folder = TemporaryDirectory(prefix="lake-")
        self.url = f"{self.folder.name}/lake"
        self.lakes = [Lake(self.url), Lake(self.url)]
        self.model = Model()
        self.moments = []
        self.jobs = []

    def teardown(self):
        with self.folder:
            if self.model.catalogued:
                found = check(self.lakes[0]).filter(pc.field("severity") == "fault")
                assert found.to_pylist() == []

    def settle(self, *models):
        """One of these states must be the lake's; from now on it is the model's."""
        found = answered(self.lakes[1])  # which is asked next
        self.model = next((model for model in models if model.state() == found), models[0])

    def plan(self, ptype, kind, lake=0):
        return plan(self.lakes[lake], ptype, kind) if ptype in self.model.declared else []

    def carry_out(self, jobs):
        for job in jobs:
            extract(job)
            self.model.extract(job)

    @initialize(version=VERSIONS, kind=EXTRACTIONS["kind"])
    def begin(self, version, kind):
        self.declare("", version, 0)
        self.catalogue("X02", 1)
        self.catalogue("Y05", 0)
        self.extract("", kind, 1)

    @rule(name=NAMES, lake=LAKES)
    def catalogue(self, name, lake):
        catalogue(self.lakes[lake], name)
        self.model.catalogue(name)

    @rule(ptype=PTYPES, version=VERSIONS, lake=LAKES)
    def declare(self, ptype, version, lake):
        declare(self.lakes[lake], ptype, version)
        self.model.declare(ptype, version)

    @rule(place=st.integers(0, 3), outline=st.sampled_from("012"), lake=LAKES)
    def declare_one_parcel_anew(self, place, outline, lake):
        version = self.model.declared[""]
        version = version[: place + 1] + outline + version[place + 2 :]
        if outlines_of(version):
            self.declare("", version, lake)

    @rule(**EXTRACTIONS, lake=LAKES)
    def extract(self, ptype, kind, lake):
        self.carry_out(self.plan(ptype, kind, lake))
        assert not self.plan(ptype, kind, lake)
        self.is_complete(ptype, kind)

    def is_complete(self, ptype, kind):
        """After an extraction every scene that is not superseded has every parcel that is declared now."""
        if ptype not in self.model.declared:
            return
        rows = self.model.state()["s2"]
        for name in self.model.catalogued:
            if not self.model.newer(name):
                held = [row[2] for row in rows if row[:2] == (ptype, name) and row[5] == KINDS[kind][1]]
                assert held == sorted(outlines_of(self.model.declared[ptype]))

    @rule(**EXTRACTIONS)
    def fail(self, ptype, kind):
        for job in self.plan(ptype, kind)[:1]:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Lake, "write_signatures", lambda *_: (_ for _ in ()).throw(SourceError("broken")))
                extract(job)
            self.model.fail(job)

    @rule(**EXTRACTIONS, lake=LAKES)
    def plan_for_later(self, ptype, kind, lake):
        self.jobs += self.plan(ptype, kind, lake)[:2]

    @precondition(lambda self: self.jobs)
    @rule(which=st.integers(0, 3))
    def carry_out_what_was_planned_before(self, which):
        self.carry_out([self.jobs.pop(which % len(self.jobs))])

    @rule(**EXTRACTIONS, step=st.integers(0, 3), other=OTHERS, lake=LAKES)
    def in_the_midst_of_an_extraction_another_does_something(self, ptype, kind, step, other, lake):
        what, *args = other
        for job in self.plan(ptype, kind)[:1]:

            def act(job=job):
                if step == 3:  # the ledger has it already
                    self.model.extract(job)
                getattr(self, what)(*args, lake)

            with at_step(step, act):
                extract(job)
            if step < 3:
                self.model.extract(job)

    @rule(lake=LAKES)
    def compact(self, lake):
        self.lakes[lake].compact()

    @rule(step=st.integers(0, 5), other=OTHERS)
    def in_the_midst_of_a_compaction_another_does_something(self, step, other):
        what, *args = other
        with at_step(step, lambda: getattr(self, what)(*args, 0)), suppress(SourceError):  # refused: rows were replaced
            self.lakes[1].compact()

    @precondition(lambda self: hasattr(self.lakes[0], "vacuum"))
    @rule(lake=LAKES, days=st.sampled_from([0, 7]))
    def vacuum(self, lake, days):
        self.lakes[lake].vacuum(days)
        self.moments = self.moments if days else []

    @rule()
    def remember(self):
        time.sleep(0.003)  # the log counts milliseconds
        self.moments.append((datetime.now(UTC), self.model.state()))
        time.sleep(0.003)

    @precondition(lambda self: self.moments)
    @rule(which=st.integers(0, 9))
    def read_as_it_was(self, which):
        moment, state = self.moments[which % len(self.moments)]
        assert answered(Lake(self.url, moment)) == state

    @rule(**EXTRACTIONS, step=st.integers(0, 3), again=st.booleans())
    def stop_an_extraction(self, ptype, kind, step, again):
        for job in self.plan(ptype, kind)[:1]:
            with at_step(step, killed), pytest.raises(Killed):
                extract(job)
            self.settle(self.model, self.model.after(Model.extract, job))
            if again:
                self.extract(ptype, kind, 1)

    @rule(step=st.integers(0, 11))
    def stop_a_compaction(self, step):
        with at_step(step, killed), suppress(Killed):
            self.lakes[0].compact()

    @rule(**EXTRACTIONS, broken=BREAKS)
    def kill_an_extraction(self, ptype, kind, broken):
        for job in self.plan(ptype, kind)[:1]:
            self.child("extract_first", ptype, kind, broken=broken)
            done, failed = self.model.after(Model.extract, job), self.model.after(Model.fail, job)
            self.settle(self.model, done, failed)  # failed: the disk was too full for the rows, not for the ledger

    def child(self, work, *args, broken):
        how, number = broken
        ended = self.children(url=self.url, work=work, args=args, how=how, number=number)
        assert ended in {"step": (0, -signal.SIGKILL), "bytes": (0, -signal.SIGXFSZ), "full": (0, 1)}[how]
        return ended

    @rule(broken=BREAKS)
    def kill_a_compaction(self, broken):
        self.child("compact", broken=broken)

    @rule(ptype=PTYPES, version=VERSIONS, broken=BREAKS)
    def kill_a_declaration(self, ptype, version, broken):
        self.child("declare", ptype, version, broken=broken)
        self.settle(self.model, self.model.after(Model.declare, ptype, version))

    @rule(name=NAMES, broken=BREAKS)
    def kill_a_catalogue(self, name, broken):
        self.child("catalogue", name, broken=broken)
        self.settle(self.model, self.model.after(Model.catalogue, name))

    @invariant()
    def both_see_by_turns_what_the_model_says(self):
        self.lakes.reverse()
        assert answered(self.lakes[0]) == self.model.state()


def explore(children, examples, steps, **options):
    Reliability.children = staticmethod(children)
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        **options,
    )
    return run_state_machine_as_test(Reliability, settings=chosen)


def test_nothing_is_lost_or_doubled(children):
    # so short that it needs no shrinking; it raises what a rule asserts
    assert explore(children, 6, 9, derandomize=True, phases=[Phase.generate]) is None


@pytest.mark.exhaustive
def test_nothing_is_lost_or_doubled_in_long_histories(children):
    assert explore(children, 25, 30) is None


# -- single faults ---------------------------------------------------------------------------------------------------


@pytest.fixture
def filled(lake):
    """Two scenes extracted over four parcels."""
    declare(lake, "", "v1121")
    for name in ("X02", "Y05"):
        catalogue(lake, name)
    for job in plan(lake, "", 0):
        extract(job)
    return lake


def faults(lake):
    return check(lake, deep=True).filter(pc.field("severity") == "fault").to_pylist()


def test_a_compaction_between_the_rows_and_the_ledger_takes_none_of_the_rows(filled):
    declare(filled, "", "v2212")
    for job in plan(filled, "", 0):
        extract(job)
    declare(filled, "", "v1121")  # the same work as at first
    for job in plan(filled, "", 0):
        with at_step(2, Lake(filled.url).compact):
            extract(job)
    assert len(answered(filled)["s2"]) == 8


def test_a_compaction_keeps_what_later_extractions_build_upon(filled):
    for version in ("v1122", "v1222", "v1221"):  # one parcel changes
        declare(filled, "", version)
        jobs = plan(filled, "", 0)
        assert all(job.base for job in jobs)
        for job in jobs:
            extract(job)
        before = answered(filled)
        assert len(before["s2"]) == 8
        filled.compact()
        assert answered(filled) == before
        assert faults(filled) == []


@pytest.mark.parametrize("how", [("step", n) for n in range(4)] + [("bytes", n) for n in (0, 1_000, 5_000)])
def test_a_compaction_that_is_killed_changes_no_answer_and_the_next_one_completes_it(filled, children, how):
    for job in plan(filled, "", 1):  # so that there is something to drop and to merge
        extract(job)
    before = answered(filled)
    ended = children(url=filled.url, work="compact", args=[], how=how[0], number=how[1])
    assert ended in (-signal.SIGKILL, -signal.SIGXFSZ)
    assert answered(filled) == before
    assert faults(filled) == []
    filled.compact()
    assert answered(filled) == before
    assert len(deltalake.DeltaTable(f"{filled.url}/signatures/s2").file_uris()) == 1


RUN = """
import sys
sys.path.insert(0, sys.argv[1])
from test_reliability import Lake, extract, plan
for job in plan(Lake(sys.argv[2]), "", int(sys.argv[3])):
    extract(job)
"""


def test_two_runs_over_the_same_scenes_at_once_leave_each_scene_whole_and_once(lake):
    declare(lake, "", "v1121")
    for name in ("X05", "Y05"):
        catalogue(lake, name)
    command = [sys.executable, "-c", RUN, str(Path(__file__).parents[1]), lake.url]
    runs = [subprocess.Popen([*command, kind]) for kind in ("0", "1")]
    assert [run.wait(120) for run in runs] == [0, 0]
    rows = answered(lake)["s2"]
    assert [row[1:3] for row in rows] == [(name, pid) for name in ("X05", "Y05") for pid in PIDS]
    for name in ("X05", "Y05"):
        assert len({row[4] == -1 for row in rows if row[1] == name}) == 1  # all with B08, or all without
    for job in plan(lake, "", 1):
        extract(job)
    assert [row[1:3] for row in answered(lake)["s2"]] == [(name, pid) for name in ("X05", "Y05") for pid in PIDS]
    assert all(row[4] == row[3] + 0.5 for row in answered(lake)["s2"])
    assert faults(lake) == []


def another(lake):
    """What is done next: three works, of which each writes."""
    return {
        "extraction": lambda: [extract(job) for job in plan(lake, "", 1)],
        "compaction": lake.compact,
        "parcels": lambda: declare(lake, "m", "v2222"),
    }


@pytest.mark.parametrize("work", ["extraction", "compaction", "parcels"])
def test_a_full_disk_is_one_line_changes_no_answer_and_is_made_good_by_the_next_run(tmp_path, filled, work):
    with small_disk(tmp_path / "disk", "4m") as disk:
        shutil.copytree(filled.url, disk / "lake")
        lake = Lake(str(disk / "lake"))
        before, do = answered(lake), another(lake)[work]
        room = os.statvfs(disk)
        (disk / "ballast").write_bytes(bytes(room.f_bavail * room.f_frsize))
        with pytest.raises(SourceError, match=r"cannot (write|compact) .*lake.*No space left") as caught:
            do()
        assert "\n" not in str(caught.value)
        assert answered(lake) == before
        assert faults(lake) == []
        (disk / "ballast").unlink()
        do()
        assert (answered(lake) == before) == (work == "compaction")
        assert faults(lake) == []


REFUSED = """
import sys
sys.path.insert(0, sys.argv[1])
from test_reliability import Lake, LakeError, another, answered
lake = Lake(sys.argv[2])
for do in another(lake).values():
    try:
        do()
    except LakeError as error:
        print(error)
assert len(answered(lake)["s2"]) == 8
"""


def test_a_lake_that_cannot_be_written_is_read_and_says_so_in_one_line_each(filled):
    folders = [path for path in (Path(filled.url), *Path(filled.url).rglob("*")) if path.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    command = [*factories.powerless(), sys.executable, "-c", REFUSED, str(Path(__file__).parents[1]), filled.url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for folder in folders:
        folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert all("cannot " in line and "ermission denied" in line for line in lines), lines
