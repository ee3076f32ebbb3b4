"""Tables: a DataFrame of numbers, how each column is shown, and writers for HTML, Markdown and CSV.

The numbers stay in `Table.frame`, so that text, table and file cannot disagree; a `Column` only
says how to show them. Which tables a report has is decided in `bench.report`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import markupsafe
import pandas as pd

NONE = "–"  # an unknown number  # noqa: RUF001
MINUS = "\N{MINUS SIGN}"
SHORT = 24  # letters; a shorter cell is kept on one line
Row = Mapping[Hashable, Any]


@dataclass(frozen=True)
class Cell:
    """A cell as it is read: `text`, and in small letters beneath it `detail`.

    On a page it can hold a fold-out: `fold` is the title and the lines to be copied from it.
    """

    text: str
    detail: str = ""
    fold: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """A column: its title, how a row of the frame becomes a cell, and to which side it is set.

    `value` is the number that a row is sorted by; without it the cell's text is.
    """

    title: str
    show: Callable[[Row], Cell]
    align: Literal["left", "right"] = "left"
    value: Callable[[Row], float] | None = None


@dataclass(frozen=True)
class Table:
    """Numbers and how they are shown; the first column names the rows (a label if `labelled`)."""

    frame: pd.DataFrame
    columns: tuple[Column, ...]
    labelled: bool = False

    @property
    def rows(self) -> list[Row]:
        """The frame, row by row."""
        return list(self.frame.to_dict("records"))

    @property
    def cells(self) -> list[list[Cell]]:
        """What is shown, row by row."""
        return [[column.show(row) for column in self.columns] for row in self.rows]


# Numbers as they are read.


def number(value: float, digits: int = 3) -> str:
    """`digits` significant digits, thousands set apart: 2,102; 24.1; 0.0653."""
    if not math.isfinite(value):
        return NONE
    size = abs(value)
    if value != 0 and (size < 1e-4 or size >= 1e9):
        return f"{value:.{digits - 1}e}".replace("-", MINUS)
    magnitude = math.floor(math.log10(size)) if value != 0 else 0
    return f"{value:,.{max(0, digits - 1 - magnitude)}f}".replace("-", MINUS)


def correlation(value: float) -> str:
    """A correlation with its sign and two decimals: +0.93."""
    if not math.isfinite(value):
        return NONE
    if value == 0:
        return "0.00"
    # On which side of zero a bound lies must not be rounded away.
    decimals = 2 if abs(value) >= 0.005 else min(6, math.ceil(-math.log10(abs(value))))
    return f"{value:+.{decimals}f}".replace("-", MINUS)


def probability(value: float) -> str:
    """A p value to three decimals, two where it is above .1."""
    if not math.isfinite(value):
        return NONE
    if value < 0.001:
        return "< 0.001"
    return f"{value:.2f}" if value > 0.1 else f"{value:.3f}"


def p_value(value: float) -> str:
    """A p value in a sentence: `p = 0.012`, or `p < 0.001`."""
    said = probability(value)
    return f"p {said}" if said.startswith("<") else f"p = {said}"


def percent(value: float) -> str:
    """A share as whole percent."""
    return f"{value:.0%}".replace("%", "\N{NO-BREAK SPACE}%") if math.isfinite(value) else NONE


def span(low: float, high: float, show: Callable[[float], str] = number) -> str:
    """An interval in words: `21.0 to 27.2`; empty where a bound is unknown."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"{show(low)} to {show(high)}"


# Columns.


def text_column(title: str, key: str, detail: str | None = None) -> Column:
    """A column of words."""
    return Column(title, lambda row: Cell(str(row[key]), str(row[detail]) if detail else ""))


def number_column(title: str, key: str, show: Callable[[float], str] = number) -> Column:
    """A column of numbers, set to the right."""

    def value(row: Row) -> float:
        return float(row[key])

    return Column(title, lambda row: Cell(show(value(row))), "right", value)


def interval_column(title: str, key: str, show: Callable[[float], str] = number) -> Column:
    """A mean (column `key`) with its interval (`key`_low to `key`_high) beneath."""

    def cell(row: Row) -> Cell:
        return Cell(show(row[key]), span(row[f"{key}_low"], row[f"{key}_high"], show))

    return Column(title, cell, "right", lambda row: float(row[key]))


# Writers.


def to_html(
    table: Table,
    name: str,
    colours: Mapping[str, tuple[str, str]] | None = None,
    identity: str | None = None,
) -> str:
    """The table as HTML, everything in it escaped, with the numbers themselves to sort by.

    Args:
        table: what to write.
        name: what a screen reader calls it.
        colours: for labels, the (light, dark) colours of the dot before them.
        identity: its id on the page.
    """
    head = "".join(
        f'<th scope="col" class="{column.align}">{escape(column.title)}</th>\n'
        for column in table.columns
    )
    body = "".join(f"<tr>\n{_row_html(table, row, colours or {})}</tr>\n" for row in table.rows)
    place = f' id="{escape(identity)}"' if identity else ""
    fields = ' class="fields"' if len(table.columns) == 2 else ""
    return (
        f'<div class="table"{place} tabindex="0" role="region" aria-label="{escape(name)}">\n'
        f"<table{fields}>\n<thead><tr>\n{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>"
    )


def _row_html(table: Table, row: Row, colours: Mapping[str, tuple[str, str]]) -> str:
    cells = []
    for place, column in enumerate(table.columns):
        cell = column.show(row)
        short = "short" if len(cell.text) < SHORT else ""
        inside = escape(cell.text) + _beneath(cell)
        if place == 0:
            dot = _dot(cell.text, colours) if table.labelled else ""
            classes = f' class="{short}"' if short else ""
            cells.append(f'<th scope="row"{classes}>{dot}{inside}</th>\n')
            continue
        value = f' data-value="{_sortable(column.value(row))}"' if column.value else ""
        classes = f"{column.align} {short}".strip()
        cells.append(f'<td class="{classes}"{value}>{inside}</td>\n')
    return "".join(cells)


def _beneath(cell: Cell) -> str:
    detail = f'<span class="detail">{escape(cell.detail)}</span>' if cell.detail else ""
    return detail + fold_html(*cell.fold) if cell.fold else detail


def fold_html(title: str, *lines: str) -> str:
    """A fold-out with lines to be copied, such as commands."""
    inside = "".join(f"<code>{escape(line)}</code>" for line in lines)
    return f'<details class="copied"><summary>{escape(title)}</summary>{inside}</details>'


def _dot(label: str, colours: Mapping[str, tuple[str, str]]) -> str:
    if label not in colours:
        return ""
    light, dark = colours[label]
    return f'<i class="dot" style="--light:{light};--dark:{dark}"></i>'


def _sortable(value: float) -> str:
    """A number as scripts read it; empty where it is unknown."""
    number = float(value)
    if math.isnan(number):
        return ""
    return repr(number).replace("inf", "Infinity")


def to_csv(table: Table) -> str:
    """The numbers that the table was made from, in full, unknown ones empty."""
    return table.frame.to_csv(index=False, lineterminator="\n")


def to_markdown(table: Table) -> str:
    """The table in GitHub's Markdown, everything in it escaped; details in brackets."""
    head = [escape_markdown(column.title) for column in table.columns]
    rules = ["---:" if column.align == "right" else "---" for column in table.columns]
    body = [
        [escape_markdown(cell.text + (f" ({cell.detail})" if cell.detail else "")) for cell in row]
        for row in table.cells
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rules, *body))


def escape(text: str) -> str:
    """Text that HTML shows as it stands, in quoted attributes too."""
    return str(markupsafe.escape(text))


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it stands; neither HTML nor markup in it takes effect."""
    flat = (
        re.sub(r"[ \t\r\n\f\v]+", " ", text)
        .strip()
        .replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
    )
    marked = re.sub(r"([\\`*\[\]|~#!])", r"\\\1", flat)
    # An underscore inside a word is no markup, and wgan_gp reads better without a backslash.
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", marked)
