"""What a training step must compute, in floating-point operations, and how many one side makes.

A multiplication and an addition count as two. Needed is what no implementation of the step can do
without: in a network of piecewise linear activations the penalty's double backward has nothing to
send back through the forward pass, where stock autograd sends zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


@dataclass(frozen=True)
class Passes:
    """Operations of one forward pass: of all layers, of the first, of the last."""

    whole: int
    first: int
    last: int

    @classmethod
    def of(cls, network: nn.Module, batch: Tensor) -> Passes:
        """By the closed form of each dense and convolutional layer."""
        made: list[int] = []

        def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if isinstance(layer, nn.ConvTranspose2d):
                made.append(2 * inputs[0].numel() * layer.weight[0].numel())
            elif isinstance(layer, nn.Conv2d | nn.Linear):
                made.append(2 * output.numel() * layer.weight[0].numel())

        hooks = [layer.register_forward_hook(note) for layer in network.modules()]
        with torch.no_grad():
            network(batch)
        for hook in hooks:
            hook.remove()
        return cls(sum(made), made[0], made[-1])


def needed_of_a_critic_update(generator: Passes, critic: Passes) -> int:
    """WGAN-GP's: the fakes; scores forward and back to the weights; the penalty's gradients and
    theirs.

    Scores: forward, the weights' gradients, and the inputs' but for those of the first layer, for
    reals and for fakes. Penalty: forward, back to the points, and from there to the weights and
    along the chain, but for the last layer, whose incoming gradient is a constant.
    """
    scores = 2 * (3 * critic.whole - critic.first)
    penalty = 4 * critic.whole - critic.last
    return generator.whole + scores + penalty


def needed_of_a_generator_update(generator: Passes, critic: Passes) -> int:
    """Forward through both, back to the fakes, and back to the generator's weights."""
    return 2 * critic.whole + 3 * generator.whole - generator.first


def needed_of_a_step(generator: Passes, critic: Passes, critic_steps: int) -> int:
    """One generator update with the critic updates before it."""
    return critic_steps * needed_of_a_critic_update(
        generator, critic
    ) + needed_of_a_generator_update(generator, critic)


class Counted(TorchDispatchMode):
    """Counts the operations of matrix products and convolutions as they run, by torch's formulas.

    FlopCounterMode follows the modules as well, which fails inside torch.autograd.grad.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=result)
        return result
