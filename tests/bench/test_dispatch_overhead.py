"""What a run costs beside its work: its process, its turn, its lease and its record.

Run it on a quiet machine: `python -m pytest -m bench tests/bench/test_dispatch_overhead.py -s`.
Each figure is the least of several rounds, since other work on the machine only adds to it. The
figures that were kept, and what they mean, stand in reports/reference/dispatch.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from rich.console import Console
from tiny_runs import tiny

from bench import progress
from bench.files import read_json, read_rows
from bench.store import Planned

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]
ROOT = Path(__file__).parents[2]
ALLOWED = 0.050  # seconds per run and slot

RUNNER = """
import io, json, sys, time
from pathlib import Path
import light_process
from rich.console import Console
from tiny_runs import frozen, tiny
from bench.backends import Local, forked, fresh, local
from bench.backends.fresh import Fresh
from bench.execute import execute
from bench.progress import LiveDisplay, PlainDisplay
from bench.store import Store

results, kind, slots, runs, steps, shown = sys.argv[1:]
slots, runs = int(slots), int(runs)
specs = [tiny(seed=seed, steps=int(steps), checkpoint_seconds=600.0) for seed in range(runs)]
frozen(Path(results), *specs)
plan = Store(Path(results), "s").plan(specs)
screen = Console(file=io.StringIO(), force_terminal=True, width=110)
kinds = {"plain": lambda: PlainDisplay(io.StringIO()), "live": lambda: LiveDisplay(screen)}
display, ends = kinds[shown](), []
finished = display.finished
display.finished = lambda *words: (ends.append(time.monotonic()), finished(*words))
if kind == "nothing":
    forked.train = light_process.nothing
if kind in ("turns", "spares", "no_spares"):
    local._GPU = "cpu"
    backend = Local(gpus=[f"GPU-{number}" for number in range(slots)])
    if kind != "turns":
        fresh._Turn.goes_on = False
    if kind == "no_spares":
        Fresh.prepare = lambda self, waiting: None
else:
    backend = Local(slots=slots)
began, spent = time.monotonic(), time.process_time()
execute(plan, backend, display)
print(json.dumps({
    "begun": began,
    "ends": ends,
    "runner": time.process_time() - spent,
    "folders": [str(item.folder) for item in plan],
}))
"""


def trained(
    results: Path, kind: str, slots: int, runs: int, steps: int = 0, shown: str = "plain"
) -> dict[str, Any]:
    """What a runner of its own tells of so many runs."""
    words = [str(results), kind, str(slots), str(runs), str(steps), shown]
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert len(told["ends"]) == runs
    return told


def per_run_and_slot(told: dict[str, Any], slots: int) -> float:
    """Seconds, from where every slot has had its first run."""
    ends = told["ends"]
    return (ends[-1] - ends[slots - 1]) * slots / (len(ends) - slots)


def say(text: str) -> None:
    sys.stdout.write(f"\n{text}\n")


@pytest.mark.parametrize("slots", [1, 2])
def test_a_run_of_nothing_costs_at_most_50_ms_per_slot(tmp_path: Path, slots: int) -> None:
    rounds = [trained(tmp_path / str(turn), "nothing", slots, 100) for turn in range(5)]
    costs = [per_run_and_slot(told, slots) for told in rounds]
    starts = [told["ends"][0] - told["begun"] for told in rounds]
    say(
        f"nothing, {slots} slot(s): {1e3 * min(costs):.1f} ms per run and slot "
        f"(up to {1e3 * max(costs):.1f}), {60 * slots / min(costs):.0f} runs per minute; "
        f"the first ends after {min(starts):.2f} s (up to {max(starts):.2f})"
    )
    assert min(costs) <= ALLOWED


@pytest.mark.parametrize("slots", [1, 2])
def test_a_real_run_costs_at_most_50_ms_beside_what_it_does_itself(
    tmp_path: Path, slots: int
) -> None:
    """Of no steps: it scores once, saves, and writes everything down, which is its own business."""
    whole, own, scoring = [], [], []
    for turn in range(5):
        told = trained(tmp_path / str(turn), "real", slots, 60)
        whole.append(per_run_and_slot(told, slots))
        own.append(mean(ended(path) - begun(path) for path in told["folders"]))
        scoring.append(mean(evaluated(path) for path in told["folders"]))
    beside = [each - itself for each, itself in zip(whole, own, strict=True)]
    say(
        f"no steps, {slots} slot(s): {1e3 * min(whole):.1f} ms per run and slot "
        f"(up to {1e3 * max(whole):.1f}): {1e3 * min(own):.1f} from its session's beginning to its "
        f"last word, {1e3 * min(scoring):.1f} of them for scoring; "
        f"{1e3 * min(beside):.1f} beside (up to {1e3 * max(beside):.1f})"
    )
    assert min(beside) <= ALLOWED


def begun(folder: str) -> float:
    """When a run's session began, in seconds since 1970."""
    return float(read_json(Path(folder) / "env.json")["started"])


def ended(folder: str) -> float:
    """When a run had said its last word."""
    return float(read_json(Path(folder) / "state.json")["finished"])


def evaluated(folder: str) -> float:
    """The seconds of a run's only evaluation."""
    (rows, _) = read_rows(next(Path(folder).glob("eval-*.jsonl")))
    assert len(rows) == 1
    return float(rows[0]["evaluation_seconds"])


def test_turns_and_spares_take_the_loading_out_of_the_gap_between_two_runs(
    tmp_path: Path,
) -> None:
    """A process that takes the next run; one of its own for each, loaded ahead, or not."""
    gaps = {kind: gap(tmp_path / kind, kind) for kind in ("turns", "spares", "no_spares")}
    say(
        "processes as for a GPU, one slot, least and most of 4 gaps between two runs: "
        + "; ".join(f"{kind}: {min(each):.2f} to {max(each):.2f} s" for kind, each in gaps.items())
    )
    assert min(gaps["turns"]) < 0.2
    assert min(gaps["spares"]) < 0.5
    assert min(gaps["no_spares"]) > 3 * min(gaps["spares"])


def gap(results: Path, kind: str) -> list[float]:
    """Seconds from the end of each run to the beginning of the next, by what they wrote down."""
    told = trained(results, kind, slots=1, runs=5, steps=6000)
    starts, ends = sorted(map(begun, told["folders"])), sorted(map(ended, told["folders"]))
    return [later - before for before, later in zip(ends, starts[1:], strict=False)]


@pytest.mark.parametrize("runs", [100, 10_000])
def test_the_live_table_takes_at_most_5_percent_of_a_core(tmp_path: Path, runs: int) -> None:
    """Every draw costs the same, and there are at most 5 a second."""
    specs = [tiny(seed=seed) for seed in range(runs)]
    items = [Planned(spec, tmp_path / spec.folder, "pending", "run", "new") for spec in specs]
    display = progress.LiveDisplay(Console(file=io.StringIO(), force_terminal=True, width=110))
    display.start(items, 16)
    for item in items[:16]:
        display.running(item.spec.run_id)
    spent = []
    for _ in range(20):
        display._shown = 0.0
        began = time.process_time()
        display.tick()
        spent.append(time.process_time() - began)
    display.stop()
    share = min(spent) / progress._CHANGE_SECONDS
    say(
        f"live table of 16 running of {runs}: {1e3 * min(spent):.1f} ms a draw, at most "
        f"{share:.1%} of a core"
    )
    assert share <= 0.05
