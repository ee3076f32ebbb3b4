"""Layers of k critics as the products that differentiation by hand makes of them.

Values are (k, N, units); a map's units are its pixels, in each of them its channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from wgan.form_blocks import Blocks
from wgan.forms import affine

_NARROW = 16  # inputs below which a transposed product is several times as fast (measured)


class Product(Protocol):
    """k linear layers, each of its own weights.

    Attributes:
        operand: the weights as they are multiplied by.
    """

    operand: Tensor

    def constant(self) -> Product:
        """The same, whose operand is not differentiated."""
        ...

    def up(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """W x + b, (k, N, in) to (k, N, out); bias (k, out)."""
        ...

    def down(self, slopes: Tensor) -> Tensor:
        """The slopes times W, (k, N, out) to (k, N, in)."""
        ...

    def weigh(self, slopes: Tensor, x: Tensor, into: Tensor) -> None:
        """The gradient of p W x, summed over the samples, into a tensor like the operand."""
        ...


@dataclass
class Dense:
    """By matrices (k, out, in)."""

    operand: Tensor

    def constant(self) -> Dense:
        """As in `Product`."""
        return Dense(self.operand.detach())

    def up(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """As in `Product`."""
        return affine(x, self.operand, bias)

    def down(self, slopes: Tensor) -> Tensor:
        """As in `Product`."""
        return torch.bmm(slopes, self.operand)

    def weigh(self, slopes: Tensor, x: Tensor, into: Tensor) -> None:
        """As in `Product`."""
        if x.shape[2] < _NARROW:
            into.copy_(torch.bmm(x.transpose(1, 2), slopes).transpose(1, 2))
        else:
            torch.bmm(slopes.transpose(1, 2), x, out=into)


@dataclass
class InBlocks:
    """Convolutions by the operand of `form`."""

    operand: Tensor
    form: Blocks

    def constant(self) -> InBlocks:
        """As in `Product`."""
        return InBlocks(self.operand.detach(), self.form)

    def up(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """As in `Product`."""
        return self.form.up(x, self.operand, bias)

    def down(self, slopes: Tensor) -> Tensor:
        """As in `Product`."""
        return self.form.down(slopes, self.operand)

    def weigh(self, slopes: Tensor, x: Tensor, into: Tensor) -> None:
        """As in `Product`."""
        self.form.weigh(x, slopes, into)
