"""Tables: a DataFrame of numbers, how each column is shown, and writers for HTML and Markdown.

The numbers stay in `Table.frame`, so that text, table and file cannot disagree; a `Column` only
says how to show them. Which tables a report has is decided in `bench.report`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from jinja2 import Environment

NONE = "–"  # an unknown number  # noqa: RUF001
MINUS = "\N{MINUS SIGN}"
Row = Mapping[Hashable, Any]


@dataclass(frozen=True)
class Cell:
    """A cell as it is read: `text`, and in small letters beneath it `detail`."""

    text: str
    detail: str = ""


@dataclass(frozen=True)
class Column:
    """A column: its title, how a row of the frame becomes a cell, and to which side it is set."""

    title: str
    show: Callable[[Row], Cell]
    align: Literal["left", "right"] = "left"


@dataclass(frozen=True)
class Table:
    """Numbers and how they are shown; the first column names the rows (a label if `labelled`)."""

    frame: pd.DataFrame
    columns: tuple[Column, ...]
    labelled: bool = False

    @property
    def cells(self) -> list[list[Cell]]:
        """What is shown, row by row."""
        rows = self.frame.to_dict("records")
        return [[column.show(row) for column in self.columns] for row in rows]


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
    return Column(title, lambda row: Cell(show(float(row[key]))), "right")


def interval_column(title: str, key: str, show: Callable[[float], str] = number) -> Column:
    """A mean (column `key`) with its interval (`key`_low to `key`_high) beneath."""

    def cell(row: Row) -> Cell:
        return Cell(show(row[key]), span(row[f"{key}_low"], row[f"{key}_high"], show))

    return Column(title, cell, "right")


# Writers.

_HTML = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    """\
{% macro small(cell) %}
{% if cell.detail %}<span class="detail">{{ cell.detail }}</span>{% endif %}
{% endmacro %}
<div class="table" tabindex="0" role="region" aria-label="{{ name }}">
<table{% if table.columns | length == 2 %} class="fields"{% endif %}>
<thead><tr>
{% for column in table.columns %}
<th scope="col" class="{{ column.align }}">{{ column.title }}</th>
{% endfor %}
</tr></thead>
<tbody>
{% for row in table.cells %}
<tr>
{% for cell in row %}
{% if loop.first %}
<th scope="row"{% if cell.text | length < 24 %} class="short"{% endif %}>
{%- if table.labelled and cell.text in colours %}
<i class="dot" style="--light:{{ colours[cell.text][0] }};--dark:{{ colours[cell.text][1] }}"></i>
{%- endif %}
{{ cell.text }}{{ small(cell) }}</th>
{% else %}
{% set short = " short" if cell.text | length < 24 else "" %}
<td class="{{ table.columns[loop.index0].align }}{{ short }}">{{ cell.text }}{{ small(cell) }}</td>
{% endif %}
{% endfor %}
</tr>
{% endfor %}
</tbody></table></div>"""
)


def to_html(table: Table, name: str, colours: Mapping[str, tuple[str, str]] | None = None) -> str:
    """The table as HTML, everything in it escaped.

    Args:
        table: what to write.
        name: what a screen reader calls it.
        colours: for labels, the (light, dark) colours of the dot before them.
    """
    return _HTML.render(table=table, name=name, colours=colours or {})


def to_markdown(table: Table) -> str:
    """The table in GitHub's Markdown, everything in it escaped; details in brackets."""
    head = [escape_markdown(column.title) for column in table.columns]
    rules = ["---:" if column.align == "right" else "---" for column in table.columns]
    body = [
        [escape_markdown(cell.text + (f" ({cell.detail})" if cell.detail else "")) for cell in row]
        for row in table.cells
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rules, *body))


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
