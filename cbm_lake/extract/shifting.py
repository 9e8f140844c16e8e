"""Extraction with the parcels moved by the shift of a scene, as the shift guard has measured it.

Only scenes that it calls shifted are concerned. A scene that lies d off the season's frame shows a parcel d off its
outline, so the outline is moved by d; rows and ledger state that in their pixel rule, and its pixel index is one of its
own. Shifts are rounded to half a metre, so that a new estimate that says nearly the same changes nothing.
"""

from __future__ import annotations

import logging
from typing import Final

import numpy as np
import shapely

from cbm_lake.cards import S2, Card
from cbm_lake.errors import InvalidInputError
from cbm_lake.geo.reprojection import Shapes
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet

log = logging.getLogger(__name__)

_STEP: Final = 0.5
"""Metres to which shifts are rounded: far below the smallest one that is a shift."""


def measured(lake: Lake, card: Card, parcels: ParcelSet) -> dict[str, tuple[float, float]]:
    """The shifts (east, north) in metres of the scenes of a card that are shifted over a parcel set, by scene.

    Raises:
        InvalidInputError: the shift guard does not know the card.
    """
    if card.name != S2.name:
        raise InvalidInputError(
            f"shifts are measured of card {S2.name} alone; extract {card.name} without shifted=",
            plain=f"shifts are measured of card {S2.name} alone; extract {card.name} without correcting them",
        )
    rows = [row for row in lake.query("guard.shifts", **parcels.params).to_pylist() if row["card"] == card.name]
    if not rows:
        log.warning(
            "no shifts of card %s over %s were measured, so none is corrected; measure them with guard.shifts, or "
            "`cbm-lake guard shifts`",
            card.name,
            parcels.name,
        )
    return {
        row["scene"]: (_rounded(row["east"]), _rounded(row["north"])) for row in rows if row["verdict"] == "shifted"
    }


def _rounded(metres: float) -> float:
    return round(metres / _STEP) * _STEP + 0.0  # -0.0 is 0


def moved(shapes: Shapes, by: tuple[float, float]) -> Shapes:
    """Geometries moved eastwards and northwards, in the units of their coordinate system, metres."""
    return np.asarray(shapely.transform(shapes, lambda xy: xy + by)) if any(by) else shapes
