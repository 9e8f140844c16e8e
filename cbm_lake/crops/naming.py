"""HCAT codes in words, in what people read of a check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from cbm_lake.crops.model import Judged
from cbm_lake.parcels import hcat


def named(judged: Judged) -> Judged:
    """Verdicts with groups of crops in words; crops themselves stay codes."""
    figures = _translated(judged.figures)
    assert isinstance(figures, dict)  # noqa: S101 - as it was given
    groups = {name: hcat.in_words(name) for name in {name for names in judged.likely for name in names}}
    return replace(
        judged,
        groups=_texts(judged.groups),
        likely=[[groups[name] for name in names] for names in judged.likely],
        reason=_texts(judged.reason),
        group_of={crop: hcat.in_words(group) for crop, group in judged.group_of.items()},
        figures=figures,
    )


def _texts(values: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    words = {text: None if text is None else hcat.in_words(str(text)) for text in set(values)}
    return np.array([words[text] for text in values], object)


def _translated(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _translated(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_translated(each) for each in value]
    return hcat.in_words(value) if isinstance(value, str) else value
