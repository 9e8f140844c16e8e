"""Parcel slides (.pptx): parcel information, time series and calendar views."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cbm_lake import get, show
from cbm_lake.errors import InvalidInputError, LakeError, of_extra
from cbm_lake.lake import Lake
from cbm_lake.lake.options import checked_options
from cbm_lake.parcel.declaration import Parcel, degrees, hectares
from cbm_lake.parcel.sources import LakeSource
from cbm_lake.report import facts, judging
from cbm_lake.show import peers
from cbm_lake.show.reading import Reading
from cbm_lake.show.style import Figure, page_of

if TYPE_CHECKING:
    from pptx.presentation import Presentation
    from pptx.shapes.autoshape import Shape
    from pptx.shapes.shapetree import SlideShapes

Draw = Callable[..., Figure | None]
"""Draws a figure of aoi, year, pid and ptype, into a file."""

_AND_CROP: Final = ", and that of its crop"
"""How the title of a figure ends that draws the crop's other parcels too, where they are known."""
FIGURES: Final[dict[str, Draw]] = {
    "Where it is": partial(show.background.by_pid, tms="sentinel"),
    f"NDVI{_AND_CROP}": partial(show.time_series.ndvi, markers=True, peers=True),
    "Reflectance": partial(show.time_series.s2, bands=("B02", "B04", "B08", "B11")),
    f"Sentinel-1{_AND_CROP}": partial(show.time_series.s1, peers=True),
    "True colour": show.calendar.by_pid,
    "NDVI by day": partial(show.calendar.by_pid, bands="ndvi"),
    "NDMI by day": partial(show.calendar.by_pid, bands="ndmi"),
    "Bare soil by day": partial(show.calendar.by_pid, bands="bare soil"),
    "Scene classes by day": partial(show.calendar.by_pid, bands="SCL"),
    "Histograms of NDVI": show.calendar.histograms,
    "Red and near infrared": show.calendar.scatter,
    "Backscatter by day": partial(show.calendar.by_pid, bands="bs VV"),
    "Coherence by day": partial(show.calendar.by_pid, bands="c6 VV"),
}
"""The slides by their titles, in their order."""
_WIDE, _TALL, _EDGE, _TITLE = 13.333, 7.5, 0.4, 0.9
"""Inches: a slide of 16 to 9, the empty edge round everything, and the height of a title."""
_POINTS: Final = 22
_BLANK: Final = 6
"""The number of the empty layout in the library's own template."""


@checked_options
def slides(
    aoi: str,
    year: int,
    pid: str | Sequence[str],
    ptype: str | None = None,
    *,
    file: str | Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    lake: Lake | None = None,
) -> Path:
    """Write a presentation of one or several parcels, one figure per slide; missing figures are replaced by the reason.

    Args:
        aoi: area.
        year: of the declaration.
        pid: identifier of a parcel, or several.
        ptype: which parcel set; None is the main one.
        file: .pptx; None is temp/<aoi>/<year>/<pid>/slides_<aoi>_<year>_<pid>.pptx of the first parcel.
        progress: called with the number of slides done, and the total.
        lake: the lake; None is what the settings say, the workspace's lake or a server.

    Returns:
        Where it is.

    Raises:
        NotFoundError: no such parcel.
        InvalidInputError: a file of another kind.
        ConfigError: the folder cannot be written, or a package is missing.
    """
    with of_extra("report", "slides"):
        import pptx
        from pptx.util import Inches
    if file is not None and Path(file).suffix.lower() != ".pptx":
        raise InvalidInputError(f"{file} cannot be written; slides are .pptx")
    reading = Reading.of(lake)
    parcels = reading.parcels(aoi, year, pid, ptype)
    deck = pptx.Presentation()
    deck.slide_width, deck.slide_height = Inches(_WIDE), Inches(_TALL)
    for number, parcel in enumerate(parcels):
        _declared(deck, parcel, _judged(reading, parcel))
        for count, (title, draw) in enumerate(_figures(reading, parcel), 1):
            _slide(deck, parcel, title, draw)
            progress(number * len(FIGURES) + count, len(parcels) * len(FIGURES))
    first = parcels[0]
    name = f"slides_{first.aoi}_{first.year}_{get.folders.name_of(first.pid)}.pptx"
    target = Path(file) if file else get.folders.place(first.aoi, first.year, first.pid, "") / name
    written = io.BytesIO()
    deck.save(written)
    return get.folders.write_bytes(target, written.getvalue())


def _figures(reading: Reading, parcel: Parcel) -> Iterator[tuple[str, Draw]]:
    """Figures by title; crop references only where other parcels of the crop are known."""
    alone = bool(peers.obstacle(reading.source, parcel))
    for title, draw in FIGURES.items():
        if alone and title.endswith(_AND_CROP):
            yield title.removesuffix(_AND_CROP), partial(draw, peers=False, lake=reading)
        else:
            yield title, partial(draw, lake=reading)


def _judged(reading: Reading, parcel: Parcel) -> list[str]:
    """The judgements that stand; none of a server, which figures do not ask for them."""
    if not isinstance(reading.source, LakeSource):
        return []
    key = {"aoi": parcel.aoi, "year": parcel.year, "ptype": parcel.ptype or "", "pid": parcel.pid}
    return [f"{judged}: {text}" for judged, text in judging.lines(facts.judgements(reading.source.lake, key))]


def _declared(deck: Presentation, parcel: Parcel, judgements: Sequence[str]) -> None:
    """First slide of a parcel: its declaration, and what was decided of its lights."""
    slide = deck.slides.add_slide(deck.slide_layouts[_BLANK])
    _text(slide.shapes, f"Parcel {parcel.pid}", 2.2, 36)
    declared = [
        parcel.crop or parcel.code or "no crop declared",
        hectares(parcel.area),
        f"{parcel.aoi} {parcel.year} {parcel.ptype or ''}".rstrip(),
        degrees(parcel.lon, parcel.lat),
    ]
    _text(slide.shapes, "\n".join(declared), 3.2, 20)
    if judgements:
        _text(slide.shapes, "\n".join(judgements), 5.2, 12)


def _slide(deck: Presentation, parcel: Parcel, title: str, draw: Draw) -> None:
    """A slide with a title and a figure scaled to fit, or the reason why there is none."""
    from pptx.util import Inches

    slide = deck.slides.add_slide(deck.slide_layouts[_BLANK])
    _text(slide.shapes, f"{parcel.pid} · {title}", _EDGE / 2, _POINTS)
    try:
        figure = page_of(draw(parcel.aoi, parcel.year, parcel.pid, parcel.ptype))
    except LakeError as error:
        _text(slide.shapes, str(error), 3.2, 16)
        return
    image = io.BytesIO()
    figure.savefig(image, format="png", facecolor="white")
    width, height = figure.get_size_inches()
    scale = min((_WIDE - 2 * _EDGE) / width, (_TALL - _TITLE - _EDGE) / height)
    edge = (_WIDE - scale * width) / 2
    picture = slide.shapes.add_picture(image, Inches(edge), Inches(_TITLE), Inches(scale * width))
    picture.name = title


def _text(shapes: SlideShapes, words: str, top: float, points: int) -> Shape:
    """Text across a slide, `top` inches below its top."""
    from pptx.util import Inches, Pt

    box: Shape = shapes.add_textbox(Inches(_EDGE), Inches(top), Inches(_WIDE - 2 * _EDGE), Inches(0.6))
    box.text_frame.word_wrap = True
    box.text_frame.text = words
    for paragraph in box.text_frame.paragraphs:
        paragraph.font.size = Pt(points)
    return box
