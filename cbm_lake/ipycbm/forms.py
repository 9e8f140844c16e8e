"""`Form`: groups inputs, reads and validates their current values, and describes them in text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any, Final, TypeAlias

import ipywidgets

from cbm_lake.errors import LakeError

Values: TypeAlias = "dict[str, Any]"
"""What inputs say, by their names; where one says nothing that can be used, the error."""
_SECRET: Final = (ipywidgets.Password, ipywidgets.FileUpload, ipywidgets.Textarea)
"""Inputs whose values are not written out."""
_LONGEST: Final = 60
"""Characters of a value in a sentence."""


class Form:
    """Named inputs: widgets with a `value`, including compound ones.

    An input may have `watched`, (widget, name of a trait) of everything by which it is changed; else all its parts are
    looked through.
    """

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        self._inputs = dict(inputs)

    def observe(self, changed: Callable[[], None]) -> None:
        """Call `changed` after every change of an input, also of parts that it gets later."""
        observed: set[tuple[ipywidgets.Widget, str]] = set()

        def follow(_: object = None) -> None:
            for widget, trait in self.watched() - observed:
                widget.observe(lambda _: changed(), trait)
            observed.update(self.watched())

        def grown(_: object) -> None:
            follow()
            changed()

        follow()
        for box in self._inputs.values():
            if isinstance(box, ipywidgets.Box):
                box.observe(grown, "children")

    def watched(self) -> set[tuple[ipywidgets.Widget, str]]:
        """Widgets and traits whose changes are changes of the form."""
        return {each for one in self._inputs.values() for each in _watched(one)}

    def values(self) -> Values:
        """Current values of the inputs."""
        return {name: _value(widget) for name, widget in self._inputs.items()}

    def loggable(self, values: Values) -> Values:
        """Values that may be logged: no passwords, files or long texts."""
        return {name: value for name, value in values.items() if not isinstance(self._inputs[name], _SECRET)}

    def differs(self, values: Values) -> bool:
        """Whether the inputs have changed since then."""
        return not all(same(value, values.get(name)) for name, value in self.values().items())

    def words(self, values: Values) -> str:
        """Changed values as text: parcel 000591, area demo."""
        now = self.values()
        return ", ".join(
            _named(name, self._inputs[name], value) for name, value in values.items() if not same(value, now[name])
        )


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal; errors are compared by message."""
    if isinstance(one, LakeError) and isinstance(other, LakeError):
        return str(one) == str(other)
    return bool(one == other)


def _value(widget: Any) -> Any:
    try:
        return widget.value
    except LakeError as error:
        return error


def _watched(widget: Any) -> Iterator[tuple[ipywidgets.Widget, str]]:
    """Traits that change the value of an input, including those of its parts."""
    if hasattr(widget, "watched"):
        yield from widget.watched
        return
    if isinstance(widget, ipywidgets.Tab):
        yield widget, "selected_index"
    if isinstance(widget, ipywidgets.ValueWidget) and not isinstance(widget, ipywidgets.HTML):
        yield widget, "value"
    for part in getattr(widget, "children", ()):
        yield from _watched(part)


def _named(name: str, widget: Any, value: Any) -> str:
    """An input with its value: parcel 000591."""
    label = getattr(widget, "description", "") or getattr(widget, "label", "") or name.replace("_", " ")
    if isinstance(widget, _SECRET):
        return f"another {label}"
    if isinstance(value, LakeError):
        return f"no {label}"
    text = _written(value)
    return f"{label} {text if len(text) <= _LONGEST else text[:_LONGEST] + ' …'}"


def _written(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(str(part) for part in value.values() if part not in (None, ""))
    if isinstance(value, (tuple, list)):
        return (" to " if any(isinstance(part, date) for part in value) else ", ").join(map(_written, value)) or "none"
    return {True: "ticked", False: "not ticked"}[value] if isinstance(value, bool) else str(value)
