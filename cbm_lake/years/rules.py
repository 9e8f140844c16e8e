"""Rules on the crops of successive years: rotation, permanent grassland, fallow after fallow."""

from __future__ import annotations

import logging
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.errors import InvalidInputError, wrong_argument
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.arguments import checked
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.years import landbefore, sameland
from cbm_lake.years.classes import FALLOW, GRASS, ROTATION_FREE, Crops, crops
from cbm_lake.years.findings import findings

log = logging.getLogger(__name__)

SLIVERS: Final = 0.05
"""The share of a parcel up to which land of other years is taken for a difference of drawing."""
CONFIDENCE: Final = 0.7
"""Of a ploughing marker from which on a parcel is called ploughed: that of the lights' scenarios."""
_DIGITS: Final = (6, 8, 10)


@checked
def rotation(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    years: int = 2,
    exempt: Crops | None = None,
    digits: int = 8,
    slivers: float = SLIVERS,
    lake: Lake | None = None,
) -> pa.Table:
    """Crop rotation (GAEC 7): whether another crop grew on the land of each parcel within successive years.

    GAEC 7 asks for a change of crop at least once a year on arable land, except for crops under water, multiannual
    crops, grass and other herbaceous forage, and fallow (Regulation (EU) 2021/2115, Annex III); longer spans are what
    countries set. Secondary crops, and exceptions of holdings, are not in the declarations and not known here.

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set, in all years; None is the main one.
        years: successive years, with `year`; the rule holds where the crop changed at least once in them.
        exempt: crops that need no rotation, see `cbm_lake.years.classes`; None is `ROTATION_FREE`.
        digits: of HCAT by which crops are the same: 10 tells winter from summer crops, 8 crops, 6 groups (cereals).
        slivers: share (0 to 1) of a parcel that may have had the same crop.
        lake: the lake; None is the workspace's.

    Returns:
        The columns of `findings.FINDINGS`, a row per parcel with the rule "crop rotation": holds is no where more than
        `slivers` of the land had the same crop in all years; cannot say, with the reason, where a year, its crops or
        part of the land are not known. Where the shares of several years leave open whether they are the same land,
        the geometries decide. First what does not hold, by share.

    Raises:
        NotFoundError: no such parcels were loaded.
        InvalidInputError: an argument is outside its range.
    """
    lake = lake_or_default(lake)
    if digits not in _DIGITS:
        raise wrong_argument("digits", f"{digits} is not right: 6 (groups), 8 (crops) or 10 (winter and summer crops)")
    listed = crops(exempt, ROTATION_FREE, "exempt")
    parcels = _prepared(lake, aoi, year, ptype, years, slivers)
    rows = lake.query("years.rotation", **parcels.params, years=years, exempt=listed, digits=digits, slivers=slivers)
    rows = _settled(rows, lake, parcels, years, None, slivers, digits)
    return findings(_judged(rows, slivers, ("no", f"the same crop in {years} successive years"), _OTHER_CROP), parcels)


@checked
def grassland(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    years: int = 5,
    grass: Crops | None = None,
    slivers: float = SLIVERS,
    confidence: float = CONFIDENCE,
    lake: Lake | None = None,
) -> pa.Table:
    """Permanent grassland: land that was grass in successive years, and whether it was ploughed and resown.

    Permanent grassland is land that has been grass for five years or more and was not part of the rotation (Regulation
    (EU) 2021/2115, Article 4(3)(c)); whether ploughing and resowing interrupts these years is decided by each country.

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set, in all years; None is the main one.
        years: successive years of grass, with `year`.
        grass: crops that are grass, see `cbm_lake.years.classes`; None is `GRASS`.
        slivers: share (0 to 1) of a parcel that is left out of account.
        confidence: of a ploughing marker from which on a parcel counts as ploughed, 0 to 1.
        lake: the lake; None is the workspace's.

    Returns:
        The columns of `findings.FINDINGS`: a row "permanent grassland" per parcel declared as grass, and where that is
        not no, a row "ploughed and resown" with the day of the ploughing marker of `year`.

    Raises:
        NotFoundError: no such parcels were loaded.
        InvalidInputError: an argument is outside its range.
    """
    lake = lake_or_default(lake)
    listed, confidence = crops(grass, GRASS, "grass"), share(confidence, "confidence")
    parcels = _prepared(lake, aoi, year, ptype, years, slivers)
    params = {**parcels.params, "years": years, "grass": listed, "slivers": slivers}
    permanent = _settled(lake.query("years.permanent_grassland", **params), lake, parcels, years, listed, slivers)
    permanent = _judged(permanent, slivers, ("yes", f"grass in {years} successive years"), _OTHER_CROPS)
    resown = lake.query("years.resown_grassland", **params, confidence=confidence)
    return pa.concat_tables([findings(permanent, parcels), findings(_of_permanent(resown, permanent), parcels)])


@checked
def fallow(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    years: int = 2,
    fallow: Crops | None = None,
    slivers: float = SLIVERS,
    lake: Lake | None = None,
) -> pa.Table:
    """Fallow after fallow: land of the parcels declared as fallow that was fallow in successive years.

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set, in all years; None is the main one.
        years: successive years of fallow, with `year`.
        fallow: crops that are fallow, see `cbm_lake.years.classes`; None is `FALLOW`.
        slivers: share (0 to 1) of a parcel that is left out of account.
        lake: the lake; None is the workspace's.

    Returns:
        The columns of `findings.FINDINGS`, a row "fallow after fallow" per parcel declared as fallow.

    Raises:
        NotFoundError: no such parcels were loaded.
        InvalidInputError: an argument is outside its range.
    """
    lake = lake_or_default(lake)
    listed = crops(fallow, FALLOW, "fallow")
    parcels = _prepared(lake, aoi, year, ptype, years, slivers)
    rows = lake.query("years.fallow_again", **parcels.params, years=years, fallow=listed, slivers=slivers)
    rows = _settled(rows, lake, parcels, years, listed, slivers)
    return findings(_judged(rows, slivers, ("yes", f"fallow in {years} successive years"), _GROWN), parcels)


def share(value: float, option: str) -> float:
    """A number from 0 to 1.

    Raises:
        InvalidInputError: it is outside.
    """
    if not 0 <= value <= 1:
        raise InvalidInputError(f"{option}={value:g} is not right: a share, 0 to 1")
    return value


_OTHER_CROP: Final = ("yes", "another crop grew there before")
_OTHER_CROPS: Final = ("no", "other crops grew there before")
_GROWN: Final = ("no", "something was grown there before")


def _prepared(lake: Lake, aoi: str, year: int, ptype: str | None, years: int, slivers: float) -> ParcelSet:
    """The parcel set, with its lineage in the lake; refuses numbers that make no sense first."""
    landbefore.span(years)
    share(slivers, "slivers")
    parcels = lake.parcel_set(aoi, year, ptype)
    landbefore.provide(lake, parcels, years)
    return parcels


def _settled(
    rows: pa.Table,
    lake: Lake,
    parcels: ParcelSet,
    years: int,
    listed: list[str] | None,
    slivers: float,
    digits: int = 10,
) -> pa.Table:
    """The rows with exact areas where the shares of the years leave them open, and more than slivers are possible."""
    possible = rows["most_m2"].to_numpy() > slivers * rows["parcel_m2"].to_numpy()
    is_open = np.flatnonzero(rows["is_open"].to_numpy(zero_copy_only=False) & possible)
    if not len(is_open):
        return rows
    log.info("%s: %d parcels are decided by their geometries", parcels.name, len(is_open))
    common = sameland.settle(rows.take(pa.array(is_open)), lake, parcels, years, listed, digits)
    area = rows["parcel_m2"].to_numpy()
    for name, exact in (("area_m2", common.least), ("most_m2", common.most)):
        values = rows[name].to_numpy().copy()
        values[is_open] = exact * area[is_open]
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(values))
    return rows


def _judged(rows: pa.Table, slivers: float, common: tuple[str, str], other: tuple[str, str]) -> pa.Table:
    """The rows with the verdicts of areas that the geometries settled; sorted as the query sorts.

    Args:
        rows: of a query of sql/years/.
        slivers: share of a parcel that is left out of account.
        common: verdict and reason where more of the land had the crops in all years.
        other: verdict and reason where it had not.
    """
    least, most = (rows[name].to_numpy() > slivers * rows["parcel_m2"].to_numpy() for name in ("area_m2", "most_m2"))
    is_open = rows["is_open"].to_numpy(zero_copy_only=False)
    for number, name in enumerate(("holds", "reason")):
        values = rows[name].to_numpy(zero_copy_only=False).copy()
        values[is_open & least] = common[number]
        values[is_open & ~most] = other[number]
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(values, pa.string()))
    shares = pc.divide(rows["area_m2"], rows["parcel_m2"])
    rows = rows.set_column(rows.column_names.index("share"), "share", shares)
    order = pc.index_in(rows["holds"], pa.array([*dict.fromkeys((common[0], "cannot say", other[0]))]))
    ranked = rows.append_column("order", order)
    return ranked.sort_by([("order", "ascending"), ("share", "descending"), ("pid", "ascending")]).drop_columns("order")


def _of_permanent(resown: pa.Table, permanent: pa.Table) -> pa.Table:
    """The rows on ploughing of what is, or may be, permanent grassland, with the areas that geometries settled."""
    index = pc.index_in(resown["pid"].combine_chunks(), permanent["pid"].combine_chunks())
    verdict = permanent["holds"].combine_chunks().take(index)
    for name in ("area_m2", "most_m2", "share"):
        settled = pc.if_else(pc.is_valid(resown["day"]), permanent[name].combine_chunks().take(index), 0.0)
        resown = resown.set_column(resown.column_names.index(name), name, settled)
    sure = pc.and_(resown["is_ploughed"], pc.equal(verdict, "yes"))
    ploughed = pc.binary_join_element_wise("ploughed on ", pc.cast(resown["day"], pa.string()), "")
    reason = pc.binary_join_element_wise(ploughed, ", and declared as grass", "")
    for name, value in (("holds", "yes"), ("reason", reason)):
        resown = resown.set_column(resown.column_names.index(name), name, pc.if_else(sure, value, resown[name]))
    return resown.filter(pc.not_equal(verdict, "no"))
