"""10,000 finished runs in one folder: what `plan`, `status` and `collect` cost.

The seconds, on a quiet machine: `python -m pytest -m bench tests/bench/test_ten_thousand_runs.py
-s`. What is asserted is the memory, and the time as a ratio: against the bare reading of the same
files in the same process.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from many_runs import ROWS, finish_all, sweep_of

from bench.store import Store

pytestmark = pytest.mark.timeout(1200)
RUNS = 10_000
GIGABYTE = 10**9
ROOT = Path(__file__).resolve().parents[2]


# Linux counts in a process's `ru_maxrss` what its parent had when it was forked; VmHWM is its own.
VERB = """
import atexit, sys, time
from pathlib import Path
from bench.cli import main
atexit.register(lambda: sys.stderr.write(Path("/proc/self/status").read_text()))
atexit.register(lambda: sys.stderr.write(f"cpu_seconds {time.process_time()}\\n"))
main()
"""


@dataclass(frozen=True)
class Spent:
    """What a command answered and took."""

    answer: dict[str, Any]
    seconds: float
    cpu_seconds: float
    peak: int  # bytes of memory


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a sweep file and `results/`, where every run of it is done."""
    folder = tmp_path_factory.mktemp("finished")
    finish_all(folder / "results", sweep_of(folder, RUNS))
    yield folder
    shutil.rmtree(folder)  # half a gigabyte


def command(verb: str, folder: Path, results: str = "results") -> Spent:
    """Run a verb on the sweep in `folder` as a process of its own."""
    words = [verb, str(folder / "scale.yaml"), "--json", "--results", str(folder / results)]
    answer, said = folder / "answer.json", folder / "said.txt"
    started = time.perf_counter()
    with answer.open("wb") as out, said.open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-c", VERB, *words], cwd=ROOT, stdout=out, stderr=err
        )
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said.read_text()
    (peak,) = re.findall(r"VmHWM:\s*(\d+) kB", said.read_text())
    cpu = usage.ru_utime + usage.ru_stime
    return Spent(json.loads(answer.read_text()), seconds, cpu, int(peak) * 1024)


@pytest.mark.slow
def test_ten_thousand_finished_runs_are_read_in_under_a_gigabyte(finished: Path) -> None:
    planned = command("plan", finished)
    assert [run["action"] for run in planned.answer["runs"]] == ["keep"] * RUNS
    counted = command("status", finished)
    assert counted.answer["counts"] == {"done": RUNS}
    collected = command("collect", finished)
    assert (collected.answer["runs"], collected.answer["rows"]) == (RUNS, RUNS * ROWS)
    assert collected.answer["notes"] == []
    for spent in (planned, counted, collected):
        assert spent.peak < GIGABYTE


def cpu_seconds(work: Callable[[], object], times: int = 3) -> float:
    """The least of some trials, which other processes have disturbed least."""

    def once() -> float:
        started = time.process_time()
        work()
        return time.process_time() - started

    return min(once() for _ in range(times))


def read_bare(folders: Sequence[Path], *, rows: bool) -> None:
    """Parse a run's specification and final state, and each row if asked."""
    for folder in folders:
        state = json.loads((folder / "state.json").read_bytes())
        json.loads((folder / "spec.json").read_bytes())
        for name in state["files"] if rows else ():
            for line in (folder / name).read_bytes().splitlines():
                json.loads(line)


@pytest.mark.slow
def test_a_finished_run_costs_little_more_than_the_parsing_of_its_files(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, 1000)
    runs, store = sweep.runs, finish_all(tmp_path / "results", sweep)
    folders = [item.folder for item in store.plan(runs)]
    bare = cpu_seconds(lambda: read_bare(folders, rows=False))
    planning = cpu_seconds(lambda: Store(tmp_path / "results", "scale").plan(runs))
    assert planning < 3 * bare
    bare = cpu_seconds(lambda: read_bare(folders, rows=True))
    collecting = cpu_seconds(lambda: store.write_tables(store.collect(runs, pictures=False)))
    assert collecting < 3.5 * bare


@pytest.mark.bench
@pytest.mark.parametrize(
    ("runs", "verb"),
    [
        ("pending", "plan"),
        ("pending", "status"),
        ("finished", "plan"),
        ("finished", "status"),
        ("finished", "collect"),
    ],
)
def test_seconds_and_memory_of_ten_thousand_runs(finished: Path, runs: str, verb: str) -> None:
    results = "results" if runs == "finished" else "none"
    spent = [command(verb, finished, results) for _ in range(3)]
    peak = max(one.peak for one in spent)
    sys.stdout.write(
        f"\n{verb} of {RUNS:,} {runs} runs: {statistics.median(s.seconds for s in spent):.2f} s "
        f"({min(s.seconds for s in spent):.2f} to {max(s.seconds for s in spent):.2f}; "
        f"{statistics.median(s.cpu_seconds for s in spent):.2f} s of CPU), {peak / 1e6:,.0f} MB, "
        f"with a load of {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n"
    )
    assert peak < GIGABYTE
