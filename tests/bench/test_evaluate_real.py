"""The cache of the real data: found again, shared, and never trusted when damaged."""

import io
import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.evaluate import real
from bench.evaluate.extractors import make_extractor
from bench.evaluate.real import cached_arrays, fixed_part, real_reference
from wgan.data import Digits

KEY = {"what": "test", "n": 3}
ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "b": np.array(2.5)}


class Counted:
    def __init__(self, arrays=ARRAYS):
        self.calls, self.arrays = 0, arrays

    def __call__(self):
        self.calls += 1
        return self.arrays


def get(folder, compute, key=KEY, names=("a", "b")):
    return cached_arrays(folder, key, names, compute)


def the_file(folder):
    (path,) = folder.iterdir()
    return path


def same(found):
    return all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)


def test_what_is_there_is_not_computed_again(tmp_path):
    compute = Counted()
    first, second = get(tmp_path, compute), get(tmp_path, compute)
    assert compute.calls == 1
    assert same(first)
    assert same(second)
    assert second["a"].dtype == np.float64
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]  # no drafts left


def test_another_key_has_another_file(tmp_path):
    compute = Counted()
    get(tmp_path, compute)
    get(tmp_path, compute, key={**KEY, "n": 4})
    assert compute.calls == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_cut_short_anywhere_is_computed_anew(tmp_path):
    get(tmp_path, Counted())
    path = the_file(tmp_path)
    whole = path.read_bytes()
    for length in (0, 1, 31, 32, 33, len(whole) // 2, len(whole) - 33, len(whole) - 1):
        path.write_bytes(whole[:length])
        compute = Counted()
        assert same(get(tmp_path, compute))
        assert compute.calls == 1
        assert path.read_bytes() == whole  # mended


def test_a_file_with_one_changed_byte_is_computed_anew(tmp_path):
    get(tmp_path, Counted())
    path = the_file(tmp_path)
    whole = path.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[place] ^= 0x41
        path.write_bytes(damaged)
        compute = Counted()
        assert same(get(tmp_path, compute))
        assert compute.calls == 1


def sealed(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    payload = buffer.getvalue()
    return payload + real.hashlib.sha256(payload).digest()


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a cached file ran code",))


@pytest.mark.parametrize(
    "content",
    [
        b"not a cache at all",
        real.hashlib.sha256(b"").digest(),
        sealed(key=np.array("another"), a=np.zeros(2), b=np.zeros(1)),
        sealed(a=np.zeros(2), b=np.zeros(1)),
        sealed(key=np.array(real.canonical(KEY)), a=np.zeros(2)),
        sealed(key=np.array([Bomb()], dtype=object), a=np.zeros(2), b=np.zeros(1)),
        pickle.dumps([1, 2]) + real.hashlib.sha256(pickle.dumps([1, 2])).digest(),
    ],
    ids=["text", "empty", "another key", "no key", "an array short", "objects", "a pickle"],
)
def test_a_foreign_file_is_computed_anew(tmp_path, content):
    get(tmp_path, Counted())
    the_file(tmp_path).write_bytes(content)
    compute = Counted()
    assert same(get(tmp_path, compute))
    assert compute.calls == 1


def test_a_single_array_file_is_computed_anew(tmp_path):
    get(tmp_path, Counted())
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    payload = buffer.getvalue()
    the_file(tmp_path).write_bytes(payload + real.hashlib.sha256(payload).digest())
    compute = Counted()
    assert same(get(tmp_path, compute))
    assert compute.calls == 1


def test_the_file_is_still_one_that_numpy_reads(tmp_path):
    get(tmp_path, Counted())
    with np.load(the_file(tmp_path), allow_pickle=False) as file:
        assert str(file["key"]) == real.canonical(KEY)
        assert np.array_equal(file["a"], ARRAYS["a"])


def test_a_cache_that_cannot_be_written_costs_no_run(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("a file stands where the folder should be")
    compute = Counted()
    assert same(get(blocked / "cache", compute))
    assert compute.calls == 1


def test_no_two_writers_share_a_draft(tmp_path, monkeypatch):
    drafts, write = [], Path.write_bytes

    def watched(self, content):
        drafts.append(self)
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", watched)
    for _ in range(3):
        get(tmp_path, Counted())
        the_file(tmp_path).unlink()
    assert len({*drafts}) == len(drafts) == 3


def test_an_interrupted_write_leaves_neither_file_nor_draft(tmp_path, monkeypatch):
    def interrupted(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        get(tmp_path, Counted())
    assert list(tmp_path.iterdir()) == []


def _want(folder, barrier, queue):
    barrier.wait()
    for number in range(20):
        large = {"a": np.full(20_000, float(number))}
        found = cached_arrays(folder, {"n": number}, ("a",), lambda large=large: large)
        queue.put(bool((found["a"] == number).all()) and len(found["a"]) == 20_000)


def test_many_processes_may_want_the_same_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier, queue = context.Barrier(4), context.Queue()
    workers = [
        context.Process(target=_want, args=(tmp_path, barrier, queue), daemon=True)
        for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    results = [queue.get(timeout=60) for _ in range(80)]
    for worker in workers:
        worker.join(timeout=60)
    assert all(results)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert len(list(tmp_path.iterdir())) == 20


def test_the_real_reference_is_extracted_once_and_read_back_bit_for_bit(tmp_path, monkeypatch):
    pixels = Digits().load().train
    extractor = make_extractor("digits_cnn", (1, 8, 8))
    first = real_reference(tmp_path, pixels, extractor)
    calls = []
    monkeypatch.setattr(real, "statistics", lambda features: calls.append(features))
    second = real_reference(tmp_path, pixels, extractor)
    assert calls == []
    assert torch.equal(first.features, second.features)
    assert first.mean.dtype == second.mean.dtype == np.float32
    assert np.array_equal(first.mean, second.mean)
    assert np.array_equal(first.covariance, second.covariance)


def test_other_pixels_weights_or_libraries_have_another_reference(tmp_path, monkeypatch):
    pixels = Digits().load().train[:100]
    extractor = make_extractor("digits_cnn", (1, 8, 8))
    real_reference(tmp_path, pixels, extractor)
    changed = pixels.clone()
    changed[5, 0, 3, 3] += 1
    real_reference(tmp_path, changed, extractor)
    other = type(extractor)(**{**vars(extractor), "weights_hash": "0" * 64})
    real_reference(tmp_path, pixels, other)
    monkeypatch.setattr(real, "TORCH_FIDELITY_VERSION", "9.9.9")
    real_reference(tmp_path, pixels, extractor)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_large_reference_keeps_a_fixed_part_of_its_features(tmp_path, monkeypatch):
    monkeypatch.setattr(real, "MOST_REAL_FEATURES", 50)
    pixels = Digits().load().train
    extractor = make_extractor("digits_cnn", (1, 8, 8))
    found = real_reference(tmp_path, pixels, extractor)
    everything = extractor(pixels).features
    assert found.features.shape == (50, extractor.feature_size)
    assert torch.equal(found.features, fixed_part(everything, 50))
    assert len(found.features.unique(dim=0)) > 45  # distinct rows, not one repeated
    assert np.allclose(found.mean, everything.mean(0), atol=1e-4)  # of all images
    assert torch.equal(fixed_part(everything, 2000), everything)
