"""A log file as columns, whatever kind of file it is: told by its content, never executed.

CSV and its kin, JSON lines, and Parquet, the first two also gzipped. What is no log is refused in
words: pickles, checkpoints and workbooks are not opened.
"""

from __future__ import annotations

import difflib
import gzip
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.ownlog.json_text import read_records
from bench.ownlog.own_tables import OwnTable, own_table
from bench.ownlog.question import LogError, Question, check_columns, printable
from bench.ownlog.text import read_delimited

Vector = npt.NDArray[np.float64]

MISSING = ("", "nan", "na", "n/a", "null", "none", "-", "--")
_NOT_LOGS = {
    b"PK\x03\x04": "a zip file: a workbook or a checkpoint, perhaps; export a CSV",
    b"\x80\x02": "a pickle, which is never opened here; export a CSV",
    b"\x80\x03": "a pickle, which is never opened here; export a CSV",
    b"\x80\x04": "a pickle, which is never opened here; export a CSV",
    b"\x80\x05": "a pickle, which is never opened here; export a CSV",
    b"\x89PNG": "a picture",
    b"\x93NUMPY": "a NumPy array, which has no names of columns; export a CSV",
    b"\x89HDF": "an HDF5 file; export a CSV",
    b"SQLite": "a database; export a CSV",
}


@dataclass(frozen=True)
class Log:
    """What a file holds of what is asked.

    Attributes:
        place: the file as the user named it.
        step, loss, quality: numbers, a value per row, NaN where a row has none.
        group, setting: words per row, None where the file is not divided by them.
        rows: how many rows the file has.
        notes: sentences about how it was read.
        own: what is known beside it where the file is our own `curves.parquet`.
    """

    place: str
    step: Vector
    loss: Vector
    quality: Vector
    group: pd.Series | None
    setting: pd.Series | None
    rows: int
    notes: tuple[str, ...] = ()
    own: OwnTable | None = field(default=None, repr=False)


def read(path: Path, question: Question) -> Log:
    """The log at `path`.

    Raises:
        LogError: no file, no log, a missing column, a column that holds other things than numbers.
    """
    place = str(path)
    content = _content(path)
    if content[:4] == b"PAR1":
        frame, own, notes = _read_parquet(content, path, question)
        separator = ""
    else:
        frame, separator, notes = _read_text(content, place, question)
        own = None
    if not len(frame):
        raise LogError(f"{place}: has columns and no rows")
    frame, repeated = _without_headings(frame, question)
    if repeated:
        notes.append(f"{place}: {repeated} repeated heading lines are left out.")
    step, loss, quality = (
        _numbers(frame[name], name, place, notes, decimal_comma=separator not in ("", ","))
        for name in question.numeric
    )
    return Log(
        place=place,
        step=step,
        loss=loss,
        quality=quality,
        group=_words(frame, question.group),
        setting=_words(frame, question.setting),
        rows=len(frame),
        notes=tuple(notes),
        own=own,
    )


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise LogError(f"{path}: no such file{_near(path)}") from None
    except IsADirectoryError:
        raise LogError(f"{path}: is a folder; name the files in it") from None
    except OSError as error:
        raise LogError(f"{path}: cannot be read: {error.strerror or error}") from None
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise LogError(f"{path}: gzipped, and damaged: {error}") from None
    if not content.strip():
        raise LogError(f"{path}: is empty")
    return content


def _near(path: Path) -> str:
    try:
        names = sorted(entry.name for entry in path.parent.iterdir())
    except OSError:
        return f", and no folder {path.parent}"
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.parent / near[0]}?" if near else ""


def _read_parquet(
    content: bytes, path: Path, question: Question
) -> tuple[pd.DataFrame, OwnTable | None, list[str]]:
    place = str(path)
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        own = own_table(path, file, question)
        table = own.table if own else file.read().flatten()
        while any(pa.types.is_struct(field.type) for field in table.schema):
            table = table.flatten()
        check_columns(question, place, table.column_names)
        wanted = list(dict.fromkeys(question.named))
        frame = table.select(wanted).replace_schema_metadata(None).to_pandas()
    except LogError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        raise LogError(f"{place}: a damaged Parquet file: {first}") from None
    return frame, own, list(own.notes) if own else []


def _read_text(
    content: bytes, place: str, question: Question
) -> tuple[pd.DataFrame, str, list[str]]:
    """The table of a text, its separator ("" for JSON), and sentences."""
    content = _utf8(content, place)
    wanted = list(dict.fromkeys(question.named))
    if content.lstrip()[:1] in (b"{", b"["):
        frame, columns, notes = read_records(content, place, wanted)
        separator = ""
    else:
        frame, separator, notes = read_delimited(content, place, wanted)
        columns = list(frame.columns)
    check_columns(question, place, columns)
    return frame, separator, notes


def _utf8(content: bytes, place: str) -> bytes:
    """The text in UTF-8 without a byte order mark."""
    for magic, what in _NOT_LOGS.items():
        if content.startswith(magic):
            raise LogError(f"{place}: is {what}; a log is CSV, JSON lines or Parquet")
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return content.decode("utf-16").encode("utf-8")
        except UnicodeDecodeError:
            raise LogError(f"{place}: begins like UTF-16 and is none") from None
    content = content.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in content[:4096]:
        about = " (TensorBoard's own event file: export a CSV)" if "tfevents" in place else ""
        raise LogError(f"{place}: no text{about}; a log is CSV, JSON lines or Parquet")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise LogError(
            f"{place}: line {line} is no text in UTF-8 (byte 0x{content[error.start]:02x}); a log "
            "is CSV, JSON lines or Parquet"
        ) from None
    return content


def _without_headings(frame: pd.DataFrame, question: Question) -> tuple[pd.DataFrame, int]:
    """The table without lines that only repeat the names: a training that was begun again."""
    heading = np.ones(len(frame), dtype=bool)
    for name in question.numeric:
        if pd.api.types.is_numeric_dtype(frame[name]):
            return frame, 0
        heading &= (frame[name].astype(str).str.strip() == name).to_numpy()
    return frame[~heading], int(heading.sum())


def _numbers(
    values: pd.Series, name: str, place: str, notes: list[str], *, decimal_comma: bool
) -> Vector:
    """The column as floats; what is missing is NaN.

    Raises:
        LogError: names the first row that holds something else, and what.
    """
    if pd.api.types.is_numeric_dtype(values):
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    texts = values.astype(object).where(values.notna(), "")
    try:
        read_off = pd.to_numeric(texts, errors="coerce")
    except OverflowError:  # whole numbers in JSON know no bound
        read_off = pd.to_numeric(texts.map(str), errors="coerce")
    found = read_off.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    unread = np.flatnonzero(np.isnan(found))
    left = pd.Series([str(value).strip() for value in texts.iloc[unread]], dtype=object)
    bad = ~left.str.lower().isin(MISSING) if len(left) else pd.Series([], dtype=bool)
    if decimal_comma and bad.any():
        with_point = left.where(bad, "").str.replace(",", ".", regex=False)
        numbers = pd.to_numeric(with_point, errors="coerce").to_numpy(dtype=np.float64)
        found[unread] = numbers
        bad = bad & np.isnan(numbers)
        if not bad.any():
            notes.append(f"{place}: commas in column {name!r} are read as decimal points.")
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        value, row = left.iloc[first], int(values.index.to_numpy()[unread[first]]) + 1
        shown = value if len(value) <= 40 else f"{value[:37]}..."
        raise LogError(
            f"{place}: column {name!r} holds more than numbers: row {row} below the heading has "
            f"{shown!r}"
            + (f" (and {int(bad.sum()) - 1:,} more rows)" if int(bad.sum()) > 1 else "")
            + "; a value that is missing is empty or nan"
        )
    return found


def _words(frame: pd.DataFrame, name: str | None) -> pd.Series | None:
    """A column that tells rows apart, as words; None where a row has no value."""
    if name is None:
        return None
    values = frame[name]
    if values.dtype == object:  # a JSON list as a name cannot be told apart as it is
        values = values.map(str, na_action="ignore")
    codes, different = pd.factorize(values)  # -1 where there is none
    found = different.tolist()
    floats = [value for value in found if isinstance(value, float)]
    if all(value.is_integer() and abs(value) < 2**53 for value in floats):
        found = [int(value) if isinstance(value, float) else value for value in found]
    words = np.array([*(printable(str(value)).strip() for value in found), None], dtype=object)
    return pd.Series(words[codes], dtype=object)


def check_readable(places: Sequence[Path]) -> None:
    """Refuse one file that is named twice: it would count as two runs.

    Raises:
        LogError: names it.
    """
    seen: set[Path] = set()
    for path in places:
        if path.resolve() in seen:
            raise LogError(f"{path}: is named twice; each file counts once")
        seen.add(path.resolve())
