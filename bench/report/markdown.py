"""The report as Markdown, with its pictures as files in a folder beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from bench.report.content import Page
from bench.report.exhibits import picture_stem
from bench.report.files import FIGURES
from bench.report.pictures import Sample
from bench.tables import Table, escape_markdown, to_markdown

HERE = Path(__file__).parent
MOST_ACROSS = 4  # sample grids in a row


class _Ready(str):
    """Text that is Markdown already."""

    __slots__ = ()


def to_text(page: Page) -> str:
    """The Markdown; everything that comes from records is escaped."""

    def escaped(value: Any) -> str:
        return value if isinstance(value, _Ready) else escape_markdown(str(value))

    environment = jinja2.Environment(  # noqa: S701 - `finalize` escapes, for Markdown
        loader=jinja2.FileSystemLoader(HERE),
        finalize=escaped,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )

    # What a block of the template made is Markdown already, and must not be escaped again.
    environment.filters["lowered"] = _lowered

    def table(content: Table) -> str:
        return _Ready(to_markdown(content))

    return environment.get_template("page.md").render(
        page=page,
        table=table,
        side_by_side=_side_by_side,
        file_name=file_name,
        commands=_Ready("\n".join(map(_in_fence, page.commands))),
    )


def _lowered(text: str, levels: int) -> str:
    """A part of the text whose headings stand so many levels lower than they say."""
    return _Ready(
        re.sub(r"^(?=#{1,5} )", "#" * levels, text, flags=re.MULTILINE).rstrip("\n") + "\n"
    )


def _in_fence(command: str) -> str:
    """A command that cannot end the code block it stands in."""
    return " ".join(command.replace("`", "").split())


def _side_by_side(samples: Sequence[Sample]) -> str:
    """Sample grids in a table of at most four columns, their labels above them."""
    lines = []
    for start in range(0, len(samples), MOST_ACROSS):
        row = samples[start : start + MOST_ACROSS]
        titles = " | ".join(escape_markdown(sample.label) for sample in row)
        shown = " | ".join(
            f"![{escape_markdown(sample.alt)}]({FIGURES}/{sample.name})" for sample in row
        )
        lines += [f"| {titles} |", "| --- " * len(row) + "|", f"| {shown} |", ""]
    return _Ready("\n".join(lines).rstrip())


def file_name(key: str, name: str) -> str:
    """Where a section's picture lies; `key` tells sections apart."""
    return f"{FIGURES}/{picture_stem(key, name)}.svg"
