"""Units of temperature and precipitation: from the file's attribute, else inferred from the values, else refused."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cbm_lake.errors import InvalidInputError

log = logging.getLogger(__name__)

_SECOND, _HOUR, _DAY = 1.0, 3600.0, 86400.0


@dataclass(frozen=True)
class Unit:
    """Linear conversion to degrees Celsius or mm: values * scale + offset."""

    name: str
    scale: float = 1.0
    offset: float = 0.0
    per: float | None = None
    """Seconds over which a rate counts; None for a total and for temperatures."""


_TEMPERATURES: Final = {
    alias: unit
    for unit, aliases in {
        Unit("K", offset=-273.15): "k kelvin kelvins degk degreek degreeskelvin",
        Unit("degrees Celsius"): """
            c °c ºc ℃ degc deg_c degreec degreesc degree_c degrees_c celsius
            degree_celsius degrees_celsius degreecelsius degreescelsius
        """,
        Unit("degrees Fahrenheit", 1 / 1.8, -32 / 1.8): """
            f °f degf fahrenheit degree_fahrenheit degreefahrenheit degreesfahrenheit
        """,
    }.items()
    for alias in aliases.split()
}
_AMOUNTS: Final = {
    alias: unit
    for unit, aliases in {
        ("m", 1000.0): "m metre meter metres meters mofwaterequivalent mwe",
        ("mm", 1.0): "mm millimetre millimeter millimetres millimeters mmofwaterequivalent kgm-2 kg/m2 l/m2 lm-2",
        ("cm", 10.0): "cm centimetre centimeter centimetres centimeters",
        ("inches", 25.4): "in inch inches",
    }.items()
    for alias in aliases.split()
}
_PERIODS: Final = {
    **dict.fromkeys(("s-1", "/s", "sec-1", "/sec", "persecond"), _SECOND),
    **dict.fromkeys(("h-1", "/h", "hr-1", "/hr", "hour-1", "/hour", "perhour"), _HOUR),
    **dict.fromkeys(("d-1", "/d", "day-1", "/day", "perday", "/24h"), _DAY),
}
_NOTHING: Final = ("", "1", "-", "unknown", "none", "~", "(0-1)", "dimensionless")
"""Units that say nothing."""

_KELVIN: Final = (180.0, 335.0)
_CELSIUS: Final = (-95.0, 62.0)
"""What has been measured near the ground, with some room: -89.2 and 56.7 degrees Celsius are the records."""
_LONG_ENOUGH: Final = 90.0
"""Days of a file after which it is no chance that nowhere in it was there rain that a gauge would have noticed."""


def named(text: str, kind: str, label: str) -> Unit | None:
    """Look up a unit by name, or None.

    Args:
        text: unit as written in an attribute or header.
        kind: "temperature" or "precipitation".
        label: what it is of, for messages.

    Raises:
        InvalidInputError: no such unit is known.
    """
    key = re.sub(r"\*\*|\^|[\s()]", "", text.strip().lower().replace("·", ""))
    if key in _NOTHING:
        return None
    unit = _TEMPERATURES.get(key) if kind == "temperature" else _amount(key)
    if unit is None:
        expected = "K or degC" if kind == "temperature" else "m, mm, mm d-1 or kg m-2 s-1"
        raise InvalidInputError(
            f"{label} is in {text!r}, which is no unit of {kind}; expected is one such as {expected}"
        )
    return unit


def _amount(key: str) -> Unit | None:
    if key in _AMOUNTS:
        name, scale = _AMOUNTS[key]
        return Unit(name, scale)
    for suffix, seconds in _PERIODS.items():
        if key.endswith(suffix) and (amount := _AMOUNTS.get(key.removesuffix(suffix))):
            return Unit(f"{amount[0]} per {seconds:.0f} s", amount[1], per=seconds)
    return None


def of_temperatures(low: float, high: float, label: str) -> Unit:
    """Infer the unit of temperatures from their range: kelvin or Celsius.

    Raises:
        InvalidInputError: they fit neither.
    """
    for unit, (least, greatest) in (("k", _KELVIN), ("c", _CELSIUS)):
        if least <= low and high <= greatest:
            candidate = _TEMPERATURES[unit]
            log.warning("%s names no unit; its values, %.6g to %.6g, are those of %s", label, low, high, candidate.name)
            return candidate
    raise InvalidInputError(
        f"{label} names no unit, and its values, {low:.6g} to {high:.6g}, are temperatures neither in K nor in degrees "
        "Celsius; say the unit"
    )


def _record(hours: float) -> float:
    """The greatest fall in so many hours, in m: 16.6 inches * hours ** 0.475 (Paulhus 1965, Monthly Weather Review)."""
    return 0.0254 * 16.6 * float(hours**0.475)


def check(values: NDArray[np.float64], kind: str, hours: float, label: str) -> None:
    """Check that converted values are plausible: a file's unit may be stale after its numbers were converted.

    Args:
        values: in degrees Celsius or mm.
        kind: "temperature" or "precipitation".
        hours: duration of a value; accumulations since midnight are at most those of a day.
        label: what they are of, for messages.

    Raises:
        InvalidInputError: they cannot.
    """
    valid = values[np.isfinite(values)]
    if not valid.size:
        return
    low, high = float(valid.min()), float(valid.max())
    least, greatest = _CELSIUS if kind == "temperature" else (-0.1, 1000 * _record(max(hours, 24)))
    if low < least or high > greatest:
        unit = "degrees Celsius" if kind == "temperature" else "mm"
        raise InvalidInputError(
            f"{label}: by its unit its values are {low:.6g} to {high:.6g} {unit}, which cannot be; say the right unit, "
            "or leave out the numbers that stand for none"
        )


def doubt_drought(high: float, hours: float, days: float, label: str) -> None:
    """Warn where a long file shows no rain at all under its stated unit, which suggests a wrong unit.

    Args:
        high: greatest amount of the file, in mm.
        hours: in which it fell.
        days: that the file spans.
        label: what it is of, for messages.
    """
    if 0 < high <= _record(hours) / 4 and days >= _LONG_ENOUGH:
        log.warning(
            "%s: by its unit there was never more than %.3g mm in %g hours, in %.0f days; if its values are metres, "
            "say the unit: %s=m",
            label,
            high,
            hours,
            days,
            label.rpartition(" ")[2],
        )


def of_totals(high: float, hours: float, days: float, label: str) -> Unit:
    """Infer the unit of precipitation totals: m or mm.

    More than the greatest fall that was ever measured in so many hours cannot be metres; and where nowhere in a file of
    90 days there was as much as 0.1 mm in an hour, it cannot be mm. In between, or where the file is short and dry, the
    values do not decide.

    Args:
        high: greatest value of the file.
        hours: duration of a value.
        days: that the file spans.
        label: what it is of, for messages.

    Raises:
        InvalidInputError: the values do not decide.
    """
    record = _record(hours)
    if high == 0:
        return Unit("mm")  # no rain is none in every unit
    if high > record:
        log.warning("%s names no unit; its values, up to %.6g, can only be mm", label, high)
        return Unit("mm")
    if high <= record / 4 and days >= _LONG_ENOUGH:
        log.warning(
            "%s names no unit; its values, up to %.6g in %.0f days, are taken for m: in mm it never rained",
            label,
            high,
            days,
        )
        return Unit("m", 1000.0)
    name = label.rpartition(" ")[2]
    raise InvalidInputError(
        f"{label} names no unit, and its values, up to {high:.6g} in {days:.0f} days, may be m or mm; say the unit: "
        f"{name}=m or {name}=mm"
    )
