"""Printing: tables for people, JSON for programs. Imports nothing heavy."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import click

_COLOURS = {
    "done": "green",
    "ok": "green",
    "keep": "green",
    "running": "cyan",
    "queued": "cyan",
    "run": "cyan",
    "resume": "cyan",
    "interrupted": "yellow",
    "warn": "yellow",
    "cancelled": "yellow",
    "diverged": "magenta",
    "failed": "red",
    "fail": "red",
    "refuse": "red",
}

_LONG = 1000  # rows; colours take 0.4 ms each


def say(text: str) -> None:
    """A line on standard output."""
    click.echo(text)


def note(text: str) -> None:
    """A line beside the answer: on standard error."""
    click.echo(text, err=True)


def show_json(content: Any) -> None:
    """An object on standard output; numbers in it must be finite."""
    click.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, plain: bool) -> None:
    """A table: with colours on a terminal unless `plain` or long, otherwise in aligned columns."""
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if plain or len(rows) > _LONG or not sys.stdout.isatty():
        _show_plain(columns, texts)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if _is_numeric(texts, index) else "left")
    for row in texts:
        table.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in row))
    Console().print(table)


def styled(word: str, *, plain: bool) -> str:
    """A state's word in its colour; click leaves the colour out off a terminal."""
    return word if plain else click.style(word, fg=_COLOURS.get(word.strip()))


def tally(words: Iterable[str], order: Sequence[str] = ()) -> str:
    """`3 done, 1 failed`: how often each word occurs, in the given order, then as met."""
    counts = Counter(words)
    ranked = [*(word for word in order if word in counts), *(w for w in counts if w not in order)]
    return ", ".join(f"{counts[word]:,} {word}" for word in ranked)


def runs(count: int) -> str:
    """`1 run`, `2 runs`."""
    return f"{count:,} run" if count == 1 else f"{count:,} runs"


def _show_plain(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = [columns, *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    rightwards = [_is_numeric(rows, index) for index in range(len(columns))]
    for line in lines:
        cells = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, rightwards, strict=True)
        )
        click.echo("  ".join(cells).rstrip())


def _is_numeric(rows: Sequence[Sequence[str]], index: int) -> bool:
    cells = [row[index] for row in rows if row[index]]
    return (
        bool(cells)
        and all(cell.replace(",", "")[:1].isdigit() for cell in cells)
        and all(set(cell) <= set("0123456789.,%/ -") for cell in cells)
    )
