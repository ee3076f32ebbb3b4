"""The curves of a sweep, gathered column by column while its runs are read.

As rows, each a dict, the curves of 10,000 runs take over a gigabyte; as columns they take 8 bytes a
figure, and no figure is held twice.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.files import Row

_MISSING = {"q": 0, "d": math.nan}


class CurveTable:
    """Takes the rows of one run after another and gives them back as one table.

    Args:
        types: the columns that the table always has, in order: "int64" (0 where a row has none),
            "float64" (NaN where a row has none), or "str" for what is the same in all rows of a
            run.
    """

    def __init__(self, types: Mapping[str, str]) -> None:
        self._types = types
        self._columns: dict[str, array[Any]] = {
            name: array("q" if kind == "int64" else "d")
            for name, kind in types.items()
            if kind != "str"
        }
        self._words: list[Mapping[str, str | None]] = []
        self._counts: list[int] = []
        self._rows = 0

    def add(self, words: Mapping[str, str | None], rows: Sequence[Row]) -> None:
        """Take the rows of a run; `words` are its columns of type "str".

        A name that is not promised becomes a column where some row has a number for it.
        """
        for name in dict.fromkeys(name for row in rows for name in row):
            self._extend(name, [row.get(name) for row in rows])
        self._words.append(words)
        self._counts.append(len(rows))
        self._rows += len(rows)

    def frame(self) -> pd.DataFrame:
        """The table: the promised columns, and behind them the others in the order of names."""
        more = sorted(self._columns.keys() - self._types.keys())
        columns = {
            name: self._word_column(name) if self._types.get(name) == "str" else self._column(name)
            for name in (*self._types, *more)
        }
        return pd.DataFrame(columns, copy=False)

    def _extend(self, name: str, values: Sequence[object]) -> None:
        if name not in self._columns:
            if not any(isinstance(value, int | float) for value in values):
                return
            self._columns[name] = array("d")
        column = self._columns[name]
        self._fill(column)
        column.extend(_wholes(values) if column.typecode == "q" else _numbers(values))

    def _fill(self, column: array[Any]) -> None:
        """Bring a column that earlier runs did not have up to their rows."""
        missing = self._rows - len(column)
        if missing:
            column.extend(array(column.typecode, [_MISSING[column.typecode]]) * missing)

    def _column(self, name: str) -> np.ndarray[Any, Any]:
        column = self._columns[name]
        self._fill(column)
        return np.frombuffer(column, dtype=column.typecode)

    def _word_column(self, name: str) -> pd.Series:
        words = np.array([words[name] for words in self._words], dtype=object)
        return pd.Series(np.repeat(words, self._counts), dtype="str")


def _numbers(values: Iterable[object]) -> array[float]:
    try:
        return array("d", [math.nan if value is None else value for value in values])  # type: ignore[misc]
    except (TypeError, OverflowError):
        return array("d", map(_number, values))


def _number(value: object) -> float:
    """As a float; NaN for what is no number, or one too large for it."""
    try:
        return float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return math.nan


def _wholes(values: Iterable[object]) -> array[int]:
    try:
        return array("q", values)  # type: ignore[arg-type]
    except (TypeError, OverflowError):
        return array("q", [_whole(value) for value in values])


def _whole(value: object) -> int:
    """As a whole number of 64 bits, 0 for what is none."""
    number = _number(value)
    return int(number) if number.is_integer() and abs(number) < 2**63 else 0
