"""Where fake samples come from: a trained generator, or a frozen one.

With a frozen generator the fakes' distribution stands still, so that a critic can be trained to its
optimum alone: for value surfaces, vanishing gradients and exact distances. A frozen generator has
no parameters; what would be its noise is drawn as the fakes themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from wgan.components import Component, ConfigError, setting
from wgan.data import Data, Dataset, Density
from wgan.networks import Network, Shape


@dataclass(frozen=True)
class GeneratorKind(Component, family="generator"):
    """A source of fakes: fake = generator(noise)."""

    trains: ClassVar[bool] = True  # whether the generator has parameters to update

    def check(self, dataset: Dataset) -> None:
        """Refuse a data set that cannot give what this generator needs.

        Raises:
            ConfigError: with what could.
        """

    def known_w1(self, data: Data) -> float | None:
        """The exact W1 between `data` and the fakes, or None where it is not known."""
        return None

    def build(self, network: Network, shape: Shape, noise_size: int) -> nn.Module:
        """The generator, its weights not yet initialised."""
        raise NotImplementedError

    def draw(
        self, data: Data, noise_size: int, count: int, rng: torch.Generator, dtype: torch.dtype
    ) -> Tensor:
        """`count` inputs for the generator, on the stream's device."""
        raise NotImplementedError

    def draw_each(
        self,
        data: Data,
        noise_size: int,
        count: int,
        rngs: Sequence[torch.Generator],
        dtype: torch.dtype,
    ) -> Tensor:
        """What `draw` gives for each of k streams, (k, count, ...)."""
        return torch.stack([self.draw(data, noise_size, count, rng, dtype) for rng in rngs])


@dataclass(frozen=True)
class Trained(GeneratorKind):
    """The network's own generator, trained against the critic; its noise is N(0, I)."""

    name: ClassVar[str] = "trained"
    reference: ClassVar[str] = "Goodfellow et al. 2014, arXiv:1406.2661, section 3"

    def build(self, network: Network, shape: Shape, noise_size: int) -> nn.Module:
        """The network's generator."""
        return network.generator(shape, noise_size)

    def draw(
        self, data: Data, noise_size: int, count: int, rng: torch.Generator, dtype: torch.dtype
    ) -> Tensor:
        """N(0, I), shape (count, noise_size)."""
        return torch.randn((count, noise_size), generator=rng, device=rng.device, dtype=dtype)

    def draw_each(
        self,
        data: Data,
        noise_size: int,
        count: int,
        rngs: Sequence[torch.Generator],
        dtype: torch.dtype,
    ) -> Tensor:
        """N(0, I), shape (k, count, noise_size); no copy is made."""
        noise = torch.empty(len(rngs), count, noise_size, device=rngs[0].device, dtype=dtype)
        for row, rng in zip(noise, rngs, strict=True):
            torch.randn(count, noise_size, generator=rng, out=row)
        return noise


@dataclass(frozen=True)
class Frozen(GeneratorKind):
    """A distribution that stands still; `steps` then count rounds of `critic_steps` critic updates.

    `fakes` is what it gives: "noisy_data", training samples plus N(0, noise^2 I), as in figure 1 of
    the source; "shifted_data", training samples moved by `shift` along the first coordinate (of an
    image: its first pixel), a copy of the data at a W1 of exactly |shift|; "counterpart", the other
    half of a data set that is a pair (point_mass, shifted_gaussians, ...), at a W1 that is known.
    The samples are drawn anew for each batch, independent of the real batch. Images are not clamped
    to [-1, 1].
    """

    name: ClassVar[str] = "frozen"
    reference: ClassVar[str] = "Gulrajani et al. 2017, arXiv:1704.00028, section 3 and figure 1"
    trains: ClassVar[bool] = False

    fakes: str = setting(
        "noisy_data",
        "what the generator gives",
        choices=("noisy_data", "shifted_data", "counterpart"),
    )
    noise: float = setting(1.0, "standard deviation added to each coordinate by noisy_data", low=0)
    shift: float = setting(1.0, "length of the move that shifted_data makes; its sign is the way's")

    def check(self, dataset: Dataset) -> None:
        """A counterpart needs a data set that is a pair.

        Raises:
            ConfigError: it is none; names those that are.
        """
        if self.fakes == "counterpart" and not _is_pair(dataset):
            raise ConfigError(
                ("generator", "frozen", "fakes"),
                f"'counterpart' is not allowed with the dataset {dataset.name}, which is no pair: "
                f"use noisy_data or shifted_data, or one of {', '.join(_pairs())}",
            )

    def known_w1(self, data: Data) -> float | None:
        """|shift| for a shifted copy (W1 >= ||E x - E y||, met by the shift); a pair's own."""
        if self.fakes == "shifted_data":
            return abs(self.shift)
        return getattr(data, "w1", None) if self.fakes == "counterpart" else None

    def build(self, network: Network, shape: Shape, noise_size: int) -> nn.Module:
        """The identity: what is drawn is already the fake."""
        return nn.Identity()

    def draw(
        self, data: Data, noise_size: int, count: int, rng: torch.Generator, dtype: torch.dtype
    ) -> Tensor:
        """`count` fakes, shape (count, ...) as the data's."""
        if self.fakes == "counterpart":
            assert isinstance(data, Density)
            assert data.counterpart is not None
            return data.counterpart(count, rng).to(dtype)
        samples = data.batch(count, rng).to(dtype)
        if self.fakes == "noisy_data":
            noise = torch.randn(samples.shape, generator=rng, device=rng.device, dtype=dtype)
            return samples + self.noise * noise
        samples.view(count, -1)[:, 0] += self.shift
        return samples


def _is_pair(dataset: Dataset) -> bool:
    """Whether the data set knows the other half of a pair; a density is loaded at no cost."""
    return len(dataset.shape) == 1 and getattr(dataset.load(), "counterpart", None) is not None


def _pairs() -> list[str]:
    densities = []
    for name, made in Dataset.registry.items():
        try:
            dataset = made.from_plain(name)
        except ConfigError:  # one that has no default, as a folder
            continue
        if isinstance(dataset, Dataset) and _is_pair(dataset):
            densities.append(name)
    return sorted(densities)
