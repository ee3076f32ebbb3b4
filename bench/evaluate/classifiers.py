"""The classifiers that come with wgan-bench: which images each reads, whose classes it knows.

A table, without the networks. `digits_cnn` and `mnist_cnn` know the ten digits. Images of several
channels they read channel by channel, as the stacked sets are made. For `fashion_mnist` and
`kmnist` there is no classifier of their own: Inception serves them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Classifier:
    """What a classifier reads.

    Attributes:
        side: of the square images that it was trained on, in pixels.
        datasets: those whose labels are its classes, digit by digit where they are stacked.
        border: how many further pixels on each side it cuts off: MNIST is 28 pixels wide, and 32
            with a border of zeros, which says nothing of the digit.
        channels_last: whether it runs in this memory layout, which is faster for large images;
            small ones keep the bits that their scores were made with.
    """

    side: int
    datasets: tuple[str, ...]
    border: int = 0
    channels_last: bool = False

    def margin(self, shape: tuple[int, ...]) -> int | None:
        """The pixels to cut off each side of images of `shape` (C, H, W); None: it reads no such.

        0 is its own side.
        """
        _, height, width = shape
        margin = (height - self.side) // 2
        own = height == width == self.side + 2 * margin
        return margin if own and margin in (0, self.border) else None


CLASSIFIERS = {
    "digits_cnn": Classifier(8, ("digits", "stacked_digits")),
    "mnist_cnn": Classifier(28, ("mnist", "stacked_mnist"), border=2, channels_last=True),
}


def unreadable(name: str, shape: tuple[int, ...]) -> str | None:
    """Why the extractor `name` cannot read images of `shape` (C, H, W); None where it can."""
    if name not in CLASSIFIERS or CLASSIFIERS[name].margin(shape) is not None:
        return None
    own = (1, CLASSIFIERS[name].side, CLASSIFIERS[name].side)
    return (
        f"evaluate.extractor: {name!r} reads images of shape {own}, not {shape}; "
        "use 'inception' or 'auto'"
    )


def choose(name: str, dataset: str) -> str:
    """The extractor `name`; "auto" is the data set's own classifier if any, else Inception."""
    if name != "auto":
        return name
    own = (name for name, classifier in CLASSIFIERS.items() if dataset in classifier.datasets)
    return next(own, "inception")


def counts_modes(extractor: str, dataset: str) -> bool:
    """Whether the logits of `extractor` are the classes of `dataset`, so that modes are counted."""
    chosen = choose(extractor, dataset)
    return chosen in CLASSIFIERS and dataset in CLASSIFIERS[chosen].datasets
