"""What a reader of one area is answered by SQL is the same, byte for byte, whether there is another area or not."""

import hashlib
import io
import itertools
import json
import os
import re
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
import shapely
from factories import band, entry, fill, parcel_set, parcels, scene, scenes, signature, signatures, write
from test_sql_over_http import ALLOWED, ATTACKS

from cbm_lake.lake import Lake, schemas
from cbm_lake.server import sqlbox, statements
from cbm_lake.server.granting import Grants
from cbm_lake.server.sqlbox import Limits, Question

pytestmark = pytest.mark.thorough


SECRET = "TOPSECRET"
NOW = datetime(2024, 6, 1, tzinfo=UTC)
LIMITS = Limits(memory_mb=100, rows=20_000)
AREA = ("ms",)

# -- two lakes -----------------------------------------------------------------------------------------------------


def table(schema, *rows):
    """Rows in a schema; what they do not say is null."""
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)


def put(lake, aoi, mark):
    """Markers, attributes and weather of an area, with that mark in every text."""
    key = {"aoi": aoi, "year": 2024, "ptype": "", "part": hash(aoi) >> 2}
    for pid in (f"{mark}0012", f"{mark}12"):
        marked = {**key, "pid": pid, "marker": f"{mark}mowing", "marker_type": "event", "value_1": 17.5}
        part = int.from_bytes(hashlib.sha256(pid.encode()).digest()[:8]) >> 1
        lake.put("marked", table(schemas.MARKERS, {**marked, "part": part}), part)
        divided = {**key, "pid": pid, "version": "v1", "marker": f"{mark}mowing", "reason": f"{mark}why", "share": 0.5}
        lake.put("divided", table(schemas.PARTS, {**divided, "part": part}), part)
        described = {**key, "pid": pid, "version": "v1", "attribute": "slope", "kind": "number", "value": 3.5}
        described |= {"rule": "centre", "raster": f"/data/{mark}dem.tif", "described": NOW, "pixels": 9.0, "part": part}
        lake.put("attributes", table(schemas.ATTRIBUTES, described), part)
        judged = {**key, "pid": pid, "version": "v1", "run": f"{mark}1", "day": date(2024, 5, 1), "p_value": 0.5}
        judged |= {"verdict": "agrees", "reason": f"{mark}alone", "likely": [f"{mark}crop"], "part": part}
        lake.put("checked_crops", table(schemas.CROP_CHECKS, judged), part)
        related = {**key, "pid": pid, "pid_before": f"{mark}before", "relation": "same", "shared_m2": 1.5}
        related |= {
            "year_before": 2023,
            "ptype_before": "",
            "version": "v1",
            "version_before": "v0",
            "least_share": 0.0,
            "part": part,
        }
        lake.put("related_parcels", table(schemas.LINEAGE, related), part)
        decided = {"aoi": aoi, "year": 2024, "ptype": "", "pid": pid, "scenario": f"{mark}mown", "number": 1}
        decided |= {"decision": "photo", "note": f"{mark}note", "who": f"{mark}ann", "decided": NOW, "as_of": NOW}
        decided |= {"parcels": "v1", "version": "x"}
        lake.add_judgements(lambda decided=decided: table(schemas.JUDGEMENTS, decided))
        light = {"aoi": aoi, "year": 2024, "ptype": "", "kind": "light", "pid": pid, "scenario": "mown"}
        light |= {"after": f"{mark}green", "reason": f"{mark}mown", "cause": f"{mark}scene", "confidence": 0.5}
        light |= {"day": date(2024, 5, 1), "recorded": NOW, "version": "x"}
        lake.record_changes(parcel_set(aoi), lambda light=light: table(schemas.CHANGES, light))
    run = {"run": f"{mark}1", "aoi": aoi, "year": 2024, "ptype": "", "version": "v1", "day": date(2024, 5, 1)}
    run |= {name: json.dumps({"mark": mark}) for name in ("settings", "snapshot", "libraries", "figures")}
    run |= {"alpha": 0.05, "checked": NOW, "cbm_lake": "x"}
    lake.add_crop_runs(table(schemas.CROP_RUNS, run))
    of_cell = {"aoi": aoi, "cell": f"{mark}cell", "part": 1, "loaded": NOW}
    lake.put(
        "weather_days", table(schemas.WEATHER, {**of_cell, "meteo_date": date(2024, 5, 1), "tmin": 1.5}), key["part"]
    )
    shift = {"card": "s2", "scene": "A", "parcels": "v1", "obstime": NOW, "verdict": "ok", "measured": NOW}
    shift |= {"aoi": aoi, "year": 2024, "ptype": "", "reason": f"{mark}reason", "version": "0.1"}
    lake.add_shifts(table(schemas.SHIFTS, shift))
    step = {
        "run": f"{mark}1",
        "number": 1,
        "step": "extract",
        "aoi": aoi,
        "year": 2024,
        "ptype": "",
        "status": "failed",
    }
    step |= {"problem": f"{mark}problem", "rows": 3, "scenes": 2, "started": NOW, "seconds": 1.5, "version": "x"}
    lake.add_runs(table(schemas.RUNS, {**step, "who": f"{mark}who", "file": f"/data/{mark}season.yaml"}))
    box = {"west": 2.0, "south": 43.0, "east": 4.0, "north": 44.0}
    lake.put("weather_boxes", table(schemas.WEATHER_CELLS, {**of_cell, **box}), key["part"])


def own(folder):
    """A lake with what the reader may read, in every table."""
    lake = fill(Lake(str(folder)))
    put(lake, "ms", "")
    lake.add_scenes(scenes(scene("R", card="bs", sensor="S1A"), scene("C")))
    write(lake, signatures({**signature("0012", "R"), **band("VV", 0.1)}, card="bs"), scene="R", card="bs")
    lake.add_scenes(scenes(scene("L", card="ls", sensor="L8")))
    landsat = {**signature("0012", "L"), **band("red", 400), **band("nir08", 1200)}
    write(lake, signatures(landsat, card="ls"), scene="L", card="ls")
    lake.record(entry("C", "failed", problem="own problem"))
    verdict = {"card": "s2", "status": "suspect", "kind": "shifted", "reason": "own", "found": NOW, "version": "0.1"}
    lake.add_suspects(table(schemas.SUSPECTS, {**verdict, "scene": "C"}))
    lake.put("obsids", table(schemas.OBSIDS, {"card": "s2", "scene": "A", "obsid": 4711, "part": 3}), 3)
    return lake


def plant(lake):
    """Another area in the same lake, whose secrets stand in every table, also beside scenes of the reader's area."""
    pids = tuple(f"{SECRET}{pid}" for pid in ("0012", "12", "7"))
    far = parcels(pids, [(f"{SECRET}crop", f"{SECRET}9")] * 3, nota=[f"{SECRET}nota"] * 3)
    moved = far.set_column(far.schema.get_field_index("centroid_lon"), "centroid_lon", pa.array([13.0] * 3))
    lake.add_parcels("be", 2024, "", "v1", moved)
    place = shapely.box(12.5, 43, 13.5, 44)
    box = dict(zip(("xmin", "ymin", "xmax", "ymax"), place.bounds, strict=True))
    hidden = scene(f"{SECRET}scene", geometry=place.wkb, bbox=box, source=f"/data/{SECRET}/items.json")
    lake.add_scenes(scenes(hidden))
    put(lake, "be", SECRET)
    for name in (f"{SECRET}scene", "A", "B"):
        rows = signatures(*(signature(pid, name, aoi="be", red=9999, reference=f"{SECRET}ref") for pid in pids))
        write(lake, rows, parcel_set("be"), name, problem=f"{SECRET}problem")
    radar = {**signature(pids[0], "R", aoi="be"), **band("VV", 0.9), "reference": f"{SECRET}radar"}
    write(lake, signatures(radar, card="bs"), parcel_set("be"), "R", card="bs")
    landsat = {**signature(pids[0], "L", aoi="be"), **band("red", 9999), "reference": f"{SECRET}landsat"}
    write(lake, signatures(landsat, card="ls"), parcel_set("be"), "L", card="ls")
    lake.record(entry("A", "failed", datetime(2030, 1, 1, tzinfo=UTC), aoi="be", problem=f"{SECRET}failure"))
    lake.put("obsids", table(schemas.OBSIDS, {"card": "s2", "scene": hidden["id"], "obsid": 99, "part": 4}), 4)
    told = {"card": "s2", "scene": hidden["id"], "version": "0.1"}
    lake.add_exclusions(
        table(schemas.EXCLUSIONS, {**told, "status": "left out", "why": f"{SECRET}why", "who": "x", "decided": NOW})
    )


class Reader:
    """Asks a lake as the child process does, in this process."""

    def __init__(self, lake, folder):
        self.grants, self.lake = Grants(lake, folder), lake

    def ask(self, statement, aois=AREA):
        """Bytes and refusal."""
        out = io.BytesIO()
        with self.grants.database(aois) as database:
            refusal = sqlbox.respond(Question(str(database), self.lake.url, statement, {}, LIMITS), out)
        return out.getvalue(), refusal

    def rows(self, statement, aois=AREA):
        content, refusal = self.ask(statement, aois)
        assert refusal is None, refusal
        return pa.ipc.open_stream(content).read_all()


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return own(tmp_path_factory.mktemp("isolation") / "lake")


@pytest.fixture(scope="module")
def asked(lake, tmp_path_factory):
    """Every answer before another area is there, the scenes as they are then, and a reader of the lake with it."""
    reader = Reader(lake, tmp_path_factory.mktemp("granted"))
    before = {statement: reader.ask(statement) for statement in FEW}
    alone = lake.sql("from scenes order by all")
    plant(lake)
    return before, alone, reader


# -- what is asked -------------------------------------------------------------------------------------------------

TEXTS = {
    "scenes": "id",
    "parcels": "pid",
    "s2": "pid",
    "bs": "pid",
    "c6": "pid",
    "ls": "pid",
    "sc": "pid",
    "observations": "pid",
    "s2_long": "band",
    "bs_long": "reference",
    "c6_long": "reference",
    "ls_long": "reference",
    "extractions": "problem",
    "markers": "marker",
    "changes": "cause",
    "lights": "reason",
    "parts": "reason",
    "runs": "problem",
    "weather": "cell",
    "weather_cells": "cell",
    "parcel_attributes": "pid",
    "parcel_attributes_long": "raster",
    "crop_checks": "reason",
    "crop_runs": "run",
    "lineage": "pid_before",
    "judgements": "note",
}
NUMBERS = {
    "scenes": "obsid",
    "parcels": "area_m2",
    "s2": "B04_mean",
    "bs": "VV_mean",
    "c6": "VV_mean",
    "ls": "red_mean",
    "sc": "SC_mean",
    "observations": "ndvi",
    "s2_long": "mean",
    "bs_long": "mean",
    "c6_long": "mean",
    "ls_long": "mean",
    "extractions": "rows",
    "markers": "value_1",
    "changes": "sequence",
    "lights": "confidence",
    "parts": "share",
    "runs": "seconds",
    "weather": "tmin",
    "weather_cells": "west",
    "parcel_attributes": "year",
    "parcel_attributes_long": "value",
    "crop_checks": "p_value",
    "crop_runs": "alpha",
    "lineage": "shared_m2",
    "judgements": "number",
}
OTHERS = {"scenes": "v.id <> 'A'"}
"""What tells rows of other areas; where there is no aoi, another column."""
PLAIN = (
    "from {v}",
    "from {v} limit 1",
    "from {v} limit 3 offset 1",
    "from {v} order by all",
    "select count(*) from {v}",
    "select distinct {t} from {v}",
    "select min({t}), max({t}), min({n}), max({n}) from {v}",
    "table {v}",
    "select approx_count_distinct({t}), approx_quantile({n}, 0.5) from {v}",
    "select columns('.*') from {v} limit 2",
    "select typeof(columns(*)) from {v} limit 1",
    "select {t}, row_number() over () from {v}",
    "explain select * from {v}",
    "explain analyze select * from {v}",
    "describe {v}",
    "summarize {v}",
    "select rowid from {v}",
    "select filename, file_row_number from {v}",
    "select nope from {v}",
    "from {v} using sample reservoir(2 rows) repeatable (7)",
    "from {v} at (version => 1)",
    "select histogram({t}), entropy({t}), mode({t}) from {v}",
    "select {t}, count(*) from {v} group by rollup ({t})",
    "from {v} where aoi = 'be'",
    "select v.{t} from {v} v full join {v} w on v.{t} = w.{t} || 'x'",
)
CORPUS = [text.format(v=v, t=TEXTS[v], n=NUMBERS[v]) for v in sorted(TEXTS) for text in PLAIN]
PREDICATES = (
    "({s})::int > 0",
    "({s})::date is null",
    "({s})::double < 1",
    "1 // ({s} = 'x')::int > 0",
    "sqrt(-length({s})) > 0",
    "chr(-length({s})) = 'a'",
    "ln(-abs({n})) > 0",
    "({n} * 1e300 * 1e300)::bigint > 0",
    "({n}::bigint << 63) > 0",
    "strptime({s}, '%Y') is null",
    "regexp_matches({s}, '^(T|O|P|S)+.*(a+)+$')",
    "regexp_matches({s}, {s} || '(')",
    "length(repeat({s}, 20000000)) > 0",
    "{s} > 'TOP'",
    "({s} || '-01-01')::timestamp > now()",
    "list_sum([{s}::int]) > 0",
)
SHAPES = (
    "select count(*) from {v} v where {p}",
    "select v.{t} from {v} v where {p} limit 1",
    "select count(*) from {v} v join s2 w on v.{t} = w.pid where {p}",
    "select count(*) from s2 w left join {v} v on v.{t} = w.scene where {p}",
    "select count(*) from parcels w where exists (select 1 from {v} v where v.{t} <> w.pid and {p})",
    "select {t}, max({n}) from {v} v group by {t} having bool_or({p})",
    "select {t} from {v} v order by case when {p} then 1 else 2 end limit 2",
    "with a as (select * from {v} v where {p}) select count(*) from a, a as b",
    "select {t} from {v} v qualify row_number() over (order by ({p})) = 1",
    "select count(*) filter ({p}) from {v} v where {o}",
)
GENERATED = [
    shape.format(v=v, t=TEXTS[v], n=NUMBERS[v], o=OTHERS.get(v, "v.aoi <> 'ms'"), p="{p}")
    .replace("{p}", predicate)
    .replace("{s}", f"case when {OTHERS.get(v, 'v.aoi <> ' + chr(39) + 'ms' + chr(39))} then v.{TEXTS[v]} else '1' end")
    .replace("{n}", f"v.{NUMBERS[v]}")
    for v, predicate, shape in itertools.product(sorted(TEXTS), PREDICATES, SHAPES)
]
FEW = [*CORPUS[::9], *GENERATED[::97]]


def differing(before, reader):
    """The statements whose answer is not what it was, or tells a secret."""
    found = []
    for statement, answer in before.items():
        now = reader.ask(statement)
        if now != answer or SECRET.encode() in now[0] or SECRET in str(now[1]):
            found.append((statement, answer[1], now[1]))
    return found


def test_there_are_statements_of_every_kind():
    assert len(set(CORPUS)) >= 300
    assert len(set(GENERATED)) >= 2_000
    assert set(TEXTS) == set(NUMBERS) == statements.VIEWS


def test_a_few_answers_are_the_same_with_another_area(asked):
    before, _, reader = asked
    assert len(before) > 60
    assert differing(before, reader) == []


def test_what_was_planted_is_there_for_who_may_read_it(asked):
    *_, reader = asked
    for view in statements.VIEWS - {"c6", "c6_long", "sc", "s2_long"}:
        content, refusal = reader.ask(f"from {view}", aois=None)
        assert refusal is None
        assert SECRET.encode() in content, view
        assert SECRET.encode() in reader.ask(f"from {view}", aois=("be",))[0], view


HIDDEN = {"runs": "select * replace ('' as who, '' as file)", "crop_runs": "select * replace ('{}' as snapshot)"}
"""What of people, machines and the other areas' writing is told with all areas only."""


@pytest.mark.slow
def test_every_view_is_that_of_the_whole_lake_for_the_granted_area(asked):
    _, alone, reader = asked
    for view in sorted(statements.VIEWS - {"scenes"}):
        for aoi in ("ms", "be"):
            names = HIDDEN.get(view, "")
            whole = reader.lake.sql(f"{names} from {view} where aoi = $aoi order by all", aoi=aoi)
            part = reader.rows(f"from {view} order by all", (aoi,))
            same = part.select(whole.column_names)  # an attribute that no parcel of the area has is no column there
            assert same.equals(whole), (view, aoi)
    assert reader.rows("select * from scenes order by all").equals(alone)


def test_of_scenes_those_are_seen_that_meet_parcels_of_the_area_or_were_extracted_there(asked):
    *_, reader = asked
    assert sorted(reader.rows("from scenes")["id"].to_pylist()) == ["A", "B", "C", "L", "R"]
    assert sorted(reader.rows("from scenes", ("be",))["id"].to_pylist()) == ["A", "B", "L", "R", f"{SECRET}scene"]
    assert reader.rows("from scenes", ("nowhere",)).num_rows == 0


def test_what_is_told_of_a_scene_is_not_from_another_area(asked):
    *_, reader = asked
    told = {row["id"]: row for row in reader.rows("from scenes").to_pylist()}
    assert (told["A"]["status"], told["A"]["problem"]) == ("extracted", None)
    assert (told["C"]["status"], told["C"]["problem"], told["C"]["suspect"]) == ("failed", "own problem", "shifted")
    assert reader.lake.sql("select status from scenes where id = 'A'")["status"].to_pylist() == ["failed"]


def test_where_pixels_stand_in_a_cube_that_areas_share_is_told_to_administrators_only(tmp_path):
    lake = own(tmp_path / "lake")
    lake.record(entry("D", slots=[{"grid": "32631_10m", "slot": 17}]))
    reader = Reader(lake, tmp_path / "granted")
    for aois, told in ((AREA, None), (None, [{"grid": "32631_10m", "slot": 17}])):
        assert reader.rows("select slots from extractions where scene = 'D'", aois)["slots"].to_pylist() == [told]


def test_the_verdict_of_the_guard_is_not_told_of_scenes_that_only_others_extracted(tmp_path):
    lake = own(tmp_path / "lake")
    lake.add_scenes(scenes(scene("D")))
    verdict = {"card": "s2", "status": "suspect", "kind": "shifted", "reason": "x", "found": NOW, "version": "0.1"}
    lake.add_suspects(table(schemas.SUSPECTS, {**verdict, "scene": "D"}))
    rows = Reader(lake, tmp_path / "granted").rows("select id, suspect from scenes where id in ('C', 'D') order by id")
    assert rows.to_pylist() == [{"id": "C", "suspect": "shifted"}, {"id": "D", "suspect": None}]


def test_neither_the_database_nor_the_files_that_may_be_opened_name_another_area(asked):
    *_, reader = asked
    with reader.grants.database(AREA) as database:
        assert SECRET.encode() not in database.read_bytes()
        question = Question(str(database), reader.lake.url, "select 1", {}, LIMITS)
        connection = sqlbox._locked(question)
        readable = [path for (path,) in connection.execute("from readable").fetchall()]
        allowed = connection.execute("select value from duckdb_settings() where name = 'allowed_paths'").fetchall()
        views = str(connection.execute("select sql from duckdb_views() where not internal").fetchall())
        held = {
            name: str(connection.execute(f'from "{name}"').fetchall())
            for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall()
        }
        connection.close()
    assert {re.search(r"/aoi=(\w+)/", path)[1] for path in readable} == {"ms"}
    assert "aoi=be" not in str(allowed) + views
    assert "aoi=ms" in str(allowed)
    assert [name for name, content in held.items() if SECRET in content or "'be'" in content] == []


def test_files_of_another_area_cannot_be_opened_even_when_the_list_is_passed_by(asked, monkeypatch):
    *_, reader = asked
    monkeypatch.setattr(statements, "check", lambda statement: None)
    files = [path for path in reader.lake._store.files("") if "aoi=be" in path]
    assert len(files) > 5
    for file in files:
        _, refusal = reader.ask(f"select * from read_parquet('{file}')")  # noqa: S608
        assert refusal is not None
        assert SECRET not in refusal[1]


def test_a_database_is_written_once_for_the_same_areas_and_moment(tmp_path):
    lake = fill(Lake(str(tmp_path / "lake")))
    grants = Grants(lake, tmp_path / "granted")
    with grants.database(("ms", "be")) as first, grants.database(("be", "ms", "be")) as second:
        assert first == second
    lake.record(entry("C", "failed"))
    with grants.database(("ms", "be")) as third:
        assert third != first
        assert not first.exists()
        lake.record(entry("C", "failed"))
        with grants.database(("ms", "be")):
            assert third.exists()  # somebody reads it
    assert not third.exists()
    with grants.database(("ms",)) as file:
        os.utime(file.parent, (0, 0))
    with grants.database(("be",)):  # whoever writes another deletes what was forgotten
        assert not file.exists()
    with grants.database(("ms",)) as anew:
        assert anew.exists()
    grants.close()
    assert list((tmp_path / "granted").iterdir()) == []


@pytest.mark.slow
def test_thousands_of_answers_are_the_same_with_another_area(tmp_path, monkeypatch):
    lake = own(tmp_path / "lake")
    reader = Reader(lake, tmp_path / "granted")
    connected = {}

    def cursor(question):
        if question.database not in connected:
            connected[question.database] = locked(question)
        return connected[question.database].cursor()

    locked = sqlbox._locked
    monkeypatch.setattr(sqlbox, "_locked", cursor)  # one connection for all of them, which saves most of the time
    asked = list(dict.fromkeys([*ALLOWED, *ATTACKS, *CORPUS, *GENERATED]))
    before = {statement: reader.ask(statement) for statement in asked}
    answered = sum(refusal is None for _, refusal in before.values())
    plant(lake)
    assert differing(before, reader)[:5] == []
    print(f"{len(asked)} statements, {answered} answered, {len(asked) - answered} refused, 0 differ")  # noqa: T201
    assert answered > 1_000
    assert len(asked) - answered > 300
