"""What all widgets are made of: a form that calls one function of the library and shows what comes back."""

from __future__ import annotations

import html
import io
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Final

import ipywidgets
import pandas as pd
import pyarrow as pa

from cbm_lake import palette
from cbm_lake.errors import InvalidInputError, LakeError

log = logging.getLogger(__name__)

Listener = Callable[[str, dict[str, Any]], None]
LISTENERS: Final[list[Listener]] = []
"""Called with the label and the values of every form whose button is pressed, but not with passwords."""
_ROWS: Final = 200
"""Rows of a table that are shown."""
_CELL: Final = "padding: 2px 10px; text-align: left"


class StoppedError(LakeError):
    """The user pressed stop."""


class Panel(ipywidgets.VBox):
    """A form: its inputs, a button that calls `action` with their values, and below it what comes back.

    The action runs in a thread, so that the page lives; a second click while it runs does nothing. Whatever it raises
    is shown: of the library's errors their line, of others that there is a fault, which is in the log too.

    Args:
        label: of the button.
        action: called with the values of the inputs by their names; where `stops`, also with `progress`.
        stops: whether the action takes `progress(done, total)`, which moves a bar, and in which stop is heard.
        shown: what is shown of what comes back, a widget; `rendered` unless told.
        after: called with what came back when all went well.
        inputs: widgets by the names of the action's arguments.
    """

    def __init__(
        self,
        label: str,
        action: Callable[..., Any],
        *,
        stops: bool = False,
        shown: Callable[[Any], ipywidgets.Widget] | None = None,
        after: Callable[[Any], None] = lambda _: None,
        **inputs: ipywidgets.Widget,
    ) -> None:
        self.inputs, self.action, self.after = inputs, action, after
        self._shown, self._stops = shown or rendered, stops
        self._stopped, self._lock = threading.Event(), threading.Lock()
        self._running: Future[Any] | None = None
        self.button = ipywidgets.Button(description=label, button_style="success", layout={"width": "auto"})
        self.stop = ipywidgets.Button(description="stop", disabled=True, layout={"width": "auto"})
        self.bar = ipywidgets.IntProgress(layout={"visibility": "hidden", "width": "auto", "flex": "1"})
        self.message = ipywidgets.HTML()
        self.result = ipywidgets.VBox()
        self.button.on_click(lambda _: self.submit())
        self.stop.on_click(lambda _: self._stop())
        buttons = [self.button, self.stop, self.bar] if stops else [self.button]
        super().__init__([*inputs.values(), ipywidgets.HBox(buttons), self.message, self.result])

    def submit(self) -> Future[Any]:
        """Begin the action, unless it is running; its future, done when the result is shown."""
        with self._lock:
            if self._running is not None and not self._running.done():
                return self._running
            self._stopped.clear()
            self.say("…")
            self._busy(True)
            self._running = Future()
            threading.Thread(target=self._run, args=(self._running,), daemon=True).start()
        return self._running

    def say(self, line: str) -> None:
        """Show one line."""
        self.message.value = _line(line, palette.GOOD) if line else ""

    def _run(self, running: Future[Any]) -> None:
        """The action, and what is shown of it; always ends with the buttons as they were.

        In a thread that dies with the process: a kernel that is shut down waits for nobody, and what the library does
        can be killed at any moment.
        """
        answer = None
        try:
            with told(self.message):
                answer, shown = self._work()
                self.result.children = (shown,)
                self.say("")
        finally:
            self._busy(False)
            running.set_result(answer)

    def _work(self) -> tuple[Any, ipywidgets.Widget]:
        values = {name: widget.value for name, widget in self.inputs.items()}
        secret = [name for name, widget in self.inputs.items() if isinstance(widget, ipywidgets.Password)]
        for listener in LISTENERS:
            listener(self.button.description, {name: values[name] for name in values if name not in secret})
        answer = self.action(**values, **({"progress": self._progress} if self._stops else {}))
        self.after(answer)
        return answer, self._shown(answer)

    def _stop(self) -> None:
        self._stopped.set()
        self.stop.disabled = True
        self.say("stops after the step that is running …")

    def _progress(self, done: int, total: int) -> None:
        if self._stopped.is_set():
            raise StoppedError(f"stopped after {done} of {total}; run again for the others")
        self.bar.max, self.bar.value = max(total, 1), done
        self.say(f"{done:,} of {total:,}")

    def _busy(self, running: bool) -> None:
        self.button.disabled, self.stop.disabled = running, not running
        self.bar.layout.visibility = "visible" if running else "hidden"
        if not running:
            self.bar.value = 0


@contextmanager
def told(where: ipywidgets.HTML) -> Iterator[None]:
    """Shows there whatever is raised inside; what a callback raises would be lost otherwise."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the border between the library and the page
        where.value = _line(explained(error), palette.BAD)


def _line(text: str, colour: str) -> str:
    """Words in a colour; with a bar to scroll where they are very many."""
    box = "max-height: 120px; overflow: auto; line-height: 1.4"
    return f'<div style="color: {colour}; {box}">{html.escape(text)}</div>'


def explained(error: BaseException) -> str:
    """One line of what was raised; what is not one of the library's errors is written to the log whole."""
    if isinstance(error, LakeError):
        return str(error)
    log.error("a widget's action failed", exc_info=error)
    return f"a fault of cbm-lake: {type(error).__name__}: {error}; its log has the details"


def rendered(value: Any) -> ipywidgets.Widget:
    """A result as a widget: tables, figures of matplotlib and hvplot, texts, lists of these."""
    if isinstance(value, ipywidgets.Widget):
        return value
    if isinstance(value, pa.Table):
        return ipywidgets.HTML(_table(value.slice(0, _ROWS + 1).to_pandas()))
    if isinstance(value, pd.DataFrame):
        return ipywidgets.HTML(_table(value))
    if isinstance(value, (list, tuple)):
        return ipywidgets.VBox([rendered(one) for one in value])
    if hasattr(value, "savefig"):
        return _picture(value)
    is_interactive = type(value).__module__.partition(".")[0] == "holoviews"
    return (
        _interactive(value) if is_interactive else ipywidgets.HTML("done" if value is None else html.escape(str(value)))
    )


def _table(frame: pd.DataFrame) -> str:
    """Rows as HTML, with nothing in them taken for markup; how many were left out."""
    style = f"<style>.cbm-lake td, .cbm-lake th {{ {_CELL} }}</style>"
    more = f"<p>the first {_ROWS} rows</p>" if len(frame) > _ROWS else ""
    frame = frame.head(_ROWS)
    frame = frame.assign(**dict(frame.select_dtypes("object").fillna("").items()))
    rows: str = frame.to_html(
        index=False, border=0, classes="cbm-lake", na_rep="", escape=True, float_format="{:.6g}".format
    )
    return style + rows + more


def _picture(figure: Any) -> ipywidgets.Image:
    from matplotlib import pyplot

    out = io.BytesIO()
    figure.savefig(out, format="png", bbox_inches="tight", dpi=110)
    pyplot.close(figure)
    return ipywidgets.Image(value=out.getvalue(), format="png", layout={"max_width": "100%", "object_fit": "contain"})


def _interactive(figure: Any) -> ipywidgets.HTML:
    """A figure of hvplot in a frame that brings its own scripts, so that it also works without the network."""
    import holoviews
    from bokeh.embed import components
    from bokeh.resources import Resources

    drawn = holoviews.render(figure, backend="bokeh")
    drawn.sizing_mode = "stretch_width"
    scripts = "".join(f"<script>{text}</script>" for text in Resources(mode="inline", components=["bokeh"]).js_raw)
    page = html.escape(scripts + "".join(components(drawn)), quote=True)
    return ipywidgets.HTML(f'<iframe srcdoc="{page}" style="width: 100%; height: 420px; border: 0"></iframe>')


def text(value: str, *, needed: str = "") -> str:
    """A text as it was typed, without blanks round it.

    Raises:
        InvalidInputError: it is empty, and `needed` says what it must be.
    """
    value = value.strip()
    if needed and not value:
        raise InvalidInputError(f"nothing is given for {needed}; fill it in")
    return value
