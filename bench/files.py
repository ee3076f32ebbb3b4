"""Files that survive a crash: atomic writes, and JSON lines whose torn end is recognised.

JSON holds no NaN: a number that is not finite is written as null, and its name stands in the row's
`nonfinite` list.
"""

from __future__ import annotations

import json
import math
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wgan.disk import sync_folder

Row = dict[str, Any]

_FIGURES = frozenset((int, float, bool, type(None)))  # what JSON makes of a figure


class FileError(ValueError):
    """A file whose content is not what it should be; says which file and what is wrong."""


def write_bytes(path: Path, content: bytes | memoryview, *, sync: bool = True) -> None:
    """Write `path` all or nothing: a temporary file beside it, synced, then renamed over it.

    Without `sync` a crash of the machine, not one of the process, may lose it.

    Raises:
        OSError: an older file at `path` is then untouched.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        temporary.replace(path)
        if sync:
            sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any], *, sync: bool = True) -> None:
    """Write an object as JSON, all or nothing; numbers in it must be finite."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(path, (text + "\n").encode(), sync=sync)


def read_json(path: Path | str) -> dict[str, Any]:
    """The object that `path` holds.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: it cannot be read, or holds no JSON object.
    """
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - ten thousand are read in a row
            content = json.loads(file.read())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError:
        kind = "is empty" if Path(path).stat().st_size == 0 else "is torn or holds no JSON"
        raise FileError(f"{path} {kind}") from None
    if not isinstance(content, dict):
        raise FileError(f"{path} holds no JSON object")
    return content


def finite_row(row: Mapping[str, Any]) -> Row:
    """The row as JSON can hold it: numbers that are not finite are null, named in `nonfinite`.

    A list is named where any number in it, at any depth, was not finite.
    """
    bad = [name for name, value in row.items() if not _finite(value)]
    if not bad:
        return dict(row)
    return {**row, **{name: _nulled(row[name]) for name in bad}, "nonfinite": bad}


def _finite(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _nulled(value: object) -> object:
    if isinstance(value, list):
        return [_nulled(part) for part in value]
    return value if _finite(value) else None


class RowFile:
    """A file of JSON lines that one process appends to.

    Opening it cuts it to `size` bytes: what a checkpoint says was recorded, or nothing.

    Raises:
        FileError: the file holds fewer than `size` bytes, so that recorded rows are lost.
    """

    def __init__(self, path: Path, size: int = 0) -> None:
        self.path = path
        held = path.stat().st_size if path.exists() else 0
        if held < size:
            raise FileError(f"{path} holds {held} of {size} recorded bytes")
        self._file = path.open("ab")
        self._synced = held <= size
        if held > size:
            self._file.truncate(size)

    @property
    def size(self) -> int:
        """Bytes written, flushed or not."""
        return self._file.tell()

    def append(self, rows: list[Row]) -> None:
        """Add rows and hand them to the system: a killed process loses none of them."""
        lines = [json.dumps(finite_row(row), allow_nan=False) + "\n" for row in rows]
        self._synced = self._synced and not lines
        self._file.write("".join(lines).encode())
        self._file.flush()

    def sync(self) -> None:
        """Wait until the rows are on the disk: a crashed machine loses none of them either."""
        if not self._synced:
            os.fsync(self._file.fileno())
            self._synced = True

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def damaged_line(path: Path, size: int) -> str | None:
    """Which line of the first `size` bytes is no JSON object, or None where all are."""
    with path.open("rb") as file:
        *lines, unfinished = file.read(size).split(b"\n")
    for number, line in enumerate([*lines, *([unfinished] if unfinished else [])], start=1):
        try:
            damaged = line is unfinished or not isinstance(json.loads(line), dict)
        except ValueError:
            damaged = True
        if damaged:
            return f"line {number} is torn or damaged"
    return None


def read_rows(path: Path) -> tuple[list[Row], str | None]:
    """The rows of a file of JSON lines, and a note where a line was dropped; no file has no rows.

    A writer that is killed leaves at most its last line torn; any line that is no JSON object
    of numbers with a step is dropped and counted.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return [], None
    except OSError as error:
        return [], f"{path.name} cannot be read: {error.strerror}"
    unfinished = lines.pop()
    rows, bad = [], 0
    for line in lines:
        row = _parse(line)
        if row is None:
            bad += 1
        else:
            rows.append(row)
    notes = [f"{bad} unreadable line(s) dropped"] if bad else []
    if unfinished:
        notes.append("its torn last line dropped")
    return rows, f"{path.name}: {', '.join(notes)}" if notes else None


def read_profiles(path: Path) -> tuple[dict[str, Row], str | None]:
    """The last whole profile of each name, and a note where lines were dropped."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return {}, None
    except OSError as error:
        return {}, f"{path.name} cannot be read: {error.strerror}"
    found, bad = {}, 0
    for line in filter(None, lines):
        try:
            row = json.loads(line)
            found[str(row["profile"])] = row
        except (ValueError, KeyError, TypeError):
            bad += 1
    return found, f"{path.name}: {bad} unreadable line(s) dropped" if bad else None


def last_row(path: Path, reach: int = 4096) -> Row | None:
    """The last whole row of a file of JSON lines, reading no more than its last `reach` bytes."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - reach))
            lines = file.read().split(b"\n")[:-1]
    except OSError:
        return None
    return next((row for line in reversed(lines) if (row := _parse(line)) is not None), None)


def _parse(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and _is_row(row) else None


def _is_row(row: dict[str, Any]) -> bool:
    """Whether a row has a step and holds numbers; only `nonfinite` is a list of names."""
    if not isinstance(row.get("step"), int):
        return False
    return _FIGURES.issuperset(map(type, row.values())) or all(
        type(value) in _FIGURES or name == "nonfinite" for name, value in row.items()
    )
