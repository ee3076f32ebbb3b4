"""Convolutions in the form that is fastest for their shapes; each form is the same linear map.

On a CPU torch's own convolutions are close to the processor's limit, but for maps of a few pixels,
as digits have. There a layer is a matrix product or a few (`wgan.forms`), which take less time,
most of all where a layer goes back to the pixels of a grey image. `Conv2d` and `ConvTranspose2d`
take the form that was measured to pay, and torch's own elsewhere.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

from wgan.form_blocks import bands_of, strips_of
from wgan.forms import Form, Geometry, Whole
from wgan.once import once

# Numbers in a layer's matrix up to which a whole one pays, and how many times a kernel's pixels the
# maps may then have.
_LARGEST_MATRIX = 2**17
_MOST_KERNELS = 4
# Pixels of a result up to which strips pay, and how many channels, before times after, have to meet
# there in all layers that are computed as one: with fewer operations cost more than they spare.
# They have to spare products: where 2 x 2 pixels stay 2 x 2 under a kernel of 3 they would not.
_MOST_RESULTS, _MOST_SHARE = 4, 0.75
_LEAST_CHANNELS, _MOST_CHANNELS = 2**12, 2**15
# An image's channels at most, and those made of them, in one layer or in two, from which bands pay.
_IMAGE, _LEAST_BANDS = 4, 64

_by_torch: ContextVar[bool] = ContextVar("_by_torch", default=False)


@contextmanager
def convolved_by_torch() -> Iterator[None]:
    """Within it all convolutions are torch's own."""
    token = _by_torch.set(True)
    try:
        yield
    finally:
        _by_torch.reset(token)


class Conv2d(nn.Conv2d):
    """A convolution, (N, C, H, W) to (N, O, H', W')."""

    def forward(self, input: Tensor) -> Tensor:
        """As torch's."""
        return self.convolve(input, self.weight)

    def convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        """The same with `weight` (O, C, h, w) in the place of the layer's own."""
        form = form_for(self, x)
        if form is None:
            result: Tensor = self._conv_forward(x, weight, self.bias)
            return result
        operand = once((self, form), lambda: form.operand(weight))
        return form.there(x, operand, self.bias)


class ConvTranspose2d(nn.ConvTranspose2d):
    """The transpose of a convolution, (N, C, H, W) to (N, O, H', W')."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """As torch's."""
        form = None if output_size else form_for(self, input)
        if form is None:
            return super().forward(input, output_size)
        operand = once((self, form), lambda: form.operand(self.weight))
        return form.back(input, operand, self.bias)


def form_for(layer: nn.Conv2d | nn.ConvTranspose2d, x: Tensor) -> Form | None:
    """The form in which a layer is to take maps x (N, C, H, W); None: torch's own."""
    if x.device.type != "cpu" or _by_torch.get():
        return None
    # In bf16 strips would be rounded before they are added up; vmap and its like do not know them.
    unfit = torch.is_autocast_enabled("cpu") or torch._C._are_functorch_transforms_active()
    return form_on_cpu(layer, x.shape[2:], strips=not unfit)


def form_on_cpu(
    layer: nn.Conv2d | nn.ConvTranspose2d,
    maps: Sequence[int],
    layers: int = 1,
    *,
    strips: bool = True,
) -> Form | None:
    """The form that pays on a CPU for so many layers on maps of so many pixels, or None.

    Of DCGAN on 8 x 8 all layers have one at width 8 to 128. By torch's own convolutions a step
    takes 1.84, 1.64, 1.23, 1.08 and 1.23 times as long at width 8, 16, 32, 64 and 128 (WGAN-GP,
    one thread, `python -m tests.speed.choices forms wgan_gp 8`).
    """
    place = geometry(layer, maps)
    if place is None:
        return None
    return _form(place, *layer.weight.shape[:2], layers, strips)


@functools.lru_cache(maxsize=256)
def _form(place: Geometry, outputs: int, inputs: int, layers: int, strips: bool) -> Form | None:
    """Of layers with kernels (O, C, h, w), of a convolution or that which has a transpose."""
    results = math.prod(place.result)
    channels = outputs * inputs
    few = results <= _MOST_RESULTS and channels <= _MOST_CHANNELS
    if strips and few and channels * layers >= _LEAST_CHANNELS:
        sparing = strips_of(place)
        if sparing.share <= _MOST_SHARE:
            return sparing
    within = math.prod(place.maps) <= _MOST_KERNELS * math.prod(place.kernel)
    if not within or channels * results * math.prod(place.maps) > _LARGEST_MATRIX:
        return None
    of_image = strips and inputs <= _IMAGE
    if of_image and results > _MOST_RESULTS and outputs * min(layers, 2) >= _LEAST_BANDS:
        return bands_of(place)
    # A wide layer of an image stands beside strips.
    wide = of_image and 2 * outputs**2 >= _LEAST_CHANNELS
    return Whole(place, innermost=layers > 1 or wide)


def geometry(layer: nn.Conv2d | nn.ConvTranspose2d, maps: Sequence[int]) -> Geometry | None:
    """Of a layer on maps of so many pixels; None: one that only torch's own convolution can do.

    That of a transpose is the geometry of the convolution that it is the transpose of, as that one
    takes maps.
    """
    is_plain = layer.groups == 1 and set(layer.dilation) == {1} and layer.padding_mode == "zeros"
    padding = layer.padding
    if not is_plain or isinstance(padding, str):
        return None
    if isinstance(layer, nn.Conv2d):
        return Geometry(tuple(maps), layer.kernel_size, layer.stride, padding)
    if set(layer.output_padding) != {0}:
        return None
    grown = (
        (size - 1) * stride + kernel - 2 * around
        for size, kernel, stride, around in zip(
            maps, layer.kernel_size, layer.stride, padding, strict=True
        )
    )
    return Geometry(tuple(grown), layer.kernel_size, layer.stride, padding)
