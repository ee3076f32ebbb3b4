"""Optimizers: a name and its numbers, made into a torch optimizer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from wgan.components import Component, setting


@dataclass(frozen=True)
class Optimizer(Component, family="optimizer"):
    """The settings of an optimizer; `build` makes one for given parameters."""

    lr: float = setting(1e-3, "alpha: step size", above=0)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """A torch optimizer over `parameters`."""
        raise NotImplementedError


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam, fused where torch has it. The defaults are DCGAN's."""

    name: ClassVar[str] = "adam"
    reference: ClassVar[str] = "Kingma and Ba 2014, arXiv:1412.6980, Algorithm 1"

    lr: float = setting(2e-4, "alpha: step size", above=0)
    beta1: float = setting(0.5, "decay of the gradient's mean (momentum)", low=0, below=1)
    beta2: float = setting(0.999, "decay of the squared gradient's mean", low=0, below=1)
    epsilon: float = setting(1e-8, "added to the root of the squared gradient's mean", above=0)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Torch's Adam; the fused kernel costs a quarter of the foreach one on the CPU."""
        return torch.optim.Adam(
            parameters, lr=self.lr, betas=(self.beta1, self.beta2), eps=self.epsilon, fused=True
        )


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop without momentum, as WGAN's authors use it."""

    name: ClassVar[str] = "rmsprop"
    reference: ClassVar[str] = (
        "Tieleman and Hinton 2012, lecture 6.5; Arjovsky et al. 2017, arXiv:1701.07875, Algorithm 1"
    )

    lr: float = setting(5e-5, "alpha: step size", above=0)
    alpha: float = setting(0.99, "decay of the squared gradient's mean", low=0, below=1)
    epsilon: float = setting(1e-8, "added to the root of the squared gradient's mean", above=0)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Torch's RMSprop."""
        return torch.optim.RMSprop(parameters, lr=self.lr, alpha=self.alpha, eps=self.epsilon)
