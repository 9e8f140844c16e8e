"""Reader of delimited text tables (CSV, TSV, pg_dump COPY; compressed or not) by DuckDB.

    bytes ─ encoding, delimiter, COPY block, archive ─► what DuckDB can read itself, else a copy in UTF-8 ─► relation

Nothing is decided by the name of a file: a table says itself what it is.
"""

from __future__ import annotations

import codecs
import csv
import io
import logging
import lzma
import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import duckdb

from cbm_lake.errors import InvalidInputError, SourceError, some
from cbm_lake.files import archives, charsets, textfiles

log = logging.getLogger(__name__)

EXTENSIONS: Final = (".csv", ".tsv", ".txt", ".tab", ".copy", ".sql", ".dat", ".psv")
"""Extensions of text tables; each may be followed by one of PACKED."""
PACKED: Final = (".gz", ".bz2", ".xz", ".zip")
_COMPRESSED: Final = {"gzip": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ\x00"}
"""How compressed files begin."""
_SAMPLE: Final = 1 << 22
"""Bytes by which the form of a table is decided; a line further down that is otherwise is refused when it is read."""
_MARKS: Final = ((codecs.BOM_UTF32_LE, "utf-32"), *textfiles.MARKS.items())
"""How files of an encoding begin; that of UTF-32 begins as that of UTF-16."""
_COPY: Final = re.compile(r"^COPY\s+(?P<table>\S+)\s*\((?P<columns>[^)]*)\)\s+FROM\s+stdin\b.*;\s*$", re.I | re.M)
"""How pg_dump begins the rows of a table; a line of \\. ends them."""
_ESCAPED: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(frozen=True)
class Form:
    """How a table of text is written."""

    encoding: str
    delimiter: str
    columns: tuple[str, ...]
    """Names in the header, verbatim."""
    copied: bool = False
    """Whether its rows are in a COPY block of pg_dump."""
    damaged: bool = False
    """Whether it is in UTF-8, but for bytes that are none."""


def is_text(path: str | Path) -> bool:
    """Whether the name of a file is that of a table of text."""
    name = Path(path).name.lower()
    for extension in PACKED:
        name = name.removesuffix(extension)
    return name.endswith(EXTENSIONS)


def read(
    connection: duckdb.DuckDBPyConnection, path: str | Path, scratch: Path, *, tolerant: bool = False
) -> duckdb.DuckDBPyRelation:
    """A table of text as a relation of texts; empty cells and \\N are null.

    Args:
        connection: that reads it.
        path: of the table: with a header, separated by commas, semicolons, tabs or bars; or what pg_dump writes.
        scratch: folder for a copy of what DuckDB cannot read itself; it has to outlive the relation.
        tolerant: lines that have not the fields of the header go to DuckDB's table reject_errors.

    Raises:
        SourceError: it is not there or cannot be read.
        InvalidInputError: it is an archive of several tables, or has no header.
    """
    if not Path(path).is_file():
        raise SourceError(f"there is no file {path}; check the path")
    with _translated(path), opened(path) as stream:
        form = _form(str(path), stream.read(_SAMPLE))
    plain = form.encoding in ("utf-8", "utf-8-sig") and not form.copied and not form.damaged
    direct = plain and _is_plain_or_gzip(path)
    with _translated(path):
        file = str(path) if direct else str(_rewritten(path, form, scratch))
        rejects = {"ignore_errors": True, "store_rejects": True, "rejects_limit": 0} if tolerant else {}
        relation = connection.read_csv(
            file,
            header=True,
            all_varchar=True,
            delimiter="\t" if form.copied else form.delimiter,
            quotechar='"',
            escapechar='"',
            na_values=["", "\\N"],
            compression="gzip" if direct and _is_gzip(path) else "none",
            **rejects,  # type: ignore[arg-type]
        )
    return _trimmed(relation) if form.delimiter == "|" else relation


def _trimmed(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """Without the blanks by which psql aligns columns."""
    names = [name.replace('"', '""') for name in relation.columns]
    return relation.project(", ".join(f"""nullif(trim("{name}"), '') as "{name}\"""" for name in names))


@contextmanager
def opened(path: str | Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked where it is compressed or a zip archive of one file.

    Raises:
        InvalidInputError: an archive of several files, or of none.
    """
    with Path(path).open("rb") as file:
        begin = file.read(6)
    kind = next((kind for kind, mark in _COMPRESSED.items() if begin.startswith(mark)), None)
    if kind:
        with archives.inflated(path, kind) as stream:
            yield stream
    elif begin[:4] == b"PK\x03\x04":
        with archives.opened(path) as archive, archives.stream(path, archive, _only(path, archive)) as stream:
            yield stream
    else:
        with Path(path).open("rb") as stream:
            yield stream


def _only(path: str | Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = archives.files_of(archive)
    if len(members) != 1:
        names = some(member.filename for member in members) or "nothing"
        raise InvalidInputError(f"{path} holds {names}; give an archive of one table, or the table")
    return members[0]


def _is_gzip(path: str | Path) -> bool:
    with Path(path).open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _is_plain_or_gzip(path: str | Path) -> bool:
    with Path(path).open("rb") as file:
        begin = file.read(6)
    return begin[:3] != b"BZh" and begin != b"\xfd7zXZ\x00" and begin[:4] != b"PK\x03\x04"


def _decoded(path: str, sample: bytes) -> tuple[str, str]:
    """The encoding of a text by its first bytes, and that part of it decoded.

    UTF-8, UTF-16 and UTF-32 by their byte order marks; UTF-8 where the bytes are, but for a few damaged texts; else it
    is guessed as that of a file of parcels. What was guessed or is damaged is said.
    """
    marked = next((encoding for mark, encoding in _MARKS if sample.startswith(mark)), None)
    if marked:
        return marked, codecs.getincrementaldecoder(marked)().decode(sample)
    try:
        return "utf-8", codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError as error:
        decision = charsets.decide(set(textfiles.texts_of(sample)), advice="write it in UTF-8")
        damaged = f"texts are damaged, the first at byte {error.start}, and are read with \ufffd"
        log.warning("%s: %s", path, decision.note or damaged)
        return decision.codec, sample.decode(decision.codec, "replace")


def _form(path: str, sample: bytes) -> Form:
    encoding, text = _decoded(path, sample)
    damaged = encoding == charsets.UTF_8 and not textfiles.is_utf8([sample])
    if block := _COPY.search(text):
        columns = tuple(name.strip().strip('"') for name in block["columns"].split(","))
        return Form(encoding, "\t", columns, copied=True, damaged=damaged)
    header = next((line for line in io.StringIO(text) if line.strip()), "")
    if not header.strip():
        raise InvalidInputError(f"{path} is empty; give a table with a header")
    delimiter = textfiles.delimiter_of(header)
    columns = tuple(name.strip() for name in next(csv.reader([header], delimiter=delimiter)))
    numbers = [name for name in columns if re.fullmatch(r"-?\d+([.,]\d+)?|\\N", name)]
    if len(numbers) > len(columns) / 2:
        raise InvalidInputError(
            f"{path} has no header: its first line holds {some(numbers, 3)}; write it with the names of its columns"
        )
    return Form(encoding, delimiter, columns, damaged=damaged)


def _rewritten(path: str | Path, form: Form, scratch: Path) -> Path:
    """A copy of a table in UTF-8, without what is not part of it."""
    target = scratch / f"{len([*scratch.glob('table-*')])}".join(("table-", ".csv"))
    with opened(path) as stream, target.open("w", encoding="utf-8", newline="") as file:
        errors = "replace" if form.damaged else "strict"
        lines = io.TextIOWrapper(stream, form.encoding, errors, newline="" if not form.copied else "\n")
        if form.copied:
            writer = csv.writer(file, delimiter="\t", lineterminator="\n")
            writer.writerow(form.columns)
            writer.writerows(_of_copy(lines))
        else:
            shutil.copyfileobj(lines, file, 1 << 20)
    return target


def _of_copy(lines: Iterator[str] | io.TextIOWrapper) -> Iterator[Sequence[str]]:
    """The rows of the first COPY block, unescaped."""
    inside = False
    for line in lines:
        if not inside:
            inside = bool(_COPY.match(line))
        elif line.rstrip("\r\n") == "\\.":
            return
        else:
            yield [_unescaped(cell) for cell in line.rstrip("\r\n").split("\t")]


def _unescaped(cell: str) -> str:
    if "\\" not in cell or cell == "\\N":
        return "" if cell == "\\N" else cell
    return re.sub(r"\\(.)", lambda match: _ESCAPED.get(match[1], match[1]), cell)


@contextmanager
def _translated(path: str | Path) -> Iterator[None]:
    """Turn what the reading libraries raise into one line that names the user's file."""
    try:
        yield
    except (OSError, EOFError, UnicodeError, csv.Error, zipfile.BadZipFile, lzma.LZMAError, duckdb.Error) as error:
        reason = re.sub(r"\S*table-\d+\.csv", str(path), " ".join(str(error).split()))[:300]
        raise SourceError(f"{path} cannot be read ({reason}); give a CSV with header, or Parquet") from error


def column_name(name: str) -> str:
    """A column's name as it is compared: in small letters, without quotes, blanks, or a schema and table before it."""
    return name.strip().strip('"').strip().lower().rpartition(".")[2]
