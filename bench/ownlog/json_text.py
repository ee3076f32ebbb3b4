"""JSON lines, or one JSON list of objects, as a table: nested keys joined by full stops."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench.ownlog.question import LogError

Record = dict[str, Any]
_HEAD = 1000  # records that are looked at for their keys; all, where these lack a wanted one


def read_records(
    content: bytes, place: str, wanted: Sequence[str]
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """The wanted columns of JSON text.

    Args:
        content: the file's bytes.
        place: the file as the user named it.
        wanted: keys; `metrics.fid` is the key `fid` of the object `metrics`, unless a key is
            itself so called.

    Returns:
        The table (wanted columns that are there), the names of all columns, and sentences about
        how it was read.

    Raises:
        LogError: a line that is no JSON object; a torn last one is left out.
    """
    records, notes = _records(content, place)
    columns: dict[str, None] = {}
    try:
        for record in records[:_HEAD]:
            _gather(record, columns)
        if not set(wanted) <= columns.keys():
            for record in records[_HEAD:]:
                _gather(record, columns)
    except RecursionError:
        raise LogError(f"{place}: objects within objects, too deep to be a log") from None
    found = {name: [_value(record, name) for record in records] for name in wanted}
    frame = pd.DataFrame(
        {
            name: pd.Series(values, dtype=object)
            for name, values in found.items()
            if name in columns
        },
        index=range(len(records)),
    )
    return frame, list(columns), notes


def _records(content: bytes, place: str) -> tuple[list[Record], list[str]]:
    if content.lstrip()[:1] == b"[":
        return _listed(content, place), []
    lines = content.split(b"\n")
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    records: list[Record] = []
    for number, line in numbered:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            if number == numbered[-1][0] and records:
                return records, [f"{place}: its last line is torn and left out."]
            raise _no_object(content, place, number) from None
        if not isinstance(record, dict):
            raise _no_object(content, place, number)
        records.append(record)
    return records, []


def _listed(content: bytes, place: str) -> list[Record]:
    try:
        records = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise LogError(f"{place}: no whole JSON list: {error}") from None
    if not all(isinstance(record, dict) for record in records):
        raise LogError(f"{place}: a JSON list of other things than objects; one object per row")
    return list(records)


def _no_object(content: bytes, place: str, number: int) -> LogError:
    """What to say of a line that is no object: perhaps all lines together are one."""
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, dict):
        lists = [str(key) for key, value in whole.items() if isinstance(value, list)]
        has = f" (it has the lists {', '.join(lists)})" if lists else ""
        return LogError(
            f"{place}: one JSON object over the whole file{has}; a log has one object per line, or "
            "is a list of them"
        )
    return LogError(f"{place}: line {number} is no JSON object; a log has one per line")


def _gather(record: Record, columns: dict[str, None], prefix: str = "") -> None:
    for key, value in record.items():
        if isinstance(value, dict) and value:
            _gather(value, columns, f"{prefix}{key}.")
        else:
            columns.setdefault(f"{prefix}{key}")


def _value(record: Record, name: str) -> Any:
    if name in record:
        return record[name]
    head, dot, rest = name.partition(".")
    while dot:
        inner = record.get(head)
        if isinstance(inner, dict):
            found = _value(inner, rest)
            if found is not None:
                return found
        more, dot, rest = rest.partition(".")
        head = f"{head}.{more}"
    return None
