"""Cases: what is to be settled with a farmer, from the light that opened it to its end, with who decided what and when.

A case belongs to a parcel and a scenario: open, notified, answered, closed. Every decision stays, with the timestamp of
the lake that its maker saw, so that `verify` can judge again. A case stays with the geometry of its parcel.

import cbm_lake as cbm

opened = cbm.cases.open_cases("ms", 2024, scenarios="grassland is mown")
cbm.cases.notices(opened["case_id"].to_pylist(), "notices.gpkg", answer_by="2027-09-01")
cbm.cases.reschedule("3f2a9c…", "2027-10-01", "asked for more time")
cbm.cases.answer("3f2a9c…", "mown on 3 July", files=["photo.jpg"])
cbm.cases.close("3f2a9c…", "conforming")
cbm.cases.listed("ms", 2024, statuses=["open", "answered"])
cbm.cases.verify("3f2a9c…").equal

Before a case there is a judgement: what an analyst decides of a parcel's light.

cbm.cases.judge("ms", 2024, "000123", "photo", "mown or grazed?", scenario="grassland is mown")
cbm.cases.judgements("ms", 2024, decisions="photo")
cbm.cases.withdraw("ms", 2024, "000123", scenario="grassland is mown")
cbm.cases.open_cases("ms", 2024, decisions="photo")
"""

from cbm_lake.cases.judgedlights import WORST
from cbm_lake.cases.judgements import DECISIONS, judge, judgements, withdraw
from cbm_lake.cases.listing import case_worklist, last_visit, sample_worklist, worklist
from cbm_lake.cases.notices import Replay, notices, save_photo, verify
from cbm_lake.cases.opening import open_cases
from cbm_lake.cases.photos import Photo
from cbm_lake.cases.photos import read as read_photo
from cbm_lake.cases.record import STATUSES, answer, close, history, listed, notify, reopen, reschedule
from cbm_lake.cases.worklists import Count, Worklist

__all__ = [
    "DECISIONS",
    "STATUSES",
    "WORST",
    "Count",
    "Photo",
    "Replay",
    "Worklist",
    "answer",
    "case_worklist",
    "close",
    "history",
    "judge",
    "judgements",
    "last_visit",
    "listed",
    "notices",
    "notify",
    "open_cases",
    "read_photo",
    "reopen",
    "reschedule",
    "sample_worklist",
    "save_photo",
    "verify",
    "withdraw",
    "worklist",
]
