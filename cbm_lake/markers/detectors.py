"""The detectors as one document: their kinds, the parameters that stand in them, the order in which they are run."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Final

from pydantic import Field

from cbm_lake.errors import InvalidInputError
from cbm_lake.markers.kinds import (
    CLAIM,
    Combination,
    Dip,
    Drop,
    End,
    Gap,
    Peak,
    Rise,
    State,
    Threshold,
    Tillage,
    Unseen,
)
from cbm_lake.markers.signals import COHERENCE, NDVI, Signal, signal

_RESERVED: Final = re.compile(r"observed.*|similarity|distance_rank|homogeneity|crop_check")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_PARAMETER: Final = re.compile(r"[a-z_0-9]+(?:\.[a-z_0-9]+)+")
KINDS: Final = ("state", "peak", "drop", "threshold", "gap", "combination", "rise", "dip", "end", "tillage", "unseen")
DetectorModel = Annotated[
    State | Peak | Drop | Threshold | Gap | Combination | Rise | Dip | End | Tillage | Unseen,
    Field(discriminator="kind"),
]


def checked(detectors: dict[str, DetectorModel]) -> dict[str, DetectorModel]:
    """The detectors, whose names are right, whose other detectors exist, and none of which needs itself.

    Raises:
        ValueError: that is not so.
    """
    for name, detector in detectors.items():
        if not _NAME.fullmatch(name) or _RESERVED.fullmatch(name):
            raise ValueError(
                f"{name!r} is no name of a detector; take letters a to z, digits and _, and no marker's name"
            )
        for other in (*detector.needs, *detector.uses):
            if other not in detectors:
                raise ValueError(
                    f"{name} asks for detector {other!r}, which there is not; there are: {', '.join(detectors)}"
                )
        _check_states(name, detector, detectors)
    order(detectors)
    return detectors


def order(detectors: Mapping[str, DetectorModel]) -> tuple[str, ...]:
    """The names of the detectors, each after those whose events it asks for.

    Raises:
        ValueError: some ask for each other in a circle.
    """
    sorter = TopologicalSorter({name: (*one.needs, *one.uses) for name, one in detectors.items()})
    try:
        return tuple(name for name in sorter.static_order() if name in detectors)
    except CycleError as error:
        raise ValueError(f"detectors ask for each other in a circle: {' → '.join(reversed(error.args[1]))}") from error


def skipped(detectors: Mapping[str, DetectorModel], missing: Collection[str]) -> frozenset[str]:
    """The detectors that say nothing where the series `missing` have no value: they or what they need look over one."""
    result: set[str] = set()
    for name in order(detectors):
        one = detectors[name]
        if not set(one.signals).isdisjoint(missing) or not result.isdisjoint(one.needs):
            result.add(name)
    return frozenset(result)


def asked_for(detectors: Mapping[str, DetectorModel]) -> tuple[Signal, ...]:
    """The series that detectors look over, other than NDVI and coherence, by name."""
    names = {name for detector in detectors.values() for name in detector.signals} - {NDVI, COHERENCE}
    return tuple(signal(name) for name in sorted(names))


def with_values(detectors: object, parameters: Mapping[str, object]) -> object:
    """The document of the detectors with the values of the parameters whose names stand in it: `cover.vegetated`.

    Raises:
        InvalidInputError: there is no such parameter.
    """
    if not isinstance(detectors, Mapping):
        return detectors
    return {
        name: {key: _value(item, parameters, f"{name}.{key}") for key, item in detector.items()}
        if isinstance(detector, Mapping)
        else detector
        for name, detector in detectors.items()
    }


def claims(detectors: Mapping[str, DetectorModel]) -> Iterator[tuple[str, str]]:
    """Each detector and the column of the parcel file that it asks for."""
    for name, detector in detectors.items():
        for column in detector.window.claims if detector.window else ():
            yield name, column


def claimed_by(detectors: Mapping[str, DetectorModel], names: Iterable[str]) -> set[str]:
    """The columns of the parcel file on which the events of some detectors rest, by themselves or by others."""
    rest, seen = list(names), set[str]()
    while rest:
        name = rest.pop()
        if name in detectors and name not in seen:
            seen.add(name)
            rest += [*detectors[name].needs, *detectors[name].uses]
    return {column for name, column in claims(detectors) if name in seen}


def _value(item: object, parameters: Mapping[str, object], path: str) -> object:
    """An item of a detector with the values of parameters in place of their names."""
    if isinstance(item, Mapping):
        return {key: _value(below, parameters, f"{path}.{key}") for key, below in item.items()}
    if isinstance(item, list | tuple):
        return [_value(below, parameters, path) if isinstance(below, Mapping) else below for below in item]
    if isinstance(item, str) and _PARAMETER.fullmatch(item) and not item.startswith(CLAIM):
        return _parameter(item, parameters, path)
    return item


def _parameter(name: str, parameters: Mapping[str, object], path: str) -> object:
    value: object = parameters
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value or part in {"detectors", "scenarios"}:
            raise InvalidInputError(
                f"parameter detectors.{path}={name!r} is not right: there is no parameter {name}; see defaults.yaml"
            )
        value = value[part]
    return value


def _check_states(name: str, detector: DetectorModel, detectors: Mapping[str, DetectorModel]) -> None:
    """Refuse ends of what has no beginning and end."""
    if isinstance(detector, End) and detectors[detector.ends].kind != "state":
        raise ValueError(f"{name} asks for the ends of {detector.ends}, which is not of kind state")
