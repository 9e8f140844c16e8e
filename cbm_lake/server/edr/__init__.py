"""OGC API - Environmental Data Retrieval (https://docs.ogc.org/is/19-086r6/19-086r6.html): series of parcels."""

from cbm_lake.server.edr.endpoints import router

__all__ = ["router"]
