"""Products on disk: CARD-BS and CARD-COH as CREODIAS mounts them, SAFE in folders and archives, MAJA, and odd ones."""

import json
import shutil
import stat
import zipfile

import numpy as np
import pytest
import rasterio
import shapely
from ground_truth import SIZE, check, coherence, dn, extracted, load, power, write

from cbm_lake import card2db
from cbm_lake.card2db import container
from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.lake import open_lake

pytestmark = pytest.mark.thorough


BS = "S1A_IW_GRDH_1SDV_20240501T055000_20240501T055025_053680_0684F5_1A2B_CARD_BS"
COH = "S1A_20240501T055000_S1A_20240425T055000_3B20_CARD_COH6"
SAFE = "S2A_MSIL2A_20240501T104021_N0510_R008_T31TEJ_20240501T151515"
TEN, TWENTY = ("B02", "B03", "B04", "B08"), ("B05", "B06", "B07", "B8A", "B11", "B12", "SCL")


def envi(path, pixels, **options):
    return write(path, pixels, driver="ENVI", **options)


def snap(folder, name=BS, files=("Gamma0_VV", "Gamma0_VH"), make=power, **options):
    """A product as SNAP writes it: the arrays by file."""
    arrays = {file: make(seed) for seed, file in enumerate(files)}
    for file, pixels in arrays.items():
        envi(folder / name / f"{name}.data" / f"{file}.img", pixels, **options)
    return arrays


def catalogued(lake, folder, **options):
    found = card2db.products(folder, lake=lake, **options)
    return found, lake.sql("select * from scenes order by id").to_pylist()


# -- CARD-BS and CARD-COH -----------------------------------------------------------------------------------------


def test_a_mounted_card_bs_is_catalogued_and_gives_the_numbers_of_rasterstats(lake, tmp_path):
    arrays = snap(tmp_path / "eodata")
    load(lake, tmp_path)
    found, (row,) = catalogued(lake, tmp_path / "eodata")
    assert found == card2db.Ingested(1, 1)
    assert (row["id"], row["card"], row["sensor"], row["relative_orbit"]) == (BS, "bs", "S1A", 58)
    assert f"{row['obstime']:%Y-%m-%d %H:%M:%S}" == "2024-05-01 05:50:00"
    assert row["acquisition"] == "bs/S1A/20240501T055000/20240501T055025"
    assert row["epsg"] == 32631
    extracted(lake, "bs")
    check(lake, "bs", BS, {"VV": arrays["Gamma0_VV"], "VH": arrays["Gamma0_VH"]})
    assert card2db.products(tmp_path / "eodata" / BS, lake=lake) == card2db.Ingested(1, 0)


@pytest.mark.parametrize("byteorder", [">f4", "<f4"])
def test_the_headers_of_snap_itself_are_read(lake, tmp_path, byteorder):
    data = tmp_path / BS / f"{BS}.data"
    data.mkdir(parents=True)
    arrays = {}
    for seed, band in enumerate(("VV", "VH")):
        arrays[band] = power(seed)
        (data / f"Gamma0_{band}.img").write_bytes(arrays[band].astype(byteorder).tobytes())
        (data / f"Gamma0_{band}.hdr").write_text(
            f"ENVI\ndescription = {{Gamma0_{band} - Unit: intensity}}\nsamples = {SIZE}\nlines = {SIZE}\nbands = 1\n"
            "header offset = 0\nfile type = ENVI Standard\ndata type = 4\ninterleave = bsq\n"
            f"byte order = {int(byteorder[0] == '>')}\nband names = {{ Gamma0_{band} }}\ndata gain values = {{1.0}}\n"
            "data offset values = {0.0}\n"
            "map info = {UTM, 1.0, 1.0, 500000.0, 4800000.0, 10.0, 10.0, 31, North, WGS-84, units=Meters}\n"
            "wavelength = {0.0}\ndata ignore value = 0.0\n"
        )
    load(lake, tmp_path)
    assert catalogued(lake, tmp_path / BS)[0] == card2db.Ingested(1, 1)
    extracted(lake, "bs")
    check(lake, "bs", BS, arrays)


def test_coherence_in_one_file_with_two_bands_is_read_band_by_band(lake, tmp_path):
    name = "S1A_20240501T055000__1A__20240425T055000_20240425T055028_CARD-COH12"
    arrays = np.stack([coherence(1), coherence(2)])
    tif = write(tmp_path / "eodata" / name / f"{name}.tif", arrays, tiled=True, blockxsize=64, blockysize=64)
    load(lake, tmp_path)
    found, (row,) = catalogued(lake, tmp_path / "eodata")
    assert found == card2db.Ingested(1, 1)
    assert (row["card"], row["sensor"], row["acquisition"]) == ("c6", "S1A", "c6/S1A/20240501T055000/20240425T055000")
    assert f"{row['obstime']:%Y-%m-%d %H:%M:%S}" == "2024-05-01 05:50:00"
    assert [row["assets"][band]["href"] for band in ("VV", "VH")] == [f"{tif}#band=1", f"{tif}#band=2"]
    extracted(lake, "c6")
    check(lake, "c6", name, {"VV": arrays[0], "VH": arrays[1]})
    extracted(lake, "c6", again=True, cube=False)
    check(lake, "c6", name, {"VV": arrays[0], "VH": arrays[1]})


def test_the_names_of_bands_in_a_file_decide_their_order(lake, tmp_path):
    arrays = np.stack([coherence(1), coherence(2)])
    names = ("coh_VH_25Apr2024_01May2024", "coh_VV_25Apr2024_01May2024")
    write(tmp_path / "in" / f"{COH}.tif", arrays, descriptions=names)
    load(lake, tmp_path)
    assert catalogued(lake, tmp_path / "in")[0] == card2db.Ingested(1, 1)
    extracted(lake, "c6")
    check(lake, "c6", COH, {"VH": arrays[0], "VV": arrays[1]})


def test_sub_swaths_are_scenes_of_their_own_and_all_count(lake, tmp_path):
    files = [f"coh_IW{swath}_{band}_25Apr2024_01May2024" for swath in (1, 2) for band in ("VV", "VH")]
    name = "S1A_IW_SLC__1SDV_20240425T055000_20240425T055027_053605_068123_AAAA_Orb_Stack_Coh"
    snap(tmp_path / "in", name, files, coherence)
    load(lake, tmp_path)
    _, rows = catalogued(lake, tmp_path / "in")
    assert [row["id"] for row in rows] == [f"{name}_IW1", f"{name}_IW2"]
    assert {f"{row['obstime']:%Y-%m-%d %H:%M:%S}" for row in rows} == {"2024-05-01 05:50:00"}
    assert len({row["acquisition"] for row in rows}) == 2
    assert not any(row["superseded"] for row in rows)


def test_decibels_are_known_by_name_by_metadata_and_by_their_sign_and_become_power(lake, tmp_path, caplog):
    load(lake, tmp_path)
    decibels = {}

    def make(seed):
        decibels[seed] = np.random.default_rng(seed).normal(-12, 3, (SIZE, SIZE)).astype(np.float32)
        decibels[seed][:2] = 0
        return decibels[seed]

    names = [BS.replace("20240501", f"2024050{day}") for day in (1, 2, 3)]
    for name, files in zip(names, (("Gamma0_VV_db", "Gamma0_VH_db"), *[("Gamma0_VV", "Gamma0_VH")] * 2), strict=True):
        snap(tmp_path / "in", name, files, make)
    bands = "".join(
        f"<Spectral_Band_Info><BAND_INDEX>{number}</BAND_INDEX><BAND_NAME>Gamma0_{band}</BAND_NAME>"
        "<PHYSICAL_UNIT>intensity_db</PHYSICAL_UNIT></Spectral_Band_Info>"
        for number, band in enumerate(("VV", "VH"))
    )
    (tmp_path / "in" / names[1] / f"{names[1]}.dim").write_text(f"<Dimap_Document>{bands}</Dimap_Document>")
    found, rows = catalogued(lake, tmp_path / "in")
    assert found == card2db.Ingested(3, 3)
    assert all(row["assets"]["VV"]["href"].endswith(".img#unit=db") for row in rows)
    assert caplog.text.count("so they are decibels") == 2  # the two bands of the third
    extracted(lake, "bs")
    linear = {
        band: np.where(decibels[seed] == 0, 0, 10.0 ** (decibels[seed].astype(float) / 10)).astype(np.float32)
        for seed, band in enumerate(("VV", "VH"))
    }
    for name in names:
        check(lake, "bs", name, linear)


def test_gamma_comes_before_sigma_and_power_before_decibels(lake, tmp_path):
    files = ("Sigma0_VV", "Sigma0_VH", "Gamma0_VV_db", "Gamma0_VV", "Gamma0_VH", "localIncidenceAngle")
    snap(tmp_path, files=files)
    _, (row,) = catalogued(lake, tmp_path)
    assert [row["assets"][band]["href"].rpartition("/")[2] for band in ("VV", "VH")] == [
        "Gamma0_VV.img",
        "Gamma0_VH.img",
    ]


def without_headers(folder):
    snap(folder)
    for file in (folder / BS).rglob("*.hdr"):
        file.unlink()


def moved(folder):
    snap(folder)
    envi(folder / BS / f"{BS}.data/Gamma0_VH.img", power(), corner=(500_005, 4_800_000))


SPOILED = {
    "two of one band": lambda folder: snap(folder, files=("Gamma0_VV_mst_01May2024", "Gamma0_VV_slv1_07May2024")),
    "integers": lambda folder: snap(folder, make=dn),
    "complex": lambda folder: snap(folder, make=lambda seed: power(seed).astype(np.complex64)),
    "uncalibrated": lambda folder: snap(folder, make=lambda seed: power(seed) * 10_000),
    "coherence beyond 1": lambda folder: snap(folder, COH, ("coh_VV",), lambda seed: coherence(seed) * 255),
    "another mission": lambda folder: snap(folder, "mosaic_20240501T055000"),
    "no time": lambda folder: snap(folder, "S1A_mosaic_CARD_BS"),
    "no such time": lambda folder: snap(folder, BS.replace("T055000", "T995000")),
    "header gone": without_headers,
    "no coordinates": lambda folder: write(folder / f"{COH}.tif", np.stack([coherence()] * 2), crs=None),
    "three bands": lambda folder: write(folder / f"{COH}.tif", np.stack([coherence()] * 3)),
    "grids apart": moved,
    "coherence called backscatter": lambda folder: snap(folder, BS, ("coh_VV", "coh_VH"), coherence),
}
REASONS = {
    "two of one band": "are VV; keep one",
    "integers": "uint16",
    "complex": "complex",
    "uncalibrated": "not backscatter as power",
    "coherence beyond 1": "between 0 and 1",
    "another mission": "Sentinel-1",
    "no time": "no time",
    "no such time": "a time in it is none",
    "header gone": "cannot be opened",
    "no coordinates": "no known coordinate system",
    "three bands": "3 bands",
    "grids apart": "do not fit",
    "coherence called backscatter": "no raster of VV or VH of backscatter",
}


@pytest.mark.parametrize("kind", REASONS)
def test_what_is_no_card_costs_its_own_product_only_and_says_why(lake, tmp_path, kind):
    snap(tmp_path, BS.replace("20240501", "20240513"))
    SPOILED[kind](tmp_path)
    found, rows = catalogued(lake, tmp_path)
    assert (found.found, found.new, len(rows)) == (2, 1, 1)
    (reason,) = found.skipped
    assert REASONS[kind] in reason
    assert "\n" not in reason


def test_a_band_that_cannot_be_read_does_not_cost_the_other(lake, tmp_path, caplog):
    snap(tmp_path)
    (tmp_path / BS / f"{BS}.data/Gamma0_VH.hdr").unlink()
    _, (row,) = catalogued(lake, tmp_path)
    assert row["assets"]["VV"]
    assert not row["assets"]["VH"]
    assert "catalogued without" in caplog.text


def feed(folder, name, path, card, **others):
    entry = {
        "type": "Feature",
        "id": name,
        "geometry": shapely.geometry.mapping(shapely.box(2.9, 43, 3.1, 44)),
        "properties": {
            "title": name,
            "productIdentifier": str(path),
            "platform": "S1A",
            "productType": f"CARD-{card}",
            "startDate": "2024-05-01T05:50:00Z",
            "completionDate": "2024-05-01T05:50:25Z",
            "orbitDirection": "ascending",
            "relativeOrbitNumber": 8,
            **others,
        },
    }
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [entry]}))
    return str(file)


def test_the_feed_of_creodias_finds_the_rasters_of_mounted_products(lake, tmp_path):
    load(lake, tmp_path)
    arrays = snap(tmp_path / "eodata")
    url = feed(tmp_path, BS, tmp_path / "eodata" / BS, "BS")
    assert card2db.creodias(None, None, card="bs", url=url, lake=lake) == card2db.Ingested(1, 1)
    (row,) = lake.sql("select * from scenes").to_pylist()
    assert (row["id"], row["orbit_state"], row["relative_orbit"]) == (BS, "ascending", 58)
    extracted(lake, "bs")
    check(lake, "bs", BS, {"VV": arrays["Gamma0_VV"], "VH": arrays["Gamma0_VH"]})


def test_a_mounted_product_that_is_not_what_the_feed_says_is_refused_by_name(lake, tmp_path):
    snap(tmp_path / "eodata", make=lambda seed: power(seed) * 10_000)
    url = feed(tmp_path, BS, tmp_path / "eodata" / BS, "BS")
    found = card2db.creodias(None, None, card="bs", url=url, lake=lake)
    assert (found.found, found.new) == (1, 0)
    assert "not backscatter as power" in found.skipped[0]


# -- SAFE ---------------------------------------------------------------------------------------------------------

METADATA = """<?xml version="1.0" encoding="{encoding}"?><n1:Level-2A_User_Product>
<!-- <PRODUCT_START_TIME>2019-05-01T10:40:21.024Z</PRODUCT_START_TIME> prüfen -->
<PRODUCT_START_TIME>2024-05-01T10:40:21.024Z</PRODUCT_START_TIME><PRODUCT_URI>{name}.SAFE</PRODUCT_URI>
<PROCESSING_LEVEL>Level-2A</PROCESSING_LEVEL><PRODUCT_TYPE>S2MSI2A</PRODUCT_TYPE>
<PROCESSING_BASELINE>05.10</PROCESSING_BASELINE><GENERATION_TIME>2024-05-01T15:15:15.000000Z</GENERATION_TIME>
<Datatake datatakeIdentifier="GS2A_20240501T104021_046328_N05.10"><SPACECRAFT_NAME>Sentinel-2A</SPACECRAFT_NAME>
</Datatake><Granule_List><Granule datastripIdentifier="S2A_OPER_MSI_L2A_DS_2APS_20240501T151515_S20240501T104346_N05.10"
 granuleIdentifier="S2A_OPER_MSI_L2A_TL_2APS_20240501T151515_A046328_T31TEJ_N05.10" imageFormat="JPEG2000">
</Granule></Granule_List><BOA_ADD_OFFSET band_id="3">-1000</BOA_ADD_OFFSET></n1:Level-2A_User_Product>"""


def safe(folder, name=SAFE, bands=(*TEN, *TWENTY), encoding="utf-8", driver="JP2OpenJPEG"):
    """A product with all bands; the arrays by band."""
    images = folder / f"{name}.SAFE/GRANULE/L2A_T31TEJ_A046328_20240501T104346/IMG_DATA"
    arrays = {}
    for seed, band in enumerate(bands):
        metres = 10 if band in TEN else 20
        arrays[band] = dn(seed, SIZE * 10 // metres) if band != "SCL" else np.full((60, 60), 4, np.uint8)
        file = images / f"R{metres}m/T31TEJ_20240501T104021_{band}_{metres}m.jp2"
        write(file, arrays[band], metres, driver, QUALITY=100, REVERSIBLE="YES")
    text = METADATA.format(name=name, encoding=encoding)
    (folder / f"{name}.SAFE/MTD_MSIL2A.xml").write_bytes(text.encode(encoding))
    return arrays


def zipped(folder, archive, top=None, compression=zipfile.ZIP_DEFLATED):
    """A folder as an archive that holds it under the name `top`."""
    with zipfile.ZipFile(archive, "w", compression) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                inside = path.relative_to(folder).as_posix()
                file.write(path, f"{top}/{inside}" if top else inside)
    return archive


@pytest.mark.parametrize("name", [f"{SAFE}.zip", f"{SAFE}.SAFE.zip", "from the mail.zip"])
@pytest.mark.parametrize("top", [f"{SAFE}.SAFE", f"downloads/{SAFE}.SAFE", None])
def test_a_zipped_product_gives_the_numbers_of_rasterstats(lake, tmp_path, name, top):
    arrays = safe(tmp_path / "unpacked")
    (tmp_path / "zips").mkdir()
    archive = zipped(tmp_path / f"unpacked/{SAFE}.SAFE", tmp_path / "zips" / name, top)
    load(lake, tmp_path)
    found, (row,) = catalogued(lake, tmp_path / "zips")
    assert found == card2db.Ingested(1, 1)
    assert (row["id"], row["boa_offset"], row["processing_baseline"]) == (SAFE, -1000, "05.10")
    inside = f"/vsizip/{archive}{'/' + top if top else ''}/GRANULE/"
    assert all(asset["href"].startswith(inside) for asset in row["assets"].values() if asset)
    extracted(lake, "s2", bands=("B04", "B8A"))
    rows = lake.sql("select * from s2").to_pylist()
    assert all(row["scl"][4] > 0 for row in rows)
    check(lake, "s2", SAFE, {"B04": arrays["B04"]}, -1000)
    href = next((tmp_path / "unpacked").rglob("*_B8A_20m.jp2"))
    check(lake, "s2", SAFE, {"B8A": str(href)}, -1000)


def test_the_same_product_zipped_and_unpacked_is_one_scene(lake, tmp_path):
    safe(tmp_path)
    zipped(tmp_path / f"{SAFE}.SAFE", tmp_path / f"{SAFE}.zip", f"{SAFE}.SAFE")
    found, rows = catalogued(lake, tmp_path)
    assert (found.found, found.new, len(rows)) == (2, 1, 1)


def test_the_zipped_products_of_herault_equal_the_unpacked_ones(realdata, lake, tmp_path):
    folder = realdata / "s2_herault_2018/safe"
    for product in sorted(folder.glob("*.SAFE"))[:2]:
        zipped(product, tmp_path / f"{product.name}.zip", product.name)
    assert card2db.safe(tmp_path, lake=lake) == card2db.Ingested(2, 2)
    columns = "id, obstime, reference, footprint, cloud_cover, boa_offset, acquisition, epsg"
    inside = lake.sql(f"select {columns} from scenes order by id").to_pylist()  # noqa: S608
    assets = lake.sql("select assets from scenes order by id")["assets"].to_pylist()
    for asset in assets:
        path = asset["B04"]["href"]
        with rasterio.open(path) as mine, rasterio.open(folder / path.partition(".zip/")[2]) as truth:
            assert np.array_equal(mine.read(1), truth.read(1))
    other = open_lake(str(tmp_path / "other"))
    card2db.safe(folder, lake=other)
    rows = {row["id"]: row for row in other.sql(f"select {columns} from scenes").to_pylist()}  # noqa: S608
    assert inside == [rows[row["id"]] for row in inside]


def evil(path, kind):
    name = f"{SAFE}.SAFE/GRANULE/L2A/IMG_DATA/R10m/T31TEJ_20240501T104021_B04_10m.jp2"
    if kind in ("truncated", "no archive"):
        zipped(path.parent / f"{SAFE}.SAFE", path, f"{SAFE}.SAFE")
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2] if kind == "truncated" else b"<html>not found</html>")
        return
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA if kind == "unknown packing" else zipfile.ZIP_STORED) as file:
        file.writestr(f"{SAFE}.SAFE/MTD_MSIL2A.xml", METADATA.format(name=SAFE, encoding="utf-8"))
        if kind == "link":
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            file.writestr(entry, "/etc/passwd")
        elif kind != "unknown packing":
            file.writestr(
                {
                    "outside": f"{SAFE}.SAFE/../../x.jp2",
                    "absolute": "/etc/x.jp2",
                    "backslash": "a\\..\\x.jp2",
                    "drive": "C:/x.jp2",
                    "nested": f"{SAFE}.SAFE/inner.zip",
                }[kind],
                "x",
            )


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("truncated", "damaged"),
        ("no archive", "damaged"),
        ("link", "is a link"),
        ("outside", "outside"),
        ("absolute", "outside"),
        ("backslash", "outside"),
        ("drive", "outside"),
        ("nested", "archive itself"),
        ("unknown packing", "not read"),
    ],
)
def test_an_archive_that_cannot_be_trusted_costs_its_own_product_only(lake, tmp_path, kind, reason):
    safe(tmp_path)
    bad = tmp_path / "S2B_MSIL2A_20240503T104021_N0510_R008_T31TEJ_20240503T151515.zip"
    evil(bad, kind)
    found, rows = catalogued(lake, tmp_path)
    assert (found.found, found.new, len(rows)) == (2, 1, 1)
    assert reason in found.skipped[0]
    assert bad.name in found.skipped[0]


def test_archives_of_other_things_are_passed_over_and_archives_of_archives_are_named(lake, tmp_path):
    with zipfile.ZipFile(tmp_path / "parcels.zip", "w") as file:
        file.writestr("parcels.shp", b"")
    with zipfile.ZipFile(tmp_path / "order.zip", "w") as file:
        file.writestr(f"{SAFE}.zip", b"")
    with zipfile.ZipFile(tmp_path / f"{SAFE.replace('L2A', 'L1C')}.zip", "w") as file:
        file.writestr(f"{SAFE.replace('L2A', 'L1C')}.SAFE/manifest.safe", b"")
    found, _ = catalogued(lake, tmp_path)
    assert len(found.skipped) == 2
    assert any("order.zip" in line and "archive itself" in line for line in found.skipped)
    assert any("not a Level-2A" in line for line in found.skipped)


def test_an_archive_given_by_itself_is_read_and_one_without_products_is_said_so(lake, tmp_path):
    safe(tmp_path / "a")
    archive = zipped(tmp_path / f"a/{SAFE}.SAFE", tmp_path / "p.zip", f"{SAFE}.SAFE")
    assert card2db.products(archive, lake=lake) == card2db.Ingested(1, 1)
    with zipfile.ZipFile(tmp_path / "q.zip", "w") as file:
        file.writestr("x", b"")
    assert "no product" in card2db.products(tmp_path / "q.zip", lake=lake).skipped[0]
    with pytest.raises(SourceError, match="does not exist"):
        card2db.products(tmp_path / "gone", lake=lake)
    with pytest.raises(InvalidInputError, match="card2db files"):
        card2db.products("s3://eodata/Sentinel-1", lake=lake)


def test_metadata_that_are_too_large_to_be_metadata_are_not_read(lake, tmp_path, monkeypatch, caplog):
    safe(tmp_path / "a")
    zipped(tmp_path / f"a/{SAFE}.SAFE", tmp_path / "p.zip", f"{SAFE}.SAFE")
    monkeypatch.setattr(container, "_LARGEST", 100)
    assert card2db.products(tmp_path / "p.zip", lake=lake).new == 1  # its name and rasters say enough
    assert "larger than metadata" in caplog.text


@pytest.mark.parametrize("odd", ["mit leer zeichen", "größe", "a#b", "what?", "100%", "a&b=c#band", "[x]{y}"])
@pytest.mark.parametrize("packed", [False, True])
def test_folders_with_odd_names_are_read(lake, tmp_path, odd, packed):
    folder = tmp_path / odd
    arrays = safe(tmp_path / "made")
    folder.mkdir()
    if packed:
        zipped(tmp_path / f"made/{SAFE}.SAFE", folder / f"{SAFE}.zip", f"{SAFE}.SAFE")
    else:
        shutil.move(tmp_path / f"made/{SAFE}.SAFE", folder)
    load(lake, tmp_path)
    found, _ = catalogued(lake, folder)
    assert found == card2db.Ingested(1, 1)
    extracted(lake, "s2", bands=("B04",))
    check(lake, "s2", SAFE, {"B04": arrays["B04"]}, -1000)


def test_relative_paths_and_links_are_read(lake, tmp_path, monkeypatch):
    safe(tmp_path / "store")
    (tmp_path / "store" / f"{SAFE}.SAFE").rename(tmp_path / "store/0815")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / f"{SAFE}.SAFE").symlink_to(tmp_path / "store/0815")
    monkeypatch.chdir(tmp_path / "links" / f"{SAFE}.SAFE")
    assert card2db.products(".", lake=lake) == card2db.Ingested(1, 1)
    monkeypatch.chdir(tmp_path)
    assert card2db.products("links", lake=lake) == card2db.Ingested(1, 0)
    assert card2db.products(f"links/{SAFE}.SAFE/", lake=lake) == card2db.Ingested(1, 0)
    (asset,) = lake.sql("select assets.B04.href as href from scenes")["href"].to_pylist()
    assert asset.startswith(str(tmp_path))


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "utf-16", "utf-8-sig"])
def test_metadata_in_other_encodings_are_read_and_comments_are_not(lake, tmp_path, encoding):
    safe(tmp_path, bands=("B04",), encoding=encoding)
    _, (row,) = catalogued(lake, tmp_path)
    assert (row["processing_baseline"], row["boa_offset"]) == ("05.10", -1000)
    assert f"{row['obstime']:%Y-%m-%d %H:%M:%S.%f}" == "2024-05-01 10:40:21.024000"  # which only the metadata says


def test_an_item_of_a_product_has_the_evidence_of_what_it_is(tmp_path):
    from cbm_lake.card2db import product

    safe(tmp_path)
    ((one,), _) = product.find(tmp_path)
    ((card, item),) = one.to_items()
    about = item["properties"]
    assert card == "s2"
    assert about["s2:datastrip_id"] == "S2A_OPER_MSI_L2A_DS_2APS_20240501T151515_S20240501T104346_N05.10"
    assert about["s2:granule_id"] == "S2A_OPER_MSI_L2A_TL_2APS_20240501T151515_A046328_T31TEJ_N05.10"
    assert about["s2:generation_time"] == about["created"] == "2024-05-01T15:15:15.000000Z"
    assert (about["s2:product_type"], about["processing:level"]) == ("S2MSI2A", "L2A")
    assert (about["platform"], about["constellation"]) == ("sentinel-2a", "sentinel-2")


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_what_is_missing_of_a_product_is_said_and_the_rest_is_catalogued(lake, tmp_path, caplog, kind):
    safe(tmp_path, bands=("B04", "B08", "SCL"))
    if kind == "zip":
        zipped(tmp_path / f"{SAFE}.SAFE", tmp_path / f"{SAFE}.zip", f"{SAFE}.SAFE")
        shutil.rmtree(tmp_path / f"{SAFE}.SAFE")
    _, (row,) = catalogued(lake, tmp_path)
    assert [band for band, asset in row["assets"].items() if asset] == ["B04", "B08", "SCL"]
    assert "lacks B02, B03, B05" in caplog.text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("S1A_IW_GRDH_1SDV_20240501T055000_20240501T055025_053680_0684F5_1A2B", "radar geometry"),
        ("S1A_IW_SLC__1SDV_20240501T055000_20240501T055025_053680_0684F5_1A2B", "radar geometry"),
        (SAFE.replace("L2A", "L1C"), "not a Level-2A"),
        ("S3A_SL_2_LST____20240501T093000", "not a Level-2A"),
    ],
)
def test_other_products_are_named(lake, tmp_path, name, words):
    (tmp_path / f"{name}.SAFE/measurement").mkdir(parents=True)
    found, rows = catalogued(lake, tmp_path)
    assert not rows
    assert words in found.skipped[0]


def test_a_product_whose_metadata_say_another_level_than_its_name_is_refused(lake, tmp_path):
    safe(tmp_path)
    file = tmp_path / f"{SAFE}.SAFE/MTD_MSIL2A.xml"
    file.write_text(file.read_text().replace("S2MSI2A", "S2MSI1C").replace("Level-2A</", "Level-1C</"))
    found, rows = catalogued(lake, tmp_path)
    assert not rows
    assert "Level-1C" in found.skipped[0]


def test_only_products_of_a_card_are_catalogued_when_one_is_named(lake, tmp_path):
    safe(tmp_path)
    snap(tmp_path)
    assert card2db.safe(tmp_path, lake=lake) == card2db.Ingested(1, 1)
    assert card2db.products(tmp_path, "bs", lake=lake) == card2db.Ingested(1, 1)
    assert card2db.products(tmp_path, "c6", lake=lake) == card2db.Ingested(0, 0)
    assert card2db.products(tmp_path, lake=lake) == card2db.Ingested(2, 0)


# -- MAJA and FORCE -----------------------------------------------------------------------------------------------

MAJA = "SENTINEL2A_20240501-104021-123_L2A_T31TEJ_C_V3-1"


def maja(folder, nodata=-10000, quantification="10000", name=MAJA):
    arrays = {}
    for seed, (key, metres) in enumerate({"B4": 10, "B8": 10, "B8A": 20, "B11": 20}.items()):
        arrays[key] = dn(seed, SIZE * 10 // metres, "int16")
        arrays[key][:2] = -10000
        write(folder / name / f"{name}_FRE_{key}.tif", arrays[key], metres, nodata=nodata)
        write(folder / name / f"{name}_SRE_{key}.tif", arrays[key] + 1, metres, nodata=nodata)
    (folder / name / f"{name}_MTD_ALL.xml").write_text(
        f"<REFLECTANCE_QUANTIFICATION_VALUE>{quantification}</REFLECTANCE_QUANTIFICATION_VALUE>"
    )
    return arrays


@pytest.mark.parametrize("packed", [False, True])
def test_a_product_of_maja_gives_the_numbers_of_rasterstats_without_an_offset(lake, tmp_path, packed):
    arrays = maja(tmp_path / "in")
    if packed:
        zipped(tmp_path / "in", tmp_path / f"{MAJA}.zip")
        shutil.rmtree(tmp_path / "in" / MAJA)
        shutil.move(tmp_path / f"{MAJA}.zip", tmp_path / "in")
    load(lake, tmp_path)
    found, (row,) = catalogued(lake, tmp_path / "in")
    assert found == card2db.Ingested(1, 1)
    assert (row["sensor"], row["tile"], row["boa_offset"], row["epsg"]) == ("S2A", "31TEJ", 0, 32631)
    extracted(lake, "s2", bands=("B04", "B08"))
    check(lake, "s2", MAJA, {"B04": np.maximum(arrays["B4"], 0), "B08": np.maximum(arrays["B8"], 0)})


@pytest.mark.parametrize(("options", "words"), [({"nodata": None}, "gdal_edit"), ({"quantification": "1000"}, "1000")])
def test_a_product_of_maja_that_would_be_misread_is_refused(lake, tmp_path, options, words):
    maja(tmp_path, **options)
    found, rows = catalogued(lake, tmp_path)
    assert not rows
    assert words in found.skipped[0]


def test_an_area_that_is_not_there_is_named_with_those_that_are(lake, tmp_path):
    load(lake, tmp_path)
    (name,) = {found.aoi for found in lake.parcel_sets()}
    with pytest.raises(NotFoundError, match=rf"no parcels of nix .*there are: {name}"):
        card2db.products(tmp_path, aoi="nix", lake=lake)


def test_a_folder_that_holds_nothing_says_so(lake, tmp_path, caplog):
    (tmp_path / "empty").mkdir()
    for call, words in ((card2db.products, "holds no product that is known"), (card2db.items, "holds no STAC item")):
        assert call(tmp_path / "empty", lake=lake) == card2db.Ingested(0, 0)
        assert words in caplog.text


def test_a_folder_of_force_is_named_with_what_reads_it(lake, tmp_path, caplog):
    bands = ["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"]
    arrays = np.stack([dn(seed, dtype="int16") for seed in range(10)])
    arrays[:, :2] = -9999
    write(tmp_path / "force/X0012_Y0034/20240501_LEVEL2_SEN2A_BOA.tif", arrays, nodata=-9999)
    found, _ = catalogued(lake, tmp_path)
    (line,) = found.skipped
    assert f"--bands {','.join(bands)}" in line
    load(lake, tmp_path)
    pattern = str(tmp_path / "force/{tile}/{date}_LEVEL2_{sensor}_BOA.tif")
    assert card2db.files(pattern.replace("{tile}", "*"), offset=0, bands=bands, lake=lake) == card2db.Ingested(1, 1)
    assert "B12 of card s2 has 20 m; it is left out" in caplog.text
    extracted(lake, "s2", bands=("B04", "B08"))
    (scene,) = lake.sql("select id, sensor from scenes").to_pylist()
    assert scene["sensor"] == "S2A"
    check(lake, "s2", scene["id"], {"B04": np.maximum(arrays[2], 0), "B08": np.maximum(arrays[6], 0)})
