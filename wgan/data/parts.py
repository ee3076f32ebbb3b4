"""Training on a part of an image set: few images, or classes that are too rare.

The part is chosen without a seed, so that all runs that ask for it train on the same images. What
is held out and what scores compare with stay the whole set's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from wgan.components import ConfigError, setting
from wgan.data.base import DataError, Dataset, Images

CLASSES = 10
FIRST_RARE = 5  # the classes from here on are those that `bias` makes rare


@dataclass(frozen=True)
class PartialSet(Dataset):
    """A set of ten classes of which a part can be trained on; the fields are the part.

    Raises:
        ConfigError: more images than the set has, or than `bias` leaves.
    """

    class_counts: ClassVar[tuple[int, ...]]  # training images of each class

    images: int = setting(
        0,
        "training images: the first so many of a fixed order in which the classes take turns; "
        "0: all",
        unit="images",
        low=0,
        neutral=0,
    )
    bias: float = setting(
        0.0,
        "share of the training images of each of the classes 5 to 9 that is left out; those of "
        "the classes 0 to 4 all stay",
        low=0,
        below=1,
        neutral=0.0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        most = sum(kept(self.class_counts, self.bias))
        if self.images > most:
            after = f" after a bias of {self.bias:g}" if self.bias else ""
            raise ConfigError(
                ("images",),
                f"{self.images} is not allowed: must be at most the {most} training images that "
                f"there are{after}, or 0 for all",
            )

    def whole(self) -> Self:
        """The set with all its training images."""
        return dataclasses.replace(self, images=0, bias=0.0)

    def load(self) -> Images:
        """The part to train on, beside the whole set where it is less than that.

        Raises:
            DataError: it cannot be had, or has fewer images than are asked for.
        """
        complete = self.whole()
        whole = complete.load_whole()
        return whole if self == complete else part_of(whole, self.images, self.bias)

    def load_whole(self) -> Images:
        """The set with all its training images.

        Raises:
            DataError: it cannot be had.
        """
        raise NotImplementedError


def part_of(whole: Images, images: int, bias: float) -> Images:
    """The set with a part of the training images, in the order of `part_order`.

    Args:
        whole: a set with labels 0 to 9.
        images: how many; 0 for all that `bias` leaves.
        bias: the share of the images of the classes 5 to 9 that is left out, in [0, 1).

    Raises:
        DataError: fewer are there.
    """
    assert whole.train_labels is not None
    order = part_order(whole.train_labels, bias)
    if images > len(order):
        raise DataError(
            f"dataset {whole.name}: {images} training images are asked for, and there are "
            f"{len(order)}; ask for at most so many, or for 0, which is all"
        )
    chosen = order[: images or len(order)]
    return dataclasses.replace(
        whole, train=whole.train[chosen], train_labels=whole.train_labels[chosen], whole=whole
    )


def kept(class_counts: Sequence[int], bias: float) -> list[int]:
    """How many of each class's images a bias leaves: at least one of each class that has any.

    Args:
        class_counts: of the classes 0 to 9.
        bias: the share of the images of the classes 5 to 9 that is left out, in [0, 1).
    """
    return [
        count if label < FIRST_RARE else max(min(count, 1), round((1 - bias) * count))
        for label, count in enumerate(class_counts)
    ]


def part_order(labels: Tensor, bias: float) -> Tensor:
    """The numbers of the training images in the order in which a part takes them.

    Of each class the first images stay, as many as `kept` says. The k-th image of a class, counted
    from 1, stands at k / w with w = 1, or 1 - bias for the classes 5 to 9: the beginnings hold the
    classes as 1 to 1 - bias, as long as there are images of each, and each holds all shorter ones.

    Args:
        labels: of the training images, integers from 0 to 9, shape (N,).
        bias: in [0, 1).
    """
    left = kept(labels.bincount(minlength=CLASSES).tolist(), bias)
    numbers, places = [], []
    for label, count in enumerate(left):
        weight = 1 - bias if label >= FIRST_RARE else 1.0
        numbers.append(torch.nonzero(labels == label).flatten()[:count])
        places.append(torch.arange(1, count + 1, dtype=torch.float64) / weight)
    # Stable, and the classes stand in order: of equal places the lower class is first.
    first = torch.cat(places).sort(stable=True).indices
    return torch.cat(numbers)[first]
