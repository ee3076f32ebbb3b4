"""Forms of a convolution on maps of a few pixels; all are matrix products.

`Whole` takes a map at once: each of its pixels and channels meets each of the result's, many of
them by a zero. The others go by blocks (`wgan.form_blocks`). `Bands` takes to each row of the
result the rows of the map that the kernel sees from there: 28 of 64 products where 8 x 8 pixels
become 4 x 4. `Strips` takes to each pixel of the result what the kernel sees of a row of the map,
and no zeros at all: 36 of 64 where 4 x 4 become 2 x 2.

Maps are (..., N, C, H, W), kernels (..., O, C, h, w), biases (..., O), where ... is nothing, or k
for k layers at once, of which each sees nothing but its own samples. They may lie in memory in any
way; what is innermost in the results is said of each form.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


class Geometry(NamedTuple):
    """What a convolution does to places; each is (vertical, horizontal).

    Attributes:
        maps: pixels of the maps that it takes.
    """

    maps: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]

    @property
    def result(self) -> tuple[int, ...]:
        """Pixels of the maps that it makes."""
        return tuple(
            (size + 2 * padding - kernel) // stride + 1
            for size, kernel, stride, padding in zip(*self, strict=True)
        )


class Form(Protocol):
    """The convolution of one geometry, and its transpose."""

    @property
    def place(self) -> Geometry:
        """What it does to places."""
        ...

    @property
    def entries(self) -> int:
        """Numbers in the operand for each of the result's channels and each of the map's."""
        ...

    def operand(self, kernels: Tensor) -> Tensor:
        """What maps are multiplied by: linear in the kernels, and the same both ways."""
        ...

    def there(self, maps: Tensor, operand: Tensor, bias: Tensor | None) -> Tensor:
        """The convolution: (..., N, C, H, W) to (..., N, O, H', W')."""
        ...

    def back(self, maps: Tensor, operand: Tensor, bias: Tensor | None) -> Tensor:
        """Its transpose: (..., N, O, H', W') to (..., N, C, H, W); bias (..., C)."""
        ...


@dataclass(frozen=True)
class Whole:
    """The operand is the convolution's matrix, results by maps.

    `innermost`: whether maps lie with their channels innermost, which strips want and which makes
    stacked matrices with less copying; else pixels are.
    """

    place: Geometry
    innermost: bool = False

    @property
    def entries(self) -> int:
        """As in `Form`."""
        return math.prod(self.place.maps) * math.prod(self.place.result)

    def operand(self, kernels: Tensor) -> Tensor:
        """Each entry is one of the kernel's or zero; no layer sees in what place it stands."""
        *stack, outputs, inputs = kernels.shape[:-2]
        pixels = math.prod(self.place.maps)
        kernels = kernels.flatten(-2)
        if self.innermost:
            kernels = kernels.movedim(-1, -3).transpose(-2, -1).flatten(-2)
            entries = _times(_selection(self.place, kernels.dtype, kernels.device), kernels)
            entries = entries.view(*stack, pixels, -1, inputs, outputs).transpose(-3, -2)
            return entries.reshape(*stack, pixels * inputs, -1).transpose(-2, -1)
        chosen = _turned_selection(self.place, kernels.dtype, kernels.device)
        entries = _times(kernels.flatten(-3, -2), chosen)
        entries = entries.view(*stack, outputs, inputs, -1, pixels).transpose(-3, -2)
        return entries.reshape(*stack, -1, inputs * pixels)

    def there(self, maps: Tensor, operand: Tensor, bias: Tensor | None) -> Tensor:
        """As in `Form`."""
        return self._multiplied(maps, operand, bias, self.place.result)

    def back(self, maps: Tensor, operand: Tensor, bias: Tensor | None) -> Tensor:
        """As in `Form`."""
        return self._multiplied(maps, operand.transpose(-2, -1), bias, self.place.maps)

    def _multiplied(
        self, maps: Tensor, matrix: Tensor, bias: Tensor | None, pixels: tuple[int, ...]
    ) -> Tensor:
        flattened = flat(maps) if self.innermost else maps.flatten(-3)
        if bias is not None:
            bias = everywhere(bias, pixels, innermost=self.innermost)
        result = affine(flattened, matrix, bias)
        if self.innermost:
            return unflat(result, pixels)
        made: Tensor = result.unflatten(-1, (-1, *pixels))
        return made


def flat(maps: Tensor) -> Tensor:
    """Maps (..., N, C, H, W) as values (..., N, H W C), channels innermost."""
    return maps.movedim(-3, -1).flatten(-3)


def unflat(values: Tensor, pixels: Sequence[int]) -> Tensor:
    """The maps of which these are the values: the inverse of `flat`."""
    maps: Tensor = values.unflatten(-1, (*pixels, -1)).movedim(-1, -3)
    return maps


def everywhere(bias: Tensor, pixels: Sequence[int], *, innermost: bool) -> Tensor:
    """A bias (..., O) for each of the pixels, (..., O H' W'), channels innermost or outermost."""
    dim = -2 if innermost else -1
    sizes = [-1] * (bias.dim() + 1)
    sizes[dim] = math.prod(pixels)
    return bias.unsqueeze(dim).expand(sizes).flatten(-2)


def affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A dense layer, or k: x (..., N, in), weight (..., out, in), bias (..., out) or None."""
    if weight.dim() == 2:
        return F.linear(x, weight, bias)
    turned = weight.transpose(1, 2)
    return torch.bmm(x, turned) if bias is None else torch.baddbmm(bias.unsqueeze(1), x, turned)


def _times(left: Tensor, right: Tensor) -> Tensor:
    """A product of which either or both are stacked."""
    if left.dim() == right.dim() == 2:
        return left @ right
    stack = max(left.shape[:-2], right.shape[:-2])
    return torch.bmm(left.expand(*stack, -1, -1), right.expand(*stack, -1, -1))


@functools.lru_cache(maxsize=64)
def _selection(place: Geometry, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Which place of the kernel joins which pixels, ones and zeros, (H W H' W', h w)."""
    chosen = torch.zeros(*place.maps, *place.result, *place.kernel, dtype=dtype)
    for y, x, down, across in torch.cartesian_prod(
        *(torch.arange(size) for size in (*place.kernel, *place.result))
    ).tolist():
        row = place.stride[0] * down + y - place.padding[0]
        column = place.stride[1] * across + x - place.padding[1]
        if 0 <= row < place.maps[0] and 0 <= column < place.maps[1]:
            chosen[row, column, down, across, y, x] = 1
    return chosen.view(-1, math.prod(place.kernel)).to(device)


@functools.lru_cache(maxsize=64)
def _turned_selection(place: Geometry, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The same, (h w, H' W' H W)."""
    pixels = math.prod(place.maps)
    chosen: Tensor = _selection(place, dtype, device).unflatten(0, (pixels, -1))
    return chosen.permute(2, 1, 0).flatten(1).contiguous()
