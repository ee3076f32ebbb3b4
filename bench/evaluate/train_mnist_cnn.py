"""Trains `mnist_cnn`, the extractor for MNIST.

`python -m bench.evaluate.train_mnist_cnn --root DIR`, where DIR holds MNIST's four original files,
packed (.gz) or not. It takes about three minutes; see `bench.evaluate.train_small_cnn`.
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.evaluate.small_cnn import WEIGHTS
from bench.evaluate.train_small_cnn import train_and_write
from wgan.data import Images

COMMAND = "python -m bench.evaluate.train_mnist_cnn"
SETTINGS: dict[str, Any] = {
    "seed": 0,
    "epochs": 3,
    "batch_size": 64,
    "learning_rate": 2e-3,  # of Adam, falling to 0 along half a cosine
    "turn_degrees": 8.0,  # standard deviation of the random rotation
    "shift_pixels": 1.0,  # standard deviation of the random shift in each direction
    "zoom": 0.08,  # standard deviation of the logarithm of the random zoom
    "noise": 10.0,  # standard deviation of the noise added to pixels of 0..255
    "channels_last": True,  # a memory layout in which this training is half as fast again
}


def load_mnist(root: Path) -> Images:
    """MNIST from its four files in `root`: 60,000 training and 10,000 held-out digits.

    Raises:
        FileNotFoundError: one of them is not there, packed or not.
        ValueError: one of them is no such file.
    """
    parts = {
        name: read_idx(root, f"{prefix}-{kind}-ubyte")
        for name, prefix, kind in (
            ("train", "train", "images-idx3"),
            ("held_out", "t10k", "images-idx3"),
            ("train_labels", "train", "labels-idx1"),
            ("held_out_labels", "t10k", "labels-idx1"),
        )
    }
    return Images(
        "mnist",
        parts["train"][:, None],
        parts["held_out"][:, None],
        parts["train_labels"].long(),
        parts["held_out_labels"].long(),
    )


def read_idx(root: Path, name: str) -> Tensor:
    """The array of bytes in the idx file `name` of `root`, packed (`name`.gz) or not.

    An idx file opens with two zero bytes, the type (8: unsigned bytes) and the number of
    dimensions; then come the dimensions, four bytes each, the highest first, and the content.
    """
    packed = root / f"{name}.gz"
    content = (
        gzip.decompress(packed.read_bytes()) if packed.exists() else (root / name).read_bytes()
    )
    dimensions = content[3] if content[:3] == b"\0\0\x08" else 0
    shape = tuple(np.frombuffer(content[4 : 4 + 4 * dimensions], ">u4").tolist())
    values = np.frombuffer(content[4 + 4 * dimensions :], np.uint8)
    if not shape or len(values) != np.prod(shape):
        raise ValueError(f"{name} in {root} is no idx file of bytes, or not a whole one")
    return torch.from_numpy(values.copy()).view(shape)


def main() -> None:
    """Train, score the test digits, write."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="where MNIST's four files lie")
    parser.add_argument("--output", type=Path, default=WEIGHTS / "mnist_cnn.safetensors")
    given = parser.parse_args()
    train_and_write(load_mnist(given.root), SETTINGS, COMMAND, given.output)


if __name__ == "__main__":
    main()
