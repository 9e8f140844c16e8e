"""Log formatting that escapes line breaks and direction marks in untrusted text, against log injection."""

from __future__ import annotations

import logging


def escaped(text: str) -> str:
    r"""Text on one line: control characters, line and paragraph separators and marks of direction as \x0a or \u2028."""
    return text if text.isprintable() else "".join(map(_escape, text))


def _escape(letter: str) -> str:
    if letter.isprintable():
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class LineFormatter(logging.Formatter):
    """One line for each message; of an error inside, the lines of its traceback are indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """The first line."""
        record.message = escaped(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: object) -> str:  # noqa: N802 - the library's name
        """A traceback."""
        lines = super().formatException(ei).splitlines()  # type: ignore[arg-type]
        return "\n".join(f"    {escaped(line)}" for line in lines)


def log_to_stderr(level: int) -> None:
    """Write messages from a level on to standard error, with the time, a line for each."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter("%(asctime)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
