"""Texts of a report: turns its facts into sentences and table rows."""

from __future__ import annotations

import textwrap
from datetime import datetime
from typing import Any, Final

from cbm_lake.report import cropwords, facts, judging, notice
from cbm_lake.report.facts import Facts
from cbm_lake.report.pages import NOTHING, rows

_SCENES: Final = {
    "day": "day",
    "card": "card",
    "product": "product",
    "baseline": "baseline",
    "offset": "offset",
    "rule": "pixels",
    "version": "cbm-lake",
}
_MARKERS: Final = {
    "marker": "marker",
    "date_start": "from",
    "date_main": "main",
    "date_end": "to",
    "duration_days": "days",
    "value_1": "value",
    "confidence": "confidence",
}
_LIGHTS: Final = {"scenario": "scenario", "colour": "colour", "reason": "why"}
_FOI: Final = {"check": "check", "foi_h": "heterogeneous", "foi_c": "several classes", "largest_share": "largest share"}
_SEASON: Final = {"day": "day", "ndvi": "NDVI", "cloud": "clouds", "count": "pixels", "used": "used"}

_PIXELS: Final = 8
"""Pixels from which numbers are worth something: what the view s2 asks of an observable row."""


def of(sealed: Facts) -> Facts:
    """All texts of a report, derived from its evidence alone."""
    values, key, page = sealed["facts"], sealed["key"], sealed["page"]
    parcel, asked = values["parcel"], notice.lines(sealed)
    crop = parcel["crop_name"] or parcel["crop_code"] or "no crop declared"
    return {
        "title": f"{'Notice: parcel' if asked else 'Parcel'} {key['pid']}",
        "notice": asked,
        "subtitle": f"{key['aoi'].upper()} {key['year']}{' ' + key['ptype'] if key['ptype'] else ''} · {crop}",
        "made": f"{sealed['as_of'][:16].replace('T', ' ')} UTC{' by ' + page['maker'] if page['maker'] else ''}",
        "date": dict(zip(("year", "month", "day"), map(int, sealed["as_of"][:10].split("-")), strict=True)),
        "facts": _declared(values, key),
        "summary": _summary(values),
        "missing": page["missing"],
        "markers": rows([{**row, "marker": row["marker"].replace("_", " ")} for row in values["markers"]], _MARKERS),
        "lights": rows(values["lights"], _LIGHTS),
        "judgements": judging.lines(values.get("judgements") or []),
        "crop": cropwords.lines(values.get("crop_check")),
        "crop_figure": "crop" in {*sealed["pictures"], *page["missing"]} and "crop_check" in values,
        "foi": rows([{**row, "check": _short(row["check"])} for row in sealed["others"]["foi"]], _FOI),
        "peers": "" if asked else _peers(values["peers"]),
        "notes": sealed["others"]["notes"],
        "season": rows([_season_row(row) for row in values["optical"]], _SEASON),
        "scenes": rows([_scene(row) for row in values["scenes"]], _SCENES),
        "evidence": _evidence(sealed),
    }


def _declared(values: Facts, key: Facts) -> list[list[str]]:
    parcel = values["parcel"]
    return [
        ["crop", parcel["crop_name"] or "none declared"],
        ["crop code", parcel["crop_code"] or "none declared"],
        ["area", f"{parcel['area_m2'] / 10_000:,.4f} ha"],
        ["perimeter", f"{parcel['perimeter']:,.0f} m" if parcel["perimeter"] else NOTHING],
        ["centre", f"{parcel['centroid_lat']:.5f}° N, {parcel['centroid_lon']:.5f}° E"],
        ["declared in", f"{key['aoi']} {key['year']} {key['ptype']}".rstrip()],
        ["coordinates", f"EPSG:{parcel['epsg']}"],
    ]


def _summary(values: Facts) -> list[str]:
    """Summary of the season in a few sentences."""
    looks = values["optical"]
    clear = [row for row in looks if _clear(row)]
    whole = [row for row in clear if not facts.hidden_share(row)]
    sentences = [
        f"{len(looks)} scenes of Sentinel-2 cover the parcel; on {len(whole)} days it was seen without clouds."
    ]
    if len(clear) > len(whole):
        sentences.append(f"On {len(clear) - len(whole)} more enough of it was clear; the numbers are of that part.")
    sentences += _hidden(looks)
    if clear:
        highest, lowest = max(clear, key=_ndvi), min(clear, key=_ndvi)
        sentences.append(
            f"NDVI was highest on {_day(highest)} ({highest['ndvi']:.2f}) and lowest on {_day(lowest)} "
            f"({lowest['ndvi']:.2f})."
        )
    if looks and not any(row["observable"] for row in looks):
        few = all((row["count"] or 0) < _PIXELS for row in looks)
        why = "The parcel has fewer than 8 full pixels" if few else "No scene saw enough of the parcel"
        sentences.append(f"{why}: what is said of it here is worth little.")
    radar = {row["obstime"] for row in values["radar"]}
    sentences.append(
        f"Sentinel-1 saw it on {len(radar)} dates." if radar else "There is no Sentinel-1 of it in the lake."
    )
    return sentences


def _hidden(looks: list[Facts]) -> list[str]:
    """Reasons why scenes are not used, with counts: clouds, no classified pixel, partial coverage."""
    clouded = sum(bool(facts.hidden_share(row)) for row in looks)
    unknown = sum(row["cloud"] is None for row in looks)
    cut = sum(_is_cut(row) for row in looks)
    sentences = [f"{clouded} show clouds on it."] if clouded else []
    if unknown:
        sentences.append(f"On {unknown} it is unknown whether there are clouds: none of its pixels is classified.")
    return [*sentences, f"{cut} saw only part of it."] if cut else sentences


def _is_cut(row: Facts) -> bool:
    """Whether a scene covers too little of the parcel, though enough pixels."""
    return row["share"] is not None and not row["observable"] and (row["count"] or 0) >= _PIXELS


def _clear(row: Facts) -> bool:
    return row["ndvi"] is not None and row["cloud"] == 0 and bool(row["observable"])


def _ndvi(row: Facts) -> float:
    return float(row["ndvi"])


def _day(row: Facts) -> str:
    return datetime.fromisoformat(row["obstime"]).strftime("%-d %B %Y")


def _season_row(row: Facts) -> dict[str, Any]:
    share = facts.hidden_share(row)
    clouds = "unknown" if share is None else f"{share:.0%}"
    ndvi = NOTHING if row["ndvi"] is None else f"{row['ndvi']:.3f}"
    used = "yes" if _clear(row) else f"no: {row['share']:.0%} seen" if _is_cut(row) else "no"
    return {**row, "day": row["obstime"][:10], "ndvi": ndvi, "cloud": clouds, "used": used}


def _scene(row: Facts) -> dict[str, Any]:
    offset = row["boa_offset"]
    offset_text = NOTHING if row["card"] != "s2" else "none" if not offset else f"{offset:+g}, removed"
    return {**row, "day": (row["obstime"] or "")[:10], "offset": offset_text, "product": row["product"] or row["scene"]}


def _peers(peers: Facts) -> str:
    pairs = [f"{pid} ({metres:,.0f} m)" for pid, metres in zip(peers["pids"], peers["distance"], strict=True)]
    return ", ".join(pairs)


def _short(name: str) -> str:
    return textwrap.shorten(name.replace("_", " "), 60, placeholder=" …")


def _evidence(sealed: Facts) -> list[list[str]]:
    versions = ", ".join(
        f"{name} {number}" for name, number in sealed["snapshot"]["versions"].items() if number is not None
    )
    mask = ", ".join(map(str, sealed["facts"]["mask"]))
    parts = any(_clear(row) and facts.hidden_share(row) for row in sealed["facts"]["optical"])
    part = ", or of its clear part where that is large enough" if parts else ""
    return [
        ["lake as of", sealed["as_of"]],
        ["versions of its tables", versions],
        ["parcels", f"version {sealed['facts']['parcel']['version']}"],
        ["outline", f"SHA-256 {sealed['facts']['parcel']['outline_sha256']}"],
        [
            "clouds",
            f"scene classes {mask} count as clouds; a day is used when none of the parcel's pixels is one{part}",
        ],
        ["numbers", "DN are reflectance x 10000, offsets removed; S1: 10 log10 of the mean of linear power"],
        ["background", sealed["others"].get("background") or NOTHING],
        ["made with", f"cbm-lake {sealed['snapshot']['cbm_lake']}"],
        ["facts", f"SHA-256 {sealed['sha256_of_facts']}"],
        ["evidence", f"SHA-256 {sealed['sha256']}"],
        ["signed", f"Ed25519, by the key {sealed['page']['signer']}" if sealed["page"]["signer"] else "not signed"],
    ]
