"""Piecewise linear layers of a critic that is differentiated twice.

A gradient penalty differentiates the critic's slope. The slope of a piecewise linear layer does not
move with its input, yet torch's second derivatives of ReLU and pooling say so with a tensor of
zeros, which then travels back through every layer of the forward pass: a sixth of a critic step's
arithmetic. The layers here say it with no gradient at all, and give every other bit as torch does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_twice: ContextVar[bool] = ContextVar("_twice", default=False)


@contextmanager
def differentiated_twice() -> Iterator[None]:
    """Within it, forward passes are made for a gradient that is to be differentiated itself.

    Outside the layers are torch's own, which take 10 microseconds less each: a toy's step would be
    5 % longer. Either way derivatives of every order are right.
    """
    token = _twice.set(True)
    try:
        yield
    finally:
        _twice.reset(token)


def is_differentiated_twice() -> bool:
    """Whether forward passes are made for a gradient that is to be differentiated itself."""
    return _twice.get()


def _sparing() -> bool:
    """Whether the functions below are to be used; vmap and its like do not know them."""
    return (
        _twice.get() and torch.is_grad_enabled() and not torch._C._are_functorch_transforms_active()
    )


class ReLU(nn.ReLU):
    """max(0, x)."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        if _sparing():
            return _apply(_Rectified, input, 0.0)
        return F.relu(input, self.inplace)


class LeakyReLU(nn.LeakyReLU):
    """max(0, x) + negative_slope min(0, x)."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        # A negative slope would turn signs, and the result could not tell the pieces apart.
        if _sparing() and self.negative_slope > 0:
            return _apply(_Rectified, input, self.negative_slope)
        return F.leaky_relu(input, self.negative_slope, self.inplace)


def mean_pool(x: Tensor) -> Tensor:
    """Means over 2 x 2 pixels, (N, C, H, W) to (N, C, H/2, W/2); a last odd row is left out."""
    return _apply(_Means, x) if _sparing() else F.avg_pool2d(x, 2)


def _apply(function: type[torch.autograd.Function], *arguments: Any) -> Tensor:
    result: Tensor = function.apply(*arguments)
    return result


class _Rectified(torch.autograd.Function):
    """ReLU (slope 0) and leaky ReLU; keeps its result alone, which the next layer keeps too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: float) -> Tensor:
        result = F.leaky_relu(x, slope) if slope else torch.relu(x)
        ctx.save_for_backward(result)
        ctx.set_materialize_grads(False)
        ctx.slope = slope
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None) -> tuple[Tensor | None, None]:
        """The gradient on the piece that x was on.

        That piece is a constant here: detached, it takes part in no further derivative.
        """
        if gradient is None:
            return None, None
        piece = ctx.saved_tensors[0].detach()
        if ctx.slope:
            return torch.ops.aten.leaky_relu_backward(gradient, piece, ctx.slope, True), None
        return torch.ops.aten.threshold_backward(gradient, piece, 0), None


class _Means(torch.autograd.Function):
    """Means over 2 x 2 pixels: linear, so that its derivative asks for nothing but the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        ctx.set_materialize_grads(False)
        return F.avg_pool2d(x, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None) -> Tensor | None:
        """The transposed map."""
        return None if gradient is None else _apply(_Spread, gradient, ctx.shape)


class _Spread(torch.autograd.Function):
    """The transpose of `_Means`: a quarter of each number to its four pixels, 0 to an odd last."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shape: torch.Size) -> Tensor:
        ctx.set_materialize_grads(False)
        spread = F.interpolate(x / 4, scale_factor=2)
        height, width = shape[-2] - spread.shape[-2], shape[-1] - spread.shape[-1]
        return F.pad(spread, (0, width, 0, height)) if height or width else spread

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None) -> tuple[Tensor | None, None]:
        """The transpose of the transpose."""
        return (None if gradient is None else _apply(_Means, gradient)), None
