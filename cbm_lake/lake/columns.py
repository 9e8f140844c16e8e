"""Descriptions and units of the columns of the lake's views, for the metadata of exported files."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from cbm_lake import cards
from cbm_lake.cards.statistics import Statistic


@dataclass(frozen=True)
class Column:
    """Description and unit of a column, written to files for readers without the documentation."""

    description: str
    unit: str = ""
    """As UCUM or CF write it; empty where there is none."""

    def metadata(self) -> dict[str, str]:
        """As a Parquet field carries it."""
        return {"description": self.description} | ({"unit": self.unit} if self.unit else {})


_DESCRIPTIONS: Final = {
    "aoi": Column("area, in lower case"),
    "year": Column("year of the declaration"),
    "ptype": Column("parcel set of that area and year; empty is the main one"),
    "pid": Column("identifier of the parcel, as text exactly as the agency wrote it"),
    "crop_name": Column("declared crop, by name"),
    "crop_code": Column("declared crop, by code"),
    "hcat": Column("declared crop in HCAT, the taxonomy of EuroCrops: ten digits, each pair a level"),
    "hcat_name": Column("name of that class of HCAT"),
    "area_m2": Column("area of the parcel, measured in EPSG:3035", "m2"),
    "epsg": Column("EPSG code of the coordinate system; of scenes that of their rasters"),
    "centroid_lon": Column("longitude of the parcel's centroid, EPSG:4326", "degree"),
    "centroid_lat": Column("latitude of the parcel's centroid, EPSG:4326", "degree"),
    "bbox": Column("bounding box in the coordinate system of the geometry"),
    "geometry": Column("geometry as WKB in the coordinate system that epsg names"),
    "id": Column("identifier of the scene"),
    "fid": Column("number of the parcel in a migrated database"),
    "scene": Column("identifier of the scene"),
    "obstime": Column("time of the observation, UTC"),
    "reference": Column("name of the product"),
    "rule": Column(
        "which pixels count: centre (those whose centre is inside) or coverage (weighted by share), and the margin "
        "inside the boundary that does not; too small for it: the whole parcel counts"
    ),
    "observable": Column("whether the parcel was seen by enough pixels"),
    "share": Column("pixels counted divided by those that the parcel has by its rule", "1"),
    "covered": Column("sum of the shares of pixels that count, by the rule coverage; null by the rule centre", "1"),
    "scl": Column("pixels of each scene class, 0 to 11"),
    "obsid": Column("identifier of the observation, as in the original library"),
    "band": Column("band of the statistics"),
    "footprint": Column("footprint of the scene as WKB, EPSG:4326"),
    "sensor": Column("satellite: S2A, S1B, …"),
    "card": Column("kind of data: s2 (Sentinel-2), bs (backscatter), c6 (six-day coherence)"),
    "status": Column("how far its processing is"),
    "problem": Column("why its processing failed"),
    "processing_baseline": Column("processing baseline of Sentinel-2, 05.10"),
    "boa_offset": Column("number to add to the stored DN", "1e-4"),
    "cloud_cover": Column("cloud cover of the whole scene", "%"),
    "tile": Column("MGRS tile"),
    "relative_orbit": Column("relative orbit"),
    "orbit_state": Column("ascending or descending"),
    "processing_rank": Column("sorts copies of an acquisition by processing"),
    "superseded": Column("whether another scene takes its place"),
    "suspect": Column("what the offset guard found"),
    "left_out": Column("why somebody left the scene out"),
    "acquisition": Column("equal for all processings of one acquisition"),
    "datastrip": Column("start of sensing of the datastrip, UTC"),
    "produced": Column("when the product was made, UTC"),
    "revision": Column("digest of the catalogue entry"),
    "assets": Column("addresses of the rasters by band"),
    "source": Column("where the scene was catalogued from"),
    "ingested": Column("when the scene was catalogued, UTC"),
    "foi_id": Column("feature of interest that the marker is about"),
    "marker": Column("event that was detected"),
    "marker_type": Column("kind of evidence: s2, c6 or both"),
    "date_start": Column("last date before the event"),
    "date_main": Column("best estimate of the event's date"),
    "date_end": Column("first date after the event"),
    "duration_days": Column("days from date_start to date_end", "d"),
    "value_1": Column("first measure of the marker; see the documentation of markers"),
    "value_2": Column("second measure of the marker"),
    "value_3": Column("third measure of the marker"),
    "practice": Column("agricultural practice"),
    "confidence": Column("confidence in the event, 0 to 1", "1"),
    "cell": Column("cell of the weather grid"),
    "meteo_date": Column("day"),
    "tmin": Column("lowest air temperature of the day", "Cel"),
    "tmax": Column("highest air temperature of the day", "Cel"),
    "tmean": Column("mean air temperature of the day", "Cel"),
    "prec": Column("precipitation of the day", "mm"),
    "west": Column("western edge of the cell, EPSG:4326", "degree"),
    "south": Column("southern edge of the cell, EPSG:4326", "degree"),
    "east": Column("eastern edge of the cell, EPSG:4326", "degree"),
    "north": Column("northern edge of the cell, EPSG:4326", "degree"),
    "parcels": Column("version of the parcel set that was extracted"),
    "attempt": Column("number of the attempt at that scene and parcel set"),
    "extraction": Column("number of the extraction; its signatures carry it"),
    "base": Column("extraction whose signatures go on counting for unchanged parcels"),
    "bands": Column("bands of the extraction"),
    "cube": Column("whether the scene is in the cube"),
    "rows": Column("signatures written, of all pixels"),
    "mask": Column("which pixels were left out, of a row of clear pixels alone"),
    "mask_stamp": Column("size and time, or ETag, of the mask's further raster"),
    "clear": Column("signatures of clear pixels alone that were written"),
    "started": Column("when the attempt started, UTC"),
    "finished": Column("when the attempt ended, UTC"),
    "slots": Column("where the pixels are in the cubes"),
    "statistics": Column("statistics of the extraction beside those that every signature has"),
    "indices": Column("indices of the extraction that were computed pixel by pixel"),
    "discarded": Column("pixels that cannot be reflectance, taken as nodata"),
    "pixels": Column("digest of what was in the scene's files"),
    "sequence": Column("which entry of the ledger is later"),
}
_BESIDE: Final = {
    **dict.fromkeys(
        (
            "parcels",
            "rows",
            "base",
            "bands",
            "statistics",
            "indices",
            "cube",
            "slots",
            "started",
            "finished",
            "discarded",
            "pixels",
            "sequence",
        ),
        "extraction",
    ),
    **dict.fromkeys(("status", "problem", "source", "tile", "revision", "acquisition", "produced"), "card"),
    **dict.fromkeys(("west", "south", "east", "north"), "cell"),
    **dict.fromkeys(("value_1", "value_2", "value_3", "practice", "confidence"), "marker"),
    "id": "card",
    "sensor": "card",
}
"""Ambiguous names, which are the lake's only in rows that also have another column."""
_OF_LOOKS: Final = {
    "pixels": Column("pixels of the look: the fewest of the bands of the finest grid"),
    "cloud": Column("share of the classified pixels that are of screened classes", "1"),
    "clear_share": Column("share of the classified pixels that are of no screened class", "1"),
    "unknown": Column("whether no pixel of the parcel is classified"),
    "clouded": Column("whether too many pixels are of screened classes"),
    "usable": Column("whether the numbers of the look stand for the parcel"),
    "why_not": Column("why they do not: small, cut, unknown or cloudy"),
}
"""Columns of the view observations."""
_OF_PARTS: Final = {
    "part": Column("number of the part in the event"),
    "state": Column("whether the part was worked: mown or unmown, …, or unvegetated"),
    "pixels": Column("pixels inside the part"),
    "area_m2": Column("area of the part, in proportion to that of the parcel", "m2"),
    "area_std_m2": Column("standard deviation of the area", "m2"),
    "share": Column("area of the part divided by that of the parcel", "1"),
    "change": Column("change of the part's NDVI from date_start to date_end", "1"),
    "geometry": Column("polygon of the part as WKB in the coordinate system that epsg names"),
    "looks": Column("clear looks at the parcel"),
    "reason": Column("why the parcel has no parts"),
}
"""Columns of the view parts."""
_OF_LINEAGE: Final = {
    "year": Column("year of the later parcels"),
    "ptype": Column("parcel set of the later year; empty is the main one"),
    "year_before": Column("year of the earlier parcels"),
    "ptype_before": Column("parcel set of the earlier year; empty is the main one"),
    "pid": Column("identifier of the later parcel; null where the earlier one is gone"),
    "pid_before": Column("identifier of the earlier parcel; null where the later one is new"),
    "relation": Column("what the earlier parcel became: same, moved, split, merged, part of, new, gone; or a sliver"),
    "area_m2": Column("area of the later parcel, measured in EPSG:3035", "m2"),
    "area_before_m2": Column("area of the earlier parcel, measured in EPSG:3035", "m2"),
    "shared_m2": Column("area that both share: share times area_m2", "m2"),
    "share": Column("shared area divided by that of the later parcel", "1"),
    "share_before": Column("shared area divided by that of the earlier parcel", "1"),
    "least_share": Column("share of either parcel below which an overlap is a sliver", "1"),
    "version": Column("version of the parcel set of the later year"),
    "version_before": Column("version of the parcel set of the earlier year"),
    "geometry": Column("outline of the later parcel, or of the earlier one where that is gone, as WKB"),
}
"""Columns of the view lineage."""
_OF_CROP_CHECKS: Final = {
    "day": Column("last day of which anything was used"),
    "hcat": Column("HCAT code of the declared crop"),
    "crop_group": Column("group of crops that the declared one belongs to"),
    "size_class": Column("class of the parcel's area"),
    "verdict": Column("whether the declared crop grows there: agrees, disagrees or cannot say"),
    "reason": Column("reason of the verdict"),
    "p_value": Column("conformal p-value of the declared group: small is unlikely", "1"),
    "likely": Column("groups of crops that may grow there, the most likely first"),
    "probability": Column("probability of each of these by the model", "1"),
    "since": Column("day from which on the verdict was the same"),
    "rank": Column("1 is the least likely declaration of the parcel set"),
    "fold": Column("number of the parcels that were judged by the same model, which saw none of them"),
    "run": Column("identifier of the check"),
    "is_current": Column("whether the parcels are still those that were checked"),
}
"""Columns of the view crop_checks and of the ranked list."""
_OF_CROP_RUNS: Final = {
    "run": Column("identifier of the check"),
    "day": Column("last day of which anything was used"),
    "version": Column("version of the parcel set"),
    "alpha": Column("promised error", "1"),
    "settings": Column("settings of the check, as JSON"),
    "snapshot": Column("versions of the tables that were read and digest of what was seen, as JSON"),
    "libraries": Column("versions of the libraries, as JSON"),
    "figures": Column("how good the check is: accuracy, confusion, reliability and others, as JSON"),
    "checked": Column("when, UTC"),
    "cbm_lake": Column("version of cbm-lake"),
    "sequence": Column("which check is later"),
    "verdicts": Column("verdicts of the check that are in force"),
}
"""Columns of the view crop_runs."""
_OF_JUDGEMENTS: Final = {
    "scenario": Column("scenario whose light was judged; empty is the declaration as a whole"),
    "number": Column("number of the judgement of that parcel and scenario, withdrawals counted"),
    "decision": Column("what was decided of the light: confirmed, refused, photo (one is asked for) or undecidable"),
    "replaces": Column("number of the judgement that stood before"),
    "withdraws": Column("number of the judgement that stands no more"),
    "note": Column("note of who decided"),
    "who": Column("who decided"),
    "decided": Column("when, UTC"),
    "as_of": Column("moment of the lake that was looked at, UTC"),
    "day": Column("day at the end of which the light was judged, or on which it was recorded"),
    "colour": Column("colour of the light then; of a declaration as a whole that of the worst light"),
    "reason": Column("reason of that light"),
    "due": Column("day on which that light is judged finally"),
    "lights": Column("all lights of the parcel then, of a declaration as a whole, as JSON"),
    "parameters": Column("what differed from the default rules, as JSON"),
    "shown": Column("what was drawn when it was decided, as JSON"),
    "former_decision": Column("judgement that stood before"),
    "former_who": Column("who had made that"),
    "parcels": Column("version of the parcel set that was judged"),
    "outdated": Column("what of the declaration differs by now: gone, geometry, crop, or set; null is nothing"),
    "crop_name": Column("declared crop then, by name"),
    "crop_code": Column("declared crop then, by code"),
    "geometry": Column("geometry of the parcel then, as WKB in the coordinate system that epsg names"),
    "version": Column("version of cbm-lake"),
    "stands": Column("whether it is what counts now"),
}
"""Columns of the view judgements and of its history."""
_MARKS: Final = {
    "area_std_m2": _OF_PARTS,
    "crop_group": _OF_CROP_CHECKS,
    "libraries": _OF_CROP_RUNS,
    "pid_before": _OF_LINEAGE,
    "former_decision": _OF_JUDGEMENTS,
    "withdraws": _OF_JUDGEMENTS,
}
"""Columns that only one view has, and what others mean beside them."""
_VERSIONED: Final = frozenset({"pid", "extraction"})
_CARDS: Final = {band: card for card in reversed(tuple(cards.CARDS.values())) for band in card.rasters}
_CLASS_COLUMNS: Final = frozenset(
    column for card in cards.CARDS.values() if card.classification for column in card.classification.columns
)


def describe(name: str, among: Collection[str]) -> Column | None:
    """The description of a column, or None where its name is ambiguous.

    Args:
        name: as the views spell it.
        among: all columns of the rows; `mean` is the lake's only beside `band` and the other statistics.
    """
    if name in cards.STATISTICS:
        is_signature = {"band", *cards.statistics.STORED} <= set(among)
        return Column(f"{cards.STATISTICS[name].description} of the pixels of the band") if is_signature else None
    if of_view := _of_view(name, among):
        return of_view
    band, statistic = _of_statistic(name)
    if statistic and (column := _of_pixels(band, statistic)):
        return column
    if name == "version" and not _VERSIONED.isdisjoint(among):
        return Column("version of the parcel set" if "pid" in among else "version of cbm-lake")
    if name in _CLASS_COLUMNS:
        return Column(f"pixels of scene class {name.rpartition('_')[2]}", "1")
    return _DESCRIPTIONS.get(name) if _BESIDE.get(name, name) in among else None


def _of_view(name: str, among: Collection[str]) -> Column | None:
    """A column of a view that means something else there."""
    if "why_not" in among and (name in _OF_LOOKS or name in cards.INDICES):
        return _of_look(name)
    of_views = (columns for mark, columns in _MARKS.items() if mark in among)
    return next((columns[name] for columns in of_views if name in columns), None)


def _of_look(name: str) -> Column:
    """A column of the view observations."""
    return _OF_LOOKS.get(name) or Column(f"{cards.INDICES[name].label} of the bands' means", "1")


def _of_pixels(band: str, statistic: Statistic) -> Column | None:
    """A statistic of a band, of scene classes as numbers, or of an index of pixels; None where it is of none."""
    index = cards.indices.named(band)
    if index and band == index.column:
        return Column(f"{statistic.description} of the {index.label} of the parcel's pixels ({index.description})", "1")
    if band not in {*cards.ASSETS, "SC"}:
        return None
    return Column(f"{statistic.description} of the parcel's pixels, {_quantity(band)}", _unit(band, statistic))


def _quantity(band: str) -> str:
    if band == "SC" or _CARDS[band].is_classes(band):
        return "numbers of the scene classes"
    card = _CARDS[band]
    said = "reflectance x 10,000" if card.is_optical else "backscatter in linear power or coherence"
    return f"{card.mission.name} {band}, {said}"


def _of_statistic(name: str) -> tuple[str, Statistic | None]:
    """The band of a column, and the statistic; names of statistics may have a _ themselves."""
    band, _, statistic = name.partition("_")
    return band, cards.STATISTICS.get(statistic)


def _unit(band: str, statistic: Statistic) -> str:
    if statistic.unit is not None:
        return statistic.unit
    plain = band == "SC" or _CARDS[band].is_classes(band) or not _CARDS[band].is_optical
    return "1" if plain else "1e-4"
