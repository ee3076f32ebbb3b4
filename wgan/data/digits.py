"""scikit-learn's 1,797 real handwritten digits at their native 8x8 pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from wgan.data.base import Images
from wgan.data.parts import PartialSet

_HELD_OUT = 360


@dataclass(frozen=True)
class Digits(PartialSet):
    """1,437 training and 360 held-out digits, (1, 8, 8).

    They ship with scikit-learn, so nothing is downloaded.

    The original holds ink from 0 to 16; here it is scaled to 0 to 255. The split is one fixed
    permutation. A part may be trained on; scores and held-out estimates stay the whole set's.
    """

    name: ClassVar[str] = "digits"
    reference: ClassVar[str] = (
        "Alpaydin and Kaynak 1998, UCI Optical Recognition of Handwritten Digits, test part"
    )
    class_counts: ClassVar[tuple[int, ...]] = (151, 147, 141, 154, 151, 142, 137, 140, 135, 139)

    @property
    def shape(self) -> tuple[int, ...]:
        """(1, 8, 8)."""
        return (1, 8, 8)

    def load_whole(self) -> Images:
        """The two splits with their labels 0 to 9."""
        from sklearn.datasets import load_digits

        ink, labels = load_digits(return_X_y=True)
        pixels = torch.from_numpy(np.rint(ink * 255 / 16).astype(np.uint8)).view(-1, 1, 8, 8)
        classes = torch.from_numpy(labels.astype(np.int64))
        # RandomState: numpy promises that its stream never changes, and the split must not.
        order = torch.from_numpy(np.random.RandomState(0).permutation(len(pixels)))
        train, held_out = order[_HELD_OUT:], order[:_HELD_OUT]
        return Images("digits", pixels[train], pixels[held_out], classes[train], classes[held_out])
