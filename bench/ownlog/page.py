"""The report on a log: one HTML page that needs no other file, and its Markdown twin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from bench.figures import palette
from bench.ownlog.analysis import Analysis
from bench.ownlog.drawing import draw
from bench.ownlog.words import answers, direction_hints, share_sentence, sign_sentence
from bench.report.pictures import Picture, data_uri
from bench.report.sentences import Answer, counted, lead, listed, verdict_rules
from bench.report.sweep_tables import correlations_table, seeds_table
from bench.stats.tracking import LIVE
from bench.tables import Cell, Column, Table, escape_markdown, text_column, to_html, to_markdown

HERE = Path(__file__).parent
_TRIMMED: Any = {
    "trim_blocks": True,
    "lstrip_blocks": True,
    "undefined": jinja2.StrictUndefined,
}


@dataclass(frozen=True)
class LogPage:
    """What the page says, before it is HTML or Markdown."""

    title: str
    summary: str
    lead: str
    answers: tuple[Answer, ...]
    share: str
    sign: str
    pictures: tuple[Picture, ...]
    correlations: Table
    runs: Table
    rules: Sequence[tuple[str, str]]
    notes: tuple[str, ...]
    command: str
    loss: str
    quality: str
    colours: dict[str, tuple[str, str]]


def page(analysis: Analysis, command: str) -> LogPage:
    """What is said of a log."""
    question, trackings = analysis.question, analysis.trackings
    colours = palette(tracking.label for tracking in trackings)
    names = dict(zip(analysis.runs["run_id"], analysis.runs["name"], strict=True))
    correlations, runs = correlations_table(trackings), seeds_table(trackings)
    named = runs.frame.assign(run=[names[run_id] for run_id in runs.frame["run_id"]])
    # Of several settings the table tells it.
    share = share_sentence(trackings[0]) if len(trackings) == 1 else ""
    columns = correlations.columns[1:]
    if not analysis.own:
        runs_column = Column("runs", lambda row: Cell(f"{row[LIVE]}"), "right")
        columns = tuple(runs_column if "dead" in item.title else item for item in columns)
    return LogPage(
        title=f"Does {question.loss} track {question.quality}?",
        summary=f"{listed(analysis.places, 4)}: {counted(len(analysis.runs), 'run')}, "
        f"{counted(len(trackings), 'setting')}, "
        f"{counted(len(analysis.curves), 'evaluation')}.",
        lead=lead(trackings),
        answers=tuple(answers(analysis)),
        share=share,
        sign=sign_sentence(question),
        pictures=draw(analysis, colours),
        correlations=Table(
            correlations.frame,
            (text_column("setting", "label", detail="counting"), *columns),
            labelled=True,
        ),
        runs=Table(
            named,
            (text_column("setting", "label"), text_column("run", "run"), *runs.columns[2:]),
            labelled=True,
        ),
        rules=verdict_rules(),
        notes=(*analysis.notes, *direction_hints(analysis)),
        command=command,
        loss=question.loss,
        quality=question.quality,
        colours=colours,
    )


def render(analysis: Analysis, command: str) -> dict[str, bytes]:
    """The files of the report by name, the same bytes every time.

    Args:
        analysis: what came out.
        command: the command line that makes it again.
    """
    content = page(analysis, command)
    pictures = {picture.name: picture.wide for picture in content.pictures}
    return {
        "report.html": _html(content).encode(),
        "report.md": _markdown(content).encode(),
        **pictures,
    }


def _html(content: LogPage) -> str:
    def table(shown: Table, name: str) -> Markup:
        return Markup(to_html(shown, name, content.colours))  # noqa: S704 - escaped in to_html

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, **_TRIMMED
    )
    style = Markup((HERE.parent / "report" / "style.css").read_text(encoding="utf-8"))  # noqa: S704
    return environment.get_template("page.html").render(
        page=content, style=style, table=table, data_uri=data_uri
    )


class _Ready(str):
    """Text that is Markdown already."""

    __slots__ = ()


def _markdown(content: LogPage) -> str:
    def escaped(value: Any) -> str:
        return value if isinstance(value, _Ready) else escape_markdown(str(value))

    def table(shown: Table) -> str:
        return _Ready(to_markdown(shown))

    environment = jinja2.Environment(  # noqa: S701 - `finalize` escapes, for Markdown
        loader=jinja2.FileSystemLoader(HERE), finalize=escaped, **_TRIMMED
    )
    in_fence = _Ready(" ".join(content.command.replace("`", "").split()))
    return environment.get_template("page.md").render(page=content, table=table, command=in_fence)
