"""Statistics in the form of Sentinel Hub's Statistical API: POST /api/v1/statistics."""

from __future__ import annotations

import orjson
from fastapi import APIRouter
from fastapi import Request as HttpRequest
from starlette.responses import Response

from cbm_lake.extract.drawn import drawn
from cbm_lake.server import places
from cbm_lake.server.security import User
from cbm_lake.server.state import State
from cbm_lake.server.statistics.answers import answer
from cbm_lake.server.statistics.asked import Request

router = APIRouter(prefix="/api/v1", tags=["statistics"])


@router.post("/statistics")
def statistics(http: HttpRequest, state: State, user: User, request: Request) -> Response:
    """Statistics of a geometry by interval and band, of the scenes' own pixels, as the Statistical API has them."""
    area = request.input.bounds.area()
    places.check_shape(area)
    # whether it is a polygon on earth, before anybody's ground is looked at
    drawn(state.lake, {"bounds.geometry": area})
    http.state.aoi = places.area_of(state, user, area) or None  # for the access log
    with state.heavy:
        document = answer(state.lake, request, area)
    return Response(orjson.dumps(document), media_type="application/json")
