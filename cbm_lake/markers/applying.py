"""To which parcels a scenario applies: by their crops, their attributes, and what they claim."""

from __future__ import annotations

import logging

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.errors import InvalidInputError, NotFoundError, counted
from cbm_lake.markers.claims import Claims
from cbm_lake.markers.history import History
from cbm_lake.markers.parameters import CLAIM, Scenario, Where
from cbm_lake.markers.rules import Flags

log = logging.getLogger(__name__)


def applies(name: str, scenario: Scenario, seen: History, attributes: pa.Table, claims: Claims) -> Flags:
    """Mask of the parcels that a scenario asks about, or of whose claim that cannot be read.

    Args:
        name: of the scenario.
        scenario: which.
        seen: whose parcels, with their crops.
        attributes: of each of these, sampled from rasters, by column.
        claims: of each of these.

    Raises:
        NotFoundError: it asks for an attribute that no raster gave.
        ColumnError: it asks for a claim that is no column of the parcel file, or of the wrong type.
    """
    return _asked(seen.crops, seen.codes, scenario) & _described(name, scenario, attributes, claims)


def _described(name: str, scenario: Scenario, attributes: pa.Table, claims: Claims) -> Flags:
    """Mask of the parcels whose attributes and claims satisfy a scenario; those without a value do not."""
    fits = np.ones(len(claims), bool)
    if scenario.claimed is not None:
        fits &= claims.flags(scenario.claimed.removeprefix(CLAIM), name)
    for attribute, where in scenario.where.items():
        if attribute.startswith(CLAIM):
            fits &= _claim_fits(name, attribute.removeprefix(CLAIM), where, claims)
            continue
        if attribute not in attributes.column_names:
            raise NotFoundError(
                f"scenario {name!r} asks for {attribute!r}, which no raster gave; describe parcels by one"
            )
        values = attributes[attribute]
        if values.null_count:
            without = counted(values.null_count, "parcel")
            log.warning("scenario %r asks nothing of %s without %s", name, without, attribute)
        fits &= _fits(values, where)
    return fits


def _claim_fits(name: str, column: str, where: Where, claims: Claims) -> Flags:
    """Mask of the parcels whose claim satisfies a condition, or cannot be read."""
    fits = np.ones(len(claims), bool)
    if where.among is not None:
        among = Where(among=where.among)
        fits &= _fits(pa.chunked_array([claims.values(column, name)]), among)
    if where.at_least is not None or where.at_most is not None:
        numbers, unreadable = claims.numbers(column, name)
        low = -np.inf if where.at_least is None else where.at_least
        high = np.inf if where.at_most is None else where.at_most
        fits &= ((numbers >= low) & (numbers <= high)) | unreadable
    return fits


def _asked(crops: npt.NDArray[np.object_], codes: pa.Array, scenario: Scenario) -> Flags:
    """Mask of the parcels whose crop, by name or code, a scenario applies to; all where it names neither."""
    if scenario.crops is None and scenario.codes is None:
        return np.ones(len(crops), bool)
    names = pc.utf8_lower(pa.array(crops, pa.string()))
    asked = pc.is_in(codes, pa.array(scenario.codes or (), pa.string())).to_numpy(zero_copy_only=False)
    for crop in scenario.crops or ():
        named = pc.fill_null(pc.match_substring(names, crop.lower()), False)
        asked = asked | named.to_numpy(zero_copy_only=False)
    return np.asarray(asked, bool)


def _fits(values: pa.ChunkedArray, where: Where) -> Flags:
    """Mask of the values that satisfy a condition; null does not."""
    fits = pc.is_valid(values)
    if where.among is not None:
        fits = pc.and_(fits, pc.is_in(pc.cast(values, pa.string()), pa.array([str(one) for one in where.among])))
    for bound, holds in ((where.at_least, pc.greater_equal), (where.at_most, pc.less_equal)):
        if bound is not None:
            if pa.types.is_string(values.type):
                raise InvalidInputError("texts of classes are asked for by among, not by at_least or at_most")
            fits = pc.and_(fits, pc.fill_null(holds(values, bound), False))
    return np.asarray(fits.to_numpy(), bool)
