"""Tiny published sets in their own layouts on the disk, so that nothing is downloaded in tests."""

from __future__ import annotations

import gzip
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from PIL import Image

from wgan.data import Dataset
from wgan.data.published import PublishedSet, datasets

TRAIN, TEST = 24, 10  # images of each fake split


def pixels(seed: int, *shape: int) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, 256, size=shape).astype(np.uint8)


def labels(count: int, classes: int = 10) -> np.ndarray:
    return (np.arange(count) * 7 % classes).astype(np.uint8)


def write_idx(path: Path, array: np.ndarray) -> None:
    """An idx file of bytes, packed where the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape)
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wb") as file:
        file.write(header + array.tobytes())


def write_mnist(folder: Path, ending: str = ".gz", seed: int = 1) -> None:
    for name, count, first in (("train", TRAIN, seed), ("t10k", TEST, seed + 50)):
        write_idx(folder / f"{name}-images-idx3-ubyte{ending}", pixels(first, count, 28, 28))
        write_idx(folder / f"{name}-labels-idx1-ubyte{ending}", labels(count))


def write_cifar(folder: Path, names: dict[str, int], label_key: str, meta: str) -> None:
    folder.mkdir(parents=True)
    for number, (name, count) in enumerate(names.items()):
        entry = {"data": pixels(number, count, 3072), label_key: labels(count).tolist()}
        (folder / name).write_bytes(pickle.dumps(entry))
    names_of_classes = {label_key.replace("labels", "label_names"): list("abcdefghij")}
    (folder / meta).write_bytes(pickle.dumps(names_of_classes))


def cifar10(root: Path) -> None:
    names = {f"data_batch_{number}": 5 for number in range(1, 6)}
    write_cifar(
        root / "cifar-10-batches-py", {**names, "test_batch": TEST}, "labels", "batches.meta"
    )


def cifar100(root: Path) -> None:
    write_cifar(root / "cifar-100-python", {"train": TRAIN, "test": TEST}, "fine_labels", "meta")


def svhn(root: Path) -> None:
    for number, (name, count) in enumerate((("train", TRAIN), ("test", TEST))):
        theirs = labels(count).astype(int)
        theirs[theirs == 0] = 10
        scipy.io.savemat(
            root / f"{name}_32x32.mat",
            {"X": pixels(number, 32, 32, 3, count), "y": theirs[:, None]},
        )


def stl10(root: Path) -> None:
    folder = root / "stl10_binary"
    folder.mkdir()
    for number, (name, count) in enumerate((("train", TRAIN), ("unlabeled", 30), ("test", TEST))):
        # Each plane stands column by column.
        pixels(number, count, 3, 96, 96).tofile(folder / f"{name}_X.bin")
        if name != "unlabeled":
            (labels(count) + 1).tofile(folder / f"{name}_y.bin")


def celeba(root: Path) -> None:
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{number:06d}.jpg" for number in range(1, 16)]
    for number, name in enumerate(names):
        face = Image.fromarray(pixels(number, 218, 178, 3))
        face.save(folder / "img_align_celeba" / name, quality=95)
    parts = [0] * 10 + [1] * 2 + [2] * 3
    lines = {
        "list_eval_partition": [f"{name} {part}" for name, part in zip(names, parts, strict=True)],
        "identity_CelebA": [f"{name} 1" for name in names],
        "list_attr_celeba": ["15", "Smiling", *(f"{name} 1" for name in names)],
        "list_bbox_celeba": ["15", "image_id x", *(f"{name} 1" for name in names)],
        "list_landmarks_align_celeba": ["15", "x", *(f"{name} 1" for name in names)],
    }
    for name, content in lines.items():
        (folder / f"{name}.txt").write_text("\n".join(content) + "\n")


FAKES: dict[str, Callable[[Path], None]] = {
    "mnist": lambda root: write_mnist(root / "MNIST/raw"),
    "stacked_mnist": lambda root: write_mnist(root / "MNIST/raw"),
    "fashion_mnist": lambda root: write_mnist(root / "FashionMNIST/raw", "", seed=2),
    "kmnist": lambda root: write_mnist(root / "KMNIST/raw", seed=3),
    "cifar10": cifar10,
    "cifar100": cifar100,
    "svhn": svhn,
    "stl10": stl10,
    "celeba": celeba,
}


def write_folder(folder: Path, count: int = 60, classes: tuple[str, ...] = ("",)) -> Path:
    """PNGs of 16 x 16 pixels, in class folders or in one."""
    for number in range(count):
        place = folder / classes[number % len(classes)]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(number, 16, 16, 3)).save(place / f"{number:03d}.png")
    return folder


def any_checksum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torchvision take files whose MD5 is not that of the originals."""
    for module in ("cifar", "svhn", "stl10", "celeba"):
        monkeypatch.setattr(
            getattr(datasets(), module),
            "check_integrity",
            lambda path, md5=None: Path(path).exists(),
        )


def at_hand(made: type[Dataset], root: Path, **settings: Any) -> Dataset:
    """The data set `made`, its files faked in `root` where it needs files."""
    if issubclass(made, PublishedSet):
        FAKES[made.name](root)
    if made.name == "folder":
        write_folder(root / "pictures")
        settings = {"path": str(root / "pictures"), "size": 16, **settings}
    if made.name == "stacked_mnist":
        settings = {"count": 50, **settings}
    return made(**settings)
