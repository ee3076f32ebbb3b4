"""The cache of decoded sets: mapped, shared, checked, made anew, never in the way."""

from __future__ import annotations

import errno
import logging
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from data_fakes import pixels
from small import registered

from wgan.data import Dataset, Images, base, pick
from wgan.data.cache import cached_images, fingerprint
from wgan.data.places import CACHE, cache_folder

KEY = {"set": "few", "sources": "abc"}


def arrays():
    return {
        "train": pixels(0, 40, 3, 6, 6),
        "held_out": pixels(1, 7, 3, 6, 6),
        "train_labels": np.arange(40),
    }


class Decoder:
    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return arrays()


@pytest.fixture
def decoder(places):
    return Decoder()


def is_right(data: Images) -> bool:
    return (
        np.array_equal(data.train.numpy(), arrays()["train"])
        and np.array_equal(data.held_out.numpy(), arrays()["held_out"])
        and data.train_labels.tolist() == list(range(40))
        and data.held_out_labels is None
    )


def files(ending: str = "") -> list[Path]:
    return sorted(path for path in cache_folder().iterdir() if path.name.endswith(ending))


def test_a_set_is_decoded_once_and_then_mapped(decoder):
    for _ in range(3):
        data = cached_images("few", KEY, decoder)
        assert is_right(data)
        assert data.train.dtype == data.held_out.dtype == torch.uint8
    assert decoder.calls == 1
    assert len(files()) == 4
    maps = Path("/proc/self/maps")
    if maps.exists():  # the images are pages of the file
        assert str(files("-train.npy")[0]) in maps.read_text()


def test_writing_to_the_images_does_not_reach_the_file(decoder):
    cached_images("few", KEY, decoder).train.zero_()
    assert is_right(cached_images("few", KEY, decoder))
    assert decoder.calls == 1


def test_another_key_is_another_set(decoder):
    cached_images("few", KEY, decoder)
    cached_images("few", {**KEY, "sources": "abd"}, decoder)
    assert decoder.calls == 2


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0" * 64)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def foreign(path: Path) -> None:
    path.write_bytes(b'{"checksums": [1]}')


def pickled(path: Path) -> None:
    np.save(path.with_suffix(".tmp.npy"), np.array([{}], dtype=object), allow_pickle=True)
    path.with_suffix(".tmp.npy").replace(path)


def other_type(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros((40, 3, 6, 6), dtype=np.float32))


@pytest.mark.parametrize("part", ["-train.npy", "-held_out.npy", "-train_labels.npy", ".json"])
@pytest.mark.parametrize(
    "damage",
    [cut, flip, empty, foreign, pickled, other_type, Path.unlink],
    ids=lambda d: d.__name__,
)
def test_a_torn_or_foreign_file_is_made_anew(decoder, part, damage):
    cached_images("few", KEY, decoder)
    before = [path.read_bytes() for path in files()]
    damage(files(part)[0])
    assert is_right(cached_images("few", KEY, decoder))
    assert decoder.calls == 2
    assert [path.read_bytes() for path in files()] == before
    assert is_right(cached_images("few", KEY, decoder))
    assert decoder.calls == 2


def test_a_reader_keeps_its_images_when_the_file_is_replaced(decoder):
    data = cached_images("few", KEY, decoder)
    for path in files():
        path.unlink()
    cached_images("few", KEY, decoder)
    assert is_right(data)


@pytest.mark.parametrize("where", ["folder", "file"])
def test_a_cache_that_cannot_be_written_costs_time_and_no_run(
    decoder, tmp_path, monkeypatch, caplog, where
):
    if where == "folder":
        (tmp_path / "taken").write_text("a file stands where the folder should be")
        monkeypatch.setenv(CACHE, str(tmp_path / "taken"))
    else:

        def full(*args, **kwargs):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("wgan.data.cache.np.save", full)
    for calls in (1, 2):
        with caplog.at_level(logging.WARNING):
            assert is_right(cached_images("few", KEY, decoder))
        assert decoder.calls == calls
    assert "cannot be written" in caplog.text
    assert "few" in caplog.text
    if where == "file":
        assert files() == []


def load_in_process(barrier, results):
    barrier.wait()
    for _ in range(5):
        results.put(is_right(cached_images("few", KEY, Decoder())))


@pytest.mark.filterwarnings("ignore:This process .* multi-threaded:DeprecationWarning")
def test_processes_that_come_at_once_all_get_the_set(places):
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(3), context.Queue()
    workers = [context.Process(target=load_in_process, args=(barrier, results)) for _ in range(3)]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=30) for _ in range(15)]
    for worker in workers:
        worker.join()
    assert all(found)
    assert len(files()) == 4


def test_a_source_file_s_name_size_and_time_are_its_fingerprint(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"12")
    os.utime(path, ns=(1, 1))
    first = fingerprint([("a", path)])
    assert fingerprint([("a", path)]) == first
    assert fingerprint([("b", path)]) != first
    os.utime(path, ns=(1, 2))
    assert fingerprint([("a", path)]) != first
    path.write_bytes(b"123")
    os.utime(path, ns=(1, 1))
    assert fingerprint([("a", path)]) != first


def test_the_cache_is_where_the_environment_says_or_in_the_user_s_own(monkeypatch):
    monkeypatch.setenv(CACHE, "~/somewhere")
    assert cache_folder() == Path.home() / "somewhere/decoded"
    monkeypatch.delenv(CACHE)
    assert cache_folder() == Path.home() / ".cache/wgan-bench/decoded"


# Devices.


def test_pixels_beyond_the_budget_stay_where_they_are(monkeypatch):
    data = Images("few", *(torch.from_numpy(arrays()[split]) for split in ("train", "held_out")))
    assert data.to("meta").train.device.type == "meta"
    monkeypatch.setattr(base, "DEVICE_BUDGET", data.train.nbytes + data.held_out.nbytes - 1)
    assert data.to("meta").train.device.type == "cpu"
    assert data.to("cpu").train.data_ptr() == data.train.data_ptr()


def test_images_on_the_cpu_are_not_copied_there(decoder):
    data = cached_images("few", KEY, decoder)
    assert data.to("cpu").train.data_ptr() == data.train.data_ptr()


def test_pick_chooses_rows():
    images = torch.from_numpy(arrays()["train"])
    chosen = torch.tensor([3, 3, 39])
    assert torch.equal(pick(images, chosen), images[[3, 3, 39]])


@pytest.mark.gpu
def test_batches_are_the_same_whether_the_pixels_fit_on_the_device_or_not(monkeypatch):
    data = Images("few", *(torch.from_numpy(arrays()[split]) for split in ("train", "held_out")))
    drawn = []
    for budget in (10**9, 0):
        monkeypatch.setattr(base, "DEVICE_BUDGET", budget)
        there = data.to("cuda")
        assert there.train.is_cuda == (budget > 0)
        stream = torch.Generator("cuda").manual_seed(3)
        drawn.append([there.batch(16, stream), there.held_out_batch(16, stream)])
    for one, other in zip(*drawn, strict=True):
        assert one.is_cuda
        assert other.is_cuda
        assert torch.equal(one, other)


@pytest.mark.gpu
def test_densities_are_sampled_where_the_stream_lives():
    for made in registered(Dataset):
        if len(made().shape) == 1:
            data = made().load()
            for sample in filter(None, (data.batch, data.counterpart)):
                points = sample(50, torch.Generator("cuda").manual_seed(0))
                assert points.is_cuda
                assert points.shape == (50, *data.shape)
