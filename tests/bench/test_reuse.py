"""What a run leaves in its process: some is put back, and any other trace ends the process."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
import torch
from tiny_runs import frozen, tiny

from bench import stopping
from bench.backends.reuse import Origin, ended_well
from bench.run_folder import RunFolder
from bench.stopping import StopRequest, stop_with_parent

over = threading.Event()


def leave_a_thread() -> Callable[[], None]:
    over.clear()
    thread = threading.Thread(target=over.wait, daemon=True)
    thread.start()
    return lambda: (over.set(), thread.join())


def leave_a_handler() -> Callable[[], None]:
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    return lambda: signal.signal(signal.SIGUSR1, before)


def leave_a_mask() -> Callable[[], None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    return lambda: signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_numpys_errors() -> Callable[[], None]:
    before = numpy.seterr(all="raise")
    return lambda: numpy.seterr(**before)


def leave(get: Callable[[], object], put: Callable[[object], object], value: object) -> object:
    """Makes what sets `value` and returns what puts the earlier one back."""

    def act() -> Callable[[], object]:
        before = get()
        put(value)
        return lambda: put(before)

    return act


def setting(place: object, name: str, value: object) -> object:
    return leave(lambda: getattr(place, name), lambda value: setattr(place, name, value), value)


TRACES = {
    "thread": leave_a_thread,
    "handler": leave_a_handler,
    "mask": leave_a_mask,
    "numpy": leave_numpys_errors,
    "threads": leave(torch.get_num_threads, torch.set_num_threads, 2),
    "dtype": leave(torch.get_default_dtype, torch.set_default_dtype, torch.float64),
    "gradients": leave(torch.is_grad_enabled, torch.set_grad_enabled, False),
    "deterministic": leave(
        torch.are_deterministic_algorithms_enabled, torch._C._set_deterministic_algorithms, True
    ),
    "benchmark": setting(torch.backends.cudnn, "benchmark", True),
    "matmul": setting(torch.backends.cuda.matmul, "fp32_precision", "tf32"),
    "conv": setting(torch.backends.cudnn.conv, "fp32_precision", "ieee"),
    "cpu": setting(torch.backends.mkldnn.matmul, "fp32_precision", "bf16"),
}


@pytest.mark.parametrize("trace", TRACES)
def test_a_process_that_shows_a_trace_of_its_run_is_not_used_again(
    trace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gc, "collect", lambda: 0)  # of all that the tests have loaded
    origin = Origin()
    assert origin.restored()
    put_back = TRACES[trace]()
    try:
        assert not origin.restored()
    finally:
        put_back()
    assert origin.restored()


def test_what_a_run_drew_from_the_global_generators_is_put_back() -> None:
    def drawn() -> list[float]:
        return [float(torch.rand(())), float(numpy.random.rand()), random.random()]

    origin = Origin()
    first = drawn()
    assert drawn() != first
    assert origin.restored()
    assert drawn() == first


@pytest.mark.parametrize(
    ("states", "well"),
    [
        (("done", "diverged"), True),
        (("done", "failed"), False),
        (("cancelled",), False),
        (("done", None), False),
        (("damaged",), False),
    ],
)
def test_only_runs_that_are_a_result_have_ended_well(
    tmp_path: Path, states: tuple[str | None, ...], well: bool
) -> None:
    specs = [tiny(seed=seed) for seed in range(len(states))]
    folders = frozen(tmp_path, *specs)
    for path, spec, state in zip(folders, specs, states, strict=True):
        if state == "damaged":
            (path / "state.json").write_text("{")
        elif state is not None:
            (path / "train.jsonl").write_text("")
            RunFolder(path).finish(spec.run_id, state, reason="", step=7)
    assert ended_well(folders) is well


def test_a_stop_within_one_that_has_been_asked_for_is_asked_for() -> None:
    """So that no signal is lost which comes between two runs of a process."""
    with StopRequest() as around:
        os.kill(os.getpid(), signal.SIGTERM)
        with StopRequest() as stop:
            assert (stop(), stop.reason) == (True, "SIGTERM")
    with StopRequest() as around:
        with StopRequest() as stop:
            assert not stop()
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop()
        assert around()
    with StopRequest() as stop:
        assert not stop()


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """A process that made this one; ends it."""
    here, there = os.pipe()
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: SimpleNamespace(sentinel=here))
    monkeypatch.setattr(stopping, "GRACE_SECONDS", 0.2)
    ended = threading.Event()
    monkeypatch.setattr(os, "_exit", lambda code: ended.set())
    with contextlib.ExitStack() as ends:
        ends.callback(os.close, there)
        yield ends.close
        ends.close()
        assert ended.wait(10)
        for thread in watches():
            thread.join(10)
    os.close(here)


def watches() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == stopping.WATCH]


def test_one_thread_watches_over_the_runner_whichever_run_is_to_be_asked(
    parent: Callable[[], None],
) -> None:
    first, second, third = StopRequest(), StopRequest(), StopRequest()
    stop_with_parent(first)
    stop_with_parent(second)
    assert len(watches()) == 1
    parent()
    end = time.monotonic() + 10
    while not second():
        assert time.monotonic() < end
        time.sleep(0.001)
    assert not first()
    stop_with_parent(third)
    assert (third(), third.reason) == (True, "the runner is gone")


@pytest.mark.gpu
def test_a_real_gpu_is_given_back_as_it_was() -> None:
    origin = Origin()
    torch.zeros((), device="cuda")
    assert origin.restored()
    held, drawn = torch.cuda.memory_reserved(), torch.rand(3, device="cuda")
    ring: list[object] = [torch.zeros(2**26, device="cuda")]
    ring.append(ring)
    del ring
    assert torch.cuda.max_memory_allocated() >= 2**28
    assert origin.restored()
    assert torch.cuda.memory_reserved() <= held + 2**21  # `drawn` is still there
    assert torch.cuda.max_memory_allocated() < 2**26
    assert torch.equal(torch.rand(3, device="cuda"), drawn)


@pytest.mark.parametrize("tf32", [False, True])
def test_a_run_in_each_precision_leaves_its_process_fit_for_more(tf32: bool) -> None:
    """Found on a GPU: a precision that is taken back leaves its word."""
    from wgan.precision import _on_cuda

    origin = Origin()
    with _on_cuda(tf32=tf32):
        pass
    assert origin.restored()


def test_a_precision_that_is_left_set_is_a_trace() -> None:
    origin = Origin()
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        assert not origin.restored()
    finally:
        torch.backends.cuda.matmul.allow_tf32 = False
