"""reports/speed/README.md and figures.csv: written from what is kept, and from nothing else.

The same figures give the same bytes. A figure that misses what is required is shown as missed, one
that could not be measured as not measured; none is left out.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from tests.speed.figure import Figure
from tests.speed.kept import Kept
from tests.speed.machine import PACKAGES
from tests.speed.reasons import REASONS
from tests.speed.required import BESIDE, REQUIRED, Row

_HEAD = (
    "| Work | Against | Required | Measured | Spread | Trials | Threads | |\n"
    "|---|---|---:|---:|---|---:|---:|---|\n"
)
_CSV = ("row", "round", "value", "unit", "required", "threads", "clock", "device")


def verdict(row: Row, figure: Figure | None) -> str:
    """One word for a row: reached, missed, not measured; empty where nothing is required."""
    if figure is None:
        return "not measured"
    if row.bound is None:
        return "" if figure.sound else "unsound"
    return "reached" if row.reached(figure.spread, figure.sound) else "missed"


def unreached(kept: Kept) -> list[Row]:
    """The required rows that are not reached, in their order."""
    return [row for row in REQUIRED if verdict(row, kept.figures.get(row.name)) != "reached"]


def readme(kept: Kept) -> str:
    """The page."""
    parts = [
        "# Speed",
        "",
        "Made by `make bench`, which measures every figure anew and writes this folder. Each ratio "
        "comes from one run of both sides in turn (A B A B ...), one ratio a round, on the same "
        "networks and the same data in memory. *Measured* is the median over rounds, *spread* the "
        "least and the most. More than 1 means that ours is faster, unless a row says per cent.",
        "",
        *_header(kept),
        "",
        "![Measured ratios against what is required](ratios.svg)",
        "",
        "## What is required",
        "",
        _table(REQUIRED, kept),
        *_missed(kept),
        "## Measured beside it",
        "",
        _table(BESIDE, kept),
        "## How each was measured",
        "",
        *_remarks(kept),
        "",
        "## The commands",
        "",
        "    make bench                  # all of it",
        "    make bench ONLY=frechet     # one group: "
        + ", ".join(dict.fromkeys(row.group for row in REQUIRED if not row.on_a_gpu)),
        "    make bench ONLY=table       # this page from the figures that are kept",
        "    make bench ONLY='--gpu FILE'  # take up what tests/speed/gpu_*.py wrote on a GPU",
        "",
        "The rivals are in `tests/speed/loops.py` and `tests/speed/script.py`; "
        "`tests/speed/test_rivals.py` proves that the loops train what we train. Raw figures: "
        "`figures.csv`, `figures.json`; those of a GPU in a `gpu-` file of its own.",
    ]
    return "\n".join(parts) + "\n"


def _header(kept: Kept) -> list[str]:
    machine = kept.machine
    lines = []
    if machine:
        versions = ", ".join(f"{name} {machine['versions'][name]}" for name in PACKAGES)
        lines = [
            f"- Machine: {machine['cpu']}, {machine['cores']} cores, "
            f"{machine['memory_gib']} GiB of memory, {machine['system']}",
            f"- Versions: Python {machine['python']}, {versions}",
        ]
    stamps = [stamp for stamp in kept.stamps.values() if stamp]
    if stamps:
        dates = sorted({stamp["date"] for stamp in stamps})
        commits = list(dict.fromkeys(stamp["commit"] or "unknown" for stamp in stamps))
        between = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
        lines.append(f"- Measured {between}, commit {', '.join(commits)} (+: with edits)")
        lines.append(f"- {_company(kept)}")
    for device, header in kept.devices.items():
        beside = ", ".join(f"{key} {value}" for key, value in header.items() if key != "device")
        lines.append(f"- GPU rows: {device}{f' ({beside})' if beside else ''}")
    return lines


def _company(kept: Kept) -> str:
    companies = {name: stamp["company"] for name, stamp in kept.stamps.items() if stamp}
    most = max(company["others"] + company["steal"] for company in companies.values())
    busy = [name for name, company in companies.items() if not company["quiet"]]
    said = f"Other processes and the hypervisor took at most {100 * most:.0f} % of the cores' time"
    if not busy:
        return f"{said}: the machine was quiet."
    named = ", ".join(f"`{name}`" for name in sorted(busy))
    return f"{said}: **the machine was busy** during {named}."


def _table(rows: Sequence[Row], kept: Kept) -> str:
    return _HEAD + "".join(_line(row, kept.figures.get(row.name)) for row in rows)


def _line(row: Row, figure: Figure | None) -> str:
    said = verdict(row, figure)
    shown = f"**{said}**" if said in ("missed", "not measured", "unsound") else said
    if figure is None:
        cells = [row.work, row.against, row.required, "", "", "", "", shown]
    else:
        spread = figure.spread
        around = (
            "" if spread.trials == 1 else f"{row.shown(spread.low)} to {row.shown(spread.high)}"
        )
        where = figure.device or str(figure.threads)
        cells = [row.work, row.against, row.required, row.shown(spread.median), around]
        cells += [str(spread.trials), where, shown]
    return f"| {' | '.join(cells)} |\n"


def _missed(kept: Kept) -> list[str]:
    """A sentence for each required row that is not reached."""
    rows = unreached(kept)
    if not rows:
        return ["All of it is reached.", ""]
    lines = [f"Not reached: {len(rows)} of {len(REQUIRED)}.", ""]
    for row in rows:
        figure = kept.figures.get(row.name)
        if figure is None:
            why = kept.unavailable.get(row.group, "no measurement is kept")
            lines.append(f"- {row.work}, against {row.against}: not measured ({why}).")
            continue
        measured = row.shown(figure.spread.median)
        unsound = "" if figure.sound else f" What must hold beside it does not: {figure.remark}."
        reason = REASONS.get(row.name, "No reason is known yet.")
        lines.append(
            f"- {row.work}, against {row.against}: {measured}, required {row.required}."
            f"{unsound} {reason}"
        )
    return [*lines, ""]


def _remarks(kept: Kept) -> list[str]:
    lines = []
    for row in (*REQUIRED, *BESIDE):
        figure = kept.figures.get(row.name)
        if figure is None:
            continue
        times = "; ".join(
            f"{side} {_seconds(seconds)}" for side, seconds in figure.seconds.items() if seconds
        )
        clock = {"wall": "wall clock", "cpu": "CPU time"}[figure.clock]
        said = ". ".join(filter(None, [figure.remark, f"{clock}: {times}" if times else ""]))
        lines.append(f"- `{row.name}`: {said or 'counted'}.")
    return lines


def _seconds(seconds: Sequence[float]) -> str:
    middle = sorted(seconds)[len(seconds) // 2]
    return f"{1e3 * middle:.3g} ms" if middle < 1 else f"{middle:.3g} s"


def values_csv(kept: Kept) -> str:
    """Every value of every round, and every side's seconds, a line each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV)
    for row in (*REQUIRED, *BESIDE):
        figure = kept.figures.get(row.name)
        if figure is None:
            continue
        beside: list[Any] = [row.required, figure.threads, figure.clock, figure.device]
        for turn, value in enumerate(figure.values):
            writer.writerow([row.name, turn, f"{value:.6g}", row.unit, *beside])
        for side, seconds in figure.seconds.items():
            for turn, second in enumerate(seconds):
                writer.writerow([row.name, turn, f"{second:.6g}", f"seconds: {side}", *beside])
    return text.getvalue()
