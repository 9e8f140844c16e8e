"""Repeats the crop check of which a report tells, from the versions of the lake that it read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cbm_lake.crops import verification
from cbm_lake.errors import LakeError, NotFoundError, some
from cbm_lake.report import facts
from cbm_lake.report.facts import Facts

_LAST: Final = 4
"""Checks whose repetition is remembered, as of many reports of one set."""


@dataclass(frozen=True)
class Repeated:
    """What came of a repetition."""

    differences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def repeat(document: Facts, url: str | None) -> Repeated:
    """Repeat the check that a report names; nothing is said of a report without one."""
    checked = document["facts"].get("crop_check")
    if not isinstance(checked, dict):
        return Repeated()
    key = document["key"]
    asked = str(checked.get("run")), str(checked.get("libraries") or "{}")
    return _repeated(url, key["aoi"], key["year"], key["ptype"], *asked, document["as_of"])


@lru_cache(maxsize=_LAST)
def _repeated(url: str | None, aoi: str, year: int, ptype: str, run: str, libraries: str, moment: str) -> Repeated:
    """The repetition of a check as of a timestamp."""
    try:
        others = set(verification.other_libraries(json.loads(libraries)))
        findings = verification.recompute(facts.open_at(moment, url), aoi, year, ptype, run)
    except NotFoundError as error:
        return Repeated((f"its crop check cannot be repeated: {error}",))
    except LakeError as error:
        return Repeated((), (_alone(error),))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        return Repeated((f"the record of its crop check cannot be read ({type(error).__name__}: {error})",))
    return _outcome([text for text in findings if text not in others], sorted(others))


def _alone(error: LakeError) -> str:
    return f"its crop check was not repeated, but compared with its record alone: {error}"


def _outcome(different: Sequence[str], libraries: Sequence[str]) -> Repeated:
    """What is said of the differences of a repetition by libraries of other versions, or by the same.

    Other libraries may judge otherwise, which is a note; verdicts that were changed since are a difference.
    """
    if different and libraries and verification.CHANGED not in different:
        return Repeated(
            (), (f"its crop check, repeated with other libraries ({some(libraries)}), differs: {different[0]}",)
        )
    if different:
        return Repeated(tuple(f"its crop check, repeated: {text}" for text in different))
    return Repeated((), ("its crop check, repeated, says the same",))
