"""The contract of a data set: its shape without loading, and, once loaded, batches from a stream.

Samples are drawn with replacement, a stated deviation from epochs: the order of the data is then
nothing but the `data` stream's state, equal for every method with that seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from wgan.components import Component

DEVICE_BUDGET = 4 * 2**30  # bytes of pixels that an accelerator is asked to hold


class DataError(ValueError):
    """Data that cannot be had: where it was looked for, what is wrong, how to get it."""


@dataclass(frozen=True)
class Images:
    """An image set, in memory or mapped into it from a file that all processes share.

    Attributes:
        name: what its scores are labelled with.
        train, held_out: uint8, shape (N, C, H, W). The held-out split is never trained on.
        train_labels, held_out_labels: int64, shape (N,), or None where the set has none.
        whole: the set with all its training images, where `train` is a part of them, else None.
    """

    name: str
    train: Tensor
    held_out: Tensor
    train_labels: Tensor | None = None
    held_out_labels: Tensor | None = None
    whole: Images | None = None
    kind: ClassVar[str] = "images"

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return tuple(self.train.shape[1:])

    @property
    def scored_against(self) -> Images:
        """The set that quality is measured against: all of it, whatever part is trained on."""
        return self if self.whole is None else self.whole

    def batch(self, count: int, rng: torch.Generator) -> Tensor:
        """`count` training images, float32 in [-1, 1], drawn with replacement.

        They lie where the stream lives, wherever the pixels are.
        """
        return as_float(_pick(self.train, count, rng))

    def batches(self, count: int, rngs: Sequence[torch.Generator]) -> Tensor:
        """What `batch` gives for each of k streams, (k, count, C, H, W), in one look-up."""
        chosen = torch.empty(len(rngs), count, dtype=torch.int64, device=rngs[0].device)
        for row, rng in zip(chosen, rngs, strict=True):
            torch.randint(len(self.train), (count,), generator=rng, out=row)
        return as_float(pick(self.train, chosen))

    def held_out_batch(self, count: int, rng: torch.Generator) -> Tensor:
        """`count` held-out images, float32 in [-1, 1], drawn with replacement."""
        return as_float(_pick(self.held_out, count, rng))

    def to(self, device: torch.device | str) -> Images:
        """The same set with its pixels on `device`, if they are 4 GiB at most; else itself.

        Pixels that stay behind are picked there, batch by batch, and only the batch is moved: the
        same images, somewhat slower.
        """
        if self.train.nbytes + self.held_out.nbytes > DEVICE_BUDGET:
            return self
        return replace(self, train=self.train.to(device), held_out=self.held_out.to(device))


@dataclass(frozen=True)
class Density:
    """A distribution in R^d, sampled without end: held-out samples are simply further ones.

    Attributes:
        sampler: (count, stream) -> float32 (count, d).
        modes: the centres of a mixture, shape (K, d), or None where there are none.
        mode_std: the standard deviation of each of its components, in each coordinate.
        counterpart: the other distribution of a known pair, sampled alike, or None. A frozen
            generator that gives it makes of every critic's estimate a number with a known truth.
        w1: the exact Wasserstein-1 distance between the density and its counterpart, or None.
        together: (count, k streams) -> float32 (k, count, d), in less time than `sampler` takes for
            each of them, and bit for bit the same; or None.
    """

    name: str
    shape: tuple[int, ...]
    sampler: Callable[[int, torch.Generator], Tensor]
    modes: Tensor | None = None
    mode_std: float | None = None
    counterpart: Callable[[int, torch.Generator], Tensor] | None = None
    w1: float | None = None
    together: Callable[[int, Sequence[torch.Generator]], Tensor] | None = None
    kind: ClassVar[str] = "density"

    def batch(self, count: int, rng: torch.Generator) -> Tensor:
        """`count` samples, float32, shape (count, d)."""
        return self.sampler(count, rng)

    def batches(self, count: int, rngs: Sequence[torch.Generator]) -> Tensor:
        """What `batch` gives for each of k streams, (k, count, d)."""
        if self.together is not None:
            return self.together(count, rngs)
        return torch.stack([self.sampler(count, rng) for rng in rngs])

    def held_out_batch(self, count: int, rng: torch.Generator) -> Tensor:
        """`count` further samples."""
        return self.sampler(count, rng)

    def to(self, device: torch.device | str) -> Density:
        """Itself: samples are made where the stream lives."""
        return self


Data = Images | Density


@dataclass(frozen=True)
class Dataset(Component, family="dataset"):
    """The description of a data set; `load` fetches or makes it."""

    @classmethod
    def from_plain(cls, plain: object) -> Self:
        """A data set from `name`, `{name: {field: value}}`, or `folder:PATH` for a folder.

        Raises:
            ConfigError: an unknown name or field, or a value that is not allowed.
        """
        if isinstance(plain, str) and plain.startswith("folder:"):
            plain = {"folder": {"path": plain.removeprefix("folder:")}}
        return super().from_plain(plain)

    def whole(self) -> Dataset:
        """What its scores are made against: itself, or the whole where it describes a part."""
        return self

    @property
    def label(self) -> str:
        """What its scores are labelled with: its name, where that says which data it is."""
        return self.name

    def check_present(self) -> None:
        """Refuse, at little cost, data that `load` could not have; data to be downloaded passes.

        Raises:
            DataError: a folder is named that does not hold the data.
        """

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of an image set or (d,) of a density, known without loading."""
        raise NotImplementedError

    def load(self) -> Data:
        """The data, on the CPU.

        Raises:
            DataError: it cannot be had.
        """
        raise NotImplementedError


def as_float(pixels: Tensor) -> Tensor:
    """uint8 0..255 to float32 -1..1."""
    return pixels.to(torch.float32, copy=True).div_(127.5).sub_(1)


def as_pixels(images: Tensor) -> Tensor:
    """Floats in [-1, 1] to uint8 0..255, rounded to the nearest; values beyond are clamped."""
    return images.mul(127.5).add_(127.5).round_().clamp_(0, 255).to(torch.uint8)


def pick(pixels: Tensor, chosen: Tensor) -> Tensor:
    """`pixels[chosen]` on the device of `chosen`, wherever the pixels are."""
    return pixels[chosen.to(pixels.device)].to(chosen.device)


def _pick(pixels: Tensor, count: int, rng: torch.Generator) -> Tensor:
    return pick(pixels, torch.randint(len(pixels), (count,), generator=rng, device=rng.device))
