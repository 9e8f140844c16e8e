"""JSON and YAML that others wrote: read as they are written, bounded in depth and size."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cbm_lake import card2db
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.files import documents
from cbm_lake.foi.classes import read_classes
from cbm_lake.markers import parameters

WRITTEN = (
    "yes",
    "no",
    "on",
    "off",
    "y",
    "Yes",
    "true",
    "false",
    "1e3",
    "0777",
    "0o17",
    "0x1F",
    "1_000",
    "12:30:45",
    "1.5",
    "-3",
    "n",
    "null and void",
    "2024-01-01",
    "2024-01-01T00:00:00Z",
    ".inf",
    ".nan",
    "=",
    "<<",
    "1,000",
    "+1",
    "Nein",
    "3.0",
    "NO",
    "1.",
    "0b11",
)


@pytest.mark.parametrize("name", WRITTEN)
def test_the_name_of_a_class_is_the_text_that_stands_in_the_file(tmp_path, name):
    file = tmp_path / "classes.yml"
    file.write_text(f"category_map:\n  1: {name}\n  2: grass\n")
    assert read_classes(file) == {1: name, 2: "grass"}
    file.write_text(f"1: '{name}'\n2: grass\n")
    assert read_classes(file) == {1: name, 2: "grass"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1: grass\n1: maize", "twice"),
        ("1: grass\n'1': maize", "twice"),
        ("1: grass\n0x1: maize", "twice"),
        ("0777: grass", "'0777' is no pixel value"),
        ("1.0: grass", "no pixel value"),
        ("yes: grass", "no pixel value"),
        ("1e3: grass", "no pixel value"),
        ("1_0: grass", "no pixel value"),
        ("12:30: grass", "no pixel value"),
        ("1:", "class 1 has no name"),
        ("1: ~", "class 1 has no name"),
        ("1: null", "class 1 has no name"),
        ("1: [a, b]", "is no name of a class"),
        ("1: {a: b}", "is no name of a class"),
        ("\u0661: grass", "no pixel value"),
        ("- grass", "no classes"),
        ("grass", "no classes"),
        ("", "no classes"),
    ],
)
def test_classes_that_may_mean_several_things_are_refused(tmp_path, text, told):
    file = tmp_path / "classes.yml"
    file.write_text(text)
    with pytest.raises((InvalidInputError, SourceError), match=told):
        read_classes(file)


def test_pixel_values_may_be_hexadecimal_and_negative(tmp_path):
    file = tmp_path / "classes.yml"
    file.write_text("0xFF: none\n-1: sea\n0: grass\n")
    assert read_classes(file) == {255: "none", -1: "sea", 0: "grass"}


def bomb(levels, wide=10):
    """A few lines that aliases make wide ** levels values of."""
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * wide)}]" for n in range(1, levels)]
    return "\n".join(lines)


HOSTILE = {
    "aliases that grow": (bomb(9), "make more than 100,000 values"),
    "aliases that grow deep": (bomb(90, 1), "make more than 64 lists and maps inside each other"),
    "aliases of merged maps": (
        "\n".join(["m0: &m0 {a: 1}", *(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}" for n in range(1, 9))]),
        "make more than",
    ),
    "an alias of itself": ("&a [*a]", "repeats what it stands in"),
    "a map that holds itself": ("a: &a {b: *a}", "repeats what it stands in"),
    "lists in lists": ("[" * 5000 + "]" * 5000, "more than 64 lists"),
    "maps in maps": ("{a: " * 5000 + "}" * 5000, "more than 64 lists"),
    "blocks in blocks": ("\n".join(" " * n + "a:" for n in range(200)), "more than 64 lists"),
    "a name twice": ("a: 1\na: 2", "twice"),
    "code": ("!!python/object/apply:os.system ['true']", "constructor"),
    "two documents": ("--- 1\n--- 2", "single document"),
    "two spellings of nothing": ("null: a\n~: b", "twice"),
    "a tag that its value is not of": ("a: !!bool maybe", "type that its tag says"),
    "a tag whose value is empty": ("a: !!int ''", "type that its tag says"),
    "half of a character": ('a: "\\ud800"', "surrogate"),
    "no YAML": ("a: [", "expected"),
    "control characters": ("a: \x00", "unacceptable|special characters"),
    "an unknown alias": ("a: *b", "undefined alias"),
}


@pytest.mark.thorough
@pytest.mark.parametrize("texts", [True, False])
@pytest.mark.parametrize("kind", HOSTILE)
def test_yaml_that_grows_or_means_two_things_is_refused_by_every_reader(tmp_path, kind, texts):
    text, told = HOSTILE[kind]
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(InvalidInputError, match=told):
        documents.read_yaml(file, texts=texts)
    with pytest.raises(InvalidInputError, match=r"a\.yaml"):
        parameters.read(file)
    with pytest.raises(SourceError, match=r"a\.yaml"):
        read_classes(file)


def test_yaml_that_is_too_large_is_refused_before_it_is_read(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("# " + "x" * 2**20)
    with pytest.raises(InvalidInputError, match="more than 1,048,576 bytes"):
        documents.read_yaml(file)


def test_an_alias_that_repeats_little_and_a_merged_map_are_read():
    text = "base: &base {drop: 0.1, high: 1e3}\nother: {<<: *base, high: 2}\nthird: *base"
    found = documents.parse_yaml(text)
    assert found["other"] == {"drop": 0.1, "high": 2}
    assert found["third"] == {"drop": 0.1, "high": 1000.0}


def test_the_defaults_of_markers_read_as_by_any_reader():
    text = (documents.Path(parameters.__file__).parent / "defaults.yaml").read_text()
    assert documents.parse_yaml(text) == yaml.safe_load(text) == parameters.defaults()


def test_values_of_yaml_are_those_of_its_version_1_2():
    text = "[yes, no, on, 0777, 2024-01-01, 12:30, 1_000, true, False, null, ~, 12, -3, 1.5, 1e3, .5, .inf, 0x1F, '1']"
    assert documents.parse_yaml(text) == [
        "yes",
        "no",
        "on",
        "0777",
        "2024-01-01",
        "12:30",
        "1_000",
        True,
        False,
        None,
        None,
        12,
        -3,
        1.5,
        1000.0,
        0.5,
        float("inf"),
        "0x1F",
        "1",
    ]


TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF, exclude_characters="\x7f\x85\xa0"), max_size=12)


@given(st.dictionaries(st.integers(-5, 5).map(str), TEXTS.filter(str.strip), max_size=5))
def test_texts_that_yaml_writes_are_read_again(classes):
    written = yaml.safe_dump(classes, allow_unicode=True)
    assert (documents.parse_yaml(written, texts=True) or {}) == classes


# -- JSON -------------------------------------------------------------------------------------------------------------

LEAVES = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
ANY = LEAVES | st.lists(LEAVES, max_size=4) | st.dictionaries(TEXTS, st.lists(LEAVES | TEXTS, max_size=3), max_size=4)


@given(ANY)
def test_json_is_read_as_by_the_standard_library(value):
    for ascii_ in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_)
        assert documents.read_json(text) == json.loads(text)


@pytest.mark.parametrize("deep", [64, 65])
def test_json_is_as_deep_as_it_may_be_and_brackets_in_texts_do_not_count(deep):
    text = "[" * deep + json.dumps('[[[["\\' * 50) + "]" * deep
    if deep <= documents.DEEPEST:
        assert documents.read_json(text)
    else:
        with pytest.raises(InvalidInputError, match="more than 64"):
            documents.read_json(text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_json_of_others_is_read_in_its_encoding_and_not_deeper_than_it_may_be(encoding):
    text = json.dumps({"é": [1, float("nan")]}, ensure_ascii=False)
    assert str(documents.load_json(text.encode(encoding))) == str(json.loads(text))
    for content in (("[" * 5000).encode(encoding), ('{"a":' * 70 + "1" + "}" * 70).encode(encoding)):
        with pytest.raises(InvalidInputError, match="more than 64"):
            documents.load_json(content)
    with pytest.raises(ValueError, match="Expecting value"):
        documents.load_json("no".encode(encoding))


def test_catalogues_that_are_too_deep_are_refused_in_one_line(lake, tmp_path):
    for name, read in (("a.ndjson", card2db.items), ("a.json", card2db.items)):
        (tmp_path / name).write_text('{"a":' * 9000 + "1" + "}" * 9000)
        with pytest.raises(SourceError, match=rf"{name}.*more than 64 lists and maps"):
            read(tmp_path / name, lake=lake)


@pytest.mark.parametrize("text", ["1.0: a\n1: b", "true: a\n1: b"])
def test_two_values_that_are_equal_are_one_name_of_a_map(text):
    with pytest.raises(InvalidInputError, match="twice"):
        documents.parse_yaml(text)


def test_a_text_that_does_not_end_is_looked_through_once():
    """Were it begun again at each quotation mark, this would take an hour."""
    with pytest.raises(InvalidInputError, match="no JSON"):
        documents.read_json('"' + '\\"' * 1_000_000 + "\\")
    with pytest.raises(InvalidInputError, match="more than 64"):
        documents.check_depth('"[\\"[" ' + "[" * 65 + '"]')
