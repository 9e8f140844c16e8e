"""STAC API (https://github.com/radiantearth/stac-api-spec) of the lake: scenes, cubes, statistics of parcels."""

from cbm_lake.server.stac.endpoints import router

__all__ = ["router"]
