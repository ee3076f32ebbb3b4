"""Ten processes that want the same dear thing at once: one makes it, whatever becomes of it."""

import contextlib
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.evaluate import fidelity, real, turns
from bench.evaluate.extractors import make_extractor
from bench.evaluate.real import cached_arrays, real_reference
from bench.lease import take_lease
from wgan.data import Digits

FORK = multiprocessing.get_context("fork")
KEY = {"what": "something dear"}


def is_clean(folder):
    return [path.suffix for path in folder.iterdir()] == [".npz"]


def turn_folder(cache):
    return cache / f"{real.short_hash(KEY, 24)}.turn"


def dear(made, seconds=0.5):
    def compute():
        (made / f"{os.getpid()}-{time.monotonic_ns()}").touch()
        time.sleep(seconds)
        return {"a": np.arange(5.0)}

    return compute


def started(count, act):
    workers = [FORK.Process(target=act, daemon=True) for _ in range(count)]
    for worker in workers:
        worker.start()
    return workers


def ended(workers, seconds=60):
    for worker in workers:
        worker.join(timeout=seconds)
    return [worker.exitcode for worker in workers]


def folders(tmp_path):
    cache, made = tmp_path / "cache", tmp_path / "made"
    made.mkdir()
    return cache, made


@pytest.mark.slow
def test_of_ten_processes_at_once_one_computes(tmp_path):
    cache, made = folders(tmp_path)
    barrier = FORK.Barrier(10)

    def want():
        barrier.wait()
        found = cached_arrays(cache, KEY, ("a",), dear(made))
        assert np.array_equal(found["a"], np.arange(5.0))

    assert ended(started(10, want)) == [0] * 10
    assert len(list(made.iterdir())) == 1
    assert is_clean(cache)


@pytest.mark.slow
def test_ten_processes_at_once_have_one_reference_with_a_singular_covariance(tmp_path):
    cache, made = folders(tmp_path)
    barrier = FORK.Barrier(10)
    pixels = Digits().load().train[:40]  # fewer than the 64 features
    statistics, root = real.statistics, fidelity.spectral_root

    def counted(features):
        (made / f"statistics-{os.getpid()}").touch()
        return statistics(features)

    def rooted(covariance):
        (made / f"root-{os.getpid()}").touch()
        return root(covariance)

    def want():
        real.statistics, fidelity.spectral_root = counted, rooted  # in this process alone
        barrier.wait()
        found = real_reference(cache, pixels, make_extractor("digits_cnn", (1, 8, 8)))
        assert not found.root.triangular
        assert np.allclose(found.root.factor @ found.root.factor.T, found.covariance, atol=1e-9)
        assert len(found.radii) == 40

    assert ended(started(10, want)) == [0] * 10
    assert sorted(path.name.split("-")[0] for path in made.iterdir()) == ["root", "statistics"]
    assert sorted(path.suffix for path in cache.iterdir()) == [".npz"] * 3


@pytest.mark.slow
def test_where_the_one_that_computes_is_killed_another_takes_over(tmp_path):
    cache, made = folders(tmp_path)
    first = started(1, lambda: cached_arrays(cache, KEY, ("a",), dear(made, seconds=60)))
    until(lambda: list(made.iterdir()))
    others = started(3, lambda: cached_arrays(cache, KEY, ("a",), dear(made, seconds=0.1)))
    time.sleep(0.3)
    assert len(list(made.iterdir())) == 1  # they wait
    os.kill(first[0].pid, signal.SIGKILL)
    assert ended(first) == [-signal.SIGKILL]
    assert ended(others) == [0] * 3
    assert len(list(made.iterdir())) == 2
    assert is_clean(cache)


def until(true, seconds=30):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_where_the_computation_fails_the_turn_is_given_back(tmp_path):
    def broken():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cached_arrays(tmp_path, KEY, ("a",), broken)
    assert list(tmp_path.iterdir()) == []
    assert cached_arrays(tmp_path, KEY, ("a",), lambda: {"a": np.ones(1)})["a"] == [1]


def test_whoever_waits_for_a_turn_takes_what_was_made_meanwhile(tmp_path, monkeypatch):
    folder = turn_folder(tmp_path)
    folder.mkdir()
    lease = take_lease(folder)
    key_of = real.canonical(KEY)

    def finish(seconds):
        real._write(folder.with_suffix(".npz"), key_of, {"a": np.full(3, 7.0)})

    monkeypatch.setattr(turns.time, "sleep", finish)
    assert (cached_arrays(tmp_path, KEY, ("a",), pytest.fail)["a"] == 7).all()
    assert lease.is_held()  # nobody else's turn is touched
    lease.release()


def test_a_turn_that_is_cut_short_while_it_is_waited_for_leaves_the_other_s_alone(
    tmp_path, monkeypatch
):
    folder = turn_folder(tmp_path)
    folder.mkdir()
    lease = take_lease(folder)
    # Of another process, as far as anybody can see.
    monkeypatch.setattr(turns, "this_process", lambda: {"pid": -1, "host": "elsewhere"})

    def cut(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(turns.time, "sleep", cut)
    with pytest.raises(KeyboardInterrupt):
        cached_arrays(tmp_path, KEY, ("a",), pytest.fail)
    assert lease.is_held()
    lease.release()


def test_a_turn_that_cannot_be_had_stops_nobody(tmp_path, monkeypatch):
    def refused(folder):
        raise PermissionError("read-only")

    monkeypatch.setattr(turns, "take_lease", refused)
    assert cached_arrays(tmp_path, KEY, ("a",), lambda: {"a": np.ones(1)})["a"] == [1]

    def vanishing(folder):
        folder.rmdir()
        raise FileNotFoundError

    monkeypatch.setattr(turns, "take_lease", vanishing)
    other = {**KEY, "n": 1}
    assert cached_arrays(tmp_path, other, ("a",), lambda: {"a": np.ones(1)})["a"] == [1]


def test_a_lease_that_cannot_be_given_back_loses_no_result(tmp_path, monkeypatch):
    def refused(self):
        raise OSError("disk on fire")

    monkeypatch.setattr(turns.Lease, "release", refused)
    with contextlib.suppress(OSError):
        found = cached_arrays(tmp_path, KEY, ("a",), lambda: {"a": np.ones(1)})
    assert found["a"] == [1]


# What follows from the reference.


@pytest.fixture(scope="module")
def extractor():
    return make_extractor("digits_cnn", (1, 8, 8))


def test_a_reference_from_before_roots_were_kept_still_serves(tmp_path, extractor, monkeypatch):
    pixels = Digits().load().train[:200]
    real_reference(tmp_path, pixels, extractor)
    (path,) = tmp_path.iterdir()
    with np.load(path) as file:
        assert set(file.files) == {"key", "mean", "covariance", "features"}
    monkeypatch.setattr(real, "statistics", pytest.fail)
    found = real_reference(tmp_path, pixels, extractor)
    assert np.allclose(found.root.factor @ found.root.factor.T, found.covariance)
    assert len(found.radii) == 200


def test_what_follows_from_other_reals_is_never_met(tmp_path, extractor):
    pixels = Digits().load().train
    for part in (pixels[:40], pixels[40:80]):
        found = real_reference(tmp_path, part, extractor)
        product = found.root.factor @ found.root.factor.T
        assert np.allclose(product, found.covariance, atol=1e-9)
        assert torch.equal(found.radii, real_reference(tmp_path, part, extractor).radii)
        assert found.radii.tolist() == radii_by_hand(found.features)
    assert len(list(Path(tmp_path).iterdir())) == 6


def radii_by_hand(features):
    return torch.cdist(features, features).sort(dim=1).values[:, 3].tolist()


def test_what_was_made_just_before_the_turn_is_not_made_again(tmp_path, monkeypatch):
    take = turns.take_lease

    def a_moment_later(folder):
        real._write(folder.with_suffix(".npz"), real.canonical(KEY), {"a": np.full(3, 7.0)})
        return take(folder)

    monkeypatch.setattr(turns, "take_lease", a_moment_later)
    assert (cached_arrays(tmp_path, KEY, ("a",), pytest.fail)["a"] == 7).all()
    assert is_clean(tmp_path)
