"""How often a lake is asked: a figure asks once for what it draws; the figures of a report share what was asked."""

import inspect
from collections import Counter

import pytest
import small_demo

from cbm_lake import get, report, show
from cbm_lake.get import folders
from cbm_lake.lake import Lake, open_lake
from cbm_lake.show.reading import Reading

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A lake with images, statistics of all cards and markers, and its largest parcel."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBM_LAKE_HOME", str(folder))
        small_demo.make(folder)
        lake = open_lake()
        [pid] = lake.sql("select pid from parcels order by area_m2 desc limit 1")["pid"].to_pylist()
        yield folder, lake, pid


@pytest.fixture
def counted(demo, monkeypatch):
    """The questions that lakes are asked, the lakes that are made, and the files that are written, by name."""
    monkeypatch.setenv("CBM_LAKE_HOME", str(demo[0]))
    questions, lakes, files = Counter(), [], []
    ask, make, write = Lake.query, Lake.__init__, folders.write_bytes

    def query(self, name, /, **params):
        questions[name] += 1
        return ask(self, name, **params)

    def init(self, *args, **kwargs):
        lakes.append(args)
        make(self, *args, **kwargs)

    def write_bytes(file, content):
        files.append(file.name)
        return write(file, content)

    monkeypatch.setattr(Lake, "query", query)
    monkeypatch.setattr(Lake, "__init__", init)
    monkeypatch.setattr(folders, "write_bytes", write_bytes)
    return questions, lakes, files


@pytest.mark.parametrize(
    ("draw", "most"),
    [
        (lambda pid: show.time_series.ndvi("demo", 2024, pid), 4),
        (lambda pid: show.time_series.s2("demo", 2024, pid, bands=["B02", "B04", "B08", "B11"]), 4),
        (lambda pid: show.time_series.s1("demo", 2024, pid), 5),
        (lambda pid: show.calendar.by_pid("demo", 2024, pid), 5),
        (lambda pid: show.background.by_pid("demo", 2024, pid, tms="sentinel"), 3),
        (lambda pid: show.parcel_info.by_pid("demo", 2024, pid), 1),
    ],
)
def test_a_figure_asks_once_for_what_it_draws_and_writes_no_files(demo, counted, draw, most):
    questions, lakes, files = counted
    draw(demo[2])
    assert sum(questions.values()) <= most, questions
    assert max(questions.values()) == 1
    assert (lakes, files) == ([], [])


def test_a_report_opens_one_lake_and_asks_twenty_two_questions_at_most(demo, counted, tmp_path):
    questions, lakes, files = counted
    made = report.parcel("demo", 2024, demo[2], folder=tmp_path, formats=("html",))
    assert not made.missing
    assert len(lakes) == 1
    assert sum(questions.values()) <= 22, questions
    assert files == [made.files["html"].name]


def test_figures_that_share_a_reading_ask_nothing_twice(demo, counted):
    questions, _, _ = counted
    reading = Reading.of(demo[1])
    show.time_series.ndvi("demo", 2024, demo[2], lake=reading)
    before = Counter(questions)
    show.time_series.index("demo", 2024, demo[2], "ndmi", peers=False, lake=reading)
    show.time_series.s2("demo", 2024, demo[2], peers=False, lake=reading)
    assert questions == before
    show.time_series.s2("demo", 2024, demo[2], lake=reading)
    assert questions - before == Counter({"time_series.peers_s2": 1})


def functions(module):
    return [each for name, each in vars(module).items() if inspect.isfunction(each) and not name.startswith("_")]


def test_every_function_of_show_and_report_takes_a_lake():
    modules = (show.background, show.calendar, show.chip_images, show.parcel_info, show.time_series)
    verbs = [each for module in modules for each in functions(module) if each.__module__ == module.__name__]
    verbs = [each for each in verbs if "aoi" in inspect.signature(each).parameters]
    assert len(verbs) > 12
    for verb in [*verbs, report.parcel, report.batch, report.slides, report.verify, report.export_to_pdf]:
        assert list(inspect.signature(verb).parameters)[-1] == "lake", verb


def test_another_lake_is_drawn_and_reported_by_its_object(demo, workspace, tmp_path):
    _, lake, pid = demo
    assert open_lake().is_empty
    figure = show.time_series.ndvi("demo", 2024, pid, lake=lake)
    assert pid in figure._suptitle.get_text()
    made = report.parcel("demo", 2024, pid, folder=tmp_path, formats=("json",), lake=lake)
    assert "ndvi" not in made.missing
    assert report.verify(made.files["json"], redraw=False, lake=lake).equal
    assert not report.verify(made.files["json"], redraw=False).equal
    frame = get.time_series.by_pid("demo", 2024, pid, lake=lake)
    assert len(frame) > 10
