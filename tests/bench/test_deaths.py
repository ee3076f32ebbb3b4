"""A run that dies, however it does, is failed with its reason, alone, and its slot serves on."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing import forkserver
from pathlib import Path

import planted_deaths
import pytest
from tiny_runs import frozen, state_of, tiny

from bench import worker
from bench.backends import Local, forked, processes
from bench.backends.deaths import _ended_by, bury
from bench.execute import Outcome, execute
from bench.lease import owner_of
from bench.progress import PlainDisplay
from bench.spec import RunSpec
from bench.store import Planned, Store

REASONS = {
    "segfault": "its process crashed by SIGSEGV; log.txt shows where",
    "abort": "its process crashed by SIGABRT",
    "exit": "its process ended with exit code 7: ",
    "exit_255": "its process ended with exit code 255: ",
    "kill": "its process was killed from outside by SIGKILL",
    "cuda": "out of GPU memory; take a smaller batch, a smaller network or fewer runs at once",
    "cublas": "out of GPU memory; take a smaller batch",
}
HOGS = [tiny(label="hog", steps=90), *(tiny(seed=seed, steps=10) for seed in range(4))]
RUNNER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import planted_deaths
from bench.backends import Local, forked
from bench.execute import execute
from bench.progress import PlainDisplay
from bench.store import Store
from test_deaths import HOGS

if __name__ == "__main__":
    forked.train = planted_deaths.train
    plan = Store(Path(sys.argv[1]), "s").plan(HOGS)
    sys.exit(execute(plan, Local(slots=2), PlainDisplay(sys.stderr)).exit_code)
"""


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forked, "train", planted_deaths.train)


def planned(results: Path, *specs: RunSpec) -> list[Planned]:
    frozen(results, *specs)
    return Store(results, "s").plan(specs)


def run_all(items: Sequence[Planned], slots: int = 2) -> Outcome:
    backend = Local(slots=slots)
    try:
        return execute(items, backend, PlainDisplay(io.StringIO()))
    finally:
        backend.close(kill=True)


def test_a_run_that_dies_is_failed_alone_with_its_reason(tmp_path: Path) -> None:
    dying = [tiny(label=label, seed=seed, steps=40) for seed, label in enumerate(REASONS)]
    living = [tiny(seed=seed, steps=10) for seed in range(3)]
    items = planned(tmp_path, *dying, *living)
    states = run_all(items).states
    assert [states[spec.run_id] for spec in living] == ["done"] * 3
    for item, reason in zip(items, REASONS.values(), strict=False):
        assert states[item.spec.run_id] == "failed"
        assert state_of(item.folder)["reason"].startswith(reason)
        assert not (item.folder / "lease").exists()
    assert "Fatal Python error: Segmentation fault" in (items[0].folder / "log.txt").read_text()


def test_a_slot_serves_on_after_fifty_deaths_in_a_row(tmp_path: Path) -> None:
    labels = ["segfault", "exit", "exit_255", "kill", "abort"]
    dying = [tiny(label=labels[seed % 5], seed=seed, steps=20) for seed in range(50)]
    items = planned(tmp_path, *dying, tiny(seed=99, steps=10))
    run_all(planned(tmp_path / "first", tiny(steps=0)))
    server = forkserver._forkserver._forkserver_pid
    states = run_all(items, slots=1).states
    assert [states[spec.run_id] for spec in dying] == ["failed"] * 50
    assert states[items[-1].spec.run_id] == "done"
    assert forkserver._forkserver._forkserver_pid == server


def test_a_run_is_what_the_system_ends_first_when_memory_is_out(tmp_path: Path) -> None:
    items = planned(tmp_path, tiny(steps=100_000))
    backend = Local(slots=1)
    backend.submit(items)
    try:
        end = time.monotonic() + 30
        while (owner := owner_of(items[0].folder)) is None:
            backend.states()
            assert time.monotonic() < end
            time.sleep(0.01)
        theirs, ours = (
            int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in (owner["pid"], "self")
        )
        assert theirs > ours
    finally:
        backend.close(kill=True)


@pytest.mark.parametrize("out_of_memory", [False, True])
def test_only_a_kill_that_the_system_counted_is_put_down_to_memory(out_of_memory: bool) -> None:
    killed = _ended_by(9, out_of_memory)
    assert ("by the system for want of memory; take fewer slots" in killed) == out_of_memory
    assert ("by hand, or for want of memory" in killed) != out_of_memory
    assert _ended_by(15, out_of_memory) == "its process was killed from outside by SIGTERM"


@pytest.mark.parametrize(
    "error",
    [
        planted_deaths.torch.OutOfMemoryError("whatever"),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"),
    ],
)
def test_a_full_gpu_is_explained(error: Exception) -> None:
    reason, expected = worker.explain(error, Path("r"))
    assert reason.startswith("out of GPU memory; ")
    assert "--per-gpu" in reason
    assert not expected  # the trace says where


@pytest.fixture
def small_memory() -> Iterator[Path]:
    """A control group whose processes may hold 1.5 GB together, and no swap."""
    groups = re.findall(r"^\d+:(memory|):(.*)$", Path("/proc/self/cgroup").read_text(), re.M)
    version = "memory" if ("memory" in dict(groups)) else ""
    root = Path("/sys/fs/cgroup") / version / dict(groups).get(version, "").lstrip("/")
    group = root / f"wgan-bench-test-{os.getpid()}"
    limit = group / ("memory.limit_in_bytes" if version else "memory.max")
    try:
        group.mkdir()
        limit.write_text("1500000000")
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip(f"no control group with little memory can be made here: {error}")
    swap = group / ("memory.swappiness" if version else "memory.swap.max")
    with contextlib.suppress(OSError):
        swap.write_text("0")
    yield group
    end = time.monotonic() + 10
    while (group / "cgroup.procs").read_text() and time.monotonic() < end:
        time.sleep(0.1)
    group.rmdir()


@pytest.mark.slow
def test_what_the_system_kills_for_want_of_memory_is_one_run_and_said_so(
    tmp_path: Path, small_memory: Path
) -> None:
    paths = frozen(tmp_path, *HOGS)
    program = [sys.executable, "-c", RUNNER, str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run(
        ["sh", "-c", f'echo $$ > {small_memory}/cgroup.procs && exec "$@"', "sh", *program],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
        text=True,
        timeout=100,
    )
    assert done.returncode == 1, done.stderr
    assert [state_of(path)["state"] for path in paths] == ["failed", *["done"] * 4]
    assert "killed by the system for want of memory" in state_of(paths[0])["reason"]


def test_a_process_that_could_not_write_tells_its_runner_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its exit code alone: its log is on the disk that was full."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (path,) = frozen(tmp_path, tiny())
    (item,) = Store(tmp_path, "s").plan([tiny()])
    monkeypatch.setattr(worker, "run", fail)
    monkeypatch.setattr(processes, "die_first", lambda: None)  # it is this process here
    with pytest.raises(SystemExit) as ended:
        processes.train([path], processes.Terms("cpu", 1, ()))
    assert isinstance(ended.value.code, int)
    state, reason = bury(item, ended.value.code, out_of_memory=False)
    assert state == state_of(path)["state"] == "failed"
    assert reason.startswith(f"the disk of {path} (mounted at ")
    assert state_of(path)["reason"] == reason
