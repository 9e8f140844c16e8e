"""`Panel`: base widget with a form that calls one library function and displays its result."""

from __future__ import annotations

import html
import io
import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Final

import ipywidgets
import pandas as pd
import pyarrow as pa

from cbm_lake.cards import palette
from cbm_lake.errors import InvalidInputError, LakeError
from cbm_lake.ipycbm import changes
from cbm_lake.ipycbm.forms import Form, Values, same
from cbm_lake.ipycbm.telling import Telling

log = logging.getLogger(__name__)

Listener = Callable[[str, dict[str, Any]], None]
LISTENERS: Final[list[Listener]] = []
"""Called with the label and the values of every form whose button is pressed, but not with passwords."""
_ROWS: Final = 200
"""Rows of a table that are shown."""
_OLD: Final = "cbm-lake-old"
"""CSS class of a result that is of other values than the form's."""
_STYLE: Final = (
    f"<style>.{_OLD} {{ opacity: 0.4; pointer-events: none }} .{_OLD} a[download] {{ display: none }}</style>"
)
"""What is old can neither be clicked nor downloaded."""
_CELL: Final = "padding: 2px 10px; text-align: left"


class StoppedError(LakeError):
    """The user pressed the stop button."""


class Panel(ipywidgets.VBox):
    """A form, a button that calls `action` with its values, and the result below.

    The action runs in a thread, so that the page lives; a second click with the same values does nothing while it runs.
    Whatever it raises is shown, in place of a former result: of the library's errors their line, of others that there
    is a fault, which is in the log too. Until it has ended it is said what it does, how long it has, and what is left.

    The values are those of the moment of the click. As soon as the form says something else than what a result is of,
    the result is marked as old, with what it is of, and locked, or removed where it is `fleeting`; it counts again when
    the form says the same again.

    Args:
        label: of the button.
        action: called with the values of the inputs and of the context by their names; where `stops`, also with
            `progress`.
        stops: whether the action takes `progress(done, total, step)`, which moves a bar, and in which stop is heard.
        redraws: whether a click while it runs, with other values, is answered as well: what is running is then dropped
            and the newest click is drawn. Without it, where the action neither `stops` nor the result is `fleeting`.
        fleeting: whether the result goes when the form is changed, as "saved" does.
        render: makes the widget of the result; defaults to `rendered`.
        after: called with what came back when all went well. What it changes in the form does not make the result old.
        changed: what the action may have changed that others show, told to them also when it fails half way.
        locked: says why the button cannot be pressed now, "" where it can; asked again by `refresh`.
        context: further inputs by name, located elsewhere on the page.
        beside: inputs elsewhere that the action does not take, but that also determine the result.
        inputs: widgets by the names of the action's arguments.
    """

    def __init__(
        self,
        label: str,
        action: Callable[..., object],
        *,
        stops: bool = False,
        redraws: bool | None = None,
        fleeting: bool = False,
        render: Callable[[Any], ipywidgets.Widget] | None = None,
        after: Callable[[Any], None] = lambda _: None,
        changed: Sequence[changes.Kind] = (),
        locked: Callable[[], str] = lambda: "",
        context: Mapping[str, Any] | None = None,
        beside: Mapping[str, Any] | None = None,
        **inputs: ipywidgets.Widget,
    ) -> None:
        self.inputs, self.action, self.after, self.locked = inputs, action, after, locked
        self._names = {*(context or {}), *inputs}
        self.form = Form({**(beside or {}), **(context or {}), **inputs})
        self.listeners: list[Callable[[], None]] = []
        """Called whenever a result comes, goes, or becomes old, and when the action begins and ends."""
        self._render, self._stops, self._fleeting = render or rendered, stops, fleeting
        self._redraws = not (stops or fleeting) if redraws is None else redraws
        self._changes, self._disabled = changed, set[ipywidgets.Widget]()
        self._stopped, self._lock = threading.Event(), threading.Lock()
        self._running: Future[Any] = Future()
        self.busy = False
        """Whether the action is running."""
        self.asked: Values = {}
        """What the form said at the last click."""
        self._drawn_values: Values | None = None
        self._again = False
        self._telling = Telling(self.say)
        self.button = ipywidgets.Button(description=label, button_style="success", layout={"width": "auto"})
        self.stop = ipywidgets.Button(description="stop", disabled=True, layout={"width": "auto"})
        self.bar = ipywidgets.IntProgress(layout={"visibility": "hidden", "width": "auto", "flex": "1"})
        self.lock, self.message, self.old = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        self.result = ipywidgets.VBox()
        self.button.on_click(lambda _: self.submit())
        self.stop.on_click(lambda _: self._stop())
        buttons = [self.button, self.stop, self.bar] if stops else [self.button, self.lock]
        super().__init__([*inputs.values(), ipywidgets.HBox(buttons), self.message, self.old, self.result])
        self.form.observe(self._changed)
        self.refresh()

    @property
    def result_values(self) -> Values | None:
        """Input values of the displayed result; None if there is none, or it is stale or loading."""
        current = self._drawn_values if self.result.children and not self.busy else None
        return current if current is not None and not self.form.differs(current) else None

    @property
    def is_old(self) -> bool:
        """Whether the displayed result is of other values than the form's."""
        return bool(self.old.value)

    def clear(self) -> None:
        """Clear the result."""
        self._put((), None)
        self._follow()

    def submit(self) -> Future[Any]:
        """Start the action with the current values unless it is running; the future ends when the result is shown."""
        with self._lock:
            if self.busy:
                self._again = self._again or (self._redraws and self.form.differs(self.asked))
                return self._running
            self._stopped.clear()
            self.asked, self._running, self.busy = self.form.values(), Future(), True
        self._follow()
        threading.Thread(target=self._run, args=(self._running,), daemon=True).start()
        return self._running

    def say(self, line: str) -> None:
        """Display one line of text."""
        self.message.value = _line(line, palette.GOOD) if line else ""

    def refresh(self) -> None:
        """Re-evaluate whether the button is locked, and notify the listeners."""
        why = self.locked()
        self.lock.value = _line(why, palette.DOUBTFUL) if why else ""
        is_answered = self._redraws and self.form.differs(self.asked)
        self.button.disabled = bool(why) or (self.busy and not is_answered)
        self.stop.disabled = not self.busy
        self.bar.layout.visibility = "visible" if self.busy else "hidden"
        for listener in self.listeners:
            listener()

    def _run(self, running: Future[Any]) -> None:
        """Run the action and display its result; the buttons are always restored.

        In a thread that dies with the process: a kernel that is shut down waits for nobody, and what the library does
        can be killed at any moment.
        """
        answer = None
        try:
            while self.busy:
                answer = self._answer()
                self._take_newer()
        finally:
            self.busy = False
            self.bar.value = 0
            self._follow()
            running.set_result(answer)

    def _take_newer(self) -> None:
        """Values of a click made meanwhile; if none, the action has ended."""
        with self._lock:
            self.busy, self._again = self._again, False
            if self.busy:
                self.asked = self.form.values()

    def _answer(self) -> Any:
        """Result of the action, displayed unless a newer click waits; None on failure, with which a former one goes."""
        answer, is_done = None, False
        for listener in LISTENERS:
            listener(self.button.description, self.form.loggable(self.asked))
        with reporting(self.message), self._narrated():
            progress = {"progress": self._progress} if self._stops else {}
            answer = self.action(**_selected_values(self.asked, self._names), **progress)
            values = self._after(answer)
            widget = self._render(answer)
            is_done = True
            if not self._again:
                self._put((widget,), values)
        if is_done:
            self.say("")
        else:
            self._put((), None)
            changes.announce(*self._changes)
        return answer

    @contextmanager
    def _narrated(self) -> Iterator[None]:
        """Until it ends, it is said that the action runs; what comes then is the last word."""
        self._telling.begin()
        try:
            yield
        finally:
            self._telling.end()

    def _put(self, children: Sequence[ipywidgets.Widget], values: Values | None) -> None:
        """Show a result, and note what it is of."""
        self._disabled.clear()
        self.result.children, self._drawn_values = tuple(children), values

    def _after(self, answer: Any) -> Values:
        """Run the `after` hook; returns the values that the result depends on, as the form states them now."""
        before = self.form.values()
        self.after(answer)
        changes.announce(*self._changes)
        return self.asked | {name: value for name, value in self.form.values().items() if not same(value, before[name])}

    def _changed(self) -> None:
        """Handle a change of the form: clear messages about former values."""
        if not self.busy:
            self.message.value = ""
        self._follow()

    def _follow(self) -> None:
        """Mark the result as stale or current after a change or a new result."""
        is_old = bool(self.result.children) and self._drawn_values is not None and self.form.differs(self._drawn_values)
        if is_old and self._fleeting and not self.busy:
            self._put((), None)
            is_old = False
        self.old.value = self._of_what() if is_old else ""
        self.result.add_class(_OLD) if is_old else self.result.remove_class(_OLD)
        self._lock_result() if is_old else self._unlock_result()
        self.refresh()

    def _lock_result(self) -> None:
        """Disable what can be pressed in a result that is old, also by the keyboard."""
        for part in _parts(self.result):
            if getattr(part, "disabled", None) is False:
                part.disabled = True
                self._disabled.add(part)

    def _unlock_result(self) -> None:
        """Enable it again, where the form says again what the result is of."""
        locked, self._disabled = self._disabled, set()
        for part in locked:
            part.disabled = False

    def _of_what(self) -> str:
        """Note that a result is stale, with the values that it belongs to."""
        changed = self.form.words(self._drawn_values or {})
        again = "the new one is loading" if self.busy else f"press {self.button.description} again"
        return _STYLE + _line(f"what is shown is of {changed}; the form says another: {again}", palette.DOUBTFUL)

    def _stop(self) -> None:
        self._stopped.set()
        self._telling.end()
        self.stop.disabled = True
        self.say("stops after the step that is running …")

    def _progress(self, done: int, total: int, step: str = "") -> None:
        if self._stopped.is_set():
            raise StoppedError(f"stopped after {done} of {total}; run again for the others")
        self.bar.max, self.bar.value = max(total, 1), done
        self._telling.step(done, total, step)


class reporting:  # noqa: N801 - it is used as a function is
    """Context manager that displays exceptions of the library in the page.

    What a callback or thread raises would be lost otherwise.
    """

    def __init__(self, where: ipywidgets.HTML) -> None:
        self._where = where

    def __enter__(self) -> None:
        """Nothing yet."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        """Show an error; what ends a process goes on."""
        if not isinstance(error, Exception):
            return False
        self._where.value = _line(explained(error), palette.BAD)
        return True


def _parts(widget: ipywidgets.Widget) -> Iterator[ipywidgets.Widget]:
    """A widget and all in it."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from _parts(child)


def _selected_values(values: Values, names: Collection[str]) -> Values:
    """Values by name, or the reason why one is unavailable."""
    selected = {name: value for name, value in values.items() if name in names}
    for value in selected.values():
        if isinstance(value, LakeError):
            raise value
    return selected


def _line(text: str, colour: str) -> str:
    """Coloured text, scrollable if long."""
    box = "max-height: 120px; overflow: auto; line-height: 1.4"
    return f'<div style="color: {colour}; {box}">{html.escape(text)}</div>'


def explained(error: BaseException) -> str:
    """One-line description of an exception; unexpected ones are logged with traceback."""
    if isinstance(error, LakeError):
        return error.plain
    log.error("a widget's action failed", exc_info=error)
    return f"a fault of cbm-lake: {type(error).__name__}: {error}; its log has the details"


def rendered(value: Any) -> ipywidgets.Widget:
    """Convert a result to a widget: tables, matplotlib and holoviews figures, texts, and lists of these."""
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
    """Table as escaped HTML, and the number of omitted rows."""
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
    """Holoviews figure in an iframe with its own scripts, which works offline."""
    import holoviews
    from bokeh.embed import components
    from bokeh.resources import Resources

    document = holoviews.render(figure, backend="bokeh")
    document.sizing_mode = "stretch_width"
    scripts = "".join(f"<script>{text}</script>" for text in Resources(mode="inline", components=["bokeh"]).js_raw)
    page = html.escape(scripts + "".join(components(document)), quote=True)
    return ipywidgets.HTML(f'<iframe srcdoc="{page}" style="width: 100%; height: 420px; border: 0"></iframe>')


def text(value: str, *, needed: str = "") -> str:
    """Typed text, stripped.

    Raises:
        InvalidInputError: it is empty, and `needed` says what it must be.
    """
    value = value.strip()
    if needed and not value:
        raise InvalidInputError(f"nothing is given for {needed}; fill it in")
    return value
