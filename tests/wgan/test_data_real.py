"""Real files: MNIST's own, and photographs as JPEG; skipped where WGAN_BENCH_TEST_DATA is not set.

The folder that it names holds `mnist/` with the four original files, and
`cifar10-jpeg/train.tar.gz` with the training photographs of CIFAR-10 as `train/<class>/<n>.jpg`.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import tarfile
from pathlib import Path

import pytest
import scipy.stats
import torch

from wgan.data import MNIST, Folder, StackedMNIST
from wgan.data.places import CACHE, DATA

pytestmark = pytest.mark.mnist


@pytest.fixture
def real(places, tmp_path, monkeypatch) -> Path:
    """The folder of real data; the cache is the test's own."""
    stated = os.environ.get("WGAN_BENCH_TEST_DATA")
    if not stated:
        pytest.skip("WGAN_BENCH_TEST_DATA names no folder of real data")
    root = Path(stated)
    if not (root / "mnist").is_dir():
        pytest.skip(f"{root / 'mnist'} does not exist")
    monkeypatch.setenv(DATA, str(root))
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return root


def test_mnist_is_the_original_bit_for_bit(real):
    MNIST().check_present()
    data = MNIST().load()
    assert data.train.shape == (60_000, 1, 28, 28)
    assert data.held_out.shape == (10_000, 1, 28, 28)
    digest = hashlib.md5(bytes.fromhex("000008030000ea600000001c0000001c"), usedforsecurity=False)
    digest.update(data.train.numpy().tobytes())
    assert digest.hexdigest() == "6bbc9ace898e44ae57da46a324031adb"
    assert torch.bincount(data.train_labels).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert data.train_labels[:6].tolist() == [5, 0, 4, 1, 9, 2]
    assert data.held_out_labels[:6].tolist() == [7, 2, 1, 0, 4, 1]


def test_mnist_s_mean_and_deviation_are_the_known_ones(real):
    pixels = MNIST(root=str(real / "mnist")).load().train.double() / 255
    assert pixels.mean().item() == pytest.approx(0.1307, abs=5e-5)
    assert pixels.std().item() == pytest.approx(0.3081, abs=5e-5)
    padded = MNIST(size=32).load().train
    assert padded.shape == (60_000, 1, 32, 32)
    assert padded[:, :, :2].max() == padded[:, :, :, 30:].max() == 0


def test_stacked_mnist_has_all_thousand_modes_about_equally_often(real):
    data = StackedMNIST(count=60_000).load()
    assert data.shape == (3, 28, 28)
    assert len(data.held_out) == 12_000
    counts = torch.bincount(data.train_labels, minlength=1000)
    share = torch.bincount(MNIST().load().train_labels) / 60_000
    expected = torch.einsum("a,b,c->abc", share, share, share).flatten().double() * 60_000
    expected *= counts.sum() / expected.sum()
    assert scipy.stats.chisquare(counts.numpy(), expected.numpy()).pvalue > 0.001


def test_a_folder_of_real_photographs(real, tmp_path):
    archive = real / "cifar10-jpeg/train.tar.gz"
    if not archive.is_file():
        pytest.skip(f"{archive} does not exist")
    with tarfile.open(archive) as file:
        photographs = (member for member in file if member.name.endswith(".jpg"))
        # They stand class by class: 100 of each of the first three.
        for _, members in itertools.islice(
            itertools.groupby(photographs, lambda member: member.name.split("/")[1]), 3
        ):
            file.extractall(
                tmp_path / "cifar10-jpeg75", list(itertools.islice(members, 100)), filter="data"
            )
    dataset = Folder(path=str(tmp_path / "cifar10-jpeg75/train"), size=32)
    data = dataset.load()
    assert data.name == "folder:cifar10-jpeg75/train"
    assert len(data.train) + len(data.held_out) == 300
    assert 15 < len(data.held_out) < 50
    assert set(data.train_labels.tolist()) == {0, 1, 2}
    # Photographs: neither flat nor noise; neighbours are alike.
    images = data.train.double()
    assert images.std() > 40
    assert (images[..., 1:] - images[..., :-1]).abs().mean() < 20
    half = Folder(path=str(tmp_path / "cifar10-jpeg75/train"), size=16, channels=1).load()
    assert half.train.shape[1:] == (1, 16, 16)
    luma = images.mean(dim=(1, 2, 3)).mean()
    assert half.train.double().mean().item() == pytest.approx(luma.item(), abs=6)
