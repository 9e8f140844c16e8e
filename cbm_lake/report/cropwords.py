"""What a report says of the crop check: the verdict, the likely crops, what was promised, and what that cost."""

from __future__ import annotations

import json
from typing import Any

from cbm_lake.markers.cropchecks import likely_in_words, promise
from cbm_lake.report.facts import Facts
from cbm_lake.report.pages import NOTHING


def lines(checked: Facts | None) -> list[list[str]]:
    """Pairs of a title and a text; none where the parcel was not checked."""
    if not checked:
        return []
    return [
        ["verdict", f"{checked['verdict']}: {checked['reason']}"],
        ["declared", _declared(checked)],
        ["likely", _likely(checked)],
        ["p-value of the declaration", _number(checked["p_value"])],
        ["promised", promise(checked["alpha"], checked["settings"]) or NOTHING],
        ["which cost", _cost(checked)],
        ["rank", f"{checked['rank']} of {checked['judged']}; 1 is the most doubtful" if checked["rank"] else NOTHING],
        ["the same since", checked["since"] or NOTHING],
        ["data up to", checked["day"]],
        ["run", _run(checked)],
        ["settings", _settings(checked["settings"])],
        ["features", _features(checked["snapshot"])],
    ]


def _declared(checked: Facts) -> str:
    group = checked["crop_group"] or "no crop that is known"
    size = f", parcels of {checked['size_class']}" if checked["size_class"] else ""
    code = f" (HCAT {checked['hcat']})" if checked["hcat"] else ""
    return f"{group}{size}{code}"


def _likely(checked: Facts) -> str:
    return ", ".join(likely_in_words(checked["likely"], checked["probability"])) or NOTHING


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3g}"


def _cost(checked: Facts) -> str:
    judged, undecided, accused = checked["judged"], checked["undecided"], checked["accused"]
    return f"of {judged:,} parcels it cannot say of {undecided:,} ({undecided / judged:.0%}); it accuses {accused:,}"


def _run(checked: Facts) -> str:
    if checked["checked"] is None:
        return f"{checked['run']}, of which there is no record"
    return f"{checked['run']}, made {checked['checked'][:16].replace('T', ' ')} UTC with cbm-lake {checked['cbm_lake']}"


def _settings(text: str | None) -> str:
    """The settings that are a number or a word: model, seed, blocks."""
    settings: dict[str, Any] = json.loads(text or "{}")
    plain = {name: value for name, value in settings.items() if isinstance(value, str | int | float)}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in plain.items()) or NOTHING


def _features(text: str | None) -> str:
    digest = json.loads(text or "{}").get("features")
    return f"SHA-256 {digest}" if digest else NOTHING
