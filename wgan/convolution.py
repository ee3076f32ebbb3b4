"""Convolutions in the form that is fastest for their shapes; each form is the same linear map.

On a CPU torch's own convolutions are close to the processor's limit, but for maps of a few pixels,
as digits have. There a whole layer is one small matrix, whose product takes less time, most of all
where a layer goes back to the pixels of a grey image. `Conv2d` and `ConvTranspose2d` take it where
it was measured to pay, and torch's own elsewhere.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wgan.once import once

# Numbers in a layer's matrix up to which it pays, and how many times a kernel's pixels the maps may
# then have: of DCGAN on 8 x 8 all layers at width 32, the outer ones at 64. By torch's a step takes
# 1.91, 1.64, 1.19 and 1.03 times as long at width 8, 16, 32 and 64 (WGAN-GP, one thread,
# `python -m tests.speed.choices forms wgan_gp 8`).
_LARGEST_MATRIX = 2**17
_MOST_KERNELS = 4

_by_torch: ContextVar[bool] = ContextVar("_by_torch", default=False)


@contextmanager
def convolved_by_torch() -> Iterator[None]:
    """Within it all convolutions are torch's own."""
    token = _by_torch.set(True)
    try:
        yield
    finally:
        _by_torch.reset(token)


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


class Conv2d(nn.Conv2d):
    """A convolution, (N, C, H, W) to (N, O, H', W')."""

    def forward(self, input: Tensor) -> Tensor:
        """As torch's."""
        return self.convolve(input, self.weight)

    def convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        """The same with `weight` (O, C, h, w) in the place of the layer's own."""
        place = geometry(self, x.shape[2:])
        if place is not None and is_small(weight, place):
            made = once((self, "matrix"), lambda: matrix(weight, place))
            return multiply(x, made, self.bias, place.result)
        result: Tensor = self._conv_forward(x, weight, self.bias)
        return result


class ConvTranspose2d(nn.ConvTranspose2d):
    """The transpose of a convolution, (N, C, H, W) to (N, O, H', W')."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """As torch's."""
        place = None if output_size else transposed_geometry(self, input.shape[2:])
        if place is None or not is_small(self.weight, place):
            return super().forward(input, output_size)
        turned = matrix(self.weight, place).transpose(-2, -1)
        return multiply(input, turned, self.bias, place.maps)


def geometry(layer: nn.Conv2d, maps: Sequence[int]) -> Geometry | None:
    """Of a layer on maps of so many pixels; None: one that only torch's own convolution can do."""
    if _by_torch.get() or not _is_plain(layer) or isinstance(layer.padding, str):
        return None
    return Geometry(tuple(maps), layer.kernel_size, layer.stride, layer.padding)


def transposed_geometry(layer: nn.ConvTranspose2d, maps: Sequence[int]) -> Geometry | None:
    """Of the convolution that the layer is the transpose of, as it takes maps of so many pixels."""
    if _by_torch.get() or not _is_plain(layer) or set(layer.output_padding) != {0}:
        return None
    padding: tuple[int, ...] = layer.padding  # type: ignore[assignment]
    grown = (
        (size - 1) * stride + kernel - 2 * around
        for size, kernel, stride, around in zip(
            maps, layer.kernel_size, layer.stride, padding, strict=True
        )
    )
    return Geometry(tuple(grown), layer.kernel_size, layer.stride, padding)


def _is_plain(layer: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    return layer.groups == 1 and set(layer.dilation) == {1} and layer.padding_mode == "zeros"


def is_small(weight: Tensor, place: Geometry) -> bool:
    """Whether `matrix` pays for kernels (..., O, C, h, w)."""
    return weight.device.type == "cpu" and is_small_on_cpu(weight, place)


def is_small_on_cpu(weight: Tensor, place: Geometry) -> bool:
    """Whether it would pay for kernels of this shape, were they on a CPU."""
    (height, width), (down, across) = place.maps, place.result
    size = weight.shape[-4] * weight.shape[-3] * height * width * down * across
    within = height * width <= _MOST_KERNELS * place.kernel[0] * place.kernel[1]
    return within and size <= _LARGEST_MATRIX


def matrix(weight: Tensor, place: Geometry) -> Tensor:
    """The matrix of the convolution, (..., O H' W', C H W), of kernels (..., O, C, h, w).

    Each of its entries is one of the kernel's or zero. `...` is nothing, or k for k layers, of
    which none sees in what place it stands.
    """
    *stack, outputs, inputs = weight.shape[:-2]
    kernels = weight.reshape(*stack, outputs * inputs, -1)
    chosen = _selection(place, weight.dtype, weight.device)
    entries = torch.bmm(kernels, chosen.expand(*stack, -1, -1)) if stack else kernels @ chosen
    pixels = place.maps[0] * place.maps[1]
    entries = entries.view(*stack, outputs, inputs, -1, pixels).transpose(-3, -2)
    return entries.reshape(*stack, -1, inputs * pixels)


@functools.lru_cache(maxsize=64)
def _selection(place: Geometry, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Which place of the kernel joins which pixels, ones and zeros, (h w, H' W' H W)."""
    chosen = torch.zeros(*place.kernel, *place.result, *place.maps, dtype=dtype)
    for y, x, down, across in torch.cartesian_prod(
        *(torch.arange(size) for size in (*place.kernel, *place.result))
    ).tolist():
        row = place.stride[0] * down + y - place.padding[0]
        column = place.stride[1] * across + x - place.padding[1]
        if 0 <= row < place.maps[0] and 0 <= column < place.maps[1]:
            chosen[y, x, down, across, row, column] = 1
    return chosen.flatten(2).view(place.kernel[0] * place.kernel[1], -1).to(device)


def multiply(x: Tensor, made: Tensor, bias: Tensor | None, pixels: tuple[int, ...]) -> Tensor:
    """Maps (..., N, C, H, W) times a `matrix`, (..., N, O, *pixels); bias (..., O) or None."""
    stacked = made.dim() == 3
    flat = x.flatten(1 + stacked)
    if bias is not None:
        bias = bias.unsqueeze(-1).expand(*bias.shape, pixels[0] * pixels[1]).flatten(-2)
    if not stacked:
        result = F.linear(flat, made, bias)
    elif bias is None:
        result = torch.bmm(flat, made.transpose(1, 2))
    else:
        result = torch.baddbmm(bias.unsqueeze(1), flat, made.transpose(1, 2))
    maps: Tensor = result.unflatten(-1, (-1, *pixels))
    return maps
