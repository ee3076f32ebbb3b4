"""The contract of a Lipschitz method: a frozen dataclass of scalars with three hooks and a check.

Each does nothing unless overridden.

Write one in a file of its own in this folder: subclass `LipschitzMethod`, give it a `name` equal to
the file's, override what it needs. It is then found by sweep files, listed by the command line and
tested by the contract tests.

Many seeds of a small network train as one where the method has a packed form: `packable = True` and
`packed_points`, `packed_penalty` or `packed_after_step` beside the hooks it overrides. Without one
it trains alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from wgan.components import Component, setting
from wgan.networks.base import Shape


class StackedLayers(Protocol):
    """What a penalty may know of k critics that train as one."""

    def matrices(self) -> list[Tensor]:
        """The raw weights of dense and convolutional layers, each (k, out, in).

        Kernels are reshaped to (out, in * height * width).
        """
        ...


@dataclass(frozen=True)
class LipschitzMethod(Component, family="lipschitz"):
    """A way to hold the critic's Lipschitz constraint.

    `every` and `scale_by_every` make a penalty lazy: it is computed at every k-th critic step,
    there multiplied by k if `scale_by_every` (Karras et al. 2020, arXiv:1912.04958, section 3.1).
    They also adapt Adam's decays to k, which is left to the optimizer's settings here.
    `critic_step` decides from its own counter.
    """

    packable: ClassVar[bool] = False  # whether many seeds may train as one stacked model
    normalises_layers: ClassVar[bool] = False  # whether `wrap` gives each layer another weight
    voids_bounds: ClassVar[bool] = False  # whether other methods' promises are lost beside it
    # About how long a critic's update takes where one without a constraint takes 1, between a toy's
    # and a DCGAN's on a CPU (python -m tests.speed.choices methods mlp_64). Planners go by it.
    update_time: ClassVar[float] = 1.0

    every: int = setting(
        1, "critic steps between two penalties", unit="critic steps", low=1, neutral=1
    )
    scale_by_every: bool = setting(
        True, "whether a lazy penalty is multiplied by `every`", neutral=True
    )

    @property
    def bound(self) -> float | None:
        """The Lipschitz constant promised, in the Euclidean norm, or None."""
        return None

    @property
    def reads_device(self) -> bool:
        """Whether it waits for numbers of the device to decide how to go on.

        Its iterations are then not captured as CUDA graphs.
        """
        return False

    @property
    def weight_limit(self) -> float | None:
        """The size that no parameter of the critic exceeds, or None."""
        return None

    def check(self, critic_norm: str) -> None:
        """Refuse a normalisation between the critic's layers that the method cannot stand.

        Args:
            critic_norm: "none", "batch", "layer", "instance" or "group".

        Raises:
            ConfigError: with the path ("critic_norm",) and the reason.
        """

    def wrap(self, critic: nn.Module, shape: Shape) -> nn.Module:
        """The critic under the constraint; called once, before its optimizer is built.

        Args:
            critic: on its device, with its first weights.
            shape: of one sample, (d,) or (C, H, W).
        """
        return critic

    def penalty(
        self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator
    ) -> Tensor | None:
        """A scalar >= 0 to add to the critic's loss, or None where the method has none.

        Args:
            critic: maps (N, ...) to scores (N,).
            real, fake: batches of one shape (N, ...), neither requiring grad.
            rng: the method's own stream.
        """
        return None

    def after_step(self, critic: nn.Module) -> None:
        """Projection and state, after the optimizer's step."""

    def unpackable(self) -> str | None:
        """Why critics under these settings cannot train as one, in words, or None."""
        return None if self.packable else f"the method {self.name} has no packed form"

    def packed_points(
        self, real: Tensor, fake: Tensor, rngs: Sequence[torch.Generator]
    ) -> Tensor | None:
        """Where `packed_penalty` looks at the gradients of k critics, (k, M, ...), or None.

        Args:
            real, fake: (k, N, ...), neither requiring grad.
            rngs: each training's own stream, to be drawn from as `penalty` does.
        """
        return None

    def packed_penalty(self, critic: StackedLayers, norms: Tensor | None) -> Tensor | None:
        """The penalties of k critics that train as one, (k,), or None.

        Args:
            critic: k critics, for a penalty that depends on their weights.
            norms: ||grad f||_2 at the points that were asked for, (k, M), differentiable in the
                parameters; None where none were.
        """
        return None

    def packed_after_step(self, critic: nn.Module) -> None:
        """What `after_step` does, on stacked parameters, shape (k, ...)."""
        self.after_step(critic)
