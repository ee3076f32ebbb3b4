"""Backends and `execute`: everything is trained once, whoever is killed."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from tiny_runs import assert_same_run, diverging, frozen, state_of, tiny

from bench import lease
from bench.backends import Backend, Inline, Local, make_backend
from bench.backends.packing import Pack
from bench.execute import Outcome, execute
from bench.progress import PlainDisplay
from bench.run_folder import RunFolder
from bench.spec import RunSpec
from bench.store import Planned, Store
from wgan.components import ConfigError

LONG = 100_000  # steps: not over before something happens to it


@pytest.fixture
def local() -> Iterator[Local]:
    backend = Local(slots=2)
    yield backend
    backend.close(kill=True)


def planned(results: Path, *specs: RunSpec) -> list[Planned]:
    frozen(results, *specs)
    return Store(results, "s").plan(specs)


def waiting_in(backend: Local) -> list[Planned]:
    """The runs in its queue, each alone."""
    assert all(len(pack.items) == 1 for pack in backend._queue)
    return [pack.items[0] for pack in backend._queue]


def run_all(items: Sequence[Planned], backend: Backend, **options: bool) -> tuple[Outcome, str]:
    """The outcome and what was printed."""
    stream = io.StringIO()
    return execute(items, backend, PlainDisplay(stream), **options), stream.getvalue()


def wait_for(condition: object, seconds: float = 20.0) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def when_trained_a_little(item: Planned) -> int:
    """The process at a run, as soon as the run has a checkpoint."""
    wait_for(lambda: RunFolder(item.folder).checkpoints())
    return int((lease.owner_of(item.folder) or {})["pid"])


def later(act: object) -> threading.Thread:
    assert callable(act)
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_local_and_inline_train_the_same_bits(tmp_path: Path, local: Local) -> None:
    specs = [tiny(seed=0), tiny("wgan_gp", seed=1), diverging()]
    ours, theirs = planned(tmp_path / "a", *specs), planned(tmp_path / "b", *specs)
    outcome, printed = run_all(ours, local)
    assert outcome.exit_code == 0
    assert [outcome.states[spec.run_id] for spec in specs] == ["done", "done", "diverged"]
    assert "[3/3]" in printed
    run_all(theirs, Inline())
    for one, other in zip(ours[:2], theirs[:2], strict=True):
        assert_same_run(one.folder, other.folder, one.spec)


def test_a_finished_sweep_trains_nothing(tmp_path: Path, local: Local) -> None:
    specs = [tiny(steps=10), tiny(steps=10, seed=1)]
    run_all(planned(tmp_path, *specs), Inline())
    logs = [(item.folder / "log.txt").read_text() for item in planned(tmp_path, *specs)]
    outcome, printed = run_all(planned(tmp_path, *specs), local)
    assert outcome.exit_code == 0
    assert printed == ""
    assert [(item.folder / "log.txt").read_text() for item in planned(tmp_path, *specs)] == logs


def test_two_runners_on_one_folder_train_each_run_once(tmp_path: Path) -> None:
    specs = [tiny(seed=seed) for seed in range(6)]
    items = planned(tmp_path, *specs)
    backends = [Local(slots=1), Local(slots=1)]
    outcomes: list[Outcome] = []
    threads = [
        later(lambda backend=backend: outcomes.append(run_all(items, backend)[0]))
        for backend in backends
    ]
    for thread in threads:
        thread.join()
    assert [outcome.exit_code for outcome in outcomes] == [0, 0]
    for item in items:
        assert state_of(item.folder)["state"] == "done"
        log = (item.folder / "log.txt").read_text()
        assert (log.count("begins at step 0"), log.count("done at step 60")) == (1, 1)


def test_a_worker_killed_from_outside_fails_alone(tmp_path: Path, local: Local) -> None:
    items = planned(tmp_path, tiny(steps=LONG), tiny(seed=1), tiny(seed=2))
    thread = later(lambda: os.kill(when_trained_a_little(items[0]), signal.SIGKILL))
    outcome, printed = run_all(items, local)
    thread.join()
    assert [outcome.states[item.spec.run_id] for item in items] == ["failed", "done", "done"]
    assert outcome.exit_code == 1
    assert "killed from outside by SIGKILL" in state_of(items[0].folder)["reason"]
    assert "failed: gan seed 0" in printed
    assert "SIGKILL" in printed
    assert not (items[0].folder / "lease").exists()


def test_a_worker_told_to_stop_from_outside_is_interrupted(tmp_path: Path, local: Local) -> None:
    items = planned(tmp_path, tiny(steps=LONG), tiny(seed=1))
    thread = later(lambda: os.kill(when_trained_a_little(items[0]), signal.SIGTERM))
    outcome, _ = run_all(items, local)
    thread.join()
    assert [outcome.states[item.spec.run_id] for item in items] == ["interrupted", "done"]
    assert outcome.exit_code == 1
    assert not (items[0].folder / "state.json").exists()


def test_a_run_whose_folder_is_deleted_fails_alone(tmp_path: Path, local: Local) -> None:
    items = planned(tmp_path, tiny(steps=LONG), tiny(seed=1))

    def delete() -> None:
        when_trained_a_little(items[0])
        items[0].folder.rename(tmp_path / "gone")

    thread = later(delete)
    outcome, _ = run_all(items, local)
    thread.join()
    assert [outcome.states[item.spec.run_id] for item in items] == ["failed", "done"]
    assert "was removed" in outcome.reasons[items[0].spec.run_id]


@pytest.mark.parametrize("inline", [False, True])
def test_a_folder_that_cannot_be_written_fails_alone(
    tmp_path: Path, local: Local, inline: bool
) -> None:
    items = planned(tmp_path, tiny(), tiny(seed=1))
    shutil.rmtree(items[0].folder)
    items[0].folder.write_text("a file")
    outcome, _ = run_all(items, Inline() if inline else local)
    assert [outcome.states[item.spec.run_id] for item in items] == ["failed", "done"]
    assert outcome.exit_code == 1


def test_fail_fast_stops_the_others(tmp_path: Path, local: Local) -> None:
    items = planned(tmp_path, tiny(steps=LONG), tiny(steps=LONG - 1), tiny(seed=2))
    thread = later(lambda: os.kill(when_trained_a_little(items[0]), signal.SIGKILL))
    outcome, _ = run_all(items, local, fail_fast=True)
    thread.join()
    states = [outcome.states[item.spec.run_id] for item in items]
    assert states == ["failed", "interrupted", "pending"]
    assert outcome.exit_code == 1


def test_ctrl_c_saves_what_runs_and_begins_nothing_more(tmp_path: Path, local: Local) -> None:
    items = planned(tmp_path, *(tiny(steps=LONG, seed=seed) for seed in range(3)))

    def interrupt() -> None:
        when_trained_a_little(items[1])
        os.kill(os.getpid(), signal.SIGINT)

    thread = later(interrupt)
    outcome, printed = run_all(items, local)
    thread.join()
    assert outcome.exit_code == 130
    assert sorted(outcome.states.values()) == ["interrupted", "interrupted", "pending"]
    assert "Ctrl-C again kills" in printed
    assert all(not (item.folder / "state.json").exists() for item in items)
    plan = Store(tmp_path, "s").plan([item.spec for item in items])
    assert sorted(item.action for item in plan) == ["resume", "resume", "run"]


def test_ctrl_c_reaches_a_run_in_the_same_process(tmp_path: Path) -> None:
    items = planned(tmp_path, tiny(steps=LONG), tiny(seed=1))
    seen: list[int] = []

    def interrupt() -> None:
        seen.append(1)
        if len(seen) == 3:
            os.kill(os.getpid(), signal.SIGINT)

    outcome, _ = run_all(items, Inline(between=interrupt))
    assert outcome.exit_code == 130
    assert [outcome.states[item.spec.run_id] for item in items] == ["interrupted", "pending"]


def test_a_second_ctrl_c_kills(tmp_path: Path, local: Local) -> None:
    """The run is stopped (SIGSTOP), so that it cannot obey the first one."""
    items = planned(tmp_path, tiny(steps=LONG))

    def insist() -> None:
        os.kill(when_trained_a_little(items[0]), signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1.2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = later(insist)
    outcome, printed = run_all(items, local)
    thread.join()
    assert outcome.states[items[0].spec.run_id] == "interrupted"
    assert "killing what still runs" in printed
    assert Store(tmp_path, "s").plan([items[0].spec])[0].action == "resume"


def test_the_longest_runs_begin_first(tmp_path: Path) -> None:
    short, long = tiny(steps=10), tiny("wgan_gp", steps=10)
    items = planned(tmp_path, short, long, tiny(steps=30))
    backend = Local(slots=1)
    backend.submit(items)
    waiting = waiting_in(backend)
    assert [item.spec.config.steps for item in waiting] == [10, 30, 10]
    assert waiting[0].spec.recipe == "wgan_gp"


def test_among_equals_the_labels_take_turns_seed_by_seed(tmp_path: Path) -> None:
    """So that what is finished, whenever a sweep is stopped, can be compared in pairs."""
    lrs = (1e-3, 2e-3, 3e-3)
    specs = [
        tiny(label=f"{lr}", seed=seed, optimizer={"adam": {"lr": lr}}, steps=steps)
        for steps in (10, 30)
        for lr in lrs
        for seed in range(3)
    ]
    backend = Local(slots=1)
    items = planned(tmp_path, *specs)
    backend.submit(items[9:])
    backend.submit(items[:9])
    waiting = waiting_in(backend)
    order = [(item.spec.config.steps, item.spec.config.seed) for item in waiting]
    assert order == [(steps, seed) for steps in (30, 10) for seed in range(3) for _ in lrs]
    labels = [item.spec.label for item in waiting]
    assert labels == [f"{lr}" for lr in lrs] * 6


@pytest.mark.parametrize("state", ["done", "diverged", "failed"])
def test_a_run_that_another_runner_has_ended_meanwhile_is_not_trained_again(
    tmp_path: Path, local: Local, state: str
) -> None:
    ours, theirs = planned(tmp_path, tiny(seed=1), tiny(seed=2))
    (theirs.folder / "train.jsonl").write_text("")
    RunFolder(theirs.folder).finish(theirs.spec.run_id, state, reason="", step=7)
    outcome, printed = run_all([ours, theirs], local)
    assert outcome.states == {ours.spec.run_id: "done", theirs.spec.run_id: state}
    assert outcome.reasons[theirs.spec.run_id] == "trained by another runner"
    assert not (theirs.folder / "log.txt").exists()
    assert f"{state}: gan seed 2: trained by another runner" in printed
    # Only whoever plans after the failure tries it again.
    outcome, _ = run_all(Store(tmp_path, "s").plan([theirs.spec]), Local(slots=1))
    assert outcome.states == {theirs.spec.run_id: "done" if state == "failed" else state}


def test_runs_that_another_runner_has_begun_meanwhile_are_left_to_it(tmp_path: Path) -> None:
    items = planned(tmp_path, *(tiny(seed=seed) for seed in range(4)))
    held = [items[0], items[1], items[3]]
    backend = Local(slots=1)
    with contextlib.ExitStack() as leases:
        for item in held:
            leases.enter_context(lease.take_lease(item.folder))
        outcome, printed = run_all(items, backend)
    backend.close(kill=True)
    whose = lease.this_process()
    other = f"process {whose['pid']} on {whose['host']}"
    states = [outcome.states[item.spec.run_id] for item in items]
    assert states == ["running", "running", "done", "running"]
    assert outcome.exit_code == 0
    assert outcome.elsewhere == {other: 3}
    # Said once, though the fourth is come upon later.
    assert printed.count("being trained by") == 1
    assert f"2 runs are being trained by {other}; left to it" in printed
    assert "[1/4] done: gan seed 2" in printed
    assert not any((item.folder / "log.txt").exists() for item in held)


def test_taking_back_ten_thousand_waiting_runs_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.backends.local.found_state", lambda _: ("pending", ""))
    names = [f"{number:012x}" for number in range(10_000)]
    backend = Local(slots=1)
    backend._queue = [Pack((SimpleNamespace(spec=SimpleNamespace(run_id=name)),)) for name in names]
    began = time.process_time()
    backend.cancel(names)
    assert time.process_time() - began < 0.3
    assert not backend.busy()


def test_a_run_left_by_a_dead_host_is_taken_over(
    tmp_path: Path, local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    from test_lease import left_behind

    monkeypatch.setattr(lease, "EXPIRES_SECONDS", 1.0)
    frozen(tmp_path, tiny())
    (item,) = Store(tmp_path, "s").plan([tiny()])
    left_behind(item.folder, host="elsewhere")
    (item,) = Store(tmp_path, "s").plan([tiny()])
    assert (item.state, item.action) == ("running", "keep")
    outcome, _ = run_all([item], local)
    assert outcome.states[item.spec.run_id] == "done"


def test_a_process_has_the_threads_of_its_slot(tmp_path: Path, local: Local) -> None:
    (item,) = planned(tmp_path, tiny(steps=LONG))
    local.submit([item])
    local.states()
    pid = when_trained_a_little(item)
    assert psutil.Process(pid).environ()["OMP_NUM_THREADS"] == "1"
    # Beside its own there are the heartbeat's and the parent's watch, which sleep.
    spent = [each.user_time + each.system_time for each in psutil.Process(pid).threads()]
    assert sum(seconds > 0.1 for seconds in spent) <= 1


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("locall", {}, "unknown backend 'locall'; did you mean 'local'"),
        ("local", {"slots": 0}, "slots: 0 is not allowed"),
        ("local", {"threads": 0}, "threads: 0 is not allowed"),
        ("inline", {"slots": 2}, "inline has one"),
    ],
)
def test_a_wrong_backend_is_a_clear_error(name: str, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_backend(name, **options)
