"""The series of any polygon: POST /v1/polygon/timeseries."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from cbm_lake.lake.keys import ParcelKey
from cbm_lake.parcel.sources import OfPolygon, polygons
from cbm_lake.server import places
from cbm_lake.server.questions import CardName
from cbm_lake.server.security import User, declared
from cbm_lake.server.state import State

router = APIRouter(prefix="/v1", tags=["lake"])


class Asked(BaseModel):
    """A polygon, and what is asked of it."""

    aoi: str = Field(min_length=1, max_length=50, description="Area in which it lies.")
    year: int = Field(ge=1900, le=2200, description="Year of the parcels beside which it stands.")
    ptype: str = Field("", max_length=50)
    polygon: dict[str, Any] | Annotated[str, Field(max_length=1_000_000)] = Field(
        description="GeoJSON of a polygon or multipolygon, in degrees or by its member crs; or lon_lat-lon_lat-…."
    )
    name: str = Field("polygon", min_length=1, max_length=200)
    card: CardName = "s2"
    band: str = Field("", max_length=50, description="One band only.")
    start: date | None = None
    end: date | None = Field(None, description="Last day, included.")
    clear: bool = Field(False, description="Of clear pixels alone where these stand for the polygon.")
    screen: list[int] | None = Field(None, max_length=32, description="Scene classes that count as clouds then.")


@router.post("/polygon/timeseries")
def time_series(request: Request, state: State, user: User, asked: Asked) -> Response:
    """Statistics of any polygon by time and band, as columns, worked out as if it were one of the parcels of a set."""
    parcels = declared(state, user, asked.aoi, asked.year, asked.ptype).parcels
    request.state.aoi = parcels.aoi  # for the access log
    ground = polygons.read(asked.polygon, crossing=True)
    places.check_shape(ground)
    places.check(state, user, parcels.aoi, ground)
    key = ParcelKey(parcels.aoi, parcels.year, parcels.ptype, asked.name)
    screen = {} if asked.screen is None else {"screen": tuple(asked.screen)}
    question = OfPolygon(key, asked.polygon, asked.card, asked.band, asked.start, asked.end, asked.clear, **screen)
    with state.heavy:
        columns = state.source.answer(question)
    return Response(orjson.dumps(columns, option=orjson.OPT_NON_STR_KEYS), media_type="application/json")
