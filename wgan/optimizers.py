"""Optimizers: a name and its numbers, made into a torch optimizer.

Every optimizer has a learning rate `lr`. What is built reads it anew at each step from
`group["lr"]`, so that a schedule has nothing to do but to set that. On CUDA the rate and the counts
of steps are tensors there: a step can then be captured in a graph and still follow a schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from wgan.components import Component, ConfigError, setting


@dataclass(frozen=True)
class Optimizer(Component, family="optimizer"):
    """The settings of an optimizer; `build` makes one for given parameters."""

    lr: float = setting(1e-3, "alpha: step size", above=0)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """A torch optimizer over `parameters`, its whole state in its state dict."""
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
        parameters = list(parameters)
        return torch.optim.Adam(
            parameters,
            lr=_rate(self.lr, parameters),
            betas=(self.beta1, self.beta2),
            eps=self.epsilon,
            fused=True,
            capturable=_on_cuda(parameters),
        )


@dataclass(frozen=True)
class AdamW(Optimizer):
    """Adam with decoupled weight decay: theta shrinks by 1 - lr * weight_decay before each step.

    The decay does not pass through the running means. As in torch it is multiplied by `lr`; in the
    paper only by the schedule, so that the paper's lambda is lr * weight_decay here.

    Raises:
        ConfigError: lr * weight_decay >= 1, which would turn the weights' signs.
    """

    name: ClassVar[str] = "adamw"
    reference: ClassVar[str] = "Loshchilov and Hutter 2017, arXiv:1711.05101, Algorithm 2"

    lr: float = setting(2e-4, "alpha: step size", above=0)
    beta1: float = setting(0.5, "decay of the gradient's mean (momentum)", low=0, below=1)
    beta2: float = setting(0.999, "decay of the squared gradient's mean", low=0, below=1)
    epsilon: float = setting(1e-8, "added to the root of the squared gradient's mean", above=0)
    weight_decay: float = setting(0.01, "lambda / lr: share of a weight lost per unit of lr", low=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lr * self.weight_decay >= 1:
            raise ConfigError(
                ("weight_decay",),
                f"{self.weight_decay} is not allowed with lr {self.lr}: "
                "their product must be a number < 1",
            )

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Torch's AdamW, fused as Adam is."""
        parameters = list(parameters)
        return torch.optim.AdamW(
            parameters,
            lr=_rate(self.lr, parameters),
            betas=(self.beta1, self.beta2),
            eps=self.epsilon,
            weight_decay=self.weight_decay,
            fused=True,
            capturable=_on_cuda(parameters),
        )


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop; without momentum, as WGAN's authors use it, unless told otherwise.

    With momentum mu: b = mu b + g / (sqrt(v) + epsilon), theta = theta - lr b.
    """

    name: ClassVar[str] = "rmsprop"
    reference: ClassVar[str] = (
        "Tieleman and Hinton 2012, lecture 6.5; Arjovsky et al. 2017, arXiv:1701.07875, Algorithm 1"
    )

    lr: float = setting(5e-5, "alpha: step size", above=0)
    alpha: float = setting(0.99, "decay of the squared gradient's mean", low=0, below=1)
    epsilon: float = setting(1e-8, "added to the root of the squared gradient's mean", above=0)
    momentum: float = setting(
        0.0, "mu: share of the last step that is kept", low=0, below=1, neutral=0.0
    )

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Torch's RMSprop."""
        parameters = list(parameters)
        return torch.optim.RMSprop(
            parameters,
            lr=_rate(self.lr, parameters),
            alpha=self.alpha,
            eps=self.epsilon,
            momentum=self.momentum,
            capturable=_on_cuda(parameters),
        )


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent: b = momentum b + g, theta = theta - lr b; b begins as the first gradient.

    With `nesterov` the step is lr (g + momentum b), the gradient seen from one step ahead
    (Sutskever et al. 2013, in the form of Bengio et al. 2012, arXiv:1212.0901, equation 7).

    Raises:
        ConfigError: `nesterov` without momentum, which would be plain descent under another name.
    """

    name: ClassVar[str] = "sgd"
    reference: ClassVar[str] = "Robbins and Monro 1951; Polyak 1964 for the momentum"

    lr: float = setting(0.01, "alpha: step size", above=0)
    momentum: float = setting(0.0, "share of the last step that is kept", low=0, below=1)
    nesterov: bool = setting(False, "whether the momentum is Nesterov's")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and self.momentum == 0:
            raise ConfigError(("nesterov",), "true is not allowed without momentum")

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Torch's SGD; on CUDA the fused one, which alone takes its rate from a tensor there."""
        parameters = list(parameters)
        return torch.optim.SGD(
            parameters,
            lr=_rate(self.lr, parameters),
            momentum=self.momentum,
            nesterov=self.nesterov,
            fused=True if _on_cuda(parameters) else None,
        )


@dataclass(frozen=True)
class OptimisticAdam(Optimizer):
    """Adam that steps twice and takes its last step back: theta - 2 lr u_t + lr u_{t-1}.

    u_t = m_t / (sqrt(v_t) + epsilon) with Adam's bias-corrected means, u_0 = 0. The paper's `lr` is
    constant; under a schedule both terms take the present one. The betas are those of the authors'
    code for CIFAR-10.

    It is optimistic only as far as u follows the gradient. On min_x max_y x y, with lr .05 and
    beta2 .999, it finds the equilibrium if beta1 = 0, where Adam spirals out; if .5, both spiral.
    """

    name: ClassVar[str] = "optimistic_adam"
    reference: ClassVar[str] = "Daskalakis et al. 2017, arXiv:1711.00141, Algorithm 1"

    lr: float = setting(1e-4, "eta: step size", above=0)
    beta1: float = setting(0.5, "decay of the gradient's mean (momentum)", low=0, below=1)
    beta2: float = setting(0.9, "decay of the squared gradient's mean", low=0, below=1)
    epsilon: float = setting(1e-8, "added to the root of the squared gradient's mean", above=0)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Our own torch optimizer."""
        parameters = list(parameters)
        rate = _rate(self.lr, parameters)
        return OptimisticSteps(parameters, rate, self.beta1, self.beta2, self.epsilon)


def _on_cuda(parameters: Sequence[nn.Parameter]) -> bool:
    return any(parameter.is_cuda for parameter in parameters)


def _rate(lr: float, parameters: Sequence[nn.Parameter]) -> Any:
    """A learning rate as torch's optimizers take it: a number, on CUDA a tensor there."""
    return torch.tensor(lr, device=parameters[0].device) if _on_cuda(parameters) else lr


def stepped_eagerly(optimizer: torch.optim.Optimizer) -> None:
    """Keep a deep copy of a capturable optimizer from warning that it steps outside a graph.

    torch marks one that it builds as warned already, and forgets that in the copy.
    """
    optimizer._warned_capturable_if_run_uncaptured = True


def set_learning_rate(group: dict[str, Any], lr: float) -> None:
    """Give a group of parameters this rate from the next step on, captured or not."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(lr)
    else:
        group["lr"] = lr


class OptimisticSteps(torch.optim.Optimizer):
    """The steps of `OptimisticAdam`.

    The state of a parameter is its number of steps, `mean` m, `square` v and `direction` u of the
    last step; all of it stands in the state dict. On CUDA the number is a tensor.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float | Tensor,
        beta1: float,
        beta2: float,
        epsilon: float,
    ) -> None:
        defaults = {"lr": lr, "beta1": beta1, "beta2": beta2, "epsilon": epsilon}
        if isinstance(lr, Tensor):
            defaults["capturable"] = True  # torch then keeps the steps on the device
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of every parameter with a gradient; returns what `closure` does, if given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            if moved:
                self._step_together(moved, [parameter.grad for parameter in moved], group)
        return loss

    def _step_together(
        self, moved: list[Tensor], gradients: list[Tensor], group: dict[str, Any]
    ) -> None:
        lr, beta1, beta2 = group["lr"], group["beta1"], group["beta2"]
        capturable = isinstance(lr, Tensor)
        states = [self._state_of(parameter, capturable) for parameter in moved]
        means, squares, last = ([s[key] for s in states] for key in ("mean", "square", "direction"))

        # Advance the running means.
        torch._foreach_lerp_(means, gradients, 1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
        for state in states:
            state["step"] += 1

        # The direction of Adam, with both means corrected for their start at zero.
        scales = torch._foreach_div(squares, [_gone(beta2, s["step"]) for s in states])
        torch._foreach_sqrt_(scales)
        torch._foreach_add_(scales, group["epsilon"])
        directions = torch._foreach_div(means, [_gone(beta1, s["step"]) for s in states])
        torch._foreach_div_(directions, scales)

        # Two steps along it, and the last one back.
        if isinstance(lr, Tensor):
            torch._foreach_add_(moved, torch._foreach_mul(directions, -2 * lr))
            torch._foreach_add_(moved, torch._foreach_mul(last, lr))
        else:
            torch._foreach_add_(moved, directions, alpha=-2 * lr)
            torch._foreach_add_(moved, last, alpha=lr)
        torch._foreach_copy_(last, directions)

    def _state_of(self, parameter: Tensor, capturable: bool) -> dict[str, Any]:
        state: dict[str, Any] = self.state[parameter]
        if not state:
            state["step"] = 0
            for key in ("mean", "square", "direction"):
                state[key] = torch.zeros_like(parameter)
        # It may have been loaded on another device. A number would be captured as it is.
        step = state["step"]
        if capturable and not isinstance(step, Tensor):
            state["step"] = parameter.new_full((), step, dtype=torch.float32)
        elif isinstance(step, Tensor) and not capturable:
            state["step"] = int(step)
        return state


def _gone(beta: float, step: int | Tensor) -> Any:
    """1 - beta^step: the share of a running mean that is no longer its start at zero."""
    if isinstance(step, Tensor):
        return 1 - torch.pow(beta, step.double())
    return float(1 - beta**step)
