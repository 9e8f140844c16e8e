"""The offset guard: detects scenes whose reflectance offset was mishandled, from pixels rather than metadata.

Since processing baseline 04.00 Sentinel-2 products carry 1000 DN more than reflectance x 10000 (BOA_ADD_OFFSET = -1000,
ESA, Sentinel-2 Products Specification Document). A provider may have removed it already without saying so, or remove it
twice; then every band of every parcel jumps by 1000 against the days before and after. Neither plants nor weather do
that: growth moves the bands along one direction, and haze adds less at longer wavelengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa

from cbm_lake.cards import CLOUD_CLASSES, S2
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.files import clock, installed
from cbm_lake.lake import Lake, lake_or_default, schemas
from cbm_lake.lake.arguments import checked
from cbm_lake.lake.snapshots import ParcelSet

OFFSET: Final = 1000.0
"""Shift of a wrong scene in DN."""
_SETS: Final = {
    "all bands": tuple(S2.resolutions),
    "10 m bands": tuple(band.name for band in S2.bands if band.metres == 10),
    "20 m bands": tuple(band.name for band in S2.bands if band.metres == 20),
}
"""Sets of bands that share a file or a processing step."""
_FROM, _TO = 650.0, 1350.0
"""Range in DN of the shift of a wrong scene."""
_APART: Final = 350.0
"""Largest residual of a band in DN after growth and a common shift."""
_FLOOR: Final = 500.0
"""Largest difference in DN between the shift of the darkest pixels and the common one (haze, snow)."""
_PARCELS: Final = 10
"""Minimum number of parcels that were clear on this date and on others."""
_SAMPLE: Final = 5_000
"""Number of parcels sampled, enough for a country."""
_ERRORS: Final = 3.0
"""Standard errors (median over the bands) by which a shift must differ from zero."""
_WAVELENGTHS: Final = {band.name: band.wavelength for band in S2.bands if band.wavelength is not None}
"""Micrometres."""
_ANGSTROM: Final = 1.3
"""Ångström exponent of haze: scattered light is proportional to wavelength ** -exponent; a usual value over land
(Ångström 1929, Geografiska Annaler 11, 156)."""
_HAZY: Final = 6
"""Minimum number of bands to separate growth, haze and an offset; with fewer, haze is left out of the model."""


@dataclass(frozen=True)
class Finding:
    """The verdict on a scene and the evidence for it."""

    scene: str
    obstime: datetime
    parcels: int
    """Number of parcels that were clear on this day and on another."""
    verdict: str
    """ok, suspect, undecided."""
    kind: str | None
    """What is wrong with a suspect scene."""
    shift: float | None
    """Common shift of the bands of the set in DN; for a correct scene the median over all bands."""
    floor_shift: float | None
    """Shift in DN of the darkest pixels (1 % of the parcels' minima) against neighbouring dates; the smaller one of the
    10 m and the 20 m bands."""
    reason: str
    """In words, with the shift of every band."""


@checked
def scenes(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    mark: bool = True,
    but: Sequence[str] = (),
    lake: Lake | None = None,
) -> pa.Table:
    """Check every extracted Sentinel-2 scene of an area and year; suspects are marked in the lake.

    The signatures of a suspect are left out of the views s2 and s2_long, and so of all results, until `clear`.

    Args:
        aoi: area.
        year: of the declaration.
        ptype: which parcel set; None is the main one.
        mark: whether suspects are written to the lake.
        but: scenes that are not marked, such as those that a person has cleared.
        lake: which; None is the workspace's.

    Returns:
        One row per scene, with the columns of `Finding`.

    Raises:
        NotFoundError: no such parcels, or nothing of them was extracted.
    """
    lake = lake_or_default(lake)
    parcels = lake.parcel_set(aoi, year, ptype)
    findings = judged(lake, parcels)
    if not findings:
        raise NotFoundError(f"no scene of Sentinel-2 was extracted over {parcels.name}; extract some first")
    marked = set(lake.query("guard.suspects")["scene"].to_pylist())
    if mark:
        excepted = marked.union(but)
        fresh = [finding for finding in findings if finding.verdict == "suspect" and finding.scene not in excepted]
        _write(lake, [_row(finding.scene, "suspect", finding.kind, finding.reason, finding.shift) for finding in fresh])
    return pa.Table.from_pylist([asdict(finding) for finding in findings], schema=_FINDINGS)


def suspects(*, lake: Lake | None = None) -> pa.Table:
    """The scenes that are marked: scene, kind, shift, reason, found, version."""
    lake = lake_or_default(lake)
    return lake.query("guard.suspects")


@checked
def clear(scene: str, reason: str, *, lake: Lake | None = None) -> None:
    """Clear a scene that a person has inspected; the finding and the reason for clearing it stay in the history.

    Raises:
        NotFoundError: it is not marked.
        InvalidInputError: no reason is given.
    """
    lake = lake_or_default(lake)
    if not reason.strip():
        raise InvalidInputError("say why the scene is right; the reason is kept")
    if scene not in suspects(lake=lake)["scene"].to_pylist():
        raise NotFoundError(f"scene {scene!r} is not marked; the marked ones are listed by: cbm-lake guard list")
    _write(lake, [_row(scene, "cleared", None, reason.strip(), None)])


def judged(lake: Lake, parcels: ParcelSet) -> list[Finding]:
    """The findings of every scene; a scene found to be wrong no longer serves as a neighbour of others."""
    params = _params(lake, parcels)
    slopes: dict[str, float | None] = next(iter(lake.query("guard.slopes", **params).to_pylist()), {})
    wrong: dict[str, Finding] = {}
    while True:
        rows = lake.query("guard.residuals", **params, left_out=sorted(wrong)).to_pylist()
        findings = [_finding(row, slopes) for row in rows]
        suspect = [finding for finding in findings if finding.verdict == "suspect"]
        if not suspect:
            return sorted([*wrong.values(), *findings], key=lambda finding: (finding.obstime, finding.scene))
        surest = min(suspect, key=lambda finding: abs(abs(finding.shift or 0.0) - OFFSET))
        wrong[surest.scene] = surest


def _params(lake: Lake, parcels: ParcelSet) -> dict[str, Any]:
    key = parcels.params
    step = max(1, sum(lake.query("guard.count", **key)["parcels"].to_pylist()) // _SAMPLE)
    return {**key, "screen": list(CLOUD_CLASSES), "step": step}


def _finding(row: dict[str, Any], slopes: dict[str, float | None]) -> Finding:
    """The verdict on a scene."""
    shifts = {
        band: row[f"{band.lower()}_shift"] for band in _SETS["all bands"] if row[f"{band.lower()}_shift"] is not None
    }
    shift_text = ", ".join(f"{band} {shift:+.0f}" for band, shift in shifts.items())
    columns = {"scene": row["scene"], "obstime": row["obstime"], "parcels": row["compared"]}
    floors = {"10 m bands": row["floor_ten"], "20 m bands": row["floor_twenty"]}
    floor = min((value for value in floors.values() if value is not None), key=abs, default=None)
    if row["compared"] < _PARCELS or len(shifts) < 2:
        reason = f"only {row['compared']} parcels were clear on this day and on others"
        return Finding(**columns, verdict="undecided", kind=None, shift=None, floor_shift=floor, reason=reason)
    growth = {band: slopes.get(f"{band.lower()}_slope") or 0.0 for band in shifts}
    error = float(np.median([row[f"{band.lower()}_error"] for band in shifts]))
    for name, bands in _SETS.items():
        shift = _common(shifts, growth, [band for band in bands if band in shifts])
        if shift is not None and abs(shift) > _ERRORS * error and _floors_moved(shift, floors, name):
            kind = _kind(shift, row["boa_offset"], name)
            return Finding(**columns, verdict="suspect", kind=kind, shift=shift, floor_shift=floor, reason=shift_text)
    off = float(np.median(list(shifts.values())))
    return Finding(**columns, verdict="ok", kind=None, shift=off, floor_shift=floor, reason=shift_text)


def _common(shifts: dict[str, float], growth: dict[str, float], bands: Sequence[str]) -> float | None:
    """The common shift of a set of bands, besides growth and haze; None where it is not the offset.

    Least squares of shift = a x growth + h x haze + c x (band in the set) over the bands; every band must then fit.
    """
    causes = [[growth[band] for band in shifts]]
    if len(shifts) >= _HAZY:
        causes.append([(_WAVELENGTHS[band] / _WAVELENGTHS["B02"]) ** -_ANGSTROM for band in shifts])
    if len(bands) < 2 or len(shifts) < len(causes) + 2:
        return None
    model = np.column_stack([*causes, [float(band in bands) for band in shifts]])
    moved = np.array(list(shifts.values()))
    coefficients = np.linalg.lstsq(model, moved, rcond=None)[0]
    fits = np.abs(moved - model @ coefficients) <= _APART
    return float(coefficients[-1]) if _FROM <= abs(coefficients[-1]) <= _TO and bool(fits.all()) else None


def _floors_moved(shift: float, floors: dict[str, float | None], name: str) -> bool:
    """Whether the darkest pixels of a set of bands moved with the others."""
    moved_floors = [floor for bands, floor in floors.items() if name in ("all bands", bands) and floor is not None]
    return all(abs(floor - shift) <= _FLOOR for floor in moved_floors)


def _kind(shift: float, boa_offset: float | None, name: str) -> str:
    if shift > 0:
        return f"the offset was not removed ({name})"
    return f"the offset was removed {'twice, or was not there' if boa_offset else 'and the flags deny it'} ({name})"


# -- the record -------------------------------------------------------------------------------------------------------

_FINDINGS: Final = pa.schema(
    {
        "scene": pa.string(),
        "obstime": pa.timestamp("us", "UTC"),
        "parcels": pa.int64(),
        "verdict": pa.string(),
        "kind": pa.string(),
        "shift": pa.float64(),
        "floor_shift": pa.float64(),
        "reason": pa.string(),
    }
)


def _row(scene: str, status: str, kind: str | None, reason: str, shift: float | None) -> dict[str, Any]:
    origin = {"found": clock.now(), "version": installed.version()}
    return {"card": "s2", "scene": scene, "status": status, "kind": kind, "shift": shift, "reason": reason, **origin}


def _write(lake: Lake, rows: list[dict[str, Any]]) -> None:
    if rows:
        lake.add_suspects(pa.Table.from_pylist(rows, schema=schemas.SUSPECTS))
