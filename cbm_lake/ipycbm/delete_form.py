"""Form to delete the files of a parcel: what would go, made by whom, and a second question."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets

from cbm_lake import get
from cbm_lake.get.leftovers import Leftover
from cbm_lake.ipycbm import changes
from cbm_lake.ipycbm.cleaning import Question
from cbm_lake.ipycbm.panel import Panel

if TYPE_CHECKING:
    from cbm_lake.ipycbm.view_panel import Kept, Parcel


def delete_form(parcels: Kept) -> Panel:
    """Make the form; its question goes as soon as another parcel is chosen."""

    def listed(parcel: Parcel) -> list[Leftover]:
        return get.leftovers.of_folders(get.folders.existing(*parcel))

    def asked(files: list[Leftover]) -> ipywidgets.Widget:
        return Question(f"{get.leftovers.in_words(files)}. Delete it?", files, lambda: changes.announce("folders"))

    return Panel("what would be deleted", listed, fleeting=True, render=asked, context={"parcel": parcels})
