"""The metadata of GeoParquet."""

import geopandas as gpd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS

from cbm_lake.geo import geoparquet

NUMBERS = st.floats(-180, 180)
SYSTEMS = st.sampled_from([None, geoparquet.DEFAULT_CRS, CRS.from_epsg(32631), CRS.from_epsg(4326)])
TYPES = st.lists(st.sampled_from(["Polygon", "MultiPolygon", "Polygon Z"]), unique=True)


@given(TYPES, SYSTEMS, st.none() | st.tuples(*[NUMBERS] * 4), st.sampled_from([None, "bbox", "box of it"]))
def test_what_is_written_is_read_again(types, crs, bbox, covering):
    column = geoparquet.column_metadata(types, crs=crs, bbox=bbox, covering=covering)
    schema = pa.schema([pa.field("shape", pa.binary())], geoparquet.file_metadata({"shape": column}))
    primary = geoparquet.primary_column(schema)
    assert (primary.name, primary.encoding) == ("shape", "WKB")
    assert (primary.geometry_types, primary.bbox, primary.covering) == (tuple(types), bbox, covering)
    same = primary.crs == crs if crs in (None, geoparquet.DEFAULT_CRS) else CRS.from_user_input(primary.crs) == crs
    assert same


@pytest.mark.parametrize(("crs", "read"), [("EPSG:32631", 32631), (geoparquet.DEFAULT_CRS, "OGC:CRS84"), (None, None)])
def test_geopandas_reads_the_metadata_alike(tmp_path, crs, read):
    shape = shapely.box(1, 2, 3, 4)
    rows = pa.table({"id": ["a"], "geometry": pa.array([shape.wkb], pa.binary())})
    column = geoparquet.column_metadata(["Polygon"], crs=crs, bbox=shape.bounds)
    pq.write_table(rows.replace_schema_metadata(geoparquet.file_metadata({"geometry": column})), tmp_path / "a.parquet")
    frame = gpd.read_parquet(tmp_path / "a.parquet")
    assert frame.geometry.iloc[0].equals(shape)
    assert frame.crs == (None if read is None else CRS.from_user_input(read))


def test_metadata_of_geopandas_are_read(tmp_path):
    frame = gpd.GeoDataFrame({"a": [1]}, geometry=[shapely.box(1, 2, 3, 4)], crs=32631)
    frame.to_parquet(tmp_path / "a.parquet", write_covering_bbox=True)
    primary = geoparquet.primary_column(pq.read_schema(tmp_path / "a.parquet"))
    assert (primary.name, primary.geometry_types, primary.bbox) == ("geometry", ("Polygon",), (1, 2, 3, 4))
    assert primary.covering == "bbox"
    assert CRS.from_user_input(primary.crs).to_epsg() == 32631


def test_a_file_without_metadata_has_no_primary_column():
    assert geoparquet.primary_column(pa.schema([pa.field("geometry", pa.binary())])) is None


def test_a_bounding_box_of_what_is_no_number_is_not_written():
    with pytest.raises(ValueError, match="JSON"):
        geoparquet.file_metadata({"geometry": geoparquet.column_metadata(bbox=[float("nan")] * 4)})
