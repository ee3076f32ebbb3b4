"""What is asked of a log: which columns, which end of each is good, what to do about duplicates."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.files import FileError

LOW, HIGH = "low", "high"
REFUSE = "refuse"
MOST_NAMED = 30  # column names in a message


class LogError(FileError):
    """A log that cannot be analysed; the text says which file, what is wrong and what to do."""


@dataclass(frozen=True)
class Question:
    """What `correlate` was asked.

    Attributes:
        step, loss, quality: the names of these columns, nested JSON keys joined by full stops.
        group: the column that tells runs (seeds) apart; None: each file is one run.
        setting: the column that tells settings apart, each of which gets its own verdict.
        good_loss, good_quality: which end of the column means good samples, "low" or "high".
        duplicates: of several values at one step of one run: "first", "last", "mean", or "refuse".
        within: the latest loss at most so many steps before a score serves; 0: the same step.
        floor: quality of real data against real data, by which our own tables know dead stretches.
    """

    step: str
    loss: str
    quality: str
    group: str | None = None
    setting: str | None = None
    good_loss: str = LOW
    good_quality: str = LOW
    duplicates: str = REFUSE
    within: float = 0.0
    floor: float | None = None

    def __post_init__(self) -> None:
        if len(set(self.numeric)) < len(self.numeric):
            raise LogError(
                f"--step, --loss and --quality name three columns, here {', '.join(self.numeric)}"
            )

    @property
    def numeric(self) -> tuple[str, str, str]:
        """The columns that must hold numbers."""
        return self.step, self.loss, self.quality

    @property
    def named(self) -> tuple[str, ...]:
        """All columns that are asked for."""
        return (*self.numeric, *(name for name in (self.group, self.setting) if name))


def check_columns(question: Question, place: str, columns: Sequence[str]) -> None:
    """Refuse a log that lacks a column.

    Raises:
        LogError: names the nearest columns and those that there are.
    """
    missing = [name for name in question.named if name not in columns]
    if not missing:
        return
    hints = []
    for name in missing:
        near = nearest(name, columns)
        hints.append(f"{name!r}" + (f" (did you mean {near!r}?)" if near else ""))
    word = "column" if len(missing) == 1 else "columns"
    text = f"{place}: no {word} {' or '.join(hints)}; there are: {spelled(columns)}"
    if {"Wall time", "Step", "Value"} <= set(columns):
        text += (
            ". This is TensorBoard's export of a single curve: put the loss and the quality "
            "measure into one file, a column each beside Step"
        )
    raise LogError(text)


def nearest(name: str, columns: Iterable[str]) -> str | None:
    """The column whose name is most like this one, capitals aside; None where none is."""
    by_lower: dict[str, str] = {}
    for column in columns:
        by_lower.setdefault(column.lower(), column)
        # `fid` is meant where the log has `metrics.fid` or `eval/fid`.
        last = column.lower().replace("/", ".").split(".")[-1].strip()
        by_lower.setdefault(last, column)
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def printable(text: str) -> str:
    """The text without control characters, which a terminal would obey."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def spelled(columns: Sequence[str]) -> str:
    """The names in quotation marks where they have spaces or commas, the first thirty."""
    shown = [
        f"'{name}'" if any(mark in name for mark in " ,") or not name else name
        for name in map(printable, columns[:MOST_NAMED])
    ]
    more = len(columns) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
