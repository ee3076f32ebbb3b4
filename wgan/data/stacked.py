"""Three digits in three channels: 1,000 modes that can be counted with a classifier of digits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from wgan.components import setting
from wgan.data.base import Dataset, Images
from wgan.data.digits import Digits

HELD_OUT_SHARE = 5  # one held-out stack for as many training stacks
_SEEDS = {"train": 0, "held_out": 1}


@dataclass(frozen=True)
class StackedDigits(Dataset):
    """Three independent `digits` in the channels of one image, (3, 8, 8).

    The stacks are one fixed list: `count` of training digits, and a fifth as many of held-out
    digits, so that no held-out digit is ever trained on. The label of a stack of the digits a, b, c
    is 100 a + 10 b + c.
    """

    name: ClassVar[str] = "stacked_digits"
    reference: ClassVar[str] = (
        "Metz et al. 2016, arXiv:1611.02163, section 3.3.1, with the digits of scikit-learn"
    )

    count: int = setting(20_000, "training stacks", unit="images", low=5, high=10**6)

    @property
    def shape(self) -> tuple[int, ...]:
        """(3, 8, 8)."""
        return (3, 8, 8)

    def load(self) -> Images:
        """The two lists of stacks with their labels 0 to 999."""
        digits = Digits().load()
        assert digits.train_labels is not None
        assert digits.held_out_labels is not None
        arrays = stacked(
            {
                "train": digits.train.numpy(),
                "held_out": digits.held_out.numpy(),
                "train_labels": digits.train_labels.numpy(),
                "held_out_labels": digits.held_out_labels.numpy(),
            },
            self.count,
        )
        parts: dict[str, Any] = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return Images(self.name, **parts)


def stacked(digits: dict[str, NDArray[Any]], count: int) -> dict[str, NDArray[Any]]:
    """The stacks of digits, shape (N, 1, H, W), labels 0 to 9, in the same parts as they have.

    Each stack is three draws with replacement from its own split, by a fixed seed: fewer stacks
    are the first ones of more.
    """
    made = {}
    for split, wanted in (("train", count), ("held_out", count // HELD_OUT_SHARE)):
        pixels, labels = digits[split], digits[f"{split}_labels"]
        # RandomState: numpy promises that its stream never changes, and the stacks must not.
        chosen = np.random.RandomState(_SEEDS[split]).randint(len(pixels), size=(wanted, 3))
        made[split] = pixels[chosen, 0]
        made[f"{split}_labels"] = labels[chosen] @ np.array([100, 10, 1])
    return made
