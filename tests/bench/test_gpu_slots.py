"""Slots on GPUs: a fresh process that sees one GPU, from a spare that was loaded ahead.

No GPU is needed: processes are begun as for one, and asked what they see. What really uses CUDA is
marked `gpu`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from light_process import serve, serve_slowly
from tiny_runs import frozen, state_of, tiny

from bench.backends import Local, fresh, local
from bench.backends.fresh import Fresh
from bench.backends.gpus import choose_gpus
from bench.backends.processes import NotStarted, Terms
from bench.execute import execute
from bench.lease import owner_of
from bench.progress import PlainDisplay
from bench.store import Planned, Store

RUNNER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from bench.backends import Local, local
from bench.execute import execute
from bench.progress import PlainDisplay
from bench.store import Store
from test_gpu_slots import SWEEP

if __name__ == "__main__":
    local._GPU = "cpu"
    plan = Store(Path(sys.argv[1]), "s").plan(SWEEP)
    execute(plan, Local(gpus=("GPU-a",)), PlainDisplay(sys.stderr))
"""
SWEEP = [tiny(steps=100_000), tiny(steps=100_000, seed=1)]


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Fresh]]:
    """Makes what begins processes; these load nothing, and write down what they see."""
    made: list[Fresh] = []

    def make(gpus: Sequence[str], per_gpu: int, does: Callable[..., None] = serve) -> Fresh:
        monkeypatch.setattr(fresh, "_wait_and_train", does)
        made.append(Fresh(SimpleNamespace(threads=3), gpus, per_gpu))
        return made[-1]

    yield make
    for one in made:
        one.close()


def spares(one: Fresh) -> dict[str, int]:
    return {gpu: len(waiting) for gpu, waiting in one._spares.items()}


def prepared(one: Fresh, waiting: int, wanted: dict[str, int]) -> None:
    """Prepare as a runner does, until these spares stand loaded."""
    end = time.monotonic() + 60
    while True:
        one.prepare(waiting)
        loaded = [not spare.loads() for waiting in one._spares.values() for spare in waiting]
        if spares(one) == wanted and all(loaded):
            return
        assert time.monotonic() < end, spares(one)
        time.sleep(0.01)


def run_in(one: Fresh, folder: Path, gpu: str) -> dict:
    """What the process of a run saw."""
    folder.mkdir()
    process = one.start([folder], gpu)
    process.join(60)
    assert process.exitcode == 0
    return json.loads((folder / "seen.json").read_text())


def test_a_process_sees_its_gpu_from_its_first_moment(
    tmp_path: Path, processes: Callable[..., Fresh]
) -> None:
    one = processes(["GPU-a", "3"], 1)
    for number, gpu in enumerate(("3", "GPU-a", "3")):
        seen = run_in(one, tmp_path / str(number), gpu)
        assert (seen["visible"], seen["threads"]) == (gpu, "3")
        assert signal.SIGINT in seen["blocked"]
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_a_run_gets_the_spare_of_its_gpu(tmp_path: Path, processes: Callable[..., Fresh]) -> None:
    one = processes(["a", "b"], 1)
    prepared(one, 5, {"a": 1, "b": 1})
    (ahead,) = one._spares["b"]
    assert run_in(one, tmp_path / "run", "b")["pid"] == ahead.process.pid
    assert spares(one) == {"a": 1, "b": 0}


def test_there_are_as_many_spares_as_slots_while_runs_wait_and_none_after(
    processes: Callable[..., Fresh],
) -> None:
    one = processes(["a", "b"], 2)
    prepared(one, 5, {"a": 2, "b": 2})
    held = [spare.process.pid for waiting in one._spares.values() for spare in waiting]
    prepared(one, 1, {"a": 1, "b": 1})
    prepared(one, 0, {"a": 0, "b": 0})
    assert not any(map(psutil.pid_exists, held))


def test_one_process_loads_at_a_time_on_a_gpu(
    tmp_path: Path, processes: Callable[..., Fresh]
) -> None:
    one = processes(["a", "b"], 2, serve_slowly)
    (tmp_path / "run").mkdir()
    running = one.start([tmp_path / "run"], "a")
    for _ in range(3):
        one.prepare(9)
        assert spares(one) == {"a": 0, "b": 1}
    prepared(one, 9, {"a": 2, "b": 2})
    running.join(60)


def test_a_spare_that_died_is_replaced_and_costs_no_run(
    tmp_path: Path, processes: Callable[..., Fresh]
) -> None:
    one = processes(["a"], 1)
    for number in range(3):
        prepared(one, 5, {"a": 1})
        one._spares["a"][0].process.kill()
        one._spares["a"][0].process.join()
        assert run_in(one, tmp_path / str(number), "a")["visible"] == "a"
    prepared(one, 5, {"a": 1})
    one._spares["a"][0].process.kill()
    one._spares["a"][0].process.join()
    prepared(one, 5, {"a": 1})
    assert one._spares["a"][0].process.exitcode is None


def test_processes_that_never_live_are_a_failure_with_a_reason(
    tmp_path: Path, processes: Callable[..., Fresh], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = processes(["a"], 1)
    monkeypatch.setattr(fresh._Fresh, "lives", lambda _: False)
    with pytest.raises(NotStarted, match="ended before"):
        one.start([tmp_path], "a")


def planned(results: Path, count: int, steps: int = 10) -> list[Planned]:
    specs = [tiny(seed=seed, steps=steps) for seed in range(count)]
    frozen(results, *specs)
    return Store(results, "s").plan(specs)


def test_runs_fill_the_least_loaded_gpu_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = Local(gpus=("a", "b", "c"), per_gpu=2)
    places: list[str] = []
    begun: list[SimpleNamespace] = []

    def start(folder: Path, place: str) -> SimpleNamespace:
        places.append(place)
        begun.append(SimpleNamespace(exitcode=None, close=lambda: None, join=lambda: None))
        return begun[-1]

    monkeypatch.setattr(backend._processes, "start", start)
    monkeypatch.setattr(backend._processes, "prepare", lambda waiting: None)
    backend.submit(planned(tmp_path, 9))
    backend.states()
    assert places == ["a", "b", "c", "a", "b", "c"]
    begun[1].exitcode = begun[4].exitcode = 0  # both on b
    backend.states()
    assert places[6:] == ["b", "b"]
    begun[0].exitcode = 0
    backend.states()
    assert places[8:] == ["a"]


def test_slots_on_gpus_are_per_gpu_times_gpus_or_fewer() -> None:
    assert Local(gpus=("a", "b"), per_gpu=2).slots == 4
    assert Local(slots=3, gpus=("a", "b"), per_gpu=2).slots == 3
    assert Local(slots=9, gpus=("a", "b"), per_gpu=2).slots == 4


def run_all(items: Sequence[Planned], backend: Local) -> dict[str, str]:
    try:
        return execute(items, backend, PlainDisplay(io.StringIO())).states
    finally:
        backend.close(kill=True)


@pytest.mark.slow
def test_real_runs_are_trained_one_after_another_in_a_process_on_each_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_GPU", "cpu")
    items = planned(tmp_path, 6)
    begun: list[Fresh] = []
    begin = Fresh._begin
    monkeypatch.setattr(Fresh, "_begin", lambda *words: begun.append(words[1]) or begin(*words))
    states = run_all(items, Local(gpus=("GPU-a", "GPU-b")))
    assert set(states.values()) == {"done"}
    seen = [json.loads((item.folder / "env.json").read_text()) for item in items]
    assert {one["visible_gpus"] for one in seen} == {"GPU-a", "GPU-b"}
    assert {one["threads"] for one in seen} == {1}
    assert 2 <= len(begun) <= 4  # a process on each GPU, and at most a spare


@pytest.mark.slow
def test_a_spare_outlives_what_is_sent_to_all_and_ends_when_told_to() -> None:
    one = Fresh(Terms("cpu", 1, ()), ["GPU-a"], 1)
    prepared(one, 1, {"GPU-a": 1})
    spare = one._spares["GPU-a"][0].process
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        os.kill(spare.pid, number)
    spare.join(0.5)
    assert spare.exitcode is None
    spare.terminate()
    spare.join(10)
    assert spare.exitcode == -signal.SIGTERM
    one.close()


@pytest.mark.slow
def test_a_gpu_that_cannot_be_used_fails_the_run_with_torchs_words(tmp_path: Path) -> None:
    """The device is really asked for: this torch has no CUDA, or finds no such GPU."""
    items = planned(tmp_path, 1)
    assert set(run_all(items, Local(gpus=("GPU-none",))).values()) == {"failed"}
    reason = state_of(items[0].folder)["reason"]
    assert "CUDA" in reason or "NVIDIA" in reason


@pytest.mark.slow
def test_a_killed_run_leaves_its_slot_usable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_GPU", "cpu")
    items = planned(tmp_path, 12, steps=100_000)
    backend = Local(gpus=("GPU-a",))
    backend.submit(items)
    killed: list[int] = []
    try:
        while len(killed) < 11:
            states = backend.states()
            for item in items:
                owner = owner_of(item.folder)
                if states[item.spec.run_id][0] != "running" or owner is None:
                    continue
                if (pid := int(owner["pid"])) not in killed:
                    number = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT)[len(killed) % 3]
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
                    killed.append(pid)
            backend.wait(0.05)
        end = time.monotonic() + 60
        while not (items[11].folder / "checkpoints").is_dir():
            backend.states()
            assert time.monotonic() < end
            time.sleep(0.05)
    finally:
        backend.close()
    states = backend.states()
    assert [states[item.spec.run_id][0] for item in items] == ["failed"] * 11 + ["interrupted"]
    reasons = [state_of(item.folder)["reason"] for item in items[:3]]
    for reason, word in zip(reasons, ("SIGKILL", "SIGSEGV", "SIGABRT"), strict=True):
        assert word in reason


@pytest.mark.slow
@pytest.mark.parametrize("loaded", [False, True])
def test_spares_die_with_the_runner(tmp_path: Path, loaded: bool) -> None:
    paths = frozen(tmp_path, *SWEEP)
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(tmp_path), str(Path(__file__).parent)],
        cwd=Path(__file__).parents[2],
        start_new_session=True,
    )
    end = time.monotonic() + 90
    process = psutil.Process(runner.pid)
    spawned: list[psutil.Process] = []
    while len(spawned) < 2 or (loaded and not quiet(spawned)):
        assert time.monotonic() < end
        assert runner.poll() is None
        time.sleep(0.05)
        spawned = [child for child in process.children() if "spawn_main" in " ".join(cmd(child))]
    assert owner_of(paths[0]) is not None
    runner.kill()
    runner.wait()
    _, alive = psutil.wait_procs(spawned, timeout=40)
    assert alive == []
    assert Store(tmp_path, "s").plan(SWEEP)[1].state == "pending"


def cmd(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []


def quiet(spawned: Sequence[psutil.Process]) -> bool:
    """Whether the younger of two processes, the spare, has loaded: it uses no time any more."""
    spare = max(spawned, key=lambda process: process.create_time())
    before = sum(spare.cpu_times()[:2])
    time.sleep(0.5)
    return before > 1.0 and sum(spare.cpu_times()[:2]) == before


@pytest.mark.gpu
def test_runs_on_a_real_gpu_are_trained_there_and_spares_do_not_touch_it(tmp_path: Path) -> None:
    items = planned(tmp_path, 4, steps=200)
    backend = Local(gpus=choose_gpus("all"), per_gpu=2)
    backend.submit(items)
    touched: list[str] = []
    try:
        while backend.busy():
            backend.states()
            for waiting in backend._processes._spares.values():
                unused = [spare for spare in waiting if not spare.served]
                touched += [name for spare in unused for name in open_gpus(spare.process.pid)]
            backend.wait(0.1)
    finally:
        backend.close()
    assert touched == []
    assert {state[0] for state in backend.states().values()} == {"done"}
    for item in items:
        seen = json.loads((item.folder / "env.json").read_text())
        assert (seen["device"], seen["numerics"]["device"]) == ("cuda", "cuda")
        assert seen["gpu"]
        assert seen["visible_gpus"] in backend._places
    assert open_gpus(os.getpid()) == []


def open_gpus(pid: int | None) -> list[str]:
    """The GPU devices that a process has open."""
    found = []
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            found.append(str(link.readlink()))
    return [name for name in found if name.startswith("/dev/nvidia")]
