"""Delimited text (CSV and its kin) as a table: the separator is found, damage is named by line."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Sequence

import pandas as pd

from bench.ownlog.question import LogError

SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "upright strokes"}
_SPACES = r"\s+"


def read_delimited(
    content: bytes, place: str, wanted: Sequence[str]
) -> tuple[pd.DataFrame, str, list[str]]:
    """The table that a text in UTF-8 holds.

    Args:
        content: the file's bytes, without a byte order mark.
        place: the file as the user named it.
        wanted: the columns that are asked for: the separator that yields them is the right one.

    Returns:
        The table, its separator, and sentences about how it was read.

    Raises:
        LogError: no heading, one column only, or lines that do not fit the heading.
    """
    line, body = _heading_line(content)
    separator, names = _split_heading(line, wanted)
    if all(_is_number(name) for name in names if name.strip()):
        raise LogError(
            f"{place}: the first line holds numbers, not names of columns; add a line of names"
        )
    for name in wanted:
        if names.count(name) > 1:
            raise LogError(f"{place}: has {names.count(name)} columns named {name!r}; rename one")
    kept = _told_apart(names)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            frame = pd.read_csv(
                io.BytesIO(body),
                sep=separator,
                names=kept,
                header=None,
                index_col=False,
                low_memory=False,
                skipinitialspace=True,
            )
        except pd.errors.EmptyDataError:
            frame = pd.DataFrame({name: [] for name in kept})
        except pd.errors.ParserError as error:
            raise LogError(
                f"{place}: cannot be read as a table (below the heading: "
                f"{str(error).strip().removeprefix('Error tokenizing data. C error: ')})"
            ) from None
    if any(issubclass(item.category, pd.errors.ParserWarning) for item in warned):
        raise LogError(
            f"{place}: the lines have more fields than the heading has names ({len(names)}); give "
            "every column a name"
        )
    notes = []
    if separator != ",":
        notes.append(f"{place}: read as separated by {SEPARATORS.get(separator, 'spaces')}.")
    return frame, separator, notes


def _heading_line(content: bytes) -> tuple[str, bytes]:
    """The first line that is not blank, without a leading `#`, and what follows it."""
    rest = content.lstrip(b"\r\n \t")
    ends = [at for at in (rest.find(b"\n"), rest.find(b"\r")) if at >= 0]
    end = min(ends, default=len(rest))
    line = rest[:end].decode("utf-8")
    return (line.lstrip("# ") if line.startswith("#") else line), rest[end:].lstrip(b"\r\n")


def _split_heading(line: str, wanted: Sequence[str]) -> tuple[str, list[str]]:
    """The separator and the names: what yields the wanted columns, else the most."""
    splits = {mark: _split(line, mark) for mark in SEPARATORS} | {_SPACES: line.split()}

    def worth(mark: str) -> tuple[int, bool, int]:
        names = splits[mark]
        # Names may hold spaces, so these separate only where nothing else does.
        return sum(name in names for name in wanted), mark != _SPACES, len(names)

    best = max(splits, key=worth)
    if len(splits[best]) == 1 and len(splits[_SPACES]) > 1:
        best = _SPACES
    return best, splits[best]


def _split(line: str, mark: str) -> list[str]:
    return [name.strip() for name in next(csv.reader([line], delimiter=mark), [])]


def _told_apart(names: Sequence[str]) -> list[str]:
    """The names, repeated and empty ones made different, as a table needs them."""
    seen: dict[str, int] = {}
    kept = []
    for place, name in enumerate(names):
        text = name or f"(column {place + 1})"
        seen[text] = seen.get(text, 0) + 1
        kept.append(text if seen[text] == 1 else f"{text}.{seen[text] - 1}")
    return kept


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
