"""Rules of the second validation layer: subject, query, meaning and remedy of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cbm_lake.qa.findings import INFO, WARNING


@dataclass(frozen=True)
class Rule:
    """A validation rule; see RULES."""

    number: int
    """As the original counts them; 0: not among them."""
    name: str
    """The original's name of the count; {owner} is the table, {field} the column."""
    question: str
    """The file of sql/validation/."""
    tables: tuple[str, ...]
    """What must be there for it to be asked; where {owner} is in its name, it is asked of each of them."""
    has_geometry: tuple[str, ...]
    """Tables whose geometries it looks at."""
    message: str
    meaning: str
    mend: str
    severity: str = WARNING

    @property
    def owners(self) -> tuple[str | None, ...]:
        """Tables that the rule is run on one by one; None if it is run on all together."""
        return self.tables if "{owner}" in self.name else (None,)

    def needs(self, owner: str | None) -> tuple[set[str], set[str]]:
        """Tables and geometry tables that the rule requires."""
        return ({owner}, {owner}) if owner else (set(self.tables), set(self.has_geometry))


_WITH_GEOMETRY: Final = ("lpis", "gsa")
_DRAW: Final = "Draw the outline again, or take the parcel out of the table."

RULES: Final = (
    Rule(
        1,
        "{owner}_notvalid_geom_cnt",
        "invalid_outlines",
        _WITH_GEOMETRY,
        _WITH_GEOMETRY,
        "Outlines of {owner} that are not valid: {count}",
        "The outline crosses or touches itself, or breaks another rule of OGC Simple Features: its area is uncertain.",
        "Repair it in a GIS (QGIS: Fix geometries), then look at it: a bow-tie may hide a mistake of drawing.",
    ),
    Rule(
        2,
        "{owner}_missing_geom_cnt",
        "missing_outlines",
        _WITH_GEOMETRY,
        _WITH_GEOMETRY,
        "Parcels of {owner} without an outline: {count}",
        "There is a row, but no outline.",
        _DRAW,
    ),
    Rule(
        3,
        "{owner}_empty_geom_cnt",
        "empty_outlines",
        _WITH_GEOMETRY,
        _WITH_GEOMETRY,
        "Outlines of {owner} that are empty: {count}",
        "There is an outline, but without any coordinates.",
        _DRAW,
    ),
    Rule(
        4,
        "{owner}_dupl_geom_cnt",
        "identical_outlines",
        _WITH_GEOMETRY,
        _WITH_GEOMETRY,
        "Groups of parcels of {owner} with identical outlines: {count}",
        "Several parcels have exactly the same coordinates: probably one parcel that was entered twice.",
        "Keep one of each group.",
    ),
    Rule(
        5,
        "{owner}_overlap_cnt",
        "overlaps",
        _WITH_GEOMETRY,
        _WITH_GEOMETRY,
        "Pairs of parcels of {owner} that overlap by more than 10 m²: {count}",
        "The same ground belongs to two parcels, so it can be paid twice. Overlaps in several pieces, and parcels in "
        "others, are among them; the original tool finds only those in one piece. Invalid outlines are left out.",
        "Correct the boundary that the two parcels share.",
    ),
    Rule(
        0,
        "{owner}_unusable_geom_cnt",
        "unusable_outlines",
        _WITH_GEOMETRY,
        _WITH_GEOMETRY,
        "Outlines of {owner} that cannot be used: {count}",
        "The outline is no polygon, cannot be read, or has coordinates that EPSG:3035 cannot express.",
        "Give polygons or multipolygons, and the coordinate system that they are in.",
    ),
    Rule(
        0,
        "{owner}_extreme_parcels",
        "extremes",
        _WITH_GEOMETRY,
        _WITH_GEOMETRY,
        "Largest and smallest parcels of {owner}: {count}",
        "The ten largest and the ten smallest outlines.",
        "Nothing, unless one surprises: a farm drawn as one parcel, or a sliver.",
        INFO,
    ),
    Rule(
        6,
        "invalid_{field}",
        "parts_of_total",
        ("lpis",),
        (),
        "Parcels of lpis with an impossible {field}: {count}",
        "The area is negative (which the original tool cannot find), or larger than the parcel's tot_area.",
        "Correct the area, or tot_area.",
    ),
    Rule(
        7,
        "invalid_negative_tot_area",
        "negative_totals",
        ("lpis",),
        (),
        "Parcels of lpis with a negative tot_area: {count}",
        "No parcel has a negative area.",
        "Correct tot_area.",
    ),
    Rule(
        8,
        "invalid_zero_tot_area",
        "zero_totals",
        ("lpis",),
        (),
        "Parcels of lpis with a tot_area of 0 and no na_area: {count}",
        "A parcel without agricultural area must have non-agricultural area.",
        "Correct tot_area or na_area.",
    ),
    Rule(
        9,
        "invalid_alpcpg_area",
        "sums_of_total",
        ("lpis",),
        (),
        "Parcels of lpis with more arable land, permanent crops and grassland than tot_area: {count}",
        "al_area, pc_area and pg_area are parts of tot_area that do not overlap.",
        "Correct the parts, or tot_area.",
    ),
    Rule(
        10,
        "invalid_tot_area",
        "totals_of_outlines",
        ("lpis",),
        ("lpis",),
        "Parcels of lpis with a tot_area larger than their outline: {count}",
        "The hectares are more than the outline has in EPSG:3035. The original tool compares them with square metres, "
        "and finds next to nothing.",
        "Correct tot_area or the outline; if all parcels are listed, tot_area may not be in hectares.",
    ),
    Rule(
        11,
        "claimed_parcel_missing",
        "claims_of_unknown_parcels",
        ("ua_claimed", "gsa"),
        (),
        "Claimed parcels that are not in gsa: {count}",
        "Area is claimed on a parcel that nobody declared.",
        "Add the parcel to gsa, or correct the claim.",
    ),
    Rule(
        12,
        "invalid_zero_claim_area",
        "zero_claims",
        ("ua_claimed",),
        (),
        "Claims for no area, or a negative one: {count}",
        "A claim needs an area.",
        "Correct the claimed area.",
    ),
    Rule(
        13,
        "invalid_claim_area",
        "claims_of_outlines",
        ("ua_claimed", "gsa"),
        ("gsa",),
        "Claims for more than the outline of their parcel: {count}",
        "The hectares claimed are more than the outline has in EPSG:3035. The original tool compares them with square "
        "metres and finds next to nothing.",
        "Correct the claimed area or the outline.",
    ),
    Rule(
        14,
        "unclaimed_ua_cnt",
        "unclaimed",
        ("interventions", "ua_claimed"),
        (),
        "Unit amounts that nobody claims: {count}",
        "The interventions have a unit amount that no claim names.",
        "Look whether claims are missing or the unit amount is spelt in two ways; if nobody wanted it, all is well.",
    ),
    Rule(
        15,
        "ua_grp_cnt",
        "group_statistics",
        ("interventions",),
        (),
        "Groups of unit amounts: {statistics}",
        "How the unit amounts are grouped.",
        "Nothing, unless it surprises.",
        INFO,
    ),
    Rule(
        16,
        "interv_cnt",
        "intervention_statistics",
        ("interventions",),
        (),
        "Interventions: {statistics}",
        "How the groups are spread over interventions. The original tool counts unit amounts here instead of groups.",
        "Nothing, unless it surprises.",
        INFO,
    ),
)
