"""Reports by the original's names: `cbm.reports.export_to_pdf.with_pdfme(…)` and `.from_notebook(…)`; see `report`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cbm_lake import report
from cbm_lake.errors import InvalidInputError

__all__ = ["export_to_pdf"]


class _ExportToPdf:
    """Called itself, it is `report.export_to_pdf`."""

    def __call__(
        self, aoi: str, year: int, pid: str, folder: str | Path | None = None, ptype: str | None = None
    ) -> Path:
        """Write report_<aoi>_<year>_<pid>.pdf; where it is."""
        return report.export_to_pdf(aoi, year, pid, folder, ptype)

    @staticmethod
    def with_pdfme(
        aoi: str,
        year: int,
        pid: str,
        ptype: str | None = None,
        notes: str | Mapping[str, str] = "",
        params: Mapping[str, object] | None = None,
        folder: str | Path = "",
        fname: str | None = None,
    ) -> Path:
        """Write the report of a parcel as PDF; where it is.

        Args:
            aoi: area.
            year: of the declaration.
            pid: identifier.
            ptype: which parcel set; None or "" is the main one.
            notes: a text, or texts by their titles, such as {"general": …}; none are those of the workspace.
            params: nothing may be in it; it had no meaning in the original either.
            folder: where it goes; "" is temp/<aoi>/<year>/<pid>/.
            fname: name of the file; None is report_<aoi>_<year>_<pid>.pdf.

        Raises:
            NotFoundError: no such parcel.
            InvalidInputError: parameters, or a name of no file.
            ConfigError: the folder cannot be written, or a package is missing.
        """
        if params:
            raise InvalidInputError(f"params {sorted(params)} have no meaning; report.parcel has what can be chosen")
        text = notes if isinstance(notes, str) else "\n".join(notes.values())
        name = fname.removesuffix(".pdf") if fname else None
        pages = report.parcel(
            aoi, year, pid, ptype or None, folder=folder or None, formats=("pdf",), notes=text or None, name=name
        )
        return pages.files["pdf"]

    @staticmethod
    def from_notebook(with_code: bool = False, nb_fname: str | Path | None = None, debug: bool = False) -> Path:
        """Write a notebook as PDF, beside it; where that is.

        Args:
            with_code: whether the code is shown too.
            nb_fname: the notebook, with or without .ipynb. The one that is running does not know its own name.
            debug: not used; what goes wrong is always told.

        Raises:
            InvalidInputError: no notebook is named, or it is none.
            ConfigError: a package or a browser is missing, or the folder cannot be written.
        """
        if not nb_fname:
            raise InvalidInputError("which notebook? give nb_fname, the name of its file")
        path = Path(nb_fname)
        return report.from_notebook(
            path if path.suffix else path.with_name(f"{path.name}.ipynb"), with_code=with_code, pdf=True
        )


export_to_pdf: Final = _ExportToPdf()
