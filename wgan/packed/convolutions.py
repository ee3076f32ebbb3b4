"""Convolutions of k networks at once, on maps so small that each layer is one matrix.

`wgan.convolution` makes the matrix of a kernel; here there are k kernels, and a layer is a product
of k matrices. It is made once in each stretch in which weights stay (`wgan.once`).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from wgan.convolution import Geometry, geometry, matrix, multiply, transposed_geometry
from wgan.once import once


class StackedConv2d(nn.Module):
    """k convolutions like `layer`: weight (k, O, C, h, w), bias (k, O) or None.

    `reparametrisation`, if any, makes of the stacked raw kernels, (k, O, C h w), those to compute
    with.
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

    def as_dense(self, maps: Sequence[int]) -> tuple[Tensor, Tensor | None, tuple[int, ...]]:
        """The layers on maps of so many pixels as dense ones.

        Returns:
            Weights (k, O H' W', C H W), biases (k, O H' W') or None, and the pixels (H', W').
        """
        made, place = self._made(maps)
        bias = self.bias
        if bias is not None:
            pixels = place.result[0] * place.result[1]
            bias = bias.unsqueeze(2).expand(*bias.shape, pixels).flatten(1)  # type: ignore[assignment]
        return made, bias, place.result

    def forward(self, x: Tensor) -> Tensor:
        """Shape (k, N, C, H, W) to (k, N, O, H', W')."""
        made, place = self._made(x.shape[3:])
        return multiply(x, made, self.bias, place.result)

    def _made(self, maps: Sequence[int]) -> tuple[Tensor, Geometry]:
        """The matrices, and what they do to places."""
        place = geometry(self._like[0], maps)
        assert place is not None, f"{self._like[0]} has no matrix"
        return once((self, "matrix"), lambda: self._matrix(place)), place

    def _matrix(self, place: Geometry) -> Tensor:
        weight: Tensor = self.weight
        if self.reparametrisation is not None:
            weight = self.reparametrisation(self.raw_matrix()).view_as(weight)
        return matrix(weight, place)


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
        place = transposed_geometry(self._like[0], x.shape[3:])
        assert place is not None, f"{self._like[0]} has no matrix"
        made = once((self, "matrix"), lambda: matrix(self.weight, place))
        return multiply(x, made.transpose(1, 2), self.bias, place.maps)


def geometry_of(layer: nn.Conv2d | nn.ConvTranspose2d, maps: Sequence[int]) -> Geometry | None:
    """The convolution's geometry on maps of so many pixels, (H, W); None where it has no matrix."""
    if isinstance(layer, nn.ConvTranspose2d):
        return transposed_geometry(layer, maps)
    return geometry(layer, maps)
