"""Form for the notes on a parcel: bound to the parcel whose notes were read, with who wrote them and when."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Final

import ipywidgets

from cbm_lake import get
from cbm_lake.errors import InvalidInputError, LakeError
from cbm_lake.ipycbm import changes
from cbm_lake.ipycbm.panel import Panel, explained

if TYPE_CHECKING:
    from cbm_lake.ipycbm.view_panel import Kept, Parcel

_BETWEEN: Final = "\n\n"


class Notes(Panel):
    """The notes on the chosen parcel.

    What is typed stays with the parcel for which it was typed: choosing another one keeps it aside, unsaved, until that
    parcel is chosen again.
    """

    def __init__(self, parcels: Kept) -> None:
        self._parcels = parcels
        self.loaded: Parcel | None = None
        """The parcel whose notes are in the field."""
        self._read = ""
        self._drafts: dict[Parcel, str] = {}
        self.text = ipywidgets.Textarea(layout={"width": "auto", "height": "140px"})
        self.heading = ipywidgets.HTML()
        super().__init__(
            "keep the notes",
            self._save,
            fleeting=True,
            changed=("folders",),
            after=lambda _: self._tell(),
            locked=self.why_locked,
            context={"parcel": parcels},
            text=self.text,
        )
        self.set_trait("children", (self.heading, *self.children))
        for chooser in (parcels.aoi, parcels.year, parcels.pid):
            chooser.observe(lambda _: self._follow_parcel(), "value")
        changes.subscribe(self.reload, "folders")
        self._follow_parcel()

    def why_locked(self) -> str:
        """Why the notes cannot be kept now; "" if they can."""
        selected = self._selected()
        if selected is None:
            return "locked: no parcel is chosen"
        if selected != self.loaded:
            return f"locked: these are not the notes on parcel {selected[2]}"
        return ""

    def reload(self) -> None:
        """Read the notes anew, unless there is something unsaved."""
        if self.loaded is not None and self.text.value == self._read:
            self._load(self.loaded)

    def _selected(self) -> Parcel | None:
        """The parcel of the form; None while one is being typed."""
        if self._parcels.pid.value not in self._parcels.pid.options:
            return None
        try:
            return self._parcels.value
        except LakeError:  # none is chosen
            return None

    def _follow_parcel(self) -> None:
        """Put what is unsaved aside, and read the notes on the parcel that is chosen now."""
        selected = self._selected()
        if selected == self.loaded:
            self.refresh()
            return
        if self.loaded is not None and self.text.value != self._read:
            self._drafts[self.loaded] = self.text.value
        self.loaded, self._read, self.text.value = None, "", ""
        self.text.disabled = selected is None
        if selected is not None:
            self._load(selected)
        self._tell()
        self.refresh()

    def _load(self, parcel: Parcel) -> None:
        try:
            self._read = get.notes.read(*parcel)
        except LakeError as error:
            self.heading.value = html.escape(explained(error))
            return
        self.loaded, self.text.value = parcel, self._drafts.pop(parcel, self._read)
        self._tell()

    def _tell(self) -> None:
        """Say whose notes these are, by whom and of when, and of which parcels some are unsaved."""
        lines = []
        if self.loaded is not None:
            aoi, year, pid = self.loaded
            last = get.notes.history(*self.loaded)[-1:]
            written = f", last changed by {last[0].who} on {last[0].when:%Y-%m-%d %H:%M} UTC" if last else ": none yet"
            lines.append(f"notes on parcel {pid} of {aoi} {year}{written}")
        if self._drafts:
            lines.append(f"unsaved: notes on parcel {', '.join(pid for _, _, pid in self._drafts)}; choose it to go on")
        self.heading.value = "<br>".join(map(html.escape, lines))

    def _save(self, parcel: Parcel, text: str) -> str:
        """Keep what is in the field as the notes on the parcel that was read; what others wrote meanwhile is put above.

        Raises:
            InvalidInputError: the field holds the notes of another parcel, or others wrote meanwhile.
            NotFoundError: nothing was got of the parcel.
        """
        get.folders.existing(*parcel)
        if parcel != self.loaded:
            raise InvalidInputError(f"these are not the notes on parcel {parcel[2]}; choose it first")
        now = get.notes.read(*parcel)
        if now != self._read:
            self._read, self.text.value = now, f"{now}{_BETWEEN}{text}"
            raise InvalidInputError("others changed these notes meanwhile; theirs stand above yours now: keep both?")
        file = get.notes.write(*parcel, text, instead_of=now)
        self._read = text
        return f"stored in {file}"
