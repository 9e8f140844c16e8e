"""Parcel reports as PDF and HTML with embedded evidence, from which every number can be recomputed.

import cbm_lake as cbm

cbm.report.parcel("ms", 2024, "000123")                   # report_ms_2024_000123.pdf and .html
cbm.report.batch("ms", 2024, ["000123", "000124"])
cbm.report.verify("report_ms_2024_000123.pdf").equal
cbm.report.keys.make()                                    # from now on reports are signed
cbm.report.verify("report_ms_2024_000123.pdf", key="agency.pub")
cbm.report.from_notebook("analysis.ipynb")
cbm.report.slides("ms", 2024, "000123")                   # slides_ms_2024_000123.pptx
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from cbm_lake import get
from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError, LakeError, SourceError
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.options import checked_options
from cbm_lake.parcel.sources import LakeSource
from cbm_lake.report import evidence, facts, figures, htmlpages, keys, pages, pdfpages, seals, words
from cbm_lake.report.facts import Facts
from cbm_lake.report.notebook import from_notebook
from cbm_lake.report.notice import Notice
from cbm_lake.report.slides import slides
from cbm_lake.report.verification import Verdict, verify, verify_chain
from cbm_lake.show.reading import Reading

__all__ = [
    "Notice",
    "Report",
    "Verdict",
    "batch",
    "export_to_pdf",
    "from_notebook",
    "keys",
    "listed",
    "parcel",
    "slides",
    "verify",
    "verify_chain",
]

FORMATS: Final = ("pdf", "html", "json")
_BACKGROUND: Final = "sentinel"


@dataclass(frozen=True)
class Report:
    """The files and the outcome of one report."""

    pid: str
    files: dict[str, Path]
    """By their formats."""
    missing: dict[str, str]
    """Figures that could not be drawn, and why."""

    def __str__(self) -> str:
        return f"parcel {self.pid}: {', '.join(map(str, self.files.values()))}"


@checked_options
def parcel(
    aoi: str,
    year: int,
    pid: str,
    ptype: str | None = None,
    *,
    folder: str | Path | None = None,
    formats: str | Sequence[str] = ("pdf", "html"),
    tms: str = _BACKGROUND,
    notes: str | None = None,
    name: str | None = None,
    notice: Notice | None = None,
    lake: Lake | None = None,
) -> Report:
    """Write the report of a parcel; a figure that cannot be drawn is replaced by the reason.

    Args:
        aoi: area.
        year: of the declaration.
        pid: identifier.
        ptype: which parcel set; None is the main one.
        folder: where it goes; None is temp/<aoi>/<year>/<pid>/.
        formats: pdf, html, json (the evidence alone); one or several.
        tms: name of the background under the geometry.
        notes: what the analyst has to say; None is what was noted of the parcel in the workspace.
        name: of the files, without their extensions; None is report_<aoi>_<year>_<pid>.
        notice: what the farmer is asked, which stands first then; no other parcel is named in such a report.
        lake: the lake; None is the workspace's. A lake opened as of a timestamp is reported as of then.

    Raises:
        NotFoundError: no such parcel.
        InvalidInputError: a format that there is not, or a name of no file.
        ConfigError: the folder cannot be written, or a package is missing.
    """
    forms = [formats] if isinstance(formats, str) else formats
    unknown = set(forms) - set(FORMATS)
    if unknown:
        raise InvalidInputError(f"no report can be {', '.join(sorted(unknown))}; choose from {', '.join(FORMATS)}")
    if name is not None and (not name.strip(".") or {"/", "\\"} & set(name)):
        raise InvalidInputError(f"{name!r} is no name of a file; give the folder apart")
    lake = lake_or_default(lake)
    moment = lake.as_of.isoformat() if lake.as_of else facts.now()
    lake = facts.open_at(moment, lake.url)
    declared = lake.parcel_set(aoi, year, ptype)
    key = {"aoi": declared.aoi, "year": declared.year, "ptype": declared.ptype, "pid": str(pid)}
    source = LakeSource(lake)
    values = facts.gather(source, key, for_farmer=notice is not None)
    with tempfile.TemporaryDirectory() as scratch:
        pictures, missing, background = figures.draw(
            Reading(source), key, Path(scratch), tms, with_peers=notice is None, is_checked="crop_check" in values
        )
    noted = get.notes.read(aoi, year, str(pid)) if notes is None else notes
    others = {"foi": facts.foi_results(lake, key), "notes": noted, "background": background}
    others |= {"notice": facts.plain(asdict(notice))} if notice else {}
    signer = keys.signer()
    page = evidence.Page(Workspace.here().config.set.user, missing, tms, signer.public.name if signer else "")
    sealed = evidence.seal(key, moment, facts.snapshot(lake), values, others, pictures, page)
    contents = _contents(sealed, pictures, forms, signer)
    target = Path(folder) if folder else get.folders.place(aoi, year, str(pid), "")
    stem = name or f"report_{declared.aoi}_{year}_{get.folders.name_of(str(pid), 150)}"
    files = {form: get.folders.write_bytes(target / f"{stem}.{form}", content) for form, content in contents.items()}
    return Report(str(pid), files, missing)


def _contents(
    sealed: Facts, pictures: dict[str, bytes], formats: Sequence[str], signer: keys.Signer | None
) -> dict[str, bytes]:
    """Contents of a report by format, signed if there is a key; the signature covers the rendered pages."""
    texts = words.of(sealed)
    makers: dict[str, Callable[[Facts], bytes]] = {
        "pdf": lambda document: pages.pdf(texts, pictures, document),
        "html": lambda document: pages.html(texts, pictures, document).encode("utf-8"),
        "json": lambda document: facts.text(document).encode("utf-8"),
    }
    digests: dict[str, Callable[[bytes], str]] = {
        "pdf": pdfpages.digest,
        "html": lambda content: htmlpages.digest(content.decode("utf-8")),
    }
    document = sealed
    if signer:
        rendered = {form: digest(makers[form](sealed)) for form, digest in digests.items() if form in formats}
        document = seals.sign(sealed, rendered, signer)
    return {form: makers[form](document) for form in dict.fromkeys(formats)}


@checked_options
def batch(
    aoi: str,
    year: int,
    pids: str | Sequence[str],
    ptype: str | None = None,
    *,
    folder: str | Path | None = None,
    formats: str | Sequence[str] = ("pdf",),
    tms: str = _BACKGROUND,
    progress: Callable[[int, int], None] = lambda done, total: None,
    lake: Lake | None = None,
) -> list[Report]:
    """Write the reports of many parcels; failures are collected and do not stop the others.

    Args and errors are those of `parcel`; progress is told how many are done, of how many.

    Raises:
        SourceError: some could not be made; says which and why, all others are written.
    """
    reports: list[Report] = []
    failed: list[str] = []
    named = [pids] if isinstance(pids, str) else pids
    for number, pid in enumerate(named):
        try:
            reports.append(parcel(aoi, year, pid, ptype, folder=folder, formats=formats, tms=tms, lake=lake))
        except LakeError as error:
            failed.append(f"{pid}: {error}")
        progress(number + 1, len(named))
    if failed:
        raise SourceError(
            f"{len(failed)} of {len(named)} reports could not be made, the others are: {'; '.join(failed)}"
        )
    return reports


def listed(pids: Sequence[str]) -> list[str]:
    """Expand identifiers; one that begins with @ names a file with one identifier per line.

    Raises:
        SourceError: the file cannot be read.
    """
    named: list[str] = []
    for pid in pids:
        if not pid.startswith("@"):
            named.append(pid)
            continue
        try:
            lines = Path(pid[1:]).read_text("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise SourceError(
                f"{pid[1:]} cannot be read ({error}); give a text file with a pid in each line"
            ) from error
        named += [line.strip() for line in lines if line.strip()]
    return list(dict.fromkeys(named))


@checked_options
def export_to_pdf(
    aoi: str,
    year: int,
    pid: str,
    folder: str | Path | None = None,
    ptype: str | None = None,
    *,
    lake: Lake | None = None,
) -> Path:
    """Write report_<aoi>_<year>_<pid>.pdf with the original library's name and arguments; returns its path."""
    return parcel(aoi, year, pid, ptype, folder=folder, formats=("pdf",), lake=lake).files["pdf"]
