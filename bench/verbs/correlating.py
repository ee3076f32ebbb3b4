"""`correlate`: loss against quality in a log of one's own training, as the report does it."""

from __future__ import annotations

import dataclasses
import math
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.files import FileError, write_bytes
from bench.ownlog import Analysis, Question, analyse, read
from bench.ownlog.reading import check_readable
from bench.ownlog.words import answers, direction_hints, share_sentence, sign_sentence
from bench.report.sweep_tables import correlations_table, seed_frame
from bench.stats import Interval, SeedTracking
from bench.tables import correlation, percent, probability, span
from bench.verbs.show import Grid, note, room, say, show_blocks, show_json, styled

MOST_SHOWN = 60  # runs in the terminal's table
MOST_ACROSS = 100  # letters in a line of running text


def correlate(
    files: Sequence[Path],
    question: Question,
    out: Path | None,
    *,
    as_json: bool,
    plain: bool,
) -> int:
    """Print the figures, and write a report where a folder is given."""
    check_readable(files)
    analysis = analyse([read(path, question) for path in files], question)
    written = _write(analysis, out, command_line(files, question, out)) if out else []
    if as_json:
        show_json(_as_json(analysis, written))
        return 0
    for text in (*analysis.notes, *direction_hints(analysis)):
        note(f"note: {text}")
    _show(analysis, plain=plain)
    for path in written:
        say(str(path))
    return 0


def command_line(files: Sequence[Path], question: Question, out: Path) -> str:
    """The command that makes the same report again."""
    words = ["wgan-bench", "correlate", *map(str, files)]
    for field in dataclasses.fields(question):
        value = getattr(question, field.name)
        if field.default is dataclasses.MISSING or value != field.default:
            text = f"{value:g}" if isinstance(value, float) else str(value)
            words += [f"--{field.name.replace('_', '-')}", text]
    return shlex.join([*words, "--out", str(out)])


def _show(analysis: Analysis, *, plain: bool) -> None:
    width = min(room(plain=plain), MOST_ACROSS)
    say(textwrap.fill(sign_sentence(analysis.question), width) + "\n")
    show_blocks([_settings(analysis)], plain=plain)
    for tracking, answer in zip(analysis.trackings, answers(analysis), strict=True):
        lines = [answer.sentence, *answer.rest]
        lines += [share] if (share := share_sentence(tracking)) else []
        say(f"{answer.label}: {styled(answer.verdict, plain=plain)}")
        for line in lines:
            say(textwrap.fill(line, width, initial_indent="  ", subsequent_indent="    "))
        say("")
    if len(analysis.runs) > 1:
        show_blocks(_runs(analysis), plain=plain)


def _settings(analysis: Analysis) -> Grid:
    rows = [
        [
            tracking.label,
            len(tracking.seeds),
            tracking.evaluations,
            _shown(tracking.raw),
            _shown(tracking.adjusted),
            probability(tracking.swap_p),
            tracking.verdict.word,
        ]
        for tracking in analysis.trackings
    ]
    return Grid(
        (
            "setting",
            "runs",
            "evaluations",
            "raw (95 %)",
            "beyond time (95 %)",
            "swap p",
            "verdict",
        ),
        rows,
        spare=("evaluations", "swap p"),
    )


def _runs(analysis: Analysis) -> list[Grid | str]:
    names = dict(zip(analysis.runs["run_id"], analysis.runs["name"], strict=True))
    rows = [
        [
            tracking.label,
            names[seed.run_id],
            seed.status,
            seed.evaluations,
            correlation(seed.raw),
            correlation(seed.adjusted),
            percent(seed.step_share).replace("\N{NO-BREAK SPACE}", " "),
            seed.note,
        ]
        for tracking in analysis.trackings
        for seed in tracking.seeds
    ]
    columns = ("setting", "run", "status", "evaluations", "raw", "beyond time", "by step", "note")
    # What says nothing in any row is left out.
    kept = [
        at
        for at, name in enumerate(columns)
        if not (name == "note" and not any(row[at] for row in rows))
        and not (name == "setting" and len(analysis.trackings) == 1)
    ]
    shown = [[row[at] for at in kept] for row in rows[:MOST_SHOWN]]
    blocks: list[Grid | str] = [
        Grid([columns[at] for at in kept], shown, spare=("by step", "status"))
    ]
    if len(rows) > MOST_SHOWN:
        blocks.append(f"and {len(rows) - MOST_SHOWN} more runs; --json and --out give all")
    return blocks


def _shown(interval: Interval) -> str:
    bounds = span(interval.low, interval.high, correlation)
    return correlation(interval.center) + (f" ({bounds})" if bounds else "")


def _as_json(analysis: Analysis, written: Sequence[Path]) -> dict[str, Any]:
    question = analysis.question
    names = dict(zip(analysis.runs["run_id"], analysis.runs["name"], strict=True))
    return {
        "files": list(analysis.places),
        "step": question.step,
        "loss": {"column": question.loss, "good": question.good_loss},
        "quality": {"column": question.quality, "good": question.good_quality},
        "sign": sign_sentence(question),
        "settings": [
            {
                "setting": tracking.label,
                "verdict": tracking.verdict.word,
                "sentences": [answer.sentence, *answer.rest],
                "evaluations": tracking.evaluations,
                "common_evaluations": tracking.common_evaluations,
                "raw": _interval(tracking.raw),
                "beyond_time": _interval(tracking.adjusted),
                "seed_swap_p": _finite(tracking.swap_p),
                "runs": [_run(seed, names) for seed in tracking.seeds],
            }
            for tracking, answer in zip(analysis.trackings, answers(analysis), strict=True)
        ],
        "notes": [*analysis.notes, *direction_hints(analysis)],
        "written": [str(path) for path in written],
    }


def _run(seed: SeedTracking, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "run": names[seed.run_id],
        "status": seed.status,
        "evaluations": seed.evaluations,
        "left_out": seed.left_out,
        "raw": _finite(seed.raw),
        "beyond_time": _finite(seed.adjusted),
        "explained_by_step": _finite(seed.step_share),
        "note": seed.note,
    }


def _interval(interval: Interval) -> dict[str, float | int | None]:
    return {
        "mean": _finite(interval.center),
        "low": _finite(interval.low),
        "high": _finite(interval.high),
        "n": interval.n,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _write(analysis: Analysis, out: Path, command: str) -> list[Path]:
    from bench.ownlog.page import render

    contents = render(analysis, command)
    contents["correlations.csv"] = _csv(correlations_table(analysis.trackings).frame)
    names = analysis.runs[["run_id", "name"]].rename(columns={"name": "run"})
    runs = names.merge(seed_frame(analysis.trackings), on="run_id", how="right")
    contents["runs.csv"] = _csv(runs.drop(columns="run_id"))
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            write_bytes(out / name, content)
    except OSError as error:
        raise FileError(
            f"folder {str(out)!r} cannot be written: {error.strerror or error}; name another with "
            "--out"
        ) from None
    return [out / name for name in contents if not name.endswith(".svg")]


def _csv(frame: Any) -> bytes:
    text: str = frame.to_csv(index=False, lineterminator="\n")
    return text.encode()
