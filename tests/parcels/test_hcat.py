"""HCAT of declared crops rests on the file's own columns, its country, or its codes; what is not known stays empty."""

import csv
import json
from collections import Counter
from pathlib import Path

import geopandas as gpd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box
from typer.testing import CliRunner

from cbm_lake import parcels
from cbm_lake.cli import app
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.parcels import hcat

FRANCE, VIENNA, BELGRADE = (600_000, 6_700_000, 2154), (600_000, 5_340_000, 32633), (455_000, 4_960_000, 32634)
WHEAT, MAIZE = "3301010101", "3301010600"


def write(file, where=FRANCE, **columns):
    """A file of parcels side by side with these columns."""
    x, y, epsg = where
    count = len(next(iter(columns.values())))
    shapes = [box(x + 100 * number, y, x + 100 * number + 80, y + 80) for number in range(count)]
    data = {"pid": [str(number) for number in range(count)]} | columns
    gpd.GeoDataFrame(data, geometry=shapes, crs=epsg).to_parquet(file)
    return file


@pytest.fixture
def loaded(lake, tmp_path):
    """Load parcels with these columns: (code, name) of HCAT by parcel, and the notes about it."""

    def load(where=FRANCE, hcat=None, **columns):
        done = parcels.load(write(tmp_path / "set.parquet", where, **columns), "aa", 2024, hcat=hcat, lake=lake)
        rows = lake.sql("select hcat, hcat_name from parcels where aoi = 'aa' order by pid::int").to_pylist()
        notes = [note for note in done.notes if "taken for the parcel" not in note and "taken for the crop" not in note]
        return [row["hcat"] for row in rows], [row["hcat_name"] for row in rows], notes

    return load


# -- the tables ------------------------------------------------------------------------------------------------------


def test_every_code_of_every_table_is_a_class_of_hcat():
    for table in hcat.tables().values():
        assert set(table.codes.values()) <= set(hcat.names())
        assert len(table.codes) == len(table.spelled), "two codes are the same once they are normalised"
        assert table.box[0] < table.box[2]
        assert table.box[1] < table.box[3]


def test_the_list_of_tables_and_the_tables_are_of_the_same_countries():
    listed = parcels.crop_tables().to_pylist()
    assert [row["name"] for row in listed] == [*hcat.tables()]
    folder = Path(hcat.__file__).with_name("eurocrops")
    with (folder / "crop_codes.csv").open(encoding="utf-8") as stream:
        rows = Counter(row["table"] for row in csv.DictReader(stream))
    assert {row["name"]: row["codes"] for row in listed} == rows
    assert not {column for table in hcat.tables().values() for column in table.columns} - set(parcels.CROP_CODE_NAMES)


def test_no_column_is_of_two_countries():
    columns = Counter(column for table in hcat.tables().values() for column in table.columns)
    assert max(columns.values()) == 1


@pytest.mark.parametrize(
    ("table", "code", "name"),
    [  # from the agencies' own lists
        ("fr", "BTH", "winter_common_soft_wheat"),
        ("fr", "MIS", "grain_maize_corn_popcorn"),
        ("nl", "259", "green_silo_maize"),
        ("nl", "1004", "tulips"),
        ("at", "717", "pasture_meadow_grassland_grass"),
        ("at", "153", "winter_barley"),
        ("dk", "1", "spring_barley"),
        ("dk", "603", "tree_wood_forest"),
        ("be_vlg", "91", "sugar_beet"),
        ("de_nrw", "311", "winter_rapeseed_rape"),
        ("fi", "1400", "oats"),
        ("lv", "112", "winter_common_soft_wheat"),
        ("si", "005", "grain_maize_corn_popcorn"),
        ("se", "7", "winter_triticale"),
        ("at", "634", "pasture_meadow_grassland_grass"),  # Kleegras
        ("be_vlg", "700", "pasture_meadow_grassland_grass"),
        ("dk", "256", "pasture_meadow_grassland_grass"),  # permanent kløvergræs
        ("dk", "171", "alfalfa_lucerne"),
        ("fr", "MLG", "temporary_grass"),
        ("fr", "BRO", "poaceae_grasses"),
    ],
)
def test_codes_are_the_crops_that_the_agencies_call_so(table, code, name):
    rows = parcels.crop_codes(table).to_pylist()
    assert [row["hcat_name"] for row in rows if row["code"] == code] == [name]


def test_the_corrections_that_the_readme_lists_are_those_of_the_table():
    text = Path(hcat.__file__).with_name("eurocrops").joinpath("README.md").read_text(encoding="utf-8")
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "]
    listed = {(table, code): name for table, code, _, _, name in lines[1:]}
    names = {
        (table, row["code"]): row["hcat_name"]
        for table in hcat.tables()
        for row in parcels.crop_codes(table).to_pylist()
    }

    assert len(listed) > 50
    assert {key: names[key] for key in listed} == listed


def test_an_unknown_table_is_named_with_those_there_are():
    with pytest.raises(NotFoundError, match=r"no table 'xx' of crop codes; there are: at, be_vlg"):
        parcels.crop_codes("xx")


@pytest.mark.parametrize(
    ("code", "above"),
    [(WHEAT, "3301010100"), ("3301010100", "3301010000"), ("3301010000", "3301000000"), ("3302000000", "3300000000")],
)
def test_the_class_above_is_a_pair_of_digits_shorter(code, above):
    assert hcat.parent(code) == above


def test_every_class_leads_to_the_root_and_the_root_to_nothing():
    for code in hcat.names():
        seen = [code]
        while (higher := hcat.parent(seen[-1])) is not None:
            assert higher in hcat.names()
            seen.append(higher)
        assert len(seen) <= 6
        assert seen[-1] in ("3300000000", "3000000000")


@given(st.integers(0, 10**7), st.sampled_from(["", ".0", ".00"]), st.integers(0, 3))
def test_numbers_are_the_same_code_with_zeros_and_blanks_around(number, decimals, zeros):
    assert hcat.normalised(f" {'0' * zeros}{number}{decimals} ") == str(number)


# -- evidence --------------------------------------------------------------------------------------------------------


def test_a_column_that_one_country_alone_has_says_whose_codes_they_are(loaded):
    codes, names, notes = loaded(code_cultu=["BTH", "MIS", None])
    assert codes == [WHEAT, MAIZE, None]
    assert names == ["winter_common_soft_wheat", "grain_maize_corn_popcorn", None]
    assert len(notes) == 1
    assert notes[0] == (
        "HCAT is by table fr (codes of 2018), as column code_cultu is of FR: it has the codes of 100.0% of 2 parcels "
        "with a crop; another by hcat="
    )


def test_unknown_codes_are_counted_with_their_names(loaded):
    codes, _, notes = loaded(code_cultu=["BTH"] * 3 + ["BTX", "BTX", "ÖÖÖ"], crop_name=[*"abcddf"[:5], None])
    assert codes == [WHEAT] * 3 + [None] * 3
    assert notes[1] == (
        "3 parcels have crop codes that table fr (codes of 2018) does not have, so hcat is empty: "
        "'BTX' (2: d), 'ÖÖÖ' (1)"
    )


def test_a_column_of_a_country_with_the_codes_of_another_is_left_empty(loaded):
    codes, _, notes = loaded(gewascode=["BTH", "MIS", "265"])
    assert codes == [None] * 3
    assert len(notes) == 1
    assert notes[0] == (
        "the crop codes may be of nl (column gewascode is of NL; it has 33% of the codes); hcat is empty: a table, a "
        "file of codes or a column by hcat="
    )


def test_codes_with_letters_are_evidence_where_the_parcels_are_in_the_country(loaded):
    codes, _, notes = loaded(crop_code=["BTH", "MIS"])
    assert codes == [WHEAT, MAIZE]
    assert "as no other has these codes in FR" in notes[0]


def test_the_same_codes_elsewhere_are_no_evidence(loaded):
    codes, _, notes = loaded(BELGRADE, crop_code=["BTH", "MIS"])
    assert codes == [None, None]
    assert "no table of crop codes (at, be_vlg, " in notes[0]


def test_a_few_numbers_are_no_evidence_and_many_are(loaded):
    few, _, notes = loaded(VIENNA, crop_code=["717", "138"])
    assert few == [None, None]
    assert "the 2 crop codes are in at, which is not enough to tell" in notes[0]
    many = ["717", "716", "990", "901", "351", "138", "105", "109"]
    codes, _, _ = loaded(VIENNA, crop_code=many)
    assert codes == [hcat.tables()["at"].codes[code] for code in many]


def test_the_country_of_fiboa_counts_more_than_a_list_of_codes_that_has_them_not(loaded):
    danish = ["252", "14", "260", "11", "216"]
    columns = {"crop:code": danish, "admin:country_code": ["DK"] * 5, "crop:code_list": ["https://x/nl_2020.csv"] * 5}
    codes, _, notes = loaded(**columns)
    assert codes == [hcat.tables()["dk"].codes[code] for code in danish]
    assert "as column admin:country_code says DK" in notes[0]


def test_another_region_of_the_country_is_no_evidence(loaded):
    columns = {"crop:code": ["60", "201"], "admin:country_code": ["BE"] * 2, "admin:subdivision_code": ["WAL"] * 2}
    assert loaded(**columns)[0] == [None, None]
    assert loaded(**columns | {"admin:subdivision_code": ["VLG"] * 2})[0] == ["3302000000", "3301090400"]


def test_numbers_of_any_type_are_codes(loaded):
    for values in ([265, 259], [265.0, 259.0], ["0265", "259.0"]):
        assert loaded(gewascode=values)[0] == ["3302000000", "3301090400"]


# -- columns that are HCAT -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["EC_hcat_c", "hcat:code", "ec:hcat_code", "HCAT3_code"])
def test_a_column_of_hcat_is_taken_before_any_table(loaded, name):
    codes, names, notes = loaded(code_cultu=["BTH"] * 3, **{name: [3301060500, 3301160000, 3301010600]})
    assert names == ["sunflower", "soy_soybeans", "grain_maize_corn_popcorn"]
    assert codes[0] == "3301060500"
    assert notes == [f"column {name} is taken for HCAT; another by hcat="]


def test_codes_of_hcat_are_known_in_a_column_of_any_name(loaded):
    codes, _, notes = loaded(crop_code=[WHEAT, MAIZE])
    assert codes == [WHEAT, MAIZE]
    assert notes == ["column crop_code is taken for HCAT; another by hcat="]


def test_a_column_with_names_alone_is_taken_too(loaded):
    codes, _, _ = loaded(EC_hcat_n=["Winter common soft wheat", "not of hcat", None])
    assert codes == [WHEAT, None, None]


def test_where_code_and_name_differ_the_name_counts_and_it_is_said(loaded):
    codes, names, notes = loaded(EC_hcat_c=["3301084800", WHEAT], EC_hcat_n=["tulips", "winter_common_soft_wheat"])
    assert codes == ["3301084900", WHEAT]
    assert names == ["tulips", "winter_common_soft_wheat"]
    assert "1 parcel has in column EC_hcat_c the code of another crop than column EC_hcat_n names" in notes[1]


def test_codes_of_another_version_stay_without_a_name_and_are_named(loaded):
    codes, names, notes = loaded(EC_hcat_c=["3301019000", WHEAT, "n/a"])
    assert codes == ["3301019000", WHEAT, None]
    assert names == [None, "winter_common_soft_wheat", None]
    assert any("HCAT codes that HCAT3 does not have" in note and "'3301019000' (1)" in note for note in notes)
    assert any("what HCAT has not, so hcat is empty: 'n/a' (1)" in note for note in notes)


def test_a_column_that_is_hcat_by_its_name_only_does_not_stop_the_table(loaded):
    codes, _, notes = loaded(code_cultu=["BTH", "MIS"], EC_hcat_c=["0", "0"])
    assert codes == [WHEAT, MAIZE]
    assert notes[0] == "column EC_hcat_c has no HCAT codes of ten digits or names of HCAT, but '0' (2)"


# -- what the user says ----------------------------------------------------------------------------------------------


def test_the_option_is_a_table_a_column_or_none(loaded):
    assert loaded(hcat="FR", crop_code=["BTH", "MIS"])[0] == [WHEAT, MAIZE]
    assert loaded(hcat="klass", crop_code=["BTH", "MIS"], klass=[MAIZE, WHEAT])[0] == [MAIZE, WHEAT]
    codes, _, notes = loaded(hcat="none", code_cultu=["BTH", "MIS"])
    assert codes == [None, None]
    assert not [note for note in notes if "HCAT is" in note]


@pytest.mark.parametrize(
    "text",
    [
        "code,hcat\nw,3301010101\nm,3301010600\n",
        "original_code;original_name;HCAT3_name;HCAT3_code\nW;x;winter_common_soft_wheat;3301010101\nm;y;;3301010600\n",
        "crop_code\thcat_name\nw\tWinter common soft wheat\nm\tgrain_maize_corn_popcorn\n",
        "\ufeffcode,hcat,remark\nw,3301010101,\nw,3301010101,twice\nm,3301010600,\n,3301060500,no code\n",
    ],
)
def test_a_file_of_the_user_is_a_table(loaded, tmp_path, text):
    (tmp_path / "codes.csv").write_text(text, encoding="utf-8")
    codes, _, notes = loaded(hcat=str(tmp_path / "codes.csv"), crop_code=["w", "m", "q"])
    assert codes == [WHEAT, MAIZE, None]
    assert "'Q' (1)" in notes[-1]


def test_without_codes_a_file_goes_by_names(loaded, tmp_path):
    (tmp_path / "names.csv").write_text("name,hcat\nŘepka  ozimá,winter_rapeseed_rape\n", encoding="utf-8")
    codes, _, notes = loaded(hcat=str(tmp_path / "names.csv"), plod_naze=["řepka ozimá", "JINÁ", "řepka ozima"])
    assert codes == ["3301060401", None, None]
    assert "'jiná' (1), 'řepka ozima' (1; did you mean 'řepka ozimá'?)" in notes[-1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("code,hcat\nw,3301010101\nW,3301060500\n", "'W' is of several HCAT codes: 3301010101, 3301060500; leave one"),
        (
            "code,hcat\nw,wheat\n",
            "'wheat', which 'w' is to be, is neither an HCAT code",
        ),
        ("code,crop\nw,wheat\n", "is no table of crop codes for these parcels: its columns are code, crop"),
        ("name,hcat\nw,3301010101\n", None),
    ],
)
def test_a_file_that_is_no_table_is_refused_by_what_is_wrong(loaded, tmp_path, text, reason):
    (tmp_path / "codes.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=reason):
        loaded(hcat=str(tmp_path / "codes.csv"), crop_code=["w", "m"])


def test_a_class_and_a_kind_of_it_are_the_class(loaded, tmp_path):
    (tmp_path / "codes.csv").write_text("code,hcat\n603,3306070000\n603,3306000000\n", encoding="utf-8")
    assert loaded(hcat=str(tmp_path / "codes.csv"), crop_code=["603"])[0] == ["3306000000"]


def test_an_option_that_is_nothing_names_what_may_be_meant(loaded):
    with pytest.raises(InvalidInputError, match=r"hcat='be_vgl' is no column of .*; did you mean 'be_vlg'\?"):
        loaded(hcat="be_vgl", crop_code=["60"])
    with pytest.raises(InvalidInputError, match="has no HCAT codes of ten digits or names of HCAT, but '60'"):
        loaded(hcat="crop_code", crop_code=["60"])
    with pytest.raises(InvalidInputError, match=r"table fr .* has none of the crops, such as 60, 61; name another"):
        loaded(hcat="fr", crop_code=["60", "61"])
    with pytest.raises(InvalidInputError, match="has no column of crop codes; say which by crop_code="):
        loaded(hcat="fr", crop_name=["Blé"])


# -- in the lake -----------------------------------------------------------------------------------------------------


def test_geometries_stay_the_same_version_when_only_hcat_changes(lake, tmp_path):
    file = write(tmp_path / "set.parquet", crop_code=["BTH", "MIS"])
    before = parcels.load(file, "aa", 2024, hcat="none", lake=lake)
    after = parcels.load(file, "aa", 2024, hcat="fr", lake=lake)
    assert after.new
    assert after.version != before.version
    assert after.version.partition("_")[0] == before.version.partition("_")[0]
    assert "hcat:code added" in str(after.changes)
    assert not parcels.load(file, "aa", 2024, hcat="fr", lake=lake).new


def test_parcels_without_hcat_and_with_it_are_in_one_view(lake, tmp_path):
    parcels.load(write(tmp_path / "a.parquet", crop_code=["BTH"]), "aa", 2023, hcat="none", lake=lake)
    parcels.load(write(tmp_path / "b.parquet", crop_code=["BTH"]), "aa", 2024, hcat="fr", lake=lake)
    rows = lake.sql("select year, hcat from parcels order by year").to_pylist()
    assert rows == [{"year": 2023, "hcat": None}, {"year": 2024, "hcat": WHEAT}]


def test_the_file_of_the_lake_has_fiboas_names_and_the_agencys_column_beside(lake, tmp_path):
    file = write(tmp_path / "set.parquet", crop_code=["BTH"], **{"hcat:code": [MAIZE]})
    parcels.load(file, "aa", 2024, hcat="fr", lake=lake)
    row = pq.read_table(lake.parcel_set("aa", 2024).path).to_pylist()[0]
    assert (row["hcat:code"], row["hcat:name"]) == (WHEAT, "winter_common_soft_wheat")
    assert row["source:hcat:code"] == MAIZE


def test_the_command_line_loads_and_lists(workspace, tmp_path):
    run = CliRunner()
    file = write(tmp_path / "set.parquet", crop_code=["BTH"])
    done = run.invoke(app, ["parcels", "load", str(file), "--aoi", "aa", "--year", "2024", "--hcat", "fr"])
    assert done.exit_code == 0, done.output
    assert "HCAT is by table fr (codes of 2018)" in done.output
    wrong = run.invoke(app, ["parcels", "load", str(file), "--aoi", "aa", "--year", "2024", "--hcat", "frr"])
    assert wrong.exit_code == 1
    assert "--hcat 'frr' is no column" in str(wrong.exception)
    listed = run.invoke(app, ["parcels", "codes", "--format", "json"])
    assert [json.loads(line)["name"] for line in listed.output.splitlines()] == [*hcat.tables()]
    codes = run.invoke(app, ["parcels", "codes", "fr", "--format", "csv"])
    assert '"BTH","3301010101","winter_common_soft_wheat"' in codes.output
    taxonomy = run.invoke(app, ["parcels", "codes", "hcat", "--format", "csv"])
    assert len(taxonomy.output.splitlines()) == len(hcat.names()) + 1


def test_a_file_that_is_not_there_is_said(lake, tmp_path):
    file = write(tmp_path / "s.parquet", crop_code=["a"])
    with pytest.raises(InvalidInputError, match=r"x\.csv' is no column of .*, no table of crop codes and no file"):
        parcels.load(file, "aa", 2024, hcat=str(tmp_path / "x.csv"), lake=lake)


# -- real files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "pid", "table", "share"),
    [
        ("at_gsaa_2025.parquet", None, "at", 0.8),
        ("nl_brp_2023.parquet", "fid", "nl", 0.9),
        ("fr_rpg_near_lyon.parquet", "id_parcel", "fr", 1.0),
        ("dk_gsaa_2026.parquet", "Journalnr,Marknr", "dk", 0.98),
    ],
)
def test_real_files_of_agencies_are_classified_by_their_country(lake, realdata, file, pid, table, share):
    done = parcels.load(realdata / "parcels" / file, "aa", 2024, pid=pid, lake=lake)
    assert any(f"HCAT is by table {table} " in note for note in done.notes)
    known = lake.sql("select avg((hcat is not null)::int) as known from parcels").to_pylist()[0]["known"]
    assert known >= share
