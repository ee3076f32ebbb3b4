"""Printing: tables for people, JSON for programs. Imports nothing heavy."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import JustifyMethod
    from rich.table import Table

_GAP = 3  # characters between two columns on a terminal
_LEAST = 12  # characters to which a first column may be cut
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


@dataclass(frozen=True)
class Grid:
    """A table to be shown: a heading per column, and rows whose cells may be None.

    Attributes:
        spare: headings of columns that a narrow terminal does without, the first of them first.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    spare: Sequence[str] = ()

    def width(self) -> int:
        """The characters that a terminal needs to show it unbroken."""
        return sum(self._widths()) + _GAP * (len(self.columns) - 1) + 2

    def fitted(self, width: int) -> Grid:
        """The table as far as it fits: without spare columns, then with its first column cut."""
        grid = self
        for name in (name for name in self.spare if name in self.columns):
            if grid.width() <= width:
                return grid
            grid = grid._without(grid.columns.index(name))
        longest = max(_LEAST, grid._widths()[0] - max(0, grid.width() - width))
        rows = [(_cut(row[0], longest), *row[1:]) for row in _texts(grid.rows)]
        return Grid(grid.columns, rows)

    def _widths(self) -> list[int]:
        lines = _texts([self.columns, *self.rows])
        return [max(map(len, column)) for column in zip(*lines, strict=True)]

    def _without(self, index: int) -> Grid:
        kept = [at for at in range(len(self.columns)) if at != index]
        rows = [[row[at] for at in kept] for row in self.rows]
        return Grid([self.columns[at] for at in kept], rows)


Block = Grid | str  # a table, or a line


def say(text: str) -> None:
    """A line on standard output."""
    click.echo(text)


def note(text: str) -> None:
    """A line beside the answer: on standard error."""
    click.echo(text, err=True)


def show_json(content: Any) -> None:
    """An object on standard output; numbers in it must be finite."""
    click.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))


def room(*, plain: bool = False) -> int:
    """The width of the terminal; off one, and for plain text, there is always enough."""
    bounded = sys.stdout.isatty() and not plain
    return shutil.get_terminal_size().columns if bounded else sys.maxsize


def show_blocks(blocks: Iterable[Block], *, plain: bool) -> None:
    """Tables and lines, an empty line after each table."""
    for block in blocks:
        if isinstance(block, str):
            say(block)
            continue
        fitting = block.fitted(room(plain=plain))
        show_table(fitting.columns, fitting.rows, plain=plain)
        if plain or not sys.stdout.isatty():  # the other kind ends with one by itself
            say("")


def show_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, plain: bool) -> None:
    """A table: with colours on a terminal unless `plain` or long, otherwise in aligned columns."""
    if plain or len(rows) > _LONG or not sys.stdout.isatty():
        _show_plain(columns, _texts(rows))
        return
    from rich.console import Console

    Console().print(rich_table(columns, rows))


def rich_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """A table for a terminal, words and headings that name a state in its colour."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    texts = _texts(rows)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        side: JustifyMethod = "right" if _is_numeric(texts, index) else "left"
        table.add_column(Text(column, style=_COLOURS.get(column, "")), justify=side)
    for row in texts:
        table.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in row))
    return table


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


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}\u2026"


def _texts(rows: Sequence[Sequence[Any]]) -> list[list[str]]:
    return [["" if cell is None else str(cell) for cell in row] for row in rows]


def size(count: float) -> str:
    """A number of bytes as a person says it: `0 B`, `1.2 MB`, `340 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.5 else f"{count:.2g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


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
