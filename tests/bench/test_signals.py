"""Signals: what stops, what saves, what is cut short for it, and that nobody dies of one."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from test_backend_local import later, planned, wait_for, when_trained_a_little
from test_kill import SWEEP, started_runner, train
from tiny_runs import assert_same_run, frozen, rows_of, state_of, tiny

from bench import session, stopping, worker
from bench.backends import Local
from bench.files import read_rows
from bench.lease import heartbeat_of
from bench.run_folder import RunFolder
from bench.spec import EvaluateSpec, RunSpec
from bench.stopping import STOP_SIGNALS, CutShort, StopRequest, held_back
from bench.store import Store
from wgan import checkpoint
from wgan.train import new_state

LONG_SECONDS = 30.0  # what a test must not wait for
SOON_SECONDS = 5.0
PROFILED = EvaluateSpec(every=30, samples=50, profiles=("value_surface", "layer_gradients"))
SPEC = tiny("wgan_gp", evaluate=PROFILED)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def burn(seconds: float) -> None:
    """Compute: a sleep would be too easily woken."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_stop_signal_is_named(number: signal.Signals) -> None:
    with StopRequest() as stop:
        send(number)
        send(signal.SIGTERM)
    assert stop()
    assert stop.reason == number.name
    assert not stop.take_save()


def test_a_wish_to_save_is_no_stop_and_is_heard_once() -> None:
    with StopRequest() as stop:
        send(signal.SIGUSR1)
        assert not stop()
        assert stop.take_save()
        assert not stop.take_save()


def test_a_wish_to_save_in_the_midst_of_saving_is_heard_after_it() -> None:
    """One save within another would write, and rename, the same file."""
    depth, deepest, saves = 0, 0, 0

    def save() -> None:
        nonlocal depth, deepest, saves
        depth, saves = depth + 1, saves + 1
        deepest = max(deepest, depth)
        if saves == 1:
            send(signal.SIGUSR1)
            burn(0.05)
        depth -= 1

    def act() -> None:
        for _ in range(2):
            send(signal.SIGUSR1)
            burn(0.05)

    with StopRequest() as stop:
        stop.unless_stopped(act, save)
        assert (deepest, saves) == (1, 2)
        assert stop.take_save()


def test_a_run_in_the_runner_s_process_and_the_runner_hear_the_same() -> None:
    with StopRequest(insistent=True) as runner, StopRequest() as run:
        send(signal.SIGUSR1)
        assert (runner.take_save(), run.take_save()) == (True, True)
        send(signal.SIGUSR2)
        assert (runner.reason, run.reason) == ("SIGUSR2", "SIGUSR2")


def test_handlers_are_put_back() -> None:
    numbers = (*STOP_SIGNALS, signal.SIGUSR1, signal.SIGVTALRM)
    before = [signal.getsignal(number) for number in numbers]
    with StopRequest():
        assert [signal.getsignal(number) for number in numbers] != before
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGUSR2, signal.SIGUSR1])
def test_only_a_ctrl_c_insists(second: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler sends USR2 and then TERM while runs still save."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with StopRequest(insistent=True) as stop:
        send(signal.SIGUSR2)
        now[0] = 0.9
        send(signal.SIGINT)  # the same Ctrl-C, passed on
        now[0] = 5.0
        send(second)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
    assert stop.reason == "SIGUSR2"


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_what_may_be_left_undone_is_cut_short(number: int) -> None:
    started = time.monotonic()
    with StopRequest() as stop:
        later(lambda: (time.sleep(0.1), send(number)))
        with pytest.raises(CutShort, match=signal.Signals(number).name):
            stop.unless_stopped(lambda: burn(LONG_SECONDS))
    assert time.monotonic() - started < SOON_SECONDS


def test_a_stop_from_another_thread_cuts_short_too() -> None:
    """The lease's thread that reads a cancellation, or the watch over the runner."""
    started = time.monotonic()
    with StopRequest() as stop:
        later(lambda: (time.sleep(0.1), stop.ask("cancelled")))
        with pytest.raises(CutShort, match="cancelled"):
            stop.unless_stopped(lambda: burn(LONG_SECONDS))
    assert time.monotonic() - started < SOON_SECONDS


def test_what_must_be_whole_is_not_cut_short() -> None:
    with StopRequest() as stop:
        assert stop.unless_stopped(lambda: 3) == 3
        send(signal.SIGTERM)
        stop.ask("again")
        burn(0.1)
        assert stop.reason == "SIGTERM"
        with pytest.raises(CutShort):  # nor begun any more
            stop.unless_stopped(lambda: pytest.fail("begun"))


def test_a_stop_that_somebody_swallowed_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is in a finaliser, or in a library that catches everything."""
    monkeypatch.setattr(stopping, "_AGAIN_SECONDS", 0.1)

    def swallow() -> None:
        with contextlib.suppress(BaseException):
            burn(LONG_SECONDS)
        burn(LONG_SECONDS)

    started = time.monotonic()
    with StopRequest() as stop:
        later(lambda: (time.sleep(0.1), send(signal.SIGTERM)))
        with pytest.raises(CutShort):
            stop.unless_stopped(swallow)
        burn(0.5)  # and then no more
    assert time.monotonic() - started < SOON_SECONDS


def test_a_stop_that_comes_out_as_another_exception_is_the_stop() -> None:
    def wrap() -> None:
        try:
            burn(LONG_SECONDS)
        except BaseException as error:
            raise RuntimeError("a library's own") from error

    with StopRequest() as stop:
        later(lambda: (time.sleep(0.1), send(signal.SIGTERM)))
        with pytest.raises(CutShort):
            stop.unless_stopped(wrap)
    with StopRequest() as stop, pytest.raises(ZeroDivisionError):
        stop.unless_stopped(lambda: 1 // 0)


def test_a_second_signal_leaves_the_tidying_up_alone() -> None:
    """A scheduler's, and then the same passed on by the runner."""
    tidied = []

    def act() -> None:
        try:
            burn(LONG_SECONDS)
        finally:
            send(signal.SIGTERM)
            send(signal.SIGUSR2)
            tidied.append(1)

    with StopRequest() as stop:
        later(lambda: (time.sleep(0.1), send(signal.SIGUSR2)))
        with pytest.raises(CutShort):
            stop.unless_stopped(act)
    assert tidied == [1]


def test_a_signal_that_was_held_back_is_heard_as_soon_as_it_can_be() -> None:
    with held_back():
        # To this thread: others of the process, those of the tests, hold nothing back.
        signal.raise_signal(signal.SIGUSR2)
        signal.raise_signal(signal.SIGUSR1)
        with StopRequest() as stop:
            assert stop.reason == "SIGUSR2"
            assert stop.take_save()
        # A process that ends must not die of one either.
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) >= {*STOP_SIGNALS, signal.SIGUSR1}
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())


# Runs in this process


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nobody disturbed."""
    (path,) = frozen(tmp_path_factory.mktemp("whole"), SPEC)
    worker.run([path])
    return path


Slow = Callable[[int, float], None]


@pytest.fixture
def slow_evaluation(monkeypatch: pytest.MonkeyPatch) -> Slow:
    """Makes the evaluation of one step last long, once; after that it is as it was."""

    def slow(step: int, seconds: float) -> None:
        honest = session.diagnose

        def diagnose(config: Any, state: Any, *rest: Any) -> dict[str, float]:
            found = honest(config, state, *rest)
            if state.step == step:
                monkeypatch.setattr(session, "diagnose", honest)
                burn(seconds)
            return found

        monkeypatch.setattr(session, "diagnose", diagnose)

    return slow


def evaluating(path: Path, step: int) -> bool:
    """Whether the run is at the evaluation of a step, by its rows: heartbeats are rare."""
    rows = read_rows(path / "train.jsonl")[0] if step else [{"step": 0}]
    return bool(rows) and rows[-1]["step"] == step and bool(list(path.glob("eval-*.jsonl")))


def evaluated(path: Path) -> list[int]:
    return [row["step"] for file in path.glob("eval-*") for row in read_rows(file)[0]]


def extra_of(path: Path, spec: RunSpec) -> dict[str, Any]:
    newest = RunFolder(path).checkpoints()[0]
    return checkpoint.load(newest, new_state(spec.config, spec.config.dataset.load()))


@pytest.mark.parametrize(
    ("step", "number"), [(0, signal.SIGTERM), (30, signal.SIGUSR2), (60, signal.SIGINT)]
)
def test_a_stop_during_an_evaluation_saves_at_once_and_the_evaluation_is_made_later(
    tmp_path: Path, whole: Path, slow_evaluation: Slow, step: int, number: signal.Signals
) -> None:
    (path,) = frozen(tmp_path, SPEC)
    slow_evaluation(step, LONG_SECONDS)
    later(lambda: (wait_for(lambda: evaluating(path, step)), time.sleep(0.2), send(number)))
    started = time.monotonic()
    worker.run([path])
    assert time.monotonic() - started < LONG_SECONDS / 2
    assert not (path / "state.json").exists()
    assert evaluated(path) == [at for at in (0, 30, 60) if at < step]
    assert [int(p.stem[5:]) for p in RunFolder(path).samples()] == evaluated(path)
    assert extra_of(path, SPEC)["evaluation_due"] is True
    assert (
        f"stopped at step {step}, its evaluation still due ({number.name})"
        in (path / "log.txt").read_text()
    )
    (item,) = Store(tmp_path, "s").plan([SPEC])
    assert (item.state, item.action, item.step) == ("interrupted", "resume", step)

    worker.run([path])
    assert evaluated(path) == [0, 30, 60]
    assert_same_run(path, whole, SPEC)
    pictures = [file.read_bytes() for file in RunFolder(path).samples()]
    assert pictures == [file.read_bytes() for file in RunFolder(whole).samples()]


@pytest.mark.slow
def test_a_due_evaluation_may_be_cut_short_again(
    tmp_path: Path, whole: Path, slow_evaluation: Slow
) -> None:
    (path,) = frozen(tmp_path, SPEC)
    for _ in range(2):
        slow_evaluation(30, LONG_SECONDS)
        later(
            lambda: (
                wait_for(lambda: evaluating(path, 30)),
                time.sleep(0.5),
                send(signal.SIGUSR2),
            )
        )
        worker.run([path])
        assert extra_of(path, SPEC)["evaluation_due"] is True
    worker.run([path])
    assert_same_run(path, whole, SPEC)


def test_a_stop_just_before_an_evaluation_does_not_begin_it(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = frozen(tmp_path, SPEC)
    honest = session.Session._evaluate

    def evaluate(this: session.Session, **save: Any) -> str | None:
        if this.state.step == 30:
            send(signal.SIGUSR2)
        return honest(this, **save)

    monkeypatch.setattr(session.Session, "_evaluate", evaluate)
    worker.run([path])
    assert evaluated(path) == [0]
    monkeypatch.undo()
    worker.run([path])
    assert_same_run(path, whole, SPEC)


def test_a_wish_to_save_during_an_evaluation_is_granted_meanwhile(
    tmp_path: Path, whole: Path, slow_evaluation: Slow
) -> None:
    """And what it saved is worth something, should the run be killed before the next."""
    seldom = tiny("wgan_gp", evaluate=PROFILED, checkpoint_seconds=1000.0)
    (path,) = frozen(tmp_path, seldom)
    slow_evaluation(30, 1.0)
    kept: dict[Path, bytes] = {}

    def wish() -> None:
        wait_for(lambda: evaluating(path, 30))
        send(signal.SIGUSR1)
        wait_for(lambda: RunFolder(path).kept_step() == 30)
        files = (RunFolder(path).checkpoints()[0], *path.glob("*.jsonl"))
        kept.update({file: file.read_bytes() for file in files})

    thread = later(wish)
    worker.run([path])
    thread.join()
    assert state_of(path)["state"] == "done"
    assert_same_run(path, whole, SPEC)

    # As it lay there at that moment.
    (path / "state.json").unlink()
    for each in RunFolder(path).checkpoints():
        each.unlink()
    for file, content in kept.items():
        file.write_bytes(content)
    assert extra_of(path, SPEC)["evaluation_due"] is True
    assert evaluated(path) == [0]
    worker.run([path])
    assert "goes on from the checkpoint at step 30" in (path / "log.txt").read_text()
    assert_same_run(path, whole, SPEC)


def test_a_wish_to_save_is_granted_between_two_rows_and_the_run_goes_on(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seldom = tiny("wgan_gp", evaluate=PROFILED, checkpoint_seconds=1000.0)
    (path,) = frozen(tmp_path, seldom)
    honest, saved = session.Session.wants_a_pause, []

    def wants(this: session.Session) -> bool:
        if this.state.step == 17:
            send(signal.SIGUSR1)
        if this.state.step == 18:
            saved.extend(file.name for file in RunFolder(path).checkpoints())
        return honest(this)

    monkeypatch.setattr(session.Session, "wants_a_pause", wants)
    worker.run([path])
    assert saved == ["step-00000017.ckpt"]
    assert state_of(path)["state"] == "done"
    assert_same_run(path, whole, SPEC)


def test_checkpoints_come_by_the_clock_and_not_by_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second per step, a row per 30 steps: no more than the stated 7 seconds are ever lost."""
    clock = [0.0]
    honest = session.Session.wants_a_pause
    saved: list[int] = []

    def wants(this: session.Session) -> bool:
        clock[0] = float(this.state.step)
        return honest(this)

    def save(path: Path, state: Any, extra: Any) -> None:
        saved.append(state.step)
        honest_save(path, state, extra)

    honest_save = checkpoint.save
    monkeypatch.setattr(session.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(session.Session, "wants_a_pause", wants)
    monkeypatch.setattr(checkpoint, "save", save)
    spec = tiny(steps=40, log_every=30, checkpoint_seconds=7.0)
    worker.run(frozen(tmp_path, spec))
    assert saved == [7, 14, 21, 28, 35, 40]


@pytest.mark.parametrize("what", ["data", "evaluator"])
def test_a_stop_while_data_are_read_ends_at_once_and_leaves_the_run_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    (path,) = frozen(tmp_path, SPEC)
    begun = threading.Event()

    def read(*_: object, **__: object) -> None:
        begun.set()
        burn(LONG_SECONDS)

    if what == "data":
        monkeypatch.setattr(type(SPEC.config.dataset), "load", read)
    else:
        monkeypatch.setattr(session, "Evaluator", read)
    later(lambda: (begun.wait(), send(signal.SIGUSR2)))
    started = time.monotonic()
    worker.run([path])
    assert time.monotonic() - started < SOON_SECONDS
    assert "stopped before it trained (SIGUSR2)" in (path / "log.txt").read_text()
    assert sorted(item.name for item in path.iterdir()) == ["log.txt", "spec.json"]
    (item,) = Store(tmp_path, "s").plan([SPEC])
    assert (item.state, item.action) == ("pending", "run")


# Processes


@pytest.fixture
def local() -> Iterator[Local]:
    backend = Local(slots=2)
    yield backend
    backend.close(kill=True)


def test_a_run_that_still_starts_hears_its_signal_and_dies_of_none(
    tmp_path: Path, local: Local
) -> None:
    specs = [tiny(steps=100_000, seed=seed) for seed in range(8)]
    items = planned(tmp_path, *specs)
    numbers = [signal.SIGTERM, signal.SIGUSR2, signal.SIGINT, signal.SIGTERM] * 2
    codes = []
    for number, (item, wait) in zip(
        numbers, zip(items, (0, 0, 0, 0, 0.002, 0.005, 0.01, 0.02), strict=True), strict=True
    ):
        local.submit([item])
        local.states()
        process = local._running[-1].process
        time.sleep(wait)
        for each in (signal.SIGUSR1, number, signal.SIGUSR1, number):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, each)
        process.join(20)
        codes.append(process.exitcode)
        local.states()
    assert codes == [0] * 8
    assert {local.states()[item.spec.run_id][0] for item in items} <= {"pending", "interrupted"}
    assert not [item for item in items if (item.folder / "state.json").exists()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_the_server_outlives_every_signal_that_is_sent_to_all(
    tmp_path: Path, local: Local, number: int
) -> None:
    local._processes._ensure_server()
    servers = [
        child
        for child in psutil.Process().children()
        if "forkserver" in " ".join(child.cmdline())
        or "resource_tracker" in " ".join(child.cmdline())
    ]
    assert len(servers) == 2
    for server in servers:
        server.send_signal(number)
    items = planned(tmp_path, tiny(steps=10))
    local.submit(items)
    local.states()
    while local.busy():
        local.wait(0.1)
        local.states()
    assert state_of(items[0].folder)["state"] == "done"
    assert all(server.is_running() for server in servers)


@pytest.mark.slow
def test_a_runner_asked_to_save_has_its_runs_save_and_go_on(tmp_path: Path, local: Local) -> None:
    from test_backend_local import run_all

    seldom = tiny(steps=100_000, checkpoint_seconds=1000.0, log_every=100_000)
    items = planned(tmp_path, seldom)

    def ask() -> None:
        wait_for(lambda: heartbeat_of(items[0].folder).get("doing") == "training")
        send(signal.SIGUSR1)
        when_trained_a_little(items[0])
        send(signal.SIGUSR2)

    thread = later(ask)
    outcome, printed = run_all(items, local)
    thread.join()
    assert outcome.states[items[0].spec.run_id] == "interrupted"
    assert "stopping (SIGUSR2)" in printed
    log = (items[0].folder / "log.txt").read_text()
    assert log.count("stopped at step") == 1
    assert len(RunFolder(items[0].folder).checkpoints()) == 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_a_stop_sent_to_all_processes_saves_every_run(tmp_path: Path, number: int) -> None:
    """As a scheduler sends it: to the runner, the server, the tracker and the runs at once."""
    runner, children = started_runner(tmp_path)
    os.killpg(runner.pid, number)
    _, errors = runner.communicate(timeout=30)
    assert runner.returncode == 130
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert b"Traceback" not in errors
    assert b"resource_tracker" not in errors
    plan = Store(tmp_path, "s").plan(SWEEP)
    assert [item.action for item in plan] == ["resume", "resume", "run"]
    assert not any((item.folder / "state.json").exists() for item in plan)
    train(tmp_path, *SWEEP)


@pytest.mark.slow
def test_a_wish_to_save_sent_to_all_processes_disturbs_nobody(tmp_path: Path) -> None:
    runner, _ = started_runner(tmp_path)
    for _ in range(5):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(runner.pid, signal.SIGUSR1)
        time.sleep(0.1)
    _, errors = runner.communicate(timeout=60)
    assert runner.returncode == 0, errors
    assert b"Traceback" not in errors
    for item in Store(tmp_path, "s").plan(SWEEP):
        assert (item.folder / "log.txt").read_text().count("begins at step 0") == 1


@pytest.mark.slow
def test_a_terminal_that_is_closed_makes_runs_save(tmp_path: Path) -> None:
    runner, children = started_runner(tmp_path)
    os.killpg(runner.pid, signal.SIGHUP)
    runner.communicate(timeout=30)
    _, alive = psutil.wait_procs(children, timeout=15)
    assert alive == []
    plan = Store(tmp_path, "s").plan(SWEEP)
    assert [item.action for item in plan] == ["resume", "resume", "run"]
    assert "(the runner is gone)" in (plan[0].folder / "log.txt").read_text()
    rows = rows_of(plan[0].folder)
    train(tmp_path, *SWEEP)
    assert set(rows) <= set(rows_of(plan[0].folder))


@pytest.mark.slow
def test_a_run_taken_back_during_a_long_evaluation_saves_within_seconds(
    tmp_path: Path,
) -> None:
    """A real process with a real evaluation."""
    slow = EvaluateSpec(every=20, samples=4000, critic_samples=4000, ascent_steps=20_000)
    spec = tiny(steps=100_000, evaluate=slow)
    items = planned(tmp_path, spec)
    backend = Local(slots=1)
    try:
        backend.submit(items)
        backend.states()
        path = items[0].folder
        wait_for(lambda: heartbeat_of(path).get("doing") == "evaluating", 60)
        time.sleep(0.5)
        started = time.monotonic()
        backend.cancel([spec.run_id])
        while backend.busy():
            backend.states()
            backend.wait(0.1)
        assert time.monotonic() - started < SOON_SECONDS
        assert "its evaluation still due (SIGTERM)" in (path / "log.txt").read_text()
    finally:
        backend.close(kill=True)
