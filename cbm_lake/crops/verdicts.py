"""From evidence to agrees, disagrees or cannot say, with the reason."""

from __future__ import annotations

from typing import Final

import numpy as np

from cbm_lake.crops.accusations import accused
from cbm_lake.crops.evidence import Evidence
from cbm_lake.crops.features import Bools, Floats, Objects
from cbm_lake.crops.settings import Settings

AGREES, DISAGREES, CANNOT_SAY = "agrees", "disagrees", "cannot say"
VERDICTS: Final = (DISAGREES, AGREES, CANNOT_SAY)
UNSEEN: Final = "too little is seen of it"
UNDECLARED: Final = "no crop is declared"
NO_MODEL: Final = "no model could be made from the parcels elsewhere"
ONE_CROP: Final = "only one crop is declared: there is nothing to compare it with"
ONE_BLOCK: Final = "all parcels are neighbours: no model can be made from parcels elsewhere"
CHANCE: Final = "the crops cannot be told apart: declared and predicted crops have nothing to do with each other"


def reasons_against_all(evidence: Evidence) -> str | None:
    """Why no parcel of the set can be judged; None where some can."""
    obstacles = (
        (not len(evidence.crop), "there are no parcels"),
        (not evidence.seen.any(), "nothing is seen of any parcel"),
        (not evidence.crops, "no crop is declared on any parcel"),
        (len(evidence.crops) == 1, ONE_CROP),
        (not evidence.numbers, "all parcels look the same"),
        (evidence.folds.count < 2, ONE_BLOCK),
        (not evidence.judged.any(), NO_MODEL),
        (not evidence.better_than_chance, CHANCE),
        (len(evidence.cells.names) < 2, "all crops are in one group: there is nothing to compare it with"),
    )
    return next((reason for applies, reason in obstacles if applies), None)


def verdicts(evidence: Evidence, settings: Settings) -> tuple[Objects, Objects]:
    """The verdict of each parcel and its reason: (n,) and (n,)."""
    verdict = np.full(len(evidence.crop), CANNOT_SAY, dtype=object)
    reason = np.full(len(evidence.crop), NO_MODEL, dtype=object)
    reason[evidence.crop < 0] = UNDECLARED
    reason[~evidence.seen] = UNSEEN
    against = reasons_against_all(evidence)
    if against is not None:
        reason[:] = np.where(reason == NO_MODEL, against, reason)
        return verdict, reason
    wrong, alone, enough, unlikely = _decided(evidence, settings)
    verdict[wrong], verdict[alone] = DISAGREES, AGREES
    percent = f"{settings.alpha * 100:g} %"
    names = evidence.cells.names
    for row in np.flatnonzero(evidence.judged):
        declared = names[evidence.cells.group[row]]
        nearest = names[int(evidence.probability[row].argmax())]
        if wrong[row]:
            reason[row] = (
                f"looks like {nearest}, not like {declared}" if nearest != declared else f"not like {declared}"
            )
        elif alone[row]:
            reason[row] = f"looks like {declared}, which parcels of other crops hardly do"
        elif not enough[row]:
            reason[row] = f"too few parcels of {declared} for {percent}"
        elif unlikely[row]:
            reason[row] = f"hardly like {declared}, but too many are so for a promise of {percent}"
        else:
            reason[row] = f"like {declared}, but parcels of other crops look like it too"
    return verdict, reason


def _decided(evidence: Evidence, settings: Settings) -> tuple[Bools, Bools, Bools, Bools]:
    """(n,) each: accused; accepted; of a group with enough parcels; hardly like the declared group."""
    rows = evidence.judged
    group = np.where(rows, evidence.cells.group, 0)
    index = np.arange(len(rows))
    enough = rows & (evidence.calibrating[group, evidence.cells.size] + 1 >= 1 / settings.alpha)
    unlikely = enough & (evidence.p_value[index, group] <= settings.alpha)
    alone = enough & ~unlikely & (evidence.agreement <= settings.alpha)
    if settings.promise == "parcels":
        return unlikely, alone, enough, unlikely
    candidates = enough & ~evidence.suspicion.doubtful & (_share_of_correct(evidence, group) <= settings.alpha)
    wrong = np.zeros(len(rows), bool)
    wrong[candidates] = accused(evidence.suspicion.wrong[candidates], settings.alpha)
    return wrong, alone & ~wrong, enough, unlikely


def _share_of_correct(evidence: Evidence, group: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Floats:
    """(n,) of the parcels correctly declared as this group, the estimated share that looks as little like it."""
    share = np.full(len(group), np.nan)
    rows = np.flatnonzero(evidence.judged)
    score, correct = evidence.by_group[rows, group[rows]], 1 - evidence.suspicion.wrong[rows]
    for number in np.unique(group[rows]):
        inside = np.flatnonzero(group[rows] == number)
        order = inside[np.argsort(score[inside], kind="stable")]
        share[rows[order]] = np.cumsum(correct[order]) / max(correct[order].sum(), 1e-12)
    return share
