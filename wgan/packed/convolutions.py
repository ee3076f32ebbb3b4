"""Convolutions of k networks at once, on maps so small that each layer is a product or a few.

`wgan.forms` computes k layers as one; what it multiplies by is made once in each stretch in which
weights stay (`wgan.once`).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from wgan.convolution import form_on_cpu, geometry
from wgan.form_blocks import Blocks
from wgan.forms import Form, Whole, everywhere
from wgan.once import once
from wgan.packed.products import Dense, InBlocks, Product

KERNELS = (2, 3, 1, 0)  # how kernels (O, C, h, w) lie, so that those of strips need no copy


class StackedConv2d(nn.Module):
    """k convolutions like `layer`: weight (k, O, C, h, w), bias (k, O) or None.

    `reparametrisation`, if any, makes of the raw kernels those to compute with.
    """

    def __init__(
        self,
        layer: nn.Conv2d,
        weight: nn.Parameter,
        bias: nn.Parameter | None,
        reparametrisation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
        self.reparametrisation = reparametrisation
        self._like = (layer,)  # in a tuple: its weights are not this module's

    def raw_matrix(self) -> Tensor:
        """The raw kernels, each a matrix (out, in height width): (k, O, C h w)."""
        return self.weight.flatten(2)

    def as_product(self, maps: Sequence[int]) -> tuple[Product, Tensor | None, tuple[int, ...]]:
        """The layers on maps of so many pixels, as differentiation by hand wants them.

        Returns:
            What multiplies, differentiable in the weights; biases (k, H' W' O) or None; the pixels
            (H', W') of the result.
        """
        form = _form(self._like[0], maps, len(self.weight))
        operand, bias = self._operand(form), self.bias
        pixels = form.place.result
        if bias is not None:
            bias = everywhere(bias, pixels, innermost=True)  # type: ignore[assignment]
        if isinstance(form, Blocks):
            return InBlocks(operand, form), bias, pixels
        assert isinstance(form, Whole)
        assert form.innermost
        return Dense(operand), bias, pixels

    def forward(self, x: Tensor) -> Tensor:
        """Shape (k, N, C, H, W) to (k, N, O, H', W')."""
        form = _form(self._like[0], x.shape[3:], len(x))
        return form.there(x, self._operand(form), self.bias)

    def _operand(self, form: Form) -> Tensor:
        return once((self, form), lambda: form.operand(self._effective_weight()))

    def _effective_weight(self) -> Tensor:
        weight: Tensor = self.weight
        if self.reparametrisation is None:
            return weight
        effective: Tensor = self.reparametrisation(weight)
        return effective


class StackedConvTranspose2d(nn.Module):
    """k transposes of convolutions like `layer`: weight (k, C, O, h, w), bias (k, O) or None."""

    def __init__(
        self, layer: nn.ConvTranspose2d, weight: nn.Parameter, bias: nn.Parameter | None
    ) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
        self._like = (layer,)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (k, N, C, H, W) to (k, N, O, H', W')."""
        form = _form(self._like[0], x.shape[3:], len(x))
        operand = once((self, form), lambda: form.operand(self.weight))
        return form.back(x, operand, self.bias)


def _form(layer: nn.Conv2d | nn.ConvTranspose2d, maps: Sequence[int], layers: int) -> Form:
    form = form_on_cpu(layer, maps, layers)
    if form is not None:
        return form
    place = geometry(layer, maps)
    assert place is not None, f"{layer} cannot be stacked"
    return Whole(place, innermost=True)
