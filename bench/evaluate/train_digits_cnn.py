"""Trains `digits_cnn`, the extractor for the digits: `python -m bench.evaluate.train_digits_cnn`.

It takes about ten seconds; see `bench.evaluate.train_small_cnn`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench.evaluate.small_cnn import WEIGHTS
from bench.evaluate.train_small_cnn import train_and_write
from wgan.data import Digits

COMMAND = "python -m bench.evaluate.train_digits_cnn"
SETTINGS: dict[str, Any] = {
    "seed": 0,
    "epochs": 40,
    "batch_size": 64,
    "learning_rate": 2e-3,  # of Adam, falling to 0 along half a cosine
    "turn_degrees": 10.0,  # standard deviation of the random rotation
    "shift_pixels": 0.5,  # standard deviation of the random shift in each direction
    "zoom": 0.08,  # standard deviation of the logarithm of the random zoom
    "noise": 10.0,  # standard deviation of the noise added to pixels of 0..255
}


def main() -> None:
    """Train, score the held-out digits, write."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--output", type=Path, default=WEIGHTS / "digits_cnn.safetensors")
    train_and_write(Digits().load(), SETTINGS, COMMAND, parser.parse_args().output)


if __name__ == "__main__":
    main()
