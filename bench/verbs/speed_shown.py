"""What `speed` found, for people and for programs."""

from __future__ import annotations

import dataclasses
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.clusters import Cluster
from bench.environment import code_hash, machine
from bench.speed.advice import Findings
from bench.speed.cells import Cell
from bench.speed.estimate import spell_range
from bench.speed.figures import Timing
from bench.speed.measure import TOGETHER
from bench.speed.predict import Prediction, run_parts
from bench.speed.units import sizes_of
from bench.tracker import spell
from bench.verbs.launch import Launch
from bench.verbs.request import Request
from bench.verbs.show import runs, say, show_table

_COLUMNS = (
    "runs like",
    "runs",
    "ms per iteration",
    "GFLOP/s",
    "of the peak",
    "s per evaluation",
    "s per run",
)


@dataclass(frozen=True)
class Jobs:
    """What SLURM is asked for, and how long its jobs take."""

    name: str
    cluster: Cluster
    seconds: list[Timing]


@dataclass(frozen=True)
class Answer:
    """All that is shown."""

    found: Findings
    gpu: str
    jobs: Jobs | None
    advice: list[str]


def options_of(launch: Launch) -> list[str]:
    """The options of `run` that ask for the same, those at their defaults left out."""
    given: list[tuple[str, Any, Any]] = [
        ("--backend", launch.backend, "local"),
        ("--cluster", launch.cluster, None),
        ("--slots", launch.slots, None),
        ("--gpus", launch.gpus, None),
        ("--per-gpu", launch.per_gpu, None),
        ("--threads", launch.threads, 1),
    ]
    words = [word for name, value, usual in given if value != usual for word in (name, str(value))]
    return words if launch.packed else [*words, "--no-pack"]


def show(request: Request, launch: Launch, answer: Answer) -> None:
    """The machine, a table of the cells, the prediction, and what would be faster."""
    found = answer.found
    for line in _machine_lines(answer):
        say(line)
    say("")
    show_table(_COLUMNS, [_row(found, cell) for cell in found.cells], plain=request.plain)
    say("")
    for line in (*_unmeasured(found), *_prediction_lines(answer)):
        say(line)
    if answer.advice:
        say("")
        say("what would be faster, and what to know of these figures:")
        for sentence in answer.advice:
            say(f"  - {sentence}")
    say("")
    say(f"next: {shlex.join([*shlex.split(request.command('run')), *options_of(launch)])}")


def _machine_lines(answer: Answer) -> Iterator[str]:
    here, arrangement = machine(), answer.found.arrangement
    threads = f"{arrangement.threads} thread{'s' if arrangement.threads > 1 else ''} per run"
    gpu = f"{answer.gpu}; " if answer.gpu else ""
    yield f"{gpu}{here['cpu']}, {here['cores']} cores; {threads}; torch {here['torch']}"
    for precision, peak in answer.found.measured.peaks.items():
        yield (
            f"peak in {precision}: {peak.matrices:,.0f} GFLOP/s in products of matrices, "
            f"{peak.convolutions:,.0f} in convolutions"
        )


def _row(found: Findings, cell: Cell) -> list[str]:
    figures, spec = found.figures[cell.spec.label], cell.spec
    about = "~" if figures.like else ""
    share = found.shares[cell.name]
    return [
        cell.name,
        str(len(cell.runs)),
        f"{about}{figures.iteration.middle * 1000:.3g}",
        f"{figures.gflops:.3g}" if figures.flops else "",
        f"{share:.1%}" if share else "",
        f"{about}{figures.evaluation.middle:.2g}",
        f"{about}{run_parts(figures, spec).total:.3g}",
    ]


def _unmeasured(found: Findings) -> Iterator[str]:
    """The cells that have other runs' figures, and why."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for cell in found.cells:
        figures = found.figures[cell.spec.label]
        if figures.like:
            why = found.measured.problems.get(cell.key, "not measured")
            reasons.setdefault((why, figures.like), []).append(cell.name)
    for (why, like), names in reasons.items():
        first = "; ".join(names[:3]) + (f"; and {len(names) - 3} more" if len(names) > 3 else "")
        yield f"~ {first}: estimated from {like}, by updates, images and samples ({why})"
    keys = {cell.key for cell in found.cells}
    for what, why in found.measured.problems.items():
        if what not in keys:
            yield f"not measured, and taken for no gain and no loss: {what} ({why})"


def _prediction_lines(answer: Answer) -> Iterator[str]:
    found, beside = answer.found, answer.found.measured.beside
    if beside.slots > 1 and TOGETHER not in found.measured.problems:
        yield (
            f"{beside.slots} runs at once: a step takes {beside.training:.2f} times as long as "
            f"alone, an evaluation {beside.evaluation:.2f} times"
        )
    parts = found.prediction.parts
    yield (
        f"of the work, training is {parts.training / parts.total:.0%}, evaluation "
        f"{parts.evaluation / parts.total:.0%}, the rest {parts.around / parts.total:.0%} "
        f"(processes, data, files)"
    )
    if answer.jobs is not None:
        yield from _job_lines(found.prediction, answer.jobs)
        return
    yield from _pack_lines(found)
    slots = f"{found.prediction.slots} slot{'s' if found.prediction.slots > 1 else ''}"
    yield (
        f"predicted: {runs(found.prediction.runs)} take {spell_range(found.prediction.seconds)} on "
        f"{slots}"
    )


def _pack_lines(found: Findings) -> Iterator[str]:
    """What was gained by training runs as one model."""
    packed = sizes_of(found.units)
    for cell in found.cells:
        figures = found.figures[cell.spec.label]
        if figures.pack > 1 and not figures.like and cell.spec.label in packed:
            gain = figures.pack * figures.iteration.middle / figures.packed.middle
            yield (
                f"{figures.pack} runs of {cell.name} as one model: an iteration of all takes "
                f"{figures.packed.middle * 1000:.3g} ms, {gain:.2g} times as fast as alone"
            )


def _job_lines(prediction: Prediction, jobs: Jobs) -> Iterator[str]:
    longest = max(jobs.seconds, key=lambda timing: timing.middle)
    total = sum(timing.middle for timing in jobs.seconds)
    cluster = jobs.cluster
    yield (
        f"predicted: {runs(prediction.runs)} make {len(jobs.seconds):,} job(s), as {jobs.name} "
        f"asks ({cluster.pack} runs each, {cluster.side_by_side} at once); the longest takes "
        f"{spell_range(longest)}, all together {spell(total)}, on machines like this one"
    )
    over = sum(timing.middle > cluster.time * 60 for timing in jobs.seconds)
    if over:
        yield (
            f"{over:,} of them take longer than their limit of {cluster.time} min, and go back "
            f"into the queue from their checkpoints"
        )
    yield "how long jobs wait in SLURM's queue is not known here, and comes on top"


def as_json(answer: Answer) -> dict[str, Any]:
    """The same for programs; times in seconds."""
    found, measured = answer.found, answer.found.measured
    prediction = found.prediction
    return {
        "runs": prediction.runs,
        "machine": {**machine(), "gpu": answer.gpu or None, "code": code_hash()},
        "arrangement": dataclasses.asdict(found.arrangement),
        "measured": time.time(),
        "load": measured.load,
        "peaks": {
            name: {"matrices_gflops": peak.matrices, "convolutions_gflops": peak.convolutions}
            for name, peak in measured.peaks.items()
        },
        "cells": [
            {
                "name": cell.name,
                "key": cell.key,
                "runs": len(cell.runs),
                **found.figures[cell.spec.label].to_plain(),
                "gflops": found.figures[cell.spec.label].gflops,
                "share_of_peak": found.shares[cell.name] or None,
                "seconds_per_run": run_parts(found.figures[cell.spec.label], cell.spec).total,
                "problem": measured.problems.get(cell.key),
            }
            for cell in found.cells
        ],
        "side_by_side": dataclasses.asdict(measured.beside),
        "alternatives": [dataclasses.asdict(tried) for tried in measured.alternatives],
        "prediction": {
            "seconds": prediction.seconds.middle,
            "seconds_low": prediction.seconds.low,
            "seconds_high": prediction.seconds.high,
            "slots": prediction.slots,
            **prediction.parts._asdict(),
            "server": measured.server,
        },
        "jobs": _plain_jobs(answer.jobs),
        "advice": answer.advice,
    }


def _plain_jobs(jobs: Jobs | None) -> dict[str, Any] | None:
    if jobs is None:
        return None
    seconds = [timing.middle for timing in jobs.seconds]
    return {"count": len(seconds), "longest_seconds": max(seconds), "total_seconds": sum(seconds)}
