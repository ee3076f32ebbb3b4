"""A process on a GPU takes run after run, and no run sees which others were there before it.

The processes of the quick tests are light ones that load nothing. The slow ones train, on the CPU.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection
from pathlib import Path
from types import SimpleNamespace

import light_process
import psutil
import pytest
from tiny_runs import assert_same_run, diverging, frozen, state_of, tiny

from bench.backends import Local, fresh
from bench.backends.fresh import Fresh
from bench.backends.gpus import choose_gpus
from bench.backends.processes import AtWork, Terms
from bench.spec import RunSpec
from bench.store import Planned, Store

DIGITS = tiny(
    "wgan",
    dataset="digits",
    network={"dcgan": {"width": 4}},
    noise_size=8,
    ema=0.9,
    label="digits",
)
POINTS = tiny("wgan_gp")


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fresh]:
    """One GPU, with light processes that take turns."""
    monkeypatch.setattr(fresh, "_wait_and_train", light_process.serve_turns)
    one = Fresh(SimpleNamespace(threads=1), ["a"], 1)
    yield one
    one.close()


def begun(one: Fresh, folder: Path) -> AtWork:
    """A turn of this GPU, at a run whose process knows of it."""
    folder.mkdir(parents=True)
    turn = one.start([folder], "a")
    end = time.monotonic() + 60
    while not (folder / "seen.json").exists() or not (folder / "seen.json").read_text():
        assert time.monotonic() < end
        time.sleep(0.01)
    assert json.loads((folder / "seen.json").read_text())["pid"] == turn.pid
    return turn


def over(turn: AtWork) -> int | None:
    """The process' number of a turn that is waited for and given back."""
    # Whoever has looked has heard already that it is over.
    assert turn.exitcode is not None or connection.wait([turn.sentinel], 60)
    turn.join(60)
    assert turn.exitcode == 0
    turn.close()
    return turn.pid


def test_a_process_takes_run_after_run(turns: Fresh, tmp_path: Path) -> None:
    pids = [over(begun(turns, tmp_path / str(number))) for number in range(4)]
    assert len(set(pids)) == 1
    turns.prepare(5)
    assert [spare.process.pid for spare in turns._spares["a"]] == pids[:1]


def test_a_process_that_ends_with_its_run_is_followed_by_a_fresh_one(
    turns: Fresh, tmp_path: Path
) -> None:
    names = ("first", "ill", "second", "third")
    pids = [over(begun(turns, tmp_path / name)) for name in names]
    assert pids[0] == pids[1] != pids[2] == pids[3]


def test_a_process_that_was_told_to_stop_is_given_no_other_run(
    turns: Fresh, tmp_path: Path
) -> None:
    """The signal may come when its run has ended: the next one must not hear it."""
    turn = begun(turns, tmp_path / "slow")
    assert turn.exitcode is None
    turn.join(0.1)
    assert turn.exitcode is None
    with pytest.raises(ValueError, match="not over"):
        turn.close()
    turn.terminate()
    first = over(turn)
    assert over(begun(turns, tmp_path / "second")) != first
    assert not psutil.pid_exists(first)


def test_who_stops_a_run_that_has_ended_stops_no_other(turns: Fresh, tmp_path: Path) -> None:
    earlier = begun(turns, tmp_path / "first")
    first = over(earlier)
    later = begun(turns, tmp_path / "slow")
    earlier.terminate()
    earlier.kill()
    later.join(0.2)
    assert (later.pid, later.exitcode) == (first, None)
    later.terminate()
    assert over(later) == first


def test_a_killed_process_is_known_by_its_exit_code(turns: Fresh, tmp_path: Path) -> None:
    turn = begun(turns, tmp_path / "slow")
    turn.kill()
    turn.join(60)
    assert turn.exitcode == -signal.SIGKILL
    turn.close()
    assert turn.exitcode == -signal.SIGKILL


def test_after_the_end_no_process_waits_for_more(turns: Fresh, tmp_path: Path) -> None:
    turn = begun(turns, tmp_path / "first")
    turns.close()
    first = over(turn)
    assert turns._spares == {"a": []}
    assert not psutil.pid_exists(first)


def test_one_process_is_kept_beside_those_at_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fresh, "_wait_and_train", light_process.serve_turns)
    one = Fresh(SimpleNamespace(threads=1), ["a"], 3)
    slow = [begun(one, tmp_path / str(number) / "slow") for number in range(3)]
    end = time.monotonic() + 60
    while [spare.loads() for spare in one._spares["a"]] != [False]:
        one.prepare(9)
        assert time.monotonic() < end
    one.prepare(9)
    assert len(one._spares["a"]) == 1
    for turn in slow:
        turn.kill()
        turn.join(60)
    one.close()


def planned(results: Path, *specs: RunSpec) -> list[Planned]:
    frozen(results, *specs)
    return Store(results, "s").plan(specs)


def one_after_another(folders: Sequence[Path], processes: Fresh) -> list[int | None]:
    """The processes that trained these runs."""
    pids = []
    for folder in folders:
        turn = processes.start([folder], "a")
        turn.join(120)
        turn.close()
        pids.append(turn.pid)
    return pids


@pytest.mark.slow
def test_a_run_has_the_same_bits_whichever_was_in_its_process_before(tmp_path: Path) -> None:
    """The first run of either process is one in a process of its own."""
    for name, specs in (("a", (POINTS, DIGITS)), ("b", (DIGITS, POINTS))):
        processes = Fresh(Terms("cpu", 1, ()), ["a"], 1)
        items = planned(tmp_path / name, *specs)
        pids = one_after_another([item.folder for item in items], processes)
        processes.close()
        assert pids[0] == pids[1]
        for item in items:
            log = (item.folder / "log.txt").read_text()
            assert (log.count("begins at step 0"), log.count("done at step 60")) == (1, 1)
    for spec in (POINTS, DIGITS):
        assert_same_run(tmp_path / "a/s" / spec.folder, tmp_path / "b/s" / spec.folder, spec)


@pytest.mark.slow
def test_a_failed_run_takes_its_process_with_it_and_a_diverged_one_does_not(
    tmp_path: Path,
) -> None:
    specs = [diverging(), *(tiny(seed=seed) for seed in range(3))]
    items = planned(tmp_path, *specs)
    (items[2].folder / "spec.json").write_text("{}")
    processes = Fresh(Terms("cpu", 1, ()), ["a"], 1)
    pids = one_after_another([item.folder for item in items], processes)
    processes.close()
    states = [state_of(item.folder)["state"] for item in items]
    assert states == ["diverged", "done", "failed", "done"]
    assert pids[0] == pids[1] == pids[2] != pids[3]


@pytest.mark.slow
def test_a_waiting_process_hears_what_ends_it_and_writes_into_no_log(tmp_path: Path) -> None:
    (item,) = planned(tmp_path, POINTS)
    processes = Fresh(Terms("cpu", 1, ()), ["a"], 1)
    one_after_another([item.folder], processes)
    (waiting,) = processes._spares["a"]
    outputs = [Path(f"/proc/{waiting.process.pid}/fd/{number}").readlink() for number in (1, 2)]
    assert not any(str(tmp_path) in str(output) for output in outputs)
    for number in (signal.SIGUSR1, signal.SIGHUP):
        os.kill(waiting.process.pid, number)
    waiting.process.join(0.5)
    assert waiting.lives()
    waiting.process.terminate()
    waiting.process.join(10)
    assert waiting.process.exitcode == 0
    processes.close()


@pytest.mark.gpu
def test_runs_in_one_process_on_a_real_gpu_have_the_bits_of_runs_alone(tmp_path: Path) -> None:
    """Of small networks, whose kernels add up in one order."""
    (gpu, *_) = choose_gpus("all")
    specs = (POINTS, tiny("wgan", steps=40))
    for name, order in (("a", specs), ("b", specs[::-1])):
        backend = Local(gpus=(gpu,))
        places: list[int | None] = []
        start = backend._processes.start
        backend._processes.start = noting(start, places)
        items = planned(tmp_path / name, *order)
        try:
            for item in items:  # the second waits while the first, whichever it is, trains
                backend.submit([item])
                backend.states()
            while backend.busy():
                backend.states()
                backend.wait(0.1)
        finally:
            backend.close()
        assert [state_of(item.folder)["state"] for item in items] == ["done", "done"]
        assert places[0] == places[1]
    for spec in specs:
        assert_same_run(tmp_path / "a/s" / spec.folder, tmp_path / "b/s" / spec.folder, spec)


def noting(start: Callable[..., AtWork], places: list[int | None]) -> Callable[..., AtWork]:
    """`start`, which also notes each process' number."""

    def started(folders: Sequence[Path], place: str) -> AtWork:
        turn = start(folders, place)
        places.append(turn.pid)
        return turn

    return started
