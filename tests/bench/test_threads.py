"""Whatever computes in a run uses the threads that the run owns, and no more, on every backend."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
import scipy.linalg  # noqa: F401 - its BLAS is to be there
import sklearn.datasets  # noqa: F401 - so is its OpenMP
import threadpoolctl
import torch
import watched_pools
from tiny_runs import frozen, tiny

from bench.backends import Inline, Local, forked, fresh, local
from bench.evaluate import Evaluator
from bench.execute import execute
from bench.lease import owner_of
from bench.progress import PlainDisplay
from bench.spec import RunSpec
from bench.store import Planned, Store
from bench.threads import held_to, variables

# Digits also load scikit-learn and scipy, each with pools of its own.
DIGITS = tiny(
    "wgan_gp",
    dataset="digits",
    network={"dcgan": {"width": 4}},
    noise_size=8,
    label="digits",
    steps=2,
)
LIBRARIES = ("libgomp", "libscipy_openblas", "libscipy_openblas64", "torch")


def planned(results: Path, *specs: RunSpec) -> list[Planned]:
    frozen(results, *specs)
    return Store(results, "s").plan(specs)


def pools_in_a_run(results: Path, backend: Inline | Local, spec: RunSpec) -> dict[str, int]:
    """The pools of the process of a run, while it was scored."""
    items = planned(results, spec)
    try:
        outcome = execute(items, backend, PlainDisplay(io.StringIO()))
    finally:
        backend.close()
    assert set(outcome.states.values()) == {"done"}
    found: dict[str, int] = json.loads((items[0].folder / "pools.json").read_text())
    missing = [name for name in LIBRARIES if not any(one.startswith(name) for one in found)]
    assert missing == []
    return found


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", ["forked", "fresh"])
def test_every_pool_in_a_process_of_a_run_has_the_threads_of_its_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, threads: int
) -> None:
    """Also where the server that it is forked from began with others."""
    for name in variables(3):
        monkeypatch.setenv(name, "3")
    monkeypatch.setattr(local, "_GPU", "cpu")
    monkeypatch.setattr(forked, "train", watched_pools.train)
    monkeypatch.setattr(fresh, "_wait_and_train", watched_pools.wait_and_train)
    gpus = ("GPU-a",) if kind == "fresh" else ()
    found = pools_in_a_run(tmp_path, Local(slots=1, threads=threads, gpus=gpus), DIGITS)
    assert set(found.values()) == {threads}


@pytest.mark.parametrize(
    ("spec", "threads"), [(tiny(steps=2), 1), pytest.param(DIGITS, 2, marks=pytest.mark.slow)]
)
def test_every_pool_is_held_to_its_threads_in_a_run_inline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: RunSpec, threads: int
) -> None:
    monkeypatch.setattr(Evaluator, "score", Evaluator.score)
    (item,) = planned(tmp_path, spec)
    watched_pools.watch(item.folder / "pools.json")
    with threadpoolctl.threadpool_limits(3):
        torch.set_num_threads(3)
        before = watched_pools.pools()
        found = pools_in_a_run(tmp_path, Inline(threads=threads), spec)
        after = watched_pools.pools()
    torch.set_num_threads(1)
    assert set(found.values()) == {threads}
    assert {name: after[name] for name in before} == before


def test_a_library_that_is_loaded_in_a_run_is_told_its_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("NUMEXPR_NUM_THREADS", raising=False)
    with held_to(2):
        assert {name: os.environ[name] for name in variables(2)} == variables(2)
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "NUMEXPR_NUM_THREADS" not in os.environ


@pytest.mark.slow
@pytest.mark.parametrize("gpus", [(), ("GPU-a",)], ids=["forked", "fresh"])
def test_a_run_uses_no_more_time_of_processors_than_its_threads_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: Sequence[str]
) -> None:
    """Training and scoring large enough that a pool of all cores would take them all."""
    monkeypatch.setattr(local, "_GPU", "cpu")
    spec = tiny(
        "wgan_gp",
        dataset="digits",
        network={"dcgan": {"width": 32}},
        noise_size=8,
        batch_size=64,
        label="digits",
        steps=100_000,
    )
    (item,) = planned(tmp_path, spec)
    backend = Local(slots=1, gpus=gpus)
    backend.submit([item])
    try:
        backend.states()
        end = time.monotonic() + 60
        while not (item.folder / "checkpoints").is_dir():
            assert time.monotonic() < end
            time.sleep(0.05)
        process = psutil.Process(int((owner_of(item.folder) or {})["pid"]))
        began, spent = time.monotonic(), sum(process.cpu_times()[:2])
        time.sleep(5.0)
        share = (sum(process.cpu_times()[:2]) - spent) / (time.monotonic() - began)
    finally:
        backend.close(kill=True)
    assert 0.02 < share <= 1.1
